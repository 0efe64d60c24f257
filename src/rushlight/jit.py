"""torch.jit's decorators, accepted: programs run as plain Python. Saved TorchScript programs can't be read or written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

__all__ = [
    "Attribute", "CompilationUnit", "Error", "Final", "ScriptFunction", "ScriptModule", "TracedModule", "annotate",
    "enable_onednn_fusion", "export", "fork", "freeze", "ignore", "interface", "is_scripting", "is_tracing", "isinstance", "load",
    "onednn_fusion_enabled", "optimize_for_inference", "optimized_execution", "run_frozen_optimizations", "save", "script",
    "script_if_tracing", "script_method", "set_fusion_strategy", "trace", "trace_module", "unused", "wait",
]  # fmt: skip

Final = Any
Error = RuntimeError
_isinstance = isinstance


class ScriptModule:
    """Exists so that `isinstance(m, torch.jit.ScriptModule)` is False."""


class TracedModule(ScriptModule):
    """The same for traced modules."""


class ScriptFunction:
    """The same for functions."""


class CompilationUnit:
    """TorchScript source can't be compiled: making one is an error."""

    def __init__(self, lang: str | None = None, _frames_up: int = 0) -> None:
        raise NotImplementedError("torch.jit.CompilationUnit: rushlight does not compile TorchScript; write the function in Python")


def script(obj: Any, optimize: Any = None, _frames_up: int = 0, _rcb: Any = None, example_inputs: Any = None) -> Any:
    """Return `obj` as it is."""
    return obj


def trace(func: Any, example_inputs: Any = None, *args: Any, **kwargs: Any) -> Any:
    """Return `func` as it is: Python control flow in it keeps working."""
    return func


def trace_module(mod: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
    """Return the module as it is."""
    return mod


def freeze(mod: Any, preserved_attrs: Any = None, optimize_numerics: bool = True) -> Any:
    """Return the module as it is."""
    return mod


def optimize_for_inference(mod: Any, other_methods: Any = None) -> Any:
    """Return the module as it is."""
    return mod


def run_frozen_optimizations(mod: Any, optimize_numerics: bool = True, preserved_methods: Any = None) -> None:
    """Accepted; does nothing."""


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """Return the function as it is, with or without arguments."""
    return drop if callable(drop) else (lambda fn: fn)


def unused(fn: Any) -> Any:
    """Return the function as it is."""
    return fn


export = interface = script_method = script_if_tracing = unused


def is_scripting() -> bool:
    """Never: programs run as plain Python."""
    return False


is_tracing = is_scripting


def annotate(the_type: Any, the_value: Any) -> Any:
    """Return the value."""
    return the_value


def Attribute(value: Any, type: Any) -> Any:
    """Return the value."""
    return value


def isinstance(obj: Any, target_type: Any) -> bool:
    """Python's own `isinstance`."""
    return _isinstance(obj, target_type)


def fork(func: Any, *args: Any, **kwargs: Any) -> Any:
    """Run the function now; `wait` returns its result."""
    return func(*args, **kwargs)


def wait(future: Any) -> Any:
    """The result of `fork`."""
    return future


def set_fusion_strategy(strategy: Any) -> Any:
    """Accepted; does nothing."""
    return strategy


def enable_onednn_fusion(enabled: bool) -> None:
    """Accepted; does nothing."""


def onednn_fusion_enabled() -> bool:
    """False."""
    return False


@contextlib.contextmanager
def optimized_execution(should_optimize: bool) -> Iterator[None]:
    """Accepted; does nothing."""
    yield


def save(m: Any, f: Any, _extra_files: Any = None) -> None:
    """Raise `NotImplementedError`: there is no TorchScript program to save."""
    raise NotImplementedError(
        "torch.jit.save: rushlight runs programs as plain Python and writes no TorchScript. Save the weights with "
        "torch.save(model.state_dict(), path), or the module with torch.save(model, path)"
    )


def load(f: Any, map_location: Any = None, _extra_files: Any = None, _restore_shapes: bool = False) -> Any:
    """Raise `NotImplementedError`: a TorchScript program can't be run."""
    raise NotImplementedError(
        f"torch.jit.load({f!r}): rushlight can't run TorchScript. With an installed torch, save the weights with "
        "torch.save(torch.jit.load(path).state_dict(), 'weights.pt') and load them into the Python module"
    )
