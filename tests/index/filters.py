"""Filters by chance, and what they mean, said a second time without SQL."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from hypothesis import strategies as st

from gittrack.domain.run import RunState, Status
from gittrack.index.filter import (
    RUN_FIELDS,
    Ago,
    And,
    Compare,
    Field,
    In,
    IsNull,
    Moment,
    Node,
    Not,
    Or,
    Value,
)
from tests.index.samples import BEGINNING, METRIC_KEYS, NUMBERS, PARAM_KEYS, TAG_KEYS, TEXTS

PATTERNS = ("^a", "o", "[0-9]", r"\d\.", "tr.e$", "", "nan", r'"', "^0.1$", "ä")


moments = st.one_of(
    st.integers(-3, 3).map(lambda day: Moment(BEGINNING + 86400 * day, 86400.0)),
    st.integers(-3, 1500).map(lambda minute: Moment(BEGINNING + 60 * minute, 60.0)),
    st.integers(-3, 100).map(lambda second: Moment(BEGINNING + second, 1.0)),
    st.sampled_from([0.25, 86399.5, 0.000001]).map(lambda moment: Moment(BEGINNING + moment)),
    st.integers(0, 10**12).map(lambda millionths: Ago(millionths / 10**6)),
)
free_values = st.one_of(
    st.sampled_from(NUMBERS), st.sampled_from(TEXTS), st.booleans(), st.sampled_from([math.inf, -math.inf])
)
hex_values = st.sampled_from(["0001", "0001abcd", "c0de", "c0d", "C0DE", "c0de" * 10, "nothing", "00000001" * 4])
RUN_TEXTS = ["rf", "rf-baseline", "digits", "main", "box", "", "zzz", "python train.py --lr 0.1"]

ORDERED = ("=", "!=", "<", "<=", ">", ">=")
EQUAL = ("=", "!=")


def _values(field: Field) -> tuple[st.SearchStrategy[Any], tuple[str, ...], bool]:
    """The values a field may be compared with, by which operators, and whether ~ is allowed."""
    if field.kind == "metrics":
        return st.one_of(st.sampled_from(NUMBERS), st.just("nan"), st.just(math.inf)), ORDERED, True
    if field.kind != "run":
        return free_values, ORDERED, True
    return {
        "text": (st.sampled_from(RUN_TEXTS), ORDERED, True),
        "hex": (hex_values, ORDERED, True),
        "status": (st.sampled_from([str(one) for one in Status]), EQUAL, True),
        "time": (moments, ORDERED, False),
        "duration": (st.sampled_from([0, 30.5, 90, 90.0, 7200]), ORDERED, False),
        "truth": (st.booleans(), EQUAL, False),
    }[RUN_FIELDS[field.name]]


fields = st.one_of(
    st.builds(Field, st.just("params"), st.sampled_from(PARAM_KEYS)),
    st.builds(Field, st.just("metrics"), st.sampled_from(METRIC_KEYS)),
    st.builds(Field, st.just("tags"), st.sampled_from(TAG_KEYS)),
    st.builds(Field, st.just("run"), st.sampled_from(sorted(RUN_FIELDS))),
)


@st.composite
def conditions(draw: st.DrawFn, of: st.SearchStrategy[Field] = fields) -> Node:
    field = draw(of)
    values, operators, likes = _values(field)
    shape = draw(st.sampled_from(["compare", "compare", "in", "null", "like"]))
    if shape == "like" and likes:
        return Compare(field, "~", draw(st.sampled_from(PATTERNS)))
    if shape == "in":
        return In(field, tuple(draw(st.lists(values, min_size=1, max_size=3))))
    if shape == "null":
        return IsNull(field)
    operator, value = draw(st.sampled_from(operators)), draw(values)
    if isinstance(value, bool) and operator not in EQUAL:
        operator = "="
    return Compare(field, operator, value)


def nodes(of: st.SearchStrategy[Field] = fields) -> st.SearchStrategy[Node]:
    def larger(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        several = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.one_of(st.builds(Not, inner), st.builds(And, several), st.builds(Or, several))

    return st.recursive(conditions(of), larger, max_leaves=6)


# --- what they mean


def holds(node: Node, run: RunState, now: float) -> bool:
    """Whether a filter is true for a run, by the words of `gittrack.index.filter` alone."""
    match node:
        case And(inner):
            return all(holds(one, run, now) for one in inner)
        case Or(inner):
            return any(holds(one, run, now) for one in inner)
        case Not(one):
            return not holds(one, run, now)
        case In(field, values):
            return any(_compare(field, "=", value, run, now) for value in values)
        case IsNull(field):
            value = _of(run, field)
            return value is None or (value == "" and field.kind == "run")
        case Compare(field, "!=", value):
            return not _compare(field, "=", value, run, now)
        case Compare(field, operator, value):
            return _compare(field, operator, value, run, now)


def _of(run: RunState, field: Field) -> Any:
    return getattr(run, field.name) if field.kind == "run" else getattr(run, field.kind).get(field.name)


def _compare(field: Field, operator: str, value: Value, run: RunState, now: float) -> bool:
    held = _of(run, field)
    kind = RUN_FIELDS[field.name] if field.kind == "run" else "key"
    if field.kind == "run" and field.name == "commit":
        return any(_compare_hex(one, operator, value) for one in (run.commit, run.code_commit))
    if kind == "hex":
        return _compare_hex(held, operator, value)
    if held is None:
        return False
    if kind == "time":
        moment = value.at(now) if isinstance(value, Ago) else value
        assert isinstance(moment, Moment)
        return _compare_time(held, operator, moment)
    if kind == "key":
        return _compare_key(held, operator, value)
    return _apply(held, operator, value)


def _compare_hex(held: str | None, operator: str, value: Any) -> bool:
    if held is None:
        return False
    if operator == "=" and re.fullmatch("[0-9a-f]{4,}", value.lower()):
        return held.startswith(value.lower())
    return _apply(held, operator, value)


def _compare_time(held: float, operator: str, moment: Moment) -> bool:
    first, last = moment.start, moment.start + moment.length
    inside = first <= held < last or held == first
    above = held >= first and not inside
    return {
        "=": inside,
        "<": held < first,
        "<=": held < first or inside,
        ">": above,
        ">=": above or inside,
    }[operator]


def _compare_key(held: Any, operator: str, value: Any) -> bool:
    if operator == "~":
        return re.search(value, _shown(held)) is not None
    if isinstance(value, bool):
        words = ("true", "True", "TRUE") if value else ("false", "False", "FALSE")
        return held is value or (isinstance(held, str) and held in words)
    if isinstance(value, str):
        return not _is_number(held) and _apply(_shown(held), operator, value)
    if isinstance(held, str) and re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", held, re.ASCII):
        held = float(held)
    return _is_number(held) and _apply(held, operator, value)


def _is_number(held: Any) -> bool:
    return isinstance(held, (int, float)) and not isinstance(held, bool) and not math.isnan(held)


def _shown(held: Any) -> str:
    if isinstance(held, (list, dict)):
        return json.dumps(held, separators=(",", ":"), ensure_ascii=False).replace("NaN", '{"$float":"nan"}')
    if isinstance(held, bool):
        return str(held).lower()
    return str(held)


def _apply(held: Any, operator: str, value: Any) -> bool:
    match operator:
        case "=":
            return bool(held == value)
        case "<":
            return bool(held < value)
        case "<=":
            return bool(held <= value)
        case ">":
            return bool(held > value)
        case ">=":
            return bool(held >= value)
        case _:
            return re.search(value, held) is not None
