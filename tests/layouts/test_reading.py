"""Results in a hidden layout, looked at in every way that shows memory: torch's default format everywhere."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest

import rushlight as rl


def strides_of(t):
    return t.shape, t.stride(), [t.stride(i) for i in range(t.dim())], t.is_contiguous(), t.storage_offset(), t.nbytes, t.element_size()


def same_memory(a, b):
    return a.data_ptr() == b.data_ptr(), a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


def from_file(lib, value):
    file = io.BytesIO()
    lib.save(value, file)
    file.seek(0)
    return lib.load(file)


VIEWS = {
    "view": lambda lib, y: y.view(y.size(0), -1),
    "view_as": lambda lib, y: y.view_as(y),
    "view of other numbers": lambda lib, y: y.view(lib.int32).sign(),
    "reshape": lambda lib, y: y.reshape(-1),
    "flatten": lambda lib, y: y.flatten(1),
    "unflatten": lambda lib, y: y.unflatten(1, (2, -1)),
    "ravel": lambda lib, y: y.ravel(),
    "as_strided": lambda lib, y: y.as_strided((2, 3), (5, 2), 4),
    "permute": lambda lib, y: y.permute(*reversed(range(y.dim()))),
    "transpose": lambda lib, y: y.transpose(1, -1),
    "mT": lambda lib, y: y.mT,
    "movedim": lambda lib, y: y.movedim(1, -1),
    "movedim, dense": lambda lib, y: y.movedim(1, -1).contiguous(),
    "unsqueeze": lambda lib, y: y.unsqueeze(0),
    "squeeze": lambda lib, y: y.unsqueeze(2).squeeze(),
    "chunk": lambda lib, y: y.chunk(3, 1),
    "split": lambda lib, y: y.split([1, y.size(1) - 1], 1),
    "unbind": lambda lib, y: y.unbind(1)[:2],
    "unfold": lambda lib, y: y.unfold(-1, 2, 1),
    "diagonal": lambda lib, y: y.diagonal(0, 1, 2),
    "select": lambda lib, y: y.select(1, 2),
    "row": lambda lib, y: y[0],
    "slice": lambda lib, y: y[:, 1:],
    "every second": lambda lib, y: y[:, ::2, 1:],
    "ellipsis": lambda lib, y: y[..., 0],
    "None": lambda lib, y: y[:, None],
    "narrow": lambda lib, y: y.narrow(1, 1, 2),
    "expand": lambda lib, y: y.expand(2, *y.shape),
    "expand_as": lambda lib, y: y[:, :1].expand_as(y),
    "broadcast_to": lambda lib, y: lib.broadcast_to(y, (3, *y.shape)),
    "detach": lambda lib, y: y.detach(),
    "data": lambda lib, y: y.data,
    "real": lambda lib, y: y.real,
    "swapdims": lambda lib, y: y.swapdims(0, 1),
    "tensor_split": lambda lib, y: y.tensor_split(2),
    "iteration": lambda lib, y: list(y),
}

COPIES = {
    "clone": lambda lib, y: y.clone(),
    "clone in the default format": lambda lib, y: y.clone(memory_format=lib.contiguous_format),
    "clone channels last": lambda lib, y: y.clone(memory_format=lib.channels_last) if y.dim() == 4 else y,
    "contiguous": lambda lib, y: y.contiguous(),
    "contiguous channels last": lambda lib, y: y.contiguous(memory_format=lib.channels_last) if y.dim() == 4 else y,
    "to another dtype": lambda lib, y: y.to(lib.float64),
    "to the same": lambda lib, y: y.to(lib.float32),
    "half": lambda lib, y: y.half().float() * 0,
    "zeros_like": lambda lib, y: lib.zeros_like(y),
    "full_like": lambda lib, y: lib.full_like(y, 3.0),
    "empty_like": lambda lib, y: lib.empty_like(y).zero_(),
    "new_zeros": lambda lib, y: y.new_zeros(y.shape),
    "copy": lambda lib, y: copy.copy(y.detach()),
    "deepcopy": lambda lib, y: copy.deepcopy(y.detach()),
    "pickle": lambda lib, y: pickle.loads(pickle.dumps(y.detach())),
    "save": lambda lib, y: from_file(lib, {"a": y.detach(), "b": [y.detach()[:, 1:]]}),
    "index": lambda lib, y: y[lib.tensor([0, 0])],
    "mask": lambda lib, y: y[y > 0.1],
    "gather": lambda lib, y: y.gather(1, lib.zeros(y.shape, dtype=lib.int64)),
    "index_select": lambda lib, y: y.index_select(1, lib.tensor([2, 0])),
    "flip": lambda lib, y: y.flip(1),
    "roll": lambda lib, y: y.roll(1, 1),
    "sort": lambda lib, y: y.sort(1)[0],
    "cumsum": lambda lib, y: y.cumsum(1),
    "softmax": lambda lib, y: y.softmax(1),
    "log_softmax": lambda lib, y: y.log_softmax(1),
    "pad": lambda lib, y: lib.nn.functional.pad(y, (1, 0)),
    "stack": lambda lib, y: lib.stack([y, y], 1),
    "cat with a plain one": lambda lib, y: lib.cat([y, lib.ones(y.shape)], 1),
    "where": lambda lib, y: lib.where(y > 0, y, lib.zeros(1)),
    "comparison": lambda lib, y: (y > 0) | (y <= 0),
    "matmul": lambda lib, y: y @ lib.ones(y.size(-1), 2),
    "linear": lambda lib, y: lib.nn.functional.linear(y, lib.ones(3, y.size(-1))),
    "layer norm": lambda lib, y: lib.nn.functional.layer_norm(y, y.shape[-1:]),
    "group norm": lambda lib, y: lib.nn.functional.group_norm(y, 2),
    "sum": lambda lib, y: [y.sum(1), y.sum((0, 2)), y.sum(), y.mean(-1, keepdim=True)],
    "max": lambda lib, y: [y.amax(1), y.max(1)[0]],
    "norm": lambda lib, y: y.norm(dim=1),
    "with a transposed one": lambda lib, y: y + lib.ones(*reversed(y.shape)).permute(*reversed(range(y.dim()))).contiguous(),
    "with a row": lambda lib, y: y * lib.arange(1.0, y.size(-1) + 1),
    "channel by channel": lambda lib, y: y / lib.arange(1.0, y.size(1) + 1).view(-1, *(1,) * (y.dim() - 2)),
    "out": lambda lib, y: lib.add(y, 1, out=lib.empty(0)),
    "einsum": lambda lib, y: lib.einsum("nc...->cn...", y),
    "repeat": lambda lib, y: y.repeat(*(1,) * (y.dim() - 1), 2),
    "vmap-like stack of rows": lambda lib, y: lib.stack([row * 2 for row in y]),
}

PYTHON = {
    "strides": lambda lib, y: strides_of(y),
    "numpy": lambda lib, y: y.detach().numpy(),
    "array": lambda lib, y: np.asarray(y.detach()),
    "array of another dtype": lambda lib, y: np.asarray(y.detach(), dtype=np.float64),
    "dlpack": lambda lib, y: np.from_dlpack(y.detach()),
    "from_dlpack": lambda lib, y: lib.from_dlpack(y.detach()),
    "tolist": lambda lib, y: y.tolist(),
    "item": lambda lib, y: y[0, 0].flatten()[1].item(),
    "bool": lambda lib, y: [bool((y == y).all()), lib.equal(y, y), y.allclose(y)],
    "bytes": lambda lib, y: [y.untyped_storage().nbytes(), len(y.untyped_storage().tolist())],
    "memory of views": lambda lib, y: [same_memory(y, y.view(-1)), same_memory(y, y.detach()), same_memory(y, y[1:] if len(y) > 1 else y)],
    "memory of data": lambda lib, y: same_memory(y, y.data),
    "offsets": lambda lib, y: [y[:, 1:].data_ptr() - y.data_ptr(), y[..., 1:].storage_offset()],
    "aligned": lambda lib, y: y.data_ptr() % y.element_size(),
    "is a view": lambda lib, y: [y._is_view(), y._base is None, y.view(-1)._is_view()],
    "ufunc": lambda lib, y: np.add(y.detach().numpy(), 1),
}


@pytest.mark.parametrize("look", VIEWS)
def test_views(helpers, torch, made, look):
    compare(helpers, torch, made, VIEWS[look])


@pytest.mark.parametrize("look", COPIES)
def test_copies_and_results(helpers, torch, made, look):
    compare(helpers, torch, made, COPIES[look])


@pytest.mark.parametrize("look", PYTHON)
def test_from_python(helpers, torch, made, look):
    compare(helpers, torch, made, PYTHON[look])


FEW = {name: (VIEWS | COPIES | PYTHON)[name] for name in ("view", "transpose", "clone", "sum", "strides", "numpy", "data")}


@pytest.mark.parametrize("look", FEW)
def test_every_kind_of_result(helpers, torch, any_made, look):
    compare(helpers, torch, any_made, FEW[look])


def compare(helpers, torch, made, look):
    ours, theirs = made(rl), made(torch)
    helpers.assert_alike(helpers.seen(look(rl, ours)), helpers.seen(look(torch, theirs)))
    # Whatever the look did, the tensor is as it was.
    helpers.assert_alike(helpers.seen(ours), helpers.seen(theirs))


def test_printing(any_made):
    """Against the same numbers in a plain tensor: torch's own differ in the last digit."""
    y = any_made(rl)
    texts = repr(y), str(y), f"{y}"
    plain = rl.tensor(y.tolist())
    assert texts == (repr(plain), str(plain), f"{plain}")


def test_the_address_stays(any_made):
    y = any_made(rl)
    first = y.data_ptr()
    rl.relu(y + 1)
    y.view(-1).sum()
    assert y.data_ptr() == first == y.untyped_storage().data_ptr() == y.detach().numpy().__array_interface__["data"][0]


def test_a_tensor_of_one_order_reports_the_default_strides(helpers, torch):
    """Where a dimension has one element, dense memory is both row-major and channels-last; the strides must not tell which."""
    shapes = (5, 1, 8, 8), (5, 1, 8, 8), (2, 3, 1, 1), (1, 1, 1, 1), (2, 20, 8, 1), (1, 5, 1, 9), (5, 8, 1, 1)
    for shape, outputs in zip(shapes, (1, 4, 20, 1, 1, 1, 8), strict=True):
        for size in (1, 3):
            both = []
            for lib in (rl, torch):
                x, f = helpers.given(lib, *shape), lib.nn.functional
                y = helpers.conv(lib, x, outputs, size)
                results = [y, lib.relu(y), y + 1, f.max_pool2d(y, 1), f.avg_pool2d(y, 1), f.avg_pool2d(x, 2, padding=1)]
                results += [f.interpolate(y, scale_factor=2), f.adaptive_avg_pool2d(y, 2), f.adaptive_avg_pool2d(x, 2)]
                results += [f.adaptive_max_pool2d(x, 2), lib.cat([y, y], 1), lib.cat([y, y], 0), lib.cat([x, x], 1)]
                results += [f.batch_norm(y, lib.zeros(outputs), lib.ones(outputs)), f.conv_transpose2d(x, lib.ones(shape[1], 1, 2, 2))]
                both.append([(tuple(t.shape), t.stride(), t.is_contiguous(), np.array(t.numpy())) for t in results])
            helpers.assert_alike(*both)


def test_empty_batches(helpers, torch):
    for shape in ((0, 3, 6, 7), (0, 3, 5)):
        both = []
        for lib in (rl, torch):
            x, weight = helpers.given(lib, *shape, grad=True), helpers.given(lib, 20, 3, *(3,) * (len(shape) - 2), grad=True)
            y = lib.relu((lib.nn.functional.conv2d if len(shape) == 4 else lib.nn.functional.conv1d)(x, weight, padding=1))
            y.sum().backward()
            both.append([helpers.seen(t) for t in (y, x.grad, weight.grad)])
        helpers.assert_alike(*both)
