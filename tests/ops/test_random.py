"""Random numbers are torch's, number for number."""

import threading

import pytest

import rushlight as rl

SEEDED = """
torch.rand(3, 4)
torch.randn(17), torch.randn(3), torch.randn(2)
torch.randint(10, (5,)), torch.randint(-5, 10, (2, 3)), torch.randint(high=3, size=(2,))
torch.randint(1, 3, size=(2,)), torch.randint(low=1, high=3, size=(2,))
torch.randperm(10), torch.randperm(5, dtype=torch.int32), torch.randperm(0)
torch.normal(0., 2., (4,)), torch.normal(2, 3, size=(1, 4)), torch.normal(mean=0., std=1., size=(2,))
torch.normal(torch.arange(5.))
torch.normal(torch.arange(5.), 1.), torch.normal(1., torch.arange(1., 6.))
torch.normal(torch.arange(5.), torch.arange(1., 6.))
torch.bernoulli(torch.full((6,), .4)), torch.bernoulli(torch.zeros(6), .4), torch.zeros(5).bernoulli(.5)
torch.multinomial(torch.arange(1., 6.), 3), torch.multinomial(torch.arange(1., 6.), 7, True)
torch.multinomial(torch.ones(2, 3), 2)
torch.poisson(torch.full((6,), 3.))
torch.rand(3, dtype=torch.float64), torch.rand(3, dtype=torch.float16), torch.randn(20, dtype=torch.bfloat16)
torch.randn(3, dtype=torch.complex64)
torch.rand_like(torch.ones(2, 2)), torch.randn_like(torch.ones(2, 2)), torch.randint_like(torch.ones(4), 3)
torch.randint_like(torch.ones(4), 3, 7)
torch.rand(3, out=torch.empty(0)), torch.randn(2, requires_grad=True), torch.rand(()), torch.rand((2,))
torch.rand(2, generator=torch.Generator().manual_seed(1))
torch.zeros(2, 3).uniform_(to=3), torch.zeros(3).random_(to=3), torch.zeros(3).random_(2, to=5)
torch.zeros(3).uniform_(-1, 1)
torch.zeros(5).bernoulli_(torch.linspace(0, 1, 5)), torch.zeros(2, 5).bernoulli_(torch.linspace(0, 1, 5))
x = torch.ones(2, 2, 3, 4).to(memory_format=torch.channels_last); y = torch.rand_like(x); y, y.stride()
x = torch.zeros(2, 2, 3, 4).to(memory_format=torch.channels_last); x.normal_()
torch.zeros(6, 6)[::2, ::2].uniform_()
state = torch.get_rng_state(); a = torch.rand(2); torch.set_rng_state(state); torch.equal(a, torch.rand(2))
state = torch.get_rng_state(); a = torch.rand(2); torch.set_rng_state(state); torch.initial_seed(), state.dtype
state = torch.get_rng_state(); a = torch.rand(2); torch.set_rng_state(state); state.shape
g = torch.Generator().manual_seed(4); s = g.get_state(); a = torch.rand(2, generator=g); g.set_state(s) is g, a
g = torch.Generator().manual_seed(4); s = g.get_state(); a = torch.rand(2, generator=g); torch.rand(2, generator=g)
g = torch.Generator().manual_seed(4); s = g.get_state(); a = torch.rand(2, generator=g); g.initial_seed(), g.device
""".strip().splitlines()

OTHERS = """
torch.rand(2, dtype=torch.int64)
torch.rand()
torch.randint(5)
torch.randint(5, 5, (2,))
torch.randint(0, 300, (2,), dtype=torch.uint8)
torch.randperm(-1)
torch.normal(0., -1., (2,))
torch.normal(0., 1.)
torch.normal(torch.ones(2), torch.ones(3))
torch.normal(torch.ones(2).long(), 1.)
torch.ones(2).normal_(0., -1.)
torch.ones(2).long().normal_()
torch.ones(2).uniform_(1, 0)
torch.bernoulli(torch.tensor([2.]))
torch.bernoulli(torch.tensor([1]))
torch.multinomial(torch.tensor([1.]), 2)
torch.multinomial(torch.tensor([-1., 2]), 2)
torch.poisson(torch.tensor([-1.]))
torch.rand_like(torch.ones(2).long())
torch.ones(2).random_(2, 1)
torch.ones(2).random_(-5)
torch.rand(2, generator=5)
torch.manual_seed("a")
torch.Generator("foo")
torch.Generator().set_state(torch.ones(3))
torch.Generator().set_state([1])
torch.rand(2, device="meta"), torch.rand(2, generator=torch.Generator(), device="meta")
torch.ones(2, requires_grad=True).uniform_()
type((torch.ones(2, requires_grad=True) * 1).normal_().grad_fn).__name__
type((torch.ones(2, requires_grad=True) * 1).uniform_().grad_fn).__name__
type((torch.ones(2, requires_grad=True) * 1).random_().grad_fn).__name__
type((torch.ones(2, requires_grad=True) * 1).random_(5).grad_fn).__name__
type((torch.ones(2, requires_grad=True) * 1).random_(1,5).grad_fn).__name__
type((torch.ones(2, requires_grad=True) * 1).bernoulli_().grad_fn).__name__
type((torch.ones(2, requires_grad=True) * 1).bernoulli_(torch.rand(2)).grad_fn).__name__
type((torch.ones(2, requires_grad=True) * 1).exponential_().grad_fn).__name__
type((torch.ones(2, requires_grad=True) * 1).geometric_(.5).grad_fn).__name__
type((torch.ones(2, requires_grad=True) * 1).cauchy_().grad_fn).__name__
type((torch.ones(2, requires_grad=True) * 1).log_normal_().grad_fn).__name__
p = torch.rand(2, requires_grad=True).sigmoid(); type(torch.bernoulli(p).grad_fn).__name__
p = torch.rand(2, requires_grad=True).sigmoid(); type(torch.poisson(p).grad_fn).__name__
p = torch.rand(2, requires_grad=True).sigmoid(); type(torch.normal(p, 1.).grad_fn).__name__
p = torch.rand(2, requires_grad=True).sigmoid(); type(torch.normal(1., p).grad_fn).__name__
p = torch.rand(2, requires_grad=True).sigmoid(); type(torch.normal(p, p).grad_fn).__name__
p = torch.rand(2, requires_grad=True).sigmoid(); type(torch.multinomial(p, 1).grad_fn).__name__
x = torch.ones(3, requires_grad=True); torch.normal(x * 2, x).backward(torch.ones(3)); x.grad
torch.zeros(2).normal_()._version
torch.random.default_generator is torch.manual_seed(0), torch.random.get_rng_state().shape
""".strip().splitlines()


@pytest.mark.parametrize("program", SEEDED)
def test_the_same_numbers(program, same_program):
    same_program(f"_ = torch.manual_seed(5); {program}")


@pytest.mark.parametrize("program", OTHERS)
def test_torch(program, same_program):
    same_program(program)


@pytest.mark.parametrize("shape", ["3", "4, 7", "33"])
@pytest.mark.parametrize(
    "call",
    [
        "normal_()",
        "uniform_()",
        "random_()",
        "random_(5)",
        "random_(2, 9)",
        "bernoulli_(0.3)",
        "exponential_()",
        "geometric_(0.3)",
        "cauchy_()",
        "log_normal_()",
    ],
)
def test_fills(call, shape, same_program):
    same_program(
        f"_ = torch.manual_seed(3); torch.zeros({shape}).{call}, torch.zeros({shape}).T.{call} if ',' in '{shape}' else None"
    )


def test_fork_rng_leaves_the_state_alone():
    rl.manual_seed(1)
    expected = rl.rand(2)
    rl.manual_seed(1)
    with rl.random.fork_rng():
        rl.rand(5)
    assert rl.equal(rl.rand(2), expected)
    with rl.random.fork_rng(enabled=False):
        rl.rand(2)
    assert not rl.equal(rl.rand(2), expected)


def test_emulated_devices_draw_the_cpu_stream():
    rl.manual_seed(2)
    expected = rl.rand(3)
    rl.manual_seed(2)
    assert rl.rand(3, device="mps").tolist() == expected.tolist()
    generator = rl.Generator(device="cuda").manual_seed(2)
    assert rl.rand(3, device="cuda", generator=generator).tolist() == expected.tolist()
    with pytest.raises(RuntimeError, match="Expected a 'cuda' device type for generator but found 'cpu'"):
        rl.rand(3, device="cuda", generator=rl.Generator())


def test_meta_tensors_draw_nothing():
    rl.manual_seed(2)
    expected = rl.rand(3)
    rl.manual_seed(2)
    rl.zeros(3, device="meta").normal_().uniform_().random_().bernoulli_().exponential_()
    rl.randperm(5, device="meta")
    assert rl.equal(rl.rand(3), expected)


def test_draws_of_threads_do_not_overlap():
    rl.manual_seed(0)
    found = []
    threads = [threading.Thread(target=lambda: found.append(rl.rand(1000))) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    rl.manual_seed(0)
    expected = {round(v, 7) for _ in range(4) for v in rl.rand(1000).tolist()}
    assert {round(v, 7) for part in found for v in part.tolist()} == expected
