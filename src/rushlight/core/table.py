"""The operations that the core needs and may not import: `ops/` fills this table when it is imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from rushlight.base.compiled import mypyc_attr

if TYPE_CHECKING:
    from rushlight.core.tensor import TensorBase


@mypyc_attr(allow_interpreted_subclasses=True)
class Operator:
    """What stands behind a binary operator: `run(tensor, other)` computes it, or returns NotImplemented."""

    __slots__ = ()

    def run(self, a: TensorBase, other: Any) -> Any:
        raise NotImplementedError


class FunctionOperator(Operator):
    """An operator that is a function of the tensor and the other operand."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        self.function = function

    def run(self, a: TensorBase, other: Any) -> Any:
        return self.function(a, other)


class Table:
    """The operations behind the operators and what else core and the engine need; each is set once by ops/ (see `fill`)."""

    add: Operator
    sub: Operator
    rsub: Operator
    mul: Operator
    div: Operator
    rdiv: Operator
    floor_divide: Operator
    rfloor_divide: Operator
    remainder: Operator
    rremainder: Operator
    pow: Operator
    rpow: Operator
    matmul: Operator
    rmatmul: Operator
    eq: Operator
    ne: Operator
    lt: Operator
    le: Operator
    gt: Operator
    ge: Operator
    and_: Operator
    or_: Operator
    xor: Operator
    lshift: Operator
    rshift: Operator
    rlshift: Operator
    rrshift: Operator
    iadd: Operator
    isub: Operator
    imul: Operator
    idiv: Operator
    ifloor_divide: Operator
    iremainder: Operator
    ipow: Operator
    iand: Operator
    ior: Operator
    ixor: Operator
    ilshift: Operator
    irshift: Operator
    neg: Callable[..., Any]
    abs: Callable[..., Any]
    invert: Callable[..., Any]
    conj: Callable[..., Any]
    getitem: Callable[..., Any]
    setitem: Callable[..., Any]
    detach: Callable[..., Any]
    refresh_view: Callable[[Any], None]
    clone_like: Callable[..., Any]
    sum_to: Callable[..., Any]
    check_anomaly: Callable[..., None]
    report_anomaly: Callable[..., None]
    remember_node: Callable[..., None]


T: Final = Table()
OPERATORS: Final = frozenset(
    """add sub rsub mul div rdiv floor_divide rfloor_divide remainder rremainder pow rpow matmul rmatmul eq ne lt le gt ge
    and_ or_ xor lshift rshift rlshift rrshift iadd isub imul idiv ifloor_divide iremainder ipow iand ior ixor ilshift
    irshift""".split()
)
FUNCTIONS: Final = frozenset(
    """neg abs invert conj getitem setitem detach refresh_view clone_like sum_to check_anomaly report_anomaly remember_node""".split()
)


def fill(**entries: Any) -> None:
    """Set entries of the table; called by the modules of ops/ when they are imported. An operator may be a plain function."""
    for name, entry in entries.items():
        if name in OPERATORS:
            setattr(T, name, entry if isinstance(entry, Operator) else FunctionOperator(entry))
        elif name in FUNCTIONS:
            setattr(T, name, entry)
        else:
            raise KeyError(f"the operator table has no entry '{name}'")
