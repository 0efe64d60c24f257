"""What a call records: whether the result requires grad, the printed name of its node, and its first derivative."""

import pytest
from parity_differences import OTHER_NODES, different
from parity_run import Names, compiled, difference, outcome, report, run, torch
from parity_table import CALLS

import rushlight

SKIPPED = ("set_", "histogram", "histogramdd")  # no history here; torch's is an error in backward
NAMES = [name for name in CALLS if name not in SKIPPED]


def outputs(result):
    found = result if isinstance(result, (tuple, list)) else (result,)
    return [t for t in found if isinstance(t, (rushlight.Tensor, torch.Tensor))]


@pytest.mark.parametrize("name", NAMES)
def test_nodes(name):
    for call in CALLS[name]:
        if different(call, "float64") or "dtype=torch.int64" in call:
            continue
        ours, theirs = run(call, requires_grad=True)
        report([(call, difference(ours, theirs))])
        if name not in OTHER_NODES and not isinstance(theirs, Exception):
            names = [[type(t.grad_fn).__name__ for t in outputs(result)] for result in (ours, theirs)]
            assert names[0] == names[1], call


def gradients(call, library, dtype):
    names = Names(library, dtype=dtype, requires_grad=True)
    total = None
    for i, out in enumerate(outputs(eval(compiled(call), {}, names))):
        if out.requires_grad:
            weights = library.arange(1, out.numel() + 1, dtype=library.float64).reshape(out.shape).cos().to(out.dtype) + i
            part = (out * weights).sum()
            part = part.real if out.is_complex() else part
            total = part if total is None else total + part
    if total is None:
        return None
    return tuple(library.autograd.grad(total, names.drawn, allow_unused=True))


@pytest.mark.parametrize("name", NAMES)
def test_gradients(name):
    def cases():
        for call in CALLS[name]:
            for dtype in ("float64", "complex128"):
                if different(call, dtype) or name == "ldexp" or (dtype == "complex128" and "dtype=torch.float64" in call):
                    continue  # torch's derivative of a cumulative product of the real parts is complex
                theirs = outcome(lambda: gradients(call, torch, dtype))  # noqa: B023
                if theirs is None:
                    continue
                ours = outcome(lambda: gradients(call, rushlight, dtype))  # noqa: B023
                if not isinstance(theirs, Exception):  # where torch has no derivative, there may be one here
                    yield f"{call} of {dtype}", difference(ours, theirs, rtol=1e-6)

    report(cases())
