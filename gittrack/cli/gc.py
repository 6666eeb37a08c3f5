"""`gittrack gc`: room on the disk, by the retention policy of the settings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from gittrack.cli.main import App
from gittrack.cli.options import json_option
from gittrack.data.gc import Doomed, GcPlan
from gittrack.report.numbers import counted, size
from gittrack.report.text import escape

_LISTED = 50


@click.command(short_help="free room: artifacts that no rule keeps")
@click.option("--dry-run", is_flag=True, help="Only list what would go, and how much that frees.")
@json_option
@click.pass_obj
def gc(app: App, dry_run: bool, as_json: bool) -> None:
    """Let go of the artifacts of runs that the setting artifacts.retention does not keep.

    Runs themselves stay, and whatever a git tag, an active run or a pointer on a branch names.
    Without a rule only what no run names goes: leftovers of killed processes, copies for reading.
    """
    project = app.project
    if dry_run:
        plan = project.plan_gc()
        if as_json:
            app.console.json({"freed": plan.freed, "objects": [_json(one) for one in plan.objects]})
            return
        app.console.lines(_listing(plan.objects))
        copies = counted(len(plan.views), "copy", "copies")
        app.console.line(f"would free {size(plan.freed)} in {counted(len(plan.objects), 'object')} and {copies}")
        return
    plan, done = project.gc()
    if as_json:
        app.console.json({"freed": done.bytes, "objects": done.objects, "temporaries": done.temporaries})
    else:
        app.console.line(f"freed {size(done.bytes)} in {counted(done.objects, 'object')}")
        _tell_shared(app, plan)


def _tell_shared(app: App, plan: GcPlan) -> None:
    left = sum(one.left for one in plan.objects)
    if left:
        app.console.note(f"{left:,} of them stay in DVC's cache, as data of the project; 'dvc gc' collects those")


def _listing(objects: Iterable[Doomed]) -> Iterable[str]:
    listed = list(objects)
    for one in listed[:_LISTED]:
        whose = "no run names it" if one.needed is None else str(one.needed)
        yield escape(f"{size(one.size):>9}  {one.oid[:12]}  {whose}")
    if len(listed) > _LISTED:
        yield f"... and {len(listed) - _LISTED:,} more (--json lists all)"


def _json(one: Doomed) -> dict[str, Any]:
    needed = one.needed
    return {
        "md5": one.oid,
        "size": one.size,
        "paths": [str(path) for path in one.paths],
        "run": None if needed is None else needed.run.id,
        "artifact": None if needed is None else needed.called,
    }
