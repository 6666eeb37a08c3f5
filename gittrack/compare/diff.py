"""Rows of what differs between two runs, one function for each kind of thing. Pure.

`a` is the run compared with, `b` the one that is judged: a delta is b minus a.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

from gittrack.compare.align import ABSENT, align, flatten, same
from gittrack.compare.stats import Name
from gittrack.compare.verdict import HasGoal, Judgement, Repeats, judge
from gittrack.domain.artifact import Artifact
from gittrack.domain.codec import strict
from gittrack.domain.environment import Environment
from gittrack.values import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One key and its value on both sides, ABSENT where it is not there."""

    key: str
    a: Any
    b: Any

    @property
    def differs(self) -> bool:
        return not same(self.a, self.b)

    def to_json(self) -> dict[str, Any]:
        return {"key": self.key, "a": _plain(self.a), "b": _plain(self.b)}


def _plain(value: Any) -> Any:
    return None if value is ABSENT else strict(value)


def diff_params(a: Mapping[str, Any], b: Mapping[str, Any], *, all: bool = False) -> list[Row]:
    return _rows(a, b, all)


def diff_environment(a: Environment, b: Environment, *, all: bool = False) -> list[Row]:
    """With dotted keys like `packages.numpy`; what could not be captured is not compared."""
    return _rows(_environment(a), _environment(b), all)


def _environment(environment: Environment) -> dict[str, Any]:
    return flatten({key: one for key, one in environment.to_dict().items() if key != "notes"})


def diff_inputs(a: Iterable[Mapping[str, Any]], b: Iterable[Mapping[str, Any]], *, all: bool = False) -> list[Row]:
    """Data that the runs read, by path; the values are hashes where there are any."""
    return _rows(_inputs(a), _inputs(b), all)


def _inputs(inputs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    found = {}
    for one in inputs:
        rest = {key: value for key, value in one.items() if key != "path"}
        found[str(one.get("path", "?"))] = rest.get("md5") or rest
    return found


def diff_artifacts(a: Iterable[Artifact], b: Iterable[Artifact], *, all: bool = False) -> list[Row]:
    """By path; two are the same when their content is."""
    rows = _rows({one.path: one.md5 for one in a}, {one.path: one.md5 for one in b}, True)
    sizes_a = {one.path: one for one in a}
    sizes_b = {one.path: one for one in b}
    return [
        Row(row.key, _artifact(sizes_a.get(row.key)), _artifact(sizes_b.get(row.key)))
        for row in rows
        if all or row.differs
    ]


def _artifact(one: Artifact | None) -> Any:
    return ABSENT if one is None else {"size": one.size, "md5": one.md5}


def _rows(a: Mapping[str, Any], b: Mapping[str, Any], all: bool) -> list[Row]:
    rows = [Row(key, in_a, in_b) for key, in_a, in_b in align(a, b)]
    return [row for row in rows if all or row.differs]


# --- metrics

_NONE = Repeats(())


@dataclass(frozen=True, slots=True)
class Sample:
    """What one side measured: a mean over `n` runs, and its standard deviation where n allows one."""

    mean: float
    sd: float | None = None
    n: int = 1

    def to_json(self) -> dict[str, Any]:
        return {"mean": strict(self.mean), "sd": self.sd, "n": self.n}


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric on both sides. `delta` is b minus a, `delta_pct` that in percent of a."""

    key: str
    goal: Literal["min", "max"] | None
    a: Sample | None
    b: Sample | None
    delta: float | None
    delta_pct: float | None
    judged: Judgement

    @property
    def differs(self) -> bool:
        # Equal within what somebody cares for is still not the same.
        return self.judged.verdict != "equal" or bool(self.delta)

    @property
    def direction(self) -> Literal["towards", "away"] | None:
        """Which way the numbers went, as seen from the goal; that is no verdict."""
        if self.goal is None or not self.delta:
            return None
        return "towards" if (self.delta > 0) == (self.goal == "max") else "away"

    def to_json(self) -> dict[str, Any]:
        tested = self.judged.tested
        interval = tested is not None and tested.low is not None
        return {
            "key": self.key,
            "goal": self.goal,
            "a": None if self.a is None else self.a.to_json(),
            "b": None if self.b is None else self.b.to_json(),
            "delta": self.delta,
            "delta_pct": self.delta_pct,
            "ci": [strict(tested.low), strict(tested.high)] if tested is not None and interval else None,
            "p": None if tested is None else tested.p,
            "test": None if tested is None else tested.test,
            "verdict": self.judged.verdict,
            "reason": self.judged.reason,
        }


def diff_metrics(
    a: Mapping[str, Repeats],
    b: Mapping[str, Repeats],
    goal: Callable[[str], HasGoal | None],
    *,
    all: bool = False,
    asked: Name | None = None,
) -> list[MetricRow]:
    """Last values of the repeats of one configuration against those of another, each with a verdict.

    One number against one number proves nothing, so that nothing is better or worse: the verdict
    is `equal` when they are exactly that, else `undecided`. `asked` is a test of one's own choice.
    """
    rows = [metric_row(key, goal(key), x, y, judge(x, y, goal(key), asked=asked)) for key, x, y in align_metrics(a, b)]
    return [row for row in rows if all or row.differs]


def align_metrics(a: Mapping[str, Repeats], b: Mapping[str, Repeats]) -> Iterator[tuple[str, Repeats, Repeats]]:
    """Every metric of either side, with what both measured of it; without any value where a side lacks it."""
    for key, x, y in align(a, b):
        yield key, _NONE if x is ABSENT else x, _NONE if y is ABSENT else y


def one_run(metrics: Mapping[str, float]) -> dict[str, Repeats]:
    """The metrics of a run that has no repeats."""
    return {key: Repeats((value,)) for key, value in metrics.items()}


def metric_row(key: str, goal: HasGoal | None, a: Repeats, b: Repeats, judged: Judgement) -> MetricRow:
    """A row of a table, with what was judged of it."""
    delta = percent = None
    if a.values and b.values:
        found = b.mean - a.mean
        if math.isfinite(found):
            delta = found
            percent = 100.0 * found / abs(a.mean) if a.mean else None
            if percent is not None and not math.isfinite(percent):
                percent = None
    return MetricRow(
        key=key,
        goal=None if goal is None else goal.goal,
        a=Sample(a.mean, a.sd, len(a.values)) if a.values else None,
        b=Sample(b.mean, b.sd, len(b.values)) if b.values else None,
        delta=delta,
        delta_pct=percent,
        judged=judged,
    )
