"""`gittrack init`: prepare a repository."""

from __future__ import annotations

import click

from gittrack.cli.main import App


@click.command(short_help="prepare this repository")
@click.pass_obj
def init(app: App) -> None:
    """Prepare this repository: a settings file, and DVC if it is not set up. Safe to repeat."""
    for line in app.project.init():
        app.console.line(line)
