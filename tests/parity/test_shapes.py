"""Zero-dim, empty and one-element inputs: the same shapes, values and exceptions, and storage that holds an array."""

import pytest
from parity_differences import different
from parity_run import UNUSUAL_SHAPES, difference, report, run
from parity_table import CALLS


@pytest.mark.parametrize("name", CALLS)
def test_unusual_shapes(name):
    report(
        (f"{call} {kind}", difference(*run(call, shapes=shapes)))
        for call in CALLS[name]
        for kind, shapes in UNUSUAL_SHAPES.items()
        if not different(call, kind)
    )


@pytest.mark.parametrize("name", ["sum", "prod", "amax", "mean", "all", "any", "std", "var", "logsumexp", "max", "min", "argmax", "median",
                                  "nansum", "count_nonzero", "cumsum", "norm", "softmax", "sort", "topk"])  # fmt: skip
def test_reductions_over_an_empty_dimension(name):
    rest = {"topk": "0, {d}", "sort": "{d}"}.get(name, "{d}")
    calls = [f"{name}(x)"] if name not in ("logsumexp", "cumsum", "softmax", "topk") else []
    calls += [f"{name}(x, dim={d})" if name == "norm" else f"{name}(x, {rest.format(d=d)})" for d in (0, 1)]
    report(
        (f"{call} of {dtype} {shape}", difference(*run(call, shapes={"x": shape}, dtype=dtype)))
        for call in calls
        for shape in ((0, 4), (3, 0))
        for dtype in ("float64", "float32")
    )
