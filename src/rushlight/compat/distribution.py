"""Package metadata for the alias: libraries ask `importlib.metadata.version("torch")` before they use torch."""

from __future__ import annotations

from importlib.metadata import Distribution
from pathlib import Path
from typing import Any


class AliasDistribution(Distribution):
    """The distribution `torch` or `torchvision` as far as a program can ask about it: its name and version."""

    def __init__(self, name: str, version: str) -> None:
        self.fields = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"

    def read_text(self, filename: str) -> str | None:
        return self.fields if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Path:
        return Path(__file__).with_name(str(path))
