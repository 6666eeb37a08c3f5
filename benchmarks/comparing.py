"""Comparing: two runs with their repeats, and what a change did, as whole commands."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.fixtures import git, repository, write_runs
from benchmarks.harness import Bench, interleaved, process, program
from benchmarks.rows import Limit, Row
from gittrack.project import Project

_DIFF_S, _REPORT_S, _PAGE_S, _PAGE_MB = 0.35, 1.5, 3.0, 6.0
_SEEDS = 5
_GOALS = "metrics: {goals: {acc: {goal: max, role: gate}, 'val/*': max}}\n"


def rows(bench: Bench) -> Iterator[Row]:
    runs = min(1_000, max(bench.sizes.runs))
    repo = _changed(bench.new_folder("compare"), runs)
    found = interleaved(
        {
            "diff": process([*program(), "diff", "old-0", "new-0"], repo),
            "alone": process([*program(), "diff", "old-0", "new-0", "--alone"], repo),
            "report": process([*program(), "report", "main..idea"], repo),
            "md": process([*program(), "report", "main..idea", "--md"], repo),
            "limit": process([*program(), "--version"], repo),
        },
        bench.sizes.repeats,
    )
    limit = Limit(found["limit"].median, "gittrack --version")
    yield Row(f"diff of two configurations, {_SEEDS} repeats each", found["diff"].median, "s", _DIFF_S, limit=limit)
    yield Row("diff --alone", found["alone"].median, "s", _DIFF_S, limit=limit)
    yield Row(f"report, {runs:,} runs", found["report"].median, "s", _REPORT_S, limit=limit)
    yield Row(f"report --md, {runs:,} runs", found["md"].median, "s", _REPORT_S, limit=limit)
    yield from _page_rows(bench.new_folder("compare-page"), runs < 1_000)


def _page_rows(folder: Path, toy: bool) -> Iterator[Row]:
    repeats, steps = (3, 20) if toy else (50, 1_000)
    repo = _both(folder, lambda at: _long_runs(folder, at, repeats, steps))
    target = folder.parent / "report.html"
    found = interleaved({"page": process([*program(), "report", "main..idea", "--html", str(target)], repo)}, 3)
    what = f"report --html, {2 * repeats} runs with 10 curves of {steps:,} steps"
    yield Row(what, found["page"].median, "s", _PAGE_S)
    yield Row(f"{what}: the file", target.stat().st_size / 1e6, "MB", _PAGE_MB)


def _long_runs(repo: Path, at: int, repeats: int, steps: int) -> None:
    dice = random.Random(at)
    for seed in range(repeats):
        with Project.open(repo).start_run(f"run-{at}-{seed}", params={"lr": 0.1, "seed": seed}, console=False) as run:
            for step in range(steps):
                shape = 1 - 1 / (step + 2) + at / 50
                run.log_metrics({f"val/{one}": shape + dice.gauss(0, 0.01) for one in range(10)}, step)


def _changed(folder: Path, runs: int) -> Path:
    """Half of the runs before a change and half on it, and on either the repeats that speak for it."""

    def fill(at: int) -> None:
        write_runs(folder, runs // 2, seed=at)
        for seed in range(_SEEDS):
            name = f"{'new' if at else 'old'}-{seed}"
            with Project.open(folder).start_run(name, params={"lr": 0.1, "seed": seed}, console=False) as run:
                for step in range(50):
                    run.log_metric("acc", 0.9 + at / 50 + seed * (1 + at) / 700 - 1 / (step + 2), step)

    return _both(folder, fill)


def _both(folder: Path, fill: Callable[[int], None]) -> Path:
    """A repository with goals, filled on main (0) and again on a branch with other code (1)."""
    repo = repository(folder, files=50)
    (repo / ".gittrack").mkdir(exist_ok=True)
    (repo / ".gittrack" / "config.yaml").write_text(_GOALS, encoding="utf-8")
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "-m", "Goals")
    fill(0)
    git(repo, "switch", "--quiet", "-c", "idea")
    (repo / "train.py").write_text("print('better')\n", encoding="utf-8")
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "-m", "Better")
    fill(1)
    git(repo, "pack-refs", "--all")
    return repo
