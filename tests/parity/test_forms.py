"""The other ways to call each function: as a method, in place, with `out=`."""

import re
import warnings

import pytest
from parity_differences import different
from parity_run import Names, compiled, difference, forms, outcome, report, run, torch
from parity_table import CALLS

import rushlight

DTYPES = ("float64", "float16", "int64", "bool", "complex64")
WITH_FORMS = [name for name in CALLS if any(forms(name, call) for call in CALLS[name])]
ONE_CALL = r"\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)"
# torch: a crash of the process (range), sums into another dtype, and no `out` where an argument is a number.
NO_OUT = ("range", "sum", "prod", "cumsum", "cumprod", "where", "histc")


@pytest.mark.parametrize("name", WITH_FORMS)
def test_methods_and_in_place_forms(name):
    report(
        (f"{form} of {dtype}", difference(*run(form, dtype=dtype)))
        for call in CALLS[name]
        for form in forms(name, call).values()
        for dtype in DTYPES
        if not different(call, dtype) and form != "iv.repeat_interleave()"
    )


def with_out(call, dtype, wanted=None):
    """The call with an empty `out` of the dtypes of torch's result, the first in dtype `wanted`; None without `out=`."""
    result = outcome(lambda: eval(compiled(call), {}, Names(torch, dtype=dtype)))
    parts = result if isinstance(result, tuple) else (result,)
    if not all(isinstance(part, torch.Tensor) for part in parts):
        return None
    dtypes = [repr(part.dtype).removeprefix("torch.") for part in parts]
    if wanted is not None:
        dtypes[0] = wanted
    empty = ", ".join(f"torch.empty(0, dtype=torch.{d})" for d in dtypes)
    out = f"({empty})" if len(parts) > 1 else empty
    return f"{call[:-1]}{'' if call.endswith('()') else ', '}out={out})"


@pytest.mark.parametrize("name", [n for n in CALLS if n not in NO_OUT])
def test_out(name):
    def cases():
        for call in CALLS[name]:
            if not re.fullmatch(re.escape(name) + ONE_CALL, call):
                continue
            for dtype in ("float64", "int64"):
                written = with_out(call, dtype)
                if written is None or different(call, dtype):
                    continue
                ours, theirs = run(written, dtype=dtype)
                if not isinstance(theirs, Exception):
                    yield (
                        written,
                        difference(
                            tuple(ours) if isinstance(ours, tuple) else ours,
                            tuple(theirs) if isinstance(theirs, tuple) else theirs,
                        ),
                    )

    report(cases())


FLOATING = [n for n in CALLS if n not in NO_OUT and n not in ("arange", "frexp", "eye", "ones", "zeros", "full", "empty", "empty_like")]


@pytest.mark.parametrize("name", FLOATING)
def test_out_of_a_lower_kind_is_refused(name):
    for call in CALLS[name]:
        if not re.fullmatch(re.escape(name) + ONE_CALL, call) or "dtype=torch.int64" in call:
            continue
        result = outcome(lambda call=call: eval(compiled(call), {}, Names(torch)))
        if not isinstance(result, torch.Tensor) or not result.is_floating_point():
            continue
        written = with_out(call, "float64", "int64")
        ours, theirs = run(written)
        if isinstance(theirs, Exception):
            assert isinstance(ours, (RuntimeError, TypeError)), f"{written}: {ours!r}; torch {theirs!r}"


def test_out_takes_the_shape_and_is_returned():
    for library in (rushlight, torch):
        x = library.ones(2, 3)
        out = library.empty(0)
        assert library.add(x, 1, out=out) is out
        assert tuple(out.shape) == (2, 3)
        view = library.zeros(4, 3)
        library.mul(x, 2, out=view[1:3])
        assert view.tolist() == [[0, 0, 0], [2, 2, 2], [2, 2, 2], [0, 0, 0]]
        with pytest.raises(RuntimeError):
            library.add(x.clone().requires_grad_(), 1, out=out)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            library.add(x, 1, out=library.empty(2, 3))
