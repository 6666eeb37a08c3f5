"""`gittrack doctor` and `gittrack fsck`: is all well, and if not, what next."""

from __future__ import annotations

from collections.abc import Iterable

import click

from gittrack.cli.main import App
from gittrack.cli.options import json_option
from gittrack.errors import GateRefused, GittrackError
from gittrack.ledger.fsck import Problem, Unasked
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
    """Read every run and its data back and check them; exit code 4 if anything is damaged or lost.

    Exit code 1 when nothing is known to be, and the remote could not be asked for what is not here.
    """
    project = app.project
    spoiled: frozenset[str] = frozenset()
    if repair:
        done = project.repair()
        spoiled = done.spoiled
        if done.objects:
            fetched = f", {size(done.bytes)} of it from the remote" if done.bytes else ""
            app.console.note(f"repaired {counted(done.objects, 'object')}{fetched}")
        if done.tags:
            app.console.note(f"put {counted(done.tags, 'tag')} of models back")
        if done.exposed:
            app.console.note(f"put {counted(done.exposed, 'object')} into DVC's cache again")
    problems = project.fsck(spoiled=spoiled)
    if as_json:
        app.console.json(
            [
                {"where": one.where, "reason": one.reason, "next_step": one.next_step, "harmless": one.harmless}
                for one in problems
            ]
        )
    else:
        for step, several in _by_next_step(problems).items():
            for one in several:
                app.console.line(escape(f"{one.where}: {one.reason}"))
            if step:
                app.console.line(f"  -> {escape(step)}")
        if all(one.harmless for one in problems):
            count = project.count(deleted=True)
            app.console.line(f"{count:,} {'run' if count == 1 else 'runs'}, nothing is damaged")
    harm = [one for one in problems if not one.harmless]
    if harm and all(isinstance(one, Unasked) for one in harm):
        app.console.error(
            "nothing is known to be damaged, but the remote could not be asked for what is not here; run 'gittrack fsck' "
            "again when it answers"
        )
        raise click.exceptions.Exit(GittrackError.exit_code)
    if harm:
        raise click.exceptions.Exit(GateRefused.exit_code)


def _by_next_step(problems: Iterable[Problem]) -> dict[str, list[Problem]]:
    """What one step mends stands together, in the order in which it was found."""
    found: dict[str, list[Problem]] = {}
    for one in problems:
        found.setdefault(one.next_step, []).append(one)
    return found
