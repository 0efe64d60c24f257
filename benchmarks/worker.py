"""Times cases with one library: a process that reads requests from stdin and answers on stdout, a JSON object a line.

    python -m benchmarks.worker rushlight|torch|jax THREADS

It first says {"ready": version, "config": text}. A request is {"case": name, "variant": name or "", "seconds": s}, or
{"case": name, "accuracy": true}; the answer holds the figures, or {"missing": why} where the library lacks a feature,
or {"failed": why}. Between requests the process is blocked in a read and takes no processor time.
"""

from __future__ import annotations

import gc
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from typing import Any, TextIO

import numpy as np

from benchmarks.case import Case, Make, Step

BLOCK_SECONDS = 2e-3  # steps are timed in blocks of at least this, so that the clock's own cost does not show
LEAST_BLOCKS = 3
LONG_STEP_SECONDS = 0.5  # a step that takes this long is warm after one call


def timed(step: Step, seconds: float) -> dict[str, Any]:
    """Median and best seconds of a step, over blocks that fill the given time."""
    clock = time.perf_counter
    start = clock()
    step()
    if clock() - start < LONG_STEP_SECONDS:
        start = clock()
        step()
    repeats = max(1, round(BLOCK_SECONDS / max(clock() - start, 1e-7)))
    times: list[float] = []
    end = clock() + seconds
    while len(times) < LEAST_BLOCKS or clock() < end:
        start = clock()
        for _ in range(repeats):
            step()
        times.append((clock() - start) / repeats)
    return {"seconds": statistics.median(times), "best": min(times), "samples": len(times)}


def relative_error(found: Sequence[Any], exact: Sequence[Any]) -> float:
    """Root mean square of all differences over that of all exact elements, in float64."""
    errors, sizes = 0.0, 0.0
    for pair in zip(found, exact, strict=True):
        a, b = (np.asarray(tensor.detach().numpy(), np.float64) for tensor in pair)
        errors, sizes = errors + float(np.sum((a - b) ** 2)), sizes + float(np.sum(b * b))
    return float(np.sqrt(errors / sizes)) if sizes else float(np.sqrt(errors))


def root_mean_square(numbers: Sequence[float]) -> float:
    return math.sqrt(statistics.fmean(number * number for number in numbers))


def accuracy(torch: Any, case: Case) -> dict[str, Any]:
    """Errors of the float32 output and gradients against the same library's float64, root mean squares over draws."""
    assert case.values is not None
    outputs, gradients = [], []
    for seed in range(case.draws):
        single, double = (case.values(torch, dtype, seed) for dtype in (torch.float32, torch.float64))
        outputs.append(relative_error(single[:1], double[:1]))
        gradients.append(relative_error(single[1:], double[1:]))
    has_gradients = len(single) > 1
    return {"output": root_mean_square(outputs), "gradients": root_mean_square(gradients) if has_gradients else None}


class Torch:
    """The cases for torch or rushlight."""

    def __init__(self, library: str, threads: int) -> None:
        self.torch = import_module(library)
        self.torch.set_num_threads(threads)
        self.version = self.torch.__version__
        self.config = self.torch.__config__.show() if library == "rushlight" else ""

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        from benchmarks.cases import CASES

        case = CASES[request["case"]]
        if request.get("accuracy"):
            if case.values is None:
                return {"missing": "float32 and float64 results are not comparable"}
            return accuracy(self.torch, case)
        make: Make = case.variants[request["variant"]] if request["variant"] else case.make
        result = timed(make(self.torch), request["seconds"])
        return {**result, "seconds": result["seconds"] / case.repeats, "best": result["best"] / case.repeats}


class Jax:
    """The few cases that have a counterpart in JAX."""

    def __init__(self, threads: int) -> None:
        from benchmarks.cases import jax_counterparts

        self.cases, self.version, self.config = jax_counterparts.CASES, import_module("jax").__version__, ""

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["case"] not in self.cases or request.get("accuracy"):
            return {"missing": "not written for JAX"}
        return timed(self.cases[request["case"]](), request["seconds"])


def serve(library: str, threads: int, requests: TextIO, answers: TextIO) -> None:
    side: Torch | Jax = Jax(threads) if library == "jax" else Torch(library, threads)

    def say(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=answers, flush=True)

    say({"ready": str(side.version), "config": side.config})
    for line in requests:
        try:
            answer = side.answer(json.loads(line))
        except (AttributeError, NotImplementedError, ModuleNotFoundError) as error:
            answer = {"missing": f"{error}".partition("\n")[0]}
        except Exception as error:
            answer = {"failed": f"{type(error).__name__}: {error}".partition("\n")[0]}
        gc.collect()  # the case's tensors, before the next one makes its own
        say(answer)


if __name__ == "__main__":
    # What a library prints must not get between the answers.
    protocol = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(sys.argv[1], int(sys.argv[2]), sys.stdin, protocol)
