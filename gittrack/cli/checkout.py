"""`gittrack checkout`: the whole state of a run, beside one's own."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import click

from gittrack.cli.main import App
from gittrack.cli.options import json_option, run_argument
from gittrack.errors import GittrackError
from gittrack.report.text import escape


@click.command(short_help="code and data of a run, in a worktree or on a branch")
@run_argument
@click.option("--worktree", metavar="DIR", help="Where to make the worktree; beside this one if not given.")
@click.option("-b", "--branch", metavar="BRANCH", help="Make a branch instead; the data go into DVC's cache.")
@click.option("--no-data", is_flag=True, help="Code and pointers only.")
@json_option
@click.pass_obj
def checkout(app: App, run: str, worktree: str | None, branch: str | None, no_data: bool, as_json: bool) -> None:
    """Bring code, pointers and data of a run into a new worktree, or onto a new branch.

    Your own worktree, index and branch stay as they are.
    """
    if worktree is not None and branch is not None:
        raise click.UsageError("choose one of --worktree and --branch")
    found = app.project.get_run(run)
    done = app.project.check_out(
        found, worktree=None if worktree is None else Path(worktree), branch=branch, data=not no_data
    )
    if as_json:
        app.console.json(
            {
                "run": found.id,
                "commit": done.commit,
                "worktree": None if done.place is None else str(done.place),
                "branch": done.branch,
                "absent": list(done.absent),
            }
        )
    elif done.place is not None:
        app.console.line(escape(f"{found.experiment}/{found.name} is in {done.place}"))
        app.console.note(escape(f"'git worktree remove {quote(str(done.place))}' takes it away again"))
    else:
        app.console.line(escape(f"branch {done.branch} is at {found.experiment}/{found.name}"))
        app.console.note(escape(f"next: git switch {quote(str(done.branch))} && dvc checkout --force"))
    for reason in done.absent:
        app.console.error(reason)
    if done.absent:
        raise click.exceptions.Exit(GittrackError.exit_code)
