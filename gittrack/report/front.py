"""The Pareto front of runs over two metrics. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from gittrack.domain.run import RunState
from gittrack.report.keys import Key, as_number
from gittrack.report.lanes import Scatter, scatter
from gittrack.values import replace

Goal = Literal["min", "max"]


def pareto(runs: Sequence[RunState], x: Key, y: Key, goals: tuple[Goal, Goal], *, log: Sequence[str] = ()) -> Scatter:
    """A point for each run that has both metrics, with the front: the runs that none is better than."""
    points = scatter(runs, x, y, log=log)
    kept = points.kept()
    values = [
        tuple(_better(as_number(key.of(runs[at])), goal) for key, goal in zip((x, y), goals, strict=True))
        for at in kept
    ]
    front = tuple(at for at, mine in zip(kept, values, strict=True) if not any(_dominates(one, mine) for one in values))
    return replace(points, front=front, edge=_edge(points, front, goals[0]))


def _better(value: float | None, goal: Goal) -> float:
    assert value is not None, "a run that is drawn has both"
    return value if goal == "max" else -value


def _dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    """At least as good in all and better in one: of two equal ones neither does."""
    return a != b and all(one >= other for one, other in zip(a, b, strict=True))


def _edge(points: Scatter, front: Sequence[int], goal: Goal) -> tuple[tuple[float, float], ...]:
    """The border of what is dominated, in steps from left to right; `goal` is that of x."""
    corners = sorted({(points.x.places[at] or 0.0, points.y.places[at] or 0.0) for at in front})
    steps = list(corners[:1])
    for (x, y), (next_x, next_y) in pairwise(corners):
        steps += [(next_x, y) if goal == "min" else (x, next_y), (next_x, next_y)]
    return tuple(steps)
