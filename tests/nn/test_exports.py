"""What `rushlight.nn` exports: every layer of every file, named one file after the other for type checkers."""

from __future__ import annotations

import rushlight.nn as nn
from rushlight.nn import modules


def test_every_layer_is_exported():
    assert "Linear" in modules.__all__
    missing = [name for name in modules.__all__ if getattr(nn, name, None) is not getattr(modules, name)]
    assert not missing, f"import them in nn/__init__.py: {missing}"


def test_no_name_is_defined_twice():
    assert sorted(set(modules.__all__)) == sorted(modules.__all__)
