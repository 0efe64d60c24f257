"""Imported as `torchvision` by a process whose parent ran under the alias: puts rushlight.vision in its own place."""

import importlib
import sys

del sys.modules[__name__]
importlib.import_module("torch")  # the neighbour of this file, or the alias when it is installed already
importlib.import_module("torchvision")  # the alias answers now, and enters rushlight.vision under this name
