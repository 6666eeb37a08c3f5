from __future__ import annotations

import math

import pytest

from gittrack.compare.align import ABSENT, align, flatten, natural, same


def test_keys_of_both_in_the_order_a_person_counts() -> None:
    rows = list(align({"layer10": 1, "layer2": 2}, {"layer2": 3, "lr": None}))
    assert rows == [("layer2", 2, 3), ("layer10", 1, ABSENT), ("lr", ABSENT, None)]


def test_natural_order() -> None:
    keys = ["a10b2", "a2b10", "a2b9", "a", "10", "9", "b", "a-1"]
    assert sorted(keys, key=natural) == ["9", "10", "a", "a2b9", "a2b10", "a10b2", "a-1", "b"]


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (1, 1.0, True),
        (True, 1, False),
        (False, False, True),
        (0.1, 0.1, True),
        (math.nan, math.nan, True),
        (math.nan, 1.0, False),
        ("1", 1, False),
        (None, ABSENT, False),
        (ABSENT, ABSENT, True),
        ([1, math.nan], [1.0, math.nan], True),
        ([True], [1], False),
        ([1, 2], [1], False),
        ({"a": [1]}, {"a": [1]}, True),
        ({"a": 1}, {"b": 1}, False),
    ],
)
def test_what_counts_as_the_same(a: object, b: object, equal: bool) -> None:
    assert same(a, b) is equal
    assert same(b, a) is equal


def test_flatten() -> None:
    assert flatten({"a": {"b": 1, "c": []}, "gpus": [{"name": "x"}]}) == {"a.b": 1, "gpus.0.name": "x"}
