"""Binary functions and operators: every pair of dtypes, zero-dim tensors and Python numbers as weak operands, in place."""

import itertools

import pytest
from parity_run import DTYPES, RTOL, Names, compiled, difference, make, numbers, outcome, report, torch
from parity_table import ELEMENTWISE_BINARY, OPERATORS

import rushlight

SHAPES = {"": ((3, 4), (3, 4)), " and zero-dim": ((3, 4), ()), " beside zero-dim": ((), (3, 4)), " both zero-dim": ((), ())}
NUMBERS = ("True", "2", "-1", "300", "2.5", "1j", "0", "0.0", 'float("inf")')
PAIRS = list(itertools.product(DTYPES, repeat=2))
# With zero-dim tensors all pairs for one function of each promotion rule, a sample of 24 for the others.
ALL_PAIRS = ("add", "div", "pow", "eq", "maximum", "bitwise_and", "atan2", "logical_or")
SAMPLE = PAIRS[::6]


def evaluate(expression, first, second, shapes=((3, 4), (3, 4))):
    def found(library):
        given = {"a": make(library, numbers("x", first, shapes[0]), first), "b": make(library, numbers("y", second, shapes[1]), second)}
        return outcome(lambda: eval(compiled(expression), {}, Names(library, given=given)))

    return found(rushlight), found(torch)


def complex_half(first, second, ours, theirs):
    """torch makes complex32 of float16 and a complex number, and often has no kernel for it; here it is complex64."""
    met = "float16" in (first, second) and ({first, second} & {"complex64", "complex128"} or "1j" in (first, second))
    return met and not isinstance(ours, Exception)


def checked(name, first, second, outcomes):
    ours, theirs = outcomes
    if complex_half(first, second, ours, theirs):
        return None
    # One more rounding of the divisor or of 2**other in torch moves a result by one step.
    loose = name == "ldexp" or (name == "floor_divide" and {first, second} & {"float16", "bfloat16"})
    if loose and isinstance(theirs, torch.Tensor) and (theirs.is_floating_point() or theirs.is_complex()):
        return None if ours.dtype.__repr__() == repr(theirs.dtype) else f"dtype {ours.dtype}; torch {theirs.dtype}"
    if name == "ldexp" and isinstance(theirs, NotImplementedError):
        return None  # torch has no 2**bool, and no complex32
    return difference(ours, theirs, rtol=RTOL["bfloat16"] if "bfloat16" in (first, second) else None)


@pytest.mark.parametrize("name", ELEMENTWISE_BINARY)
def test_pairs_of_dtypes(name):
    report(
        (f"{first}, {second}{label}", checked(name, first, second, evaluate(f"{name}(a, b)", first, second, shapes)))
        for label, shapes in SHAPES.items()
        for first, second in (PAIRS if not label or name in ALL_PAIRS else SAMPLE)
    )


@pytest.mark.parametrize("name", [n for n in ELEMENTWISE_BINARY if hasattr(torch.Tensor, f"{n}_")])
def test_in_place(name):
    report(
        (f"{first}.{name}_({second})", checked(name, first, second, evaluate(f"(a.{name}_(b), a)", first, second)))
        for first, second in PAIRS
        if name != "ldexp" or {first, second} <= {"int8", "int16", "int32", "int64", "uint8"}
    )


@pytest.mark.parametrize("name", ELEMENTWISE_BINARY)
def test_python_numbers(name):
    def cases():
        for dtype, number in itertools.product(DTYPES, NUMBERS):
            for call in (f"{name}(a, {number})", f"{name}({number}, a)"):
                if number.startswith("float") and dtype.startswith("complex"):
                    continue  # inf * (1 + 0j) makes NaN of torch's imaginary part
                ours, theirs = evaluate(call, dtype, "int64")
                yield f"{call} of {dtype}", None if complex_half(dtype, number, ours, theirs) else difference(ours, theirs)

    report(cases())


@pytest.mark.parametrize("operator", OPERATORS)
def test_operators(operator):
    def cases():
        for dtype, number in itertools.product(DTYPES, NUMBERS[:7]):
            for call in (f"a {operator} {number}", f"{number} {operator} a"):
                ours, theirs = evaluate(call, dtype, "int64")
                yield f"{call} of {dtype}", None if complex_half(dtype, number, ours, theirs) else difference(ours, theirs)
        for first, second in PAIRS:
            yield f"{first} {operator} {second}", checked(operator, first, second, evaluate(f"a {operator} b", first, second))

    report(cases())


@pytest.mark.parametrize("operator", [o for o in OPERATORS if o[0] not in "=!" and o not in ("<", "<=", ">", ">=")])
def test_augmented_assignment(operator):
    names = {"+": "iadd", "-": "isub", "*": "imul", "/": "itruediv", "//": "ifloordiv", "%": "imod", "**": "ipow", "&": "iand",
             "|": "ior", "^": "ixor", "<<": "ilshift", ">>": "irshift"}  # fmt: skip
    call = f"(a.__{names[operator]}__(b), a)"
    report((f"{first} {operator}= {second}", checked(operator, first, second, evaluate(call, first, second))) for first, second in PAIRS)


@pytest.mark.parametrize("name", "div floor_divide fmod remainder true_divide".split())
def test_division_by_zero(name):
    for mode in ("", ', rounding_mode="floor"', ', rounding_mode="trunc"') if name == "div" else ("",):
        report(
            (f"{name} of {dtype}{mode}", difference(*evaluate(f"{name}(a, b * 0{mode})", dtype, dtype))) for dtype in DTYPES
        )


@pytest.mark.parametrize("name", "add mul sub neg abs pow square prod sum cumsum cumprod bitwise_left_shift".split())
def test_integers_wrap_around(name):
    import numpy as np

    def cases():
        for dtype in ("int8", "int16", "int32", "int64", "uint8"):
            info = np.iinfo(dtype)
            values = np.array([info.max, info.min, info.max - 1, 3], dtype)
            for rest in (", 3", ", a", "") if name in ("add", "mul", "sub", "pow") else (", 0",) if name.startswith("cum") else ("",):
                if rest == "" and name in ("add", "mul", "sub", "pow"):
                    continue
                if name == "pow" and rest == ", a":
                    continue
                if name == "bitwise_left_shift":
                    rest = ", 2"
                code = compiled(f"{name}(a{rest})")
                found = [
                    outcome(lambda lib=lib: eval(code, {}, Names(lib, given={"a": make(lib, values, dtype)})))  # noqa: B023
                    for lib in (rushlight, torch)
                ]
                yield f"{name}(a{rest}) of {dtype}", difference(*found)

    report(cases())
