"""`python -m benchmarks.statistics`: how often verdicts are wrong when nothing changed, and how often they see what did.

Each row judges many pairs that chance alone made. The bar is 5% and what chance adds to it: the share that a rule of exactly
5% stays below in 999 of 1,000 such benchmarks. Beside it stands the rule by which tables are read: the higher mean is better.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from benchmarks.rows import HEADER, Limit, Row, markdown_line, text_line
from gittrack.compare.verdict import Repeats, judge
from gittrack.settings.values import Goal

_GOAL = Goal("max")
_PAIRS = 10_000
_FOLDS = 10
# Examples and features of a linear model: the fewer examples for a feature, the more a model depends on which it saw.
_DATA = ((100, 3), (60, 30), (40, 25))
Draw = Callable[[random.Random], tuple[Repeats, Repeats]]


@dataclass(frozen=True, slots=True)
class _Rates:
    wrong: float
    naive: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.statistics", description=__doc__)
    parser.add_argument("--pairs", type=int, default=_PAIRS, metavar="N", help=f"pairs in each row ({_PAIRS:,})")
    parser.add_argument("--md", action="store_true", help="the table as Markdown")
    options = parser.parse_args()
    line = markdown_line if options.md else text_line
    print(line(HEADER))
    if options.md:
        print(line(("---",) * len(HEADER)))
    for row in rows(options.pairs):
        print(line(row.cells()))


def rows(pairs: int) -> Iterator[Row]:
    bar = 100 * allowed(pairs)
    for n in (2, 3, 5, 10):
        for called, spreads in (("equal variances", (1.0, 1.0)), ("variances 1 and 9", (1.0, 3.0))):
            yield _null(f"unpaired, n = {n}, {called}", partial(_unpaired, n, spreads), pairs, bar)
        yield _null(f"same seeds, n = {n}", partial(_paired, n), pairs, bar)
    for examples, features in _DATA:
        size = f"{examples} examples, {features} features"
        yield _null(
            f"{_FOLDS} overlapping folds, {size}", partial(_overlapping, examples, features, _FOLDS), pairs, bar
        )
        yield _null(
            f"the same folds judged as {_FOLDS} seeds", partial(_overlapping, examples, features, None), pairs, None
        )
    from statsmodels.stats.power import TTestIndPower

    for n in (17, 26):
        power = float(TTestIndPower().power(1.0, n, 0.05))
        found = _rates(partial(_moved, n), pairs)
        yield Row(
            f"seen: one standard deviation better, n = {n}",
            100 * found.wrong,
            "%",
            limit=Limit(100 * power, "statsmodels"),
        )


def allowed(pairs: int) -> float:
    """The 0.999 quantile of the share of alarms of a rule whose true share is 5%."""
    from scipy.stats import binom

    return float(binom.ppf(0.999, pairs, 0.05)) / pairs


def _null(what: str, draw: Draw, pairs: int, bar: float | None) -> Row:
    found = _rates(draw, pairs)
    return Row(
        f"false verdicts: {what}", 100 * found.wrong, "%", bar=bar, limit=Limit(100 * found.naive, "higher mean")
    )


def _rates(draw: Draw, pairs: int) -> _Rates:
    source = random.Random(20261126)
    wrong = naive = 0
    for _ in range(pairs):
        a, b = draw(source)
        wrong += judge(a, b, _GOAL).verdict in {"improved", "regressed"}
        naive += b.mean != a.mean
    return _Rates(wrong / pairs, naive / pairs)


def _unpaired(n: int, spreads: tuple[float, float], source: random.Random) -> tuple[Repeats, Repeats]:
    a, b = (Repeats(tuple(source.gauss(0, spread) for _ in range(n))) for spread in spreads)
    return a, b


def _moved(n: int, source: random.Random) -> tuple[Repeats, Repeats]:
    a, b = _unpaired(n, (1.0, 1.0), source)
    return a, Repeats(tuple(value + 1 for value in b.values))


def _paired(n: int, source: random.Random) -> tuple[Repeats, Repeats]:
    shared = [source.gauss(0, 2) for _ in range(n)]
    a, b = (Repeats(tuple(one + source.gauss(0, 1) for one in shared), tuple(range(n))) for _ in "ab")
    return a, b


def _overlapping(examples: int, size: int, folds: int | None, source: random.Random) -> tuple[Repeats, Repeats]:
    """Two linear models, each with features of its own that say equally little, cross-validated on the same small data set."""
    import numpy as np

    draw = np.random.default_rng(source.getrandbits(64))
    target = draw.normal(size=examples)
    losses = []
    for _ in "ab":
        features = draw.normal(size=(examples, size)) + 0.3 * target[:, None]
        fold = np.arange(examples) % _FOLDS
        errors = []
        for one in range(_FOLDS):
            rest = fold != one
            kept = features[rest]
            weights = np.linalg.solve(kept.T @ kept, kept.T @ target[rest])
            errors.append(-float(np.mean((target[~rest] - features[~rest] @ weights) ** 2)))
        losses.append(Repeats(tuple(errors), tuple(range(_FOLDS)), folds))
    return losses[0], losses[1]


if __name__ == "__main__":
    main()
