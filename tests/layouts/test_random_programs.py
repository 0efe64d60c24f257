"""Random programs in both libraries: after every step the strides, at the end every value, version and gradient.

The steps are drawn from convolutions and what surrounds them, views, writes through views, copies; the sizes from those where
memory orders are hardest to tell apart (one image, one channel, one position).
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import rushlight as rl


class Inapplicable(Exception):
    """The step drawn does not suit the tensor drawn."""


def need(condition: bool) -> None:
    if not condition:
        raise Inapplicable


def default_strides(x: Any) -> tuple[int, ...]:
    return tuple(int(np.prod(x.shape[i + 1 :])) for i in range(x.dim()))


def need_default(lib: Any, x: Any) -> None:
    """Strides that the user turned are a matter of test_formats.py and tests/parity."""
    need(tuple(x.stride()) == default_strides(x))


def convolved(lib: Any, x: Any, draw: random.Random, helpers: Any) -> Any:
    need_default(lib, x)
    need(x.dim() == 4)
    size, stride, padding, depthwise = draw.choice([1, 3]), draw.choice([1, 1, 2]), draw.choice([0, 1]), draw.random() < 0.2
    need(min(x.shape[2:]) + 2 * padding >= size)
    channels = x.shape[1]
    weight = helpers.given(lib, channels if depthwise else draw.choice([1, 4, 20]), 1 if depthwise else channels, size, size) / 3
    return lib.nn.functional.conv2d(x, weight.requires_grad_(), None, stride, padding, 1, channels if depthwise else 1)


def normed(lib: Any, x: Any, draw: random.Random, helpers: Any) -> Any:
    need_default(lib, x)
    need(x.dim() == 4 and x.shape[0] * x.shape[2] * x.shape[3] > 3)
    return lib.nn.functional.batch_norm(x, lib.zeros(x.shape[1]), lib.ones(x.shape[1]) * 2, training=draw.random() < 0.5, eps=0.1)


def pooled(lib: Any, x: Any, draw: random.Random, helpers: Any) -> Any:
    need_default(lib, x)
    need(x.dim() == 4)
    f, kind = lib.nn.functional, draw.choice(["max", "average", "adaptive", "resize"])
    need(kind == "adaptive" or min(x.shape[2:]) >= 2)
    if kind == "resize":
        return f.interpolate(x, size=(4, 5), mode=draw.choice(["nearest", "bilinear"]))
    if kind == "adaptive":
        return draw.choice([f.adaptive_avg_pool2d, f.adaptive_max_pool2d])(x, draw.choice([1, 2, 3]))
    return (f.max_pool2d if kind == "max" else f.avg_pool2d)(x, 2)


def pointwise(lib: Any, x: Any, draw: random.Random, helpers: Any) -> Any:
    need_default(lib, x)
    f = lib.nn.functional
    return draw.choice([
        lib.relu, f.gelu, lib.sigmoid, f.silu, lambda t: t * 2 + 1, lambda t: t + t, lambda t: lib.where(t > 0, t, t * 0.1), f.relu6,
        lambda t: f.leaky_relu(t, 0.1), lambda t: t.clone(), lambda t: lib.maximum(t, -t), lambda t: t.contiguous(), lambda t: t.tanh(),
    ])(x)  # fmt: skip


def per_channel(lib: Any, x: Any, draw: random.Random, helpers: Any) -> Any:
    need_default(lib, x)
    need(x.dim() >= 2)
    factor = helpers.given(lib, x.shape[1], *(1,) * (x.dim() - 2)).requires_grad_()
    return x * factor + factor


def joined(lib: Any, x: Any, draw: random.Random, helpers: Any) -> Any:
    need_default(lib, x)
    need(x.dim() >= 2 and x.numel() < 3000)
    return lib.cat([x, x * 2], draw.randrange(x.dim()))


def viewed(lib: Any, x: Any, draw: random.Random, helpers: Any) -> Any:
    rank = x.dim()
    need(rank >= 2)
    a, b = draw.sample(range(rank), 2)
    return draw.choice([
        lambda: x.flatten(1), lambda: x.transpose(a, b), lambda: x.select(a, x.shape[a] - 1), lambda: x.narrow(a, 0, x.shape[a] // 2 + 1),
        lambda: x.diagonal(0, a, b), lambda: x.unsqueeze(a) if rank < 5 else x.detach(), lambda: x.detach(), lambda: x.chunk(2, a)[-1],
        lambda: x.unfold(a, 1, 1).squeeze(-1), lambda: x.reshape(-1, x.shape[-1]), lambda: x.movedim(a, b), lambda: x[..., :1],
        lambda: x.view_as(x), lambda: x.permute(*reversed(range(rank))).contiguous(),
    ])()  # fmt: skip


def written(lib: Any, x: Any, draw: random.Random, helpers: Any) -> Any:
    need(not (x.is_leaf and x.requires_grad) and x.numel() > 0)
    x = draw.choice([lambda: x, lambda: x, lambda: x.detach(), lambda: x.view_as(x), lambda: x[:1]])()
    return draw.choice([
        lambda: x.add_(1), lambda: x.mul_(0.5), lambda: lib.relu_(x), lambda: x.clamp_(-1, 1), lambda: x.sigmoid_(), lambda: x.zero_(),
        lambda: x.copy_(x.detach().clone() * 2), lambda: x.masked_fill_(x > 1, 0.5),
        lambda: lib.nn.functional.leaky_relu(x, 0.1, inplace=True),
    ])()  # fmt: skip


STEPS = [convolved] * 4 + [normed] * 2 + [pooled] * 2 + [pointwise] * 4 + [per_channel, joined] + [viewed] * 4 + [written] * 3


def assert_same_form(ours: Any, theirs: Any, story: list[str]) -> None:
    """Shape, strides, contiguity and version; of turned dimensions with one element the stride is nobody's business."""
    assert tuple(ours.shape) == tuple(theirs.shape), story
    exact = tuple(theirs.stride()) == default_strides(theirs)
    kept = [i for i, n in enumerate(theirs.shape) if exact or n != 1]
    assert [ours.stride(i) for i in kept] == [theirs.stride(i) for i in kept], story
    assert (ours.is_contiguous(), ours._version) == (theirs.is_contiguous(), theirs._version), story


def play(seed: int, helpers: Any, torch: Any) -> int:
    """Run one program in both libraries; returns how many hidden results it met."""
    draw = random.Random(seed)
    shape = draw.choice([1, 2, 5]), draw.choice([1, 3, 8, 20]), draw.choice([1, 2, 7, 8]), draw.choice([1, 2, 7, 8])
    recorded, hidden, story = draw.random() < 0.7, 0, [str(shape)]
    pairs = [(helpers.given(rl, *shape, grad=recorded), helpers.given(torch, *shape, grad=recorded))]
    for _ in range(draw.randint(4, 14)):
        pair, step, state = draw.choice(pairs[-4:]), draw.choice(STEPS), draw.random()
        found, refused = [], []
        for lib, t in zip((rl, torch), pair, strict=True):
            try:
                with lib.set_grad_enabled(recorded):
                    found.append(step(lib, t, random.Random(state), helpers))
            except (Inapplicable, RuntimeError) as error:  # torch may refuse a write
                refused.append(type(error))
        assert len(found) != 1, f"only one library refused: {story} {step.__name__} {refused}"
        if len(found) == 2:
            story.append(f"{step.__name__} of {tuple(pair[1].shape)}")
            hidden += helpers.is_hidden(found[0])
            assert_same_form(*found, story)
            pairs.append(tuple(found))
    for ours, theirs in pairs:
        assert_same_form(ours, theirs, story)
        helpers.assert_alike(np.array(ours.detach().numpy()), np.array(theirs.detach().numpy()), str(story), rtol=1e-3)
    if recorded:
        compare_gradients(pairs, helpers, story)
    return hidden


def compare_gradients(pairs: list[Any], helpers: Any, story: list[str]) -> None:
    outputs = [pair for pair in pairs[-3:] if pair[1].requires_grad and pair[1].numel()]
    if not outputs:
        return
    try:
        sum((theirs.tanh() * 2).sum() for _, theirs in outputs).backward()
    except RuntimeError:  # something that torch saved was written; we may save less
        return
    sum((ours.tanh() * 2).sum() for ours, _ in outputs).backward()
    ours, theirs = pairs[0][0].grad, pairs[0][1].grad
    assert (ours is None) == (theirs is None), story
    if theirs is not None:
        assert ours.stride() == theirs.stride(), story
        helpers.assert_alike(np.array(ours.numpy()), np.array(theirs.numpy()), str(story), rtol=5e-3)


@pytest.mark.parametrize("first", range(0, 200, 40))
def test_programs(helpers, torch, first):
    assert sum(play(seed, helpers, torch) for seed in range(first, first + 40)) > 20, "the programs met too few hidden results"
