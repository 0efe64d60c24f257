"""Every operation either has a derivative rule or says that it has none: there are no silent gaps."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import rushlight.ops
from rushlight.core.primitive import Primitive


def operations(base=Primitive):
    """All classes of operations of the package, the abstract bases left out."""
    for cls in base.__subclasses__():
        if cls.__module__.startswith("rushlight.") and cls.name:
            yield cls
        yield from operations(cls)


def without_rule(classes):
    """The names of the differentiable ones that only inherit the vjp which raises."""
    return sorted({cls.__qualname__ for cls in classes if cls.differentiable and cls.vjp is Primitive.vjp})


def test_every_operation_has_a_rule_or_says_that_it_has_none():
    for module in pkgutil.iter_modules(rushlight.ops.__path__):
        import_module(f"rushlight.ops.{module.name}")
    found = list(operations())
    assert len(found) > 300
    assert without_rule(found) == []


def test_a_missing_rule_is_found():
    class Forgotten(Primitive):
        __slots__ = ()
        name = "forgotten"

    assert without_rule([Forgotten]) == ["test_a_missing_rule_is_found.<locals>.Forgotten"]
