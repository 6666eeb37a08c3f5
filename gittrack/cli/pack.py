"""`gittrack pack`: runs folded into the ledger, and what they are made of in few files."""

from __future__ import annotations

import click

from gittrack.cli.main import App
from gittrack.cli.options import json_option
from gittrack.report.numbers import counted


@click.command(short_help="keep the repository light")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing when all is well.")
@json_option
@click.pass_obj
def pack(app: App, quiet: bool, as_json: bool) -> None:
    """Fold runs into this clone's ledger, and their loose objects into packs that `git gc` leaves alone.

    It happens by itself every hundred runs, unless git's own gc.auto is 0. The newest 100 runs keep a ref each.
    """
    done = app.project.pack()
    if as_json:
        app.console.json(
            {
                "ledger": done.folded.ledger,
                "members": done.folded.members,
                "refs_dropped": done.folded.dropped,
                "objects": done.objects,
                "packs_joined": done.joined,
            }
        )
    elif not quiet:
        app.console.line(
            f"folded {counted(done.folded.members, 'run or amendment', 'runs and amendments')}, "
            f"packed {counted(done.objects, 'object')}"
        )
    for one in done.folded.damaged:
        app.console.error(f"{one.where} cannot be folded: {one.reason}; see 'gittrack fsck'")
