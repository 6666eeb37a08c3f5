"""`gittrack recover`: runs whose process vanished become records."""

from __future__ import annotations

import click

from gittrack.cli.main import App
from gittrack.cli.options import json_option
from gittrack.errors import GittrackError
from gittrack.report.text import escape


@click.command(short_help="record runs whose process vanished")
@click.option(
    "--force",
    metavar="RUN",
    multiple=True,
    help="Also a run on another machine, which cannot be seen from here: only if it is gone.",
)
@json_option
@click.pass_obj
def recover(app: App, force: tuple[str, ...], as_json: bool) -> None:
    """Record runs whose process vanished, with all that they had logged.

    Every command that reads runs does this too.
    """
    found = app.project.recover(force=force)
    if as_json:
        app.console.json(
            [
                {
                    "id": one.run_id,
                    "commit": one.commit,
                    "folder": str(one.folder),
                    "problem": one.problem,
                }
                for one in found
            ]
        )
    else:
        for one in found:
            if one.commit is not None:
                app.console.line(f"recovered run {one.run_id[:8]} as commit {one.commit[:8]}")
        unseen = [view.state for view in app.project.live() if view.unknown]
        for state in unseen:
            app.console.note(
                f"{state.name} ({state.id[:8]}) was started on {state.host}, which cannot be seen "
                f"from here; if it is gone: gittrack recover --force {state.id[:8]}"
            )
        if not found and not unseen:
            app.console.line("no run is lost")
    for one in found:
        if one.problem is not None:
            app.console.error(escape(f"run {one.run_id[:8]} in {one.folder}: {one.problem}"))
    if any(one.problem for one in found):
        raise click.exceptions.Exit(GittrackError.exit_code)
