"""Tables: columns laid out to a width, as text for a terminal, as CSV or as Markdown."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import Literal

from gittrack.report.text import escape, fit, width
from gittrack.values import dataclass, replace

GAP = "  "
# A cell is shortened to the first before a column is left out, to the second when none can be.
_NARROW, _NARROWEST = 20, 9
_LONGEST = 400
_POINT_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_MARKDOWN = re.compile(r"[\\`*\[<|~]|(?<![^\W_])_|_(?![^\W_])")

Paint = Callable[[str, str], str]  # text, name of a style -> text as the terminal wants it


@dataclass(frozen=True, slots=True)
class Column:
    """One column: what a person sees in `cells`, and what a program reads in `exact` if that differs.

    `align` point puts decimal points below each other. A narrow terminal leaves out the columns of
    the highest `rank`, but none of rank 0; where `shrink` is set, cells may be shortened. `styles`
    are one per cell, "" for none.
    """

    title: str
    cells: tuple[str, ...]
    exact: tuple[str, ...] = ()
    align: Literal["left", "right", "point"] = "left"
    rank: int = 0
    shrink: bool = True
    styles: tuple[str, ...] = ()


def as_text(columns: Sequence[Column], *, room: int | None = None, paint: Paint | None = None) -> list[str]:
    """The lines of a table with titles, at most `room` wide if that is given."""
    shown = fit_columns(columns, room)
    sides = [_side(column, paint) for column in shown]
    # The titles are a row like the others; without any title there is no such row.
    first = 0 if any(column.title for column in shown) else 1
    return [GAP.join(row).rstrip() for row in zip(*sides, strict=True)][first:]


def _side(column: Column, paint: Paint | None) -> list[str]:
    """The title and the cells, each filled to one width; colours take no room."""
    texts = (column.title, *column.cells)
    styles = ("title", *(column.styles or ("",) * len(column.cells)))
    widths = list(map(width, texts))
    fill = max(widths)
    spaces = [" " * (fill - wide) for wide in widths]
    shown = [_style(text, style, paint) for text, style in zip(texts, styles, strict=True)]
    if column.align == "left":
        return [text + space for text, space in zip(shown, spaces, strict=True)]
    return [space + text for text, space in zip(shown, spaces, strict=True)]


def _style(text: str, style: str, paint: Paint | None) -> str:
    return paint(text, style) if paint and style and text else text


def _aligns(columns: Sequence[Column]) -> list[str]:
    return ["left" if column.align == "left" else "right" for column in columns]


def fit_columns(columns: Sequence[Column], room: int | None) -> list[Column]:
    """The columns as they are shown: escaped, aligned, shortened, some left out if need be."""
    shown = [_safe(column) for column in columns]
    if room is None:
        return shown
    wides = [_wide(column) for column in shown]
    while (over := sum(wides) + len(GAP) * (len(shown) - 1) - room) > 0:
        last = max(range(len(shown)), key=lambda at: (shown[at].rank, at))
        narrowest = _NARROW if shown[last].rank else _NARROWEST
        spare = sum(max(0, wide - narrowest) for column, wide in zip(shown, wides, strict=True) if column.shrink)
        if spare >= over or not shown[last].rank:
            return _shrink(shown, wides, over, narrowest)
        del shown[last], wides[last]
    return shown


def _shrink(shown: list[Column], wides: list[int], over: int, narrowest: int) -> list[Column]:
    """Take what is too much from the widest columns, so that the widest of them end equally wide."""
    narrowed = list(wides)
    able = sorted(
        (at for at, one in enumerate(shown) if one.shrink and wides[at] > narrowest), key=lambda at: -wides[at]
    )
    for count, _ in enumerate(able, 1):
        # The first `count` come down to the width of the next, or to where enough is gained.
        group = able[:count]
        floor = max(narrowest, wides[able[count]] if count < len(able) else narrowest)
        gained = sum(wides[at] - floor for at in group)
        if gained >= over or count == len(able):
            spare = max(0, gained - over)
            for place, at in enumerate(group):
                narrowed[at] = min(wides[at], floor + spare // count + (place < spare % count))
            break
    return [column if narrowed[at] == wides[at] else _narrow(column, narrowed[at]) for at, column in enumerate(shown)]


def _narrow(column: Column, wide: int) -> Column:
    cells = tuple(fit(cell, wide) for cell in column.cells)
    return replace(column, title=fit(column.title, wide), cells=cells)


def _safe(column: Column) -> Column:
    # Nobody reads a cell of a megabyte in a table; measuring it would take seconds.
    cells = tuple(
        escape(cell if len(cell) <= _LONGEST else fit(cell[:_LONGEST], _LONGEST - 1)) for cell in column.cells
    )
    if column.align == "point":
        cells = _align_points(cells)
    return replace(column, title=escape(column.title), cells=cells)


def _align_points(cells: tuple[str, ...]) -> tuple[str, ...]:
    """Spaces behind the plain numbers, so that their points meet when all cells end alike."""
    behind = {}
    for cell in cells:
        if _POINT_NUMBER.fullmatch(cell):
            behind[cell] = len(cell) - cell.find(".") if "." in cell else 0
    most = max(behind.values(), default=0)
    return tuple(cell + " " * (most - behind.get(cell, most)) for cell in cells)


def _wide(column: Column) -> int:
    return max((width(column.title), *map(width, column.cells)))


def as_csv(columns: Sequence[Column]) -> str:
    """The same as CSV (RFC 4180, but with "\\n"), every value in full."""
    import csv

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([column.title for column in columns])
    writer.writerows(zip(*(column.exact or column.cells for column in columns), strict=True))
    return out.getvalue()


def as_markdown(columns: Sequence[Column]) -> str:
    """The same as a table of GitHub's Markdown."""
    from tabulate import tabulate

    titles = [_markdown(column.title) for column in columns]
    rows = list(zip(*(map(_markdown, column.cells) for column in columns), strict=True))
    return tabulate(rows, titles, tablefmt="pipe", colalign=_aligns(columns), disable_numparse=True) + "\n"


def _markdown(text: str) -> str:
    return _MARKDOWN.sub(lambda found: "\\" + found[0], escape(text.strip()).replace("&", "&amp;"))
