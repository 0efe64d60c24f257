"""Compile csrc/ into one extension module for each instruction set. `python tools/build_kernels.py [--isa avx512] [--symbols] [--clean]`

Called by setup.py when the package is built, and by hand while kernels are written: only what changed is compiled again.
The modules go beside src/rushlight/backends/native/__init__.py. Without a compiler that understands C++20 and GCC's vector
extensions nothing is built, and rushlight computes with NumPy.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "csrc"
TARGET = ROOT / "src" / "rushlight" / "backends" / "native"

# Bytes of a vector register and what switches the instructions on; from the one every processor has to the best.
X86 = {
    "baseline": (16, []),
    "avx2": (32, ["-mavx2", "-mfma", "-mf16c", "-mbmi2"]),
    "avx512": (64, ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma", "-mf16c", "-mbmi2", "-mprefer-vector-width=512"]),
}
INSTRUCTION_SETS = (
    X86 if platform.machine().lower() in ("x86_64", "amd64") else {"neon": (16, [])} if platform.machine().lower() in ("aarch64", "arm64")
    else {"baseline": (16, [])}
)  # fmt: skip

# Errno and traps are nobody's business here; rounding, NaN and infinities are kept as IEEE 754 has them.
FLAGS = [
    "-std=c++20", "-DNDEBUG", "-fPIC", "-fwrapv", "-fvisibility=hidden", "-fno-math-errno", "-fno-trapping-math",
    "-ffp-contract=fast", "-Wall", "-Wextra", "-Wno-psabi",
]  # fmt: skip

# What the kernels profit from of GCC's -O3, in 70% of its time: loops over registers say themselves how far they are unrolled.
GCC_OPTIMIZATION = ["-O2", "-fpeel-loops", "-fvect-cost-model=dynamic", "-funswitch-loops"]


class BuildError(Exception):
    """The kernels cannot be built here; the text says why."""


def compiler() -> list[str]:
    """The C++ compiler: $CXX, or the one Python was built with."""
    return shlex.split(os.environ.get("CXX") or sysconfig.get_config_var("CXX") or "c++")


def accepts(flag: str) -> bool:
    """Whether the compiler builds an empty program with `flag`."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "try.cpp"
        source.write_text("int main() { return 0; }\n")
        command = [*compiler(), flag, str(source), "-o", str(Path(folder) / "try")]
        try:
            return subprocess.run(command, capture_output=True).returncode == 0
        except OSError as error:
            raise BuildError(f"no C++ compiler runs here ({shlex.join(compiler())}: {error.strerror})") from None


def is_gcc() -> bool:
    version = subprocess.run([*compiler(), "--version"], capture_output=True, text=True)
    return "Free Software Foundation" in version.stdout


def optimization(isa: str, gcc: bool) -> list[str]:
    if isa == "baseline" and len(INSTRUCTION_SETS) > 1:
        return ["-O1"]  # for processors older than 2013: to compile it well would be a third of the time a build takes
    return GCC_OPTIMIZATION if gcc else ["-O3"]


def include_folders() -> list[str]:
    try:
        import numpy
    except ImportError:
        raise BuildError("NumPy's headers are needed to build the kernels; install numpy first") from None
    return [sysconfig.get_paths()["include"], numpy.get_include()]


def module_path(isa: str, target: Path) -> Path:
    return target / f"_kernels_{isa}{sysconfig.get_config_var('EXT_SUFFIX')}"


def precompiled(command: list[str], objects: Path, headers: float) -> list[str]:
    """Compile csrc/common.h once for all files, with GCC; the flags that make them use it."""
    product = objects / "common.h.gch"
    if not product.exists() or product.stat().st_mtime < headers:
        subprocess.run([*command, "-x", "c++-header", str(SOURCES / "common.h"), "-o", str(product)], capture_output=True)
    return ["-include", str(objects / "common.h"), "-Winvalid-pch"] if product.exists() else []


def compile_one(command: list[str], common: list[str], source: Path, product: Path) -> None:
    if source.stem != "module":  # which imports NumPy's functions for the others, and says so before the headers
        command = [*command, *common]
    done = subprocess.run([*command, "-c", str(source), "-o", str(product)], capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"{source.name} did not compile:\n" + "\n".join(done.stderr.splitlines()[:30]))
    if done.stderr:
        print(done.stderr, file=sys.stderr)


def build(isas: list[str], objects: Path, target: Path, jobs: int | None = None, symbols: bool = False) -> list[Path]:
    """Compile what is older than its source or any header, link, and return the modules. Raises `BuildError`.

    `symbols` keeps the names of functions, an eighth of the modules' size, for those who profile kernels.
    """
    extra = [flag for flag in ("-fopenmp", "-fno-gnu-unique") if accepts(flag)]
    gcc = is_gcc()
    folders = [f"-I{folder}" for folder in include_folders()]
    headers = max(path.stat().st_mtime for path in (*SOURCES.glob("*.h"), Path(__file__)))
    waiting: list[tuple[str, Path, Path]] = []
    commands: dict[str, list[str]] = {}
    links: list[tuple[Path, list[Path]]] = []
    for isa in isas:
        bytes_, switches = INSTRUCTION_SETS[isa]
        defines = [f"-DRUSHLIGHT_VECTOR_BYTES={bytes_}", f"-DRUSHLIGHT_MODULE=_kernels_{isa}"]
        command = [*compiler(), *optimization(isa, gcc), *FLAGS, *extra, *switches, *defines, *folders]
        (objects / isa).mkdir(parents=True, exist_ok=True)
        commands[isa] = command
        products = []
        for source in sorted(SOURCES.glob("*.cpp")):
            product = objects / isa / f"{source.stem}.o"
            products.append(product)
            if not product.exists() or product.stat().st_mtime < max(source.stat().st_mtime, headers):
                waiting.append((isa, source, product))
        links.append((module_path(isa, target), products))
    # The largest first, so that no core waits for one long file at the end.
    waiting.sort(key=lambda job: -job[1].stat().st_size)
    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        changed = sorted({isa for isa, _, _ in waiting})
        made = pool.map(lambda isa: precompiled(commands[isa], objects / isa, headers) if gcc else [], changed)
        common = dict(zip(changed, made, strict=True))
        for _ in pool.map(lambda job: compile_one(commands[job[0]], common[job[0]], job[1], job[2]), waiting):
            pass
    shared = ["-bundle", "-undefined", "dynamic_lookup"] if sys.platform == "darwin" else ["-shared"]
    if not symbols:
        shared.append("-Wl,-x" if sys.platform == "darwin" else "-Wl,-s")
    for module, products in links:
        fresh = module.with_name(module.name + ".new")
        command = [*compiler(), *shared, *map(str, products), *(f for f in extra if f == "-fopenmp"), "-o", str(fresh)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise BuildError(f"{module.name} did not link:\n{done.stderr}")
        fresh.replace(module)  # a process that runs the old one keeps it
    return [module for module, _ in links]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--isa", action="append", choices=list(INSTRUCTION_SETS), help="only these (default: all)")
    parser.add_argument("--symbols", action="store_true", help="keep the names of functions, for a profiler")
    parser.add_argument("--clean", action="store_true", help="remove the modules that were built here")
    options = parser.parse_args()
    if options.clean:
        for isa in INSTRUCTION_SETS:
            module_path(isa, TARGET).unlink(missing_ok=True)
        return
    try:
        for module in build(options.isa or list(INSTRUCTION_SETS), ROOT / "build" / "kernels", TARGET, symbols=options.symbols):
            print(module.relative_to(ROOT))
    except BuildError as error:
        sys.exit(f"the kernels were not built: {error}")


if __name__ == "__main__":
    main()
