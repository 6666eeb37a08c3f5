"""Looking at a comparison after every repeat, without being wrong more often for it. Pure; scipy does the arithmetic.

Who tests again after each repeat and stops when p < 0.05 is wrong in far more than 5% of all cases. Here the error allowed is spent
bit by bit, as a function of the share of all information that is there at a look, so that all looks together do not spend more of it
(Lan and DeMets 1983, Biometrika 70, 659-663), with the spending function `alpha t^2` (Kim and DeMets 1987, Biometrika 74, 149-154).
The level of each look comes from a recursive integral over the looks before it (Armitage, McPherson and Rowe 1969, Journal of the
Royal Statistical Society A 132, 235-244), and is held against p of the t test of that look (Pocock 1977, Biometrika 64, 191-199).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from gittrack.compare.verdict import HasGoal, Judgement, Repeats, judge
from gittrack.values import dataclass

FIRST = 2  # repeats at the first look
# With as few repeats as here the looks depend less on each other than in large samples, for which the integral holds: to spend 5%
# would make 6% of false verdicts. `benchmarks.statistics` counts them.
SPENT = 0.04
# Of a normal distribution next to nothing lies beyond.
_FAR = 9.0
_NODES = 200
_HALVINGS = 60

Spending = Callable[[float], float]  # share of all information, 0 to 1 -> error spent until then


def spent(share: float) -> float:
    return SPENT * share**2


def levels(shares: Sequence[float], spending: Spending = spent) -> tuple[float, ...]:
    """The two-sided p below which each look decides; `shares` of all information, ascending to 1, one for each look."""
    import numpy as np
    from scipy.special import ndtr

    # Of the sum of all observations so far, scaled to variance 1 at the end, where no look has decided yet: a density
    # times weights on nodes between the bounds of the look before.
    roots, weights = np.polynomial.legendre.leggauss(_NODES)
    places, masses = np.zeros(1), np.ones(1)
    found: list[float] = []
    before = gone = 0.0
    for share in shares:
        step, reach = math.sqrt(share - before), math.sqrt(share)
        wanted = spending(share) - gone
        low, high = 0.0, _FAR
        for _ in range(_HALVINGS):
            z = (low + high) / 2
            low, high = (z, high) if _beyond(z * reach, step, places, masses) > wanted else (low, z)
        found.append(2 * float(ndtr(-high)))
        gone += _beyond(high * reach, step, places, masses)
        inside = high * reach * roots
        apart = (inside[:, None] - places[None, :]) / step
        density = np.exp(-(apart**2) / 2) @ masses / (step * math.sqrt(2 * math.pi))
        places, masses, before = inside, density * weights * high * reach, share
    return tuple(found)


def _beyond(edge: float, step: float, places: Any, masses: Any) -> float:
    """How probable it is that the next look lies further from 0 than `edge`."""
    from scipy.special import ndtr

    return float(masses @ (ndtr((places - edge) / step) + ndtr((-places - edge) / step)))


@dataclass(frozen=True, slots=True)
class Look:
    """What can be said after so many repeats: `level` is the p that decides here, `over` whether more of them are of no use."""

    judged: Judgement
    level: float
    over: bool


@dataclass(frozen=True, slots=True)
class Looks:
    """Repeats that are added one by one and compared with those of a base, which stay as they are.

    Where the base has labels its values are paired with those of the same label; else they are independent.
    """

    base: Repeats
    goal: HasGoal
    levels: tuple[float, ...]

    @property
    def most(self) -> int:
        return FIRST + len(self.levels) - 1

    def look(self, added: Mapping[Hashable, float]) -> Look | None:
        """The look at the values added, by label; None where they are too few."""
        if len(added) < FIRST:
            return None
        level = self.levels[len(added) - FIRST]
        judged = judge(self.against(added), Repeats(tuple(added.values()), tuple(added)), self.goal, level=level)
        diverged = not all(map(math.isfinite, added.values()))
        return Look(judged, level, diverged or len(added) == self.most or _stands(judged))

    def against(self, added: Mapping[Hashable, float]) -> Repeats:
        """Those of the base that the added ones are compared with."""
        if not self.base.labels:
            return self.base
        known = dict(zip(self.base.labels, self.base.values, strict=True))
        return Repeats(tuple(known[label] for label in added), tuple(added))


def plan_looks(base: Repeats, goal: HasGoal, most: int) -> Looks:
    """Looks after 2, 3, ... `most` repeats, with a base of two or more; pairs end where the base has no further label.

    The share of information is that of the repeats. Against a base that is not paired it is more, by an amount that depends on
    both variances; to count less of it leaves the looks more alike than is reckoned, and less error is made, not more.
    """
    if base.labels:
        most = min(most, len(base.labels))
    return Looks(base, goal, levels([n / most for n in range(FIRST, most + 1)]))


def _stands(judged: Judgement) -> bool:
    if judged.verdict == "equal":
        # Two values of a rounded metric are soon the same; only where they vary is it shown that they vary little.
        return judged.tested is not None and bool(judged.tested.se)
    return judged.verdict != "undecided"
