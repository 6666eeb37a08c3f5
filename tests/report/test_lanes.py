from __future__ import annotations

import math
from typing import Any

import pytest

from gittrack.domain.run import RunState, Status
from gittrack.errors import UsageError
from gittrack.report.boxes import boxes
from gittrack.report.keys import Key, as_number, find_key, varying
from gittrack.report.lanes import Lane, lane, parallel, scatter


def runs(*params: dict[str, Any], metrics: list[dict[str, float]] | None = None) -> list[RunState]:
    return [
        RunState(
            f"{at:032x}",
            f"run-{at}",
            "digits",
            Status.FINISHED,
            float(at),
            params=one,
            metrics={} if metrics is None else metrics[at],
        )
        for at, one in enumerate(params)
    ]


def of(*values: Any) -> Lane:
    return lane(Key("params", "k"), runs(*({} if value is ... else {"k": value} for value in values)))


def test_numbers_lie_by_size() -> None:
    found = of(1, 2.0, 5)
    assert found.places == (0.0, 0.25, 1.0)
    assert found.scale is not None
    assert not found.scale.log


def test_numbers_over_more_than_two_decades_lie_by_factors() -> None:
    found = of(1e-4, "1e-2", 1)
    assert found.scale is not None
    assert found.scale.log
    assert found.places == pytest.approx((0.0, 0.5, 1.0))
    below = of(-1e-4, 1, 1000)
    assert below.scale is not None
    assert not below.scale.log


def test_words_and_truth_values_lie_side_by_side() -> None:
    assert of("sgd", "adam", "sgd").places == (0.75, 0.25, 0.75)
    assert of("sgd", "adam").ticks == ((0.25, "adam"), (0.75, "sgd"))
    assert of(True, False).places == (0.75, 0.25)
    assert [word for _, word in of(1, "auto", None, [1, 2], True).ticks] == ["1", "[1,2]", "auto", "null", "true"]


def test_what_is_missing_has_no_place() -> None:
    found = of(1, ..., 3)
    assert found.places == (0.0, None, 1.0)
    assert found.texts == ("1", "missing", "3")
    assert of("a", ...).places == (0.5, None)
    assert of(..., ...).places == (None, None)


def test_null_and_what_is_not_finite_is_no_number() -> None:
    found = of(3, None, math.nan, math.inf, 10**400)
    assert found.places[:4] == (0.5, None, None, None)
    assert of(math.nan, math.inf).places == (None, None)


def test_one_value_lies_in_the_middle() -> None:
    assert of(7, 7).places == (0.5, 0.5)
    assert of("a").places == (0.5,)


def test_of_many_words_some_are_written() -> None:
    found = of(*(f"word{at}" for at in range(100)))
    assert len(found.places) == len(set(found.places)) == 100
    assert len(found.ticks) <= 24


def test_a_color_for_each_number() -> None:
    some = runs({"k": 1}, {"k": 2}, {"k": 3}, metrics=[{"acc": 0.1}, {"acc": math.nan}, {"acc": 0.9}])
    low, none, high = parallel(some, [Key("params", "k")], Key("metrics", "acc")).colors()
    assert none == "#888888"
    assert low != high


def test_a_run_without_a_value_is_no_point() -> None:
    some = runs({"a": 1, "b": 2}, {"a": 1}, {"b": 1})
    assert scatter(some, Key("params", "a"), Key("params", "b")).kept() == [0]


# --- keys


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("lr", Key("params", "lr")),
        ("params.lr", Key("params", "lr")),
        ("acc", Key("metrics", "acc")),
        ("metrics.both", Key("metrics", "both")),
        ("params.both", Key("params", "both")),
        ("params.odd", Key("params", "params.odd")),
    ],
)
def test_a_key_is_found(word: str, key: Key) -> None:
    some = runs({"lr": 1, "both": 1, "params.odd": 1}, metrics=[{"acc": 1.0, "both": 2.0}])
    assert find_key(word, some) == key


@pytest.mark.parametrize(
    ("word", "said"),
    [("both", "write params.both or metrics.both"), ("ac", "did you mean acc"), ("zzz", "they have acc, both")],
)
def test_a_key_that_is_not_clear(word: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        find_key(word, runs({"both": 1}, metrics=[{"acc": 1.0, "both": 2.0}]))


def test_what_varies() -> None:
    some = runs({"a": 1, "b": 1, "layer10": 1, "layer2": 1}, {"a": 1.0, "c": 2, "layer10": 2, "layer2": 2, "b": True})
    assert varying(some) == ["b", "c", "layer2", "layer10"]
    assert varying(some[:1]) == varying([]) == []


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0),
        ("1e-3", 0.001),
        (True, None),
        ("nan", None),
        (math.inf, None),
        ("1_0", None),
        ([1], None),
        (None, None),
    ],
)
def test_what_reads_as_a_number(value: Any, number: float | None) -> None:
    assert as_number(value) == number


# --- boxes


def test_groups_stand_in_their_natural_order_with_what_is_missing_last() -> None:
    some = runs(
        {"k": 10}, {"k": 2}, {"k": 2}, {}, {"k": "auto"}, {"k": 10},
        metrics=[{"acc": 3.0}, {"acc": 2.0}, {"acc": 1.0}, {"acc": 5.0}, {"acc": 4.0}, {"acc": math.nan}],
    )  # fmt: skip
    found = boxes(some, Key("metrics", "acc"), Key("params", "k"))
    assert found is not None
    assert [group.label for group in found.groups] == ["auto", "2", "10", "missing"]
    assert found.groups[1].values == (1.0, 2.0)
    assert found.groups[1].names == ("run-2", "run-1")
    assert found.groups[1].middle == 1.5
    assert found.groups[1].quartiles is None
    assert boxes(some, Key("metrics", "none"), Key("params", "k")) is None
