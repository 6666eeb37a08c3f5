"""Which seeds somebody means."""

from __future__ import annotations

from typing import Any

import pytest

from gittrack.errors import UsageError
from gittrack.repeating import parse_seeds

SEED_LIKE = ("seed", "fold")


@pytest.mark.parametrize(
    ("text", "params", "seeds"),
    [
        ("3", {}, (0, 1, 2)),
        ("1", {"lr": 0.1}, (0,)),
        ("3", {"seed": 10}, (10, 11, 12)),
        ("7,1, 12", {}, (7, 1, 12)),
        ("0,4294967295", {"lr": 0.1}, (0, 4294967295)),
    ],
)
def test_a_number_of_seeds_or_a_list_of_them(text: str, params: dict[str, Any], seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text, params, SEED_LIKE) == seeds


@pytest.mark.parametrize(
    ("text", "params", "said"),
    [
        ("", {}, "not ''"),
        (",", {}, "not ''"),
        ("1,", {}, "not ''"),
        ("0", {}, "1 to 1,000 runs, not 0"),
        ("1001", {}, "for the seed 1001 alone write -p seed=1001"),
        ("-3", {}, "not '-3'"),
        ("1,-2", {}, "not '-2'"),
        ("a,b", {}, "not 'a'"),
        ("1.0,2", {}, "not '1.0'"),
        ("1_0", {}, "not '1_0'"),
        ("٣", {}, "not '٣'"),
        ("9" * 5000, {}, "whole numbers"),
        ("1,01", {}, "the seed 1 is there twice"),
        ("4294967296,1", {}, "below 2**32"),
        ("2", {"seed": 4294967295}, "below 2**32"),
        ("3", {"seed": "x"}, "not 'x'"),
        ("3", {"seed": 1.5}, "not 1.5"),
        ("3", {"seed": True}, "not True"),
        ("3", {"seed": -1}, "not -1"),
        ("1,2", {"seed": 1}, "said twice"),
    ],
)
def test_what_are_no_seeds(text: str, params: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as told:
        parse_seeds(text, params, SEED_LIKE)
    assert said in str(told.value)


def test_where_a_seed_tells_no_repeats_apart() -> None:
    with pytest.raises(UsageError, match="does not name 'seed'"):
        parse_seeds("2", {}, ("fold",))
