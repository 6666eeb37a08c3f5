from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.report.series import Curve, Series
from gittrack.report.smooth import mean_of, smooth, smoothed


def test_smoothing_starts_at_the_first_value_and_not_at_0() -> None:
    assert smooth([5.0, 5.0, 5.0], 0.9) == pytest.approx((5.0, 5.0, 5.0))
    # Weights 1, 0.5, 0.25 from the newest back.
    assert smooth([1.0, 2.0, 4.0], 0.5) == pytest.approx((1.0, (2 + 0.5) / 1.5, (4 + 1 + 0.25) / 1.75))


def test_no_smoothing_and_all_of_it() -> None:
    assert smooth([3.0, 1.0, 2.0], 0.0) == (3.0, 1.0, 2.0)
    assert smooth([3.0, 1.0, 2.0], 1.0) == pytest.approx((3.0, 2.0, 2.0))


def test_what_is_no_number_is_passed_over_and_stays_a_gap() -> None:
    with_gaps = smooth([1.0, math.nan, 2.0, math.inf, 4.0], 0.5)
    assert math.isnan(with_gaps[1])
    assert with_gaps[3] == math.inf
    assert [with_gaps[at] for at in (0, 2, 4)] == pytest.approx(smooth([1.0, 2.0, 4.0], 0.5))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1), st.floats(0, 1))
def test_smoothing_stays_between_the_lowest_and_the_highest(ys: list[float], weight: float) -> None:
    slack = 1e-9 * max(map(abs, ys))
    assert all(min(ys) - slack <= y <= max(ys) + slack for y in smooth(ys, weight))


def test_a_smoothed_curve_keeps_its_values_and_its_band() -> None:
    curve = mean_of([Series("a", (0.0, 1.0), (1.0, 3.0)), Series("b", (0.0, 1.0), (3.0, 5.0))], "both")
    done = smoothed(curve, 1.0)
    assert done.line.ys == pytest.approx((2.0, 3.0))
    assert done.raw == curve.line
    assert done.band == curve.band
    assert smoothed(curve, 0.0) is curve


def test_a_mean_over_uneven_steps() -> None:
    curve = mean_of(
        [Series("a", (0.0, 2.0, 4.0), (0.0, 2.0, 4.0)), Series("b", (1.0, 3.0), (5.0, 7.0))],
        "both",
    )
    assert curve.line.xs == (0.0, 1.0, 2.0, 3.0, 4.0)
    # b begins at 1 and ends at 3; beyond that nothing is made up for it.
    assert curve.line.ys == pytest.approx((0.0, 3.0, 4.0, 5.0, 4.0))
    assert curve.band is not None
    assert curve.band.low == pytest.approx((0.0, 1.0, 2.0, 3.0, 4.0))
    assert curve.band.high == pytest.approx((0.0, 5.0, 6.0, 7.0, 4.0))
    assert curve.label == "both: mean of 2, band min to max"


def test_gaps_are_not_bridged() -> None:
    holed = Series("a", (0.0, 2.0, 4.0), (0.0, math.nan, 4.0))
    curve = mean_of([holed, Series("b", (1.0, 2.0, 3.0), (1.0, 1.0, 1.0))], "both")
    assert curve.line.ys == pytest.approx((0.0, 1.0, 1.0, 1.0, 4.0))
    nothing = mean_of([Series("a", (0.0, 1.0), (math.nan, math.inf))] * 2, "none")
    assert all(map(math.isnan, nothing.line.ys))


def test_a_band_of_deviations() -> None:
    lines = [Series(str(at), (0.0,), (float(at),)) for at in (1, 2, 3)]
    curve = mean_of([*lines, Series("late", (1.0,), (9.0,))], "four", "sd")
    assert curve.band is not None
    assert (curve.band.low[0], curve.band.high[0]) == pytest.approx((1.0, 3.0))
    assert math.isnan(curve.band.low[1]), "one value has no deviation"
    assert curve.label == "four: mean of 4, band ± 1 standard deviation"


@given(st.lists(st.lists(st.tuples(st.integers(0, 5), st.floats()), min_size=1, max_size=6), min_size=2, max_size=4))
def test_any_lines_have_a_mean(many: list[list[tuple[int, float]]]) -> None:
    lines = []
    for points in many:
        points.sort(key=lambda point: point[0])
        lines.append(Series("a", tuple(float(x) for x, _ in points), tuple(y for _, y in points)))
    curve = mean_of(lines, "all")
    assert curve.band is not None
    for low, middle, high in zip(curve.band.low, curve.line.ys, curve.band.high, strict=True):
        if math.isfinite(low):
            slack = 1e-9 * max(abs(low), abs(high))
            assert low - slack <= middle <= high + slack


def test_a_line_alone_has_no_band() -> None:
    assert Curve(Series("a", (0.0,), (1.0,))).label == "a"
