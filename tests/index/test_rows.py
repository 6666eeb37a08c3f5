"""A run as a row and back."""

from __future__ import annotations

import dataclasses
import math
import sqlite3
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.index.rows import doc_values, from_row, to_cell, to_doc, to_row
from tests.index.samples import a_run, run_states


def _through(state):
    return from_row(to_row(state, state.head), to_doc(state))


@given(run_states(7))
def test_a_run_comes_back_as_it_was(state):
    # NaN is not equal to itself; its text is.
    assert repr(_through(state)) == repr(state)


any_value = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(exclude_categories=["Cs"]))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "$float", "$int", "b c"]), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(any_value, st.floats())
def test_any_value_comes_back_as_it_was(value, number):
    state = a_run(1, params={"x": value}, metrics={"m": number})
    assert repr(_through(state).params) == repr(state.params)
    assert repr(_through(state).metrics) == repr(state.metrics)


def test_mappings_need_not_be_dictionaries():
    state = a_run(1, params=MappingProxyType({"lr": 0.1}), tags=MappingProxyType({"kind": "cv"}))
    assert dict(_through(state).params) == {"lr": 0.1}
    assert dict(_through(state).tags) == {"kind": "cv"}


def test_text_that_is_no_unicode_is_spelled_out():
    state = a_run(1, command="python \udce4.py", params={"path": "\udcff", "list": ["\udcff"]}, tags={"a": "\udcfe"})
    back = _through(state)
    assert back.command == "python \\udce4.py"
    assert back.params == {"path": "\\udcff", "list": ["\\udcff"]}
    assert back.tags == {"a": "\\udcfe"}


@pytest.mark.parametrize("doc", [b"", b"[1,2", b"[]", b"[1,2,3]", b"[{},{},{},{},{}]", b'[{},{"a":"x"},{}]', b"\xff"])
def test_a_damaged_row_is_an_error_of_the_database(doc):
    with pytest.raises(sqlite3.DatabaseError):
        from_row(to_row(a_run(1), None), doc)


def test_an_unknown_status_is_an_error_of_the_database():
    row = list(to_row(a_run(1), None))
    row[5] = "asleep"
    with pytest.raises(sqlite3.DatabaseError):
        from_row(tuple(row), b"[{},{},{}]")


@pytest.mark.parametrize(
    ("kind", "value", "cell"),
    [
        ("params", None, None),
        ("params", 3, (3, None)),
        ("params", 2**63 - 1, (2**63 - 1, None)),
        ("params", 2**64, (1.8446744073709552e19, "18446744073709551616")),
        ("params", 10**400, (math.inf, str(10**400))),
        ("params", 0.5, (0.5, None)),
        ("params", True, (None, "true")),
        ("params", "adam", (None, "adam")),
        ("params", "1e-3", (0.001, "1e-3")),
        ("params", "inf", (None, "inf")),
        ("params", math.nan, (None, "nan")),
        ("params", [1, "a"], (None, '[1,"a"]')),
        ("params", {}, (None, "{}")),
        ("metrics", 0.5, (0.5, None)),
        ("metrics", math.nan, (None, "nan")),
        ("metrics", -math.inf, (-math.inf, None)),
        ("tags", "7", (7.0, "7")),
    ],
)
def test_how_values_compare(kind, value, cell):
    state = dataclasses.replace(a_run(1), **{kind: {"key": value}})
    assert to_cell(kind, doc_values(to_doc(state))[kind]["key"]) == cell
