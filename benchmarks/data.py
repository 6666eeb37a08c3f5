"""Large files and many files into the store, beside `dvc add` of the same and beside the bare md5 and copy."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.fixtures import git
from benchmarks.harness import ROOT, Bench, Measure, in_new_process, interleaved, pin, process, unpin
from benchmarks.lifecycle import peak_mb
from benchmarks.rows import Limit, Note, Row

_BAR_OF_DVC_FILE, _BAR_OF_DVC_FOLDER = 0.65, 0.6
_BAR_OF_BARE = 1.25
_BAR_UNCHANGED_S = 0.1
_BAR_PEAK_MB = 200.0
_FILE_BYTES = 2_000
# One of these takes seconds; their spread is small beside what they are held against.
_MOST_REPEATS = 3

_ADD = """\
import sys
from pathlib import Path
from gittrack.pointers.store import Store
here = Path.cwd()
Store.of(here / ".git", here).add(here / sys.argv[1], ignore_root=here)
"""
_BARE = """\
import hashlib, shutil, sys
with open(sys.argv[1], "rb") as file:
    hashlib.file_digest(file, "md5")
shutil.copyfile(sys.argv[1], sys.argv[1] + ".copy")
"""


def rows(bench: Bench) -> Iterator[Row | Note]:
    os.environ.update(PYTHONPATH=str(ROOT), DVC_NO_ANALYTICS="1", DVC_SITE_CACHE_DIR=str(bench.folder / "dvc-site"))
    # All of them may use all cores, as they do for their users.
    unpin()
    try:
        yield from _file_rows(bench)
        yield from _folder_rows(bench)
    finally:
        pin()


def _file_rows(bench: Bench) -> Iterator[Row | Note]:
    size = bench.sizes.data_bytes
    source = bench.new_folder("data") / "big"
    with source.open("wb") as file:
        for left in range(size, 0, -1_000_000):
            file.write(os.urandom(min(left, 1_000_000)))
    what = f"a file of {size:,} bytes into the store, a process"
    found = _compare(bench, source, {"gittrack": _ADD, "dvc": None, "bare": _BARE})
    yield Row(what, found["gittrack"], "s", _BAR_OF_DVC_FILE, True, Limit(found["dvc"], "dvc add"))
    yield Row(
        "the same", found["gittrack"], "s", _BAR_OF_BARE, True, Limit(found["bare"], "its md5, then a copy of it")
    )
    yield from _process_rows(bench, source, f"a file of {size:,} bytes")


def _folder_rows(bench: Bench) -> Iterator[Row | Note]:
    count = bench.sizes.data_files
    source = _many_files(bench.new_folder("data") / "many", count, _FILE_BYTES)
    what = f"{count:,} files of {_FILE_BYTES:,} bytes into the store, a process"
    found = _compare(bench, source, {"gittrack": _ADD, "dvc": None})
    yield Row(what, found["gittrack"], "s", _BAR_OF_DVC_FOLDER, True, Limit(found["dvc"], "dvc add"))
    yield from _process_rows(bench, source, f"{count:,} files")
    shutil.rmtree(source)
    source = _many_files(bench.new_folder("data") / "very-many", 10 * count, 100)
    yield from _process_rows(bench, source, f"{10 * count:,} files", judged=False)


def _many_files(folder: Path, count: int, size: int) -> Path:
    for number in range(count):
        path = folder / f"part_{number // 1000}" / f"{number}.bin"
        if number % 1000 == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(os.urandom(size))
    return folder


# --- whole processes


def _compare(bench: Bench, source: Path, programs: dict[str, str | None]) -> dict[str, float]:
    """Seconds of each program with the source in a repository that has stored nothing yet; None is `dvc add`."""
    measures = {
        name: _in_fresh_repository(
            bench,
            source,
            [sys.executable, "-m", "dvc", "add", "--quiet"] if code is None else [sys.executable, "-c", code],
        )
        for name, code in programs.items()
    }
    found = interleaved(measures, min(bench.sizes.repeats, _MOST_REPEATS))
    return {name: one.median for name, one in found.items()}


def _in_fresh_repository(bench: Bench, source: Path, command: Sequence[str]) -> Measure:
    def measure() -> float:
        repo = _dvc_repository(bench)
        moved = source.rename(repo / source.name)
        # What was written before is not written back while this is timed.
        os.sync()
        try:
            return process([*command, source.name], repo)()
        finally:
            moved.rename(source)
            shutil.rmtree(repo)

    return measure


def _dvc_repository(bench: Bench) -> Path:
    from gittrack.pointers.setup import set_up_dvc

    repo = bench.new_folder("fresh")
    git(repo, "init", "--quiet")
    set_up_dvc(repo)
    return repo


# --- inside one process


def _process_rows(bench: Bench, source: Path, what: str, *, judged: bool = True) -> Iterator[Row]:
    repo = _dvc_repository(bench)
    found = in_new_process(time_unchanged, str(source), cwd=repo)
    bar = _BAR_UNCHANGED_S if judged else None
    yield Row(f"{what}, nothing changed", found["again"], "s", bar, limit=Limit(found["first"], "the first time"))
    before = Limit(found["before_mb"], "before")
    yield Row(f"{what}, peak memory", found["peak_mb"], "MB", _BAR_PEAK_MB, limit=before)
    shutil.rmtree(repo)


def time_unchanged(name: str) -> dict[str, float]:
    """Seconds to store a source, and to store it again; memory before and at most."""
    from gittrack.pointers.store import Store

    here, source = Path.cwd(), Path(name)
    store = Store.of(here / ".git", here)
    before = peak_mb()

    def add() -> float:
        began = time.perf_counter()
        store.add(source)
        return time.perf_counter() - began

    first = add()
    again = sorted(add() for _ in range(5))[2]
    return {"first": first, "again": again, "before_mb": before, "peak_mb": peak_mb()}
