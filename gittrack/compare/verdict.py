"""The verdict over one metric: improved, regressed, equal or undecided, and the reason in one line. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Mapping
from statistics import fmean, stdev
from typing import Literal, Protocol, TypeVar

from gittrack.compare.stats import (
    LEVEL,
    Name,
    Tested,
    corrected_t,
    equivalence,
    holm,
    paired_t,
    pairs_needed,
    permutation,
    repeats_needed,
    sign_flip,
    welch,
    wilcoxon,
)
from gittrack.errors import InvalidValue
from gittrack.values import dataclass, replace

K = TypeVar("K", bound=Hashable)
Verdict = Literal["improved", "regressed", "equal", "undecided"]

# Fewer repeats than these against another number of them, or so many times more on one side: Welch's degrees of freedom are too
# rough an estimate.
_FEW, _UNEVEN = 6, 2
# Sides that share fewer of their folds seem to be of different splits: fold 0 of 5 is not fold 0 of 10.
_SHARED_FOLDS = 0.75
_INDEPENDENT = "independent repeats"
NAMES = {
    "welch": "Welch",
    "paired-t": "paired t",
    "corrected-t": "t corrected for overlapping folds",
    "sign-flip": "sign flips",
    "permutation": "permutations",
    "wilcoxon": "Wilcoxon",
    "mcnemar": "McNemar",
    "bootstrap": "bootstrap",
}


class HasGoal(Protocol):
    """What is better for a metric; a change smaller than `min_change` is none."""

    @property
    def goal(self) -> Literal["min", "max"]: ...
    @property
    def min_change(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Repeats:
    """What one configuration measured, once for each repeat, and what tells the repeats apart: a seed, a fold, or both.

    `labels` are as many as `values`, or none where nothing tells them apart. `folds` names for each value its fold of a
    cross-validation, whose training sets overlap, and is empty where there was none; `labels` then are of the rounds.
    """

    values: tuple[float, ...]
    labels: tuple[Hashable, ...] = ()
    folds: tuple[Hashable, ...] = ()

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


def judge(
    a: Repeats, b: Repeats, goal: HasGoal | None, *, asked: Name | None = None, level: float = LEVEL
) -> Judgement:
    """What b did to a metric of a, as far as the data carry it; without a goal nothing is better or worse."""
    found = choose(a, b, asked=asked, level=level)
    if isinstance(found, Judgement):
        return found
    return decide(*found, a, b, goal, level=level)


def choose(
    a: Repeats, b: Repeats, *, asked: Name | None = None, level: float = LEVEL
) -> tuple[Tested, str] | Judgement:
    """The test that the data allow, and why this one; or at once what can be said without a test.

    Pairs by seed or fold where both sides have the same, or one has all those of the other and more; else independent repeats. `asked`
    takes a test of one's own choice.
    """
    if isinstance(known := _untestable(a, b), Judgement):
        return known
    try:
        if asked is not None:
            return _asked(asked, a, b, level)
        if a.folds or b.folds:
            return _by_folds(a, b, level)
        return _by_seeds(a, b, level)
    except OverflowError:
        return Judgement("undecided", "the values are too far apart for a number to say how far")
    except InvalidValue as error:
        return Judgement("undecided", str(error))


def _untestable(a: Repeats, b: Repeats) -> Judgement | None:
    n_a, n_b = len(a.values), len(b.values)
    if not n_a or not n_b:
        return Judgement("undecided", "one side has no value")
    try:
        finite = all(map(math.isfinite, (*a.values, *b.values)))
    except OverflowError:  # an integer beyond all floats
        return Judgement("undecided", "a value is too large to be compared")
    if not finite:
        if n_a == n_b == 1 and repr(a.values[0]) == repr(b.values[0]):
            return Judgement("equal", f"both are {a.values[0]}")
        return Judgement("undecided", "a value is NaN or infinite: a run diverged")
    if min(n_a, n_b) < 2:
        if n_a == n_b and a.values == b.values:
            return Judgement("equal", "one run on each side, with the same value")
        return Judgement("undecided", f"n = {n_a} and {n_b}: one run cannot tell a change from chance")
    if any(not one.labels and not one.folds and one.sd == 0.0 for one in (a, b)) and a.mean != b.mean:
        said = "the repeats of a side are all the same, and nothing says that they had different seeds"
        return Judgement("undecided", f"{said}: perhaps they are one run made again")
    return None


def _by_seeds(a: Repeats, b: Repeats, level: float) -> tuple[Tested, str]:
    pairs = _paired(a, b)
    if pairs is not None:
        tested = paired_t(pairs.a, pairs.b, level=level)
        if tested.se == 0.0 and tested.delta:
            tested = sign_flip(pairs.a, pairs.b)
            return tested, f"{pairs.told(tested.delta)}, always as far apart"
        # What is the same where both sides have it may differ in the rest.
        if tested.se or pairs.whole:
            return tested, pairs.told(tested.delta)
    tested, why = welch(a.values, b.values, bounded=_rough(len(a.values), len(b.values)), level=level), _INDEPENDENT
    if tested.se == 0.0 and tested.delta:
        # Without any spread t proves what two values of a rounded metric cannot: how probable it is, splits say.
        tested, why = permutation(a.values, b.values), f"{why} that never differ on either side"
    return tested, why


def _rough(n: int, m: int) -> bool:
    return (n != m and min(n, m) < _FEW) or max(n, m) > _UNEVEN * min(n, m)


def _by_folds(a: Repeats, b: Repeats, level: float) -> tuple[Tested, str] | Judgement:
    """Folds that both sides have, in rounds that both sides have; without them nothing is known of how folds depend on each other."""
    if not a.folds or not b.folds:
        return Judgement("undecided", "one side has folds of a cross-validation, the other has none to pair them with")
    rounds = _rounds(a), _rounds(b)
    if len(rounds[0]) == len(rounds[1]) == 1:
        both = [(*rounds[0].values(), *rounds[1].values())]
    else:
        both = [(rounds[0][label], rounds[1][label]) for label in rounds[0] if label in rounds[1]]
    shared = [fold for fold in dict.fromkeys(a.folds) if both and all(fold in one for pair in both for one in pair)]
    if len(shared) < 2:
        return Judgement("undecided", "the folds of the two sides cannot be paired: fewer than two are on both")
    k, most = len({*a.folds, *b.folds}), max(len(set(a.folds)), len(set(b.folds)))
    if len(shared) < _SHARED_FOLDS * most:
        return Judgement(
            "undecided",
            f"{len(shared)} folds are on both sides, of {most} on one: the two seem to be of different splits",
        )
    pairs = ([pair[side][fold] for pair in both for fold in shared] for side in (0, 1))
    tested = corrected_t(*pairs, test_share=1 / (k - 1), rounds=len(both), level=level)
    if tested.se == 0.0 and tested.delta:
        return Judgement("undecided", "all folds are equally far apart, which tells nothing of chance")
    whole = tested.n_a == len(a.values) == len(b.values)
    if tested.se == 0.0 and not whole:
        return Judgement("undecided", f"the {len(shared)} folds that both sides have are the same, and others differ")
    some = "" if len(shared) == k else f"{len(shared)} of "
    times = "" if len(both) == 1 else f", {len(both)} times"
    there = "" if whole else _changed_there(tested.delta)
    return tested, f"the same {some}{k} folds, which overlap{times}{there}"


def _changed_there(delta: float) -> str:
    """Where only a part of the values can be compared, the means of all say something else."""
    return f", where the change is {delta:+.4g}"


def _asked(name: Name, a: Repeats, b: Repeats, level: float) -> tuple[Tested, str] | Judgement:
    why = "as asked for"
    if name == "welch":
        return welch(a.values, b.values, level=level), why
    if name == "permutation":
        return permutation(a.values, b.values), why
    if name == "corrected-t":
        found = _by_folds(a, b, level)
        return found if isinstance(found, Judgement) else (found[0], f"{why}, {found[1]}")
    pairs = _paired(a, b)
    if pairs is None:
        return Judgement("undecided", f"{NAMES[name]} needs pairs, and the two sides do not have the same seeds")
    if name == "paired-t":
        tested = paired_t(pairs.a, pairs.b, level=level)
    else:
        tested = (sign_flip if name == "sign-flip" else wilcoxon)(pairs.a, pairs.b)
    if not pairs.whole and tested.se == 0.0 and not tested.delta:
        return Judgement("undecided", f"the {len(pairs.a)} seeds that both sides have gave the same, and others differ")
    return tested, why if pairs.whole else f"{why}, {pairs.told(tested.delta)}"


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
    corrected = p is not None
    tested = tested if p is None else replace(tested, p=p)
    p = tested.p
    words = f"{NAMES[tested.test]}, {why}: p = {p_text(p)}, n = {_counts(tested)}"
    margin = 0.0 if goal is None else goal.min_change
    alike = equivalence(tested, margin)
    if alike is not None and alike < level:
        return Judgement(
            "equal", f"within ± {margin:g} (two one-sided tests, p = {p_text(alike)}, n = {_counts(tested)})", tested
        )
    if tested.se == 0.0 and not tested.delta:
        return Judgement("equal", f"every value is the same, n = {_counts(tested)}", tested)
    if p < level:
        if goal is None:
            return Judgement("undecided", f"it changed, and no goal says which way is better; {words}", tested)
        if abs(tested.delta) < margin:
            return Judgement("undecided", f"it changed, by less than the {margin:g} that count; {words}", tested)
        better = (tested.delta > 0) == (goal.goal == "max")
        return Judgement("improved" if better else "regressed", words, tested)
    # What a single test would need is less than what a correction asks for.
    needed = None if corrected else _needed(tested, a, b, margin, level)
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
    pairs: Mapping[K, tuple[Repeats, Repeats]],
    goal: Callable[[K], HasGoal | None],
    *,
    gates: Collection[K] = (),
    level: float = LEVEL,
) -> dict[K, Judgement]:
    """A verdict for each metric; those that gate are corrected for being several (Holm)."""
    tests = {
        key: one for key in pairs if key in gates and not isinstance(one := choose(*pairs[key], level=level), Judgement)
    }
    if len(tests) < 2:
        tests = {}
    found = {key: judge(a, b, goal(key), level=level) for key, (a, b) in pairs.items() if key not in tests}
    for key, p in holm({key: tested.p for key, (tested, _) in tests.items()}).items():
        tested, why = tests[key]
        why = f"{why}, one of {len(tests)} that gate"
        found[key] = decide(tested, why, *pairs[key], goal(key), p=p, level=level)
    return {key: found[key] for key in pairs}


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Values of both sides in one order; `of` are how many there are on either."""

    a: list[float]
    b: list[float]
    of: tuple[int, int]

    @property
    def whole(self) -> bool:
        return self.of == (len(self.a), len(self.a))

    def told(self, delta: float) -> str:
        if self.whole:
            return "the same seeds on both sides"
        return f"the same {len(self.a)} seeds, of {self.of[0]} and {self.of[1]}{_changed_there(delta)}"


def _paired(a: Repeats, b: Repeats) -> _Pairs | None:
    """Pairs where labels tell all values apart, and those of one side, two at least, are all among those of the other."""
    by_a, by_b = _by_label(a), _by_label(b)
    if by_a is None or by_b is None:
        return None
    shared = [label for label in by_a if label in by_b]
    if len(shared) < max(2, min(len(by_a), len(by_b))):
        return None
    return _Pairs([by_a[one] for one in shared], [by_b[one] for one in shared], (len(by_a), len(by_b)))


def _by_label(side: Repeats) -> dict[Hashable, float] | None:
    """A value for each seed, or seed and fold; None where not all have one of their own."""
    labels = (
        list(zip(side.labels, side.folds, strict=True)) if side.labels and side.folds else side.labels or side.folds
    )
    found: dict[Hashable, float] = dict(zip(labels, side.values, strict=False))
    return found if len(found) == len(side.values) else None


def _rounds(side: Repeats) -> dict[Hashable, dict[Hashable, float]]:
    """The folds of each round; those without a label are of one round."""
    labels = side.labels or ((),) * len(side.values)
    found: dict[Hashable, dict[Hashable, float]] = {}
    for label, fold, value in zip(labels, side.folds, side.values, strict=True):
        found.setdefault(label, {})[fold] = value
    return found


def _counts(tested: Tested) -> str:
    return f"{tested.n_a}" if tested.n_a == tested.n_b else f"{tested.n_a} and {tested.n_b}"


def p_text(p: float) -> str:
    """A p as people read it: what is very small is not told to the last digit."""
    return f"{p:.2g}" if p >= 0.0001 else "0.0001 or less"
