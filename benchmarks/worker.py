"""Times one case with one library and prints the result as a JSON line: `python worker.py torch|rushlight CASE THREADS`.

Started by run.py; a process of its own for each side, because two libraries' thread pools in one process stall each other.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from importlib import import_module

from cases import CASES


def main() -> None:
    library, case, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    start = time.perf_counter()
    torch = import_module(library)
    imported = time.perf_counter() - start
    if case == "import":
        print(json.dumps({"seconds": imported, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
        return
    step = CASES[case](torch)
    step()
    step()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        before = time.perf_counter()
        step()
        times.append(time.perf_counter() - before)
    print(json.dumps({"seconds": statistics.median(times), "best": min(times), "repeats": len(times)}))


if __name__ == "__main__":
    main()
