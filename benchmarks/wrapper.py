"""What `gittrack run` adds to a command."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fixtures import git, repository
from benchmarks.harness import Bench, interleaved, process, program
from benchmarks.rows import Limit, Row


def rows(bench: Bench) -> Iterator[Row]:
    repo = repository(bench.new_folder("wrapper"), files=50)
    found = interleaved(
        {"bare": process(["true"], repo), "run": process([*program(), "run", "--", "true"], repo)},
        bench.sizes.repeats,
    )
    bare = found["bare"].median * 1000
    # The difference of two medians that were measured in turns.
    above = found["run"].median * 1000 - bare
    yield Row("gittrack run -- true, above true", above, "ms", bar=250, limit=Limit(bare, "true"))
    for files in bench.sizes.files:
        yield from _isolated(bench, files)


def _isolated(bench: Bench, files: int) -> Iterator[Row]:
    """In turns with the same run that is not: that is the limit."""
    repo = repository(bench.new_folder("isolated"), files=files)
    isolated = process([*program(), "run", "--isolated", "--", "true"], repo)
    run = process([*program(), "run", "--", "true"], repo)
    run()
    first = isolated()
    found = interleaved({"run": run, "isolated": isolated}, bench.sizes.repeats)
    plain = found["run"].median * 1000
    above = max(0.0, found["isolated"].median * 1000 - plain)
    of_run = Limit(plain, "the run")
    name = f"run --isolated, {files:,} files"
    yield Row(f"{name}, above the run", above, "ms", bar=300, limit=of_run)
    git_alone = _worktree_add(repo)
    yield Row(f"{name}, the first, above the run", max(0.0, first * 1000 - plain), "ms", limit=git_alone)


def _worktree_add(repo: Path) -> Limit:
    began = time.perf_counter()
    git(repo, "worktree", "add", "--quiet", "--detach", "../plain", "HEAD")
    seconds = time.perf_counter() - began
    git(repo, "worktree", "remove", "--force", "../plain")
    return Limit(seconds * 1000, "git worktree add")
