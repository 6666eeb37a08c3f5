"""Guards: each as git calls it for a commit of ten files, and a commit with all of them, in a repository with many runs."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fixtures import git, repository, write_runs
from benchmarks.harness import Bench, Measure, interleaved, process, program
from benchmarks.rows import Limit, Row
from gittrack.hooks.guards import GUARDS
from gittrack.project import Project

_GUARD_MS, _TOGETHER_MS = 120.0, 250.0
_RUNS, _FILES = 10_000, 10


def rows(bench: Bench) -> Iterator[Row]:
    count = 20 if bench.sizes.stored < 1_000 else _RUNS
    repo = repository(bench.new_folder("guards"), files=200)
    write_runs(repo, count)
    bare = bench.new_folder("guards-remote")
    git(bare, "init", "--quiet", "--bare")
    git(repo, "remote", "add", "origin", str(bare))
    git(repo, "push", "--quiet", "origin", "HEAD")
    # As 10,000 runs lie that came one by one: in a ledger, with a ref each for the newest.
    process([*program(), "pack"], repo)()
    Project.open(repo).runs(limit=1)
    _stage(repo, 0)
    message = bench.folder / "message"
    message.write_text("Ten files\n")
    words = {"prepare-commit-msg": (str(message),), "pre-push": ("origin", str(bare)), "update": ()}
    pushed = f"refs/heads/main {git(repo, 'rev-parse', 'HEAD').strip()} refs/heads/main {'0' * 40}\n".encode()
    measures: dict[str, Measure] = {"python": process([sys.executable, "-c", "pass"], repo)}
    for one in GUARDS:
        if one.closed:
            continue
        hook = one.hooks[-1] if one.name == "gittrack-trailer" else (one.hooks or ("manual",))[0]
        command = [*program(), "hooks", "run", one.name, *words.get(hook, ())]
        measures[one.name] = process(command, repo, stdin=pushed if hook == "pre-push" else None)
    # It is asked of a tree that is clean.
    dirty = measures.pop("gittrack-dirty")
    found = interleaved(measures, bench.sizes.repeats)
    limit = Limit(found["python"].median * 1000, "python -c pass")
    git(repo, "stash", "--quiet", "--include-untracked")
    found |= interleaved({"gittrack-dirty": dirty}, bench.sizes.repeats)
    git(repo, "stash", "pop", "--quiet", "--index")
    for name, sample in found.items():
        if name != "python":
            yield Row(f"{name}, {count:,} runs", sample.median * 1000, "ms", bar=_GUARD_MS, limit=limit)
    git(repo, "commit", "--quiet", "-m", "Before")
    yield from _together(repo, bench, count)


def _stage(repo: Path, turn: int) -> None:
    """Ten files as a commit after an experiment has them: numbers, params, code."""
    for at in range(_FILES - 3):
        (repo / f"module_{at}.py").write_text(f"VALUE = {turn}\n")
    (repo / "metrics.json").write_text(json.dumps({"acc": turn}))
    (repo / "params.yaml").write_text(f"lr: 0.1\nmodel: resnet50\nseed: {turn}\n")
    (repo / "plot.svg").write_text(f"<svg><!-- {turn} --></svg>\n")
    git(repo, "add", "--all")


def _together(repo: Path, bench: Bench, count: int) -> Iterator[Row]:
    turns = itertools.count(1)
    process([*program(), "hooks", "install"], repo)()

    def commit(*options: str) -> Measure:
        def measure() -> float:
            _stage(repo, next(turns))
            return process(["git", *options, "commit", "--quiet", "-m", "Ten files"], repo)()

        return measure

    nowhere = bench.new_folder("no-hooks")
    found = interleaved({"with": commit(), "without": commit("-c", f"core.hooksPath={nowhere}")}, bench.sizes.repeats)
    more = (found["with"].median - found["without"].median) * 1000
    limit = Limit(found["without"].median * 1000, "git commit without hooks")
    yield Row(f"all guards of a commit, more than without, {count:,} runs", more, "ms", bar=_TOGETHER_MS, limit=limit)
