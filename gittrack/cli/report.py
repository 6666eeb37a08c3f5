"""`gittrack report`: what a change did to the metrics, for people, programs and pull requests."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gittrack.cli.main import App
from gittrack.cli.options import chosen_form, form_options
from gittrack.errors import GittrackError, ReportRefused, UnknownRun, UsageError
from gittrack.report.compared import VERDICT_STYLES, row_lines, sample_text
from gittrack.report.numbers import change, column, counted
from gittrack.report.table import Column, Paint, as_text
from gittrack.report.text import escape
from gittrack.review.headline import headline, in_a_line
from gittrack.review.review import Review, Section, review

if TYPE_CHECKING:
    from gittrack.report.lanes import Parallel
    from gittrack.review.curves import Curves
    from gittrack.review.hosts import Host
    from gittrack.review.sides import Side


# What a page has room for.
_PAGE_CURVES, _PAGE_RUNS, _PAGE_LANES = 10, 200, 12


@click.command(short_help="what a change did to the metrics")
@click.argument("span", metavar="[BASE..HEAD]", required=False)
@click.option("-e", "--experiment", metavar="EXP", help="Only this experiment.")
@click.option("--html", metavar="FILE", type=click.Path(dir_okay=False), help="Write a page that needs nothing else.")
@click.option(
    "--images", metavar="DIR", type=click.Path(file_okay=False), help="Draw the learning curves into PNGs there."
)
@click.option("--images-url", metavar="URL", help="Where DIR will be found by who reads the Markdown.")
@click.option("--gate", is_flag=True, help="Exit with 4 when a metric that gates regressed.")
@click.option(
    "--comment", is_flag=True, help="Post it to the pull request that CI runs for, and with a gate its state."
)
@click.option("--pull-request", "number", metavar="N", help="Comment on this pull request.")
@click.option("--key", metavar="WORD", default="default", help="Keep several comments and states apart.")
@form_options("json", "md")
@click.pass_obj
def report(
    app: App,
    span: str | None,
    experiment: str | None,
    html: str | None,
    images: str | None,
    images_url: str | None,
    gate: bool,
    comment: bool,
    number: str | None,
    key: str,
) -> None:
    """Compare the runs of a change with those before it, and judge.

    The change is what HEAD has since it left the default branch, or in CI the branch that it is to go into.
    """
    if images_url is not None and images is None:
        raise UsageError("--images-url says where pictures will be found; --images DIR draws them")
    if number is not None and not comment:
        raise UsageError("--pull-request names where to comment; add --comment")
    form = chosen_form()
    host = _host(number) if comment else None
    try:
        found = review(app.project, span, os.environ, experiment=experiment)
    except UnknownRun as error:
        if host is not None:
            _say_nothing_ran(app, host, str(error), key)
        raise
    trouble: list[GittrackError | OSError] = []
    curves = _curves(app, found) if form == "md" or comment or images else {}
    pictures: Mapping[str, str] = {}
    if images is not None:
        with _for_later(trouble):
            pictures = _draw(curves, Path(images), images_url or images)
    if html is not None:
        with _for_later(trouble):
            _write_page(app, found, Path(html), gate)
    markdown = _markdown(found, curves, pictures, key, gate) if form == "md" or comment else ""
    if form == "json":
        app.console.json(found.to_json())
    elif form == "md":
        app.console.write(markdown)
    elif html is None or comment:
        app.console.lines(_text(app, found, gate))
    if host is not None:
        _post(app, host, found, markdown, key, gate, trouble)
    _end(app, found, gate, trouble)


@contextmanager
def _for_later(trouble: list[GittrackError | OSError]) -> Iterator[None]:
    """What fails keeps nothing else from being done: it is said at the end."""
    try:
        yield
    except (GittrackError, OSError) as error:
        trouble.append(error)


def _end(app: App, found: Review, gate: bool, trouble: Sequence[GittrackError | OSError]) -> None:
    """Fail with what the gate says, else with what went wrong first; the rest is said."""
    failures = [*([ReportRefused(_no(found))] if gate and found.refused else []), *trouble]
    for one in failures[1:]:
        app.console.note(_said(one))
    if failures:
        raise failures[0]


def _said(error: GittrackError | OSError) -> str:
    if isinstance(error, OSError):
        return f"{os.fsdecode(error.filename)}: {error.strerror}" if error.filename else str(error)
    return str(error)


def _no(found: Review) -> str:
    return f"the gate says no: {'; '.join(found.refused)}"


def _curves(app: App, found: Review) -> dict[str, list[Curves]]:
    from gittrack.review.curves import curves

    return {one.pair.experiment: curves(app.project, one) for one in found.shown}


def _markdown(
    found: Review, curves: Mapping[str, Sequence[Curves]], pictures: Mapping[str, str], key: str, gate: bool
) -> str:
    from gittrack.review.markdown import as_markdown

    return as_markdown(found, curves, images=pictures, key=key, gate=gate)


def _draw(curves: Mapping[str, Sequence[Curves]], folder: Path, address: str) -> dict[str, str]:
    """A picture for each experiment that has curves; returns where readers find it."""
    from gittrack.report.picture import curves_picture

    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for at, (experiment, several) in enumerate(curves.items()):
        if several:
            name = f"curves-{at}.png"
            curves_picture({one.key: one.chart() for one in several}, folder / name)
            found[experiment] = f"{address.rstrip('/')}/{name}"
    return found


def _write_page(app: App, found: Review, path: Path, gate: bool) -> None:
    from gittrack.review.curves import curves
    from gittrack.review.page import Pictures, as_page

    pictures = {
        one.pair.experiment: Pictures(
            curves(app.project, one, metrics=_PAGE_CURVES, repeats=_PAGE_RUNS), _parallel(app, one)
        )
        for one in found.shown
    }
    path.write_text(as_page(found, pictures, gate=gate), encoding="utf-8", errors="replace")


def _parallel(app: App, section: Section) -> Parallel | None:
    """The newest runs of the experiment by their params and the first metric that counts; None where no param varies."""
    from gittrack.report.keys import Key, varying
    from gittrack.report.lanes import parallel

    runs = app.project.runs("status = finished", experiment=section.pair.experiment, limit=_PAGE_RUNS)
    states = [run.state for run in runs]
    params = varying(states)[:_PAGE_LANES]
    if not params or not section.metrics:
        return None
    return parallel(states, [Key("params", name) for name in params], Key("metrics", section.metrics[0].key))


# --- to a host


def _host(number: str | None) -> Host:
    from gittrack.review.hosts import find_host

    return find_host(os.environ, number)


def _say_nothing_ran(app: App, host: Host, why: str, key: str) -> None:
    from gittrack.review.hosts import post
    from gittrack.review.markdown import marker, sentence

    try:
        post(host, marker(key), f"{marker(key)}\n### gittrack: no run of this change\n\n{sentence(why)}.\n")
    except GittrackError as error:
        app.console.note(str(error))


def _post(
    app: App, host: Host, found: Review, text: str, key: str, gate: bool, trouble: list[GittrackError | OSError]
) -> None:
    """Comment and the job's summary, and with a gate the commit's state; what the host refuses is added to the trouble."""
    from gittrack.review.hosts import context, head_commit, post
    from gittrack.review.markdown import marker, within

    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        try:
            with open(summary, "a", encoding="utf-8") as file:
                file.write(text + "\n")
        except OSError as error:
            app.console.note(f"the job's summary {summary} cannot be written: {error.strerror}")
    with _for_later(trouble):
        app.console.note(f"commented: {post(host, marker(key), within(text, host.room))}")
    if gate:
        said = escape(_no(found) if found.refused else in_a_line(headline(found)))
        with _for_later(trouble):
            commit = head_commit(os.environ, found.span.tip)
            host.set_state(commit, "failure" if found.refused else "success", said, context(key))


# --- as text


def _text(app: App, found: Review, gate: bool) -> Iterator[str]:
    paint = app.console.paint
    style = paint or (lambda text, name: text)
    yield style(escape(in_a_line(headline(found))), VERDICT_STYLES[found.word])
    room = app.console.width - 2
    for section in found.shown:
        yield ""
        yield style(escape(section.pair.experiment), "strong")
        for called, side in (("base", section.pair.a), ("head", section.pair.b)):
            if side is not None:
                yield f"  {called}  {_side(side, style)}"
        if section.metrics:
            yield ""
            yield from (f"  {line}".rstrip() for line in _metrics(section, room, paint))
        for title, rows in (("params", section.params), ("data", section.data), ("environment", section.environment)):
            if rows:
                yield ""
                yield f"  {style(title, 'strong')}"
                yield from (f"  {line}".rstrip() for line in row_lines(rows, room, ("base", "head")))
        if section.warnings:
            yield ""
            yield from (f"  {style('warning', 'warn')}: {escape(warning)}" for warning in section.warnings)
    if found.code.files:
        yield ""
        yield f"{counted(len(found.code.files), 'file')} changed in {counted(len(found.span.head), 'commit')}"
    # With a gate the command ends with that.
    for reason in () if gate else found.refused:
        yield style(f"a gate would say no: {escape(reason)}", "bad")


def _side(side: Side, style: Paint) -> str:
    count = counted(len(side.runs), "run")
    return f"{style(side.run.id[:8], 'commit')}  {escape(side.run.name)}  on {side.commit[:8]}, {count}"


def _metrics(section: Section, room: int, paint: Paint | None) -> list[str]:
    rows = section.metrics
    pairs = [column([None if one is None else one.mean for one in (row.a, row.b)]) for row in rows]
    verdicts = tuple("" if row.goal is None else row.judged.verdict for row in rows)
    columns = [
        Column("", tuple(row.key + (" (gate)" if row.key in section.gates else "") for row in rows)),
        Column("base", tuple(sample_text(row.a, a) for row, (a, _) in zip(rows, pairs, strict=True)), align="right"),
        Column("head", tuple(sample_text(row.b, b) for row, (_, b) in zip(rows, pairs, strict=True)), align="right"),
        Column("change", tuple("" if not row.delta else change(row.delta, row.delta_pct) for row in rows)),
        Column("verdict", verdicts, styles=tuple(VERDICT_STYLES.get(one, "") for one in verdicts), shrink=False),
    ]
    reasons = [f"{row.key}: {row.judged.reason}" for row in rows if row.goal is not None and row.judged.tested]
    return [*as_text(columns, room=room, paint=paint), *([""] if reasons else []), *map(escape, reasons)]
