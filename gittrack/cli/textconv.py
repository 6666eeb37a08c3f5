"""`gittrack textconv`: what `git diff` calls for files of a run (gitattributes(5))."""

from __future__ import annotations

import click

from gittrack.report.readable import show


@click.command(hidden=True)
@click.argument("file", type=click.Path())
def textconv(file: str) -> None:
    """Print a file of a run as git diff should show it; any other as it is."""
    show(file)
