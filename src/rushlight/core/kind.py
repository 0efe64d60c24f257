"""What `apply` needs to know of an operation's class, gathered once for each class."""

from __future__ import annotations

from typing import Any

from rushlight.core.node import node_class


class Kind:
    """What `apply` reads of an operation's class, gathered in one object; `op.kind` is it."""

    __slots__ = ("promotion", "promote_from", "outputs", "differentiable", "elementwise", "node_class")

    def __init__(self, operation: Any) -> None:
        self.promotion: int = operation.promotion
        self.promote_from: int = operation.promote_from
        self.outputs: int = operation.outputs
        self.differentiable: bool = operation.differentiable
        self.elementwise: bool = operation.elementwise
        self.node_class: Any = node_class(node_name_of(operation))


def node_name_of(operation: Any) -> str:
    """The name of an operation's nodes: what the nearest class that has a `node_name` or a `name` of its own says."""
    for cls in operation.__mro__:
        own = cls.__dict__
        if own.get("node_name"):
            return str(own["node_name"])
        if own.get("name"):
            return "".join([part.capitalize() for part in own["name"].split("_")]) + "Backward0"
    return "Backward0"


class KindOf:
    """Makes the Kind of an operation's class, its Node class included, when it is first used, and gives it its own place.

    Hundreds of classes that most programs never use would be a tenth of the time `import rushlight` takes.
    """

    __slots__ = ("operation",)

    def __init__(self, operation: Any) -> None:
        self.operation = operation

    def __get__(self, op: Any, cls: Any = None) -> Kind:
        made = Kind(self.operation)
        self.operation.kind = made
        return made
