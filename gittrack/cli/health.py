"""`gittrack doctor` and `gittrack fsck`: is all well, and if not, what next."""

from __future__ import annotations

import click

from gittrack.cli.main import App
from gittrack.cli.options import json_option
from gittrack.errors import GateRefused, GittrackError
from gittrack.report.numbers import counted, size
from gittrack.report.text import escape, pad, width

_SIGNS = {True: ("ok", "good"), None: ("note", "warn"), False: ("wrong", "bad")}


@click.command(short_help="is everything as it should be")
@json_option
@click.pass_obj
def doctor(app: App, as_json: bool) -> None:
    """Look whether everything that gittrack needs is as it should be; exit code 1 if not."""
    from gittrack.doctor import examine

    checks = examine(app.project)
    if as_json:
        app.console.json(
            [{"name": one.name, "ok": one.ok, "text": one.text, "next_step": one.next_step} for one in checks]
        )
    else:
        room = max((width(one.name) for one in checks), default=0)
        for one in checks:
            word, style = _SIGNS[one.ok]
            sign = app.console.style(pad(word, 5), style)
            app.console.line(f"{sign}  {pad(one.name, room)}  {escape(one.text)}")
            if one.next_step:
                app.console.line(f"{' ' * (room + 9)}-> {escape(one.next_step)}")
    if any(one.ok is False for one in checks):
        raise click.exceptions.Exit(GittrackError.exit_code)


@click.command(short_help="check every run and its data for damage")
@click.option("--repair", is_flag=True, help="Make whole what can be: from another copy here, or from the remote.")
@json_option
@click.pass_obj
def fsck(app: App, repair: bool, as_json: bool) -> None:
    """Read every run and its data back and check them; exit code 4 if anything is damaged or lost."""
    project = app.project
    if repair:
        done = project.repair()
        if done.objects:
            fetched = f", {size(done.bytes)} of it from the remote" if done.bytes else ""
            app.console.note(f"repaired {counted(done.objects, 'object')}{fetched}")
        if done.exposed:
            app.console.note(f"put {counted(done.exposed, 'object')} into DVC's cache again")
    problems = project.fsck()
    if as_json:
        app.console.json(
            [
                {"where": one.where, "reason": one.reason, "next_step": one.next_step, "harmless": one.harmless}
                for one in problems
            ]
        )
    else:
        for one in problems:
            app.console.line(escape(f"{one.where}: {one.reason}"))
            if one.next_step:
                app.console.line(f"  -> {escape(one.next_step)}")
        if all(one.harmless for one in problems):
            count = project.count(deleted=True)
            app.console.line(f"{count:,} {'run' if count == 1 else 'runs'}, nothing is damaged")
    if not all(one.harmless for one in problems):
        raise click.exceptions.Exit(GateRefused.exit_code)
