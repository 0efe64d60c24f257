"""Files: `load` and `save` in torch's formats without running code, and the safetensors format."""

from rushlight.serialization.globals import (
    Placeholder,
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
    register_global,
    safe_globals,
)
from rushlight.serialization.load import get_unsafe_globals_in_checkpoint, load
from rushlight.serialization.rebuild import define_parameter_class
from rushlight.serialization.safetensors import load_safetensors, safetensors_metadata, save_safetensors
from rushlight.serialization.save import save

__all__ = [
    "Placeholder",
    "add_safe_globals",
    "clear_safe_globals",
    "define_parameter_class",
    "get_safe_globals",
    "get_unsafe_globals_in_checkpoint",
    "load",
    "load_safetensors",
    "register_global",
    "safe_globals",
    "safetensors_metadata",
    "save",
    "save_safetensors",
]
