"""`gittrack pareto`: the runs that no other run beats in all of several metrics."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import click

from gittrack.cli.columns import default_columns
from gittrack.cli.main import App
from gittrack.cli.options import chosen_form, experiment_option, table_options
from gittrack.compare.pareto import Goal, on_front
from gittrack.errors import UnknownRun, UsageError
from gittrack.ledger import layout
from gittrack.report.numbers import counted
from gittrack.report.table import Column
from gittrack.values import dataclass

if TYPE_CHECKING:
    from gittrack.domain.run import RunState
    from gittrack.groups import Group

_OPERATORS = frozenset(("=", "==", "!=", "<", "<=", ">", ">=", "~", "in", "is"))


@click.command(short_help="runs that no other beats in all metrics")
@click.argument("words", metavar="METRIC METRIC... [FILTER]", nargs=-1, required=True)
@experiment_option
@click.option("--group", is_flag=True, help="Compare configurations by the means of their repeats.")
@click.option("--all", "everything", is_flag=True, help="Show also those that are beaten, and mark the others.")
@table_options
@click.pass_obj
def pareto(app: App, words: tuple[str, ...], experiment: str | None, group: bool, everything: bool) -> None:
    """Show the Pareto front: finished runs that no other beats in all of these metrics.

    One beats another when it is at least as good in every metric and better in one. Which way is
    better comes from the settings (metrics.goals), or is written METRIC:min or METRIC:max.
    """
    form, project = chosen_form(), app.project
    metrics, filter = _sort_out(words, project.keys("metrics"))
    goals = [_goal(app, key, said) for key, said in metrics.items()]
    found: list[_Candidate]
    if group:
        groups, _ = project.groups(filter, experiment=experiment)
        found = [_Candidate(tuple(one.metric(key).mean for key in metrics), one) for one in groups]
    else:
        states = [run.state for run in project.runs(filter, experiment=experiment)]
        found = [
            _Candidate(tuple(one.metrics.get(key, math.nan) for key in metrics), one)
            for one in states
            if one.status == "finished"
        ]
    known = [one for one in found if all(map(math.isfinite, one.values))]
    marks = on_front([one.values for one in known], goals)
    shown = [(one, mark) for one, mark in zip(known, marks, strict=True) if mark or everything]
    way = -1 if goals[0] == "max" else 1
    shown.sort(key=lambda pair: (not pair[1], way * pair[0].values[0]))
    if form == "json":
        app.console.json([{**one.to_json(), "front": mark} for one, mark in shown])
        return
    what = "configuration" if group else "finished run"
    if not shown:
        where = f" of experiment {experiment}" if experiment else ""
        raise UnknownRun(f"no {what}{where} has a finite number for each of {', '.join(metrics)}; see 'gittrack ls'")
    columns = _columns(app, [one.what for one, _ in shown], form, list(metrics))
    if everything:
        columns.append(Column("front", tuple("yes" if mark else "" for _, mark in shown), shrink=False))
    app.console.table(columns, form=form)
    if form == "text":
        said = ", ".join(f"{key} {goal}" for key, goal in zip(metrics, goals, strict=True))
        app.console.note(f"{sum(marks):,} of {counted(len(known), what)} on the front: {said}")
        lacking = len(found) - len(known)
        if lacking:
            verb = "has" if lacking == 1 else "have"
            app.console.note(f"{counted(lacking, what)} {verb} no finite number for each of them, left out")


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A run or a group, and its values by the metrics that were asked for."""

    values: tuple[float, ...]
    what: RunState | Group

    def to_json(self) -> dict[str, Any]:
        from gittrack.domain.codec import state_to_json
        from gittrack.domain.run import RunState

        return state_to_json(self.what) if isinstance(self.what, RunState) else self.what.to_json()


def _columns(app: App, found: Sequence[Any], form: str, first: Sequence[str]) -> list[Column]:
    from gittrack.domain.run import RunState

    if isinstance(found[0], RunState):
        return default_columns(found, time.time(), app.project.settings, first=first)
    from gittrack.cli.group_columns import group_columns, plain_group_columns

    return plain_group_columns(found) if form == "csv" else group_columns(found, app.project.settings, first=first)


def _sort_out(words: Sequence[str], known: Sequence[str]) -> tuple[dict[str, Goal | None], str | None]:
    """The metrics that come first, with the direction that is said, and the filter that the rest is."""
    metrics: dict[str, Goal | None] = {}
    at = 0
    while at < len(words) and not _begins_filter(words, at, known):
        key, goal = _metric(words[at], known)
        if key in metrics:
            raise UsageError(f"{key!r} is named twice; a front is of different metrics")
        metrics[key] = goal
        at += 1
    if len(metrics) < 2:
        raise UsageError("a front is of two metrics or more; 'gittrack best METRIC' is for one")
    return metrics, " ".join(words[at:]) or None


def _begins_filter(words: Sequence[str], at: int, known: Sequence[str]) -> bool:
    from gittrack.index.filter import PLAIN_WORD, RESERVED

    word = words[at]
    following = [one.lower() for one in words[at + 1 : at + 3]]
    if following == ["not", "in"] or (following and following[0] in _OPERATORS):
        return True
    # A metric may have spaces in its name.
    key = word if word in known else word.removeprefix("metrics.").removesuffix(":min").removesuffix(":max")
    return key not in known and (not PLAIN_WORD.fullmatch(word) or word.lower() in RESERVED)


def _metric(word: str, known: Sequence[str]) -> tuple[str, Goal | None]:
    if word in known:
        return word, None
    key, _, goal = word.removeprefix("metrics.").rpartition(":")
    way: Literal["min", "max"] | None = "min" if goal == "min" else "max" if goal == "max" else None
    name = key if way else word.removeprefix("metrics.")
    if name not in known and known:
        from difflib import get_close_matches

        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "'gittrack ls --all' shows all there are"
        raise UsageError(f"no run has the metric {name!r}; {hint}")
    return name, way


def _goal(app: App, key: str, said: Goal | None) -> Goal:
    found = app.project.settings.goal(key)
    goal = said or (None if found is None else found.goal)
    if goal is None:
        raise UsageError(
            f"nothing says whether {key!r} is better high or low; write {key}:max or {key}:min, or set metrics.goals in "
            f"{layout.FOLDER}/{layout.CONFIG}"
        )
    return goal
