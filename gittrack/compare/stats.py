"""Tests of a difference between two samples, with confidence intervals; pure.

`delta` is always the mean of `b` minus that of `a`. Sources: Welch 1947, Biometrika 34, 28-35; Nadeau and Bengio 2003,
Machine Learning 52, 239-281; McNemar 1947, Psychometrika 12, 153-157; Holm 1979, Scandinavian Journal of Statistics 6, 65-70;
Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15, 657-680; Mickey and Brown 1966, Annals of Mathematical
Statistics 37, 639-642; Pitman 1937, Supplement to the Journal of the Royal Statistical Society 4, 119-130.

Values are scaled by a power of two before they are squared, which loses no digit: the largest and the smallest numbers that there
are can be compared. OverflowError says that a difference is no number any more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from statistics import NormalDist, fmean, stdev
from typing import Literal, TypeVar

from gittrack.compare.student import edge, tail
from gittrack.compare.student import power as power_of
from gittrack.errors import InvalidValue
from gittrack.values import dataclass

K = TypeVar("K", bound=Hashable)
Name = Literal["welch", "paired-t", "corrected-t", "sign-flip", "permutation", "wilcoxon", "mcnemar", "bootstrap"]
LEVEL = 0.05
POWER = 0.8
# 2^13 sign patterns are all tried; of more pairs a sample of them.
_EXACT_PAIRS = 13
_EXACT_SPLITS = 20_000
_RESAMPLES = 9_999
# A spread that rounding alone makes, of values scaled to 1: some fifty units in the last place.
_ROUNDING = 1e-14
# With n pairs the smallest two-sided p of Wilcoxon's test is 2^(1-n): 5 pairs can never reach 0.05.
WILCOXON_PAIRS = 6
_MOST_REPEATS = 10_000
BOOTSTRAP_PAIRS = 30


@dataclass(frozen=True, slots=True)
class Tested:
    """What a test found: two-sided `p`, and an interval of `1 - level` for delta where the test has one.

    `se` and `df` describe the t distribution of delta, where it has one; `n_a` and `n_b` count repeats, pairs or examples.
    """

    test: Name
    n_a: int
    n_b: int
    delta: float
    p: float
    se: float | None = None
    df: float | None = None
    low: float | None = None
    high: float | None = None


def welch(a: Sequence[float], b: Sequence[float], *, bounded: bool = False, level: float = LEVEL) -> Tested:
    """Independent samples of unequal variance, at least two values each; raises InvalidValue for fewer or no finite ones.

    `bounded` takes the fewest degrees of freedom that there can be (Mickey and Brown 1966): Welch's own number is an estimate, and
    with two values against thirty it is wrong so often that 12% of all differences that are none seem real, and where values are skewed
    also with more.
    """
    (a, b), exponent = _scaled(a, b)
    parts = stdev(a) ** 2 / len(a), stdev(b) ** 2 / len(b)
    se = math.sqrt(sum(parts))
    below = parts[0] ** 2 / (len(a) - 1) + parts[1] ** 2 / (len(b) - 1)
    df = sum(parts) ** 2 / below if below else float(len(a) + len(b) - 2)
    if bounded:
        df = float(min(len(a), len(b)) - 1)
    return _by_t("welch", (len(a), len(b)), fmean(b) - fmean(a), se, df, level, exponent)


def paired_t(a: Sequence[float], b: Sequence[float], *, level: float = LEVEL) -> Tested:
    """Values that belong together one by one, as of the same seeds."""
    apart, exponent = _pairs(a, b)
    se = stdev(apart) / math.sqrt(len(apart))
    return _by_t("paired-t", (len(a), len(b)), fmean(apart), se, len(apart) - 1, level, exponent)


def corrected_t(
    a: Sequence[float], b: Sequence[float], *, test_share: float, rounds: int = 1, level: float = LEVEL
) -> Tested:
    """Folds of a cross-validation, whose training sets overlap (Nadeau and Bengio 2003, equation 10).

    `test_share` is how many examples are tested for each one trained on: 1/(k-1) with k folds. Of a cross-validation made in
    several `rounds`, which stand one after the other, the variance is that within a round, and no round is counted as further
    evidence: whether its folds are the same examples again or others, nobody tells us.
    """
    if not test_share > 0:
        raise InvalidValue(f"the share of tested to trained examples must be more than 0, not {test_share!r}")
    apart, exponent = _pairs(a, b)
    folds, odd = divmod(len(apart), rounds)
    if odd or folds < 2:
        raise InvalidValue(f"{len(apart):,} values are not {rounds:,} rounds of two folds or more")
    within = [stdev(apart[start : start + folds]) ** 2 for start in range(0, len(apart), folds)]
    se = math.sqrt(fmean(within) * (1 / folds + test_share))
    return _by_t("corrected-t", (len(a), len(b)), fmean(apart), se, folds - 1, level, exponent)


def sign_flip(a: Sequence[float], b: Sequence[float]) -> Tested:
    """Pairs, without any distribution assumed: in how many of all changes of signs the mean is at least as far from 0."""
    apart, exponent = _pairs(a, b)
    from itertools import product

    if len(apart) <= _EXACT_PAIRS:
        patterns = product((1.0, -1.0), repeat=len(apart))
        sums = [abs(math.fsum(sign * one for sign, one in zip(signs, apart, strict=True))) for signs in patterns]
        extra = 0
    else:
        from random import Random

        draw = Random(0)  # one answer for one question
        sums = [abs(math.fsum(draw.choice((one, -one)) for one in apart)) for _ in range(_RESAMPLES)]
        extra = 1  # what was seen is one of the patterns
    return Tested(
        "sign-flip", len(a), len(b), math.ldexp(fmean(apart), exponent), _share(sums, abs(math.fsum(apart)), extra)
    )


def permutation(a: Sequence[float], b: Sequence[float]) -> Tested:
    """Independent samples, without any distribution assumed: in how many of all splits the means are as far apart (Pitman 1937)."""
    (a, b), exponent = _scaled(a, b)
    every, total = [*a, *b], math.fsum((*a, *b))

    def apart(first: Sequence[float]) -> float:
        one = math.fsum(first)
        return abs((total - one) / len(b) - one / len(a))

    if math.comb(len(every), len(a)) <= _EXACT_SPLITS:
        from itertools import combinations

        found, extra = [apart(first) for first in combinations(every, len(a))], 0
    else:
        from random import Random

        draw = Random(0)
        found, extra = [apart(draw.sample(every, len(a))) for _ in range(_RESAMPLES)], 1
    delta = math.ldexp(fmean(b) - fmean(a), exponent)
    return Tested("permutation", len(a), len(b), delta, _share(found, apart(a), extra))


def _share(found: Sequence[float], seen: float, extra: int) -> float:
    # What differs by rounding alone is as far.
    return (sum(one >= seen - _ROUNDING for one in found) + extra) / (len(found) + extra)


def wilcoxon(a: Sequence[float], b: Sequence[float]) -> Tested:
    """Signed ranks of pairs; raises InvalidValue below six pairs that differ, where it could never find anything."""
    apart, exponent = _pairs(a, b)
    if sum(map(bool, apart)) < WILCOXON_PAIRS:
        raise InvalidValue(
            f"Wilcoxon's test needs {WILCOXON_PAIRS} pairs that differ; with fewer it can never reach p < 0.05"
        )
    from scipy.stats import wilcoxon as scipy_wilcoxon

    p = float(scipy_wilcoxon(apart).pvalue)
    return Tested("wilcoxon", len(a), len(b), math.ldexp(fmean(apart), exponent), p)


def mcnemar(a: Sequence[bool], b: Sequence[bool]) -> Tested:
    """Right or wrong on the same examples, exact: it speaks of these two models on these data, not of training them again."""
    if len(a) != len(b) or not a:
        raise InvalidValue(f"McNemar's test needs the same examples on both sides, not {len(a):,} and {len(b):,}")
    lost = sum(x and not y for x, y in zip(a, b, strict=True))
    won = sum(y and not x for x, y in zip(a, b, strict=True))
    p = 1.0
    if lost + won:
        from scipy.stats import binomtest

        p = float(binomtest(won, lost + won).pvalue)
    return Tested("mcnemar", len(a), len(b), (won - lost) / len(a), p)


def bootstrap(a: Sequence[float], b: Sequence[float], *, level: float = LEVEL) -> Tested:
    """Numbers of the same many examples, resampled in pairs (Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13).

    Percentiles of the mean difference; raises InvalidValue below thirty pairs, of which they promise too much: with five they raise
    14% false alarms.
    """
    apart, exponent = _pairs(a, b)
    if len(apart) < BOOTSTRAP_PAIRS:
        raise InvalidValue(f"a bootstrap needs {BOOTSTRAP_PAIRS} pairs, and there are {len(apart)}")
    import numpy as np

    draw = np.random.default_rng(0)  # one answer for one question
    values = np.asarray(apart)
    some = max(1, 2_000_000 // len(values))
    means = np.concatenate(
        [
            values[draw.integers(0, len(values), (min(some, _RESAMPLES - start), len(values)))].mean(axis=1)
            for start in range(0, _RESAMPLES, some)
        ]
    )
    below, above = int((means <= 0).sum()), int((means >= 0).sum())
    p = min(1.0, 2 * (min(below, above) + 1) / (_RESAMPLES + 1))
    low, high = (math.ldexp(float(one), exponent) for one in np.quantile(means, (level / 2, 1 - level / 2)))
    return Tested("bootstrap", len(a), len(b), math.ldexp(fmean(apart), exponent), p, None, None, low, high)


def equivalence(found: Tested, margin: float) -> float | None:
    """The p of two one-sided tests that delta lies within ± margin (Schuirmann 1987); None where delta has no t distribution."""
    if found.se is None or found.df is None or margin <= 0:
        return None
    if not found.se:
        return 0.0 if abs(found.delta) < margin else 1.0
    # Below the margin, and above it: each the tail of a t on its side.
    return max(
        _below(found.df, (-margin - found.delta) / found.se), _below(found.df, (found.delta - margin) / found.se)
    )


def _below(df: float, t: float) -> float:
    return tail(df, t) if t <= 0 else 1 - tail(df, t)


def holm(ps: Mapping[K, float]) -> dict[K, float]:
    """Each p as it counts when so many were looked at: below a level at most that share of false alarms in all (Holm 1979)."""
    adjusted: dict[K, float] = {}
    highest = 0.0
    for at, (key, p) in enumerate(sorted(ps.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, p * (len(ps) - at)))
        adjusted[key] = highest
    return {key: adjusted[key] for key in ps}


def repeats_needed(delta: float, sd_a: float, sd_b: float, *, level: float = LEVEL, power: float = POWER) -> int | None:
    """How many repeats on each side would show this delta with that power, were it and the deviations the true ones.

    By the noncentral t distribution; None when more than ten thousand would be needed.
    """
    spread = math.hypot(sd_a, sd_b) / math.sqrt(2)  # squares of what is very large or small are no numbers
    return _needed(delta, spread, lambda n: (2 * n - 2, math.sqrt(n / 2)), level, power)


def pairs_needed(delta: float, sd: float, *, level: float = LEVEL, power: float = POWER) -> int | None:
    """The same for pairs; `sd` is the deviation of their differences."""
    return _needed(delta, sd, lambda n: (n - 1, math.sqrt(n)), level, power)


def _needed(
    delta: float, spread: float, shape: Callable[[int], tuple[int, float]], level: float, power: float
) -> int | None:
    """`shape` gives the degrees of freedom of n repeats, and how far apart one unit of effect then lies."""
    if not delta or not math.isfinite(delta) or not math.isfinite(spread):
        return None
    if not spread:
        return 2
    effect = abs(delta) / spread

    def enough(n: int) -> bool:
        df, apart = shape(n)
        return power_of(df, effect * apart, level) >= power

    # Were the deviation known, a normal distribution would say it; a step or two from there is the answer.
    reach = NormalDist().inv_cdf(1 - level / 2) + NormalDist().inv_cdf(power)
    root = min(reach / effect / shape(1)[1], math.sqrt(_MOST_REPEATS))
    low = high = min(max(2, math.ceil(root * root) + 1), _MOST_REPEATS)
    step = 1
    if enough(high):
        while low > 1 and (low == high or enough(low)):
            low, high, step = max(1, low - step), low, 2 * step
    else:
        while not enough(high):
            if high == _MOST_REPEATS:
                return None
            low, high, step = high, min(high + step, _MOST_REPEATS), 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _by_t(
    test: Name, counts: tuple[int, int], delta: float, se: float, df: float, level: float, exponent: int
) -> Tested:
    """What a t distribution says of values scaled by 2 to the `exponent`."""
    if abs(delta) <= _ROUNDING:
        delta = 0.0
    if se <= _ROUNDING:
        # Neither side varies: the difference is what it is.
        there = math.ldexp(delta, exponent)
        return Tested(test, *counts, there, 0.0 if delta else 1.0, 0.0, df, there, there)
    p = 2 * tail(df, delta / se)
    reach = edge(df, level) * se
    low, middle, high = (math.ldexp(one, exponent) for one in (delta - reach, delta, delta + reach))
    return Tested(test, *counts, middle, p, math.ldexp(se, exponent), df, low, high)


def _pairs(a: Sequence[float], b: Sequence[float]) -> tuple[list[float], int]:
    """The differences of pairs, scaled as :func:`_scaled` does it."""
    if len(a) != len(b):
        raise InvalidValue(f"pairs need as many values on both sides, not {len(a):,} and {len(b):,}")
    (a, b), exponent = _scaled(a, b)
    apart = [y - x for x, y in zip(a, b, strict=True)]
    return [0.0 if abs(one) <= _ROUNDING else one for one in apart], exponent


def _scaled(a: Sequence[float], b: Sequence[float]) -> tuple[tuple[list[float], list[float]], int]:
    """Both sides divided by a power of two such that no value is beyond 1, and its exponent."""
    if min(len(a), len(b)) < 2:
        raise InvalidValue(f"a test needs two values on each side, not {len(a):,} and {len(b):,}")
    if not all(map(math.isfinite, (*a, *b))):
        raise InvalidValue("a test needs finite values; some are NaN or infinite")
    _, exponent = math.frexp(max(map(abs, (*a, *b))))
    return ([math.ldexp(one, -exponent) for one in a], [math.ldexp(one, -exponent) for one in b]), exponent
