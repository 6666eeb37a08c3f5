from __future__ import annotations

import argparse
import collections
import dataclasses
import datetime as dt
import enum
import math
import types
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from gittrack.domain.param import flatten, parse_assignment, parse_scalar, plain, unflatten
from gittrack.errors import InvalidName, InvalidValue

texts = st.text(st.characters(exclude_categories=["Cs"]))
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), texts, st.lists(st.integers()))
keys = st.one_of(
    st.sampled_from(["a", "b", "a.b", "a.b.c", "c", "a..b", ". a", "x.", "a. b"]), st.text("ab.", min_size=1)
)
nested_params = st.recursive(
    st.dictionaries(keys, leaves, max_size=4),
    lambda inner: st.dictionaries(keys, st.one_of(leaves, inner), max_size=4),
    max_leaves=12,
)


def test_nested_mappings_become_dotted_keys():
    assert flatten({"lr": 0.1, "model": {"depth": 3, "head": {"size": 7}}, "empty": {}}) == {
        "lr": 0.1,
        "model.depth": 3,
        "model.head.size": 7,
        "empty": {},
    }


@given(nested_params)
def test_flat_and_nested_and_flat_again(nested):
    try:
        flat = flatten(nested)
    except InvalidValue:
        reject()  # a key twice, once by its dotted name, which another test is for
    assert flatten(unflatten(flat)) == flat


@given(st.dictionaries(st.lists(st.text("abc", min_size=1), min_size=1).map("/".join), st.integers()))
def test_nothing_is_lost_with_other_separators(flat):
    def count(nested):
        return sum(count(one) if isinstance(one, dict) else 1 for one in nested.values())

    assert count(unflatten(flat, "/")) == len(flat)


def test_a_key_below_a_value_stays_flat():
    assert unflatten({"a": 1, "a.b": 2}) == {"a": 1, "a.b": 2}
    assert unflatten({"a.b.c": 2, "a.b": 1}) == {"a": {"b.c": 2, "b": 1}}
    assert unflatten({"loss/val": 1.0, "loss": 2.0}, "/") == {"loss/val": 1.0, "loss": 2.0}


class Color(enum.Enum):
    RED = "red"


class Mode(str, enum.Enum):  # noqa: UP042 (the older way, which prints otherwise)
    FAST = "fast"


class Level(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Config:
    lr: float
    layers: tuple[int, ...]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.str_("adam"), "adam"),
        (np.array(2.5), 2.5),
        (np.array([1, 2]), [1, 2]),
        (np.zeros((1, 1)), [[0.0]]),
        ((1, (2, "x")), [1, [2, "x"]]),
        (range(3), [0, 1, 2]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset("a"), ["a"]),
        (Color.RED, "red"),
        (Mode.FAST, "fast"),
        (Level.HIGH, 3),
        (Path("data/x.csv"), "data/x.csv"),
        (PurePosixPath("data/\udcff"), "data/\\udcff"),
        (dt.date(2026, 1, 31), "2026-01-31"),
        (dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC), "2026-01-31T12:00:00+00:00"),
        (math.inf, math.inf),
        (2**70, 2**70),
        ("\ud800 half", "\\ud800 half"),
        ([{"a": {"b": (1,)}}], [{"a": {"b": [1]}}]),
        (len, "builtins.len"),
        (collections.OrderedDict, "collections.OrderedDict"),
        (None, None),
    ],
)
def test_values_become_plain(value, expected):
    found = plain("key", value)
    assert found == expected
    assert type(found) is type(expected)


class NotATensor:
    """What a torch tensor of one element looks like."""

    shape = ()

    def size(self):
        return ()

    def item(self):
        return 0.25


def test_tensors_of_one_element_become_numbers():
    assert plain("key", NotATensor()) == 0.25


@pytest.mark.parametrize(
    "params",
    [
        Config(0.1, (1, 2)),
        argparse.Namespace(lr=0.1, layers=[1, 2]),
        types.SimpleNamespace(lr=0.1, layers=(1, 2)),
        types.MappingProxyType({"lr": 0.1, "layers": [1, 2]}),
    ],
)
def test_what_is_as_good_as_a_mapping(params):
    assert flatten({"model": params}) == {"model.lr": 0.1, "model.layers": [1, 2]}


def test_keys_of_other_types_become_text():
    assert flatten({1: "a", None: "b", (1, 2): "c"}) == {"1": "a", "None": "b", "(1, 2)": "c"}


def _of_itself():
    endless: dict[str, object] = {}
    endless["again"] = endless
    return endless


def _list_of_itself():
    endless: list[object] = []
    endless.append(endless)
    return {"x": endless}


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"x": object()}, "param 'x' is a object, which has no plain form"),
        ({"x": b"bytes"}, "is a bytes"),
        ({"x": 1j}, "is a complex"),
        ({"x": [1, {"y": iter(())}]}, "param 'x.y' is a "),
        ({"x": np.zeros(1001)}, "an array of 1,001 values"),
        ({"x": 10**5000}, "integer of 16,610 bits"),
        (_of_itself(), "nested more than 64 deep"),
        (_list_of_itself(), "nested more than 64 deep"),
    ],
)
def test_values_without_a_plain_form(params, problem):
    with pytest.raises(InvalidValue, match=problem):
        flatten(params)


@pytest.mark.parametrize("params", [{"": 1}, {"a": {"": 1}}, {"a`b": 1}, {"a\nb": 1}, {"\udc80": 1}])
def test_wrong_keys(params):
    with pytest.raises(InvalidName):
        flatten(params)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-3", -3),
        ("1e-3", 0.001),
        ("0.1", 0.1),
        ("true", True),
        ("False", False),
        ("null", None),
        ("None", None),
        ("~", None),
        ("1_000", "1_000"),
        ("adam", "adam"),
        ("", ""),
        ("1.2.3", "1.2.3"),
        ("[1, 2]", "[1, 2]"),
    ],
)
def test_text_of_a_command_line(text, value):
    found = parse_scalar(text)
    assert found == value
    assert type(found) is type(value)


@given(texts)
def test_any_text_of_a_command_line_has_a_plain_value(text):
    value = parse_scalar(text)
    assert repr(plain("key", value)) == repr(value)


def test_assignments():
    assert parse_assignment("lr=0.1") == ("lr", "0.1")
    assert parse_assignment(" lr =a=b") == ("lr", "a=b")
    assert parse_assignment("lr=") == ("lr", "")
    for wrong in ("lr", "=1", "", "a`b=1"):
        with pytest.raises(InvalidName):
            parse_assignment(wrong)
