"""What goes into a model and comes out: read off whatever people have in hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from gittrack.errors import InvalidValue
from gittrack.tracking.signature import example_of, fields_of, read_signature, signature_of


@pytest.mark.parametrize(
    ("example", "fields"),
    [
        (None, []),
        (
            pd.DataFrame({"age": [1, 2], "name": ["a", "b"]}),
            [{"name": "age", "dtype": "int64"}, {"name": "name", "dtype": str(pd.Series(["a"]).dtype)}],
        ),
        (np.zeros((5, 8, 8), "float32"), [{"dtype": "float32", "shape": [None, 8, 8]}]),
        (np.float64(1.0), [{"dtype": "float64", "shape": []}]),
        (pd.Series([1.0], name="y"), [{"name": "y", "dtype": "float64", "shape": [None]}]),
        (
            {"x": np.zeros(3), "n": 1},
            [{"name": "x", "dtype": "float64", "shape": [None]}, {"name": "n", "dtype": "int", "shape": []}],
        ),
        ([{"a": 1, "b": "c"}], [{"name": "a", "dtype": "int"}, {"name": "b", "dtype": "str"}]),
        ([[1.0, 2.0]], [{"dtype": "float", "shape": [None, None]}]),
    ],
    ids=["none", "frame", "array", "scalar", "series", "mapping", "rows", "nested"],
)
def test_fields(example: Any, fields: list[dict[str, Any]]) -> None:
    assert fields_of(example) == fields


@pytest.mark.parametrize("example", [object(), {"x": object()}, [], [object()]])
def test_what_says_nothing_is_refused(example: Any) -> None:
    with pytest.raises(InvalidValue, match="data frame"):
        fields_of(example)


def test_a_part_without_an_example_is_left_out() -> None:
    assert signature_of() == {}
    assert list(signature_of(np.zeros(2))) == ["inputs"]
    assert list(signature_of(outputs=np.zeros(2))) == ["outputs"]


def test_the_first_rows_are_an_example_and_no_more() -> None:
    assert example_of(pd.DataFrame({"a": range(10)})) == {"a": [0, 1, 2]}
    assert example_of(np.arange(10)) == [0, 1, 2]
    assert example_of(np.zeros((10, 10_000))) is None
    assert example_of(object()) is None


def test_one_that_somebody_wrote() -> None:
    text = (
        b"inputs:\n- {name: age, dtype: int64}\n- {dtype: float32, shape: [null, 28, 28]}\noutputs: [{dtype: int64}]\n"
    )
    assert read_signature(text, "s.yaml") == {
        "inputs": [{"name": "age", "dtype": "int64"}, {"dtype": "float32", "shape": [None, 28, 28]}],
        "outputs": [{"dtype": "int64"}],
    }
    assert read_signature(b'{"inputs": [{"dtype": "str"}]}', "s.json") == {"inputs": [{"dtype": "str"}]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "must hold `inputs`"),
        (b"[1]", "must hold `inputs`"),
        (b"input: []", "must hold `inputs`"),
        (b"inputs: []", "list of one to 1,000"),
        (b"inputs: {a: 1}", "list of one to 1,000"),
        (b"inputs: [a]", "has 'a', which is not like"),
        (b"inputs: [{name: a}]", "which is not like"),
        (b"inputs: [{dtype: int, name: 3}]", "which is not like"),
        (b"inputs: [{dtype: int, shape: [-1]}]", r"has the shape \[-1\]"),
        (b"inputs: [", "neither JSON nor YAML"),
        (b"\xff\x00", "neither JSON nor YAML"),
    ],
)
def test_what_is_no_signature_is_refused(text: bytes, said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        read_signature(text, "s.yaml")
