"""A run as a row: RunState to columns and JSON, and back."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping
from typing import Any

import orjson

from gittrack.domain.codec import (
    artifact_to_json,
    artifacts_from_json,
    number_to_json,
    param_from_json,
    param_to_json,
)
from gittrack.domain.run import RunState, Status
from gittrack.index.filter import NUMBER

KINDS = ("params", "metrics", "tags")
COLUMNS = (
    "id, head, run_commit, name, experiment, status, started, ended, deleted, dirty, code_commit, "
    "branch, author, host, parent, attempt, truncated, description, command"
)

Row = tuple[Any, ...]
# The value as a number and as text, as the table `cell` has it.
Cell = tuple[float | None, str | None]


def to_row(state: RunState, head: str | None) -> Row:
    """The columns of a run, in the order of COLUMNS."""
    row = (
        state.id,
        head,
        state.commit,
        state.name,
        state.experiment,
        str(state.status),
        state.started,
        state.ended,
        state.deleted,
        state.dirty,
        state.code_commit,
        state.branch,
        state.author,
        state.host,
        state.parent,
        state.attempt,
        state.truncated,
        state.description,
        state.command,
    )
    try:
        "".join([one for one in row if type(one) is str]).encode()
    except UnicodeEncodeError:
        return tuple(encodable(one) if isinstance(one, str) else one for one in row)
    return row


def to_doc(state: RunState) -> bytes:
    """`[params, metrics, tags]` as JSON, and the named artifacts as a fourth where there are any."""
    more = [{name: artifact_to_json(one) for name, one in state.artifacts.items()}] if state.artifacts else []
    try:
        doc = orjson.dumps((state.params, state.metrics, state.tags, *more))
        # The careful way for what may need it: orjson writes null for what is not finite, and "$..." is an escape.
        if b"null" not in doc and b'"$' not in doc:
            return doc
    except TypeError:
        pass  # a mapping that is no dict, an integer beyond 64 bits, text that is not Unicode
    plain = (
        {key: param_to_json(value) for key, value in state.params.items()},
        {key: number_to_json(value) for key, value in state.metrics.items()},
        dict(state.tags),
        *more,
    )
    try:
        return orjson.dumps(plain)
    except TypeError:
        return orjson.dumps(_encodable_all(plain))


def from_row(row: Row, doc: bytes) -> RunState:
    """The run of a row in the order of COLUMNS; raises sqlite3.DatabaseError for one that is damaged."""
    try:
        params, metrics, tags, *more = orjson.loads(doc)
        if len(more) > 1:
            raise ValueError("it has too many parts")
        return RunState(
            id=row[0],
            head=row[1],
            commit=row[2],
            name=row[3],
            experiment=row[4],
            status=Status(row[5]),
            started=row[6],
            ended=row[7],
            deleted=bool(row[8]),
            dirty=bool(row[9]),
            code_commit=row[10],
            branch=row[11],
            author=row[12],
            host=row[13],
            parent=row[14],
            attempt=row[15],
            truncated=bool(row[16]),
            description=row[17],
            command=row[18],
            params={
                key: param_from_json(value) if isinstance(value, (dict, list)) else value
                for key, value in params.items()
            },
            metrics={key: float(value) for key, value in metrics.items()},
            tags=tags,
            artifacts=artifacts_from_json(more[0]) if more else {},
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise sqlite3.DatabaseError(f"a row is damaged: {error}") from error


def doc_values(doc: bytes) -> dict[str, dict[str, Any]]:
    """Params, metrics and tags of a run, by kind, as JSON has them."""
    try:
        params, metrics, tags, *_ = orjson.loads(doc)
    except ValueError as error:
        raise sqlite3.DatabaseError(f"a row is damaged: {error}") from error
    return {"params": params, "metrics": metrics, "tags": tags}


def doc_artifacts(doc: bytes) -> list[str]:
    """The names of a run's named artifacts."""
    try:
        return [name for names in orjson.loads(doc)[3:] for name in names]
    except ValueError as error:
        raise sqlite3.DatabaseError(f"a row is damaged: {error}") from error


def to_cell(kind: str, value: Any) -> Cell | None:
    """How a value of JSON compares; None for null, which compares like a missing one."""
    if kind == "metrics" and value is not None:
        value = float(value)
    elif isinstance(value, (dict, list)):
        value = param_from_json(value)
    match value:
        case None:
            return None
        case bool():
            return None, "true" if value else "false"
        case int():
            return (value, None) if -(2**63) <= value < 2**63 else (_wide(value), str(value))
        case float():
            return (None, "nan") if math.isnan(value) else (value, None)
        case str():
            return float(value) if NUMBER.fullmatch(value) else None, value
        case _:
            return None, orjson.dumps(param_to_json(value)).decode()


def _wide(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def encodable(text: str) -> str:
    """Text as SQLite and JSON can hold it: half a surrogate pair is spelled out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _encodable_all(value: Any) -> Any:
    match value:
        case str():
            return encodable(value)
        case Mapping():
            return {encodable(str(key)): _encodable_all(item) for key, item in value.items()}
        case list() | tuple():
            return [_encodable_all(item) for item in value]
        case _:
            return value
