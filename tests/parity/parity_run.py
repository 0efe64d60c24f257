"""Draws the same tensors in rushlight and torch, evaluates an expression in both, and compares what happened."""

from __future__ import annotations

import re
import warnings
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

import rushlight

torch = pytest.importorskip("torch", reason="parity tests need torch")

FLOATS = ("float64", "float32", "float16", "bfloat16")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8")
COMPLEX = ("complex64", "complex128")
DTYPES = (*FLOATS, *INTEGERS, "bool", *COMPLEX)
SHAPES = {
    "x": (3, 4), "y": (3, 4), "z": (3, 4), "r": (4,), "c": (3, 1), "s": (), "v": (6,), "u": (6,), "q": (4, 4), "p": (4, 4),
    "b": (2, 3, 4), "d": (2, 4, 5), "f": (2, 4, 6, 6), "g": (2, 4, 9), "pos": (3, 4), "unit": (3, 4),
    "i": (3, 4), "iv": (3,), "counts": (6,), "m": (3, 4), "mv": (4,),
}  # fmt: skip
_ALIKE = ("x", "y", "z", "pos", "unit", "i", "m")
UNUSUAL_SHAPES = {
    "zero-dim": dict.fromkeys(SHAPES, ()),
    "no rows": {
        **dict.fromkeys(_ALIKE, (0, 4)), "c": (0, 1), "v": (0,), "u": (0,), "q": (0, 0), "p": (0, 0), "b": (0, 3, 4),
        "d": (0, 4, 5), "f": (0, 4, 6, 6), "g": (0, 4, 9), "iv": (0,), "counts": (0,),
    },
    "no columns": {
        **dict.fromkeys(_ALIKE, (3, 0)), "r": (0,), "v": (0,), "u": (0,), "q": (0, 0), "p": (0, 0), "b": (2, 3, 0),
        "d": (2, 0, 5), "f": (2, 4, 0, 6), "g": (2, 4, 0), "mv": (0,),
    },
    "one element": {name: (1,) * len(shape) for name, shape in SHAPES.items()},
}  # fmt: skip
FIXED_DTYPE = {"i": "int64", "iv": "int64", "counts": "int64", "m": "bool", "mv": "bool"}
BUILTINS = {"float": float, "int": int, "type": type, "bytearray": bytearray, "slice": slice}
# Differences of one rounding in the last place are allowed for half types; elsewhere those of different summation orders.
RTOL = {"float64": 1e-9, "float32": 3e-5, "float16": 2e-3, "bfloat16": 1.6e-2, "complex64": 3e-5, "complex128": 1e-9}
ATOL = {"float64": 1e-9, "float32": 1e-5, "float16": 1e-3, "bfloat16": 8e-3, "complex64": 1e-5, "complex128": 1e-9}


def numbers(name: str, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """The values of variable `name`: the same in each run."""
    rng = np.random.default_rng(zlib.crc32(f"{name} {dtype} {shape}".encode()))
    if name in ("i", "iv", "counts"):
        return rng.integers(0, 3, shape)
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype in INTEGERS:
        low = 1 if name in ("pos", "y") or dtype == "uint8" and name not in ("x", "b") else 0 if dtype == "uint8" else -5
        found = rng.integers(low, 6, shape)
    else:
        found = rng.uniform(*{"pos": (0.2, 3.0), "unit": (0.05, 0.95)}.get(name, (-3.0, 3.0)), shape)
        if dtype in COMPLEX:
            found = found + 1j * rng.uniform(-2.0, 2.0, shape)
    if name == "q" and len(shape) == 2 and shape[0] == shape[1]:
        found = found + 8 * np.eye(shape[0], dtype=found.dtype) if dtype != "uint8" else found
    return found


def make(library: Any, array: np.ndarray, dtype: str, layout: str = "contiguous") -> Any:
    """A tensor with these values. layout: contiguous, transposed, strided, expanded or offset."""
    if layout == "transposed" and array.ndim > 1:
        return make(library, np.ascontiguousarray(array.transpose()), dtype).permute(tuple(range(array.ndim))[::-1])
    if layout == "strided" and array.ndim:
        return make(library, np.repeat(array, 2, -1), dtype)[..., ::2]
    if layout == "expanded" and array.ndim and array.shape[0]:
        return make(library, np.ascontiguousarray(array[:1]), dtype).expand(array.shape)
    if layout == "offset" and array.ndim:
        return make(library, np.concatenate((array, array)), dtype)[array.shape[0] :]
    if dtype == "bfloat16" or dtype == "float16":
        return library.tensor(array.astype(np.float32)).to(getattr(library, dtype))
    return library.tensor(array.astype(dtype))


class Names(dict):
    """The names an expression sees: variables, drawn when first used, and the functions of the library."""

    def __init__(
        self,
        library: Any,
        dtype: str = "float64",
        layout: str = "contiguous",
        shapes: dict[str, tuple[int, ...]] | None = None,
        requires_grad: bool = False,
        given: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(BUILTINS, torch=library, **(given or {}))
        self.library, self.dtype, self.layout, self.requires_grad = library, dtype, layout, requires_grad
        self.shapes = {**SHAPES, **(shapes or {})}
        self.drawn: list[Any] = []

    def __missing__(self, name: str) -> Any:
        if name not in self.shapes:
            return getattr(self.library, name)
        dtype = FIXED_DTYPE.get(name, self.dtype)
        found = make(self.library, numbers(name, dtype, self.shapes[name]), dtype, self.layout)
        if self.requires_grad and dtype in (*FLOATS, *COMPLEX):
            found.requires_grad_()
            self.drawn.append(found)
        self[name] = found
        return found


def compiled(expression: str, _cache: dict[str, Any] = {}) -> Any:  # noqa: B006
    code = _cache.get(expression)
    if code is None:
        code = _cache[expression] = compile(expression, expression, "eval")
    return code


def outcome(call: Callable[[], Any]) -> Any:
    """The result of a call, or the exception it raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", RuntimeWarning)  # floating-point events never warn
        try:
            return call()
        except Exception as error:
            return error


def run(expression: str, **settings: Any) -> tuple[Any, Any]:
    """What the expression gives in rushlight and in torch."""
    code = compiled(expression)
    ours, theirs = Names(rushlight, **settings), Names(torch, **settings)
    return outcome(lambda: eval(code, {}, ours)), outcome(lambda: eval(code, {}, theirs))


def difference(ours: Any, theirs: Any, strides: bool = False, rtol: float | None = None) -> str | None:
    """What distinguishes two outcomes, or None."""
    if isinstance(theirs, Exception) or isinstance(ours, Exception):
        if isinstance(theirs, Exception) and isinstance(ours, type(theirs)):
            return None
        if isinstance(theirs, torch.linalg.LinAlgError) and isinstance(ours, rushlight.linalg.LinAlgError):
            return None
        if isinstance(theirs, torch.linalg.LinAlgError) and isinstance(ours, rushlight.linalg.LinAlgError):
            return None
        if isinstance(theirs, torch.linalg.LinAlgError) and isinstance(ours, rushlight.linalg.LinAlgError):
            return None
        if isinstance(theirs, torch.linalg.LinAlgError) and isinstance(ours, rushlight.linalg.LinAlgError):
            return None
        return f"rushlight {describe(ours)}; torch {describe(theirs)}"
    if isinstance(theirs, torch.Tensor):
        return _tensor_difference(ours, theirs, strides, rtol)
    if isinstance(theirs, (tuple, list)):
        if not isinstance(ours, (tuple, list)) or len(ours) != len(theirs):
            return f"rushlight {describe(ours)}; torch {describe(theirs)}"
        if type(ours).__name__ != type(theirs).__name__:
            return f"a {type(ours).__name__}; torch a {type(theirs).__name__}"
        pairs = zip(ours, theirs, strict=True)
        return next((found for a, b in pairs if (found := difference(a, b, strides, rtol))), None)
    if isinstance(theirs, torch.dtype):
        return None if repr(ours) == repr(theirs) else f"{ours!r}; torch {theirs!r}"
    if isinstance(theirs, (float, complex)):
        same = type(ours) is type(theirs) and np.allclose(ours, theirs, rtol=2e-2, equal_nan=True)
    else:
        same = type(ours) is type(theirs) and ours == theirs
    return None if same else f"rushlight {describe(ours)}; torch {describe(theirs)}"


def describe(value: Any) -> str:
    if isinstance(value, Exception):
        return f"raises {type(value).__name__}: {str(value)[:100]}"
    shown = " ".join(repr(value).split())
    return f"gives {shown[:100]}" + (f" ({value.dtype})" if hasattr(value, "dtype") else "")


def _tensor_difference(ours: Any, theirs: torch.Tensor, strides: bool, rtol: float | None) -> str | None:
    if not isinstance(ours, rushlight.Tensor):
        return f"rushlight {describe(ours)}; torch {describe(theirs)}"
    if tuple(ours.shape) != tuple(theirs.shape):
        return f"shape {tuple(ours.shape)}; torch {tuple(theirs.shape)}"
    if repr(ours.dtype) != repr(theirs.dtype):
        return f"dtype {ours.dtype}; torch {theirs.dtype}"
    if ours.requires_grad != theirs.requires_grad:
        return f"requires_grad {ours.requires_grad}; torch {theirs.requires_grad}"
    if ours._array is not None and not isinstance(ours._array, np.ndarray):
        return f"its storage holds a {type(ours._array).__name__}"
    if strides and theirs.numel() > 1 and ours.stride() != theirs.stride():
        return f"stride {ours.stride()}; torch {theirs.stride()}"
    a, b = as_numpy(ours), as_numpy(theirs.resolve_conj().resolve_neg())
    name = repr(theirs.dtype).removeprefix("torch.")
    if a.dtype.kind in "fc":
        with np.errstate(all="ignore"):
            same = np.allclose(a, b, rtol=RTOL[name] if rtol is None else rtol, atol=ATOL[name], equal_nan=True)
    else:
        same = np.array_equal(a, b)
    return None if same else f"values {' '.join(str(a).split())[:300]}; torch {' '.join(str(b).split())[:300]}"


def as_numpy(tensor: Any) -> np.ndarray:
    plain = tensor.detach().clone()  # torch's gradients may be tensors of zeros without memory
    return plain.float().numpy() if repr(plain.dtype) == "torch.bfloat16" else plain.numpy()


def report(found: Iterable[tuple[str, str | None]]) -> None:
    """Fail with all differences at once."""
    lines = [f"{what}: {text}" for what, text in found if text]
    assert not lines, f"{len(lines)} differences from torch:\n" + "\n".join(lines[:25])


def forms(name: str, expression: str) -> dict[str, str]:
    """The method, in-place and `out=` forms of `name(tensor, ...)`, where torch has them."""
    found: dict[str, str] = {}
    matched = re.fullmatch(rf"{name}\((\w+)(?:, (.*))?\)", expression)
    if matched is None or matched[1] not in SHAPES:
        return found
    target, rest = matched[1], matched[2] or ""
    if hasattr(torch.Tensor, name):
        found["method"] = f"{target}.{name}({rest})"
    if hasattr(torch.Tensor, f"{name}_") and not name.endswith("_"):
        found["in place"] = f"({target}.{name}_({rest}), {target})"
    return found
