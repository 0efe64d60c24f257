"""A layout that the user asked for is his: channels_last in, and torch's strides out."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl


def user(helpers, lib, *shape, seed=0):
    return helpers.given(lib, *shape, seed=seed).contiguous(memory_format=lib.channels_last).requires_grad_()


F = {
    "conv": lambda f, lib, x, h: f.conv2d(x, h.given(lib, 20, 8, 3, 3), padding=1),
    "conv with its weight": lambda f, lib, x, h: f.conv2d(x, user(h, lib, 20, 8, 3, 3), padding=1),
    "conv with its weight only": lambda f, lib, x, h: f.conv2d(x.contiguous(), user(h, lib, 20, 8, 3, 3), padding=1),
    "depthwise": lambda f, lib, x, h: f.conv2d(x, h.given(lib, 8, 1, 3, 3), groups=8),
    "transposed conv": lambda f, lib, x, h: f.conv_transpose2d(x, h.given(lib, 8, 5, 2, 2), stride=2),
    "conv of conv": lambda f, lib, x, h: f.conv2d(lib.relu(f.conv2d(x, h.given(lib, 20, 8, 3, 3))), h.given(lib, 6, 20, 1, 1)),
    "batch norm": lambda f, lib, x, h: f.batch_norm(x, None, None, training=True),
    "batch norm, evaluating": lambda f, lib, x, h: f.batch_norm(x, lib.zeros(8), lib.ones(8)),
    "group norm": lambda f, lib, x, h: f.group_norm(x, 2),
    "layer norm": lambda f, lib, x, h: f.layer_norm(x, x.shape[-1:]),
    "relu": lambda f, lib, x, h: f.relu(x),
    "gelu": lambda f, lib, x, h: f.gelu(x),
    "hardswish": lambda f, lib, x, h: f.hardswish(x),
    "sigmoid": lambda f, lib, x, h: x.sigmoid(),
    "max pool": lambda f, lib, x, h: f.max_pool2d(x, 2),
    "average pool": lambda f, lib, x, h: f.avg_pool2d(x, 2),
    "adaptive average pool": lambda f, lib, x, h: f.adaptive_avg_pool2d(x, 3),
    "adaptive max pool": lambda f, lib, x, h: f.adaptive_max_pool2d(x, 2),
    "nearest": lambda f, lib, x, h: f.interpolate(x, scale_factor=2),
    "bilinear": lambda f, lib, x, h: f.interpolate(x, scale_factor=2, mode="bilinear"),
    "bicubic": lambda f, lib, x, h: f.interpolate(x, scale_factor=2, mode="bicubic"),
    "pad": lambda f, lib, x, h: f.pad(x, (1, 1, 0, 2)),
    "pad by reflection": lambda f, lib, x, h: f.pad(x, (1, 1, 1, 1), mode="reflect"),
    "sum of two": lambda f, lib, x, h: x + x * 2,
    "times a channel's": lambda f, lib, x, h: x * h.given(lib, 8, 1, 1),
    "where": lambda f, lib, x, h: lib.where(x > 0, x, x * 2),
    "cat": lambda f, lib, x, h: lib.cat([x, x * 2], 1),
    "double": lambda f, lib, x, h: x.double(),
    "clone": lambda f, lib, x, h: x.clone(),
    "default": lambda f, lib, x, h: x.contiguous(),
    "zeros_like": lambda f, lib, x, h: lib.zeros_like(x) * x,
    "slice": lambda f, lib, x, h: x[:, 2:5],
    "permuted": lambda f, lib, x, h: x.permute(0, 2, 3, 1),
    "flat": lambda f, lib, x, h: x.flatten(1),
}


@pytest.mark.parametrize("name", F)
def test_channels_last_of_the_user(helpers, torch, name):
    found = []
    for lib in (rl, torch):
        x = user(helpers, lib, 2, 8, 6, 7)
        y = F[name](lib.nn.functional, lib, x, helpers)
        (y * y.detach()).sum().backward()
        found.append(helpers.seen([y, x.grad]))
        assert y.data_ptr() and (lib is torch or not helpers.is_hidden(y))
    helpers.assert_alike(*found, rtol=2e-3)


def test_channels_last_3d(helpers, torch):
    found = []
    for lib in (rl, torch):
        x = helpers.given(lib, 2, 8, 3, 5, 4).contiguous(memory_format=lib.channels_last_3d).requires_grad_()
        f = lib.nn.functional
        y = f.conv3d(x, helpers.given(lib, 6, 8, 3, 3, 3), padding=1)
        results = [y, f.relu(y), f.max_pool3d(y, 2), f.batch_norm(y, None, None, training=True), f.pad(y, (1, 1))]
        y.square().sum().backward()
        found.append(helpers.seen([*results, x.grad]))
    helpers.assert_alike(*found, rtol=2e-3)


def test_a_model_in_channels_last(helpers, torch):
    """`model.to(memory_format=channels_last)`: weights, results, gradients and momentum keep it."""
    found = []
    for lib in (rl, torch):
        lib.manual_seed(0)
        nn = lib.nn
        layers = nn.Conv2d(3, 20, 3, bias=False), nn.BatchNorm2d(20), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(20, 9, 3, padding=1)
        model = nn.Sequential(*layers)
        model = model.to(memory_format=lib.channels_last)
        optimizer = lib.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        for x in (user(helpers, lib, 2, 3, 9, 10), helpers.given(lib, 2, 3, 9, 10)):
            optimizer.zero_grad()
            y = model(x)
            y.square().sum().backward()
            optimizer.step()
        momentum = [each["momentum_buffer"] for each in optimizer.state_dict()["state"].values()]
        found.append(helpers.seen([y, list(model.parameters()), [p.grad for p in model.parameters()], momentum]))
    helpers.assert_alike(*found, rtol=1e-2)


def test_a_permuted_input_is_no_hint(helpers, torch):
    """Strides that are neither format: the result is in the default one."""
    found = []
    for lib in (rl, torch):
        x = helpers.given(lib, 6, 7, 8, 2).permute(3, 2, 1, 0).requires_grad_()
        y = lib.nn.functional.conv2d(x, helpers.given(lib, 20, 8, 3, 3), padding=1)
        pooled = lib.nn.functional.max_pool2d(y, 2)
        pooled.square().sum().backward()
        found.append(helpers.seen([y, pooled, x.grad]))
    helpers.assert_alike(*found, rtol=2e-3)


def test_reported_channels_last_is_one(helpers):
    x = user(helpers, rl, 2, 8, 6, 7)
    y = rl.nn.functional.conv2d(x, helpers.given(rl, 20, 8, 3, 3))
    assert y.is_contiguous(memory_format=rl.channels_last) and not y.is_contiguous()
    assert y.detach().numpy().strides == tuple(4 * n for n in y.stride())
    with pytest.raises(RuntimeError, match="view size is not compatible"):
        y.view(2, -1)
    assert np.shares_memory(y.permute(0, 2, 3, 1).reshape(-1).detach().numpy(), y.detach().numpy())
