"""Learning curves of both sides at a few common steps, for pictures that know no gaps."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from gittrack.errors import GittrackError
from gittrack.report.series import Series, series
from gittrack.run import Run
from gittrack.values import dataclass

if TYPE_CHECKING:
    from gittrack.project import Project
    from gittrack.review.review import Section
    from gittrack.review.sides import Side

_CURVES = 4
_REPEATS = 10
_POINTS = 40


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric by step: the means of the repeats of each side at the steps `xs`; `a` is None where the base has no curve."""

    key: str
    xs: tuple[float, ...]
    a: tuple[float, ...] | None
    b: tuple[float, ...]
    counts: tuple[int, int]


def curves(project: Project, section: Section) -> list[Curve]:
    """The curves of what gates or has a goal, else of the first metrics; of at most ten repeats a side, read from git."""
    wanted = [row.key for row in section.metrics if row.goal is not None] or [row.key for row in section.metrics]
    wanted = wanted[:_CURVES]
    try:
        a = {} if section.pair.a is None else _lines(project, section.pair.a, wanted)
        b = _lines(project, section.pair.b, wanted)
    except GittrackError:
        # A history that is not in this clone is no reason for a report without the rest.
        return []
    return [found for key in wanted if (found := _curve(key, a.get(key, []), b.get(key, []))) is not None]


def _lines(project: Project, side: Side, keys: Sequence[str]) -> dict[str, list[Series]]:
    found: dict[str, list[Series]] = {}
    for state in side.runs[:_REPEATS]:
        run = side.run if state.id == side.run.id else Run(project.repo, state, project.depot)
        for key, history in run.histories(keys).items():
            line = _finite(series(run.name, history))
            if len(set(line.xs)) > 1:
                found.setdefault(key, []).append(line)
    return found


def _finite(line: Series) -> Series:
    kept = [(x, y) for x, y in zip(line.xs, line.ys, strict=True) if math.isfinite(y)]
    return Series(line.label, tuple(x for x, _ in kept), tuple(y for _, y in kept))


def _curve(key: str, a: Sequence[Series], b: Sequence[Series]) -> Curve | None:
    """Only over steps that all lines have: beyond its end a line is not known."""
    if not b:
        return None
    low, high = max(line.xs[0] for line in (*a, *b)), min(line.xs[-1] for line in (*a, *b))
    if not low < high:
        a, low, high = (), max(line.xs[0] for line in b), min(line.xs[-1] for line in b)
        if not low < high:
            return None
    steps = sorted({x for line in (*a, *b) for x in line.xs if low <= x <= high})
    if len(steps) > _POINTS:
        steps = [low + (high - low) * at / (_POINTS - 1) for at in range(_POINTS)]
    means = [tuple(fmean(_at(line, x) for line in side) for x in steps) if side else None for side in (a, b)]
    return Curve(key, tuple(steps), means[0], means[1] or (), (len(a), len(b)))


def _at(line: Series, x: float) -> float:
    """The value between its neighbours; of several at one step the last."""
    at = bisect_left(line.xs, x)
    if line.xs[at] == x:
        while at + 1 < len(line.xs) and line.xs[at + 1] == x:
            at += 1
        return line.ys[at]
    share = (x - line.xs[at - 1]) / (line.xs[at] - line.xs[at - 1])
    return line.ys[at - 1] * (1 - share) + line.ys[at] * share
