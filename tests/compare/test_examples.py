"""What two models said of the same examples."""

from __future__ import annotations

import json

import pytest
from scipy.stats import binomtest

from gittrack.compare.examples import compare_examples, read_table
from gittrack.errors import InvalidValue


def table(**columns: list[object]) -> dict[str, list[str]]:
    return read_table(json.dumps(columns).encode(), "x.json")


def test_right_and_wrong_in_three_forms() -> None:
    a = table(id=[1, 2, 3, 4, 5, 6], correct=[True, True, False, False, False, False])
    b = table(id=[6, 5, 4, 3, 2, 1], target=[0, 0, 0, 0, 0, 0], prediction=[0, 0, 0, 0, 1, 0])
    found = compare_examples(a, b)
    assert (found.won, found.lost, found.tested.n_a) == (4, 1, 6)
    assert found.tested.p == pytest.approx(binomtest(4, 5).pvalue)
    rows = b"y_true,y_pred\n1,1\n2,1\n"
    assert compare_examples(read_table(rows, "a.csv"), read_table(rows.replace(b",", b"\t"), "a.tsv")).tested.p == 1.0


def test_numbers_of_a_column() -> None:
    a = table(loss=[at / 40 for at in range(40)])
    b = table(loss=[at / 40 - 0.1 - at % 3 / 100 for at in range(40)])
    found = compare_examples(a, b, "loss")
    assert (found.tested.test, found.won) == ("bootstrap", None)
    assert found.tested.p < 0.001
    plain = found.to_json()
    assert plain["ci"][0] < plain["delta"] < plain["ci"][1] < 0


def test_only_examples_that_both_have_count() -> None:
    found = compare_examples(table(id=[1, 2, 3], correct=[1, 0, 0]), table(id=[3, 2, 9], correct=[1, 1, 1]))
    assert (found.won, found.lost, found.tested.n_a) == (2, 0, 2)


@pytest.mark.parametrize(
    ("a", "b", "column", "words"),
    [
        ({"correct": [1]}, {"correct": [1, 0]}, None, "have 1 and 2 examples and no column id or example"),
        ({"id": [1, 1], "correct": [1, 0]}, {"id": [1, 2], "correct": [1, 0]}, None, "stands twice in column 'id'"),
        ({"id": [1], "correct": [1]}, {"id": [2], "correct": [1]}, None, "no example is in both tables"),
        ({"correct": ["maybe"]}, {"correct": [1]}, None, "holds 'maybe', which is neither true nor false"),
        ({"x": [1]}, {"x": [1]}, None, "name a column of numbers with --column"),
        ({"x": [1]}, {"x": [1]}, "y", "has no column 'y'; it has x"),
        ({"x": ["a"]}, {"x": [1]}, "x", "holds what is no number"),
        ({"x": [1, 2]}, {"x": [1, 3]}, "x", "a bootstrap needs 30 pairs, and there are 2"),
    ],
)
def test_what_cannot_be_compared(
    a: dict[str, list[object]], b: dict[str, list[object]], column: str | None, words: str
) -> None:
    with pytest.raises(InvalidValue, match=words):
        compare_examples(table(**a), table(**b), column)


@pytest.mark.parametrize("data", [b"\xff\xfe", b"{", b"[1, 2]", b'{"a": [1], "b": [1, 2]}', b"7"])
def test_what_is_no_table(data: bytes) -> None:
    with pytest.raises(InvalidValue, match="is no table of examples"):
        read_table(data, "x.json")
