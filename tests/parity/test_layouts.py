"""Inputs that are not contiguous: transposed, every second element, expanded, with an offset; and the results' strides."""

import pytest
from parity_differences import FREE_STRIDES, different
from parity_run import difference, report, run
from parity_table import CALLS, CREATION_CALLS, ELEMENTWISE_CALLS

LAYOUTS = ("transposed", "strided", "expanded", "offset")
# What is not in the module of functions depends on memory by its nature, or takes no tensor.
NAMES = [name for name in CALLS if name not in CREATION_CALLS]


@pytest.mark.parametrize("name", NAMES)
def test_layouts(name):
    report(
        (
            f"{call} {layout}",
            difference(*run(call, layout=layout), strides=name in ELEMENTWISE_CALLS and call not in FREE_STRIDES),
        )
        for call in CALLS[name]
        for layout in LAYOUTS
        if not different(call, layout)
    )
