"""Hidden results written in place: directly, through views of them, through what shares their memory; and the version counter."""

from __future__ import annotations

import io

import numpy as np
import pytest

import rushlight as rl


def through_numpy(lib, y):
    y.numpy()[:, 1] = 7


def through_dlpack(lib, y):
    lib.from_dlpack(y)[:, 1] = 7


def through_storage(lib, y):
    lib.empty(0).set_(y.untyped_storage(), 0, (3,), (2,)).fill_(9)


WRITES = {
    "add_": lambda lib, y: y.add_(1),
    "mul_ by itself": lambda lib, y: y.mul_(y),
    "sub_ of itself": lambda lib, y: y.sub_(y),
    "relu_": lambda lib, y: lib.relu_(y),
    "clamp_": lambda lib, y: y.clamp_(-0.1, 0.2),
    "sigmoid_": lambda lib, y: y.sigmoid_(),
    "exp_": lambda lib, y: y.exp_(),
    "leaky_relu in place": lambda lib, y: lib.nn.functional.leaky_relu(y, 0.1, inplace=True),
    "relu6 in place": lambda lib, y: lib.nn.functional.relu6(y, inplace=True),
    "zero_": lambda lib, y: y.zero_(),
    "fill_": lambda lib, y: y.fill_(2),
    "copy_": lambda lib, y: y.copy_(lib.arange(float(y.numel())).view(y.shape)),
    "copy_ of a hidden one": lambda lib, y: y.copy_(lib.relu(y)),
    "add_ of a row": lambda lib, y: y.add_(lib.arange(float(y.size(-1)))),
    "add_ per channel": lambda lib, y: y.add_(lib.arange(float(y.size(1))).view(-1, *(1,) * (y.dim() - 2))),
    "addcmul_": lambda lib, y: y.addcmul_(y, y, value=0.5),
    "lerp_": lambda lib, y: y.lerp_(lib.zeros(1), 0.5),
    "masked_fill_": lambda lib, y: y.masked_fill_(y > 0, -1),
    "index_fill_": lambda lib, y: y.index_fill_(1, lib.tensor([0, 2]), 5),
    "index_add_": lambda lib, y: y.index_add_(1, lib.tensor([0, 1]), lib.ones(y.shape)[:, :2]),
    "index_put_": lambda lib, y: y.index_put_((lib.tensor([0]),), lib.tensor(3.0)),
    "scatter_": lambda lib, y: y.scatter_(1, lib.zeros(y.shape, dtype=lib.int64)[:, :1], 4.0),
    "row": lambda lib, y: y.__setitem__(0, 5.0),
    "channel": lambda lib, y: y.__setitem__((slice(None), 1), 5.0),
    "every second": lambda lib, y: y.__setitem__((Ellipsis, slice(None, None, 2)), 5.0),
    "mask": lambda lib, y: y.__setitem__(y > 0.1, 0.0),
    "augmented": lambda lib, y: y[:, 1:].__iadd__(y[:, :-1].clone()),
    "view": lambda lib, y: y.view(-1)[::3].zero_(),
    "flattened": lambda lib, y: y.flatten(1)[:, :4].mul_(10),
    "transposed": lambda lib, y: y.transpose(1, -1)[0].fill_(1),
    "permuted": lambda lib, y: y.permute(*reversed(range(y.dim())))[1].add_(5),
    "chunk": lambda lib, y: y.chunk(2, 1)[1].zero_(),
    "diagonal": lambda lib, y: y.diagonal(0, 1, 2).fill_(3),
    "select": lambda lib, y: y.select(1, 2).exp_(),
    "as_strided": lambda lib, y: y.as_strided((3, 2), (7, 1), 2).fill_(8),
    "unfold": lambda lib, y: y.unfold(-1, 2, 2)[..., 0].fill_(4),
    "detach": lambda lib, y: y.detach().mul_(2),
    "data": lambda lib, y: y.data.mul_(2),
    "out": lambda lib, y: lib.mul(y, 3, out=y),
    "out of its own": lambda lib, y: lib.add(y, y.clone(), out=y),
    "out into a view": lambda lib, y: lib.mul(y[:, :2], 3, out=y[:, :2]),
    "numpy": through_numpy,
    "dlpack": through_dlpack,
    "storage": through_storage,
    "squeeze_": lambda lib, y: y.unsqueeze_(0).squeeze_(0).add_(1),
    "transpose_": lambda lib, y: y.transpose_(1, 2).add_(1),
    "resize_": lambda lib, y: y.resize_(2, 3).add_(1),
    "set_": lambda lib, y: y.set_(lib.ones(3, 4).t()).add_(1),
    "data assigned": lambda lib, y: setattr(y, "data", lib.ones(*y.shape[::-1]).permute(*reversed(range(y.dim())))),
    "dropout in place": lambda lib, y: lib.nn.functional.dropout(y, 1.0, inplace=True),
    "numbers drawn": lambda lib, y: (lib.manual_seed(3), y.uniform_()),
    "normal_": lambda lib, y: (lib.manual_seed(3), y.normal_()),
    "bernoulli_": lambda lib, y: (lib.manual_seed(3), y.bernoulli_(0.3)),
    "orthogonal": lambda lib, y: (lib.manual_seed(3), lib.nn.init.trunc_normal_(y)),
}


# Afterwards the views are no views of it any more, or (set_) torch counts the writes apart.
UNSHARED = ("storage", "resize_", "set_", "data assigned", "transpose_")


@pytest.mark.parametrize("write", WRITES)
def test_writes(helpers, torch, made, write):
    """With eyes on it from before (a detached alias) and after; all of them agree with torch's."""
    found = []
    for lib in (rl, torch):
        y = made(lib)
        before = y.detach()
        WRITES[write](lib, y)
        found.append(helpers.seen([y, before, y.detach(), [] if write in UNSHARED else [y._version, before._version]]))
    helpers.assert_alike(*found)


@pytest.mark.parametrize("write", [name for name in WRITES if name not in UNSHARED])
def test_writes_with_a_view_looking_on(helpers, torch, made, write):
    found = []
    for lib in (rl, torch):
        y = made(lib)
        view, row = y.view(-1), y[:, 1]
        WRITES[write](lib, y)
        found.append(helpers.seen([y, view, row, view._version, row.data_ptr() - y.data_ptr()]))
    helpers.assert_alike(*found)


def test_writing_the_base_shows_in_views_and_back(any_made):
    y = any_made(rl)
    flat, turned = y.view(-1), y.transpose(1, -1)
    y.fill_(1)
    flat[0] = 2
    turned[0, 0, 1] = 3
    assert y.reshape(-1)[0].item() == 2 and y[0, 1].flatten()[0].item() == (3 if y.dim() == 3 else y[0, 1].flatten()[0].item())
    assert turned.sum().item() == y.sum().item() == flat.sum().item() == float(y.numpy().sum())
    y.numpy()[...] = 0
    assert not y.any() and not flat.any() and not turned.any()


RECORDED = {
    name: WRITES[name]
    for name in (
        "add_", "relu_", "clamp_", "sigmoid_", "exp_", "leaky_relu in place", "relu6 in place", "fill_", "add_ of a row",
        "lerp_", "masked_fill_", "index_fill_", "row", "channel", "every second", "view", "flattened", "transposed", "select",
        "diagonal", "as_strided", "squeeze_", "transpose_", "zero_", "add_ per channel",
    )
}  # fmt: skip


@pytest.mark.parametrize("write", RECORDED)
def test_recorded_writes(helpers, torch, made, write):
    """In place on a computed tensor with history: the value, the gradient and its strides are torch's."""
    found = []
    for lib in (rl, torch):
        x, y = made.with_leaf(lib)
        y = y + 0  # what is written is no saved value
        assert lib is torch or helpers.is_hidden(y)
        RECORDED[write](lib, y)
        (y * y).sum().backward()
        found.append(helpers.seen([y, x.grad, y._version]))
    helpers.assert_alike(*found, rtol=2e-3)


def twice_in_place(lib, x, y):
    y.sigmoid_().mul_(2)
    return y


ERRORS = {
    "saved output": twice_in_place,
    "saved input": lambda lib, x, y: (lib.nn.functional.gelu(y), y.add_(1))[0],
    "through a detached one": lambda lib, x, y: (y.square(), y.detach().add_(1))[0],
    "through a view": lambda lib, x, y: (y.square(), y.view(-1)[:3].zero_())[0],
    "through a view from before": lambda lib, x, y: (lambda view: (y.square(), view.zero_())[0])(y.transpose(1, 2)),
    "a leaf": lambda lib, x, y: x.add_(1),
    "a view of a leaf": lambda lib, x, y: x.view(-1).add_(1),
    "the weight": lambda lib, x, y: (lambda w: (lib.nn.functional.conv2d(x, w), w.add_(1))[0])(lib.ones(4, 3, 3, 3)),
    "the input of a convolution": lambda lib, x, y: (lib.nn.functional.conv2d(y, lib.ones(2, 4, 1, 1).requires_grad_()), y.add_(1))[0],
}


@pytest.mark.parametrize("case", ERRORS)
def test_modifications_are_noticed(helpers, torch, case):
    for lib in (rl, torch):
        x = helpers.given(lib, 2, 3, 6, 7, grad=True)
        with pytest.raises(RuntimeError, match="modified by an inplace operation|leaf Variable that requires grad"):
            ERRORS[case](lib, x, lib.nn.functional.conv2d(x, lib.ones(4, 3, 3, 3))).sum().backward()


def test_inference_mode(helpers, torch, made):
    found = []
    for lib in (rl, torch):
        with lib.inference_mode():
            y = made(lib)
            y[:, 1:].mul_(2)
        found.append(helpers.seen([y, y.is_inference()]))
        with pytest.raises(RuntimeError, match="[Ii]nference"):
            y.requires_grad_()
    helpers.assert_alike(*found)


def test_a_file_holds_the_default_format(torch, made):
    """What torch reads back from our file is what it would have written itself."""
    for value in (lambda y: y, lambda y: y.transpose(1, -1), lambda y: {"base": y, "view": y[:, 1:]}):
        y = made(rl)
        file = io.BytesIO()
        rl.save(value(y), file)
        file.seek(0)
        read, wanted = torch.load(file), value(torch.from_numpy(y.numpy().copy()))
        for a, b in zip(*(v.values() if isinstance(v, dict) else [v] for v in (read, wanted)), strict=True):
            assert a.stride() == b.stride() and a.storage_offset() == b.storage_offset() and torch.equal(a, b)
            assert a.untyped_storage().nbytes() == b.untyped_storage().nbytes()


def test_from_numpy_of_what_numpy_gave(made):
    y = made(rl)
    array = y.numpy()
    assert array.flags.c_contiguous and array.flags.writeable
    again = rl.from_numpy(array)
    again.zero_()
    assert not y.any() and again.data_ptr() == y.data_ptr()
    assert np.shares_memory(array, y.view(-1).numpy())
