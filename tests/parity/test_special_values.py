"""NaN, infinities, signed zeros and very large numbers."""

import numpy as np
import pytest
from parity_run import FLOATS, Names, compiled, difference, make, outcome, report, torch
from parity_table import ELEMENTWISE_BINARY, ELEMENTWISE_UNARY, SPECIAL_CALLS

import rushlight

VALUES = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, 10.0, -10.0, 50.0, 1e-3, 1e20, -1e20, np.nan, np.inf, -np.inf]
# Bessel functions of infinity are their limits here, NaN in torch.
LIMITS = ("i0", "i1", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "modified_bessel_i0", "modified_bessel_i1")
UNARY = [*ELEMENTWISE_UNARY, *[name for name, calls in SPECIAL_CALLS.items() if calls == [f"{name}(x)"]]]


def both(expression, dtype, **arrays):
    def found(library):
        given = {name: make(library, array, dtype) for name, array in arrays.items()}
        return outcome(lambda: eval(compiled(expression), {}, Names(library, given=given)))

    return found(rushlight), found(torch)


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    values = np.array(VALUES)
    short = name.removeprefix("special.")
    for dtype in FLOATS:
        if short in LIMITS:
            largest = 65504.0 if dtype == "float16" else np.inf
            kept = values[np.abs(values) < largest]
        elif short == "signbit":
            kept = values[~np.isnan(values)]  # a NaN has no defined sign
        else:
            kept = values
        report([(dtype, difference(*both(f"{name}(a)", dtype, a=kept)))])


@pytest.mark.parametrize("name", [n for n in ELEMENTWISE_BINARY if not n.startswith("igamma")])
def test_binary(name):
    values = np.array(VALUES)
    if name == "copysign":
        values = values[~np.isnan(values)]
    a, b = (part.reshape(-1) for part in np.meshgrid(values, values))
    for dtype in FLOATS:
        if name != "ldexp" or dtype in ("float64", "float32"):
            report([(dtype, difference(*both(f"{name}(a, b)", dtype, a=a, b=b)))])


@pytest.mark.parametrize("name", """sum mean prod amax amin max min argmax argmin median nanmedian nanmean nansum logsumexp std var norm
cumsum cummax cummin sort topk all any count_nonzero softmax log_softmax logcumsumexp aminmax mode kthvalue""".split())  # fmt: skip
def test_reductions_of_rows_with_nan_and_infinities(name):
    rows = np.array(
        [
            [1.0, np.nan, 2.0, 0.5],
            [np.inf, 1.0, -2.0, 3.0],
            [np.inf, -np.inf, 0.0, 1.0],
            [-np.inf, -np.inf, -np.inf, -np.inf],
            [np.nan] * 4,
        ]
    )
    call = {
        "topk": "topk(a, 2, 1)",
        "kthvalue": "kthvalue(a, 2, 1)",
        "norm": "norm(a, dim=1)",
        "aminmax": "aminmax(a, dim=1)",
    }.get(name, f"{name}(a, 1)")
    if name in ("topk", "kthvalue", "mode"):
        rows = rows[:3]  # rows of equal elements: which one is named is ours
    if name == "nanmedian":
        rows = rows[:4]  # no element to name
    for dtype in FLOATS:
        report([(f"{call} of {dtype}", difference(*both(call, dtype, a=rows)))])
