"""`gittrack hooks`: the guards that git calls."""

from __future__ import annotations

import click

from gittrack.cli.main import App
from gittrack.cli.options import json_option
from gittrack.report.table import Column
from gittrack.report.text import escape


@click.group(short_help="guards that git calls before a commit or a push")
def hooks() -> None:
    """Guards that git calls before it commits, merges, rebases or pushes."""


@hooks.command(short_help="let git call the guards in this clone")
@click.pass_obj
def install(app: App) -> None:
    """Let git call the guards in this clone, after the hooks that are there. Safe to repeat."""
    from gittrack.git.repository import Repository
    from gittrack.hooks.install import install as put_in

    for line in put_in(Repository.discover()):
        app.console.line(escape(line))


@hooks.command(short_help="put the hooks back as they were")
@click.pass_obj
def uninstall(app: App) -> None:
    """Put the hooks of this clone back as they were before 'install'."""
    from gittrack.git.repository import Repository
    from gittrack.hooks.install import uninstall as take_out

    for line in take_out(Repository.discover()):
        app.console.line(escape(line))


@hooks.command(
    context_settings={"ignore_unknown_options": True}, short_help="ask one guard, or those of one of git's hooks"
)
@click.argument("name", metavar="NAME")
@click.argument("arguments", metavar="[ARGUMENT...]", nargs=-1, type=click.UNPROCESSED)
def run(name: str, arguments: tuple[str, ...]) -> None:
    """Ask one guard, or all guards of one of git's hooks; exit code 1 if one of them refuses.

    The arguments are those that git gives to the hook. 'gittrack hooks ls' shows the names.
    """
    from gittrack.hooks.main import main

    raise click.exceptions.Exit(main([name, *arguments]))


@hooks.command(short_help="the guards, and whether git calls them here")
@json_option
@click.pass_obj
def ls(app: App, as_json: bool) -> None:
    """List the guards, the hooks in which git would call them, and whether it does so here."""
    from gittrack.git.repository import Repository
    from gittrack.hooks.guards import GUARDS
    from gittrack.hooks.install import look

    here = look(Repository.discover())
    called = {one.name: [hook for hook in one.hooks if hook in here.hooks] for one in GUARDS}
    if as_json:
        app.console.json(
            {
                "way": here.way,
                "folder": str(here.folder),
                "guards": [
                    {"name": one.name, "about": one.about, "hooks": list(one.hooks), "called": called[one.name]}
                    for one in GUARDS
                ],
            }
        )
        return
    app.console.table(
        [
            Column("guard", tuple(one.name for one in GUARDS)),
            Column("hooks", tuple(", ".join(one.hooks) or "by hand" for one in GUARDS), rank=1),
            Column("about", tuple(one.about for one in GUARDS)),
        ]
    )
    if here.way is None:
        app.console.note("git calls no guard here; 'gittrack hooks install' lets it")
    elif here.lacking:
        app.console.note(
            f"installed {here.says}; not called by {', '.join(here.lacking)}: 'gittrack hooks install' again"
        )
    else:
        app.console.note(f"installed {here.says}")
