"""Python threads that call kernels at once get the bits of a serial run, whatever else they do meanwhile."""

from __future__ import annotations

import sys
import threading

import pytest

import rushlight as rl
from rushlight.backends.native import load

pytestmark = pytest.mark.skipif(load() is None, reason="no native kernels were built (python tools/build_kernels.py)")

F = rl.nn.functional
THREADS = 6


@pytest.fixture(autouse=True)
def several_threads():
    before = rl.get_num_threads()
    rl.set_num_threads(4)
    yield
    rl.set_num_threads(before)


def at_once(function, count=THREADS):
    """The results of `function(i)` for every i, computed by threads that start together and change turns often."""
    start, results, errors = threading.Barrier(count), [None] * count, []

    def run(i):
        start.wait()
        try:
            results[i] = function(i)
        except BaseException as error:  # shown by the test that waits
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    finally:
        sys.setswitchinterval(interval)
    if errors:
        raise errors[0]
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    return results


def numbers(*shape, seed):
    return rl.randn(*shape, generator=rl.Generator().manual_seed(seed))


def bits(*tensors):
    return [t.detach().numpy().tobytes() for t in tensors]


def convolutions(i):
    x, w = numbers(3, 8 + i, 20, 20, seed=i).requires_grad_(), numbers(16, 8 + i, 3, 3, seed=i + 50).requires_grad_()
    y = F.conv2d(x, w, padding=1, stride=1 + i % 2)
    (y * y).sum().backward()
    return bits(y, x.grad, w.grad)


def products(i):
    a, b = numbers(120 + i, 200, seed=i).requires_grad_(), numbers(200, 90, seed=i + 9).requires_grad_()
    c = a @ b
    (c * c).sum().backward()
    return bits(c, a.grad, b.grad, rl.bmm(c.view(1, *c.shape).expand(3, -1, -1), b.T.expand(3, -1, -1)))


def norms(i):
    x = numbers(8, 12, 16, 16 + i, seed=i).requires_grad_()
    y = F.layer_norm(F.batch_norm(x, None, None, training=True), (16 + i,)) + F.group_norm(x, 3)
    y.exp().sum().backward()
    return bits(y, x.grad)


def reductions(i):
    x = numbers(200 + i, 500, seed=i).requires_grad_()
    loss = F.cross_entropy(x, rl.arange(200 + i) % 500) + x.logsumexp(0).sum() + x.cumsum(1).max()
    loss.backward()
    return bits(loss, x.grad, x.softmax(0), x.std(0), x.argmax(1), x.sort(1)[0])


def pools(i):
    x = numbers(4, 16, 24, 24, seed=i).requires_grad_()
    y = F.max_pool2d(F.relu(x), 3, 2, 1) + F.avg_pool2d(x, 2)[:, :, :12, :12] + F.interpolate(F.adaptive_avg_pool2d(x, 5), size=12)
    y.sin().sum().backward()
    return bits(y, x.grad)


def attentions(i):
    q = numbers(2, 4, 40 + i, 16, seed=i).requires_grad_()
    y = F.scaled_dot_product_attention(q, q, q, is_causal=True)
    y.square().sum().backward()
    return bits(y, q.grad)


def recurrences(i):
    lstm = rl.nn.LSTM(12, 20)
    for j, p in enumerate(lstm.parameters()):
        p.data.copy_(numbers(*p.shape, seed=10 * i + j) / 5)
    x = numbers(10, 8, 12, seed=i).requires_grad_()
    y = lstm(x)[0]
    y.sum().backward()
    return bits(y, x.grad, *[p.grad for p in lstm.parameters()])


def steps(i):
    weight = numbers(300, 301, seed=i).requires_grad_()
    optimizer = rl.optim.AdamW([weight], lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        (weight.tanh() ** 2).sum().backward()
        rl.nn.utils.clip_grad_norm_([weight], 1.0)
        optimizer.step()
    return bits(weight)


def draws(i):
    generator = rl.Generator().manual_seed(i)
    found = [rl.randn(40_000 + i, generator=generator), rl.rand(30_000, generator=generator), rl.randperm(20_000, generator=generator)]
    found += [rl.empty(30_000).exponential_(generator=generator), rl.randint(0, 1000, (30_000,), generator=generator)]
    return bits(*found, rl.empty(30_000).bernoulli_(0.3, generator=generator))


WORK = [convolutions, products, norms, reductions, pools, attentions, recurrences, steps, draws]


@pytest.mark.parametrize("work", WORK, ids=lambda work: work.__name__)
def test_the_same_family_at_once(work):
    expected = [work(i) for i in range(THREADS)]
    for _ in range(2):
        assert at_once(work) == expected


def test_all_families_at_once():
    expected = [work(i) for i, work in enumerate(WORK)]
    assert at_once(lambda i: WORK[i](i), len(WORK)) == expected


def test_while_the_number_of_threads_changes():
    def compute(i):
        return convolutions(i) + products(i) + attentions(i) + recurrences(i)

    expected = [compute(i) for i in range(THREADS)]
    stop = threading.Event()

    def change():
        while not stop.is_set():
            for count in (1, 3, 2, 8):
                rl.set_num_threads(count)

    changing = threading.Thread(target=change)
    changing.start()
    try:
        assert at_once(compute) == expected
    finally:
        stop.set()
        changing.join()


def test_one_tensor_read_by_all():
    """Also a hidden one, which the first reader of its memory relays."""
    x, w = numbers(2, 8, 20, 20, seed=0), numbers(12, 8, 3, 3, seed=1)
    y = F.conv2d(x, w, padding=1)

    def read(i):
        found = bits(F.relu(y), F.conv2d(y, w[:4, :1].repeat(1, 12, 1, 1)), y.sum(1))
        return found + (bits(y.view(-1)) if i % 2 else bits(y.transpose(0, 1)))

    alone = [read(0), read(1)]
    y = F.conv2d(x, w, padding=1)
    assert at_once(read) == [alone[i % 2] for i in range(THREADS)]


def test_weights_shared_by_threads_that_train_on_their_own_copies():
    """Forward and backward of one model by several threads: gradients asked for, not accumulated."""
    rl.manual_seed(0)
    layers = rl.nn.Conv2d(3, 16, 3, padding=1), rl.nn.ReLU(), rl.nn.MaxPool2d(2), rl.nn.Flatten(), rl.nn.Linear(16 * 64, 10)
    model = rl.nn.Sequential(*layers)

    def gradients(i):
        return bits(*rl.autograd.grad(model(numbers(4, 3, 16, 16, seed=i)).square().sum(), list(model.parameters())))

    expected = [gradients(i) for i in range(THREADS)]
    assert at_once(gradients) == expected
