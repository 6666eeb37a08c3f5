"""Axes: which part of the numbers a picture shows, and where it has marks. Pure."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence

from gittrack.report.numbers import column
from gittrack.values import dataclass

_LARGEST = sys.float_info.max
_SMALLEST = math.ulp(0.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """One axis, linear or logarithmic, with its marks between `low` and `high`."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def at(self, value: float) -> float:
        """From 0 at the low end to 1 at the high one; what lies outside is on the edge."""
        inside = min(max(value, self.low), self.high)
        if self.log:
            low = math.log10(self.low)
            return (math.log10(inside) - low) / (math.log10(self.high) - low)
        return (inside - self.low) / (self.high - self.low)

    def spread(self, values: Sequence[float], size: int) -> list[int | None]:
        """The values as whole numbers from 0 to `size`, None for what has no place."""
        if self.log:
            return [round(self.at(value) * size) if self.shows(value) else None for value in values]
        low, high = self.low, self.high
        span = high - low
        if values and math.isfinite(sum(values)) and low <= min(values) and max(values) <= high:
            return [round((value - low) / span * size) for value in values]  # as most are, and twice as quick
        return [
            round((min(max(value, low), high) - low) / span * size) if math.isfinite(value) else None
            for value in values
        ]

    def shows(self, value: float) -> bool:
        """Whether the value has a place: NaN and infinities have none, nor what is not above 0 on a logarithmic axis."""
        return math.isfinite(value) and (value > 0 or not self.log)


def scale(
    values: Iterable[float], *, marks: int = 6, log: bool = False, whole: bool = False, margin: float = 0.0
) -> Scale | None:
    """Room for all values that can be shown, None when there are none; `margin` is a part of the whole left free at either end."""
    ends = reach(list(values), log=log)
    if not ends:
        return None
    low, high = ends
    if log:
        low, high = (low, high) if high > low else (max(low / 2, _SMALLEST), min(high * 2, _LARGEST))
        ratio = min(10.0 ** ((math.log10(high) - math.log10(low)) * margin), 1e9)
        low, high = max(low / ratio, _SMALLEST), min(high * ratio, _LARGEST)
        return Scale(low, high, log_ticks(low, high, marks), log=True)
    low, high = _spread(low, high)
    free = (high - low) * margin
    # What no float can span gets no margin.
    if math.isfinite((high + free) - (low - free)):
        low, high = low - free, high + free
    return Scale(low, high, ticks(low, high, marks, whole=whole))


def reach(values: Sequence[float], *, log: bool = False) -> tuple[float, ...]:
    """The lowest and highest of the values that can be shown; neither when there are none."""
    if values and not log and math.isfinite(sum(values)):  # a sum is quick, and finite only if all of its parts are
        return min(values), max(values)
    shown = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
    return (min(shown), max(shown)) if shown else ()


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


def log_ticks(low: float, high: float, most: int) -> tuple[float, ...]:
    """At most so many powers of ten between low and high; where few lie there, also twice and five times as much."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [factor * 10.0**power for power in range(first, last + 1) for factor in factors if power < 308]
        inside = [one for one in found if low <= one <= high and one > 0]
        if len(inside) <= most:
            break
    if len(inside) < 2:
        return ticks(low, high, most)
    return tuple(inside[:: math.ceil(len(inside) / max(1, most))])


def tick_words(measure: Scale) -> list[tuple[float, str]]:
    """The marks of an axis, placed from 0 to 1."""
    texts = [f"{tick:g}" for tick in measure.ticks] if measure.log else column(measure.ticks)
    return [(measure.at(tick), text) for tick, text in zip(measure.ticks, texts, strict=True)]
