"""Verdicts: what the data carry, and what is said when they carry nothing."""

from __future__ import annotations

import math

import pytest

from gittrack.compare.verdict import Repeats, choose, judge, judge_all
from gittrack.settings.values import Goal

HIGH, LOW = Goal("max"), Goal("min")
GOOD, BETTER = (0.90, 0.91, 0.905, 0.902, 0.908), (0.95, 0.953, 0.949, 0.955, 0.951)


def repeats(*values: float, labels: tuple[object, ...] = (), folds: int | None = None) -> Repeats:
    return Repeats(values, labels, folds)


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
    assert judge(repeats(0.5, 0.5, labels=(1, 2)), repeats(0.6, 0.6, labels=(1, 2)), HIGH).verdict == "improved"
    # Real, and smaller than anybody cares for.
    assert judge(repeats(0.9, 0.9, 0.9), repeats(0.901, 0.901, 0.901), Goal("max", 0.002)).verdict == "equal"


def test_seeds_pair_where_both_sides_have_the_same() -> None:
    a, b = (0.5, 0.7, 0.9), (0.51, 0.712, 0.911)
    found, why = choose(repeats(*a, labels=(1, 2, 3)), repeats(b[2], b[0], b[1], labels=(3, 1, 2)))
    assert (found.test, why) == ("paired-t", "the same seeds on both sides")
    assert found.p < 0.01
    for labels in ((1, 2, 4), (1, 2, 2), ()):
        assert choose(repeats(*a, labels=(1, 2, 3)), repeats(*b, labels=labels))[0].test == "welch"


def test_folds_overlap() -> None:
    a, b = repeats(*GOOD, labels=tuple(range(5)), folds=5), repeats(*BETTER, labels=tuple(range(5)), folds=5)
    found, why = choose(a, b)
    assert (found.test, why) == ("corrected-t", "the same 5 folds, which overlap")
    assert judge(a, b, HIGH).verdict == "improved"


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
