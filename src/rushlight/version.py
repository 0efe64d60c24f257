"""The versions: rushlight's own, and the PyTorch release whose interface it follows."""

from __future__ import annotations

from rushlight.base.torch_version import TorchVersion

rushlight = "0.1.0"
follows = "2.13.0"
__version__ = TorchVersion(f"{follows}+rushlight.{rushlight}")
cuda: str | None = None
hip: str | None = None
rocm: str | None = None
xpu: str | None = None
git_version = "unknown"
debug = False
