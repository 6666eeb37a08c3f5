from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from gittrack.domain.run import RunState, Status
from gittrack.errors import UnknownRun, UsageError
from gittrack.report.keys import Key
from gittrack.report.surface import Surface, surface

X, Y, Z = Key("params", "x"), Key("params", "y"), Key("metrics", "z")


def runs(places: list[tuple[object, object]], height: Callable[..., float]) -> list[RunState]:
    return [
        RunState(f"{at:032x}", "n", "e", Status.FINISHED, 0.0, params={"x": x, "y": y}, metrics={"z": height(x, y)})
        for at, (x, y) in enumerate(places)
    ]


GRID: list[tuple[object, object]] = [(x, y) for x in range(4) for y in range(3)]


def area(corners: list[tuple[float, float]]) -> float:
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(corners, corners[1:] + corners[:1], strict=True))) / 2


def covered(found: Surface) -> float:
    return sum(area(corners) for _, corners in found.bands())


@pytest.mark.parametrize("height", [lambda x, y: x + 2 * y, lambda x, y: x * y - 1e6, lambda x, y: 3.0])
def test_bands_cover_what_the_points_span_and_nothing_twice(height: Callable[..., float]) -> None:
    found = surface(runs(GRID, height), X, Y, Z)
    xs, ys = [x for x, _, _ in found.corners], [y for _, y, _ in found.corners]
    assert covered(found) == pytest.approx((max(xs) - min(xs)) * (max(ys) - min(ys)))


def test_bands_rise_with_the_metric() -> None:
    found = surface(runs(GRID, lambda x, y: x), X, Y, Z)
    middles = [(height, sum(x for x, _ in corners) / len(corners)) for height, corners in found.bands()]
    assert [x for _, x in sorted(middles)] == sorted(x for _, x in middles)


def test_repeats_at_one_place_make_one_corner_of_their_mean() -> None:
    found = surface([*runs(GRID, lambda x, y: 1.0), *runs(GRID[:1], lambda x, y: 3.0)], X, Y, Z)
    assert len(found.points.names) == 13
    assert len(found.corners) == 12
    assert found.corners[0][2] == 2.0


@pytest.mark.parametrize(
    ("places", "said"),
    [
        (GRID[:3], "there are 3"),
        ([(at, at) for at in range(9)], "on one line"),
        ([(10.0**at, 0.1) for at in range(9)], "on one line"),
        ([], "there are 0"),
    ],
)
def test_points_that_span_nothing(places: list[tuple[object, object]], said: str) -> None:
    with pytest.raises(UnknownRun, match=said):
        surface(runs(places, lambda x, y: 1.0), X, Y, Z)


def test_runs_without_a_number_are_left_out() -> None:
    some = runs([*GRID, ("sgd", 1), (1, None)], lambda x, y: 1.0) + runs([(1, 1)], lambda x, y: math.nan)
    assert len(surface(some, X, Y, Z).points.names) == len(GRID)


def test_a_param_that_cannot_be_drawn_on_a_logarithmic_axis() -> None:
    with pytest.raises(UsageError, match="x has no number that can be drawn"):
        surface(runs([(-1, y) for y in range(5)], lambda x, y: 1.0), X, Y, Z, log=["x"])
