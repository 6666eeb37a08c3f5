"""`gittrack curve`: learning curves in the terminal, as points, or as a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gittrack.cli.main import App
from gittrack.cli.options import chosen_form, complete_runs, table_options
from gittrack.domain.codec import strict, time_to_text
from gittrack.domain.metric import is_detail
from gittrack.errors import AmbiguousRun, UnknownRun, UsageError
from gittrack.report.numbers import exact
from gittrack.report.series import Curve, continued, series

if TYPE_CHECKING:
    from gittrack.domain.metric import History
    from gittrack.run import Run

_TALLEST = 24


@click.command(short_help="learning curves")
@click.argument("words", metavar="RUN... KEY...", nargs=-1, shell_complete=complete_runs)
@click.option("--png", metavar="FILE", type=click.Path(dir_okay=False), help="Draw into a PNG.")
@click.option("--html", metavar="FILE", type=click.Path(dir_okay=False), help="Draw into a page.")
@click.option("--all-attempts", is_flag=True, help="Keep points that a resumed run went over again.")
@table_options
@click.pass_obj
def curve(app: App, words: tuple[str, ...], png: str | None, html: str | None, all_attempts: bool) -> None:
    """Draw metrics over steps.

    A word is a run, or else a metric or a pattern like 'val/*'. Without a run: the newest one;
    without a metric: those that have a goal, or else all but system/.
    """
    form = chosen_form()
    runs, keys = _sort_out(app, words)
    curves = _read(runs, keys)
    if form == "json":
        app.console.json([_to_json(run, key, one, all_attempts) for run, key, one in curves])
    elif form in ("csv", "md"):
        app.console.table(_point_columns(curves, all_attempts), form=form)
    charts = _charts(curves, all_attempts)
    title = "gittrack: " + ", ".join(run.name for run in runs)
    if png is not None:
        from gittrack.report.picture import curves_picture

        curves_picture(charts, png)
    if html is not None:
        from gittrack.report.page import curves_page

        Path(html).write_text(curves_page(charts, title), encoding="utf-8", errors="replace")
    if png is None and html is None and form == "text":
        _draw(app, charts)


def _sort_out(app: App, words: Sequence[str]) -> tuple[list[Run], list[str]]:
    """The runs among the words, and the metrics of those runs that the others name."""
    runs: list[Run] = []
    patterns: list[str] = []
    for word in words:
        try:
            run = app.project.get_run(word)
        except AmbiguousRun:
            if word not in app.project.keys("metrics"):
                raise
            patterns.append(word)
        except UnknownRun:
            patterns.append(word.removeprefix("metrics."))
        else:
            if all(run.id != other.id for other in runs):
                runs.append(run)
    if not runs:
        if patterns and not _matching(patterns, app.project.keys("metrics")):
            raise UnknownRun(f"there is neither a run nor a metric {patterns[0]!r}; see 'gittrack ls'")
        runs = [app.project.get_run("@")]
    known = list(dict.fromkeys(key for run in runs for key in run.metrics))
    if not patterns:
        return runs, _usual(app, known, runs)
    for pattern in patterns:
        if not _matching([pattern], known):
            raise UsageError(_unmatched(pattern, runs, known))
    return runs, _matching(patterns, known)


def _matching(patterns: Iterable[str], known: Iterable[str]) -> list[str]:
    known = list(known)
    found = [
        key
        for pattern in patterns
        for key in known
        if key == pattern or (pattern not in known and fnmatchcase(key, pattern))
    ]
    return list(dict.fromkeys(found))


def _usual(app: App, known: Sequence[str], runs: Sequence[Run]) -> list[str]:
    ours = [key for key in known if not is_detail(key)]
    wanted = [key for key in ours if app.project.settings.goal(key)]
    if not ours:
        names = ", ".join(run.name for run in runs)
        raise UsageError(f"{names} has no metric of its own to draw; name one, like 'system/*'")
    return wanted or ours


def _unmatched(pattern: str, runs: Sequence[Run], known: Sequence[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(pattern, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known)[:10])}"
    names = ", ".join(run.name for run in runs)
    return f"{pattern!r} is neither a run nor a metric of {names}; {hint if known else 'it has none'}"


def _read(runs: Sequence[Run], keys: Sequence[str]) -> list[tuple[Run, str, History]]:
    """Every metric of every run that has it; metric by metric, as they are drawn."""
    histories = {run.id: run.histories(keys) for run in runs}
    return [(run, key, histories[run.id][key]) for key in keys for run in runs if key in histories[run.id]]


def _charts(curves: Sequence[tuple[Run, str, History]], all_attempts: bool) -> dict[str, list[Curve]]:
    names = [run.name for run in {run.id: run for run, _, _ in curves}.values()]
    charts: dict[str, list[Curve]] = {}
    for run, key, history in curves:
        label = run.name if names.count(run.name) < 2 else f"{run.name} ({run.id[:8]})"
        line = series(label, history, all_attempts=all_attempts)
        charts.setdefault(key, []).append(Curve(line))
    return charts


def _draw(app: App, charts: dict[str, list[Curve]]) -> None:
    from gittrack.report.terminal import draw

    console = app.console
    high = min(_TALLEST, max(12, console.height - 2))
    lines: list[str] = []
    for key, drawn in charts.items():
        if lines:
            lines.append("")
        lines += draw(drawn, columns=min(console.width, 160), rows=high, title=key, paint=console.paint)
    console.lines(lines)


# --- points


def _to_json(run: Run, key: str, history: History, all_attempts: bool) -> dict[str, Any]:
    points = [
        {
            "step": history.steps[at],
            "value": strict(history.values[at]),
            "time": time_to_text(history.times[at]),
            **({"attempt": history.attempts[at]} if history.attempts else {}),
        }
        for at in _kept(history, all_attempts)
    ]
    return {"run": run.id, "name": run.name, "key": key, "points": points}


def _kept(history: History, all_attempts: bool) -> Sequence[int]:
    return range(len(history)) if all_attempts else continued(history)


def _point_columns(curves: Sequence[tuple[Run, str, History]], all_attempts: bool) -> list[Any]:
    from gittrack.report.table import Column

    rows = [
        (
            run.id,
            run.name,
            key,
            str(history.steps[at]),
            exact(history.values[at]),
            time_to_text(history.times[at]) or "",
            str(history.attempts[at] if history.attempts else 1),
        )
        for run, key, history in curves
        for at in _kept(history, all_attempts)
    ]
    titles = ("run", "name", "key", "step", "value", "time", "attempt")
    return [Column(title, tuple(row[at] for row in rows)) for at, title in enumerate(titles)]
