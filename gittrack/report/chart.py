"""One chart as an SVG: axes with a grid, and marks on a plane of whole numbers, from which a script reads the values back.

The plane goes from 0 to 100,000 on both axes and is stretched to its place, so that no point is written twice: zooming shows
another part of it, and hovering reckons a value from a place. Without a script the picture is the same.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from gittrack.report.scale import Scale, tick_words
from gittrack.report.series import Band, Curve, Frame, Series, thin_curve
from gittrack.report.text import escape, fit
from gittrack.values import dataclass

PLANE = 100_000
WIDE, HIGH = 760, 340
_LEFT, _BOTTOM, _EDGE = 84, 48, 14
_PLOT_WIDE, _PLOT_HIGH = WIDE - _LEFT - _EDGE, HIGH - _BOTTOM - _EDGE
PALETTE = 7
_MOST_WORDS = 12


def text(plain: str) -> str:
    """Text from anybody as HTML, between tags or in an attribute."""
    return html.escape(escape(plain))


def label(lines: Iterable[str]) -> str:
    """Lines of text in an attribute, where a plain line end would not stay one."""
    return "&#10;".join(map(text, lines))


def data(value: Any) -> str:
    """A value as JSON in an attribute."""
    return html.escape(json.dumps(value, allow_nan=False, separators=(",", ":")))


@dataclass(frozen=True, slots=True)
class Axis:
    """What is written along one side: its name, marks by their place from 0 to 1, and the numbers it stands for, if any."""

    name: str
    ticks: Sequence[tuple[float, str]]
    scale: Scale | None = None

    @classmethod
    def of(cls, name: str, scale: Scale) -> Axis:
        return cls(name, tick_words(scale), scale)

    def to_json(self) -> dict[str, Any]:
        if self.scale is None:
            return {"ticks": [[round(place, 4), fit(escape(word), 16)] for place, word in self.ticks]}
        return {"low": self.scale.low, "high": self.scale.high, "log": self.scale.log}


def chart(name: str, x: Axis, y: Axis, marks: Iterable[str], *, values: bool = False) -> str:
    """An SVG element; `values` makes hovering show the values of a point beside its label."""
    axes = data({"x": x.to_json(), "y": y.to_json(), "plot": [_LEFT, _EDGE, _PLOT_WIDE, _PLOT_HIGH], "values": values})
    head = (
        f'<svg class="chart" viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="{text(name)}" data-axes="{axes}" '
        'xmlns="http://www.w3.org/2000/svg">'
    )
    names = (
        f'<text x="{_LEFT + _PLOT_WIDE / 2:.0f}" y="{HIGH - 6}" text-anchor="middle">{text(fit(x.name, 90))}</text>'
        f'<text transform="translate(10,{_EDGE + _PLOT_HIGH / 2:.0f}) rotate(-90)" text-anchor="middle">'
        f"{text(fit(y.name, 40))}</text>"
    )
    plane = (
        f'<svg class="plane" x="{_LEFT}" y="{_EDGE}" width="{_PLOT_WIDE}" height="{_PLOT_HIGH}" '
        f'viewBox="0 0 {PLANE} {PLANE}" preserveAspectRatio="none">'
    )
    return "\n".join([head, f'<g class="grid">{"".join(_grid(x, y))}</g>', names, plane, *marks, "</svg>\n</svg>"])


def empty(name: str, words: str) -> str:
    """A chart that has nothing to show, and says so."""
    return (
        f'<svg class="chart" viewBox="0 0 {WIDE} 60" role="img" aria-label="{text(name)}" xmlns="http://www.w3.org/2000/svg">'
        f'<text x="{_LEFT}" y="36">{text(words)}</text></svg>'
    )


def _grid(x: Axis, y: Axis) -> Iterable[str]:
    for place, word in y.ticks:
        at = _EDGE + (1 - place) * _PLOT_HIGH
        yield f'<line x1="{_LEFT}" x2="{_LEFT + _PLOT_WIDE}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{text(fit(word, 8 if y.scale is None else 10))}</text>'
    ticks = x.ticks[:: -(-len(x.ticks) // _MOST_WORDS) or 1]
    for place, word in ticks:
        at = _LEFT + place * _PLOT_WIDE
        yield f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{_EDGE}" y2="{_EDGE + _PLOT_HIGH}"/>'
        room = fit(word, 90 // len(ticks))
        yield f'<text x="{at:.1f}" y="{HIGH - _BOTTOM + 16}" text-anchor="middle">{text(room)}</text>'


# --- marks


def point(x: float, y: float) -> str:
    """A place on the plane, given from 0 to 1 with y upwards."""
    return f"{round(x * PLANE)},{round((1 - y) * PLANE)}"


def dot(x: float, y: float, told: Iterable[str], color: str | int, *, rim: bool = False) -> str:
    """One point with lines of its own; a colour is one of the palette or a text like `#3f6fd8`; `rim` sets it off from a surface."""
    at = point(x, y)
    around = f'<polyline class="rim" points="{at} {at}"/>' if rim else ""
    return f'<g {_colored("mark", color)} data-label="{label(told)}">{around}<polyline class="dot" points="{at} {at}"/></g>'


def curve_marks(curve: Curve, frame: Frame, at: int, buckets: int) -> str:
    """One line with what lies behind it, in the colour `at` of the palette."""
    thinned = thin_curve(curve, buckets)
    parts = [] if thinned.band is None else _band(thinned.band, frame)
    if thinned.raw is not None:
        parts += _pieces(thinned.raw, frame, "raw")
    parts += _pieces(thinned.line, frame, "line")
    return f'<g {_colored("mark", at)} data-label="{text(curve.line.label)}">{"".join(parts)}</g>'


def _colored(kind: str, color: str | int) -> str:
    if isinstance(color, str):
        return f'class="{kind}" style="--c:{color}"'
    return f'class="{kind} {color_class(color)}"'


def color_class(at: int) -> str:
    """The colours come again after seven lines; then the lines are dashed, and dotted after as many more."""
    return " ".join(filter(None, (f"c{at % PALETTE}", ("", "dashed", "dotted")[at // PALETTE % 3])))


def _pieces(line: Series, frame: Frame, kind: str) -> list[str]:
    """One polyline per stretch without a gap; a point that stands alone is a dot."""
    drawn = []
    for stretch in _stretches(frame, line.xs, line.ys):
        places = [f"{x},{PLANE - y}" for x, y in stretch]
        if len(places) == 1:
            drawn.append(f'<polyline class="dot {kind}" points="{places[0]} {places[0]}"/>')
        else:
            drawn.append(f'<polyline class="{kind}" points="{" ".join(_without_repeats(places))}"/>')
    return drawn


def _band(band: Band, frame: Frame) -> list[str]:
    lows = band.low
    if frame.y.log:
        # Below 0 there is no place; the band goes down to the edge there.
        lows = tuple(frame.y.low if low <= 0 < high else low for low, high in zip(band.low, band.high, strict=True))
    drawn = []
    for stretch in _stretches(frame, band.xs, lows, band.high):
        upper = [f"{x},{PLANE - high}" for x, _, high in stretch]
        lower = [f"{x},{PLANE - low}" for x, low, _ in reversed(stretch)]
        drawn.append(f'<polygon class="band" points="{" ".join(_without_repeats(upper + lower))}"/>')
    return drawn


def _stretches(frame: Frame, xs: Sequence[float], *sides: Sequence[float]) -> Iterator[list[tuple[int, ...]]]:
    """Points on the plane, with y upwards, in stretches of which none holds a point without a place."""
    stretch: list[tuple[int, ...]] = []
    places = list(zip(frame.x.spread(xs, PLANE), *(frame.y.spread(ys, PLANE) for ys in sides), strict=True))
    for place in places:
        if None not in place:
            stretch.append(cast("tuple[int, ...]", place))
        elif stretch:
            yield stretch
            stretch = []
    if stretch:
        yield stretch


def _without_repeats(places: Sequence[str]) -> list[str]:
    """Points that fall onto the one before are left out, but one line has two ends."""
    kept = [place for at, place in enumerate(places) if not at or place != places[at - 1]]
    return kept if len(kept) > 1 else [places[0], places[-1]]


def polygon(places: Iterable[tuple[float, float]], color: str) -> str:
    points = " ".join(point(x, y) for x, y in places)
    return f'<polygon class="piece" style="--c:{color}" points="{points}"/>'
