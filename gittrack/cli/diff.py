"""`gittrack diff`: everything that differs between two runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from gittrack.cli.main import App
from gittrack.cli.options import complete_runs, json_option
from gittrack.compare.align import ABSENT
from gittrack.compare.code import CodeDiff
from gittrack.compare.diff import MetricRow, Row
from gittrack.compare.verdict import NAMES, p_text
from gittrack.errors import UsageError
from gittrack.repeats import command_shape
from gittrack.report.compared import VERDICT_STYLES, row_lines, sample_text
from gittrack.report.numbers import change, column, size
from gittrack.report.table import Column, Paint, as_text
from gittrack.report.text import escape, escape_lines
from gittrack.review.difference import Difference, baseline, difference, find_run
from gittrack.values import replace

if TYPE_CHECKING:
    from gittrack.compare.examples import Examples
    from gittrack.compare.stats import Name

_SHOWN_COMMITS = 20
_TESTS = ("welch", "paired-t", "corrected-t", "sign-flip", "permutation", "wilcoxon")


@click.command(short_help="everything that differs between two runs")
@click.argument("a", metavar="A", shell_complete=complete_runs)
@click.argument("b", metavar="[B]", required=False, shell_complete=complete_runs)
@click.option("--patch", is_flag=True, help="Show the changes of the code line by line.")
@click.option("--alone", is_flag=True, help="Compare the two runs alone, without their repeats.")
@click.option("--test", "asked", type=click.Choice(_TESTS), help="Take this test, not the one that the data suggest.")
@click.option(
    "--examples", metavar="NAME", help="Compare what both said of the same examples, in an artifact of that name."
)
@click.option("--column", metavar="KEY", help="With --examples: numbers of this column, instead of right and wrong.")
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
    examples: str | None,
    column: str | None,
    everything: bool,
    as_json: bool,
) -> None:
    """Compare two runs: code, params, environment, data, metrics, artifacts.

    A and B are runs, versions of models, or branches, tags and commits: then the runs of the newest
    commit there on which any finished.

    With one run: compare it with its baseline, the newest finished run of its experiment on the
    merge base with the default branch, or else the finished run before it.

    Metrics are those of all repeats of either: finished runs that differ in a seed or a fold alone.
    """
    if column is not None and examples is None:
        raise UsageError("--column names a column of a table of examples; name the table with --examples")
    project, note = app.project, app.console.note
    with project.standing_still():
        if b is None:
            judged = find_run(project, a, note)
            other = baseline(project, judged, note)
        else:
            other = find_run(project, a, note)
            judged = find_run(project, b, note, other.experiment)
            if judged.id == other.id:
                raise UsageError(
                    f"{a!r} and {b!r} are one run, {judged.experiment}/{judged.name} ({judged.id[:8]}); name another, or make a run "
                    "of what has none yet"
                )
        found = difference(
            project,
            other,
            judged,
            note,
            patch=patch,
            alone=alone,
            everything=everything,
            asked=asked,
            examples=examples,
            column=column,
        )
    command = _command(app, found, everything)
    if as_json:
        commands = None if command is None else {"a": found.a.state.command, "b": found.b.state.command}
        app.console.json({**found.to_json(), "command": commands})
    else:
        whole = replace(found, params=[*([command] if command else []), *found.params])
        app.console.lines(_text(app, whole, asked))


def _command(app: App, found: Difference, everything: bool) -> Row | None:
    """The commands of both, where they differ in more than what tells repeats apart."""
    seeds = app.project.settings.params.seed_like
    a, b = (run.state for run in (found.a, found.b))
    if command_shape(a, seeds) == command_shape(b, seeds) and not (everything and (a.command or b.command)):
        return None
    return Row("command", a.command or ABSENT, b.command or ABSENT)


# --- as text


def _text(app: App, found: Difference, asked: Name | None) -> Iterator[str]:
    paint = app.console.paint
    style = paint or (lambda text, name: text)
    for side, run in (("a", found.a), ("b", found.b)):
        called = escape(f"{run.experiment}/{run.name}")
        yield f"{side}  {style(run.id[:8], 'commit')}  {called}  {run.status}"
    room = app.console.width - 2
    sections = {
        "code": list(_code(found.code, style)),
        "params": row_lines(found.params, room),
        "environment": row_lines(found.environment, room),
        "data": row_lines(found.data, room),
        "metrics": _metrics(found.metrics, room, paint, asked),
        "artifacts": row_lines([Row(row.key, _artifact(row.a), _artifact(row.b)) for row in found.artifacts], room),
    }
    for title, lines in sections.items():
        if lines:
            yield ""
            yield style(title, "strong")
            yield from (f"  {line}".rstrip() for line in lines)
    if found.examples is not None:
        yield ""
        yield style("examples", "strong")
        yield from (f"  {escape(line)}" for line in _examples(found.examples))
    for side, words in found.consoles.items():
        yield ""
        yield style(f"console of {side}, its last lines", "strong")
        yield from (f"  {escape(line)}" for line in words)
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


def _metrics(rows: Sequence[MetricRow], room: int, paint: Paint | None, asked: Name | None) -> list[str]:
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
    if asked is None and all(side is None or side.n == 1 for row in rows for side in (row.a, row.b)):
        return as_text(columns, room=room, paint=paint)
    verdicts = tuple(row.judged.verdict for row in rows)
    columns[-1] = Column("verdict", verdicts, styles=tuple(VERDICT_STYLES[one] for one in verdicts), shrink=False)
    reasons = (f"{row.key}: {row.judged.reason}" for row in rows)
    return [*as_text(columns, room=room, paint=paint), "", *map(escape, reasons)]


def _examples(found: Examples) -> Iterator[str]:
    tested = found.tested
    words = f"{NAMES[tested.test]}: p = {p_text(tested.p)}, n = {tested.n_a:,}"
    if found.won is not None and found.lost is not None:
        yield f"b alone is right in {found.won:,}, a alone in {found.lost:,}; {words}"
    else:
        yield f"{found.what}: mean change {change(tested.delta, None)} ({tested.low:.4g} to {tested.high:.4g}); {words}"
    yield "of these two models on these data; trained again, they would be others"


def _chance(found: Difference) -> str:
    counts = [
        max((one.n for one in side if one), default=1)
        for side in zip(*((row.a, row.b) for row in found.metrics), strict=True)
    ]
    if min(counts) > 1 and len(found.repeats_a) == len(found.repeats_b) == 1:
        return f"mean ± standard deviation of {counts[0]} and {counts[1]} folds, which one run on each side made"
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
