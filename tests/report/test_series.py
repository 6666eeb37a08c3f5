from __future__ import annotations

import math
from array import array

from hypothesis import given
from hypothesis import strategies as st

from gittrack.domain.metric import History
from gittrack.report.series import Band, Curve, Series, continued, frame, series, thin, thin_curve


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


@given(
    st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.floats()), min_size=1, max_size=10),
)
def test_any_points_have_a_frame(points: list[tuple[int, float]]) -> None:
    line = Series("a", tuple(float(x) for x, _ in points), tuple(y for _, y in points))
    place = frame([Curve(line)])
    if not any(math.isfinite(y) for y in line.ys):
        assert place is None
        return
    assert place is not None
    for x, y in zip(line.xs, line.ys, strict=True):
        if math.isfinite(y):
            assert math.isfinite(place.x.at(x))
            assert math.isfinite(place.y.at(y))
    assert all(map(math.isfinite, place.x.ticks + place.y.ticks))


def test_points_without_a_place_across_are_left_out() -> None:
    line = series("a", history([0, 1, 2], [5, 6, 7]), across=[2.0, math.nan, 1.0])
    assert (line.xs, line.ys) == ((1.0, 2.0), (7, 5))


def test_thinning_never_bends_a_smoothed_line_nor_loses_what_lies_behind() -> None:
    xs = tuple(map(float, range(10_000)))
    raw = tuple(9.0 if at == 7777 else -9.0 if at == 1234 else float(at % 2) for at in range(10_000))
    band = Band(xs, tuple(y - 1 for y in raw), tuple(y + 1 for y in raw), 3)
    curve = thin_curve(Curve(Series("a", xs, (0.5,) * 10_000), Series("a", xs, raw), band), 100)
    assert curve.raw is not None
    assert curve.band is not None
    assert set(curve.line.ys) == {0.5}
    assert (curve.line.xs[0], curve.line.xs[-1]) == (0, 9_999)
    assert {9.0, -9.0} <= set(curve.raw.ys)
    assert (min(curve.band.low), max(curve.band.high)) == (-10.0, 10.0)
    assert max(len(curve.line.xs), len(curve.raw.xs), len(curve.band.xs)) <= 400


@given(st.lists(st.floats(), min_size=1, max_size=300), st.integers(1, 5))
def test_thinning_any_band(ys: list[float], buckets: int) -> None:
    xs = tuple(map(float, range(len(ys))))
    curve = thin_curve(Curve(Series("a", xs, tuple(ys)), band=Band(xs, tuple(ys), tuple(ys), 2)), buckets)
    assert curve.band is not None
    numbers = [y for y in ys if math.isfinite(y)]
    kept = [y for y in curve.band.low if math.isfinite(y)], [y for y in curve.band.high if math.isfinite(y)]
    assert (min(kept[0]), max(kept[1])) == (min(numbers), max(numbers)) if numbers else kept == ([], [])
    inside = [y for y in curve.line.ys if math.isfinite(y)]
    slack = 1e-9 * max(map(abs, numbers), default=0)
    assert all(min(numbers) - slack <= y <= max(numbers) + slack for y in inside)


def test_a_frame_has_room_for_what_lies_behind() -> None:
    line = Series("a", (0.0, 1.0), (0.5, 0.5))
    place = frame([Curve(line, Series("a", line.xs, (0.0, 0.5)), Band(line.xs, (0.4, 0.4), (0.6, 2.0), 2))])
    assert place is not None
    assert (place.y.low, place.y.high) == (0.0, 2.0)
