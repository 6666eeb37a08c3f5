from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from gittrack.errors import MissingExtra
from gittrack.report import terminal
from gittrack.report.boxes import Boxes, Group
from gittrack.report.lanes import Lane, Scatter
from gittrack.report.scale import Scale
from gittrack.report.series import Band, Curve, Series
from gittrack.report.terminal import draw_boxes, draw_scatter
from gittrack.report.text import width

COLOUR = re.compile(r"\x1b\[[\d;]*m")
RISING = Series("up", tuple(map(float, range(50))), tuple(at / 49 for at in range(50)))
FALLING = Series("down", RISING.xs, RISING.ys[::-1])


def draw(lines: Sequence[Series], **how: Any) -> list[str]:
    return terminal.draw([Curve(line) for line in lines], **how)


def test_one_line_in_braille() -> None:
    lines = draw([RISING], columns=40, rows=12, title="val/acc")
    assert lines[0] == "val/acc"
    assert lines[-1] == "up"
    picture = "".join(lines[1:-3])
    assert any(0x2800 < ord(char) <= 0x28FF for char in picture)
    assert max(map(width, lines)) <= 40
    assert len(lines) <= 12


def test_the_line_goes_from_corner_to_corner() -> None:
    lines = [line for line in draw([RISING], columns=40, rows=12) if "│" in line or "┤" in line]
    assert ord(lines[0][-1]) > 0x2800
    assert ord(lines[-1].partition("┤")[2][0]) > 0x2800


def test_several_lines_are_told_apart_without_colours() -> None:
    lines = draw([RISING, FALLING], columns=40, rows=14)
    text = "\n".join(lines)
    assert "●" in text
    assert "▲" in text
    assert lines[-2:] == ["● up", "▲ down"]


def test_several_lines_are_told_apart_by_colours() -> None:
    lines = draw([RISING, FALLING], columns=40, rows=14, paint=lambda text, name: f"<{name}>{text}</>")
    assert lines[-2:] == ["<cyan>━━</> up", "<yellow>━━</> down"]
    # 6 and 3 are cyan and yellow of the terminal's own palette, as `paint` gives them.
    assert any("\x1b[38;5;6m" in line and "\x1b[38;5;3m" in line for line in lines[:-2])
    assert "\x1b[48" not in "".join(lines), "the background is the terminal's"
    assert max(width(COLOUR.sub("", line)) for line in lines) <= 40


def test_axes_are_marked() -> None:
    text = "\n".join(draw([RISING], columns=60, rows=16))
    assert "0.5" in text
    assert "40" in text.split("\n")[-2]


def test_a_gap_where_there_is_no_number() -> None:
    for hole in (math.nan, math.inf):
        holed = Series("a", RISING.xs, tuple(hole if 10 < at < 40 else 0.5 for at in range(50)))
        row = next(line for line in draw([holed], columns=60, rows=12) if any(ord(c) > 0x2800 for c in line))
        left, right = row.partition("┤")[2].split()
        assert (len(left), len(right)) == (12, 11), "and to its edges the line is whole"


def test_a_line_without_a_number_beside_one_that_has_some() -> None:
    lines = draw([Series("none", (0.0, 1.0), (math.nan, math.nan)), RISING], columns=40, rows=12)
    assert "▲" in lines[0]
    assert "●" not in "".join(lines[:-2])


def test_lines_that_share_characters_are_both_there() -> None:
    def dots(*lines: Series) -> set[tuple[int, int, int]]:
        drawn = draw(lines, columns=40, rows=12 + len(lines), paint=lambda text, name: text)
        signs = [(y, x, ord(char)) for y, line in enumerate(drawn) for x, char in enumerate(COLOUR.sub("", line))]
        return {(y, x, bit) for y, x, sign in signs if sign & ~0xFF == 0x2800 for bit in range(8) if sign >> bit & 1}

    assert dots(RISING, FALLING) == dots(RISING) | dots(FALLING)


def test_nothing_to_draw() -> None:
    assert draw([Series("a", (0.0,), (math.nan,))], columns=40, rows=10) == ["no finite points to draw"]


def test_one_point_and_extreme_numbers() -> None:
    for ys in ((5.0,), (1e308, -1e308), (5e-324, 0.0), (1e300, 1e300)):
        line = Series("a", tuple(map(float, range(len(ys)))), ys)
        assert len(draw([line], columns=40, rows=10)) >= 6


def test_hostile_labels() -> None:
    lines = draw([Series("\x1b[2J" * 30, (0.0, 1.0), (0.0, 1.0))], columns=40, rows=10, title="a\nb")
    assert "\x1b" not in "".join(lines)
    assert max(map(width, lines)) <= 40


def test_a_terminal_that_is_too_small() -> None:
    assert draw([RISING, FALLING], columns=5, rows=2)
    wide = draw([Series("a", (0.0, 1.0), (1.23456789e300, 1.2345678901e300))], columns=5, rows=2)
    assert len(wide) >= 5
    assert any(ord(char) > 0x2800 for char in "".join(wide))


def test_larger_than_the_terminal_of_this_process() -> None:
    assert max(map(width, draw([RISING], columns=300, rows=100))) == 300
    assert len(draw([RISING], columns=300, rows=100)) == 100


def test_nothing_is_printed_and_nothing_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    first = draw([RISING], columns=40, rows=12, title="a")
    draw([FALLING, RISING], columns=80, rows=20, paint=lambda text, name: text)
    assert draw([RISING], columns=40, rows=12, title="a") == first
    assert capfd.readouterr() == ("", "")


def test_without_plotext(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotext", None)
    with pytest.raises(MissingExtra, match="pip install --force-reinstall plotext"):
        draw([RISING], columns=40, rows=12)


def test_a_band_is_told_by_its_end() -> None:
    band = Band((0.0, 1.0, 2.0), (0.1, 0.2, math.nan), (0.3, 0.4, math.nan), 3)
    lines = terminal.draw([Curve(Series("lr=0.1", band.xs, (0.2, 0.3, math.nan)), band=band)], columns=60, rows=12)
    assert lines[-1] == "lr=0.1: mean of 3, 0.2 to 0.4 at the end"


def test_a_logarithmic_axis_has_no_room_for_what_is_not_above_0() -> None:
    line = Series("a", (0.0, 1.0, 2.0, 3.0), (-1.0, 0.0, 1e-3, 10.0))
    text = "\n".join(draw([line], columns=60, rows=14, log=["y"]))
    assert "0.001" in text
    assert "10" in text
    assert draw([Series("a", (0.0,), (0.0,))], columns=60, rows=14, log=["y"]) == ["no finite points to draw"]


LANE = Lane("lr", Scale(0.0, 1.0, (0.0, 1.0)), (0.0, 1.0, None), ("0.0", "1.0", "missing"), ((0.0, "0"), (1.0, "1")))


def test_points() -> None:
    lines = draw_scatter(Scatter(("a", "b", "c"), LANE, LANE, LANE), columns=50, rows=12)
    assert lines[0] == "lr over lr"
    assert sum(line.count("●") for line in lines) == 2, "a run without a value has no place"
    assert lines[-1] == "colours of lr need --html, --png or --svg"
    nothing = Lane("x\n", None, (None,), ("missing",), ())
    assert draw_scatter(Scatter(("a",), nothing, nothing), columns=50, rows=12)[1] == "no run has both"


def test_boxes_show_every_run() -> None:
    scale = Scale(0.0, 10.0, (0.0, 10.0))
    groups = (Group("0.1", (0.0, 10.0), ("a", "b")), Group("0.25", (1.0, 2.0, 8.0, 9.0, 10.0), tuple("abcde")))
    lines = draw_boxes(Boxes("acc", "lr", groups, scale), columns=60)
    assert lines[:2] == ["acc by lr", "lr    n  median"]
    assert lines[2].startswith("0.1   2       5  ●")
    assert lines[2].count("●") == 2
    assert "┃" in lines[2]
    assert "═" not in lines[2], "quartiles of two values are not known"
    assert (lines[3].count("●"), lines[3].count("◉")) == (4, 1)
    assert "═" in lines[3]
    assert max(map(width, lines[:-1])) <= 60
