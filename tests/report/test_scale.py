from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.report.scale import log_ticks, scale, tick_words, ticks


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


def test_a_logarithmic_axis_is_even_in_factors() -> None:
    found = scale([1e-4, 1.0, math.nan, math.inf, 0.0, -3.0], log=True)
    assert found is not None
    assert (found.low, found.high) == (1e-4, 1.0)
    assert found.at(1e-2) == pytest.approx(0.5)
    assert [word for _, word in tick_words(found)] == ["0.0001", "0.001", "0.01", "0.1", "1"]
    assert not found.shows(0.0)
    assert not found.shows(math.inf)


@pytest.mark.parametrize(
    ("low", "high", "marks"),
    [
        (1, 10, (1, 2, 5, 10)),
        (1e-3, 0.5, (0.001, 0.01, 0.1)),
        (1e-9, 1e9, (1e-9, 1e-5, 1e-1, 1e3, 1e7)),
        (3, 4, (3, 3.25, 3.5, 3.75, 4)),
    ],
)
def test_logarithmic_axes_have_round_marks(low: float, high: float, marks: tuple[float, ...]) -> None:
    assert log_ticks(low, high, 5) == pytest.approx(marks)


def test_a_margin_is_left_free() -> None:
    found = scale([0.0, 10.0], margin=0.1)
    assert found is not None
    assert (found.low, found.high) == (-1.0, 11.0)


def test_nothing_that_can_be_shown() -> None:
    assert scale([]) is None
    assert scale([math.nan, math.inf]) is None
    assert scale([0.0, -1.0], log=True) is None


@given(st.lists(st.floats(), max_size=10), st.booleans(), st.sampled_from([0.0, 0.04]))
def test_any_values_find_a_place(values: list[float], log: bool, margin: float) -> None:
    found = scale(values, log=log, margin=margin)
    shown = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
    if found is None:
        assert not shown
        return
    places = [found.at(value) for value in shown]
    assert all(0 <= place <= 1 for place in places)
    assert found.spread(values, 1000) == [
        None if value not in shown else round(found.at(value) * 1000) for value in values
    ]
    assert all(math.isfinite(place) and word for place, word in tick_words(found))
