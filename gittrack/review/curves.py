"""Learning curves of both sides: as lines with bands for pictures, and at a few common steps for those that know no gaps."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from gittrack.errors import GittrackError
from gittrack.report.series import Curve, Series, series
from gittrack.report.smooth import mean_of
from gittrack.run import Run, histories_of
from gittrack.values import dataclass, replace

if TYPE_CHECKING:
    from gittrack.project import Project
    from gittrack.review.review import Section
    from gittrack.review.sides import Side

_CURVES = 4
_REPEATS = 10
_POINTS = 40


@dataclass(frozen=True, slots=True)
class Curves:
    """One metric by step: a line for each repeat of either side, finite and of two steps or more; `a` may be empty."""

    key: str
    a: tuple[Series, ...]
    b: tuple[Series, ...]

    def chart(self) -> list[Curve]:
        """A line for each side, the mean of its repeats with a band from lowest to highest."""
        sides = (("base", self.a), ("head", self.b))
        return [
            mean_of(lines, called, "range") if len(lines) > 1 else Curve(replace(lines[0], label=called))
            for called, lines in sides
            if lines
        ]


@dataclass(frozen=True, slots=True)
class CommonCurve:
    """The means of the repeats of each side at the steps `xs`, which all of their lines have; `a` is None where the base has none."""

    key: str
    xs: tuple[float, ...]
    a: tuple[float, ...] | None
    b: tuple[float, ...]
    counts: tuple[int, int]


def curves(project: Project, section: Section, *, metrics: int = _CURVES, repeats: int = _REPEATS) -> list[Curves]:
    """The curves of what gates or has a goal, else of the first metrics; of so many repeats a side at most, read from git."""
    wanted = [row.key for row in section.metrics if row.goal is not None] or [row.key for row in section.metrics]
    wanted = wanted[:metrics]
    try:
        a = {} if section.pair.a is None else _lines(project, section.pair.a, wanted, repeats)
        b = _lines(project, section.pair.b, wanted, repeats)
    except GittrackError:
        # A history that is not in this clone is no reason for a report without the rest.
        return []
    return [Curves(key, tuple(a.get(key, ())), tuple(b[key])) for key in wanted if key in b]


def _lines(project: Project, side: Side, keys: Sequence[str], repeats: int) -> dict[str, list[Series]]:
    found: dict[str, list[Series]] = {}
    runs = [
        side.run if state.id == side.run.id else Run(project.repo, state, project.depot)
        for state in side.runs[:repeats]
    ]
    for run, histories in zip(runs, histories_of(runs, keys).values(), strict=True):
        for key, history in histories.items():
            line = _finite(series(run.name, history))
            if line.xs and line.xs[0] < line.xs[-1]:
                found.setdefault(key, []).append(line)
    return found


def _finite(line: Series) -> Series:
    if all(map(math.isfinite, line.ys)):
        return line
    kept = [(x, y) for x, y in zip(line.xs, line.ys, strict=True) if math.isfinite(y)]
    return Series(line.label, tuple(x for x, _ in kept), tuple(y for _, y in kept))


def common(curves: Curves) -> CommonCurve | None:
    """Only over steps that all lines have, since beyond its end a line is not known; None where there are none."""
    a, b = curves.a, curves.b
    low, high = max(line.xs[0] for line in (*a, *b)), min(line.xs[-1] for line in (*a, *b))
    if not low < high:
        a, low, high = (), max(line.xs[0] for line in b), min(line.xs[-1] for line in b)
        if not low < high:
            return None
    steps = sorted({x for line in (*a, *b) for x in line.xs if low <= x <= high})
    if len(steps) > _POINTS:
        steps = [low + (high - low) * at / (_POINTS - 1) for at in range(_POINTS)]
    means = [tuple(fmean(_at(line, x) for line in side) for x in steps) if side else None for side in (a, b)]
    return CommonCurve(curves.key, tuple(steps), means[0], means[1] or (), (len(a), len(b)))


def _at(line: Series, x: float) -> float:
    """The value between its neighbours; of several at one step the last."""
    at = bisect_left(line.xs, x)
    if line.xs[at] == x:
        while at + 1 < len(line.xs) and line.xs[at + 1] == x:
            at += 1
        return line.ys[at]
    share = (x - line.xs[at - 1]) / (line.xs[at] - line.xs[at - 1])
    return line.ys[at - 1] * (1 - share) + line.ys[at] * share
