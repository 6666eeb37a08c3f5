"""Which of many points no other one beats in all respects (the Pareto front). Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Literal

Goal = Literal["min", "max"]
Point = tuple[float, ...]


def on_front(points: Sequence[Sequence[float]], goals: Sequence[Goal]) -> list[bool]:
    """Whether each point is on the front; one with a value that is not finite never is, and beats none.

    One point beats another when it is at least as good in every value and better in one, so that equals stay together.
    Of two values in O(n log n); of more each point is held against the front so far.
    """
    signs = [1.0 if goal == "max" else -1.0 for goal in goals]
    high = [tuple(sign * value for sign, value in zip(signs, point, strict=True)) for point in points]
    distinct = sorted({one for one in high if all(map(math.isfinite, one))}, reverse=True)
    found = set(_flat(distinct) if len(goals) == 2 else _deep(distinct))
    return [one in found for one in high]


def _flat(falling: Iterable[Point]) -> Iterable[Point]:
    """Of points in falling order those that rise: whatever came before is better in the first value."""
    best = -math.inf
    for _, level in groupby(falling, key=lambda one: one[0]):
        top = next(iter(level))
        if top[1] > best:
            best = top[1]
            yield top


def _deep(falling: Sequence[Point]) -> Iterable[Point]:
    """Only a point before another can beat it, and all are different: at least as good everywhere is enough."""
    import numpy as np

    front = np.empty((len(falling), len(falling[0]) if falling else 0))
    count = 0
    for one in falling:
        if not (front[:count] >= one).all(axis=1).any():
            front[count] = one
            count += 1
            yield one
