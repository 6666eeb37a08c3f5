"""Learning curves as one HTML file that needs nothing else: an inline SVG for each metric."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

from gittrack.report.numbers import column, number
from gittrack.report.series import Frame, Series, frame, thin
from gittrack.report.text import escape

# Told apart by people who see colours differently (the palette of Okabe and Ito).
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
_WIDE, _HIGH, _LEFT, _BOTTOM, _EDGE = 760, 340, 70, 34, 14
_STYLE = """\
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 800px; margin: 2rem auto; padding: 0 1rem; }
h2 { font-size: 1rem; margin: 2rem 0 .3rem; }
svg { width: 100%; height: auto; }
svg text { font-size: 12px; fill: currentColor; }
.grid { stroke: currentColor; stroke-opacity: .15; }
.line { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 0 1.5rem; margin: .3rem 0; }
li::before { content: "━ "; color: var(--c); font-weight: bold; }
"""


def curves_page(charts: Mapping[str, Sequence[Series]], title: str) -> str:
    """A page with one chart per metric."""
    body = "\n".join(_chart(name, lines) for name, lines in charts.items())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>\n{_STYLE}</style></head>\n"
        f"<body>\n<h1>{_text(title)}</h1>\n{body}\n</body></html>\n"
    )


def _text(text: str) -> str:
    return html.escape(escape(text))


def _chart(name: str, lines: Sequence[Series]) -> str:
    legend = "".join(
        f'<li style="--c:{COLORS[at % len(COLORS)]}">{_text(line.label)}</li>' for at, line in enumerate(lines)
    )
    return f"<h2>{_text(name)}</h2>\n{svg(lines, name)}\n<ul>{legend}</ul>"


def svg(lines: Sequence[Series], name: str = "") -> str:
    """The lines as an SVG element; hovering over a point that stands alone or over a line names it."""
    head = (
        f'<svg viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="{_text(name)}" xmlns="http://www.w3.org/2000/svg">'
    )
    place = frame(lines)
    if place is None:
        return f'{head}<text x="{_LEFT}" y="40">no finite points to draw</text></svg>'
    parts = [head, *_grid(place)]
    for at, line in enumerate(lines):
        parts += _line(thin(line, _WIDE), place, COLORS[at % len(COLORS)])
    return "\n".join([*parts, "</svg>"])


def _x(place: Frame, x: float) -> float:
    return _LEFT + place.across(x) * (_WIDE - _LEFT - _EDGE)


def _y(place: Frame, y: float) -> float:
    return _HIGH - _BOTTOM - place.up(y) * (_HIGH - _BOTTOM - _EDGE)


def _grid(place: Frame) -> list[str]:
    parts = []
    for y, text in zip(place.y_ticks, column(place.y_ticks), strict=True):
        at = _y(place, y)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDE - _EDGE}" y1="{at:.1f}" y2="{at:.1f}"/>'
            f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{text}</text>'
        )
    for x in place.x_ticks:
        at = _x(place, x)
        parts.append(
            f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_EDGE}" y2="{_HIGH - _BOTTOM}"/>'
            f'<text x="{at:.1f}" y="{_HIGH - 14}" text-anchor="middle">{number(x)}</text>'
        )
    return parts


def _line(line: Series, place: Frame, color: str) -> list[str]:
    """One polyline per stretch without a gap; a point that stands alone is a dot."""
    stretches: list[list[str]] = [[]]
    for x, y in zip(line.xs, line.ys, strict=True):
        if math.isfinite(y):
            stretches[-1].append(f"{_x(place, x):.1f},{_y(place, y):.1f}")
        elif stretches[-1]:
            stretches.append([])
    title = f"<title>{_text(line.label)}</title>"
    parts = []
    for points in stretches:
        if len(points) == 1:
            left, top = points[0].split(",")
            parts.append(f'<circle cx="{left}" cy="{top}" r="3" fill="{color}">{title}</circle>')
        elif points:
            parts.append(f'<polyline class="line" stroke="{color}" points="{" ".join(points)}">{title}</polyline>')
    return parts
