"""The names of ImageNet's 1000 classes, in the order of the official weights' outputs."""

from __future__ import annotations

from pathlib import Path

_IMAGENET_CATEGORIES = Path(__file__).with_name("imagenet_categories.txt").read_text(encoding="utf-8").splitlines()
