"""What one run takes in git, after `git gc`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.fixtures import git, repository, write_runs
from benchmarks.harness import Bench
from benchmarks.rows import Limit, Row

_BAR_RUNS = 1_000


def rows(bench: Bench) -> Iterator[Row]:
    count = bench.sizes.stored
    kinds: dict[str, dict[str, int]] = {
        "1 point each": {"points": 1},
        "1 point each of 4 digits": {"points": 1, "digits": 4},
        "100 points each": {"points": 100},
        "1 point each, and a minute of utilisation": {"points": 1, "system": 4},
    }
    for number, (kind, varied) in enumerate(kinds.items()):
        figure, git_only = size_of_a_run(bench.new_folder("size"), count, **varied)
        yield Row(
            f"one run after git gc, 10 params, 10 metrics, {kind}",
            figure / 1000,
            "KB",
            bar=1.5 if number == 0 and count == _BAR_RUNS else None,
            limit=Limit(git_only / 1000, "pack alone, no refs, pack index, commit graph"),
        )


def size_of_a_run(folder: Path, count: int, **varied: int) -> tuple[float, float]:
    """Bytes of `.git` per run, all and the pack alone, above the same repository without runs."""
    repo = repository(folder, files=50)
    before = _sizes(repo)
    write_runs(repo, count, loose=True, **varied)
    after = _sizes(repo)
    return (after[0] - before[0]) / count, (after[1] - before[1]) / count


def _sizes(repo: Path) -> tuple[int, int]:
    """Bytes of all files of `.git` but our own folder (what lies there can be made anew), and of the packs."""
    git(repo, "gc", "--quiet", "--prune=now")
    files = [path for path in (repo / ".git").rglob("*") if path.is_file()]
    ours = repo / ".git" / "gittrack"
    kept = [path for path in files if not path.is_relative_to(ours)]
    whole = sum(path.stat().st_size for path in kept)
    return whole, sum(path.stat().st_size for path in kept if path.suffix == ".pack")
