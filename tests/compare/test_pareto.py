"""The Pareto front against its definition, point by point."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.compare.pareto import Goal, on_front

# Few values, so that ties are the rule.
VALUES = st.sampled_from([0.0, -0.0, 1.0, 2.0, 1e300, math.nan, math.inf, -math.inf])


def by_definition(points: Sequence[Sequence[float]], goals: Sequence[Goal]) -> list[bool]:
    def better(a: float, b: float, goal: Goal) -> bool:
        return a > b if goal == "max" else a < b

    def beats(a: Sequence[float], b: Sequence[float]) -> bool:
        pairs = list(zip(a, b, goals, strict=True))
        return not any(better(y, x, goal) for x, y, goal in pairs) and any(better(x, y, goal) for x, y, goal in pairs)

    finite = [one for one in points if all(map(math.isfinite, one))]
    return [one in finite and not any(beats(other, one) for other in finite) for one in points]


@given(st.data(), st.integers(2, 4))
def test_the_front_is_what_its_definition_says(data: st.DataObject, width: int) -> None:
    goals = data.draw(st.lists(st.sampled_from(("min", "max")), min_size=width, max_size=width))
    points = data.draw(st.lists(st.tuples(*[VALUES] * width), max_size=12))
    assert on_front(points, goals) == by_definition(points, goals)


def test_equals_stay_and_what_is_only_slower_goes() -> None:
    points = [(0.9, 10.0), (0.9, 10.0), (0.9, 11.0), (0.8, 5.0), (0.8, 5.0)]
    assert on_front(points, ("max", "min")) == [True, True, False, True, True]


@pytest.mark.parametrize("width", [2, 3])
def test_ten_thousand_that_are_all_on_the_front(width: int) -> None:
    dice = random.Random(0)
    points = [(x := dice.random(), *[1.0 - x] * (width - 1)) for _ in range(10_000)]
    assert all(on_front(points, ("max",) * width))


@pytest.mark.parametrize("width", [2, 3])
def test_no_point_at_all(width: int) -> None:
    assert on_front([], ("max",) * width) == []
