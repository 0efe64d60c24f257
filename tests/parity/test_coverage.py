"""The table holds every function and method that rushlight shares with torch."""

import re

from parity_differences import DIFFERENT
from parity_run import torch
from parity_table import CALLS, EXCLUDED

import rushlight

NAMES = {name.removeprefix("special.").removeprefix("linalg.") for name in CALLS}


# Random results, or only defined up to a sign or an order: compared in tests/ops.
ELSEWHERE = "airy_ai eig householder_product ldl_factor ldl_factor_ex ldl_solve lu_factor_ex".split()


def shared(ours, theirs):
    return [
        name
        for name in dir(ours)
        if not name.startswith("_")
        and callable(getattr(ours, name))
        and not isinstance(getattr(ours, name), type)
        and callable(getattr(theirs, name, None))
    ]


def missing(names, known):
    return [n for n in names if n not in known and n.removesuffix("_") not in known and n not in EXCLUDED]


def test_functions():
    functions = shared(rushlight, torch)
    print(f"{len(functions)} functions, {len(NAMES)} names in the table")
    assert len(functions) - sum(name in EXCLUDED for name in functions) >= 250
    assert missing(functions, CALLS) == []


def test_methods():
    methods = shared(rushlight.Tensor, torch.Tensor)
    print(f"{len(methods)} methods")
    assert len(methods) >= 400
    assert missing(methods, NAMES) == []


def test_special_and_linalg():
    for name in ("special", "linalg"):
        ours, theirs = getattr(rushlight, name), getattr(torch, name)
        known = {call.removeprefix(f"{name}.") for call in CALLS if call.startswith(f"{name}.")}
        lacking = [n for n in missing(shared(ours, theirs), known) if n not in NAMES and "polynomial" not in n]
        assert set(lacking) <= set(ELSEWHERE), name


def test_known_differences_are_about_calls_of_the_table():
    calls = {call for group in CALLS.values() for call in group}
    assert [call for call in DIFFERENT if re.search(r"\W", call) and call not in calls] == []
