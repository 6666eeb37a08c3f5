"""Looking again and again: levels held against printed tables, and the rule held against what it promises."""

from __future__ import annotations

import math
import random

import pytest
from scipy.special import ndtr, ndtri

from gittrack.compare.sequential import SPENT, Looks, levels, plan_looks
from gittrack.compare.verdict import Repeats
from gittrack.settings.values import Goal

GOAL = Goal("max")
FIVE = [0.2, 0.4, 0.6, 0.8, 1.0]


def pocock(share: float) -> float:
    return 0.05 * math.log(1 + (math.e - 1) * share)


def obrien_fleming(share: float) -> float:
    return 4 * float(ndtr(ndtri(0.05 / 4) / math.sqrt(share)))


@pytest.mark.parametrize(
    ("spending", "bounds"),
    # The tables of the programs `ld98` (Reboussin, DeMets, Kim and Lan 2000, Controlled Clinical Trials 21, 190-207) and ldbounds.
    [(pocock, [2.438, 2.427, 2.410, 2.397, 2.386]), (obrien_fleming, [4.877, 3.357, 2.680, 2.290, 2.031])],
)
def test_levels_are_those_of_printed_tables(spending, bounds) -> None:
    found = [float(-ndtri(one / 2)) for one in levels(FIVE, spending)]
    assert found == pytest.approx(bounds, abs=0.0006)


@pytest.mark.parametrize(
    ("bounds", "looks"),
    # Equal steps, 5%, two-sided: Jennison and Turnbull 2000, Group Sequential Methods, tables 2.1 and 2.3.
    [([2.413] * 5, 5), ([2.040 * math.sqrt(5 / k) for k in range(1, 6)], 5), ([2.178] * 2, 2), ([2.555] * 10, 10)],
)
def test_what_known_bounds_spend_leads_back_to_them(bounds, looks) -> None:
    shares = [k / looks for k in range(1, looks + 1)]
    gone = [spent_by(bounds[:k], shares[:k]) for k in range(1, looks + 1)]
    assert gone[-1] == pytest.approx(0.05, abs=0.0005)
    found = levels(shares, dict(zip(shares, gone, strict=True)).__getitem__)
    assert [float(-ndtri(one / 2)) for one in found] == pytest.approx(bounds, abs=0.002)


def spent_by(bounds: list[float], shares: list[float]) -> float:
    """The error of bounds by another way than the one tested: a normal distribution of many dimensions."""
    from scipy.stats import multivariate_normal

    together = [[math.sqrt(min(s, t) / max(s, t)) for s in shares] for t in shares]
    inside = multivariate_normal(cov=together, allow_singular=True, seed=1, abseps=1e-6, maxpts=500_000)
    return 1 - float(inside.cdf(bounds, lower_limit=[-one for one in bounds]))


@pytest.mark.parametrize("most", [2, 3, 10, 100])
def test_later_looks_decide_more_easily_and_none_spends_more_than_there_is(most: int) -> None:
    found = levels([n / most for n in range(2, most + 1)])
    assert len(found) == most - 1
    assert all(0 < one < SPENT or most == 2 for one in found)
    assert list(found) == sorted(found)
    assert sum(found) >= SPENT - 1e-9  # looks depend on each other, so that together they spend less than the sum


def added(looks: Looks, values: list[float]):
    """The last look at values that come one by one, and after how many it was over."""
    for count in range(1, len(values) + 1):
        look = looks.look(dict(enumerate(values[:count])))
        if look is not None and look.over:
            return look, count
    return look, count


def test_a_large_difference_is_decided_early_and_in_pairs() -> None:
    base = Repeats((0.90, 0.92, 0.91, 0.89, 0.93), (0, 1, 2, 3, 4))
    look, count = added(plan_looks(base, GOAL, 10), [0.950, 0.965, 0.962, 0.9399, 0.98])
    assert (look.judged.verdict, count) == ("improved", 3)
    assert look.judged.tested.test == "paired-t"
    worse, _ = added(plan_looks(base, Goal("min"), 10), [0.950, 0.965, 0.962, 0.9399, 0.98])
    assert worse.judged.verdict == "regressed"


def test_pairs_end_where_the_base_has_no_further_seed() -> None:
    looks = plan_looks(Repeats((0.9, 0.92, 0.91), (7, 1, 3)), GOAL, 10)
    assert looks.most == 3
    assert looks.look({1: 0.92}) is None
    assert looks.against({3: 0.0, 7: 0.0}) == Repeats((0.91, 0.9), (3, 7))
    last = looks.look({7: 0.91, 1: 0.91, 3: 0.91})
    assert (last.over, last.judged.verdict) == (True, "undecided")


def test_a_base_without_seeds_is_compared_as_a_whole() -> None:
    looks = plan_looks(Repeats((0.90, 0.92, 0.91, 0.89, 0.93)), GOAL, 10)
    look, count = added(looks, [1.5, 1.52, 1.51, 1.53, 1.49])
    assert (look.judged.verdict, look.judged.tested.test) == ("improved", "welch")
    assert 2 <= count <= 5


def test_equal_stands_where_values_vary_and_two_that_are_the_same_prove_little() -> None:
    base = Repeats((0.90, 0.92, 0.91, 0.89, 0.93), (0, 1, 2, 3, 4))
    looks = plan_looks(base, Goal("max", min_change=0.05), 5)
    look, count = added(looks, [0.9001, 0.9199, 0.9101, 0.8899, 0.93])
    assert (look.judged.verdict, look.over) == ("equal", True)
    assert count < 5
    look, count = added(looks, list(base.values))
    assert (look.judged.verdict, count) == ("equal", 5)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_repeat_that_diverged_ends_it(bad: float) -> None:
    look, count = added(plan_looks(Repeats((0.9, 0.92, 0.91), (0, 1, 2)), GOAL, 10), [0.9, bad, 0.9])
    assert (look.judged.verdict, count) == ("undecided", 2)
    assert "diverged" in look.judged.reason


@pytest.mark.parametrize("labels", [tuple(range(5)), ()])
def test_looking_after_each_repeat_makes_no_more_false_verdicts(labels: tuple[int, ...]) -> None:
    source = random.Random(7)
    plan = plan_looks(Repeats((0.0, 1.0, 2.0, 3.0, 4.0), labels), GOAL, 5)
    wrong = naive = 0
    for _ in range(200):
        base = Repeats(tuple(source.gauss(0, 1) for _ in range(5)), labels)
        values = [source.gauss(0, 1) for _ in range(5)]
        wrong += added(Looks(base, GOAL, plan.levels), values)[0].judged.verdict != "undecided"
        naive += added(Looks(base, GOAL, (0.05,) * 4), values)[0].judged.verdict != "undecided"
    # Of 200 at 5% more than 20 are one case of 862.
    assert wrong < 21
    assert naive > wrong
