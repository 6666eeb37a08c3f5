"""`gittrack diff`: everything that differs between two runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from gittrack.cli.main import App
from gittrack.cli.options import complete_runs, json_option
from gittrack.compare.align import ABSENT
from gittrack.compare.baseline import find_baseline
from gittrack.compare.code import CodeDiff, diff_code
from gittrack.compare.diff import (
    MetricRow,
    Row,
    diff_artifacts,
    diff_environment,
    diff_inputs,
    diff_metrics,
    diff_params,
)
from gittrack.domain.environment import Environment
from gittrack.errors import UnknownRun
from gittrack.repeats import samples
from gittrack.report.compared import VERDICT_STYLES, row_lines, sample_text
from gittrack.report.numbers import change, column, size
from gittrack.report.table import Column, Paint, as_text
from gittrack.report.text import escape, escape_lines
from gittrack.values import dataclass

if TYPE_CHECKING:
    from gittrack.compare.stats import Name
    from gittrack.domain.run import RunState
    from gittrack.run import Run

_SHOWN_COMMITS = 20
_TESTS = ("welch", "paired-t", "corrected-t", "sign-flip", "permutation", "wilcoxon")


@click.command(short_help="everything that differs between two runs")
@click.argument("a", metavar="A", shell_complete=complete_runs)
@click.argument("b", metavar="[B]", required=False, shell_complete=complete_runs)
@click.option("--patch", is_flag=True, help="Show the changes of the code line by line.")
@click.option("--alone", is_flag=True, help="Compare the two runs alone, without their repeats.")
@click.option("--test", "asked", type=click.Choice(_TESTS), help="Take this test, not the one that the data suggest.")
@click.option("--all", "everything", is_flag=True, help="Show also what is the same.")
@json_option
@click.pass_obj
def diff(
    app: App,
    a: str,
    b: str | None,
    patch: bool,
    alone: bool,
    asked: Name | None,
    everything: bool,
    as_json: bool,
) -> None:
    """Compare two runs: params, code, environment, data, metrics, artifacts.

    With one run: compare it with its baseline, the newest finished run of its experiment on the
    merge base with the default branch, or else the finished run before it.

    Metrics are those of all repeats of either: finished runs that differ in a seed or a fold alone.
    """
    if b is None:
        judged = app.project.get_run(a)
        other = _baseline(app, judged)
    else:
        other, judged = app.project.get_run(a), app.project.get_run(b)
    found = _compare(app, other, judged, patch=patch, alone=alone, asked=asked, everything=everything)
    if as_json:
        app.console.json(found.to_json())
    else:
        app.console.lines(_text(app, found))


@dataclass(frozen=True, slots=True)
class _Diff:
    a: Run
    b: Run
    code: CodeDiff
    params: list[Row]
    environment: list[Row]
    data: list[Row]
    metrics: list[MetricRow]
    artifacts: list[Row]
    repeats_a: list[RunState]
    repeats_b: list[RunState]

    def to_json(self) -> dict[str, Any]:
        return {
            "a": self.a.id,
            "b": self.b.id,
            "code": self.code.to_json(),
            "params": [row.to_json() for row in self.params],
            "environment": [row.to_json() for row in self.environment],
            "data": [row.to_json() for row in self.data],
            "metrics": [row.to_json() for row in self.metrics],
            "artifacts": [row.to_json() for row in self.artifacts],
            "repeats": {"a": [one.id for one in self.repeats_a], "b": [one.id for one in self.repeats_b]},
        }


def _compare(app: App, a: Run, b: Run, *, patch: bool, everything: bool, alone: bool, asked: Name | None) -> _Diff:
    for run in (a, b):
        if run.commit is None:
            app.console.note(f"run {run.name} is still active: its environment and artifacts are not known yet")
    goal = app.project.settings.goal
    repeats_a, repeats_b = ([a.state], [b.state]) if alone else _repeats(app, a, b)
    seeds = app.project.settings.params.seed_like
    metrics = diff_metrics(samples(repeats_a, seeds), samples(repeats_b, seeds), goal, all=everything, asked=asked)
    if not everything:
        metrics = [row for row in metrics if not row.key.startswith("system/")]
    return _Diff(
        a=a,
        b=b,
        code=diff_code(app.project.repo, a.state.code_commit, b.state.code_commit, patch=patch),
        params=diff_params(a.params, b.params, all=everything),
        environment=[]
        if None in (a.commit, b.commit)
        else diff_environment(a.environment, b.environment, all=everything),
        data=diff_inputs(_inputs(a), _inputs(b), all=everything),
        metrics=metrics,
        artifacts=diff_artifacts(_artifacts(a), _artifacts(b), all=everything),
        repeats_a=repeats_a,
        repeats_b=repeats_b,
    )


def _repeats(app: App, a: Run, b: Run) -> tuple[list[RunState], list[RunState]]:
    found = app.project.repeats(a), app.project.repeats(b)
    if any(one.id == b.id for one in found[0]):
        if a.id != b.id:
            app.console.note("both are repeats of one configuration: the two alone are compared")
        return [a.state], [b.state]
    return found


def _environment(run: Run) -> Environment:
    return Environment() if run.commit is None else run.environment


def _inputs(run: Run) -> Sequence[Any]:
    return () if run.commit is None else run.record.inputs


def _artifacts(run: Run) -> Sequence[Any]:
    return () if run.commit is None else run.artifacts


def _baseline(app: App, run: Run) -> Run:
    merge_base = run.record.code.merge_base if run.commit is not None else None
    candidates = app.project.runs("status = finished", experiment=run.experiment)
    found = find_baseline(run.state, merge_base, (one.state for one in candidates))
    if found is None:
        raise UnknownRun(
            f"run {run.name} has no baseline: no run of experiment {run.experiment} finished before it; name two runs"
        )
    app.console.note(f"compared with {found.run.name} ({found.run.id[:8]}), {found.reason}")
    return next(one for one in candidates if one.id == found.run.id)


# --- as text


def _text(app: App, found: _Diff) -> Iterator[str]:
    paint = app.console.paint
    style = paint or (lambda text, name: text)
    for side, run in (("a", found.a), ("b", found.b)):
        called = escape(f"{run.experiment}/{run.name}")
        yield f"{side}  {style(run.id[:8], 'commit')}  {called}  {run.status}"
    room = app.console.width - 2
    sections = {
        "params": row_lines(found.params, room),
        "code": list(_code(found.code, style)),
        "environment": row_lines(found.environment, room),
        "data": row_lines(found.data, room),
        "metrics": _metrics(found.metrics, room, paint),
        "artifacts": row_lines([Row(row.key, _artifact(row.a), _artifact(row.b)) for row in found.artifacts], room),
    }
    for title, lines in sections.items():
        if lines:
            yield ""
            yield style(title, "strong")
            yield from (f"  {line}".rstrip() for line in lines)
    if not any(sections.values()):
        yield ""
        yield "nothing differs"
    elif found.metrics:
        yield ""
        yield style(_chance(found), "dim")
    if found.code.patch:
        yield ""
        yield from map(escape_lines, found.code.patch.rstrip("\n").split("\n"))


def _artifact(value: Any) -> Any:
    return value if value is ABSENT else f"{size(value['size'])} {value['md5'][:8]}"


def _metrics(rows: Sequence[MetricRow], room: int, paint: Paint | None) -> list[str]:
    if not rows:
        return []
    pairs = [column([None if one is None else one.mean for one in (row.a, row.b)]) for row in rows]
    changes = tuple(_change(row) for row in rows)
    columns = [
        Column("", tuple(row.key for row in rows)),
        Column("a", tuple(sample_text(row.a, a) for row, (a, _) in zip(rows, pairs, strict=True)), align="right"),
        Column("b", tuple(sample_text(row.b, b) for row, (_, b) in zip(rows, pairs, strict=True)), align="right"),
        Column("change", changes, styles=tuple(_STYLE[row.direction] for row in rows)),
        Column("", tuple(_words(row) for row in rows), rank=1),
    ]
    if not any(row.judged.tested for row in rows):
        return as_text(columns, room=room, paint=paint)
    verdicts = tuple(row.judged.verdict for row in rows)
    columns[-1] = Column("verdict", verdicts, styles=tuple(VERDICT_STYLES[one] for one in verdicts), shrink=False)
    reasons = (f"{row.key}: {row.judged.reason}" for row in rows)
    return [*as_text(columns, room=room, paint=paint), "", *map(escape, reasons)]


def _chance(found: _Diff) -> str:
    counts = [
        max((one.n for one in side if one), default=1)
        for side in zip(*((row.a, row.b) for row in found.metrics), strict=True)
    ]
    if min(counts) > 1:
        return f"mean ± standard deviation of {counts[0]} and {counts[1]} repeats; --alone compares the two runs"
    if max(counts) == 1:
        return "one run on each side: a difference in a metric may be chance"
    return f"{counts[0]} and {counts[1]} runs: with one run on a side a difference in a metric may be chance"


_STYLE = {"towards": "good", "away": "bad", None: ""}


def _change(row: MetricRow) -> str:
    if row.delta is None:
        return ""
    arrow = "=" if not row.delta else "↑" if row.delta > 0 else "↓"
    return f"{arrow} {change(row.delta, row.delta_pct)}" if row.delta else arrow


def _words(row: MetricRow) -> str:
    """What colours say, for those who do not see them; with one run each, "better" would say too much."""
    return {"towards": f"towards {row.goal}", "away": f"away from {row.goal}", None: ""}[row.direction]


def _code(code: CodeDiff, style: Paint) -> Iterator[str]:
    if code.missing is not None:
        yield f"commit {code.missing[:12]} is not in this clone; fetch it to compare the code"
        return
    for commit in code.commits[:_SHOWN_COMMITS]:
        sign = "only a" if commit.side == "a" else "only b"
        yield f"{sign}  {style(commit.id[:8], 'commit')}  {escape(commit.subject)}"
    if len(code.commits) > _SHOWN_COMMITS:
        yield f"... and {len(code.commits) - _SHOWN_COMMITS:,} more commits"
    for file in code.files:
        old = f"{escape(file.old)} -> " if file.old else ""
        yield f"{file.status}  {old}{escape(file.path)}"
