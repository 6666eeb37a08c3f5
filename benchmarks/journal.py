"""Logging points: what a call costs beside one bare write, and what SIGKILL takes."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.fixtures import repository
from benchmarks.harness import ROOT, Bench, Sample, in_new_process
from benchmarks.rows import Limit, Row

_BLOCKS = 20
_VALUES = 20
# So long after its first point a child is at the end of logging so many, or in the midst of finishing.
_LONGEST_LIFE_S = 0.3
_CHILD_POINTS = 100_000


def rows(bench: Bench) -> Iterator[Row]:
    repo = repository(bench.new_folder("journal"), files=50)
    calls = bench.sizes.calls
    yield from _point_rows(in_new_process(time_points, calls, cwd=repo), calls)
    yield from _values_rows(in_new_process(time_values, max(calls // 10, 1), cwd=repo))
    yield from _kill_rows(repo, bench.sizes.kills)


# --- one point


def _point_rows(found: dict[str, dict[str, float]], calls: int) -> Iterator[Row]:
    p50, p99 = (Limit(found["limit"][rank], "os.write of the same bytes") for rank in ("p50", "p99"))
    method, function, settled = found["method"], found["function"], found["settled method"]
    yield Row(f"run.log_metric, {calls:,} calls, p50", method["p50"], "us", bar=1.6, times_limit=True, limit=p50)
    yield Row(f"run.log_metric, {calls:,} calls, p99", method["p99"], "us", bar=25, limit=p99)
    yield Row("gittrack.log_metric, p50", function["p50"], "us", limit=p50)
    yield Row("gittrack.log_metric, p99", function["p99"], "us", limit=p99)
    p99 = Limit(found["settled limit"]["p99"], "os.write of the same bytes")
    yield Row("run.log_metric, two seconds into the run, p99", settled["p99"], "us", limit=p99)


def time_points(calls: int) -> dict[str, dict[str, float]]:
    """Percentiles of single calls in microseconds; from the first moment of a run on, while its threads are still at work."""
    import gittrack

    with gittrack.start_run("points") as run:
        # In the run's own folder: the same file system, opened the same way.
        limit = os.open(run.folder.path / "limit", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        log = run.folder.journal
        run.log_metric("train/loss", 0.5, step=0)
        before = log.stat().st_size
        run.log_metric("train/loss", 0.5, step=1)
        record = bytes(log.stat().st_size - before)
        values = [random.random() for _ in range(1024)]
        clock = time.perf_counter_ns

        def bare(taken: array[int], first: int, last: int) -> None:
            for step in range(first, last):
                began = clock()
                os.write(limit, record)
                taken[step] = clock() - began

        def method(taken: array[int], first: int, last: int) -> None:
            for step in range(first, last):
                value = values[step & 1023]
                began = clock()
                run.log_metric("train/loss", value, step=step)
                taken[step] = clock() - began

        def function(taken: array[int], first: int, last: int) -> None:
            for step in range(first, last):
                value = values[step & 1023]
                began = clock()
                gittrack.log_metric("train/loss", value, step=step)
                taken[step] = clock() - began

        loops = {"limit": bare, "method": method, "function": function}
        found = _in_blocks(loops, calls)
        _settle()
        found |= {f"settled {name}": one for name, one in _in_blocks(loops, calls).items() if name != "function"}
    return found


def _in_blocks(loops: dict[str, Any], calls: int) -> dict[str, dict[str, float]]:
    """A twentieth of each loop in turn, so that the machine's moods meet all of them."""
    taken = {name: array("q", bytes(8 * calls)) for name in loops}
    for block in range(_BLOCKS):
        for name, loop in loops.items():
            loop(taken[name], block * calls // _BLOCKS, (block + 1) * calls // _BLOCKS)
    return {name: _percentiles(one) for name, one in taken.items()}


def _percentiles(nanoseconds: array[int]) -> dict[str, float]:
    sample = Sample(tuple(nanoseconds))
    return {f"p{rank}": sample.percentile(rank) / 1000 for rank in (50, 99)}


def _settle() -> None:
    """Until the environment is captured and the first utilisation sample is taken."""
    for thread in threading.enumerate():
        if thread.name == "gittrack-environment":
            thread.join()
    time.sleep(1.5)


# --- twenty values


def _values_rows(found: dict[str, dict[str, float]]) -> Iterator[Row]:
    limit = Limit(found["limit"]["p50"] / _VALUES, "os.write of the same bytes")
    what = f"run.log_metrics with {_VALUES} values, p50 a value"
    yield Row(what, found["method"]["p50"] / _VALUES, "us", bar=0.7, limit=limit)


def time_values(calls: int) -> dict[str, dict[str, float]]:
    """As `time_points`, for one call with twenty values."""
    import gittrack

    keys = [f"layer_{number}/norm" for number in range(_VALUES)]
    with gittrack.start_run("values") as run:
        limit = os.open(run.folder.path / "limit", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        log = run.folder.journal
        every = [{key: random.random() for key in keys} for _ in range(64)]
        run.log_metrics(every[0], step=0)
        before = log.stat().st_size
        run.log_metrics(every[0], step=1)
        record = bytes(log.stat().st_size - before)
        clock = time.perf_counter_ns

        def bare(taken: array[int], first: int, last: int) -> None:
            for step in range(first, last):
                began = clock()
                os.write(limit, record)
                taken[step] = clock() - began

        def method(taken: array[int], first: int, last: int) -> None:
            for step in range(first, last):
                values = every[step & 63]
                began = clock()
                run.log_metrics(values, step=step)
                taken[step] = clock() - began

        return _in_blocks({"limit": bare, "method": method}, calls)


# --- SIGKILL

_VICTIM = f"""\
import os, sys, time
import gittrack

pipe = int(sys.argv[1])
run = gittrack.start_run(sys.argv[2])
for step in range({_CHILD_POINTS}):
    run.log_metric("loss", step / 7, step=step)
    os.write(pipe, b"+")
run.finish()
time.sleep(60)
"""


def _kill_rows(repo: Path, kills: int) -> Iterator[Row]:
    from gittrack.project import Project

    acknowledged = lost = 0
    dice = random.Random()
    for number in range(kills):
        name = f"victim-{number}"
        points = _acknowledged_before_kill(repo, name, dice.uniform(0, _LONGEST_LIFE_S))
        project = Project.open(repo)
        project.recover()
        history = project.get_run(name).history("loss")
        readable = {step for step, value, _ in history if value == step / 7}
        acknowledged += points
        lost += sum(1 for step in range(points) if step not in readable)
    yield Row(f"acknowledged points lost to {kills} x SIGKILL, of {acknowledged:,}", lost, "points", bar=0)


def _acknowledged_before_kill(repo: Path, name: str, life_s: float) -> int:
    """How many points a process said it had logged before it was killed, so long after its first."""
    ours, theirs = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-c", _VICTIM, str(theirs), name],
        cwd=repo,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        pass_fds=[theirs],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    try:
        points = len(os.read(ours, 1 << 16))
        if not points:
            raise RuntimeError("the process to be killed ended before it logged anything")
        until = time.monotonic() + life_s
        # Read all the while, or it would soon wait for us.
        while (rest := until - time.monotonic()) > 0:
            if select.select([ours], [], [], rest)[0]:
                points += len(os.read(ours, 1 << 16))
        os.kill(child.pid, signal.SIGKILL)
        while data := os.read(ours, 1 << 16):
            points += len(data)
        return points
    finally:
        child.kill()
        child.wait()
        os.close(ours)
