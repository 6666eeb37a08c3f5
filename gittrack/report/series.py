"""Learning curves as lines to draw: in order, once per step, thin enough for the place they go to. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from operator import le
from typing import Literal

from gittrack.domain.metric import History
from gittrack.report.scale import Scale, reach, scale
from gittrack.values import dataclass, replace

Spread = Literal["range", "sd"]


@dataclass(frozen=True, slots=True)
class Series:
    """One line: `xs` rise; NaN and infinite values are in `ys` and leave gaps."""

    label: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Band:
    """What lines a mean of `count` was made of, at `xs`: from the lowest to the highest, or one deviation to either side."""

    xs: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    count: int
    spread: Spread = "range"

    @property
    def words(self) -> str:
        return f"mean of {self.count}, band {'min to max' if self.spread == 'range' else '± 1 standard deviation'}"


@dataclass(frozen=True, slots=True)
class Curve:
    """A line with what lies behind it: the values before they were smoothed, and a band."""

    line: Series
    raw: Series | None = None
    band: Band | None = None

    @property
    def label(self) -> str:
        return self.line.label if self.band is None else f"{self.line.label}: {self.band.words}"

    def ys(self) -> Iterator[Sequence[float]]:
        """Every value that has to find room."""
        yield self.line.ys
        if self.raw is not None:
            yield self.raw.ys
        if self.band is not None:
            yield self.band.low
            yield self.band.high


def series(
    label: str, history: History, *, all_attempts: bool = False, across: Sequence[float] | None = None
) -> Series:
    """The line of one metric by step, or by the numbers `across`, one a point; a point whose number is NaN is left out.

    A resumed run goes over some steps again: what the earlier attempt had logged from there on is
    left out, unless `all_attempts` is set.
    """
    xs = history.steps if across is None else across
    if not history.attempts and across is None and all(map(le, xs, xs[1:])):
        return Series(label, tuple(map(float, xs)), tuple(history.values))  # as most are: no need to look at each point
    kept = range(len(history)) if all_attempts else continued(history)
    order = sorted((at for at in kept if math.isfinite(xs[at])), key=xs.__getitem__)
    return Series(label, tuple(float(xs[at]) for at in order), tuple(history.values[at] for at in order))


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
    kept: list[int] = []
    for start, end in _stretches(line.xs, buckets):
        piece = line.ys[start:end]
        numbers = _finite(piece)
        chosen = {start, end - 1}
        if numbers:
            chosen |= {start + piece.index(min(numbers)), start + piece.index(max(numbers))}
        kept += sorted(chosen)
    return Series(line.label, tuple(line.xs[at] for at in kept), tuple(line.ys[at] for at in kept))


def thin_curve(curve: Curve, buckets: int) -> Curve:
    """The same for a line with something behind it.

    Peaks are in what lies behind: of the line each bucket keeps the mean, since a choice of its highest and lowest would
    bend it; of a band the lowest low and the highest high.
    """
    if curve.raw is None and curve.band is None:
        return Curve(thin(curve.line, buckets))
    raw = None if curve.raw is None else thin(curve.raw, buckets)
    return Curve(_means(curve.line, buckets), raw, None if curve.band is None else _envelope(curve.band, buckets))


def _means(line: Series, buckets: int) -> Series:
    if len(line.xs) <= 4 * buckets:
        return line
    # The ends stay where they are: a line is read by its last value.
    points = [(line.xs[0], line.ys[0])]
    for start, end in _stretches(line.xs, buckets):
        ys = _finite(line.ys[start:end])
        points.append((_mean(line.xs[start:end]), _mean(ys) if ys else math.nan))
    points.append((line.xs[-1], line.ys[-1]))
    return Series(line.label, tuple(x for x, _ in points), tuple(y for _, y in points))


def _envelope(band: Band, buckets: int) -> Band:
    if len(band.xs) <= 4 * buckets:
        return band
    edges = []
    for start, end in _stretches(band.xs, buckets):
        there = [at for at in range(start, end) if math.isfinite(band.low[at]) and math.isfinite(band.high[at])]
        low = min((band.low[at] for at in there), default=math.nan)
        high = max((band.high[at] for at in there), default=math.nan)
        # At both ends of the bucket, so that what lies between is covered.
        edges += [(band.xs[at], low, high) for at in dict.fromkeys((start, end - 1))]
    xs, lows, highs = zip(*edges, strict=True)
    return replace(band, xs=xs, low=lows, high=highs)


def _finite(values: Sequence[float]) -> Sequence[float]:
    # A sum is quick, and finite only if all of its parts are.
    return values if math.isfinite(sum(values)) else [value for value in values if math.isfinite(value)]


def _mean(values: Sequence[float]) -> float:
    total = sum(values)
    return total / len(values) if math.isfinite(total) else sum(value / len(values) for value in values)


def _stretches(xs: Sequence[float], buckets: int) -> Iterator[tuple[int, int]]:
    """Where each bucket that holds points begins and ends."""
    low, high = xs[0], xs[-1]
    start = 0
    for bucket in range(1, buckets):
        end = bisect_left(xs, low * (1 - bucket / buckets) + high * (bucket / buckets), start)
        if end > start:
            yield start, end
        start = end
    if start < len(xs):
        yield start, len(xs)


@dataclass(frozen=True, slots=True)
class Frame:
    """The part of the plane that a picture shows."""

    x: Scale
    y: Scale

    def shows(self, x: float, y: float) -> bool:
        return self.x.shows(x) and self.y.shows(y)


def frame(
    curves: Sequence[Curve], *, x_marks: int = 6, y_marks: int = 5, log: Iterable[str] = (), margin: float = 0.0
) -> Frame | None:
    """Room for all points that can be shown, or None when there are none; `log` names axes, x or y; `margin` is above and below."""
    log = frozenset(log)
    xs = [end for curve in curves for end in reach(curve.line.xs, log="x" in log)]
    whole = all(all(map(float.is_integer, curve.line.xs)) for curve in curves)
    across = scale(xs, marks=x_marks, log="x" in log, whole=whole)
    ys = [end for curve in curves for some in curve.ys() for end in reach(some, log="y" in log)]
    up = scale(ys, marks=y_marks, log="y" in log, margin=margin)
    return None if across is None or up is None else Frame(across, up)
