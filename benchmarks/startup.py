"""Starting the program, and importing the package."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Bench, Measure, interleaved, process, program
from benchmarks.rows import Limit, Row

_TIMED = "import time; began = time.perf_counter(); {}; print(time.perf_counter() - began)"


def rows(bench: Bench) -> Iterator[Row]:
    here = bench.folder
    found = interleaved(
        {
            "python": process([sys.executable, "-c", "pass"], here),
            "version": process([*program(), "--version"], here),
            "help": process([*program(), "--help"], here),
            "import": _import_time("import gittrack", here),
            "start_run": _import_time("import gittrack; gittrack.start_run", here),
        },
        bench.sizes.repeats,
    )
    limit = Limit(found["python"].median * 1000, "python -c pass")
    yield Row("gittrack --version", found["version"].median * 1000, "ms", bar=5, times_limit=True, limit=limit)
    yield Row("gittrack --help", found["help"].median * 1000, "ms", limit=limit)
    yield Row("import gittrack", found["import"].median * 1000, "ms", bar=60, limit=limit)
    yield Row("import gittrack; gittrack.start_run", found["start_run"].median * 1000, "ms", limit=limit)


def _import_time(code: str, here: Path) -> Measure:
    """Seconds inside a new process, without the start of Python itself."""

    def measure() -> float:
        command = [sys.executable, "-c", _TIMED.format(code)]
        return float(subprocess.run(command, cwd=here, capture_output=True, text=True, check=True).stdout)

    return measure
