"""A filter as the WHERE clause of SQL; every condition comes out as 0 or 1, never NULL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

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

# The number of a key in the index by kind and name.
Keys = Mapping[tuple[str, str], int]
Condition = tuple[str, list[Any]]

DURATION = "(run.ended - run.started)"
_PREFIX = re.compile(r"[0-9a-f]{4,64}")
_TRUE, _FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
_NEVER: Condition = ("0", [])


def where(node: Node, keys: Keys, now: float) -> Condition:
    """The condition and its parameters; a key that is in no run is like one that is missing."""
    match node:
        case And(nodes):
            return _joined([where(one, keys, now) for one in nodes], "AND")
        case Or(nodes):
            return _joined([where(one, keys, now) for one in nodes], "OR")
        case Not(inner):
            sql, values = where(inner, keys, now)
            return f"NOT ({sql})", values
        case Compare(field, "!=", value):
            return where(Not(Compare(field, "=", value)), keys, now)
        case Compare(field, operator, value):
            if field.kind == "run":
                return _on_run(field, operator, value, now)
            return _on_key(field, keys, _cell_condition(operator, value))
        case In(field, found):
            if field.kind == "run":
                return _joined([_on_run(field, "=", one, now) for one in found], "OR")
            return _on_key(field, keys, _joined([_cell_condition("=", one) for one in found], "OR"))
        case IsNull(field):
            if field.kind == "run":
                return _is_null(field)
            sql, values = _on_key(field, keys, ("1", []))
            return f"NOT ({sql})", values


def _joined(parts: list[Condition], word: str) -> Condition:
    """Halves joined to halves, because SQLite limits the depth of an expression."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    left, right = _joined(parts[:middle], word), _joined(parts[middle:], word)
    return f"({left[0]} {word} {right[0]})", left[1] + right[1]


# --- params, metrics, run tags


def _on_key(field: Field, keys: Keys, condition: Condition) -> Condition:
    key = keys.get((field.kind, field.name))
    if key is None:
        return _NEVER
    # Reads the column once from end to end; EXISTS would look up each run, at half the speed.
    return (
        f"run.n IN (SELECT run FROM cell WHERE key = ? AND {condition[0]})",
        [key, *condition[1]],
    )


def _cell_condition(operator: str, value: Value) -> Condition:
    match value:
        case bool():
            return "text IN (?, ?, ?)", list(_TRUE if value else _FALSE)
        case int() | float():
            return f"ifnull(num {operator} ?, 0)", [value]
        case str() if operator == "~":
            return "matches(?, coalesce(text, num))", [value]
        case str():
            return f"ifnull(text {operator} ?, 0)", [value]
        case _:
            raise TypeError(f"{value!r} cannot be compared with a key")


# --- fields of the run itself


def _columns(field: Field) -> tuple[str, ...]:
    if field.name == "commit":
        return "run.run_commit", "run.code_commit"
    return (DURATION,) if field.name == "duration" else (f"run.{field.name}",)


def _on_run(field: Field, operator: str, value: Value, now: float) -> Condition:
    kind = RUN_FIELDS[field.name]
    if isinstance(value, Ago):
        value = value.at(now)
    if isinstance(value, Moment):
        return _on_time(f"run.{field.name}", operator, value)
    parts: list[Condition] = []
    for column in _columns(field):
        if operator == "~":
            parts.append((f"matches(?, {column})", [value]))
        elif kind == "hex" and operator == "=" and _PREFIX.fullmatch(str(value).lower()):
            digits = str(value).lower()
            parts.append((f"ifnull({column} >= ? AND {column} < ?, 0)", [digits, digits + "g"]))
        else:
            parts.append((f"ifnull({column} {operator} ?, 0)", [value]))
    return _joined(parts, "OR")


def _on_time(column: str, operator: str, moment: Moment) -> Condition:
    start, end = moment.start, moment.end
    match operator:
        case "=" if moment.length:
            return f"ifnull({column} >= ? AND {column} < ?, 0)", [start, end]
        case ">" if moment.length:
            return f"ifnull({column} >= ?, 0)", [end]
        case "<=" if moment.length:
            return f"ifnull({column} < ?, 0)", [end]
        case _:
            return f"ifnull({column} {operator} ?, 0)", [start]


def _is_null(field: Field) -> Condition:
    # Empty text counts as none; a commit is null when the run has none of its own yet.
    column = _columns(field)[0]
    text = RUN_FIELDS[field.name] in ("text", "hex")
    return (f"ifnull({column}, '') = ''" if text else f"{column} IS NULL"), []
