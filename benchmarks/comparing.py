"""Comparing: two runs with their repeats, and what a change did, as whole commands."""

from __future__ import annotations

from collections.abc import Iterator
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


def _changed(folder: Path, runs: int) -> Path:
    """Half of the runs before a change and half on it, and on either the repeats that speak for it."""
    repo = repository(folder, files=50)
    (repo / ".gittrack").mkdir(exist_ok=True)
    (repo / ".gittrack" / "config.yaml").write_text(_GOALS, encoding="utf-8")
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "-m", "Goals")
    for at, (branch, name) in enumerate((("main", "old"), ("idea", "new"))):
        if at:
            git(repo, "switch", "--quiet", "-c", branch)
            (repo / "train.py").write_text("print('better')\n", encoding="utf-8")
            git(repo, "add", "--all")
            git(repo, "commit", "--quiet", "-m", "Better")
        write_runs(repo, runs // 2, seed=at)
        for seed in range(_SEEDS):
            with Project.open(repo).start_run(f"{name}-{seed}", params={"lr": 0.1, "seed": seed}, console=False) as run:
                for step in range(50):
                    run.log_metric("acc", 0.9 + at / 50 + seed * (1 + at) / 700 - 1 / (step + 2), step)
    git(repo, "pack-refs", "--all")
    return repo
