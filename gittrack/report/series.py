"""Learning curves as lines to draw: in order, once per step, thin enough for the place they go to. Pure."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

from gittrack.domain.metric import History
from gittrack.values import dataclass

_LARGEST = sys.float_info.max


@dataclass(frozen=True, slots=True)
class Series:
    """One line: `xs` rise; NaN and infinite values are in `ys` and leave gaps."""

    label: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]


def series(label: str, history: History, *, all_attempts: bool = False) -> Series:
    """The line of one metric, by step.

    A resumed run goes over some steps again: what the earlier attempt had logged from there on is
    left out, unless `all_attempts` is set.
    """
    kept = range(len(history)) if all_attempts else continued(history)
    order = sorted(kept, key=history.steps.__getitem__)
    return Series(
        label,
        tuple(float(history.steps[at]) for at in order),
        tuple(history.values[at] for at in order),
    )


def continued(history: History) -> Sequence[int]:
    """The positions of the points that later attempts did not go over again."""
    if not history.attempts:
        return range(len(history))
    first: dict[int, int] = {}
    for attempt, step in zip(history.attempts, history.steps, strict=True):
        first[attempt] = min(step, first.get(attempt, step))
    # An attempt counts up to the first step of any later one.
    limit: dict[int, float] = {}
    lowest = math.inf
    for attempt in sorted(first, reverse=True):
        limit[attempt] = lowest
        lowest = min(lowest, first[attempt])
    return [
        at
        for at, (attempt, step) in enumerate(zip(history.attempts, history.steps, strict=True))
        if step < limit[attempt]
    ]


def thin(line: Series, buckets: int) -> Series:
    """At most four points per bucket of x: first, lowest, highest and last, so that no peak is lost."""
    if len(line.xs) <= 4 * buckets:
        return line
    low, high = line.xs[0], line.xs[-1]
    scale = buckets / (high - low) if high > low else 0.0
    kept: list[int] = []
    start = 0
    while start < len(line.xs):
        bucket = _bucket(line.xs[start], low, scale, buckets)
        end = start
        while end < len(line.xs) and _bucket(line.xs[end], low, scale, buckets) == bucket:
            end += 1
        numbers = [at for at in range(start, end) if math.isfinite(line.ys[at])]
        chosen = {start, end - 1}
        if numbers:
            chosen.add(min(numbers, key=line.ys.__getitem__))
            chosen.add(max(numbers, key=line.ys.__getitem__))
        kept += sorted(chosen)
        start = end
    return Series(line.label, tuple(line.xs[at] for at in kept), tuple(line.ys[at] for at in kept))


def _bucket(x: float, low: float, scale: float, buckets: int) -> int:
    return min(buckets - 1, int((x - low) * scale))


@dataclass(frozen=True, slots=True)
class Frame:
    """The part of the plane that a picture shows, and where its axes have marks."""

    left: float
    right: float
    bottom: float
    top: float
    x_ticks: tuple[float, ...]
    y_ticks: tuple[float, ...]

    def across(self, x: float) -> float:
        """From 0 at the left edge to 1 at the right; what lies outside is on the edge."""
        return (min(max(x, self.left), self.right) - self.left) / (self.right - self.left)

    def up(self, y: float) -> float:
        """From 0 at the bottom to 1 at the top; what lies outside is on the edge."""
        return (min(max(y, self.bottom), self.top) - self.bottom) / (self.top - self.bottom)


def frame(lines: Sequence[Series], *, x_marks: int = 6, y_marks: int = 5) -> Frame | None:
    """Room for all finite points, or None when there are none."""
    ys = [y for line in lines for y in line.ys if math.isfinite(y)]
    xs = [x for line in lines for x in line.xs]
    if not ys:
        return None
    left, right = _spread(min(xs), max(xs))
    bottom, top = _spread(min(ys), max(ys))
    y_ticks = ticks(bottom, top, y_marks)
    x_ticks = ticks(left, right, x_marks, whole=True)
    return Frame(left, right, bottom, top, x_ticks, y_ticks)


def _spread(low: float, high: float) -> tuple[float, float]:
    if high > low:
        # What no float can span is cut off at the edges.
        return (low, high) if math.isfinite(high - low) else (low / 4, high / 4)
    # A line of equal values stands in the middle.
    half = abs(low) * 0.05 or 0.5
    return max(low - half, -_LARGEST), min(high + half, _LARGEST)


def ticks(low: float, high: float, most: int, *, whole: bool = False) -> tuple[float, ...]:
    """At most so many round numbers between low and high."""
    step = _round_step((high - low) / max(1, most), whole)
    while True:
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= most:
            return tuple(at * step for at in range(first, last + 1))
        step = _round_step(step * 1.01, whole)


def _round_step(least: float, whole: bool) -> float:
    if whole and least <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least)) if least > 0 else 1.0
    factors = (1, 2, 5, 10) if whole else (1, 2, 2.5, 5, 10)
    return next(one * power for one in factors if one * power >= least * (1 - 1e-9))
