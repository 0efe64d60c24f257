"""Walking a tree of modules: parameters, buffers, children, all modules.

The functions are methods of Module (module.py takes them into its body).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def _named_members(
    self: Any,
    get_members_fn: Callable[[Any], Any],
    prefix: str = "",
    recurse: bool = True,
    remove_duplicate: bool = True,
) -> Iterator[tuple[str, Any]]:
    seen = set()
    modules: Any = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
    for path, module in modules:
        for name, member in get_members_fn(module):
            if member is None or member in seen:
                continue
            if remove_duplicate:
                seen.add(member)
            yield (f"{path}.{name}" if path else name), member


def parameters(self: Any, recurse: bool = True) -> Iterator[Any]:
    """All parameters, each once; with `recurse=False` only the module's own."""
    for _, param in self.named_parameters(recurse=recurse):
        yield param


def named_parameters(
    self: Any, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
) -> Iterator[tuple[str, Any]]:
    """All parameters with their dotted names; a shared one under its first name unless `remove_duplicate=False`."""
    yield from self._named_members(lambda m: m._parameters.items(), prefix, recurse, remove_duplicate)


def buffers(self: Any, recurse: bool = True) -> Iterator[Any]:
    """All buffers, each once."""
    for _, buffer in self.named_buffers(recurse=recurse):
        yield buffer


def named_buffers(
    self: Any, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
) -> Iterator[tuple[str, Any]]:
    """All buffers with their dotted names."""
    yield from self._named_members(lambda m: m._buffers.items(), prefix, recurse, remove_duplicate)


def children(self: Any) -> Iterator[Any]:
    """The modules directly below this one, each once."""
    for _, module in self.named_children():
        yield module


def named_children(self: Any) -> Iterator[tuple[str, Any]]:
    """The modules directly below this one with their names."""
    seen = set()
    for name, module in self._modules.items():
        if module is not None and module not in seen:
            seen.add(module)
            yield name, module


def modules(self: Any, remove_duplicate: bool = True) -> Iterator[Any]:
    """This module and all below it, each once unless `remove_duplicate=False`."""
    for _, module in self.named_modules(remove_duplicate=remove_duplicate):
        yield module


def named_modules(
    self: Any, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
) -> Iterator[tuple[str, Any]]:
    """This module (named `prefix`) and all below it with their dotted names."""
    memo = set() if memo is None else memo
    if self in memo:
        return
    if remove_duplicate:
        memo.add(self)
    yield prefix, self
    for name, module in self._modules.items():
        if module is not None:
            yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)
