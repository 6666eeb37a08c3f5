"""Many runs in one repository: `python -m benchmarks.scale --runs 10000`.

Apart from the other groups because a run of it takes as long as all of them: it has many runs, or says nothing.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks import scale_use
from benchmarks.fixtures import METRICS, git, params, repository
from benchmarks.harness import ROOT, Bench, Sizes, in_new_process, program, seal
from benchmarks.rows import HEADER, Limit, Note, Row, text_line

# Bars are for so many runs and more: below them starting up is what is measured.
_BAR_RUNS = 10_000
_IMPORT_MS = 0.6
_PACKED_KB = 1.4
_FEW = 100


def rows(bench: Bench, count: int, *, pack: bool = True) -> Iterator[Row | Note]:
    repo = repository(bench.new_folder("scale"), files=50)
    yield from _import_rows(bench, repo, count)
    yield from _disk_rows(repo, count, pack)
    yield from scale_use.rows(bench, repo, count)


# --- import


def _import_rows(bench: Bench, repo: Path, count: int) -> Iterator[Row]:
    trivial = _trivial_commits(bench.new_folder("trivial"), count)
    few = in_new_process(import_runs, min(count, _FEW), cwd=repository(bench.new_folder("few")))
    done = in_new_process(import_runs, count, cwd=repo)
    each = 1000 / count
    yield Row(
        f"bulk import of {count:,} runs, each",
        done["seconds"] * each,
        "ms",
        bar=_IMPORT_MS if count >= _BAR_RUNS else None,
        limit=Limit(trivial * each, "git fast-import of as many commits of one small file"),
    )
    yield Row(f"bulk import of {count:,} runs, processor time of Python, each", done["python"] * each, "ms")
    yield Row(f"bulk import of {count:,} runs, processor time of git, each", done["git"] * each, "ms")
    limit = Limit(few["peak"] / 1e6, f"the same of {min(count, _FEW)} runs")
    yield Row(f"bulk import of {count:,} runs, peak memory of Python", done["peak"] / 1e6, "MB", limit=limit)


def import_runs(count: int) -> dict[str, float]:
    """Seconds and peak bytes of the import in this process."""
    from gittrack import Project

    ledger = Project.open().ledger
    before = _processor(resource.RUSAGE_SELF), _processor(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = ledger.import_runs(_items(count))
    seconds = time.perf_counter() - began
    assert done.runs == count, f"{done.runs} of {count} runs were imported"
    return {
        "seconds": seconds,
        "python": _processor(resource.RUSAGE_SELF) - before[0],
        "git": _processor(resource.RUSAGE_CHILDREN) - before[1],
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }


def _processor(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def _items(count: int) -> Iterator[dict[str, Any]]:
    """10 params and 10 metrics each, with all their digits."""
    dice = random.Random(0)
    for number in range(count):
        started = 1_700_000_000 + 60 * number + dice.random()
        yield {
            "id": f"{dice.getrandbits(128):032x}",
            "name": f"run-{number}",
            "experiment": "scale",
            "params": params(dice),
            "metrics": {key: dice.random() for key in METRICS},
            "started": started,
            "ended": started + 30 + dice.random(),
        }


def _trivial_commits(folder: Path, count: int) -> float:
    """Seconds; what is measured is git alone, so the stream lies in a file."""
    git(folder, "init", "--quiet")
    stream = folder / "stream"
    with stream.open("w", encoding="ascii") as file:
        for number in range(count):
            file.write(f"commit refs/heads/main\ncommitter B <b@example.org> {1_700_000_000 + number} +0000\n")
            file.write(f"data 2\nx\nM 100644 inline f\ndata {len(str(number))}\n{number}\n")
    began = time.perf_counter()
    with stream.open("rb") as file:
        subprocess.run(["git", "fast-import", "--quiet"], cwd=folder, stdin=file, check=True)
    return time.perf_counter() - began


# --- disk


def _disk_rows(repo: Path, count: int, pack: bool) -> Iterator[Row]:
    lines = _record_lines(repo)
    limit = Limit(len(zlib.compress(lines, 9)) / count / 1000, "the lines of the ledger alone, one zlib stream")
    yield Row(f"disk per run, {count:,} runs as imported", _packs(repo) / count / 1000, "KB", limit=limit)
    if not pack:
        return
    began = time.perf_counter()
    subprocess.run([*program(), "pack"], cwd=repo, check=True, capture_output=True)
    seconds = time.perf_counter() - began
    yield Row(
        f"disk per run, {count:,} runs after gittrack pack",
        _packs(repo) / count / 1000,
        "KB",
        bar=_PACKED_KB if count >= _BAR_RUNS else None,
        limit=limit,
    )
    yield Row(f"that pack of {count:,} runs, each", seconds * 1000 / count, "ms")


def _packs(repo: Path) -> int:
    """Bytes of packs and their indexes."""
    return sum(path.stat().st_size for path in (repo / ".git" / "objects" / "pack").iterdir())


def _record_lines(repo: Path) -> bytes:
    ref = git(repo, "for-each-ref", "--format=%(refname)", "refs/experiments/_ledger/").strip()
    pages = git(repo, "rev-list", "--first-parent", ref).split()
    names = "".join(f"{page}:runs.jsonl\n" for page in pages[:-1]).encode()
    return git(repo, "cat-file", "--batch", stdin=names).encode()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=_BAR_RUNS, metavar="N", help="how many (10000)")
    parser.add_argument(
        "--no-pack", action="store_true", help="leave out packing, which takes longer than all the rest"
    )
    parser.add_argument("--peers", action="store_true", help="only list so many runs, beside other trackers")
    parser.add_argument("--folder", type=Path, help="work here (build/bench); the file system counts")
    options = parser.parse_args()
    base = options.folder or ROOT / "build" / "bench"
    base.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="scale-", dir=base)).resolve()
    try:
        # Not pinned to one core, as the other groups are: git writes while Python makes the next runs.
        seal(folder)
        print(text_line(HEADER), flush=True)
        bench = Bench(folder, Sizes())
        if options.peers:
            from benchmarks.peers import listings

            found = listings(bench, options.runs)
        else:
            found = rows(bench, options.runs, pack=not options.no_pack)
        for row in found:
            print(f"  {row.text}" if isinstance(row, Note) else text_line(row.cells()), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    # By its own name, by which other processes import it.
    import_module("benchmarks.scale").main()
