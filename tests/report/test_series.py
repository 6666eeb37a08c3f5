from __future__ import annotations

import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.domain.metric import History
from gittrack.report.series import Series, continued, frame, series, thin, ticks


def history(steps: list[int], values: list[float], attempts: list[int] | None = None) -> History:
    return History(
        "loss",
        array("q", steps),
        array("d", values),
        array("d", [float(at) for at in range(len(steps))]),
        array("i", attempts or []),
    )


def test_points_are_drawn_by_step() -> None:
    line = series("a", history([2, 0, 1, 1], [0.2, 0.0, 0.1, 0.15]))
    assert line.xs == (0.0, 1.0, 1.0, 2.0)
    assert line.ys == (0.0, 0.1, 0.15, 0.2)


def test_what_a_resumed_run_went_over_again_is_left_out() -> None:
    logged = history([0, 1, 2, 3, 2, 3, 4], [0, 1, 2, 3, 22, 33, 44], [1, 1, 1, 1, 2, 2, 2])
    assert series("a", logged).ys == (0, 1, 22, 33, 44)
    assert len(series("a", logged, all_attempts=True).ys) == 7


def test_an_attempt_that_starts_over_replaces_all_before() -> None:
    logged = history([5, 6, 8, 9, 0, 1], [1, 1, 2, 2, 3, 3], [1, 1, 2, 2, 3, 3])
    assert [logged.attempts[at] for at in continued(logged)] == [3, 3]


def test_attempts_that_do_not_overlap_are_all_there() -> None:
    assert len(continued(history([0, 1, 2, 3], [0, 0, 0, 0], [1, 1, 2, 2]))) == 4


def test_thinning_keeps_the_peaks() -> None:
    ys = [math.sin(at / 50) for at in range(10_000)]
    ys[7777], ys[1234], ys[4321] = 9.0, -9.0, math.nan
    line = thin(Series("a", tuple(map(float, range(10_000))), tuple(ys)), 100)
    assert len(line.xs) <= 400
    assert {9.0, -9.0} <= set(line.ys)
    assert line.xs[0] == 0
    assert line.xs[-1] == 9_999
    assert list(line.xs) == sorted(line.xs)


@given(
    st.lists(st.tuples(st.integers(-50, 50), st.floats()), min_size=1, max_size=200),
    st.integers(1, 5),
)
def test_thinning_any_line(points: list[tuple[int, float]], buckets: int) -> None:
    points.sort(key=lambda point: point[0])
    line = Series("a", tuple(float(x) for x, _ in points), tuple(y for _, y in points))
    kept = thin(line, buckets)
    numbers = [y for y in line.ys if math.isfinite(y)]
    left = [y for y in kept.ys if math.isfinite(y)]
    assert (min(left), max(left)) == (min(numbers), max(numbers)) if numbers else not left
    assert len(kept.xs) <= max(4 * buckets, 4)


@pytest.mark.parametrize(
    ("low", "high", "most", "whole", "marks"),
    [
        (0, 1, 5, False, (0.0, 0.25, 0.5, 0.75, 1.0)),
        (0, 59, 6, True, (0, 10, 20, 30, 40, 50)),
        (0, 2, 6, True, (0, 1, 2)),
        (-1, 1, 3, False, (-1, 0, 1)),
    ],
)
def test_axes_have_round_marks(low: float, high: float, most: int, whole: bool, marks: tuple[float, ...]) -> None:
    assert ticks(low, high, most, whole=whole) == pytest.approx(marks)


@given(
    st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.floats()), min_size=1, max_size=10),
)
def test_any_points_have_a_frame(points: list[tuple[int, float]]) -> None:
    line = Series("a", tuple(float(x) for x, _ in points), tuple(y for _, y in points))
    place = frame([line])
    if not any(math.isfinite(y) for y in line.ys):
        assert place is None
        return
    assert place is not None
    for x, y in zip(line.xs, line.ys, strict=True):
        if math.isfinite(y):
            assert math.isfinite(place.across(x))
            assert math.isfinite(place.up(y))
    assert all(map(math.isfinite, place.x_ticks + place.y_ticks))
