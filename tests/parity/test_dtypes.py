"""Every call of the table over all twelve dtypes: result dtype, values, kind of exception."""

import pytest
from parity_differences import different
from parity_run import DTYPES, difference, report, run
from parity_table import CALLS


@pytest.mark.parametrize("name", CALLS)
def test_dtypes(name):
    report(
        (f"{call} of {dtype}", difference(*run(call, dtype=dtype)))
        for call in CALLS[name]
        for dtype in DTYPES
        if not different(call, dtype)
    )


def test_the_default_dtype_is_float64():
    import torch

    import rushlight

    calls = """tensor([1.5, 2]); zeros(2); arange(3) / 2; tensor(3) / 2; sqrt(arange(3)); arange(0.0, 2.0); linspace(0, 1, 3);
    tensor([1, 2]) * 0.5; tensor([1j]); arange(3).sin(); full((2,), 0.5); tensor([1, 2]).mean(dtype=None); result_type(arange(2), 1.5);
    tensor([True]) + 1.5; ones(2).bool() * 1j; eye(2); tensor([1, 2]).true_divide(2); where(tensor([True]), 1.0, 2);
    atan2(arange(3), arange(3))"""
    try:
        rushlight.set_default_dtype(rushlight.float64)
        torch.set_default_dtype(torch.float64)
        report((call, difference(*run(call.strip()))) for call in calls.split(";"))
    finally:
        rushlight.set_default_dtype(rushlight.float32)
        torch.set_default_dtype(torch.float32)
