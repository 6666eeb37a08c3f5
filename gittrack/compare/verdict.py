"""The verdict over one metric: improved, regressed, equal or undecided, and the reason in one line. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Literal, Protocol

from gittrack.compare.stats import (
    LEVEL,
    Tested,
    corrected_t,
    equivalence,
    paired_t,
    pairs_needed,
    repeats_needed,
    welch,
)
from gittrack.values import dataclass

Verdict = Literal["improved", "regressed", "equal", "undecided"]

_NAMES = {
    "welch": "Welch",
    "paired-t": "paired t",
    "corrected-t": "t corrected for overlapping folds",
    "sign-flip": "sign flips",
    "wilcoxon": "Wilcoxon",
    "mcnemar": "McNemar",
}


class HasGoal(Protocol):
    """What is better for a metric; a change smaller than `min_change` is none."""

    @property
    def goal(self) -> Literal["min", "max"]: ...
    @property
    def min_change(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Repeats:
    """What one configuration measured, once for each repeat, and what tells the repeats apart: a seed or a fold.

    `labels` are as many as `values`, or none where nothing tells them apart. `folds` says of how many folds a cross-validation
    was, whose training sets overlap.
    """

    values: tuple[float, ...]
    labels: tuple[Hashable, ...] = ()
    folds: int | None = None

    @property
    def mean(self) -> float:
        try:
            return fmean(self.values)
        except (ValueError, OverflowError):
            return math.nan  # infinities of both signs

    @property
    def sd(self) -> float | None:
        if len(self.values) < 2 or not all(map(math.isfinite, self.values)):
            return None
        try:
            return stdev(self.values)
        except OverflowError:
            return None


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its reason; `needed` repeats on each side would probably decide what is undecided."""

    verdict: Verdict
    reason: str
    tested: Tested | None = None
    needed: int | None = None


def judge(a: Repeats, b: Repeats, goal: HasGoal | None, *, level: float = LEVEL) -> Judgement:
    """What b did to a metric of a, as far as the data carry it; without a goal nothing is better or worse."""
    n_a, n_b = len(a.values), len(b.values)
    if not n_a or not n_b:
        return Judgement("undecided", "one side has no value")
    if not all(map(math.isfinite, (*a.values, *b.values))):
        if n_a == n_b == 1 and repr(a.values[0]) == repr(b.values[0]):
            return Judgement("equal", f"both are {a.values[0]}")
        return Judgement("undecided", "a value is NaN or infinite: a run diverged")
    if min(n_a, n_b) < 2:
        if n_a == n_b and a.values == b.values:
            return Judgement("equal", "one run on each side, with the same value")
        return Judgement("undecided", f"n = {n_a} and {n_b}: one run cannot tell a change from chance")
    try:
        tested, why = choose(a, b, level=level)
    except OverflowError:
        return Judgement("undecided", "the values are too large to be compared")
    return decide(tested, why, a, b, goal, level=level)


def choose(a: Repeats, b: Repeats, *, level: float = LEVEL) -> tuple[Tested, str]:
    """The test that the data allow, and why this one: pairs by seed or fold where both sides have the same, else Welch."""
    pairs = _paired(a, b)
    if pairs is None:
        return welch(a.values, b.values, level=level), "independent repeats"
    if a.folds is not None and a.folds == b.folds and a.folds > 1:
        share = 1 / (a.folds - 1)
        return corrected_t(*pairs, test_share=share, level=level), f"the same {a.folds} folds, which overlap"
    return paired_t(*pairs, level=level), "the same seeds on both sides"


def decide(
    tested: Tested,
    why: str,
    a: Repeats,
    b: Repeats,
    goal: HasGoal | None,
    *,
    p: float | None = None,
    level: float = LEVEL,
) -> Judgement:
    """The verdict of a test; `p` is its p after a correction for several metrics, where there was one."""
    p = tested.p if p is None else p
    words = f"{_NAMES[tested.test]}, {why}: p = {_p(p)}, n = {_counts(tested)}"
    margin = 0.0 if goal is None else goal.min_change
    alike = equivalence(tested, margin)
    if alike is not None and alike < level:
        return Judgement(
            "equal", f"within ± {margin:g} (two one-sided tests, p = {_p(alike)}, n = {_counts(tested)})", tested
        )
    if tested.se == 0.0 and tested.delta and not (a.labels and b.labels):
        said = "the repeats of either side are all the same, and nothing says that they had different seeds"
        return Judgement("undecided", f"{said}: perhaps each is one run made again", tested)
    if p == 1.0 and tested.se == 0.0:
        return Judgement("equal", f"every value is the same, n = {_counts(tested)}", tested)
    if p < level:
        if goal is None:
            return Judgement("undecided", f"it changed, and no goal says which way is better; {words}", tested)
        better = (tested.delta > 0) == (goal.goal == "max")
        return Judgement("improved" if better else "regressed", words, tested)
    needed = _needed(tested, a, b, margin, level)
    more = "" if needed is None else f"; were it real, some {needed:,} repeats on each side would show it"
    return Judgement("undecided", f"{words}{more}", tested, needed)


def _needed(tested: Tested, a: Repeats, b: Repeats, margin: float, level: float) -> int | None:
    """Of folds there are as many as there are; of seeds there can be more."""
    delta = max(abs(tested.delta), margin)
    if tested.test == "paired-t" and tested.se is not None:
        return pairs_needed(delta, tested.se * math.sqrt(tested.n_a), level=level)
    if tested.test == "welch" and a.sd is not None and b.sd is not None:
        return repeats_needed(delta, a.sd, b.sd, level=level)
    return None


def judge_all(
    pairs: Mapping[str, tuple[Repeats, Repeats]],
    goal: Callable[[str], HasGoal | None],
    *,
    gates: Sequence[str] = (),
    level: float = LEVEL,
) -> dict[str, Judgement]:
    """A verdict for each metric; those that gate are corrected for being several (Holm)."""
    from gittrack.compare.stats import holm

    found = {key: judge(a, b, goal(key), level=level) for key, (a, b) in pairs.items()}
    tests = {key: one for key in gates if key in found and (one := found[key].tested) is not None}
    if len(tests) > 1:
        for key, p in holm({key: one.p for key, one in tests.items()}).items():
            a, b = pairs[key]
            _, why = choose(a, b)
            found[key] = decide(tests[key], f"{why}, one of {len(tests)} that gate", a, b, goal(key), p=p, level=level)
    return found


def _paired(a: Repeats, b: Repeats) -> tuple[list[float], list[float]] | None:
    """The values of both sides in one order, where the same labels stand on both and tell all of them apart."""
    by_a, by_b = dict(zip(a.labels, a.values, strict=False)), dict(zip(b.labels, b.values, strict=False))
    if not by_a or len(by_a) != len(a.values) or len(by_b) != len(b.values) or by_a.keys() != by_b.keys():
        return None
    return list(by_a.values()), [by_b[label] for label in by_a]


def _counts(tested: Tested) -> str:
    return f"{tested.n_a}" if tested.n_a == tested.n_b else f"{tested.n_a} and {tested.n_b}"


def _p(p: float) -> str:
    return f"{p:.2g}" if p >= 0.0001 else "0.0001 or less"
