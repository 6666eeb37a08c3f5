"""Lines made of lines: smoothed, and several repeats as their mean with a band. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from gittrack.report.series import Band, Curve, Series, Spread
from gittrack.values import replace


def smooth(ys: Sequence[float], weight: float) -> tuple[float, ...]:
    """The exponential moving average, each value weighing `weight` (0 to 1) times what the next one does.

    Early values are means of what was there, not drawn towards 0; with a weight of 1 each is the mean of all so far. What is
    not finite stays as it is and counts for nothing.
    """
    smoothed = []
    mean = total = 0.0
    for y in ys:
        if math.isfinite(y):
            total = weight * total + 1.0
            # Not mean + (y - mean) / total, which may leave the range of floats on its way.
            mean = mean * (1.0 - 1.0 / total) + y / total
            smoothed.append(mean)
        else:
            smoothed.append(y)
    return tuple(smoothed)


def smoothed(curve: Curve, weight: float) -> Curve:
    """The curve with a smoothed line and its own values behind it; its band stays."""
    if not weight:
        return curve
    line = replace(curve.line, ys=smooth(curve.line.ys, weight))
    return Curve(line, curve.line, curve.band)


def mean_of(lines: Sequence[Series], label: str, spread: Spread = "range") -> Curve:
    """The mean of several lines wherever one of them is, with a band from their lowest to their highest or of ± their deviation.

    Between its points a line is taken as straight; before its first, after its last and beside a gap it counts for nothing.
    """
    xs = sorted({x for line in lines for x in line.xs})
    middle, low, high = [], [], []
    for values in zip(*(_at(line, xs) for line in lines), strict=True):
        there = [value for value in values if math.isfinite(value)]
        mean = sum(value / len(there) for value in there) if there else math.nan
        around = _deviation(there, mean) if spread == "sd" else None
        middle.append(mean)
        low.append(min(there, default=math.nan) if around is None else mean - around)
        high.append(max(there, default=math.nan) if around is None else mean + around)
    band = Band(tuple(xs), tuple(low), tuple(high), len(lines), spread)
    return Curve(Series(label, tuple(xs), tuple(middle)), band=band)


def _deviation(values: Sequence[float], mean: float) -> float:
    """The standard deviation of a sample; NaN of fewer than two values, which say nothing of it."""
    if len(values) < 2:
        return math.nan
    return math.sqrt(sum((value - mean) * (value - mean) for value in values) / (len(values) - 1))


def _at(line: Series, xs: Sequence[float]) -> Iterator[float]:
    """The values of a line at rising `xs`, which hold all of its own; NaN where it has none."""
    # Of several points at one x the last counts, as it does where a run logs a step twice.
    own = dict(zip(line.xs, line.ys, strict=True))
    pieces = pairwise(own.items())
    start, end = next(pieces, (None, None))
    for x in xs:
        if x in own:
            yield own[x]
            continue
        while end is not None and end[0] < x:
            start, end = next(pieces, (None, None))
        if start is None or end is None or x < start[0]:
            yield math.nan
        else:
            part = (x - start[0]) / (end[0] - start[0])
            yield start[1] * (1.0 - part) + end[1] * part
