from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.report.numbers import ago, change, column, duration, exact, number, param_column, size


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([], []),
        ([None, None], ["", ""]),
        ([0.91, 0.9], ["0.91", "0.90"]),
        ([0.5, 0.25, None], ["0.50", "0.25", ""]),
        ([1.0, 2.0, 300.0], ["1", "2", "300"]),
        ([0.93213, 0.93217], ["0.93213", "0.93217"]),
        ([0.123456789, 0.5], ["0.1235", "0.5000"]),
        ([1234.5678, 1000.0], ["1235", "1000"]),
        ([1234.5, 1234.6], ["1234.5", "1234.6"]),
        ([0.0, 0.0], ["0", "0"]),
        ([-0.5, 0.25], ["-0.50", "0.25"]),
        ([0.91, 0.92, 3e-7], ["0.91", "0.92", "3.00e-07"]),
        ([1.5e-7, 2.5e-7], ["1.500e-07", "2.500e-07"]),
        ([1.5e12, 0.5], ["1.500e+12", "5.000e-01"]),
        ([math.nan, 0.5, math.inf, -math.inf], ["nan", "0.5", "inf", "-inf"]),
        ([0.1 + 0.2, 0.3], ["0.3", "0.3"]),
    ],
)
def test_a_column_shows_how_its_numbers_differ(values: list[float | None], shown: list[str]) -> None:
    assert column(values) == shown


@given(st.lists(st.none() | st.floats() | st.integers(-(2**60), 2**60).map(float), max_size=8))
def test_any_column(values: list[float | None]) -> None:
    shown = column(values)
    assert len(shown) == len(values)
    for value, text in zip(values, shown, strict=True):
        if value is None:
            assert text == ""
        elif value and abs(value) < 1e308:
            # Never as if it were zero, and close to what it is.
            assert float(text) != 0
            assert math.isclose(float(text), value, rel_tol=0.5)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.1, "0.1"),
        (1e-05, "1e-05"),
        (0.30000000000000004, "0.30000000000000004"),
        (3, "3"),
        (True, "true"),
        (None, "null"),
        ("text", "text"),
        ([1, "é"], '[1,"é"]'),
        ({"a": None}, '{"a":null}'),
        (math.nan, "nan"),
    ],
)
def test_a_param_is_shown_as_it_is(value: object, shown: str) -> None:
    assert exact(value) == shown


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.7752042188765131, 0, 0.816], ["0.775204", "0", "0.816"]),
        ([0.1, 1e-05, 100000.0, True], ["0.1", "1e-05", "100000", "true"]),
        ([0.30000000000000004, 0.3], ["0.30000000000000004", "0.3"]),
        ([1.0000001, 1.0000002, "x", None], ["1.0000001", "1.0000002", "x", ""]),
        ([math.nan, math.inf, 0.5], ["nan", "inf", "0.5"]),
    ],
)
def test_params_keep_the_digits_that_tell_them_apart(values: list[object], shown: list[str]) -> None:
    texts = ["" if value is None else exact(value) for value in values]
    assert param_column(texts, values) == shown


def test_one_number() -> None:
    assert [number(one) for one in (0.123456789, 3.0, 1e9, math.nan, math.inf)] == [
        "0.123457",
        "3",
        "1e+09",
        "nan",
        "inf",
    ]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, ""),
        (0.04, "0.0s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.4, "59s"),
        (59.6, "1m00s"),
        (3599, "59m59s"),
        (3600, "1h00m"),
        (90000, "1d01h"),
        (-5, "-5.0s"),
    ],
)
def test_durations(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-100, "now"),
        (0, "now"),
        (45, "45s ago"),
        (120, "2m ago"),
        (7200, "2h ago"),
        (86400 * 3, "3d ago"),
        (86400 * 90, "3 months ago"),
        (86400 * 800, "2 years ago"),
    ],
)
def test_ages(seconds: float, shown: str) -> None:
    assert ago(seconds) == shown


def test_sizes_and_changes() -> None:
    assert [size(one) for one in (0, 1023, 1024, 65536, 3 << 30, 5 << 40)] == [
        "0 B",
        "1023 B",
        "1.0 KB",
        "64 KB",
        "3.0 GB",
        "5.0 TB",
    ]
    assert change(0.0123, 1.5) == "+0.0123 (+1.5 %)"
    assert change(-2.0, None) == "-2"
