"""Learning curves in the terminal, drawn by plotext; words and legend around them are ours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from gittrack.errors import MissingExtra
from gittrack.report.numbers import column, number
from gittrack.report.series import Frame, Series, frame, thin
from gittrack.report.table import Paint
from gittrack.report.text import escape, fit

# Without colours each line has a sign of its own.
SIGNS = "●▲■◆○△□◇+×"
# Names for `paint`, and the numbers of the same colours in the terminal's palette.
COLORS = {"cyan": 6, "yellow": 3, "magenta": 5, "green": 2, "red": 1, "blue": 4}
_NAMES = tuple(COLORS)
_LEAST_WIDE, _LEAST_HIGH = 10, 3


def draw(lines: Sequence[Series], *, columns: int, rows: int, title: str = "", paint: Paint | None = None) -> list[str]:
    """A picture of the lines, with axes and a legend; in colours if there is a `paint`, which gives them by name."""
    place = frame(lines, x_marks=max(2, columns // 16), y_marks=max(2, rows // 3))
    heading = [fit(escape(title), columns)] if title else []
    if place is None:
        return [*heading, "no finite points to draw"]
    high = rows - len(heading) - len(lines)
    return [*heading, *_picture(lines, place, columns, high, paint is not None), *_legend(lines, columns, paint)]


def _picture(lines: Sequence[Series], place: Frame, columns: int, rows: int, colored: bool) -> list[str]:
    """Axes and lines. plotext is given parts of the frame, since its own numbers overflow and its own ticks are odd."""
    try:
        import plotext
    except ImportError:
        raise MissingExtra(
            "curves in the terminal need plotext, which is missing or was built without a C++ compiler: "
            "pip install --force-reinstall plotext (--html needs neither)"
        ) from None
    y_labels = column(place.y_ticks)
    columns = max(columns, max(map(len, y_labels), default=0) + 1 + _LEAST_WIDE)
    # Its figure is the only one of the process, and no larger than the terminal unless told so.
    plotext.terminal.limit(False, False)
    figure = plotext.figure.clear()
    try:
        figure.theme("colorless").plot_size(columns, max(rows, _LEAST_HIGH + 2))
        figure.axes(False, axis="x", side="upper").axes(False, axis="y", side="right")
        _ruler(figure, "x", map(place.across, place.x_ticks), map(number, place.x_ticks))
        _ruler(figure, "y", map(place.up, place.y_ticks), y_labels)
        for at, line in enumerate(lines):
            sign = "braille" if colored or len(lines) == 1 else SIGNS[at % len(SIGNS)]
            marker = plotext.marker(sign, COLORS[_NAMES[at % len(_NAMES)]])
            figure.draw(_signal(figure, thin(line, 2 * columns), place, marker))
        text: str = figure.build().string(colorless=not colored)
    finally:
        plotext.terminal.clear()
        figure.clear()
    return [line.rstrip() for line in text.splitlines()]


def _ruler(figure: Any, axis: str, positions: Iterable[float], labels: Iterable[str]) -> None:
    # edge: the outermost points are on the outermost dots, not in the middle of the outermost characters.
    figure.ruler(axis).lim(0, 1).alignment(lim="edge").ticks(list(positions), list(labels))


def _signal(figure: Any, line: Series, place: Frame, marker: Any) -> Any:
    """One line; points in a row are joined, a value that is no number is a gap."""
    there = [at for at, y in enumerate(line.ys) if math.isfinite(y)]
    xs, ys = [place.across(line.xs[at]) for at in there], [place.up(line.ys[at]) for at in there]
    signal = figure.signal(xs, ys, marker=marker).lines()
    for index, (before, here) in enumerate(pairwise(there), 1):
        if here > before + 1:
            signal.line(index, False)
    return signal


def _legend(lines: Sequence[Series], columns: int, paint: Paint | None) -> list[str]:
    """Below the picture: plotext would lay its own over the lines."""
    if len(lines) == 1:
        return [fit(escape(lines[0].label), columns)]
    legend = []
    for at, line in enumerate(lines):
        sign = paint("━━", _NAMES[at % len(_NAMES)]) if paint else SIGNS[at % len(SIGNS)]
        legend.append(f"{sign} {fit(escape(line.label), columns - (3 if paint else 2))}")
    return legend
