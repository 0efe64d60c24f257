"""The process's random state, as `torch.random`: seeds, saved states, and the public face of `Generator`."""

from __future__ import annotations

from collections.abc import Generator as Iterator
from contextlib import contextmanager
from typing import Any

from rushlight.core.generator import Generator
from rushlight.core.generator import default_generator as _default_generator

__all__ = ["Generator", "fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"]


def manual_seed(seed: Any) -> Generator:
    """Seed the process's generator, for all devices, and return it. From then on the numbers are those of torch with that seed."""
    return _default_generator().manual_seed(int(seed))


def seed() -> int:
    """Seed the process's generator from the system's entropy and return the seed."""
    return _default_generator().seed()


def initial_seed() -> int:
    """The seed that the process's generator was last given."""
    return _default_generator().initial_seed()


def get_rng_state() -> Any:
    """The state of the process's generator, a uint8 tensor."""
    return _default_generator().get_state()


def set_rng_state(new_state: Any) -> None:
    """Restore a state that `get_rng_state` gave."""
    _default_generator().set_state(new_state)


@contextmanager
def fork_rng(
    devices: Any = None,
    enabled: bool = True,
    _caller: str = "fork_rng",
    _devices_kw: str = "devices",
    device_type: str = "cuda",
) -> Iterator[None, None, None]:
    """Random numbers drawn inside the `with` block leave the state outside as it was.

    `devices` is accepted for compatibility: every device draws from the CPU's generator.
    """
    if not enabled:
        yield
        return
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)


def __getattr__(name: str) -> Any:
    if name == "default_generator":
        return _default_generator()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
