"""The operations that the core needs and may not import: `ops/` fills this table when it is imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final


class Table:
    """The operations behind the operators; each is set once by ops/ (see `fill`)."""

    add: Callable[..., Any]
    sub: Callable[..., Any]
    rsub: Callable[..., Any]
    mul: Callable[..., Any]
    div: Callable[..., Any]
    rdiv: Callable[..., Any]
    floor_divide: Callable[..., Any]
    rfloor_divide: Callable[..., Any]
    remainder: Callable[..., Any]
    rremainder: Callable[..., Any]
    pow: Callable[..., Any]
    rpow: Callable[..., Any]
    matmul: Callable[..., Any]
    rmatmul: Callable[..., Any]
    neg: Callable[..., Any]
    abs: Callable[..., Any]
    eq: Callable[..., Any]
    ne: Callable[..., Any]
    lt: Callable[..., Any]
    le: Callable[..., Any]
    gt: Callable[..., Any]
    ge: Callable[..., Any]
    and_: Callable[..., Any]
    or_: Callable[..., Any]
    xor: Callable[..., Any]
    invert: Callable[..., Any]
    lshift: Callable[..., Any]
    rshift: Callable[..., Any]
    rlshift: Callable[..., Any]
    rrshift: Callable[..., Any]
    getitem: Callable[..., Any]
    setitem: Callable[..., Any]
    iadd: Callable[..., Any]
    isub: Callable[..., Any]
    imul: Callable[..., Any]
    idiv: Callable[..., Any]
    ifloor_divide: Callable[..., Any]
    iremainder: Callable[..., Any]
    ipow: Callable[..., Any]
    iand: Callable[..., Any]
    ior: Callable[..., Any]
    ixor: Callable[..., Any]
    ilshift: Callable[..., Any]
    irshift: Callable[..., Any]
    detach: Callable[..., Any]
    # What core and the engine need of operations.
    refresh_view: Callable[[Any], None]
    clone_like: Callable[..., Any]
    check_anomaly: Callable[..., None]
    report_anomaly: Callable[..., None]
    remember_node: Callable[..., None]


T: Final = Table()


def fill(**functions: Callable[..., Any]) -> None:
    """Set entries of the table; called by the modules of ops/ when they are imported."""
    for name, function in functions.items():
        if name not in Table.__annotations__:
            raise KeyError(f"the operator table has no entry '{name}'")
        setattr(T, name, function)
