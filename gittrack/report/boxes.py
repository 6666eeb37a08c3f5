"""How a metric is distributed over runs that share a value of a param. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median, quantiles

from gittrack.compare.align import ABSENT, natural
from gittrack.domain.run import RunState
from gittrack.report.keys import Key, as_number, text_of
from gittrack.report.scale import Scale, scale
from gittrack.values import dataclass

# Quartiles of fewer values would be drawn more exactly than they are known.
LEAST = 4


@dataclass(frozen=True, slots=True)
class Group:
    """The finite values of one group, rising, and the names of the runs that have them."""

    label: str
    values: tuple[float, ...]
    names: tuple[str, ...]

    @property
    def middle(self) -> float:
        return median(self.values)

    @property
    def quartiles(self) -> tuple[float, float] | None:
        """None of fewer than four values."""
        if len(self.values) < LEAST:
            return None
        low, _, high = quantiles(self.values, n=4, method="inclusive")
        return low, high


@dataclass(frozen=True, slots=True)
class Boxes:
    """One group for each value of a param, in natural order, those without the param last."""

    metric: str
    by: str
    groups: tuple[Group, ...]
    scale: Scale


def boxes(runs: Sequence[RunState], metric: Key, by: Key, *, log: bool = False) -> Boxes | None:
    """None when no run has a finite number for the metric."""
    grouped: dict[str, list[tuple[float, str]]] = {}
    order: dict[str, tuple[bool, float, list[tuple[int, int, str]]]] = {}
    for run in runs:
        value, told = as_number(metric.of(run)), by.of(run)
        if value is None or (log and value <= 0):
            continue
        label = text_of(told)
        size = as_number(told)
        order[label] = (told is ABSENT, 0.0 if size is None else size, natural(label))
        grouped.setdefault(label, []).append((value, run.name))
    measure = scale((value for group in grouped.values() for value, _ in group), log=log, margin=0.04)
    if measure is None:
        return None
    groups = []
    for label in sorted(grouped, key=order.__getitem__):
        values, names = zip(*sorted(grouped[label]), strict=True)
        groups.append(Group(label, values, names))
    return Boxes(metric.name, by.name, tuple(groups), measure)
