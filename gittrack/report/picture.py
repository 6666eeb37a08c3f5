"""Pictures as PNG or SVG, with matplotlib; each function draws into an empty figure, `save` makes that and writes it."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from gittrack.errors import MissingExtra, UsageError
from gittrack.report.bars import Bars
from gittrack.report.boxes import Boxes
from gittrack.report.colors import COLORS, NO_COLOR, SHADES, shade
from gittrack.report.lanes import Lane, Parallel, Scatter
from gittrack.report.scale import Scale, tick_words
from gittrack.report.series import Curve, Frame, frame, thin_curve
from gittrack.report.surface import Surface
from gittrack.report.text import escape, fit

Draw = Callable[[Any], None]  # a matplotlib Figure

_BUCKETS = 1600
_MOST_CHARTS = 40
# Beyond that nobody finds a line by its name.
_MOST_NAMED = 30
# Agg draws at most 2^16 dots either way; inches are of 72 points.
_DOTS, _MOST_DOTS = 150, 60_000


def save(draw: Draw, path: str | os.PathLike[str], form: Literal["png", "svg"] = "png") -> None:
    """Draw and write one file; raises MissingExtra without matplotlib."""
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra(
            f"{form.upper()} needs matplotlib: pip install matplotlib (--html needs nothing more)"
        ) from None
    # Text stays text in an SVG, and the same runs make the same bytes.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "gittrack"}), warnings.catch_warnings():
        # A name may have characters that the font lacks: they become boxes, and nobody can do anything about it.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        # Not through pyplot: that would choose a backend and keep the figure for ever.
        figure = Figure(figsize=(8, 4.4), layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        dots = min(_DOTS, _MOST_DOTS / max(figure.get_size_inches()))
        figure.savefig(path, format=form, dpi=dots, metadata={"Date": None} if form == "svg" else None)


def curves_picture(charts: Mapping[str, Sequence[Curve]], path: str | os.PathLike[str]) -> None:
    """One chart per metric, below each other, as a PNG; raises MissingExtra without matplotlib."""
    save(curves(charts), path)


def curves(charts: Mapping[str, Sequence[Curve]], *, x: str = "step", log: Iterable[str] = ()) -> Draw:
    """One chart per metric, below each other; `x` is the name of the axis, `log` names axes."""
    log = frozenset(log)
    if len(charts) > _MOST_CHARTS:
        raise UsageError(
            f"a picture holds at most {_MOST_CHARTS} metrics, and these are {len(charts)}; name some, or make a page with --html"
        )

    def draw(figure: Any) -> None:
        # A legend stands below its chart, which grows by as many lines.
        below = [_legend_rows(lines) for lines in charts.values()]
        figure.set_size_inches(8, 3.6 * len(charts) + 0.16 * sum(rows for rows, _ in below))
        axes = figure.subplots(len(charts), squeeze=False)
        for axis, (name, lines), (rows, beside) in zip(axes[:, 0], charts.items(), below, strict=True):
            place = frame(lines, y_marks=7, log=log, margin=0.03)
            if place is None:
                axis.text(0.5, 0.5, "no finite points to draw", ha="center", transform=axis.transAxes)
            else:
                for at, curve in enumerate(lines):
                    _curve(axis, thin_curve(curve, _BUCKETS), at, place)
                _scales(axis, place.x, place.y)
            _name(axis, x=x, title=name)
            if rows and place is not None:
                handles = axis.get_legend_handles_labels()[0][:_MOST_NAMED]
                where = {"loc": "upper left", "bbox_to_anchor": (0, -0.16), "borderaxespad": 0}
                title = f"{_MOST_NAMED} of {len(lines)} lines" if len(lines) > _MOST_NAMED else None
                axis.legend(
                    handles=handles, title=title, title_fontsize=8, fontsize=8, ncols=beside, frameon=False, **where
                )

    return draw


def _legend_rows(lines: Sequence[Curve]) -> tuple[int, int]:
    """How many rows a legend has, and how many names stand beside each other; none for one run's line."""
    if len(lines) == 1 and lines[0].band is None:
        return 0, 1
    named = lines[:_MOST_NAMED]
    beside = max(1, min(4, 110 // (8 + max(len(curve.label) for curve in named))))
    return math.ceil(len(named) / beside), beside


def _curve(axis: Any, curve: Curve, at: int, place: Frame) -> None:
    color, style = COLORS[at % len(COLORS)], ("-", "--", ":")[at // len(COLORS) % 3]
    if curve.band is not None:
        xs = _places(place.x, curve.band.xs)
        # On a logarithmic axis a band that goes down to 0 goes down to the edge.
        lows = [max(low, place.y.low) for low in curve.band.low]
        axis.fill_between(
            xs, _places(place.y, lows), _places(place.y, curve.band.high), color=color, alpha=0.17, linewidth=0
        )
    if curve.raw is not None:
        raw = _places(place.x, curve.raw.xs), _places(place.y, curve.raw.ys)
        axis.plot(*raw, color=color, alpha=0.3, linewidth=0.8)
    ys = _places(place.y, curve.line.ys)
    alone = sum(map(math.isfinite, ys)) == 1
    axis.plot(
        _places(place.x, curve.line.xs),
        ys,
        color=color,
        linestyle=style,
        marker="o" if alone else None,
        linewidth=1.4,
        label=_plain(curve.label),
    )


def _places(scale: Scale, values: Iterable[float]) -> list[float]:
    """From 0 to 1, as every other form of a picture has them: matplotlib's own axes overflow. What has no place is a gap."""
    return [scale.at(value) if scale.shows(value) else math.nan for value in values]


def _scales(axis: Any, x: Scale | None, y: Scale) -> None:
    axis.set_ylim(0, 1)
    _ticks(axis.set_yticks, tick_words(y))
    if x is not None:
        axis.set_xlim(-0.02, 1.02)
        _ticks(axis.set_xticks, tick_words(x))


def _ticks(put: Callable[..., Any], ticks: Sequence[tuple[float, str]]) -> None:
    put([place for place, _ in ticks], labels=[_plain(fit(word, 14)) for _, word in ticks])


def _name(axis: Any, *, x: str = "", y: str = "", title: str = "") -> None:
    axis.set_xlabel(_plain(fit(x, 80)))
    axis.set_ylabel(_plain(fit(y, 40)))
    axis.set_title(_plain(fit(title, 80)), fontsize=10)
    axis.grid(alpha=0.2)


def scatter(points: Scatter) -> Draw:
    """One dot a run."""

    def draw(figure: Any) -> None:
        axis = figure.subplots()
        _dots(axis, points)
        _lanes(axis, points.x, points.y)
        if points.color is not None:
            _colorbar(figure, axis, points.color)

    return draw


def _dots(axis: Any, points: Scatter, **more: Any) -> None:
    kept = points.kept()
    colors = [COLORS[0] if points.color is None else shade(points.color.places[at]) for at in kept]
    if points.front:
        colors = [COLORS[1] if at in points.front else NO_COLOR for at in kept]
        axis.plot(*zip(*points.edge, strict=True), color=COLORS[1], linestyle="--", linewidth=1)
    axis.scatter([points.x.places[at] for at in kept], [points.y.places[at] for at in kept], c=colors, s=28, **more)


def _lanes(axis: Any, x: Lane, y: Lane) -> None:
    """Axes from 0 to 1 with the marks of the lanes, as every other form of the picture has them."""
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1)
    _ticks(axis.set_xticks, x.ticks)
    _ticks(axis.set_yticks, y.ticks)
    _name(axis, x=x.name, y=y.name)


def _colorbar(figure: Any, axis: Any, lane: Lane) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap

    colors = ScalarMappable(cmap=LinearSegmentedColormap.from_list("gittrack", SHADES))
    colors.set_clim(0, 1)
    bar = figure.colorbar(colors, ax=axis, label=_plain(fit(lane.name, 40)))
    _ticks(bar.set_ticks, lane.ticks)


def box(found: Boxes) -> Draw:
    """Boxes from four values on, and every value as a dot."""

    def draw(figure: Any) -> None:
        axis = figure.subplots()
        for at, group in enumerate(found.groups):
            places = _places(found.scale, group.values)
            if group.quartiles is not None:
                low, high = _places(found.scale, group.quartiles)
                axis.bar(at, high - low, 0.5, low, facecolor="#0072B22A", edgecolor=COLORS[0])
                axis.vlines([at, at], [places[0], high], [low, places[-1]], color=COLORS[0], linewidth=1)
            (middle,) = _places(found.scale, [group.middle])
            axis.hlines(middle, at - 0.25, at + 0.25, color=COLORS[0], linewidth=2)
            aside = [at + (index % 5 - 2) * 0.06 if len(places) > 1 else at for index in range(len(places))]
            axis.scatter(aside, places, color=COLORS[1], s=14, alpha=0.8, zorder=3)
        _scales(axis, None, found.scale)
        labels = [_plain(fit(group.label, 14)) for group in found.groups]
        axis.set_xticks(range(len(labels)), labels, rotation=45 if len(labels) > 8 else 0)
        axis.set_xlim(-0.7, len(labels) - 0.3)
        _name(axis, x=found.by, y=found.metric)

    return draw


def importance(found: Bars) -> Draw:
    """A bar a param, with its interval."""

    def draw(figure: Any) -> None:
        axis = figure.subplots()
        places = range(len(found.shares), 0, -1)
        axis.barh(places, [one.share for one in found.shares], 0.6, color=COLORS[0], alpha=0.6)
        for at, one in zip(places, found.shares, strict=True):
            if one.low is not None and one.high is not None:
                axis.hlines(at, one.low, one.high, color="black", linewidth=1.2)
        axis.set_yticks(list(places), [_plain(fit(one.key, 26)) for one in found.shares])
        axis.set_xlim(0, 1)
        _name(axis, x="share", title=found.heading)

    return draw


def contour(found: Surface) -> Draw:
    """Bands of equal height between the points, and the points themselves."""

    def draw(figure: Any) -> None:
        from matplotlib.colors import LinearSegmentedColormap
        from matplotlib.tri import Triangulation

        axis = figure.subplots()
        x, y, heights = zip(*found.corners, strict=True)
        colors = LinearSegmentedColormap.from_list("gittrack", SHADES)
        net = Triangulation(x, y, found.triangles)
        levels = _places(found.height, found.levels)
        axis.tricontourf(net, _places(found.height, heights), levels=levels, cmap=colors, alpha=0.7, vmin=0, vmax=1)
        _dots(axis, found.points, edgecolors="white", linewidths=0.8, zorder=3)
        _lanes(axis, found.points.x, found.points.y)
        if found.points.color is not None:
            _colorbar(figure, axis, found.points.color)

    return draw


def parallel(found: Parallel) -> Draw:
    """One line a run through all lanes; what is missing has a place of its own below."""

    def draw(figure: Any) -> None:
        lanes = found.lanes
        figure.set_size_inches(max(8, 1.5 * len(lanes)), 4.4)
        axis = figure.subplots()
        below = -0.15
        for at, color in enumerate(found.colors()):
            heights = [below if one.places[at] is None else one.places[at] for one in lanes]
            axis.plot(range(len(lanes)), heights, color=color, alpha=0.7, linewidth=1.1)
        missing = any(place is None for one in lanes for place in one.places)
        for at, one in enumerate(lanes):
            axis.vlines(at, 0, 1, color=NO_COLOR, linewidth=1)
            words = [*one.ticks, *([(below, "missing")] if missing else [])]
            for place, word in words:
                axis.text(at + 0.03, place, _plain(fit(word, 13)), fontsize=8, va="center", zorder=4)
        names = ["\n".join(map(_plain, one.name_lines())) for one in lanes]
        axis.set_xticks(range(len(lanes)), names)
        axis.set_yticks([])
        axis.set_xlim(-0.1, len(lanes) - 0.6)
        axis.xaxis.tick_top()
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        _colorbar(figure, axis, lanes[-1])

    return draw


def _plain(text: str) -> str:
    # A dollar sign would begin a formula, and a label with a leading underscore would vanish.
    text = escape(text).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text
