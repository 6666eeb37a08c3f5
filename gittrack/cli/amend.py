"""`gittrack tag`, `describe`, `rm`, `restore`: later changes to what is known of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gittrack.cli.main import App
from gittrack.cli.options import complete_runs, json_option, run_argument, runs_argument
from gittrack.domain.param import parse_assignment
from gittrack.errors import UsageError
from gittrack.report.text import escape

if TYPE_CHECKING:
    from gittrack.run import Run


@click.command(short_help="set, remove or show run tags")
@run_argument
@click.argument("assignments", metavar="[K=V]...", nargs=-1)
@click.option("-d", "--delete", "untag", metavar="K", multiple=True, help="Remove a run tag.")
@json_option
@click.pass_obj
def tag(app: App, run: str, assignments: tuple[str, ...], untag: tuple[str, ...], as_json: bool) -> None:
    """Set run tags with K=V, remove them with -d K; with neither, show them."""
    found = app.project.get_run(run)
    if assignments or untag:
        found = app.project.amend(
            found, tags=dict(parse_assignment(one, "run tag") for one in assignments), untag=untag
        )
    if as_json:
        app.console.json(found.to_json())
        return
    for key, value in sorted(found.tags.items()):
        app.console.line(escape(f"{key}={value}"))


@click.command(short_help="describe or rename a run")
@run_argument
@click.option("-m", "--message", metavar="TEXT", help="The description; an empty one removes it.")
@click.option("--name", metavar="NEW", help="Call the run something else.")
@json_option
@click.pass_obj
def describe(app: App, run: str, message: str | None, name: str | None, as_json: bool) -> None:
    """Describe a run in words, or rename it."""
    if message is None and name is None:
        raise click.UsageError("say what to change with -m TEXT or --name NEW")
    found = app.project.amend(app.project.get_run(run), description=message, name=name)
    if as_json:
        app.console.json(found.to_json())
    else:
        app.console.line(f"described {_called(found)}")


@click.command(short_help="delete runs, so that they can be restored")
@runs_argument
@json_option
@click.pass_obj
def rm(app: App, runs: tuple[str, ...], as_json: bool) -> None:
    """Delete runs: no table shows them any more, and `gittrack restore` brings them back."""
    found = _all(app, runs, deleted=False)
    changed = [app.project.amend(run, deleted=True) for run in found]
    if as_json:
        app.console.json([run.to_json() for run in changed])
        return
    for run in changed:
        app.console.line(f"deleted {_called(run)}; 'gittrack restore {run.id[:8]}' brings it back")


@click.command(short_help="bring deleted runs back")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, shell_complete=complete_runs)
@json_option
@click.pass_obj
def restore(app: App, runs: tuple[str, ...], as_json: bool) -> None:
    """Bring deleted runs back; `gittrack ls --deleted` shows them."""
    found = _all(app, runs, deleted=True)
    for run in found:
        if not run.state.deleted:
            raise UsageError(f"run {_called(run)} is not deleted; there is nothing to restore")
    changed = [app.project.amend(run, deleted=False) for run in found]
    if as_json:
        app.console.json([run.to_json() for run in changed])
        return
    for run in changed:
        app.console.line(f"restored {_called(run)}")


def _all(app: App, names: tuple[str, ...], *, deleted: bool) -> list[Run]:
    """All of the runs before any is changed, so that a wrong name changes nothing; each once."""
    found = {}
    for name in names:
        run = app.project.get_run(name, deleted=deleted)
        if run.state.deleted and not deleted:
            raise UsageError(f"run {_called(run)} is deleted already")
        found[run.id] = run
    return list(found.values())


def _called(run: Run) -> str:
    return escape(f"{run.experiment}/{run.name} ({run.id[:8]})")
