"""Which params may have mattered for a metric: what can be asked of runs at all, and what must be said beside the answer. Pure.

How much each matters, `evaluators` asks optuna.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from itertools import combinations
from operator import mul
from typing import Any, Literal

from gittrack.compare.align import ABSENT
from gittrack.values import dataclass

Kind = Literal["number", "log", "choice"]
Rows = Sequence[int]
# Of each param how much it matters, not normalized: from the params of the runs at some places, and the values of those at others.
Evaluate = Callable[[Rows, Rows], Mapping[str, float]]

_LOG_FROM = 100.0  # from this ratio of the largest to the smallest on, numbers count by their logarithm
_LARGEST = 1e30  # beyond what forests take; then the order of numbers has to do
_MOST_CHOICES = 20
_PER_PARAM = 10
_TOO_ALIKE = 0.95


@dataclass(frozen=True, slots=True)
class Varied:
    """A param that can be asked about: one value a run. Of a choice the values are numbers of `choices`."""

    key: str
    kind: Kind
    values: tuple[float, ...]
    choices: int = 0


@dataclass(frozen=True, slots=True)
class Design:
    """What runs varied, and what was left out of it: the same everywhere, or too many choices to say anything."""

    varied: tuple[Varied, ...]
    constant: tuple[str, ...]
    scattered: tuple[str, ...]
    confounded: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Importance:
    """The share of a param, of 1 for all together, and a 95% interval over resampled runs.

    `chance` is how often it would matter as much if it did not matter at all: the p of a permutation test. All but the share
    are None where nothing was resampled.
    """

    key: str
    share: float
    low: float | None = None
    high: float | None = None
    chance: float | None = None


def design(params: Sequence[Mapping[str, Any]]) -> Design:
    """What runs with these params varied; a param that some runs lack is a choice, of which lacking it is one."""
    varied, constant, scattered = [], [], []
    for key in dict.fromkeys(key for one in params for key in one):
        column = [one.get(key, ABSENT) for one in params]
        found = _varied(key, column)
        if found is not None:
            varied.append(found)
        elif len(set(map(_name, column))) == 1:
            constant.append(key)
        else:
            scattered.append(key)
    return Design(tuple(varied), tuple(constant), tuple(scattered), tuple(_confounded(varied)))


def _varied(key: str, column: Sequence[Any]) -> Varied | None:
    names = list(map(_name, column))
    distinct = len(set(names))
    if distinct < 2:
        return None
    if all(_is_number(value) for value in column):
        numbers = tuple(map(float, column))
        low, high = min(numbers), max(numbers)
        if low == high:
            return None
        if max(abs(low), abs(high)) > _LARGEST:
            return Varied(key, "number", tuple(_ranks(numbers)))
        return Varied(key, "log" if low > 0 and high / low >= _LOG_FROM else "number", numbers)
    if distinct > _MOST_CHOICES or distinct == len(column) > 2:
        return None
    places = {name: float(at) for at, name in enumerate(dict.fromkeys(names))}
    return Varied(key, "choice", tuple(places[name] for name in names), distinct)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def _name(value: Any) -> Hashable:
    """Equal for values that are the same; 1 is 1.0, and not true."""
    if _is_number(value):
        return float(value)
    return repr(value) if value is ABSENT else json.dumps(value, sort_keys=True, default=str)


# --- params that say the same


def _confounded(varied: Sequence[Varied]) -> list[tuple[str, str]]:
    """Pairs that cannot be told apart: they divide the runs alike, or as numbers rise and fall together."""
    parts = {one.key: _partition(one.values) for one in varied}
    ranks = {one.key: _standard(_ranks(one.values)) for one in varied if one.kind != "choice"}
    found = []
    for a, b in combinations([one.key for one in varied], 2):
        # Numbers drawn anew for each run divide them all into ones, which says nothing.
        alike = parts[a] == parts[b] and max(parts[a]) + 1 < len(parts[a])
        if not alike and a in ranks and b in ranks:
            alike = abs(sum(map(mul, ranks[a], ranks[b]))) > _TOO_ALIKE
        if alike:
            found.append((a, b))
    return found


def _partition(values: Sequence[float]) -> tuple[int, ...]:
    seen: dict[float, int] = {}
    return tuple(seen.setdefault(value, len(seen)) for value in values)


def _ranks(values: Sequence[float]) -> list[float]:
    """From 0, equals at the mean of their places."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for at in order[start:end]:
            ranks[at] = (start + end - 1) / 2
        start = end
    return ranks


def _standard(values: Sequence[float]) -> list[float]:
    middle = sum(values) / len(values)
    size = math.sqrt(sum((value - middle) ** 2 for value in values)) or 1.0
    return [(value - middle) / size for value in values]


# --- shares and intervals


def importances(evaluate: Evaluate, keys: Sequence[str], runs: int, *, resamples: int) -> list[Importance]:
    """The params by their share, the largest first; so many resamples of the runs, and as many shuffles of their values."""
    every = range(runs)
    raw = evaluate(every, every)
    dice = random.Random(0)
    drawn = [sorted(dice.choices(every, k=runs)) for _ in range(resamples)]
    resampled = [_shares(evaluate(rows, rows), keys) for rows in drawn]
    shuffled = [evaluate(every, dice.sample(every, runs)) for _ in range(resamples)]
    whole = _shares(raw, keys)
    found = []
    for key in keys:
        if not resamples:
            found.append(Importance(key, whole[key]))
            continue
        seen = sorted(one[key] for one in resampled)
        cut = int(0.025 * resamples)
        as_much = sum(one.get(key, 0.0) >= raw.get(key, 0.0) for one in shuffled)
        found.append(Importance(key, whole[key], seen[cut], seen[-1 - cut], (1 + as_much) / (1 + resamples)))
    return sorted(found, key=lambda one: -one.share)


def _shares(found: Mapping[str, float], keys: Sequence[str]) -> dict[str, float]:
    values = {key: max(0.0, float(found.get(key, 0.0))) for key in keys}
    total = sum(value for value in values.values() if math.isfinite(value))
    return {key: value / total if total and math.isfinite(value) else 0.0 for key, value in values.items()}


def warnings(found: Design, runs: int, constant_metric: bool, seeds: Collection[str]) -> list[str]:
    """What somebody who reads the shares must know, a sentence each."""
    said = []
    count = len(found.varied)
    if constant_metric:
        said.append("every run has the same value: nothing can have mattered")
    if count and runs < _PER_PARAM * count:
        said.append(f"{runs} runs for {count} params are fewer than {_PER_PARAM} for each: the order may be chance")
    said += [
        f"{a} and {b} say the same in these runs: which of them matters cannot be told" for a, b in found.confounded
    ]
    if found.constant:
        said.append(f"left out, the same in every run: {', '.join(found.constant)}")
    if found.scattered:
        said.append(f"left out, too many different values: {', '.join(found.scattered)}")
    if seeds:
        said.append(f"left out, a seed: {', '.join(sorted(seeds))}")
    return said
