"""Exceptions of our own. Everywhere else the built-in types that torch raises are raised."""

from __future__ import annotations


class LinAlgError(RuntimeError):
    """A linear-algebra routine met a matrix it cannot treat (singular, not positive definite, no convergence)."""


class DeviceUnavailableError(RuntimeError):
    """A device was asked for that is not there while `RUSHLIGHT_STRICT_DEVICE=1` forbids emulating it."""


class UnsupportedOperationError(RuntimeError):
    """A backend lacks a kernel that an operation needs."""
