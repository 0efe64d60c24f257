"""The meta backend: the shapes and dtypes of the reference, no memory, no values."""

import numpy as np
import pytest

import rushlight as rl
from rushlight.backends.meta import MetaKernels
from rushlight.backends.meta_rules import empty
from rushlight.backends.reference import FAMILIES, reference

F32, F64, I64, BOOL, C64 = (np.dtype(t) for t in ("float32", "float64", "int64", "bool", "complex64"))
RNG = np.random.default_rng(0)


def floats(*shape, dtype=F32):
    return np.asarray(RNG.uniform(0.2, 0.8, shape)).astype(dtype)


def ints(*shape, high=3):
    return RNG.integers(0, high, shape)


X, Y, W = floats(2, 3, 4), floats(3, 1), floats(4, 3, 2, 2)
IMAGE = floats(2, 3, 8, 9)
CASES = {
    "add": (X, Y),
    "pow": (X, Y),
    "lt": (X, Y),
    "bitwise_and": (ints(3), ints(2, 3)),
    "where": (X > 0.5, X, Y),
    "clamp": (X, 0.1, None),
    "exp": (X,),
    "relu": (X,),
    "abs": (X.astype(C64),),
    "floor_divide": (ints(3) + 1, ints(3) + 1),
    "masked_fill": (X, X > 0.5, np.float32(1)),
    "sum": (X, (0, 2), True),
    "mean": (X, (1,)),
    "prod": (ints(2, 3), (0,)),
    "amax": (X, (0, 1, 2)),
    "argmax": (X, None),
    "argmin": (X, 1, True),
    "max_dim": (X, 2),
    "all": (X, (0,)),
    "var": (X, (1,), 1, True),
    "std": (X, (0, 1)),
    "norm": (X, 2.0, (1,)),
    "logsumexp": (X, (1,), False),
    "median": (X, 1),
    "kthvalue": (X, 2, 1),
    "mode": (X, 1, True),
    "count_nonzero": (X, (0,)),
    "softmax": (X, 1),
    "log_softmax": (X, 1),
    "cumsum": (ints(2, 3).astype(np.int32), 0),
    "cummax": (X, 1),
    "sort": (X, 1),
    "argsort": (X, 0),
    "topk": (X, 2, 1),
    "flip": (X, (0,)),
    "tril": (X, 1),
    "cat": ([X, X], 1),
    "stack": ([X, X], 1),
    "index_select": (X, 1, ints(5)),
    "gather": (X, 1, ints(2, 2, 4)),
    "take": (X, ints(5)),
    "embedding": (floats(5, 6), ints(2, 3)),
    "repeat": (X, (2, 1, 1, 2)),
    "matmul": (X, floats(4, 5)),
    "mm": (floats(2, 3), floats(3, 4)),
    "bmm": (X, floats(2, 4, 5)),
    "mv": (floats(2, 3), floats(3)),
    "dot": (floats(3), floats(3)),
    "outer": (floats(3), floats(4)),
    "addmm": (floats(2, 4), floats(2, 3), floats(3, 4)),
    "convolution": (IMAGE, W, None, (2, 1), (1, 0), (1, 2), 1),
    "max_pool": (IMAGE, (3, 2), (2, 2), (1, 1), (1, 1), True),
    "avg_pool": (IMAGE, (3, 3), (2, 2), (1, 1), True, True, None),
    "adaptive_avg_pool": (IMAGE, (3, 2)),
    "adaptive_max_pool": (IMAGE, (3, 2)),
    "batch_norm_forward": (IMAGE, floats(3), floats(3), floats(3), floats(3), True, 1e-5),
    "layer_norm_forward": (X, 2, floats(3, 4), None, 1e-5),
    "group_norm_forward": (floats(2, 4, 5), 2, None, None, 1e-5),
    "cast": (X, F64),
    "full": ((2, 3), 1, I64),
    "arange": (0, 5.5, 0.5, F32),
    "linspace": (0, 1, 7, F64),
    "eye": (2, 3, BOOL),
    "inv": (floats(2, 3, 3),),
    "qr": (floats(4, 3),),
    "cholesky": (np.eye(3, dtype=F32),),
    "constant_pad": (X, (1, 2, 0, 1)),
    "view_as_real": (X.astype(C64),),
    "frexp": (X,),
    "isin": (ints(4), ints(2)),
    "polygamma": (1, X),
    "quantile": (X, np.asarray(F32.type(0.5)), 1),
    "upsample": (IMAGE, (4, 5), "nearest", False, (None, None)),
    "roll": (X, (1,), (0,)),
    "native_dropout": (None, X, 0.5),
}


def stripped(value):
    if isinstance(value, np.ndarray):
        return empty(value.shape, value.dtype)
    return type(value)(stripped(v) for v in value) if isinstance(value, list) else value


def described(found):
    return [(part.shape, part.dtype) for part in (found if isinstance(found, tuple) else (found,))]


@pytest.mark.parametrize("name", CASES)
def test_shapes_and_dtypes_are_the_references(name):
    arguments = CASES[name]
    if name == "native_dropout":
        expected = [(X.shape, F32), (X.shape, BOOL)]
    else:
        expected = described(getattr(reference, name)(*arguments))
    found = getattr(MetaKernels(), name)(*[stripped(a) for a in arguments])
    assert described(found) == expected
    for part in found if isinstance(found, tuple) else (found,):
        assert not any(part.strides), "a meta array must not own memory"


def test_every_kernel_has_a_rule():
    table = MetaKernels()
    for family in FAMILIES:
        for name in family.KERNELS:
            assert callable(getattr(table, name))
    with pytest.raises(AttributeError, match="no_such_kernel"):
        _ = table.no_such_kernel


def test_huge_tensors_cost_nothing():
    a = rl.empty(10**6, 10**6, device="meta")
    b = ((a @ a.t()) * 2 + 1).relu().reshape(10**3, 10**9)[::2].to(rl.float64)
    assert b.shape == (500, 10**9) and b.dtype is rl.float64 and b.is_meta and b.stride() == (10**9, 1)
    a.zero_().add_(1).copy_(rl.ones(1))
    assert a._version == 3


def test_values_that_are_not_there_are_errors():
    t = rl.ones(1, device="meta")
    for act, error in [
        (t.item, RuntimeError),
        (t.tolist, NotImplementedError),
        (t.numpy, TypeError),
        (t.cpu, NotImplementedError),
        (lambda: rl.ones(1).copy_(t), NotImplementedError),
        (lambda: bool(t), RuntimeError),
    ]:
        with pytest.raises(error, match="meta"):
            act()


def test_shapes_that_depend_on_values_are_errors():
    with pytest.raises(NotImplementedError, match="depends on values"):
        MetaKernels().nonzero(empty((3,), F32))


def test_gradients_have_shapes():
    x = rl.ones(3, 4, device="meta", requires_grad=True)
    ((x * 2).exp() @ rl.ones(4, 5, device="meta")).backward(rl.ones(3, 5, device="meta"))
    assert x.grad.shape == (3, 4) and x.grad.is_meta
