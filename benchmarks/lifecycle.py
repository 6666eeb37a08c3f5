"""Starting and finishing runs in a process that is already up."""

from __future__ import annotations

import os
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fixtures import repository
from benchmarks.harness import Bench, Sample, in_new_process, interleaved, unpin
from benchmarks.rows import Limit, Row

_BARS_MS = {50: 25.0, 20_000: 80.0}
_BAR_POINTS = 1_000_000
_KEYS = tuple(f"layer_{number}/loss" for number in range(10))


def rows(bench: Bench) -> Iterator[Row]:
    for files in bench.sizes.files:
        repo = repository(bench.new_folder(f"files-{files}"), files)
        yield from _cycle_rows(repo, files, bench.sizes.repeats)
    repo = repository(bench.new_folder("points"), files=50)
    yield from _long_rows(repo, bench.sizes.points)


# --- an empty run


def _cycle_rows(repo: Path, files: int, repeats: int) -> Iterator[Row]:
    what = f"start + finish of an empty run, {files:,} files"
    for pinned in (True, False):
        found = in_new_process(time_cycles, repeats, pinned, cwd=repo)
        limit = Limit(Sample(tuple(found["status"])).median * 1000, "git status")
        cycle = Sample(tuple(found["cycle"])).median * 1000
        if pinned:
            yield Row(what, cycle, "ms", bar=_BARS_MS.get(files), limit=limit)
            yield Row(f"{what}, the first of a process", found["first"] * 1000, "ms", limit=limit)
        else:
            yield Row(f"{what}, on all cores", cycle, "ms", limit=limit)


def time_cycles(repeats: int, pinned: bool) -> dict[str, object]:
    """Seconds of the first start and finish in this process, and of later ones beside `git status` of the same tree."""
    import gittrack

    if not pinned:
        unpin()

    def cycle() -> float:
        began = time.perf_counter()
        run = gittrack.start_run()
        run.finish()
        seconds = time.perf_counter() - began
        assert run.commit is not None, "the run was not recorded"
        return seconds

    def status() -> float:
        began = time.perf_counter()
        subprocess.run(["git", "status", "--porcelain"], stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - began

    first = cycle()
    found = interleaved({"cycle": cycle, "status": status}, repeats)
    return {"first": first, **{name: one.values for name, one in found.items()}}


# --- a long run


def _long_rows(repo: Path, points: int) -> Iterator[Row]:
    bars = (2.5, 400.0) if points == _BAR_POINTS else (None, None)
    for at_once, what in (
        (1, f"finish of a run with {points:,} points"),
        (len(_KEYS), f"the same, logged {len(_KEYS)} at a time"),
    ):
        found = in_new_process(time_long_finish, points, at_once, cwd=repo)
        judged = bars if at_once == 1 else (None, None)
        limit = Limit(found["unpack"], "struct.iter_unpack of the journal")
        yield Row(what, found["finish"], "s", bar=judged[0], limit=limit)
        before = Limit(found["before_mb"], "before finish")
        yield Row(f"{what}, peak memory", found["peak_mb"], "MB", bar=judged[1], limit=before)


def time_long_finish(points: int, at_once: int) -> dict[str, float]:
    """Log so many points of ten metrics, one or ten a call; seconds of `finish`, and memory before and at most."""
    import gittrack

    run = gittrack.start_run("long")
    if at_once == 1:
        for number in range(points):
            run.log_metric(_KEYS[number % 10], 1.0 / (number + 1), step=number // 10)
    else:
        for step in range(points // 10):
            run.log_metrics(dict.fromkeys(_KEYS, 1.0 / (step + 1)), step=step)
    unpack = _unpack_time(run.folder.journal)
    before = peak_mb()
    began = time.perf_counter()
    run.finish()
    seconds = time.perf_counter() - began
    assert run.commit is not None, "the run was not recorded"
    return {"finish": seconds, "unpack": unpack, "before_mb": before, "peak_mb": peak_mb()}


def _unpack_time(journal: Path) -> float:
    """Reading as many bytes as the journal has and taking them apart as numbers: no reader in Python does less."""
    began = time.perf_counter()
    with journal.open("rb") as file:
        while data := file.read(1 << 20):
            for _ in struct.iter_unpack("<Iqdd12x", data[: len(data) // 40 * 40]):
                pass
    return time.perf_counter() - began


def peak_mb() -> float:
    """The most memory that this process ever held."""
    try:
        # Unlike ru_maxrss, it does not begin with what the parent held.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    import resource

    unit = 1024 if os.uname().sysname == "Linux" else 1024 * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
