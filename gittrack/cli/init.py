"""`gittrack init`: prepare a repository."""

from __future__ import annotations

import click

from gittrack.cli.main import App


@click.command(short_help="prepare this repository")
@click.option("--fetch-runs", is_flag=True, help="Let plain 'git fetch' bring runs too.")
@click.pass_obj
def init(app: App, fetch_runs: bool) -> None:
    """Prepare this repository: a settings file, and DVC if it is not set up. Safe to repeat."""
    for line in app.project.init(fetch_runs=fetch_runs):
        app.console.line(line)
