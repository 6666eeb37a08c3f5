"""A metric over two numeric params: bands of equal height between scattered points. Pure; scipy finds the triangles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from gittrack.domain.run import RunState
from gittrack.errors import UnknownRun, UsageError
from gittrack.report.keys import Key, as_number
from gittrack.report.lanes import Scatter, lane
from gittrack.report.scale import Scale
from gittrack.values import dataclass

Point = tuple[float, float, float]
_LEAST = 4
_LEVELS = 10
# Of the square that the points span: beyond this they are a surface, within it a line.
_FLAT = 1e-6


@dataclass(frozen=True, slots=True)
class Surface:
    """The points of all runs; the corners, one for each place where runs are, as (x, y, height), x and y from 0 to 1.

    Runs at one place make one corner, of the mean of their heights. `triangles` are of three corners each.
    """

    points: Scatter
    height: Scale
    corners: tuple[Point, ...]
    triangles: tuple[tuple[int, int, int], ...]
    levels: tuple[float, ...]

    def bands(self) -> Iterator[tuple[float, list[tuple[float, float]]]]:
        """Pieces of the plane, each with its height from 0 to 1; corners of pieces as (x, y)."""
        for low, high in pairwise(self.levels):
            middle = self.height.at((low + high) / 2)
            for triangle in self.triangles:
                heights = [self.corners[at][2] for at in triangle]
                # What lies flat on the border of two bands belongs to the upper one.
                if max(heights) < low or min(heights) >= high < self.levels[-1]:
                    continue
                piece = _above(_above([self.corners[at] for at in triangle], low, 1.0), high, -1.0)
                if len(piece) > 2:
                    yield middle, [(x, y) for x, y, _ in piece]


def surface(runs: Sequence[RunState], x: Key, y: Key, metric: Key, *, log: Sequence[str] = ()) -> Surface:
    """Raises UsageError when a param is no number, UnknownRun when the runs that have all three span no plane."""
    having = [
        run for run in runs if None not in (as_number(x.of(run)), as_number(y.of(run)), as_number(metric.of(run)))
    ]
    lanes = [lane(key, having, log=axis in log, margin=0.04) for axis, key in (("x", x), ("y", y))]
    for key, one in zip((x, y), lanes, strict=True):
        if having and one.scale is None:
            raise UsageError(f"{key.name} has no number that can be drawn; contour needs two numeric params")
    points = Scatter(tuple(run.name for run in having), lanes[0], lanes[1], lane(metric, having, marks=_LEVELS))
    heights: dict[tuple[float, float], list[float]] = {}
    for at in points.kept():
        place = (points.x.places[at] or 0.0, points.y.places[at] or 0.0)
        heights.setdefault(place, []).append(as_number(metric.of(having[at])) or 0.0)
    if len(heights) < _LEAST:
        raise UnknownRun(
            f"a contour needs runs at {_LEAST} places or more, and there are {len(heights)} that have {x.name}, {y.name} and "
            f"{metric.name}; 'gittrack plot scatter' draws them"
        )
    corners = tuple((*place, sum(one / len(found) for one in found)) for place, found in heights.items())
    triangles = _triangles(corners)
    if not triangles:
        raise UnknownRun(
            f"all runs lie on one line in {x.name} and {y.name}, so that there is no surface; 'gittrack plot scatter' draws them"
        )
    height = points.color.scale if points.color is not None else None
    assert height is not None, "there are corners, and all are finite"
    inside = (one for one in height.ticks if height.low < one < height.high)
    return Surface(points, height, corners, triangles, (height.low, *inside, height.high))


def _triangles(corners: Sequence[Point]) -> tuple[tuple[int, int, int], ...]:
    from scipy.spatial import Delaunay, QhullError

    places = [(x, y) for x, y, _ in corners]
    if not _spans_plane(places):
        return ()
    try:
        found = Delaunay(places).simplices
    except QhullError:
        return ()
    return tuple((int(a), int(b), int(c)) for a, b, c in found)


def _spans_plane(places: Sequence[tuple[float, float]]) -> bool:
    x, y = places[0]
    far = max(places, key=lambda one: abs(one[0] - x) + abs(one[1] - y))
    across, up = far[0] - x, far[1] - y
    return any(abs(across * (other - y) - up * (one - x)) > _FLAT for one, other in places)


def _above(polygon: Sequence[Point], level: float, sign: float) -> list[Point]:
    """The part of a polygon on one side of a height: above it with sign 1, below it with -1."""
    kept: list[Point] = []
    for at, end in enumerate(polygon):
        start = polygon[at - 1]
        inside, was_inside = (end[2] - level) * sign >= 0, (start[2] - level) * sign >= 0
        if inside is not was_inside:
            part = (level - start[2]) / (end[2] - start[2])
            kept.append((start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part, level))
        if inside:
            kept.append(end)
    return kept
