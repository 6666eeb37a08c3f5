"""`python -m benchmarks.statistics`: how often verdicts are wrong when nothing changed, and how often they see what did.

Each row judges many pairs that chance alone made. The bar is 5% and what chance adds to it: the share that a rule of exactly
5% stays below in 999 of 1,000 such benchmarks. Beside it stands the rule by which tables are read: the higher mean is better.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.rows import HEADER, Limit, Row, markdown_line, text_line
from gittrack.compare.sequential import Looks, plan_looks
from gittrack.compare.verdict import Repeats, judge
from gittrack.settings.values import Goal

_GOAL = Goal("max")
_PAIRS = 10_000
_FOLDS = 10
# Examples and features of a linear model: the fewer examples for a feature, the more a model depends on which it saw.
_DATA = ((100, 3), (60, 30), (40, 25))
# A change in standard deviations of a difference of two.
_SEEN = (1.0, 2.0)
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
        yield _null(f"same seeds, n = {n}, of 50 examples right", partial(_rounded, n, True), pairs, bar)
        yield _null(f"unpaired, n = {n}, of 50 examples right", partial(_rounded, n, False), pairs, bar)
    for n, m in ((2, 3), (2, 10), (2, 30), (3, 10), (5, 30), (6, 30)):
        for spread in (1.0, 3.0):
            yield _null(
                f"unpaired, n = {n} and {m}, variances {spread**2:g} and 1", partial(_uneven, n, m, spread), pairs, bar
            )
    for n, m in ((6, 6), (6, 60)):
        yield _null(f"unpaired, n = {n} and {m}, skewed (lognormal)", partial(_skewed, n, m), pairs, bar)
    for examples, features in _DATA:
        size = f"{examples} examples, {features} features"
        yield _null(f"{_FOLDS} overlapping folds, {size}", partial(_overlapping, examples, features, True), pairs, bar)
        yield _null(
            f"the same folds judged as {_FOLDS} seeds", partial(_overlapping, examples, features, False), pairs, None
        )
    for rounds in (2, 5):
        for shuffled, called in ((False, "the same folds"), (True, "other folds each time")):
            what = f"{_FOLDS} folds, {rounds} times, {called}, 60 examples, 3 features"
            yield _null(what, partial(_again, rounds, shuffled), max(100, pairs // rounds), bar)
    yield _null(f"{_FOLDS} folds, one missing, 60 examples, 30 features", partial(_missing, 60, 30), pairs, bar)
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
    yield from _until_decided(pairs, bar)


def _until_decided(pairs: int, bar: float) -> Iterator[Row]:
    """`run --until-decided`, against looking with p < 0.05 each time where nothing changed, and one look at the end where something did."""
    for most in (5, 10):
        for labelled, draw, called in (
            (True, partial(_paired, most), "same seeds"),
            (True, partial(_rounded, most, True), "same seeds, of 50 examples right"),
            (False, partial(_unpaired, most, (1.0, 1.0)), "unpaired, equal variances"),
            (False, partial(_unpaired, most, (1.0, 3.0)), "unpaired, variances 1 and 9"),
        ):
            looks = plan_looks(_numbers(most, labelled), _GOAL, most)
            wrong, _ = _decided(looks, draw, pairs)
            naive, _ = _decided(Looks(looks.base, _GOAL, (0.05,) * len(looks.levels)), draw, pairs)
            what = f"false verdicts: until decided, at most {most}, {called}"
            yield Row(what, 100 * wrong, "%", bar=bar, limit=Limit(100 * naive, "p < 0.05 at each look"))
    from statsmodels.stats.power import TTestPower

    for shift in _SEEN:
        looks = plan_looks(_numbers(10, True), _GOAL, 10)
        seen, count = _decided(looks, partial(_moved_pairs, 10, shift), max(100, pairs // 5))
        power = float(TTestPower().power(shift, 10, 0.05))
        what = f"until decided, at most 10, same seeds, {shift:g} standard deviations of a difference better"
        yield Row(f"seen: {what}", 100 * seen, "%", limit=Limit(100 * power, "10 repeats, one look"))
        yield Row(f"repeats: {what}", count, "", limit=Limit(10.0, "10 repeats, one look"))


def _numbers(count: int, labelled: bool) -> Repeats:
    return Repeats(tuple(map(float, range(count))), tuple(range(count)) if labelled else ())


def _decided(looks: Looks, draw: Draw, pairs: int) -> tuple[float, float]:
    """The share of comparisons that end better or worse, and how many repeats they take."""
    source = random.Random(20261127)
    told = repeats = 0
    for _ in range(pairs):
        base, new = draw(source)
        each = Looks(base, looks.goal, looks.levels)
        for count in range(2, looks.most + 1):
            look = each.look(dict(enumerate(new.values[:count])))
            if look is not None and look.over:
                told += look.judged.verdict in {"improved", "regressed"}
                repeats += count
                break
    return told / pairs, repeats / pairs


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


def _moved_pairs(n: int, shift: float, source: random.Random) -> tuple[Repeats, Repeats]:
    a = _numbers(n, True)
    return a, Repeats(tuple(value + source.gauss(shift, 1) for value in a.values), a.labels)


def _rounded(n: int, labelled: bool, source: random.Random) -> tuple[Repeats, Repeats]:
    """An accuracy that takes 51 values, mostly two or three of them; n repeats are often all the same."""
    labels = tuple(range(n)) if labelled else ()
    a, b = (Repeats(tuple(round(source.gauss(45, 0.4)) / 50 for _ in range(n)), labels) for _ in "ab")
    return a, b


def _uneven(n: int, m: int, spread: float, source: random.Random) -> tuple[Repeats, Repeats]:
    a = Repeats(tuple(source.gauss(0, spread) for _ in range(n)))
    return a, Repeats(tuple(source.gauss(0, 1) for _ in range(m)))


def _skewed(n: int, m: int, source: random.Random) -> tuple[Repeats, Repeats]:
    a, b = (Repeats(tuple(source.lognormvariate(0, 1) for _ in range(count))) for count in (n, m))
    return a, b


def _overlapping(examples: int, size: int, as_folds: bool, source: random.Random) -> tuple[Repeats, Repeats]:
    """Two linear models, each with features of its own that say equally little, cross-validated on the same small data set."""
    (a, b), folds = _losses(examples, size, [False], source), tuple(range(_FOLDS))
    return (Repeats(a, (), folds), Repeats(b, (), folds)) if as_folds else (Repeats(a, folds), Repeats(b, folds))


def _missing(examples: int, size: int, source: random.Random) -> tuple[Repeats, Repeats]:
    """The same, where one side lacks its last fold."""
    a, b = _losses(examples, size, [False], source)
    folds = tuple(range(_FOLDS))
    return Repeats(a, (), folds), Repeats(b[:-1], (), folds[:-1])


def _again(rounds: int, shuffled: bool, source: random.Random) -> tuple[Repeats, Repeats]:
    """Cross-validations made several times: of the same folds with other seeds, or of folds drawn anew."""
    a, b = _losses(60, 3, [shuffled] * rounds, source, noise=0.1)
    labels = tuple(one for one in range(rounds) for _ in range(_FOLDS))
    folds = tuple(range(_FOLDS)) * rounds
    return Repeats(a, labels, folds), Repeats(b, labels, folds)


def _losses(
    examples: int, size: int, shuffled: Sequence[bool], source: random.Random, noise: float = 0.0
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The losses of two models that know equally little, of every fold of every round; `noise` is what a seed adds."""
    import numpy as np

    draw = np.random.default_rng(source.getrandbits(64))
    target = draw.normal(size=examples)
    both = [draw.normal(size=(examples, size)) + 0.3 * target[:, None] for _ in "ab"]
    losses: tuple[list[float], list[float]] = ([], [])
    for anew in shuffled:
        fold = np.arange(examples) % _FOLDS
        if anew:
            draw.shuffle(fold)
        for features, found in zip(both, losses, strict=True):
            for one in range(_FOLDS):
                rest = fold != one
                kept = features[rest]
                weights = np.linalg.solve(kept.T @ kept, kept.T @ target[rest])
                error = np.mean((target[~rest] - features[~rest] @ weights) ** 2) + noise * draw.normal()
                found.append(-float(error))
    return tuple(losses[0]), tuple(losses[1])


if __name__ == "__main__":
    main()
