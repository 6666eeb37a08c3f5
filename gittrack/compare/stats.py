"""Tests of a difference between two samples, with confidence intervals; pure, and scipy does the arithmetic.

`delta` is always the mean of `b` minus that of `a`. Sources: Welch 1947, Biometrika 34, 28-35; Nadeau and Bengio 2003,
Machine Learning 52, 239-281; McNemar 1947, Psychometrika 12, 153-157; Holm 1979, Scandinavian Journal of Statistics 6, 65-70;
Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15, 657-680.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Literal

from gittrack.errors import InvalidValue
from gittrack.values import dataclass

Name = Literal["welch", "paired-t", "corrected-t", "sign-flip", "wilcoxon", "mcnemar"]
LEVEL = 0.05
POWER = 0.8
# 2^13 sign patterns are all tried; of more pairs a sample of them.
_EXACT_PAIRS = 13
_RESAMPLES = 9_999
# With n pairs the smallest two-sided p of Wilcoxon's test is 2^(1-n): 5 pairs can never reach 0.05.
WILCOXON_PAIRS = 6
_MOST_REPEATS = 10_000


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


def welch(a: Sequence[float], b: Sequence[float], *, level: float = LEVEL) -> Tested:
    """Independent samples of unequal variance, at least two values each; raises InvalidValue for fewer or no finite ones."""
    _check(a, b)
    parts = stdev(a) ** 2 / len(a), stdev(b) ** 2 / len(b)
    se = math.sqrt(sum(parts))
    below = parts[0] ** 2 / (len(a) - 1) + parts[1] ** 2 / (len(b) - 1)
    df = sum(parts) ** 2 / below if below else float(len(a) + len(b) - 2)
    return _by_t("welch", len(a), len(b), fmean(b) - fmean(a), se, df, level)


def paired_t(a: Sequence[float], b: Sequence[float], *, level: float = LEVEL) -> Tested:
    """Values that belong together one by one, as of the same seeds."""
    apart = _pairs(a, b)
    return _by_t("paired-t", len(a), len(b), fmean(apart), stdev(apart) / math.sqrt(len(apart)), len(apart) - 1, level)


def corrected_t(a: Sequence[float], b: Sequence[float], *, test_share: float, level: float = LEVEL) -> Tested:
    """Folds of a (repeated) cross-validation, whose training sets overlap (Nadeau and Bengio 2003, equation 10).

    `test_share` is how many examples are tested for each one trained on: 1/(k-1) with k folds.
    """
    if not test_share > 0:
        raise InvalidValue(f"the share of tested to trained examples must be more than 0, not {test_share!r}")
    apart = _pairs(a, b)
    se = stdev(apart) * math.sqrt(1 / len(apart) + test_share)
    return _by_t("corrected-t", len(a), len(b), fmean(apart), se, len(apart) - 1, level)


def sign_flip(a: Sequence[float], b: Sequence[float]) -> Tested:
    """Pairs, without any distribution assumed: in how many of all changes of signs the mean is at least as far from 0."""
    apart = _pairs(a, b)
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
    seen = abs(math.fsum(apart)) * (1 - 1e-12)
    p = (sum(one >= seen for one in sums) + extra) / (len(sums) + extra)
    return Tested("sign-flip", len(a), len(b), fmean(apart), p)


def wilcoxon(a: Sequence[float], b: Sequence[float]) -> Tested:
    """Signed ranks of pairs; raises InvalidValue below six pairs that differ, where it could never find anything."""
    apart = _pairs(a, b)
    if sum(map(bool, apart)) < WILCOXON_PAIRS:
        raise InvalidValue(
            f"Wilcoxon's test needs {WILCOXON_PAIRS} pairs that differ; with fewer it can never reach p < 0.05"
        )
    from scipy.stats import wilcoxon as scipy_wilcoxon

    return Tested("wilcoxon", len(a), len(b), fmean(apart), float(scipy_wilcoxon(apart).pvalue))


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


def equivalence(found: Tested, margin: float) -> float | None:
    """The p of two one-sided tests that delta lies within ± margin (Schuirmann 1987); None where delta has no t distribution."""
    if found.se is None or found.df is None or margin <= 0:
        return None
    if not found.se:
        return 0.0 if abs(found.delta) < margin else 1.0
    from scipy.special import stdtr

    return float(
        max(stdtr(found.df, -(found.delta + margin) / found.se), stdtr(found.df, (found.delta - margin) / found.se))
    )


def holm(ps: Mapping[str, float]) -> dict[str, float]:
    """Each p as it counts when so many were looked at: below a level at most that share of false alarms in all (Holm 1979)."""
    adjusted: dict[str, float] = {}
    highest = 0.0
    for at, (key, p) in enumerate(sorted(ps.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, p * (len(ps) - at)))
        adjusted[key] = highest
    return {key: adjusted[key] for key in ps}


def repeats_needed(delta: float, sd_a: float, sd_b: float, *, level: float = LEVEL, power: float = POWER) -> int | None:
    """How many repeats on each side would show this delta with that power, were it and the deviations the true ones.

    By the noncentral t distribution; None when more than ten thousand would be needed.
    """
    spread = math.sqrt((sd_a**2 + sd_b**2) / 2)
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
        return _power(effect * apart, df, level) >= power

    high = 2
    while not enough(high):
        high *= 2
        if high > _MOST_REPEATS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _power(shift: float, df: int, level: float) -> float:
    from scipy.special import nctdtr, stdtrit

    edge = float(stdtrit(df, 1 - level / 2))
    # Beyond the far edge lies next to nothing, and the function loses its digits there.
    upper = 1 - float(nctdtr(df, shift, edge))
    return upper if math.isfinite(upper) else 1.0


def _by_t(test: Name, n_a: int, n_b: int, delta: float, se: float, df: float, level: float) -> Tested:
    if not se:
        # Neither side varies: the difference is what it is.
        return Tested(test, n_a, n_b, delta, 0.0 if delta else 1.0, 0.0, df, delta, delta)
    # Not scipy.stats, which takes half a second to import.
    from scipy.special import stdtr, stdtrit

    p = 2 * float(stdtr(df, -abs(delta / se)))
    reach = float(stdtrit(df, 1 - level / 2)) * se
    return Tested(test, n_a, n_b, delta, p, se, df, delta - reach, delta + reach)


def _pairs(a: Sequence[float], b: Sequence[float]) -> list[float]:
    if len(a) != len(b):
        raise InvalidValue(f"pairs need as many values on both sides, not {len(a):,} and {len(b):,}")
    _check(a, b)
    return [y - x for x, y in zip(a, b, strict=True)]


def _check(a: Sequence[float], b: Sequence[float]) -> None:
    if min(len(a), len(b)) < 2:
        raise InvalidValue(f"a test needs two values on each side, not {len(a):,} and {len(b):,}")
    if not all(map(math.isfinite, (*a, *b))):
        raise InvalidValue("a test needs finite values; some are NaN or infinite")
