"""`gittrack gc`: room on the disk, by the retention policy of the settings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from gittrack.cli.main import App
from gittrack.cli.options import json_option
from gittrack.data.gc import Doomed, GcPlan
from gittrack.errors import GittrackError, OnlyCopy
from gittrack.report.numbers import counted, size
from gittrack.report.text import escape

_LISTED = 50
_IDLE = 90.0  # days


@click.command(short_help="free room: artifacts that no rule keeps")
@click.argument("runs", metavar="[RUN]...", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Only list what would go, and how much that frees.")
@click.option("--force", is_flag=True, help="Also what no remote has, or when the remote cannot be asked.")
@click.option("--purge", is_flag=True, help="Delete these runs for good, from this clone's ledger too.")
@click.option("--reason", metavar="TEXT", default="", help="Why they are purged; others can read it.")
@click.option("--merge-ledgers", is_flag=True, help="Take in the ledgers of clones that are gone.")
@click.option(
    "--idle",
    metavar="DAYS",
    type=click.FloatRange(0, 36_500),
    help="Gone is who has not written for so many days (90).",
)
@click.option("--local", is_flag=True, help="Merge ledgers here only.")
@click.option("--push", is_flag=True, help="Replace this clone's ledger on the remote by the purged one.")
@click.option("--remote", metavar="REMOTE", help="The git remote to purge or to merge ledgers on.")
@json_option
@click.pass_obj
def gc(
    app: App,
    runs: tuple[str, ...],
    dry_run: bool,
    force: bool,
    purge: bool,
    reason: str,
    merge_ledgers: bool,
    idle: float | None,
    local: bool,
    push: bool,
    remote: str | None,
    as_json: bool,
) -> None:
    """Let go of the artifacts of runs that the setting artifacts.retention does not keep.

    Runs themselves stay, and whatever a git tag, an active run or a pointer on a branch names.
    Without a rule only what no run names goes: leftovers of killed processes, copies for reading.
    Where there is a DVC remote, nothing goes that it does not have, unless with --force.

    With --purge the runs that are named go for good, with all that was said of them.
    """
    project = app.project
    if dry_run and (purge or merge_ledgers):
        raise click.UsageError("--dry-run is for artifacts; --purge and --merge-ledgers do what they say at once")
    if purge and merge_ledgers:
        raise click.UsageError("choose one of --purge and --merge-ledgers")
    if not purge and (runs or push or reason):
        raise click.UsageError(
            "only --purge takes runs, --push and --reason, as in 'gittrack gc --purge --push'; 'gittrack rm' hides runs and keeps them"
        )
    if idle is not None and idle != idle:
        raise click.BadParameter("a number of days is wanted", param_hint="--idle")
    if not merge_ledgers and (local or idle is not None):
        raise click.UsageError("only --merge-ledgers takes --idle and --local")
    if remote is not None and not (merge_ledgers or (purge and push)):
        raise click.UsageError("only --merge-ledgers and --purge --push take --remote")
    if force and (purge or merge_ledgers):
        raise click.UsageError("--force is for artifacts alone")
    if purge:
        _purge(app, runs, reason, push, remote, as_json)
        return
    if merge_ledgers:
        _merge(app, remote, _IDLE if idle is None else idle, local, as_json)
        return
    if dry_run:
        plan = project.plan_gc()
        if as_json:
            app.console.json({"freed": plan.freed, "objects": [_json(one) for one in plan.objects]})
            return
        app.console.lines(_listing(plan.objects))
        copies = counted(len(plan.views), "copy", "copies")
        app.console.line(f"would free {size(plan.freed)} in {counted(len(plan.objects), 'object')} and {copies}")
        try:
            plan.refuse_only_copies()
        except OnlyCopy as error:
            app.console.note(f"without --force it would be refused: {error}")
        return
    plan, done = project.gc(force=force)
    if as_json:
        app.console.json(
            {"freed": done.bytes, "objects": done.objects, "temporaries": done.temporaries, "spares": done.spares}
        )
    else:
        app.console.line(f"freed {size(done.bytes)} in {counted(done.objects, 'object')}")
        if done.spares:
            app.console.line(f"took away {counted(done.spares, 'spare worktree')} of isolated runs")
        _tell_shared(app, plan)
        _tell_only_copies(app, plan)


def _purge(app: App, runs: tuple[str, ...], reason: str, push: bool, remote: str | None, as_json: bool) -> None:
    project = app.project
    done = project.purge(runs, reason=reason) if runs or not push or project.purged_here() else None
    pushed = project.push_purged(remote) if push else None
    if as_json:
        reached = {} if done is None else {run: list(refs) for run, refs in done.reached.items()}
        app.console.json(
            {
                "objects": 0 if done is None else done.objects,
                "reached": reached,
                "replaced": None if pushed is None else pushed.replaced,
                "removed": [] if pushed is None else list(pushed.removed),
            }
        )
        return
    if done is not None:
        what = f"purged {counted(len(done.runs), 'run')}" if done.runs else "took what earlier purges had left"
        app.console.line(f"{what}, {counted(done.objects, 'object')} of git gone")
        if done.waiting:
            app.console.note("a run is active, so their objects stay; 'gittrack gc --purge' takes them when it is over")
        for run, refs in done.reached.items():
            few = ", ".join(refs[:3]) + (f" and {len(refs) - 3:,} more" if len(refs) > 3 else "")
            app.console.note(f"run {run[:8]} can still be reached from {escape(few)}")
        if not push:
            app.console.note("a remote that has them keeps them until 'gittrack gc --purge --push'")
    if pushed is not None:
        app.console.line(
            "the remote has this clone's ledger as it is now" if pushed.replaced else "the remote had it so already"
        )
        if pushed.removed:
            app.console.line(f"took {counted(len(pushed.removed), 'ref')} of purged runs away there")


def _merge(app: App, remote: str | None, idle: float, local: bool, as_json: bool) -> None:
    done = app.project.merge_ledgers(remote, idle_days=idle, local=local)
    if as_json:
        app.console.json({"ledgers": list(done.ledgers), "members": done.members, "refused": dict(done.refused)})
    else:
        ledgers = counted(len(done.ledgers), "ledger")
        app.console.line(f"merged {ledgers}, with {done.members:,} runs and amendments that this one lacked")
    for name, why in done.refused.items():
        app.console.error(f"ledger {escape(name)} stays: {escape(why)}")
    if done.refused:
        raise click.exceptions.Exit(GittrackError.exit_code)


def _tell_shared(app: App, plan: GcPlan) -> None:
    left = sum(one.left for one in plan.objects)
    if left:
        app.console.note(f"{left:,} of them stay in DVC's cache, as data of the project; 'dvc gc' collects those")


def _tell_only_copies(app: App, plan: GcPlan) -> None:
    lost = plan.only_copies
    if lost and plan.remote is not None and not plan.remote.configured:
        runs = len({one.needed.run.id for one in lost if one.needed is not None})
        app.console.note(
            f"they were the only copies of {counted(len(lost), 'object')} of {counted(runs, 'run')}, since there is no "
            "DVC remote; 'dvc remote add -d store URL' and 'gittrack push' would keep the next ones"
        )


def _listing(objects: Iterable[Doomed]) -> Iterable[str]:
    listed = list(objects)
    for one in listed[:_LISTED]:
        whose = "no run names it" if one.needed is None else str(one.needed)
        only = "" if not one.is_destroyed or one.on_remote else ", the only copy"
        if only and one.on_remote is None:
            only = ", perhaps the only copy"
        yield escape(f"{size(one.size):>9}  {one.oid[:12]}  {whose}{only}")
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
        "on_remote": one.on_remote,
    }
