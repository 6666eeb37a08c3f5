"""Listing runs in a new process."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fixtures import git, repository, write_runs
from benchmarks.harness import Bench, Measure, Sample, interleaved, process, program
from benchmarks.rows import Limit, Row

_WARM_S = {1_000: 0.25, 10_000: 0.35}
_COLD_S = {10_000: 1.2}


def rows(bench: Bench) -> Iterator[Row]:
    for count in bench.sizes.runs:
        repo = repository(bench.new_folder(f"runs-{count}"), files=50)
        write_runs(repo, count)
        yield from _state_rows(repo, count, "loose refs", bench.sizes.repeats)
        git(repo, "pack-refs", "--all")
        yield from _state_rows(repo, count, "packed refs", bench.sizes.repeats)
        whole = {"whole": process([*program(), "ls", "--all", "--json"], repo)}
        found = interleaved(whole, min(5, bench.sizes.repeats))
        yield Row(f"ls --all --json, {count:,} runs, packed refs", found["whole"].median, "s")


def _state_rows(repo: Path, count: int, state: str, repeats: int) -> Iterator[Row]:
    _check(repo, count)
    heads = git(repo, "for-each-ref", "--format=%(objectname)", "refs/experiments/").encode()
    refs = process(["git", "for-each-ref", "refs/experiments/"], repo)
    objects = process(["git", "cat-file", "--batch"], repo, stdin=heads)
    warm = interleaved({"ls": process([*program(), "ls"], repo), "limit": refs}, repeats)
    yield _row(f"ls, {count:,} runs, {state}", warm, _WARM_S.get(count), "git for-each-ref")
    cold = interleaved({"ls": _without_index(repo), "limit": objects}, min(9, repeats))
    yield _row(f"ls, {count:,} runs, {state}, index deleted", cold, _COLD_S.get(count), "git cat-file --batch of them")


def _row(what: str, found: dict[str, Sample], bar: float | None, limit_name: str) -> Row:
    return Row(what, found["ls"].median, "s", bar, limit=Limit(found["limit"].median, limit_name))


def _without_index(repo: Path) -> Measure:
    listing = process([*program(), "ls"], repo)

    def measure() -> float:
        for path in (repo / ".git" / "gittrack").glob("index.sqlite*"):
            path.unlink()
        return listing()

    return measure


def _check(repo: Path, count: int) -> None:
    """It is all of them that we time: `ls` says how many it knows."""
    done = subprocess.run([*program(), "ls", "--csv"], cwd=repo, capture_output=True, text=True, check=True)
    listed = len(done.stdout.splitlines()) - 1
    if listed != count:
        raise RuntimeError(f"{count} runs were written and {listed} are listed: {done.stderr}")
