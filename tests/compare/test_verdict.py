"""Verdicts: what the data carry, and what is said when they carry nothing."""

from __future__ import annotations

import math
import random

import pytest

from gittrack.compare import stats
from gittrack.compare.verdict import Judgement, Repeats, choose, judge, judge_all
from gittrack.settings.values import Goal

HIGH, LOW = Goal("max"), Goal("min")
GOOD, BETTER = (0.90, 0.91, 0.905, 0.902, 0.908), (0.95, 0.953, 0.949, 0.955, 0.951)


def repeats(*values: float, labels: tuple[object, ...] = (), folds: tuple[object, ...] = ()) -> Repeats:
    return Repeats(values, labels, folds)


def chosen(a: Repeats, b: Repeats) -> tuple[stats.Tested, str]:
    found = choose(a, b)
    assert not isinstance(found, Judgement)
    return found


def test_one_against_one_is_no_test() -> None:
    found = judge(repeats(0.9), repeats(0.99), HIGH)
    assert (found.verdict, found.tested) == ("undecided", None)
    assert found.reason == "n = 1 and 1: one run cannot tell a change from chance"
    assert judge(repeats(0.9), repeats(0.9), HIGH).verdict == "equal"
    assert judge(repeats(0.9), repeats(*BETTER), HIGH).verdict == "undecided"
    assert judge(repeats(), repeats(0.9), HIGH).reason == "one side has no value"


@pytest.mark.parametrize(("goal", "verdict"), [(HIGH, "improved"), (LOW, "regressed"), (None, "undecided")])
def test_a_real_change_is_judged_by_its_goal(goal: Goal | None, verdict: str) -> None:
    found = judge(repeats(*GOOD), repeats(*BETTER), goal)
    assert found.verdict == verdict
    assert "Welch, independent repeats: p = 0.0001 or less, n = 5" in found.reason
    assert ("no goal says" in found.reason) == (goal is None)
    assert judge(repeats(*BETTER), repeats(*GOOD), goal).verdict != "improved" or goal is LOW


def test_what_is_undecided_says_how_many_would_tell() -> None:
    found = judge(repeats(0.9, 0.92, 0.88), repeats(0.91, 0.93, 0.89), HIGH)
    assert found.verdict == "undecided"
    assert found.needed == 64
    assert found.reason.endswith("; were it real, some 64 repeats on each side would show it")


def test_equal_is_shown_and_not_merely_unrefuted() -> None:
    near = repeats(0.9001, 0.9003, 0.9002, 0.9), repeats(0.9002, 0.9, 0.9004, 0.9001)
    assert judge(*near, Goal("max", 0.002)).verdict == "equal"
    assert judge(*near, Goal("max", 0.002)).reason.startswith("within ± 0.002 (two one-sided tests, p = ")
    assert judge(*near, HIGH).verdict == "undecided"
    assert judge(repeats(0.5, 0.5), repeats(0.5, 0.5), HIGH).verdict == "equal"
    assert judge(repeats(0.5, 0.5), repeats(0.6, 0.6), HIGH).verdict == "undecided"


def test_a_change_that_is_smaller_than_what_counts_is_not_called_better() -> None:
    a, b = repeats(0.9, 0.901, 0.902, 0.903), repeats(0.91, 0.911, 0.912, 0.913)
    found = judge(a, b, Goal("max", 0.011))
    assert found.verdict == "undecided"
    assert found.reason.startswith("it changed, by less than the 0.011 that count; Welch")
    assert judge(a, b, Goal("max", 0.009)).verdict == "improved"


@pytest.mark.parametrize(
    ("n", "labelled", "verdict"),
    [
        (2, True, "undecided"),
        (5, True, "undecided"),
        (6, True, "improved"),
        (3, False, "undecided"),
        (9, False, "undecided"),
    ],
)
def test_values_that_never_differ_prove_as_much_as_their_number(n: int, labelled: bool, verdict: str) -> None:
    """A rounded metric shows no spread in few repeats; without seeds they may be one run, made again."""
    labels = tuple(range(n)) if labelled else ()
    found = judge(repeats(*[0.5] * n, labels=labels), repeats(*[0.6] * n, labels=labels), HIGH)
    assert found.verdict == verdict
    assert ("perhaps they are one run made again" in found.reason) is not labelled
    assert judge(repeats(*[0.5] * n, labels=labels), repeats(*[0.5] * n, labels=labels), HIGH).verdict == "equal"


def test_rounding_is_no_spread() -> None:
    found = judge(repeats(0.1, 0.2, labels=(1, 2)), repeats(0.2, 0.3, labels=(1, 2)), HIGH)
    assert (found.verdict, found.tested and found.tested.test) == ("undecided", "sign-flip")


def test_other_seeds_that_never_differ_are_counted_by_splits() -> None:
    a, b = repeats(*[0.5] * 4, labels=(1, 2, 3, 4)), repeats(*[0.6] * 4, labels=(5, 6, 7, 8))
    tested, why = chosen(a, b)
    assert (tested.test, tested.p) == ("permutation", pytest.approx(2 / 70))
    assert why == "independent repeats that never differ on either side"


def test_two_against_many_has_one_degree_of_freedom() -> None:
    tested, _ = chosen(repeats(0.1, 0.9), repeats(*(0.5 + one / 100 for one in range(10))))
    assert (tested.test, tested.df) == ("welch", 1)


def test_sides_of_very_different_size_have_the_fewest_degrees_of_freedom() -> None:
    draw = random.Random(1)
    a, b, c = (repeats(*(draw.gauss(0, 1) for _ in range(n))) for n in (6, 13, 12))
    assert chosen(a, b)[0].df == chosen(b, a)[0].df == 5
    assert chosen(a, c)[0].df > 5


def test_seeds_pair_where_both_sides_have_the_same() -> None:
    a, b = (0.5, 0.7, 0.9), (0.51, 0.712, 0.911)
    found, why = chosen(repeats(*a, labels=(1, 2, 3)), repeats(b[2], b[0], b[1], labels=(3, 1, 2)))
    assert (found.test, why) == ("paired-t", "the same seeds on both sides")
    assert found.p < 0.01
    for labels in ((1, 2, 4), (1, 2, 2), ()):
        assert chosen(repeats(*a, labels=(1, 2, 3)), repeats(*b, labels=labels))[0].test == "welch"


def test_seeds_pair_where_one_side_has_more_of_them() -> None:
    a = repeats(0.5, 0.7, 0.9, 0.1, labels=(1, 2, 3, 4))
    b = repeats(0.51, 0.712, 0.911, labels=(1, 2, 3))
    for one, other, sizes, sign in ((a, b, "4 and 3", "+"), (b, a, "3 and 4", "-")):
        found, why = chosen(one, other)
        assert (found.test, found.n_a) == ("paired-t", 3)
        assert why == f"the same 3 seeds, of {sizes}, where the change is {sign}0.011"
    asked = choose(a, b, asked="sign-flip")
    assert not isinstance(asked, Judgement)
    assert asked[1] == "as asked for, the same 3 seeds, of 4 and 3, where the change is +0.011"
    # One seed in common is none to speak of, and neither are seeds that each side has alone.
    for labels in ((1, 5, 6), (1, 2, 9)):
        assert chosen(a, repeats(*b.values, labels=labels))[0].test == "welch"


def test_seeds_that_gave_the_same_say_nothing_of_those_that_only_one_side_has() -> None:
    a, b = repeats(0.5, 0.7, 0.9, labels=(1, 2, 3)), repeats(0.5, 0.7, labels=(1, 2))
    assert judge(a, b, HIGH).verdict == "undecided"
    found = choose(a, b, asked="paired-t")
    assert isinstance(found, Judgement)
    assert found.reason == "the 2 seeds that both sides have gave the same, and others differ"


def test_folds_overlap() -> None:
    a, b = repeats(*GOOD, folds=tuple(range(5))), repeats(*BETTER, folds=tuple(range(5)))
    found, why = chosen(a, b)
    assert (found.test, why) == ("corrected-t", "the same 5 folds, which overlap")
    assert judge(a, b, HIGH).verdict == "improved"
    found, why = chosen(a, repeats(*BETTER[1:], folds=(1, 2, 3, 4)))
    there = "the same 4 of 5 folds, which overlap, where the change is +0.04575"
    assert (found.n_a, found.df, why) == (4, 3, there)


def test_folds_that_nothing_pairs_prove_nothing() -> None:
    a = repeats(*GOOD, folds=tuple(range(5)))
    found = judge(a, repeats(*BETTER, labels=tuple(range(5))), HIGH)
    assert (found.verdict, found.tested) == ("undecided", None)
    assert found.reason == "one side has folds of a cross-validation, the other has none to pair them with"
    for other in (repeats(*BETTER, folds=tuple(range(5, 10))), repeats(*BETTER, folds=(4, 5, 6, 7, 8))):
        assert judge(a, other, HIGH).reason.startswith("the folds of the two sides cannot be paired")
    same = judge(a, repeats(*(one + 0.25 for one in GOOD), folds=tuple(range(5))), HIGH)
    assert (same.verdict, same.reason) == (
        "undecided",
        "all folds are equally far apart, which tells nothing of chance",
    )


def test_folds_of_other_splits_are_not_paired() -> None:
    """Fold 0 of 5 holds other examples than fold 0 of 10."""
    found = judge(repeats(*GOOD, folds=tuple(range(5))), repeats(*BETTER, *BETTER, folds=tuple(range(10))), HIGH)
    assert (found.verdict, found.tested) == ("undecided", None)
    assert found.reason == "5 folds are on both sides, of 10 on one: the two seem to be of different splits"


def test_folds_that_are_the_same_say_nothing_of_those_that_only_one_side_has() -> None:
    found = judge(repeats(*GOOD, folds=tuple(range(5))), repeats(*GOOD[:4], folds=tuple(range(4))), HIGH)
    assert (found.verdict, found.reason) == (
        "undecided",
        "the 4 folds that both sides have are the same, and others differ",
    )


def test_folds_that_were_made_again_with_other_seeds_are_no_more_folds() -> None:
    seeds, folds = (1, 1, 1, 2, 2, 2), (0, 1, 2) * 2
    a = repeats(0.5, 0.6, 0.7, 0.52, 0.61, 0.69, labels=seeds, folds=folds)
    b = repeats(0.6, 0.71, 0.79, 0.62, 0.7, 0.8, labels=seeds, folds=folds)
    tested, why = chosen(a, b)
    assert (tested.n_a, tested.df, why) == (6, 2, "the same 3 folds, which overlap, 2 times")
    # One side has a third round: it is left out.
    more = repeats(*b.values, 0.9, 0.9, 0.9, labels=(*seeds, 3, 3, 3), folds=(*folds, 0, 1, 2))
    assert chosen(a, more)[0] == tested
    # One round each, of other seeds: the folds pair.
    assert (
        chosen(
            repeats(*a.values[:3], labels=(1,) * 3, folds=(0, 1, 2)),
            repeats(*b.values[:3], labels=(2,) * 3, folds=(0, 1, 2)),
        )[0].df
        == 2
    )


@pytest.mark.parametrize(
    ("asked", "test"),
    [("welch", "welch"), ("permutation", "permutation"), ("sign-flip", "sign-flip"), ("paired-t", "paired-t")],
)
def test_a_test_can_be_asked_for(asked: stats.Name, test: str) -> None:
    a, b = repeats(*GOOD, labels=tuple(range(5))), repeats(*BETTER, labels=tuple(range(5)))
    found = choose(a, b, asked=asked)
    assert not isinstance(found, Judgement)
    assert (found[0].test, found[1]) == (test, "as asked for")


def test_a_test_that_cannot_be_made_says_why() -> None:
    a, b = repeats(*GOOD, labels=tuple(range(5))), repeats(*BETTER, labels=tuple(range(5)))
    found = choose(a, b, asked="wilcoxon")
    assert isinstance(found, Judgement)
    assert "needs 6 pairs that differ" in found.reason
    found = choose(repeats(*GOOD), b, asked="paired-t")
    assert isinstance(found, Judgement)
    assert found.reason == "paired t needs pairs, and the two sides do not have the same seeds"


def test_numbers_at_the_ends_of_what_there_is() -> None:
    for scale in (1e-300, 1e300):
        found = judge(repeats(*(one * scale for one in GOOD)), repeats(*(one * scale for one in BETTER)), HIGH)
        assert found.verdict == "improved"
    assert judge(repeats(-1.7e308, -1.6e308), repeats(1.7e308, 1.6e308), HIGH).verdict == "undecided"
    assert judge(repeats(-1.7e308, -1.6e308, labels=(1, 2)), repeats(1.7e308, 1.6e308, labels=(1, 2)), HIGH).reason == (
        "the values are too far apart for a number to say how far"
    )
    for scale in (1e-200, 1e160):
        found = judge(
            repeats(*(one * scale for one in (0.9, 0.92, 0.88))),
            repeats(*(one * scale for one in (0.91, 0.93, 0.89))),
            HIGH,
        )
        assert found.needed == 64
    counted = judge(repeats(*(1e13 + one for one in (0, 1, 2))), repeats(*(1e13 + one for one in (3, 4, 5))), HIGH)
    assert (counted.verdict, counted.tested and counted.tested.delta) == ("improved", 3.0)
    assert judge(repeats(10**400, 1), repeats(1, 2), HIGH).reason == "a value is too large to be compared"


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_what_diverged_proves_nothing(odd: float) -> None:
    found = judge(repeats(0.9, 0.91), repeats(0.9, odd), HIGH)
    assert (found.verdict, found.reason) == ("undecided", "a value is NaN or infinite: a run diverged")
    assert judge(repeats(odd), repeats(odd), HIGH).verdict == "equal"
    assert repeats(0.9, odd).sd is None


def test_several_gates_are_several_chances() -> None:
    a, b = repeats(0.90, 0.91, 0.92, 0.93), repeats(0.924, 0.934, 0.944, 0.954)
    alone = judge_all({"x": (a, b)}, lambda _: HIGH, gates=["x"])
    assert alone["x"].verdict == "improved"
    many = judge_all(
        dict.fromkeys("xyz", (a, b)) | {"watched": (a, b)}, lambda _: HIGH, gates=["x", "y", "z", "absent"]
    )
    assert [many[key].verdict for key in ("x", "watched")] == ["undecided", "improved"]
    assert "one of 3 that gate" in many["x"].reason
    single, corrected = alone["x"].tested, many["x"].tested
    assert single is not None
    assert corrected is not None
    # What is told is what decided.
    assert corrected.p == pytest.approx(3 * single.p)
    assert (many["x"].needed, "were it real" in many["x"].reason) == (None, False)
