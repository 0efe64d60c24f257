"""Whole training steps give the same bits with one, two and four threads, and run after run."""

from __future__ import annotations

import pytest

import rushlight as rl
from rushlight.backends.native import load

pytestmark = pytest.mark.skipif(load() is None, reason="no native kernels were built (python tools/build_kernels.py)")

nn, F = rl.nn, rl.nn.functional


class Block(nn.Module):
    """A block of GPT: causal attention and a GELU network."""

    def __init__(self, width=48, heads=4):
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.three, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        n, length, width = x.shape
        q, k, v = [t.view(n, length, self.heads, -1).transpose(1, 2) for t in self.three(self.before(x)).chunk(3, -1)]
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(n, length, width)
        x = x + F.dropout(self.out(y), 0.1)
        return x + self.down(F.gelu(self.up(self.between(x))))


class Characters(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.lstm, self.head = nn.Embedding(40, 24), nn.LSTM(24, 48, num_layers=2), nn.Linear(48, 40)

    def forward(self, x):
        return self.head(self.lstm(self.embedding(x))[0]).flatten(0, 1)


class Text(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.blocks, self.head = nn.Embedding(50, 48), nn.Sequential(Block(), Block()), nn.Linear(48, 50)

    def forward(self, x):
        return self.head(self.blocks(self.embedding(x))).flatten(0, 1)


# name: the network, its input, the number of classes, how many labels
NETWORKS = {
    "ResNet-18": (lambda: rl.vision.models.resnet18(num_classes=10), lambda: rl.randn(3, 3, 40, 40), 10, 3),
    "MobileNetV2": (lambda: rl.vision.models.mobilenet_v2(num_classes=10), lambda: rl.randn(2, 3, 40, 40), 10, 2),
    "LSTM": (Characters, lambda: rl.randint(0, 40, (20, 16)), 40, 320),
    "GPT": (Text, lambda: rl.randint(0, 50, (4, 40)), 50, 160),
}


def trained(name, threads):
    """The bits of the loss, every gradient, parameter and buffer of one step."""
    make, inputs, classes, labels = NETWORKS[name]
    rl.set_num_threads(threads)
    rl.manual_seed(0)
    model = make()
    optimizer = rl.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    x, target = inputs(), rl.randint(0, classes, (labels,))
    loss = F.cross_entropy(model(x), target)
    loss.backward()
    found = [loss.detach(), nn.utils.clip_grad_norm_(model.parameters(), 1.0), *[p.grad for p in model.parameters()]]
    optimizer.step()
    return {i: t.numpy().tobytes() for i, t in enumerate([*found, *model.state_dict().values()])}


@pytest.fixture(autouse=True)
def threads_as_before():
    before = rl.get_num_threads()
    yield
    rl.set_num_threads(before)


@pytest.mark.parametrize("name", NETWORKS)
def test_training_gives_the_same_bits(name):
    expected = trained(name, 1)
    for threads in (2, 4, 1):
        assert trained(name, threads) == expected, f"{threads} threads"
