"""`gittrack log`: runs as `git log` shows commits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from gittrack.cli.console import Console
from gittrack.cli.main import App
from gittrack.cli.options import complete_runs, experiment_option, json_option, limit_option
from gittrack.domain.codec import time_to_text
from gittrack.domain.metric import is_detail
from gittrack.report.numbers import duration, number
from gittrack.report.text import escape, escape_lines

if TYPE_CHECKING:
    from gittrack.domain.run import RunState
    from gittrack.run import Run

_GRAPH_RUNS, _GRAPH_COMMITS = 50, 1000


@click.command(short_help="runs as git log shows commits")
@click.argument("runs", metavar="[RUN]...", nargs=-1, shell_complete=complete_runs)
@experiment_option
@limit_option("Show the newest N runs only.")
@click.option("--oneline", is_flag=True, help="One line a run.")
@click.option("--graph", is_flag=True, help="Draw the commits of runs and of their code.")
@json_option
@click.pass_obj
def log(
    app: App,
    runs: tuple[str, ...],
    experiment: str | None,
    limit: int | None,
    oneline: bool,
    graph: bool,
    as_json: bool,
) -> None:
    """Show runs, newest first, as `git log` shows commits."""
    project = app.project
    found: Sequence[Run]
    if runs:
        found = [project.get_run(one, experiment=experiment) for one in runs][: limit or None]
    else:
        newest = limit or (_GRAPH_RUNS if graph else None)
        found = project.runs(experiment=experiment, limit=newest)
    if as_json:
        app.console.json([run.to_json() for run in found])
    elif not found:
        app.console.note("no runs yet; 'gittrack run -- COMMAND' records one")
    elif graph:
        app.console.lines(_graph(app, found, oneline))
    elif oneline:
        app.console.lines(_one_line(app.console, run.state) for run in found)
    else:
        app.console.lines(_entries(app.console, (run.state for run in found)))


def _one_line(console: Console, state: RunState) -> str:
    from gittrack.ledger.layout import run_subject

    commit = console.style((state.commit or "active")[:8].ljust(8), "commit")
    return f"{commit} {escape(run_subject(state))}"


def _entries(console: Console, states: Iterable[RunState]) -> Iterator[str]:
    for at, state in enumerate(states):
        if at:
            yield ""
        called = console.style(escape(f"{state.experiment}/{state.name}"), str(state.status))
        commit = f"commit {state.commit}" if state.commit else f"active {state.id}"
        yield f"{console.style(commit, 'commit')} ({called})"
        yield f"Author: {escape(state.author)}"
        yield f"Date:   {(time_to_text(state.started) or '')[:19].replace('T', ' ')} UTC"
        took = f" after {duration(state.duration)}" if state.duration is not None else ""
        yield f"Status: {state.status}{took}"
        if state.tags:
            tags = " ".join(f"{key}={value}" for key, value in state.tags.items())
            yield f"Tags:   {escape(tags)}"
        metrics = [f"{key}={number(value)}" for key, value in state.metrics.items() if not is_detail(key)]
        for paragraph in (escape_lines(state.description.strip()), escape(" ".join(metrics))):
            if paragraph:
                yield ""
                yield from (f"    {line}".rstrip() for line in paragraph.split("\n"))


def _graph(app: App, runs: Sequence[Run], oneline: bool) -> list[str]:
    heads = [run.commit for run in runs if run.commit is not None]
    if not heads:
        return []
    color = "always" if app.console.colored() else "never"
    out = app.project.repo.git(
        "-c",
        "log.showSignature=false",
        "log",
        "--graph",
        "--stdin",
        f"--max-count={_GRAPH_COMMITS}",
        f"--color={color}",
        *(["--oneline"] if oneline else ["--format=%C(auto)%h%Creset %s%n%C(dim)%an, %ar%Creset%n"]),
        stdin="".join(f"{head}\n" for head in heads).encode("ascii"),
    )
    return out.decode("utf-8", "replace").splitlines()
