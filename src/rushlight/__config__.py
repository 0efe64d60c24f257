"""torch.__config__: how this rushlight computes."""

from __future__ import annotations

import os
import platform

import ml_dtypes
import numpy as np

from rushlight.backends.native import NativeKernels, module_of, supported
from rushlight.backends.registry import kernels_for
from rushlight.base.device import CPU
from rushlight.base.env import setting
from rushlight.settings import get_num_interop_threads, get_num_threads
from rushlight.version import __version__


def show() -> str:
    """The versions and settings that results depend on, one a line."""
    return "\n".join((
        f"rushlight {__version__} built with:",
        f"  - Python {platform.python_version()} on {platform.system()} {platform.machine()}",
        f"  - NumPy {np.__version__}",
        f"  - ml_dtypes {ml_dtypes.__version__}",
        f"  - CPU kernels: {kernels_in_use()}",
        "  - accelerators: none, emulated in host memory",
        "",
    ))


def kernels_in_use() -> str:
    """Which kernels compute on the CPU: the instruction set of the native ones, or NumPy and why."""
    table = kernels_for(CPU)
    if isinstance(table, NativeKernels):
        built = [name for name in supported() if module_of(name) is not None]
        return f"native, {table._instruction_set} (built and runnable here: {', '.join(built)}), NumPy for the rest"
    wanted = setting("RUSHLIGHT_KERNELS")
    return "NumPy (RUSHLIGHT_KERNELS=reference)" if wanted == "reference" else "NumPy (no native kernels were built)"


def parallel_info() -> str:
    """How many threads kernels may use, and what limits them."""
    variables = "".join(f"\t{name} : {os.environ.get(name, '[not set]')}\n" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"))
    return (
        f"threads in kernels: {get_num_threads()}\nthreads between operations: {get_num_interop_threads()}\n"
        f"processors: {os.cpu_count()}\nEnvironment variables:\n{variables}"
    )
