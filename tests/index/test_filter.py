"""The filter's values: how they print, and where a caret points."""

from __future__ import annotations

import datetime as dt
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.domain.names import check_key
from gittrack.errors import InvalidName
from gittrack.index.filter import Ago, Compare, Field, Filter, Moment, point_at
from gittrack.index.syntax import parse
from tests.index.filters import nodes
from tests.index.samples import BEGINNING


def _is_key(key: str) -> bool:
    try:
        check_key("param", key)
    except InvalidName:
        return False
    return True


any_key = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(_is_key)
any_text = st.text(st.characters(exclude_categories=["Cs"]))
any_field = st.builds(Field, st.sampled_from(["params", "tags"]), any_key)


@given(nodes())
def test_what_is_printed_is_read_as_the_same(node):
    assert parse(str(node)).root == node


@given(any_field, st.sampled_from(["=", "<"]), st.one_of(any_text, st.integers(-(2**63), 2**63 - 1)))
def test_any_key_and_any_text_survive_printing(field, operator, value):
    assert parse(str(Compare(field, operator, value))).root == Compare(field, operator, value)


@given(any_field, st.floats(allow_nan=False))
def test_any_float_survives_printing(field, value):
    read = parse(str(Compare(field, "=", value))).root
    assert isinstance(read, Compare)
    assert read.value == value


@given(st.datetimes(timezones=st.just(dt.UTC)))
def test_any_moment_survives_printing(time):
    moment = Moment(time.timestamp())
    assert parse(str(Compare(Field("run", "started"), "<", moment))).root.value == moment


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (Compare(Field("params", "lr"), "<=", 0.001), "params.lr <= 0.001"),
        (Compare(Field("params", "my key"), "=", "a b"), 'params.`my key` = "a b"'),
        (Compare(Field("metrics", "loss"), "=", "nan"), "metrics.loss = nan"),
        (Compare(Field("metrics", "loss"), "<", math.inf), "metrics.loss < inf"),
        (Compare(Field("tags", "x"), "=", 'say "x"'), 'tags.x = "say ""x"""'),
        (Compare(Field("run", "started"), ">", Ago(90)), "started > -90s"),
        (Compare(Field("run", "started"), ">", Moment(BEGINNING, 86400)), "started > 2026-01-01"),
        (Compare(Field("run", "ended"), ">", Moment(BEGINNING, 60)), "ended > 2026-01-01T00:00Z"),
        (Compare(Field("run", "dirty"), "=", True), "dirty = true"),
    ],
)
def test_printing(node, text):
    assert str(node) == text
    assert str(Filter(node)) == text


def test_the_fields_of_a_filter_are_told_in_order():
    found = parse("not (params.a = 1 or tags.b is null) and metrics.c > 1")
    assert [str(field) for field in found.fields()] == ["params.a", "tags.b", "metrics.c"]
    assert [str(field) for field in found.compared_fields()] == ["params.a", "metrics.c"]


def test_the_caret_stands_below_the_mistake():
    assert point_at("lr = 1", 0) == "lr = 1\n^"
    assert point_at("name = ", 7) == "name = \n       ^"
    assert point_at("a\nb = 1", 2) == "a b = 1\n  ^"


def test_the_caret_stays_on_a_narrow_screen():
    expression = "x" * 500 + "!" + "y" * 500
    shown, caret = point_at(expression, 500).split("\n")
    assert len(shown) <= 80
    assert shown[caret.index("^")] == "!"


@given(st.text(), st.integers(-5, 200))
def test_the_caret_never_leaves_the_line(expression, position):
    shown, caret = point_at(expression, position).split("\n")
    assert caret.index("^") <= len(shown)
