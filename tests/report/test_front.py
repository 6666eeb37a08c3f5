from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.domain.run import RunState, Status
from gittrack.report import page
from gittrack.report.front import Goal, pareto
from gittrack.report.keys import Key
from gittrack.report.lanes import Scatter

X, Y = Key("metrics", "x"), Key("metrics", "y")


def drawn(points: list[tuple[float, float]], x: Goal, y: Goal) -> Scatter:
    runs = [
        RunState(f"{at:032x}", f"run-{at}", "e", Status.FINISHED, 0.0, metrics={"x": one, "y": other})
        for at, (one, other) in enumerate(points)
    ]
    return pareto(runs, X, Y, (x, y))


SQUARE = [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5)]


@pytest.mark.parametrize(
    ("x", "y", "front"), [("max", "max", (3,)), ("min", "min", (0,)), ("min", "max", (1,)), ("max", "min", (2,))]
)
def test_the_best_corner_is_the_front(x: Goal, y: Goal, front: tuple[int, ...]) -> None:
    assert drawn(SQUARE, x, y).front == front


def test_equal_in_one_and_better_in_the_other_is_better_and_equal_in_both_is_not() -> None:
    assert drawn([(1.0, 5.0), (1.0, 4.0), (1.0, 5.0)], "max", "max").front == (0, 2)


def test_runs_without_a_number_are_no_part_of_it() -> None:
    assert drawn([(1.0, math.nan), (math.inf, 1.0), (0.0, 0.0)], "max", "max").front == (2,)
    assert drawn([], "max", "max").front == ()


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=20),
    st.sampled_from(["min", "max"]),
    st.sampled_from(["min", "max"]),
)
def test_no_point_lies_beyond_the_edge(points: list[tuple[int, int]], x: Goal, y: Goal) -> None:
    found = drawn([(float(one), float(other)) for one, other in points], x, y)
    signs = 1 if x == "max" else -1, 1 if y == "max" else -1
    for px, py in zip(found.x.places, found.y.places, strict=True):
        assert px is not None
        assert py is not None
        for ex, ey in found.edge:
            assert not ((px - ex) * signs[0] > 1e-9 and (py - ey) * signs[1] > 1e-9)
    for before, after in zip(found.edge, found.edge[1:], strict=False):
        assert before[0] == after[0] or before[1] == after[1], "an edge goes in steps"


def test_the_front_is_marked_on_a_page() -> None:
    fragment = page.scatter(drawn([*SQUARE, (2.0, 0.0)], "max", "max"))
    assert fragment.count('class="mark c1"') == 2
    assert fragment.count('class="mark c6"') == 4
    assert fragment.count('class="edge c1"') == 1
    assert "2 of 6 runs on the front" in fragment
