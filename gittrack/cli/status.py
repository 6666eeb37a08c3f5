"""`gittrack status`: what is running, what was lost, and would a run be refused."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from gittrack.cli.main import App
from gittrack.cli.options import json_option
from gittrack.domain.codec import state_to_json, strict
from gittrack.domain.metric import is_detail
from gittrack.report.numbers import ago, duration, number
from gittrack.report.table import Column
from gittrack.report.text import escape

if TYPE_CHECKING:
    from gittrack.git.worktree import WorktreeStatus
    from gittrack.tracking.recover import LiveView

_SHOWN_METRICS = 4
_SHOWN_CHANGES = 20


@click.command(short_help="active runs, lost runs, and the tree")
@json_option
@click.pass_obj
def status(app: App, as_json: bool) -> None:
    """Show active runs with their newest metrics, lost runs, and whether a run would be refused."""
    project = app.project
    recovered = project.recover()
    views = project.live()
    tree = project.tree()
    allow = project.settings.run.allow_dirty
    if as_json:
        app.console.json(
            {
                "active": [_view_to_json(view) for view in views if not view.lost],
                "lost": [_view_to_json(view) for view in views if view.lost],
                "recovered": [one.run_id for one in recovered if one.commit is not None],
                "tree": _tree_to_json(tree, allow),
            }
        )
        return
    for one in recovered:
        if one.commit is not None:
            app.console.line(f"recovered lost run {one.run_id[:8]} as commit {one.commit[:8]}")
        else:
            app.console.error(f"run {one.run_id[:8]} in {one.folder}: {one.problem}")
    _show_active(app, [view for view in views if not view.lost])
    for view in views:
        if view.lost:
            app.console.line(
                f"lost: {escape(view.state.name)} ({view.state.id[:8]}), whose process vanished; "
                "'gittrack recover' says what keeps it from being recorded"
            )
    _show_tree(app, tree, allow)


def _show_active(app: App, views: Sequence[LiveView]) -> None:
    if not views:
        app.console.line("no active runs")
        return
    now = time.time()
    states = [view.state for view in views]
    columns = [
        Column("id", tuple(state.id[:8] for state in states), styles=("commit",) * len(states)),
        Column("name", tuple(f"{state.experiment}/{state.name}" for state in states)),
        Column("since", tuple(duration(now - state.started) for state in states), align="right"),
        Column("points", tuple(f"{view.points:,}" for view in views), align="right", rank=4),
        Column("rate", tuple(f"{number(view.rate, 3)}/s" for view in views), align="right", rank=2),
        Column("last", tuple(ago(view.last_write) for view in views), align="right", rank=3),
        Column("where", tuple(_where(view) for view in views), rank=5),
        Column("newest", tuple(_newest(app, view) for view in views), rank=1),
    ]
    app.console.table(columns)


def _where(view: LiveView) -> str:
    host = view.host or "?"
    return f"{host} (cannot be seen from here)" if view.unknown else f"{host}:{view.pid}"


def _newest(app: App, view: LiveView) -> str:
    goal = app.project.settings.goal
    keys = [key for key in view.newest if not is_detail(key)]
    keys.sort(key=lambda key: not goal(key))
    parts = []
    for key in keys[:_SHOWN_METRICS]:
        step, value = view.newest[key]
        parts.append(f"{key}={number(value, 4)} @{step}")
    return " ".join(parts)


def _show_tree(app: App, tree: WorktreeStatus | None, allow: str) -> None:
    if tree is None:
        app.console.line("no worktree here: runs record HEAD")
        return
    if tree.head is None:
        app.console.line("no commit yet: a run would be refused; commit your code first")
        return
    place = f"on {tree.branch}" if tree.branch else "on no branch"
    where = escape(f"{place} at {tree.head[:8]}")
    if tree.clean:
        app.console.line(f"tree clean, {where}: a run would be recorded as it is")
        return
    count = len(tree.changes)
    changes = f"{count:,} {'change' if count == 1 else 'changes'} without a commit, {where}"
    if _refused(tree, allow):
        app.console.line(f"{changes}: a run would be refused")
    else:
        origin = app.project.settings.origin("run.allow_dirty")
        app.console.line(f"{changes}: a run would record a snapshot (run.allow_dirty is {allow}: {origin})")
    for change in tree.changes[:_SHOWN_CHANGES]:
        app.console.line(f"  {escape(str(change))}")
    if count > _SHOWN_CHANGES:
        app.console.line(f"  ... and {count - _SHOWN_CHANGES:,} more")
    if _refused(tree, allow):
        app.console.line("commit them, or run with --allow-dirty to record a snapshot")


def _refused(tree: WorktreeStatus, allow: str) -> bool:
    return tree.head is None or (not tree.clean and allow == "none")


def _view_to_json(view: LiveView) -> dict[str, Any]:
    return {
        **state_to_json(view.state),
        "pid": view.pid,
        "host": view.host,
        "reachable": not view.unknown,
        "points": view.points,
        "rate": strict(view.rate),
        "last_write": view.last_write,
        "newest": {key: {"step": step, "value": strict(value)} for key, (step, value) in view.newest.items()},
    }


def _tree_to_json(tree: WorktreeStatus | None, allow: str) -> dict[str, Any] | None:
    if tree is None:
        return None
    return {
        "head": tree.head,
        "branch": tree.branch,
        "clean": tree.clean,
        "refused": _refused(tree, allow),
        "changes": [{"path": one.path, "kind": one.kind} for one in tree.changes],
    }
