"""Student's t distribution, central and not: what a verdict needs of it, without the quarter of a second that scipy takes to import.

Sources: DLMF 26.5 and 8.17.22 (https://dlmf.nist.gov), the regularised incomplete beta function as a continued fraction, evaluated
after Thompson and Barnett 1986, Journal of Computational Physics 64, 490-509; Johnson, Kotz and Balakrishnan 1995, Continuous
Univariate Distributions 2, chapter 31, the noncentral t as a mixture of normals. Tests hold all of it against scipy.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

_TINY = 1e-300
_CLOSE = 1e-15
_MOST_TERMS = 100_000
# Steps of Simpson's rule: the power is right to six digits.
_PANELS = 400
_WIDE = 9.0


def tail(df: float, t: float) -> float:
    """The probability of a value below -|t|; `df` more than 0."""
    if math.isinf(t):
        return 0.0
    square = t * t
    return 0.5 * _beta(df / 2, 0.5, df / (df + square), square / (df + square))


@lru_cache(maxsize=256)
def edge(df: float, level: float) -> float:
    """The t beyond which, on both sides together, lies `level` of the distribution."""
    wanted = level / 2
    low, high = 0.0, 2.0
    while tail(df, high) > wanted:
        low, high = high, 2 * high
    t = min(max(-NormalDist().inv_cdf(wanted), low), high)
    for _ in range(200):
        off = tail(df, t) - wanted
        low, high = (t, high) if off > 0 else (low, t)
        # Newton's step where it stays inside, else half the way.
        step = t + off / _density(df, t)
        new = step if low < step < high else (low + high) / 2
        if abs(new - t) <= 4 * _CLOSE * t:
            return new
        t = new
    return t


def power(df: float, shift: float, level: float) -> float:
    """How often t is beyond its edge on the side of `shift`, when it is noncentral by that much; `df` a whole number of 1 or more.

    Given the deviation that was seen, t is normal; so it is the mean of a normal's tail over the chi distribution of that deviation.
    """
    reach = edge(df, level)
    spread = 1 / math.sqrt(2 * df)
    low, high = max(0.0, 1 - _WIDE * spread), 1 + _WIDE * spread
    scale = math.log(2) + df / 2 * math.log(df / 2) - math.lgamma(df / 2)
    width = (high - low) / _PANELS
    total = 0.0
    for at in range(_PANELS + 1):
        s = low + at * width
        if s > 0:
            density = math.exp(scale + (df - 1) * math.log(s) - df * s * s / 2)
        else:
            density = math.exp(scale) if df == 1 else 0.0
        weight = 1 if at in (0, _PANELS) else 4 if at % 2 else 2
        total += weight * density * 0.5 * math.erfc((reach * s - shift) / math.sqrt(2))
    return total * width / 3


def _density(df: float, t: float) -> float:
    log = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
    return math.exp(log - (df + 1) / 2 * math.log1p(t * t / df))


def _beta(a: float, b: float, x: float, y: float) -> float:
    """The regularised incomplete beta function of x; `y` is 1 - x, which the caller knows with all its digits."""
    if x <= 0:
        return 0.0
    if y <= 0:
        return 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(y))
    # The fraction converges quickly on this side of the mean alone.
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, y) / b


def _fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > _TINY else _TINY)
    value = d
    for m in range(1, _MOST_TERMS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 + term * d
            d = 1 / (d if abs(d) > _TINY else _TINY)
            c = 1 + term / c
            c = c if abs(c) > _TINY else _TINY
            value *= c * d
        if abs(c * d - 1) < _CLOSE:
            break
    return value
