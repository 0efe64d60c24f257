"""The version: the torchvision release whose interface is followed, and rushlight's own."""

from __future__ import annotations

from rushlight.version import rushlight

follows = "0.28.0"
__version__ = f"{follows}+rushlight.{rushlight}"
