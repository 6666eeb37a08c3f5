"""Metrics: points `(key, step, value, time)`, their history and their summary."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from gittrack.errors import InvalidValue
from gittrack.values import dataclass, field

STEP_MIN, STEP_MAX = -(2**63), 2**63 - 1
SYSTEM = "system/"
FOLD_MAX = 10**9 - 1
_FOLD = re.compile(r"fold/(0|[1-9]\d{0,8})/(.+)", re.ASCII)


class Point(NamedTuple):
    """One number at one step; `time` in seconds since the epoch."""

    step: int
    value: float
    time: float


@dataclass(slots=True)
class History:
    """All points of one metric in the order in which they were logged, as columns.

    `attempts` is empty while the run was never resumed, else one attempt number a point.
    """

    key: str
    steps: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    times: array[float] = field(default_factory=lambda: array("d"))
    attempts: array[int] = field(default_factory=lambda: array("i"))

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[Point]:
        return map(Point, self.steps, self.values, self.times)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a history comes to; `min`, `max` and `mean` leave NaN out, `nans` counts it."""

    last: float
    min: float
    max: float
    mean: float
    count: int
    last_step: int
    last_time: float
    nans: int = 0


def summarize(history: History) -> Summary:
    """The summary of a history that has at least one point.

    The last value is that of the highest step; of several points there, the one logged last.
    """
    values, steps = history.values, history.steps
    top = max(steps)
    at = len(steps) - 1
    if steps[at] != top:
        at = max(index for index, step in enumerate(steps) if step == top)
    total = math.fsum(values) if not _has_special(values) else math.nan
    if total == total and not math.isinf(total):
        low, high, count, nans = min(values), max(values), len(values), 0
        # A single value is its own mean, also the negative zero that a sum would lose.
        mean = total / count if count > 1 else values[0]
    else:
        numbers = [value for value in values if value == value]
        nans = len(values) - len(numbers)
        low = min(numbers, default=math.nan)
        high = max(numbers, default=math.nan)
        mean = sum(numbers) / len(numbers) if numbers else math.nan
    return Summary(
        last=values[at],
        min=low,
        max=high,
        mean=mean,
        count=len(values),
        last_step=top,
        last_time=history.times[at],
        nans=nans,
    )


def fold_key(fold: int, key: str) -> str:
    """What one fold of a cross-validation measured of a metric, when all folds are of one run, is a metric of its own."""
    return f"fold/{fold}/{key}"


def fold_of(key: str) -> tuple[int, str] | None:
    """The fold and the metric of such a key; None of any other."""
    # Most keys are none, and tables ask for each.
    found = _FOLD.fullmatch(key) if key.startswith("fold/") else None
    return None if found is None else (int(found[1]), found[2])


def is_detail(key: str) -> bool:
    """Whether a metric stands behind the others: what the machine did, or what a single fold measured."""
    return key.startswith(SYSTEM) or fold_of(key) is not None


def folds_of(metrics: Mapping[str, float]) -> dict[str, dict[int, float]]:
    """By metric the values of the folds that one run made, by fold."""
    found: dict[str, dict[int, float]] = {}
    for key, value in metrics.items():
        if (place := fold_of(key)) is not None:
            found.setdefault(place[1], {})[place[0]] = value
    return found


def with_fold_means(histories: Mapping[str, History]) -> dict[str, History]:
    """Histories with the mean over folds as one more point of each metric that folds measured, unless it is the last already."""
    last = {key: summarize(one).last for key, one in histories.items() if len(one) and fold_of(key)}
    whole = dict(histories)
    for key, folds in folds_of(last).items():
        try:
            mean = math.fsum(folds.values()) / len(folds)
        except (OverflowError, ValueError):  # beyond all floats, or infinities of both signs
            mean = sum(folds.values()) / len(folds)
        before = whole.get(key, History(key))
        if len(before) and summarize(before).last == mean:
            continue
        step = min(max(before.steps) + 1, STEP_MAX) if len(before) else 0
        time = max(max(histories[fold_key(fold, key)].times) for fold in folds)
        whole[key] = History(
            key,
            before.steps + array("q", [step]),
            before.values + array("d", [mean]),
            before.times + array("d", [time]),
        )
    return whole


def _has_special(values: array[float]) -> bool:
    return not math.isfinite(sum(values))


def to_number(key: str, value: object) -> float:
    """A metric's value as a float: numbers, truth values, numpy and torch scalars (one element of any shape)."""
    kind = type(value)
    if kind is float or kind is int or kind is bool:
        try:
            return float(value)  # type: ignore[arg-type]
        except OverflowError:
            return math.inf if value > 0 else -math.inf  # type: ignore[operator]
    if isinstance(value, (str, bytes, complex)) or value is None:
        raise InvalidValue(f"metric {key!r} must be a number, not {kind.__name__} {value!r:.60}")
    item = getattr(value, "item", None)
    try:
        return float(item() if callable(item) else value)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise InvalidValue(f"metric {key!r} must be one number, not {kind.__name__}: {error}") from None


def to_fold(fold: object, of: object = None) -> int:
    """A fold as a whole number, from 0 or from 1 on as one counts, and one of `of` where that is given."""
    number, count = to_step(fold, "a fold"), None if of is None else to_step(of, "the number of folds")
    if not 0 <= number <= FOLD_MAX:
        raise InvalidValue(f"a fold must be a whole number from 0 to {FOLD_MAX:,}, not {number}")
    if count is not None and (count < 2 or number > count):
        raise InvalidValue(
            f"there is no fold {number} of {count} folds; count them from 0 or 1 on, and two are the fewest"
        )
    return number


def to_step(step: object, called: str = "a step") -> int:
    """A step as a whole number of 64 bits; floats are taken when they are whole. `called` is for what is said of others."""
    if type(step) is not int:
        item = getattr(step, "item", None)
        try:
            step = item() if callable(item) else step
        except (ValueError, RuntimeError) as error:
            raise InvalidValue(f"{called} must be one whole number: {error}") from None
        if isinstance(step, float) and step.is_integer():
            step = int(step)
        if isinstance(step, bool) or not isinstance(step, int):
            raise InvalidValue(f"{called} must be a whole number, not {step!r:.60}")
    if not STEP_MIN <= step <= STEP_MAX:
        raise InvalidValue(f"{called} must fit 64 bits, and {step} does not")
    return int(step)
