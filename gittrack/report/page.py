"""Pictures as HTML that needs nothing else: each function returns a fragment, and `page` puts fragments into one file.

A page that is made elsewhere takes `STYLE`, which styles nothing else, and `SCRIPT` once, the script behind the last fragment; for dark
screens it says `color-scheme: light dark`. Without the script the pictures are the same and stand still.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from gittrack.report.bars import Bars
from gittrack.report.boxes import Boxes
from gittrack.report.chart import (
    HIGH,
    WIDE,
    Axis,
    chart,
    color_class,
    curve_marks,
    data,
    dot,
    empty,
    label,
    point,
    polygon,
    text,
)
from gittrack.report.colors import SHADES, shade
from gittrack.report.lanes import Lane, Parallel, Scatter
from gittrack.report.numbers import number
from gittrack.report.series import Curve, frame
from gittrack.report.surface import Surface
from gittrack.report.text import fit

STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
SCRIPT = Path(__file__).with_name("page.js").read_text(encoding="utf-8")

_PAGE_STYLE = """\
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 820px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; }
h2 { font-size: 1rem; margin: 2rem 0 .3rem; overflow-wrap: anywhere; }
"""

# Points of all curves of one fragment, 12 bytes each: beyond that, lines are thinned further than to the width of a picture.
_MOST_POINTS = 320_000
_FEWEST_BUCKETS = 16
# More lines than that are drawn thinner, to see through them.
_MANY = 20
_ZOOM = "drag to see a part, double-click to see all"


def page(title: str, *fragments: str) -> str:
    """One HTML file of fragments."""
    body = "\n".join(fragments)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>\n{_PAGE_STYLE}{STYLE}</style></head>\n"
        f"<body>\n<h1>{text(title)}</h1>\n{body}\n<script>\n{SCRIPT}</script>\n</body></html>\n"
    )


def curves_page(charts: Mapping[str, Sequence[Curve]], title: str) -> str:
    """A page with one chart per metric."""
    return page(title, curves(charts))


def _figure(heading: str, picture: str, *more: str, kind: str = "") -> str:
    return "\n".join(
        [f"<h2>{text(heading)}</h2>", f'<figure class="{f"gittrack {kind}".rstrip()}">', picture, *more, "</figure>"]
    )


def _note(words: str) -> str:
    return f'<p class="note">{text(words)}</p>'


def curves(charts: Mapping[str, Sequence[Curve]], *, x: str = "step", log: Iterable[str] = ()) -> str:
    """One chart per metric, with a legend whose entries hide their lines; `x` is the name of the axis, `log` names axes."""
    log = frozenset(log)
    weight = sum(1 + (curve.raw is not None) + (curve.band is not None) for lines in charts.values() for curve in lines)
    buckets = max(_FEWEST_BUCKETS, min(WIDE, _MOST_POINTS // (4 * max(1, weight))))
    return "\n".join(_curves(name, lines, x, log, buckets) for name, lines in charts.items())


def _curves(name: str, lines: Sequence[Curve], x: str, log: frozenset[str], buckets: int) -> str:
    place = frame(lines, y_marks=7, log=log, margin=0.03)
    legend = "".join(
        f'<li class="{color_class(at)}"><button type="button" aria-pressed="true">{text(curve.label)}</button></li>'
        for at, curve in enumerate(lines)
    )
    if place is None:
        picture = empty(name, "no finite points to draw")
    else:
        marks = [curve_marks(curve, place, at, buckets) for at, curve in enumerate(lines)]
        picture = chart(name, Axis.of(x, place.x), Axis.of("", place.y), marks, values=True)
    kind = "many" if len(lines) > _MANY else ""
    return _figure(name, picture, f'<ul class="legend">{legend}</ul>', kind=kind)


def scatter(points: Scatter) -> str:
    """One dot a run; hovering tells its name and values."""
    lanes = [points.x, points.y, *([points.color] if points.color else [])]
    marks = [
        dot(
            points.x.places[at] or 0.0,
            points.y.places[at] or 0.0,
            _told(points.names[at], lanes, at),
            _color(points, at),
        )
        for at in points.kept()
    ]
    heading = f"{points.y.name} over {points.x.name}"
    if not marks:
        return _figure(heading, empty(heading, "no run has both"))
    if points.edge:
        edge = " ".join(point(*place) for place in points.edge)
        marks.insert(0, f'<polyline class="edge c1" points="{edge}"/>')
    picture = chart(heading, _axis(points.x), _axis(points.y), marks)
    more = [_note(f"{len(points.front)} of {len(points.kept())} runs on the front")] if points.front else []
    return _figure(heading, picture, *([_shades(points.color)] if points.color else []), *more, _note(_ZOOM))


def _color(points: Scatter, at: int) -> str | int:
    if points.front:
        return 1 if at in points.front else 6
    return 0 if points.color is None else shade(points.color.places[at])


def _axis(lane: Lane) -> Axis:
    return Axis(lane.name, lane.ticks, lane.scale)


def _told(name: str, lanes: Iterable[Lane], at: int) -> list[str]:
    return [name, *(f"{lane.name} = {lane.texts[at]}" for lane in lanes)]


def _shades(lane: Lane) -> str:
    """What the colours mean."""
    if lane.scale is None:
        words = (f'<li style="--c:{shade(place)}">{text(fit(word, 40))}</li>' for place, word in lane.ticks)
        return f'<ul class="legend"><li class="name">{text(lane.name)}</li>{"".join(words)}</ul>'
    low, high = number(lane.scale.low, 4), number(lane.scale.high, 4)
    return (
        f'<p class="shades"><span>{text(lane.name)}</span> <span>{text(low)}</span>'
        f'<i style="--shades:{",".join(SHADES)}"></i><span>{text(high)}</span></p>'
    )


def box(found: Boxes) -> str:
    """Quartiles from four values on, whiskers from lowest to highest, a thick line at the median, and every value as a dot."""
    count = len(found.groups)
    marks, dots = [], []
    for at, group in enumerate(found.groups):
        middle = (at + 0.5) / count
        half = min(0.32 / count, 0.06)
        places = [found.scale.at(value) for value in group.values]
        if group.quartiles is not None:
            low, high = (found.scale.at(one) for one in group.quartiles)
            sides = [(middle - half, low), (middle + half, low), (middle + half, high), (middle - half, high)]
            marks.append(f'<polygon class="box" points="{" ".join(point(*one) for one in sides)}"/>')
            for start, end in ((places[0], low), (high, places[-1])):
                marks.append(f'<polyline class="box" points="{point(middle, start)} {point(middle, end)}"/>')
        line = found.scale.at(group.middle)
        marks.append(f'<polyline class="middle" points="{point(middle - half, line)} {point(middle + half, line)}"/>')
        for index, (place, value, name) in enumerate(zip(places, group.values, group.names, strict=True)):
            told = [name, f"{found.by} = {group.label}", f"{found.metric} = {number(value)}"]
            # Beside each other in turn, so that equal values do not hide one another.
            aside = (index % 5 - 2) * half / 4 if len(places) > 1 else 0.0
            dots.append(dot(middle + aside, place, told, 1))
    heading = f"{found.metric} by {found.by}"
    words = [((at + 0.5) / count, group.label) for at, group in enumerate(found.groups)]
    picture = chart(
        heading,
        Axis(found.by, words),
        Axis.of(found.metric, found.scale),
        [f'<g class="c0">{"".join(marks)}</g>', *dots],
    )
    return _figure(heading, picture, _note("a thick line is a median; boxes hold the middle half, from four values on"))


def contour(found: Surface) -> str:
    """Bands of equal height between the points, and the points themselves."""
    pieces = "".join(polygon(corners, shade(height)) for height, corners in found.bands())
    points = found.points
    metric = points.color
    assert metric is not None, "a surface is coloured by its metric"
    lanes = (points.x, points.y, metric)
    marks = [
        dot(
            points.x.places[at] or 0.0,
            points.y.places[at] or 0.0,
            _told(points.names[at], lanes, at),
            shade(metric.places[at]),
            rim=True,
        )
        for at in points.kept()
    ]
    heading = f"{metric.name} over {points.x.name} and {points.y.name}"
    picture = chart(heading, _axis(points.x), _axis(points.y), [f'<g class="surface">{pieces}</g>', *marks])
    return _figure(heading, picture, _shades(metric), _note("between points the surface is a guess; " + _ZOOM))


_ROW, _NAMES = 24, 190


def importance(found: Bars) -> str:
    """A bar a param, and a line from the low end of its interval to the high one."""
    wide = WIDE - _NAMES - 60
    drawn = []
    for at, one in enumerate(found.shares):
        top = at * _ROW + 6
        middle = top + _ROW / 2 - 3
        told = f"{one.key} = {one.share:.3f}"
        if one.low is not None and one.high is not None:
            told += f", 95% of resamples from {one.low:.3f} to {one.high:.3f}"
            ends = (_NAMES + one.low * wide, _NAMES + one.high * wide)
            line = (
                f'<line x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{middle:g}" y2="{middle:g}" stroke="currentColor"/>'
            )
        else:
            line = ""
        drawn.append(
            f'<g class="c0"><title>{text(told)}</title>'
            f'<text x="{_NAMES - 8}" y="{middle + 4:g}" text-anchor="end">{text(fit(one.key, 26))}</text>'
            f'<rect x="{_NAMES}" y="{top}" width="{one.share * wide:.1f}" height="{_ROW - 8}" fill="var(--c)" fill-opacity=".55"/>'
            f'{line}<text x="{_NAMES + max(one.share, one.high or 0.0) * wide + 8:.1f}" y="{middle + 4:g}">{one.share:.3f}</text></g>'
        )
    high = len(found.shares) * _ROW + 12
    picture = (
        f'<svg viewBox="0 0 {WIDE} {high}" role="img" aria-label="{text(found.heading)}" xmlns="http://www.w3.org/2000/svg">'
        f"{''.join(drawn)}</svg>"
    )
    return _figure(
        found.heading,
        picture,
        _note("shares of 1 for all params; what went with good values need not have caused them"),
    )


# --- parallel coordinates

_TOP, _DEEP, _SIDE = 44, 26, 60


def parallel(found: Parallel) -> str:
    """One line a run through all lanes; a drag along a lane keeps the runs that pass there."""
    lanes = found.lanes
    wide = max(WIDE, 2 * _SIDE + 110 * (len(lanes) - 1))
    missing = any(place is None for lane in lanes for place in lane.places)
    bottom = HIGH - _DEEP - (28 if missing else 0)
    across = [round(_SIDE + at * (wide - 2 * _SIDE) / max(1, len(lanes) - 1), 1) for at in range(len(lanes))]

    def down(place: float | None) -> float:
        return HIGH - _DEEP if place is None else round(bottom - place * (bottom - _TOP), 1)

    drawn = []
    for at, color in enumerate(found.colors()):
        points = " ".join(f"{x:g},{down(lane.places[at]):g}" for x, lane in zip(across, lanes, strict=True))
        told = label(_told(found.names[at], lanes, at))
        drawn.append(f'<polyline class="run" style="--c:{color}" points="{points}" data-label="{told}"/>')
    for x, lane in zip(across, lanes, strict=True):
        drawn += _lane(lane, x, bottom, missing, down)
    heading = f"{lanes[-1].name} by {len(lanes) - 1} params" if len(lanes) != 2 else f"{lanes[-1].name} by 1 param"
    said = data({"lanes": across, "top": _TOP, "bottom": HIGH - _DEEP if missing else bottom})
    count = len(found.names)
    words = f"{count} {'run' if count == 1 else 'runs'}; drag along an axis to keep those that pass there, click on it to undo"
    picture = (
        f'<svg viewBox="0 0 {wide:g} {HIGH}" role="img" aria-label="{text(heading)}" data-parallel="{said}" '
        f'xmlns="http://www.w3.org/2000/svg">\n{"".join(drawn)}\n</svg>'
    )
    return _figure(
        heading, picture, _shades(lanes[-1]), f'<p class="note count" data-all="{text(words)}">{text(words)}</p>'
    )


def _lane(lane: Lane, x: float, bottom: float, missing: bool, down: Callable[[float | None], float]) -> Iterable[str]:
    yield f'<g class="lane"><title>{text(lane.name)}</title><line x1="{x:g}" x2="{x:g}" y1="{_TOP}" y2="{bottom:g}"/>'
    for up, words, kind in zip((_TOP - 30, _TOP - 17), lane.name_lines(), ("above", "name"), strict=True):
        yield f'<text class="{kind}" x="{x:g}" y="{up}" text-anchor="middle">{text(words)}</text>'
    for place, word in lane.ticks:
        yield f'<text x="{x + 5:g}" y="{down(place) + 4:g}">{text(fit(word, 13))}</text>'
    if missing:
        yield f'<line class="missing" x1="{x:g}" x2="{x:g}" y1="{bottom:g}" y2="{HIGH - _DEEP}"/>'
        yield f'<text x="{x + 5:g}" y="{HIGH - _DEEP + 4}">missing</text>'
    yield "</g>"
