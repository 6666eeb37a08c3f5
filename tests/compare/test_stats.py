"""Each test against scipy, statsmodels, baycomp or a number that was printed elsewhere."""

from __future__ import annotations

import math
import random

import baycomp
import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower, TTestPower
from statsmodels.stats.weightstats import ttost_ind, ttost_paired

from gittrack.compare.stats import (
    bootstrap,
    corrected_t,
    equivalence,
    holm,
    mcnemar,
    paired_t,
    pairs_needed,
    permutation,
    repeats_needed,
    sign_flip,
    welch,
    wilcoxon,
)
from gittrack.errors import InvalidValue

# Additional hours of sleep with two drugs, ten patients (Cushny and Peebles 1905, as in Student 1908, Biometrika 6, 1-25).
SLEEP_A = (0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0)
SLEEP_B = (1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4)


def samples(seed: int, n: int, m: int | None = None) -> tuple[list[float], list[float]]:
    draw = random.Random(seed)
    return [draw.gauss(0.9, 0.01) for _ in range(n)], [draw.gauss(0.91, 0.03) for _ in range(m or n)]


def test_welch_of_students_sleep_is_what_textbooks_print() -> None:
    found = welch(SLEEP_A, SLEEP_B)
    assert found.df == pytest.approx(17.776, abs=1e-3)
    assert found.p == pytest.approx(0.07939, abs=1e-5)
    assert (found.low, found.high) == pytest.approx((-0.2054832, 3.3654832), abs=1e-6)


def test_pairs_of_students_sleep_are_what_textbooks_print() -> None:
    found = paired_t(SLEEP_A, SLEEP_B)
    assert found.p == pytest.approx(0.002833, abs=1e-6)
    assert (found.low, found.high) == pytest.approx((0.7001142, 2.4598858), abs=1e-6)


@pytest.mark.parametrize("sizes", [(2, 2), (3, 7), (10, 4), (50, 50)])
def test_welch_is_scipys(sizes: tuple[int, int]) -> None:
    a, b = samples(1, *sizes)
    theirs = scipy.stats.ttest_ind(b, a, equal_var=False)
    found = welch(a, b, level=0.1)
    assert (found.p, found.df) == pytest.approx((theirs.pvalue, theirs.df))
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval(0.9)))


@pytest.mark.parametrize("n", [2, 3, 11])
def test_paired_t_is_scipys(n: int) -> None:
    a, b = samples(2, n)
    theirs = scipy.stats.ttest_rel(b, a)
    found = paired_t(a, b)
    assert found.p == pytest.approx(theirs.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval()))


@pytest.mark.parametrize("folds", [5, 10])
def test_overlapping_folds_are_baycomps(folds: int) -> None:
    a, b = samples(3, folds)
    found = corrected_t(a, b, test_share=1 / (folds - 1))
    # Without a region of equality the posterior of the Bayesian correlated t test is that same t distribution.
    worse, better = baycomp.two_on_single(np.array(a), np.array(b), runs=1)
    assert found.p == pytest.approx(2 * min(worse, better), rel=1e-6)


def test_overlapping_folds_lie_further_apart_than_pairs_do() -> None:
    a, b = samples(4, 10)
    plain, corrected = paired_t(a, b), corrected_t(a, b, test_share=1 / 9)
    assert plain.se is not None
    assert corrected.se == pytest.approx(plain.se * math.sqrt(1 + 10 / 9))


@pytest.mark.parametrize("n", [2, 3, 6, 10])
def test_sign_flips_are_scipys(n: int) -> None:
    a, b = samples(5, n)
    apart = [y - x for x, y in zip(a, b, strict=True)]
    theirs = scipy.stats.permutation_test(
        (apart,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", vectorized=True, n_resamples=math.inf
    )
    assert sign_flip(a, b).p == pytest.approx(theirs.pvalue)


def test_sign_flips_of_many_pairs_are_drawn_and_always_the_same() -> None:
    a, b = samples(6, 40)
    assert sign_flip(a, b) == sign_flip(a, b)
    assert sign_flip(a, b).p == pytest.approx(paired_t(a, b).p, abs=0.02)


def test_wilcoxon_says_when_it_can_never_find_anything() -> None:
    a, b = samples(7, 5)
    with pytest.raises(InvalidValue, match="needs 6 pairs that differ"):
        wilcoxon(a, b)
    a, b = samples(7, 9)
    assert wilcoxon(a, b).p == pytest.approx(scipy.stats.wilcoxon(b, a).pvalue)


def test_mcnemar_is_statsmodels() -> None:
    draw = random.Random(8)
    a = [draw.random() < 0.8 for _ in range(200)]
    b = [x if draw.random() < 0.7 else draw.random() < 0.9 for x in a]
    table = [[sum((x, y) == (p, q) for x, y in zip(a, b, strict=True)) for q in (True, False)] for p in (True, False)]
    found = mcnemar(a, b)
    assert found.p == pytest.approx(their_mcnemar(table, exact=True).pvalue)
    assert found.delta == pytest.approx((sum(b) - sum(a)) / 200)
    assert mcnemar([True, False], [True, False]).p == 1.0


@pytest.mark.parametrize("margin", [0.005, 0.02, 0.2])
def test_equivalence_is_statsmodels(margin: float) -> None:
    a, b = samples(9, 8, 8)
    unpaired, _, _ = ttost_ind(b, a, -margin, margin, usevar="unequal")
    assert equivalence(welch(a, b), margin) == pytest.approx(unpaired)
    paired, _, _ = ttost_paired(np.array(b), np.array(a), -margin, margin)
    assert equivalence(paired_t(a, b), margin) == pytest.approx(paired)
    assert equivalence(sign_flip(a, b), margin) is None


def test_holm_is_statsmodels() -> None:
    ps = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005, "e": 0.7}
    theirs = multipletests(list(ps.values()), method="holm")[1]
    assert list(holm(ps).values()) == pytest.approx(list(theirs))
    assert holm({}) == {}


@pytest.mark.parametrize(("effect", "textbook"), [(0.2, 394), (0.5, 64), (0.8, 26)])
def test_repeats_needed_are_cohens_table(effect: float, textbook: int) -> None:
    # Cohen 1992, Psychological Bulletin 112, 155-159, table 2: 393, 64, 26 (he rounds 393.4 down).
    assert repeats_needed(effect, 1.0, 1.0) == textbook


@pytest.mark.parametrize("effect", [0.3, 1.0, 2.5, 6.0])
def test_repeats_needed_are_statsmodels(effect: float) -> None:
    found = repeats_needed(effect, 1.0, 1.0)
    assert found is not None
    power = TTestIndPower()
    assert power.power(effect, found, 0.05) >= 0.8
    assert found == 2 or power.power(effect, found - 1, 0.05) < 0.8


@pytest.mark.parametrize("effect", [0.3, 1.0, 2.5])
def test_pairs_needed_are_statsmodels(effect: float) -> None:
    found = pairs_needed(effect, 1.0)
    assert found is not None
    power = TTestPower()
    assert power.power(effect, found, 0.05) >= 0.8 > power.power(effect, found - 1, 0.05)


def test_repeats_needed_at_the_edges() -> None:
    assert repeats_needed(0.0, 1.0, 1.0) is None
    assert repeats_needed(1e-9, 1.0, 1.0) is None
    assert repeats_needed(math.inf, 1.0, 1.0) is None
    assert repeats_needed(0.5, 0.0, 0.0) == 2


def test_what_does_not_vary_is_what_it_is() -> None:
    apart = welch([0.5, 0.5, 0.5], [0.6, 0.6])
    assert (apart.p, apart.low) == (0.0, pytest.approx(0.1))
    assert welch([0.5, 0.5], [0.5, 0.5]).p == 1.0
    assert equivalence(welch([0.5, 0.5], [0.5, 0.5]), 0.01) == 0.0
    assert equivalence(apart, 0.01) == 1.0


@pytest.mark.parametrize("values", [[0.5], [0.5, math.nan], [0.5, math.inf]])
def test_what_no_test_can_use_is_refused(values: list[float]) -> None:
    with pytest.raises(InvalidValue):
        welch([0.1, 0.2], values)
    with pytest.raises(InvalidValue):
        paired_t([0.1] * len(values), values)


def test_pairs_that_are_none_are_refused() -> None:
    with pytest.raises(InvalidValue, match="as many values"):
        paired_t([0.1, 0.2], [0.1, 0.2, 0.3])
    with pytest.raises(InvalidValue, match="same examples"):
        mcnemar([True], [])
    with pytest.raises(InvalidValue, match="more than 0"):
        corrected_t([0.1, 0.2], [0.1, 0.3], test_share=0.0)


def test_bootstrap_is_that_of_scipy() -> None:
    import numpy as np
    from scipy.stats import bootstrap as scipy_bootstrap

    a, b = samples(12, 60)
    found = bootstrap(a, b)
    apart = np.asarray(b) - np.asarray(a)
    theirs = scipy_bootstrap((apart,), np.mean, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    wide = theirs.high - theirs.low
    assert found.low == pytest.approx(theirs.low, abs=wide / 30)
    assert found.high == pytest.approx(theirs.high, abs=wide / 30)
    assert found.delta == pytest.approx(float(apart.mean()))
    assert bootstrap(a, b) == found, "one answer for one question"
    assert bootstrap(a, a).p == 1.0
    with pytest.raises(InvalidValue, match="needs 30 pairs"):
        bootstrap(a[:29], b[:29])


def test_permutation_is_that_of_scipy() -> None:
    import numpy as np
    from scipy.stats import permutation_test

    a, b = samples(13, 5, 4)
    theirs = permutation_test((b, a), lambda x, y: np.mean(x) - np.mean(y), n_resamples=np.inf)
    assert permutation(a, b).p == pytest.approx(float(theirs.pvalue), abs=0.01)
    big = samples(14, 12)
    assert permutation(*big).p == pytest.approx(
        float(
            permutation_test((big[1], big[0]), lambda x, y: np.mean(x) - np.mean(y), n_resamples=20_000, rng=1).pvalue
        ),
        abs=0.02,
    )
