"""Values of runs laid out along an axis: numbers by size, all else side by side, what is missing apart. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gittrack.compare.align import ABSENT, natural
from gittrack.domain.run import RunState
from gittrack.report.colors import shade
from gittrack.report.keys import Key, as_number, text_of
from gittrack.report.scale import Scale, scale, tick_words
from gittrack.report.text import escape, fit
from gittrack.values import dataclass

# Two decades: beyond that most values would lie at one end of a linear axis.
_LOG_RATIO = 100.0
_MOST_WORDS = 24
_NAME = 14


@dataclass(frozen=True, slots=True)
class Lane:
    """One axis with a place for each run, from 0 to 1, or None for a run that has no value there.

    `scale` is None where the values are words. `texts` are the values in full, one a run; `ticks` are places and their words.
    """

    name: str
    scale: Scale | None
    places: tuple[float | None, ...]
    texts: tuple[str, ...]
    ticks: tuple[tuple[float, str], ...]

    def name_lines(self) -> tuple[str, str]:
        """The name in a narrow place: what stands before its last dot, and the rest, with a word on a logarithmic axis."""
        above, _, last = self.name.rpartition(".")
        log = " (log)" if self.scale is not None and self.scale.log else ""
        return fit(escape(above), _NAME), fit(escape(last), _NAME - len(log)) + log


def lane(key: Key, runs: Sequence[RunState], *, log: bool = False, marks: int = 6, margin: float = 0.0) -> Lane:
    """The axis of one key. Params that are above 0 and span more than two decades are put on a logarithmic one unasked.

    Where a number and null are all that there is, null and what is not finite are missing.
    """
    values = [key.of(run) for run in runs]
    texts = tuple(map(text_of, values))
    numbers = [as_number(value) for value in values]
    if _numeric(values, numbers):
        found = [one for one in numbers if one is not None]
        wide = key.kind == "params" and found and min(found) > 0 and max(found) / min(found) > _LOG_RATIO
        measure = scale(found, marks=marks, log=log or bool(wide), margin=margin)
        if measure is None:
            return Lane(key.name, None, (None,) * len(runs), texts, ())
        places = tuple(None if one is None or not measure.shows(one) else measure.at(one) for one in numbers)
        return Lane(key.name, measure, places, texts, tuple(tick_words(measure)))
    words = sorted({text for value, text in zip(values, texts, strict=True) if value is not ABSENT}, key=natural)
    at = {word: (index + 0.5) / len(words) for index, word in enumerate(words)}
    step = -(-len(words) // _MOST_WORDS)
    return Lane(
        key.name,
        None,
        tuple(None if value is ABSENT else at[text] for value, text in zip(values, texts, strict=True)),
        texts,
        tuple((at[word], word) for word in words[::step]),
    )


def _numeric(values: Sequence[Any], numbers: Sequence[float | None]) -> bool:
    return all(
        one is not None
        or value is ABSENT
        or value is None
        or (isinstance(value, int | float) and not isinstance(value, bool))
        for value, one in zip(values, numbers, strict=True)
    )


# --- several of them


@dataclass(frozen=True, slots=True)
class Parallel:
    """Parallel coordinates: one line a run through all lanes, the last of which is the metric that colours it."""

    names: tuple[str, ...]
    lanes: tuple[Lane, ...]

    def colors(self) -> list[str]:
        return [shade(place) for place in self.lanes[-1].places]


def parallel(runs: Sequence[RunState], params: Sequence[Key], metric: Key) -> Parallel:
    return Parallel(tuple(run.name for run in runs), tuple(lane(key, runs) for key in (*params, metric)))


@dataclass(frozen=True, slots=True)
class Scatter:
    """A point for each run that has a place on both axes, coloured by a third key if there is one.

    `front` are the runs to be marked, by their position, and `edge` is a line through them, in places from 0 to 1.
    """

    names: tuple[str, ...]
    x: Lane
    y: Lane
    color: Lane | None = None
    front: tuple[int, ...] = ()
    edge: tuple[tuple[float, float], ...] = ()

    def kept(self) -> list[int]:
        pairs = zip(self.x.places, self.y.places, strict=True)
        return [at for at, pair in enumerate(pairs) if None not in pair]


def scatter(runs: Sequence[RunState], x: Key, y: Key, color: Key | None = None, *, log: Sequence[str] = ()) -> Scatter:
    return Scatter(
        tuple(run.name for run in runs),
        lane(x, runs, log="x" in log, margin=0.04),
        lane(y, runs, log="y" in log, margin=0.04),
        None if color is None else lane(color, runs),
    )
