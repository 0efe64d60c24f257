"""Writes over tensors and new memory for them."""

import pytest

import rushlight as rl

PROGRAMS = """
torch.ones(2, 3).copy_(torch.arange(3)), torch.ones(2).copy_(1)
torch.ones(2, dtype=torch.int32).copy_(torch.tensor([1.7, -1.7]))
torch.ones(2, 3).copy_(torch.arange(2))
torch.ones(3).copy_(torch.ones(2, 3))
torch.ones(2).copy_("a")
x = torch.ones(2); x.copy_(x) is x, x.copy_(torch.zeros(2)) is x, x._version
torch.ones(2, dtype=torch.int32).fill_(2.7), torch.ones(2).fill_(torch.tensor(3))
torch.ones(2, dtype=torch.bool).fill_(2), torch.ones(2).zero_()
torch.ones(2, dtype=torch.uint8).fill_(300)
torch.ones(2).fill_(1j)
torch.ones(2).fill_(torch.ones(2))
torch.ones(2).fill_(torch.ones(1))
torch.ones(2).fill_(None)
torch.fill(torch.ones(2), 3), torch.fill(torch.ones(2), torch.tensor(3)), torch.ones(2)._version
torch.ones(2, requires_grad=True).zero_()
torch.ones(2, requires_grad=True).copy_(torch.ones(2))
torch.ones(2, requires_grad=True).fill_(1)
x = torch.ones(2, requires_grad=True).expand(3, 2).zero_()
y = torch.ones(2, requires_grad=True) * 2; y.zero_()
y = torch.ones(2, requires_grad=True) * 2; y.fill_(2)
y = torch.ones(2, requires_grad=True) * 2; y.fill_(torch.tensor(2., requires_grad=True))
y = torch.ones(2, requires_grad=True) * 2; y.copy_(torch.ones(2))
y = torch.ones(2, requires_grad=True) * 2; y[:1].zero_(); y
torch.fill(torch.ones(2, requires_grad=True), 2.), torch.fill(torch.ones(2, requires_grad=True), torch.tensor(2.))
x = torch.ones(2, requires_grad=True); y = x * x; y2 = x.detach().fill_(3); y.backward(torch.ones(2))
torch.ones(2).set_(torch.zeros(3)), torch.ones(2).set_()
torch.ones(2).set_(torch.arange(4.).untyped_storage(), 1, (2,), (1,))
torch.ones(2).set_(torch.arange(4.), 1, (2,), (2,)), torch.ones(2).set_(torch.arange(4.).untyped_storage())
torch.ones(2).set_(torch.zeros(3).long())
a = torch.zeros(2); b = torch.ones(3); b.set_(a); b.add_(1); a
torch.arange(6).resize_(2, 2), torch.arange(2).resize_(3)[:2], torch.arange(6)[2:4].resize_(4)
torch.arange(6).resize_as_(torch.ones(2, 3))
x = torch.arange(6.).view(2, 3); x[1].resize_(2).zero_(); x
torch.ones(2, requires_grad=True).resize_(3)
torch.from_numpy(np.arange(3)).resize_(10)
torch.from_numpy(np.arange(3)).resize_(2)
a = torch.ones(2); n = a.numpy(); a.resize_(5)
torch.ones(2).resize_(-1)
torch.empty(0).resize_(1, 2, 3, 4, memory_format=torch.channels_last).stride()
""".strip().splitlines()

GRADIENTS = """
y = x * 2; y.zero_()
y = x * 2; y.fill_(3.)
y = x * 2; y[1:3].zero_()
y = x * 2; y[1:3].copy_(y[0:2].clone() * 3)
y = x * 2; y[1:3].copy_((y[0:2].clone() * 3).double())
y = x * 2; y.copy_((x * 5)[:1])
y = torch.zeros(2, 4); y[1].copy_(x * 2); y = y[1]
y = torch.zeros(4); y.fill_(x[1])
y = torch.zeros(4); y[1:].fill_(x[1])
y = torch.fill(x, x[0])
y = x * 2; y[1:3].uniform_(); y = y * 3
y = x * 2; y[1:3].bernoulli_(x.detach()[1:3].sigmoid()); y = y * 3
""".strip().splitlines()


@pytest.mark.parametrize("program", PROGRAMS)
def test_torch(program, same_program):
    same_program(program)


@pytest.mark.parametrize("line", GRADIENTS)
def test_gradients(line, same_program):
    same_program(f"x = torch.arange(4.).requires_grad_(); {line}; y.backward(torch.arange(1., 5.)); x.grad")


def test_a_copy_is_differentiable_twice():
    x = rl.arange(3.0, dtype=rl.float64).requires_grad_()
    y = rl.zeros(3, dtype=rl.float64)
    y.copy_(x * x)
    (g,) = rl.autograd.grad(y, x, rl.ones(3, dtype=rl.float64), create_graph=True)
    (gg,) = rl.autograd.grad(g, x, rl.ones(3, dtype=rl.float64))
    assert g.tolist() == [0, 2, 4] and gg.tolist() == [2, 2, 2]


def test_growing_keeps_values_and_leaves_aliases_behind():
    x = rl.arange(3.0)
    alias = x[:]
    x.resize_(5)
    assert x[:3].tolist() == [0, 1, 2] and alias.shape == (3,)
    x.zero_()
    assert alias.tolist() == [0, 1, 2]


def test_a_tensor_can_not_be_set_beyond_its_memory():
    with pytest.raises(RuntimeError, match="storage has 16 bytes"):
        rl.ones(2).set_(rl.arange(4.0), 1, (4,), (1,))


def test_overlapping_copies_read_before_they_write():
    x = rl.arange(4.0)
    x[1:].copy_(x[:-1])
    assert x.tolist() == [0, 0, 1, 2]  # torch refuses


def test_errors_name_both_shapes():
    with pytest.raises(RuntimeError, match=r"\[3\].*\[2, 3\]"):
        rl.ones(3).copy_(rl.ones(2, 3))
