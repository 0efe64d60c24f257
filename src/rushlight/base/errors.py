"""Exceptions of our own. Everywhere else the built-in types that torch raises are raised."""

from __future__ import annotations


class LinAlgError(RuntimeError):
    """A linear-algebra routine met a matrix it cannot treat (singular, not positive definite, no convergence)."""


class DeviceUnavailableError(RuntimeError):
    """A device was asked for that is not there while `RUSHLIGHT_STRICT_DEVICE=1` forbids emulating it."""


class UnsupportedOperationError(RuntimeError):
    """A backend lacks a kernel that an operation needs."""


def argument_error(operation: str, argument: str, got: object, expected: str, cure: str = "") -> str:
    """The one form of our messages: operation, argument, what came, what was expected, the cure."""
    text = f"{operation}(): argument '{argument}' must be {expected}, got {got}"
    return f"{text}. {cure}" if cure else text
