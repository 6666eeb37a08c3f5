"""Pictures in the terminal: curves and points, drawn by plotext with words and legend of ours around them, and boxes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from gittrack.errors import MissingExtra
from gittrack.report.boxes import Boxes, Group
from gittrack.report.lanes import Lane, Scatter
from gittrack.report.numbers import column, number
from gittrack.report.scale import tick_words
from gittrack.report.series import Curve, Frame, Series, frame, thin
from gittrack.report.table import Paint
from gittrack.report.text import escape, fit, pad, width

# Without colours each line has a sign of its own.
SIGNS = "●▲■◆○△□◇+×"
# Names for `paint`, and the numbers of the same colours in the terminal's palette.
COLORS = {"cyan": 6, "yellow": 3, "magenta": 5, "green": 2, "red": 1, "blue": 4}
_NAMES = tuple(COLORS)
_LEAST_WIDE, _LEAST_HIGH = 10, 3


def draw(
    curves: Sequence[Curve],
    *,
    columns: int,
    rows: int,
    title: str = "",
    paint: Paint | None = None,
    log: Iterable[str] = (),
) -> list[str]:
    """A picture of the lines, with axes and a legend; in colours if there is a `paint`, which gives them by name.

    A band is told in the legend by its end: filled, it would hide the lines.
    """
    lines = [curve.line for curve in curves]
    place = frame([Curve(line) for line in lines], x_marks=max(2, columns // 16), y_marks=max(2, rows // 3), log=log)
    heading = [fit(escape(title), columns)] if title else []
    if place is None:
        return [*heading, "no finite points to draw"]
    high = rows - len(heading) - len(lines)
    labels = [_label(curve) for curve in curves]
    return [*heading, *_picture(lines, place, columns, high, paint is not None), *_legend(labels, columns, paint)]


def _label(curve: Curve) -> str:
    band = curve.band
    if band is None:
        return curve.line.label
    ends = [pair for pair in zip(band.low, band.high, strict=True) if all(map(math.isfinite, pair))]
    told = f", {number(ends[-1][0], 4)} to {number(ends[-1][1], 4)} at the end" if ends else ""
    return f"{curve.line.label}: mean of {band.count}{told}"


def _picture(lines: Sequence[Series], place: Frame, columns: int, rows: int, colored: bool) -> list[str]:
    def signals(figure: Any, marker: Any) -> Iterator[Any]:
        for at, line in enumerate(lines):
            sign = "braille" if colored or len(lines) == 1 else SIGNS[at % len(SIGNS)]
            yield _signal(figure, thin(line, 2 * columns), place, marker(sign, COLORS[_NAMES[at % len(_NAMES)]]))

    x_ticks = [(place.x.at(tick), number(tick)) for tick in place.x.ticks]
    return _plotted(signals, x_ticks, tick_words(place.y), columns, rows, colored)


def _plotted(
    signals: Callable[[Any, Any], Iterable[Any]],
    x_ticks: Sequence[tuple[float, str]],
    y_ticks: Sequence[tuple[float, str]],
    columns: int,
    rows: int,
    colored: bool,
) -> list[str]:
    """Axes and what is drawn by `signals`, which gets a figure and the maker of markers.

    plotext is given parts of the frame, from 0 to 1, since its own numbers overflow and its own ticks are odd.
    """
    try:
        import plotext
    except ImportError:
        raise MissingExtra(
            "curves in the terminal need plotext, which is missing or was built without a C++ compiler: "
            "pip install --force-reinstall plotext (--html needs neither)"
        ) from None
    columns = max(columns, max((width(text) for _, text in y_ticks), default=0) + 1 + _LEAST_WIDE)
    # Its figure is the only one of the process, and no larger than the terminal unless told so.
    plotext.terminal.limit(False, False)
    figure = plotext.figure.clear()
    try:
        figure.theme("colorless").plot_size(columns, max(rows, _LEAST_HIGH + 2))
        figure.axes(False, axis="x", side="upper").axes(False, axis="y", side="right")
        _ruler(figure, "x", x_ticks)
        _ruler(figure, "y", y_ticks)
        for signal in signals(figure, plotext.marker):
            figure.draw(signal)
        text: str = figure.build().string(colorless=not colored)
    finally:
        plotext.terminal.clear()
        figure.clear()
    return [line.rstrip() for line in text.splitlines()]


def _ruler(figure: Any, axis: str, ticks: Sequence[tuple[float, str]]) -> None:
    # edge: the outermost points are on the outermost dots, not in the middle of the outermost characters.
    ruler = figure.ruler(axis).lim(0, 1).alignment(lim="edge")
    ruler.ticks([place for place, _ in ticks], [text for _, text in ticks])


def _signal(figure: Any, line: Series, place: Frame, marker: Any) -> Any:
    """One line; points in a row are joined, a value that is no number is a gap."""
    there = [at for at, (x, y) in enumerate(zip(line.xs, line.ys, strict=True)) if place.shows(x, y)]
    xs, ys = [place.x.at(line.xs[at]) for at in there], [place.y.at(line.ys[at]) for at in there]
    signal = figure.signal(xs, ys, marker=marker).lines()
    for index, (before, here) in enumerate(pairwise(there), 1):
        if here > before + 1:
            signal.line(index, False)
    return signal


def _legend(labels: Sequence[str], columns: int, paint: Paint | None) -> list[str]:
    """Below the picture: plotext would lay its own over the lines."""
    if len(labels) == 1:
        return [fit(escape(labels[0]), columns)]
    legend = []
    for at, label in enumerate(labels):
        sign = paint("━━", _NAMES[at % len(_NAMES)]) if paint else SIGNS[at % len(SIGNS)]
        legend.append(f"{sign} {fit(escape(label), columns - (3 if paint else 2))}")
    return legend


def draw_scatter(points: Scatter, *, columns: int, rows: int, paint: Paint | None = None) -> list[str]:
    """One sign a run, the axes named above; colours need a file."""
    heading = fit(escape(f"{points.y.name} over {points.x.name}"), columns)
    kept = points.kept()
    if not kept:
        return [heading, "no run has both"]
    # Of two points in one character the front is drawn last.
    parts = [[at for at in kept if at not in points.front], list(points.front)]

    def signals(figure: Any, marker: Any) -> Iterator[Any]:
        for some, sign, color in zip(parts, (SIGNS[0], SIGNS[1]), _NAMES, strict=False):
            if some:
                xs, ys = [points.x.places[at] for at in some], [points.y.places[at] for at in some]
                yield figure.signal(xs, ys, marker=marker(sign, COLORS[color]))

    below = [] if points.color is None else [f"colours of {points.color.name} need --html, --png or --svg"]
    below += [f"{SIGNS[1]} {len(points.front)} of {len(kept)} runs on the front"] if points.front else []
    below = [fit(escape(line), columns) for line in below]
    high = rows - 1 - len(below)
    ticks = _words(points.x, max(2, columns // 16)), _words(points.y, max(2, rows // 3))
    return [heading, *_plotted(signals, *ticks, columns, high, paint is not None), *below]


def _words(lane: Lane, most: int) -> list[tuple[float, str]]:
    step = -(-len(lane.ticks) // most) or 1
    return [(place, fit(escape(word), 14)) for place, word in lane.ticks[::step]]


def draw_boxes(found: Boxes, *, columns: int) -> list[str]:
    """A line for each group: every value as a dot, what lies between lowest and highest, the middle half doubled, the median."""
    labels = [fit(escape(group.label), max(8, columns // 4)) for group in found.groups]
    name = fit(escape(found.by), max(8, columns // 4))
    wide = max(map(width, (name, *labels)))
    medians = column([group.middle for group in found.groups])
    counts = [str(len(group.values)) for group in found.groups]
    sides = [max(map(len, (title, *cells))) for title, cells in (("n", counts), ("median", medians))]
    room = max(_LEAST_WIDE, columns - wide - sum(sides) - 6)
    lines = [fit(escape(f"{found.metric} by {found.by}"), columns)]
    lines.append(f"{pad(name, wide)}  {pad('n', sides[0], right=True)}  {pad('median', sides[1], right=True)}")
    for label, count, middle, group in zip(labels, counts, medians, found.groups, strict=True):
        told = f"{pad(label, wide)}  {pad(count, sides[0], right=True)}  {pad(middle, sides[1], right=True)}"
        lines.append(f"{told}  {_row(group, found, room)}".rstrip())
    low, high = number(found.scale.low, 4), number(found.scale.high, 4)
    lines.append(" " * (wide + sum(sides) + 6) + low + pad(high, max(0, room - len(low)), right=True))
    return [*lines, "● a run  ─ lowest to highest  ═ the middle half  ┃ ◉ median"]


def _row(group: Group, found: Boxes, room: int) -> str:
    cells = [" "] * room

    def at(value: float) -> int:
        return round(found.scale.at(value) * (room - 1))

    spans = [("─", (group.values[0], group.values[-1]))]
    if group.quartiles is not None:
        spans.append(("═", group.quartiles))
    for sign, (low, high) in spans:
        cells[at(low) : at(high) + 1] = sign * (at(high) + 1 - at(low))
    for value in group.values:
        cells[at(value)] = "●"
    # Of an odd number of runs one is the median; it must not vanish behind it.
    cells[at(group.middle)] = "◉" if cells[at(group.middle)] == "●" else "┃"
    return "".join(cells)
