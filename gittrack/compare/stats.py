"""Tests that say whether data carry a claim (pure); scipy does the arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from gittrack.values import dataclass


@dataclass(frozen=True, slots=True)
class Welch:
    """One-sided Welch test that the mean of `a` is greater than that of `b`; `p` is None where it cannot be made."""

    mean_a: float
    mean_b: float
    n_a: int
    n_b: int
    p: float | None


def welch_greater(a: Sequence[float], b: Sequence[float]) -> Welch:
    """Welch's t test for samples of unequal variance (Welch 1947, Biometrika 34, 28-35); at least one value each.

    Where neither sample varies, the means alone decide: p is 0 or 1.
    """
    means = fmean(a), fmean(b)
    if min(len(a), len(b)) < 2 or not all(map(math.isfinite, (*a, *b))):
        return Welch(*means, len(a), len(b), None)
    if stdev(a) == stdev(b) == 0.0:
        return Welch(*means, len(a), len(b), 0.0 if means[0] > means[1] else 1.0)
    from scipy.stats import ttest_ind

    p = float(ttest_ind(a, b, equal_var=False, alternative="greater").pvalue)
    return Welch(*means, len(a), len(b), p)
