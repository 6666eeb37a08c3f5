"""The t distribution against scipy."""

from __future__ import annotations

import math

import pytest
from scipy.special import nctdtr, stdtr, stdtrit

from gittrack.compare.student import edge, power, tail

DFS = (0.7, 1, 1.5, 2, 3, 4.3, 9, 17.25, 58, 200, 1998)


@pytest.mark.parametrize("df", DFS)
def test_tail(df: float) -> None:
    assert tail(df, 1e-9) == pytest.approx(0.5, abs=1e-9)
    for t in (0.0, 0.01, 0.5, 1, 2, 3.7, 12.7, 60, 1e4, 1e9):
        assert tail(df, t) == pytest.approx(float(stdtr(df, -t)), rel=1e-11, abs=1e-300)
        assert tail(df, -t) == tail(df, t)
    assert tail(df, math.inf) == 0.0


@pytest.mark.parametrize("df", DFS)
def test_edge(df: float) -> None:
    for level in (0.2, 0.05, 0.01, 0.0005):
        assert edge(df, level) == pytest.approx(float(stdtrit(df, 1 - level / 2)), rel=1e-10)


@pytest.mark.parametrize("df", [one for one in DFS if one == int(one)])
def test_power(df: float) -> None:
    for shift in (0.3, 1, 2.5, 4, 6):
        expected = 1 - float(nctdtr(df, shift, float(stdtrit(df, 0.975))))
        assert power(df, shift, 0.05) == pytest.approx(expected, abs=2e-6)


def test_a_printed_table() -> None:
    """Two-sided 5% and 1% points, as in the table of Fisher and Yates 1938."""
    for df, five, one in (
        (1, 12.706, 63.657),
        (5, 2.571, 4.032),
        (10, 2.228, 3.169),
        (30, 2.042, 2.750),
        (120, 1.980, 2.617),
    ):
        assert (round(edge(df, 0.05), 3), round(edge(df, 0.01), 3)) == (five, one)
