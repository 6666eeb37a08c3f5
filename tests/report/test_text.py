from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.report.text import ELLIPSIS, escape, escape_lines, fit, pad, width


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("größe 東京 🙂", "größe 東京 🙂"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\x9b31m", "\\x9b31m"),
        ("user\u202egpj.exe", "user\\u202egpj.exe"),
        ("line\u2028end", "line\\u2028end"),
        ("caf\udce9.txt", "caf\\xe9.txt"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_a_terminal_would_obey_is_shown(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_lines_stay_lines() -> None:
    assert escape_lines("a\n\tb\x1b[2J") == "a\n\tb\\x1b[2J"


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("", 0),
        ("abc", 3),
        ("東京", 4),
        ("ｆｕｌｌ", 8),
        ("e\u0301", 1),
        ("🙂", 2),
        ("👩\u200d🔬", 2),
        ("❤\ufe0f", 2),
        ("👍🏽", 2),
        ("🇩🇪", 2),
        ("a\u200bb", 2),
    ],
)
def test_width(text: str, columns: int) -> None:
    assert width(text) == columns


@pytest.mark.parametrize(
    ("text", "columns", "shown"),
    [
        ("short", 5, "short"),
        ("experiments/long-name", 11, "exper…-name"),
        ("abcdef", 1, "…"),
        ("abcdef", 0, ""),
        ("abcdef", 2, "a…"),
        ("東京大阪京都", 7, "東…京都"),
        ("e\u0301e\u0301e\u0301e\u0301", 3, "e\u0301…e\u0301"),
    ],
)
def test_long_text_loses_its_middle(text: str, columns: int, shown: str) -> None:
    assert fit(text, columns) == shown


@given(st.text(max_size=30), st.integers(0, 40))
def test_fitted_text_fits(text: str, columns: int) -> None:
    text = escape(text)
    fitted = fit(text, columns)
    assert width(fitted) <= columns or fitted == text
    if width(text) <= columns:
        assert fitted == text
    elif columns:
        assert ELLIPSIS in fitted


def test_padding_counts_columns_not_characters() -> None:
    assert pad("東", 4) == "東  "
    assert pad("1", 3, right=True) == "  1"
    assert pad("longer", 3) == "longer"
