"""Questions to the index, as SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gittrack.domain.run import RunState, Status
from gittrack.errors import FilterError
from gittrack.index.database import transaction
from gittrack.index.filter import RUN_FIELDS, Field, Filter
from gittrack.index.rows import COLUMNS, doc_values, encodable, from_row, to_cell
from gittrack.index.where import DURATION, Condition, Keys, where
from gittrack.values import dataclass

_NEWEST = "run.started DESC, run.id"
_INFINITE = "9e999"  # SQLite reads it so
_PART = 500


class ExperimentSummary(NamedTuple):
    """An experiment, how many runs it has, and when the newest of them began."""

    name: str
    runs: int
    newest: float


class Grounds(NamedTuple):
    """What beside its params the numbers of a run rest on, each by a short name; two with one name are the same."""

    code: str
    data: str
    environment: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Which runs: those of an experiment that pass a filter, deleted ones only if asked for."""

    filter: Filter | None = None
    experiment: str | None = None
    deleted: bool = False


def select(
    connection: sqlite3.Connection,
    selection: Selection,
    now: float,
    *,
    sort: tuple[Field, bool] | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> list[RunState]:
    """Runs in order: by the sort field (True: falling), then newest first, then by id.

    Numbers come before texts and both before what is missing, rising and falling alike.
    """
    condition, values = _condition(connection, selection, now, [] if sort is None else [sort[0]])
    join, order, more = _order(_keys(connection), sort)
    rows = connection.execute(
        f"SELECT run.n FROM run {join} WHERE {condition} ORDER BY {order} LIMIT ? OFFSET ?",
        [*more, *values, _bound(limit), _bound(offset)],
    )
    return _states(connection, [n for (n,) in rows])


def code_commits(connection: sqlite3.Connection, selection: Selection, now: float) -> list[tuple[str, bool]]:
    """The commits whose trees finished runs ran, each once, and whether that is a snapshot of a dirty tree."""
    condition, values = _condition(connection, selection, now)
    rows = connection.execute(
        f"SELECT DISTINCT code_commit, dirty FROM run WHERE status = ? AND code_commit IS NOT NULL AND {condition}",
        [str(Status.FINISHED), *values],
    )
    return [(commit, bool(dirty)) for commit, dirty in rows]


def of_code(connection: sqlite3.Connection, commits: Sequence[str], selection: Selection, now: float) -> list[RunState]:
    """The finished runs of these commits' trees, newest first."""
    condition, values = _condition(connection, selection, now)
    found: list[tuple[float, str, int]] = []
    for at in range(0, len(commits), _PART):
        part = commits[at : at + _PART]
        found += connection.execute(
            f"SELECT -started, id, n FROM run WHERE status = ? AND code_commit IN ({', '.join('?' * len(part))}) AND {condition}",
            [str(Status.FINISHED), *part, *values],
        )
    return _states(connection, [n for _, _, n in sorted(found)])


def count(connection: sqlite3.Connection, selection: Selection, now: float) -> int:
    condition, values = _condition(connection, selection, now)
    row = connection.execute(f"SELECT count(*) FROM run WHERE {condition}", values).fetchone()
    return int(row[0])


def best(
    connection: sqlite3.Connection,
    metric: str,
    goal: str,
    selection: Selection,
    now: float,
    limit: int | None,
) -> list[RunState]:
    """The finished runs with the lowest ("min") or highest ("max") last value of a metric."""
    field = Field("metrics", metric)
    condition, values = _condition(connection, selection, now, [field])
    falling = {"min": "", "max": " DESC"}[goal]
    rows = connection.execute(
        f"SELECT run.n FROM cell JOIN run ON run.n = cell.run WHERE cell.key = ? "
        f"AND num > -{_INFINITE} AND num < {_INFINITE} AND status = ? AND {condition} "
        f"ORDER BY num{falling}, {_NEWEST} LIMIT ?",
        [
            _keys(connection).get((field.kind, field.name)),
            str(Status.FINISHED),
            *values,
            _bound(limit),
        ],
    )
    return _states(connection, [n for (n,) in rows])


def experiments(connection: sqlite3.Connection) -> list[ExperimentSummary]:
    rows = connection.execute(
        "SELECT experiment, count(*), max(started) FROM run WHERE NOT deleted "
        "GROUP BY experiment ORDER BY max(started) DESC, experiment"
    )
    return [ExperimentSummary(*row) for row in rows]


def keys(connection: sqlite3.Connection, kind: str) -> list[str]:
    rows = connection.execute("SELECT name FROM key WHERE kind = ? ORDER BY name", (kind,))
    return [name for (name,) in rows]


# --- finding runs by what they are called


def by_id(connection: sqlite3.Connection, run: str) -> list[RunState]:
    return _found(connection, "run.id = ?", [run])


def newest_row(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(n), 0) FROM run").fetchone()[0])


def rows_since(connection: sqlite3.Connection, row: int) -> list[tuple[str, str]]:
    """Id and experiment of each recorded run that came, or changed, after a row was the newest."""
    return connection.execute(
        "SELECT id, experiment FROM run WHERE n > ? AND head IS NOT NULL ORDER BY n", (row,)
    ).fetchall()


def by_ids(connection: sqlite3.Connection, runs: Sequence[str]) -> list[RunState]:
    marks = ", ".join("?" * len(runs))
    return _found(connection, f"run.id IN ({marks})", list(runs))


def known_commits(connection: sqlite3.Connection, commits: Sequence[str]) -> set[str]:
    """Those of some commits that are runs or amendments that the index has taken in."""
    found: set[str] = set()
    for at in range(0, len(commits), _PART):
        part = commits[at : at + _PART]
        marks = ", ".join("?" * len(part))
        for table, column in (("run", "run_commit"), ("amendment", "id"), ("origin", "id")):
            rows = connection.execute(f"SELECT {column} FROM {table} WHERE {column} IN ({marks})", part)
            found.update(commit for (commit,) in rows)
    return found


def grounds(connection: sqlite3.Connection, commits: Mapping[str, str]) -> dict[str, Grounds]:
    """What is noted of runs, given with their commits, by run."""
    found: dict[str, Grounds] = {}
    runs = list(commits)
    for at in range(0, len(runs), _PART):
        part = runs[at : at + _PART]
        marks = ", ".join("?" * len(part))
        for run, commit, *rest in connection.execute(
            f"SELECT run, run_commit, code, data, environment FROM ground WHERE run IN ({marks})", part
        ):
            if commit == commits[run]:
                found[run] = Grounds(*rest)
    return found


def keep_grounds(connection: sqlite3.Connection, commits: Mapping[str, str], found: Mapping[str, Grounds]) -> None:
    with transaction(connection):
        connection.executemany(
            "INSERT OR REPLACE INTO ground VALUES (?, ?, ?, ?, ?)",
            [(run, commits[run], *one) for run, one in found.items()],
        )


def commit_of(connection: sqlite3.Connection, run: str) -> str | None:
    """The run commit of a recorded run."""
    found = connection.execute("SELECT run_commit FROM run WHERE id = ?", (run,)).fetchone()
    return None if found is None else found[0]


def amendments(connection: sqlite3.Connection, run: str) -> list[tuple[str, bytes]]:
    """Commit and record line of every amendment of a run."""
    return connection.execute("SELECT id, line FROM amendment WHERE run = ?", (run,)).fetchall()


def by_name(connection: sqlite3.Connection, name: str, selection: Selection) -> list[RunState]:
    condition, values = _condition(connection, selection, 0)
    return _found(connection, f"run.name = ? AND {condition}", [encodable(name), *values])


def by_prefix(connection: sqlite3.Connection, digits: str, selection: Selection) -> list[RunState]:
    """Runs whose id, run commit or newest amendment begins with these hex digits."""
    condition, values = _condition(connection, selection, 0)
    either = " OR ".join(f"({column} >= ? AND {column} < ?)" for column in ("run.id", "run.run_commit", "run.head"))
    return _found(connection, f"({either}) AND {condition}", [digits, digits + "g"] * 3 + values)


def names(connection: sqlite3.Connection, selection: Selection, limit: int) -> list[str]:
    """The names of the newest runs, each once."""
    condition, values = _condition(connection, selection, 0)
    rows = connection.execute(f"SELECT name FROM run WHERE {condition} ORDER BY {_NEWEST} LIMIT ?", [*values, limit])
    return list(dict.fromkeys(name for (name,) in rows))


def with_artifact(connection: sqlite3.Connection, name: str | None, selection: Selection) -> list[RunState]:
    """Runs that have an artifact of this name, or a named one at all; newest first."""
    condition, values = _condition(connection, selection, 0)
    some = "SELECT run FROM artifact" + ("" if name is None else " WHERE name = ?")
    named = [] if name is None else [encodable(name)]
    return _found(connection, f"run.n IN ({some}) AND {condition}", [*named, *values])


# A content that every run leaves (an empty list) is told by some of them.
_MOST_MAKERS = 20


def makers(connection: sqlite3.Connection, contents: Collection[str]) -> dict[str, list[RunState]]:
    """By each of these short names of contents the runs that left it in a file: first clean ones, then the newest.

    Deleted ones count too.
    """
    known: list[str] = []
    wanted = sorted(set(contents))
    for at in range(0, len(wanted), _PART):
        part = wanted[at : at + _PART]
        marks = ", ".join("?" * len(part))
        known += [
            one
            for (one,) in connection.execute(f"SELECT DISTINCT content FROM result WHERE content IN ({marks})", part)
        ]
    found = {}
    for content in known:
        rows = connection.execute(
            "SELECT run.n FROM result JOIN run ON run.n = result.run WHERE content = ? ORDER BY dirty, started DESC, id LIMIT ?",
            (content, _MOST_MAKERS),
        )
        found[content] = _states(connection, [n for (n,) in rows])
    return found


def _bound(limit: int | None) -> int:
    return -1 if limit is None else min(limit, 2**63 - 1)


def _found(connection: sqlite3.Connection, condition: str, values: list[Any]) -> list[RunState]:
    rows = connection.execute(f"SELECT run.n FROM run WHERE {condition} ORDER BY {_NEWEST}", values)
    return _states(connection, [n for (n,) in rows])


def _states(connection: sqlite3.Connection, numbers: Sequence[int]) -> list[RunState]:
    found: dict[int, RunState] = {}
    for at in range(0, len(numbers), _PART):
        part = numbers[at : at + _PART]
        marks = ", ".join("?" * len(part))
        for n, doc, *row in connection.execute(
            f"SELECT n, json, {COLUMNS} FROM run JOIN doc USING (n) WHERE n IN ({marks})", part
        ):
            found[n] = from_row(tuple(row), doc)
    return [found[n] for n in numbers if n in found]


# --- conditions, order, columns


def _condition(
    connection: sqlite3.Connection,
    selection: Selection,
    now: float,
    others: Iterable[Field] = (),
) -> Condition:
    """The WHERE clause of a selection; its columns, and those of `others`, are filled first."""
    found, known = selection.filter, _keys(connection)
    if found is not None:
        for field in found.compared_fields():
            _check_known(connection, known, field, found.expression)
    for field in others:
        _check_known(connection, known, field, "")
    mentioned = [] if found is None else found.fields()
    _fill(connection, {(one.kind, one.name) for one in (*mentioned, *others)})
    parts: list[str] = [] if selection.deleted else ["NOT run.deleted"]
    values: list[Any] = []
    if selection.experiment is not None:
        parts.append("run.experiment = ?")
        values.append(encodable(selection.experiment))
    if found is not None:
        sql, more = where(found.root, known, now)
        parts.append(sql)
        values += more
    return " AND ".join(parts) or "1", values


def _order(keys: Keys, sort: tuple[Field, bool] | None) -> tuple[str, str, list[Any]]:
    """A join, an ORDER BY and the parameters of both."""
    if sort is None:
        return "", _NEWEST, []
    field, falling = sort
    way = " DESC" if falling else ""
    if field.kind != "run":
        key = keys.get((field.kind, field.name))
        order = (
            "cell.run IS NULL, cell.num IS NULL, "
            f"cell.num{way}, CASE WHEN cell.num IS NULL THEN cell.text END{way}, {_NEWEST}"
        )
        return "LEFT JOIN cell ON cell.key = ? AND cell.run = run.n", order, [key]
    column = {"duration": DURATION, "commit": "run.run_commit"}.get(field.name, f"run.{field.name}")
    text = RUN_FIELDS[field.name] in ("text", "hex")
    missing = f"ifnull({column}, '') = ''" if text else f"{column} IS NULL"
    return "", f"{missing}, {column}{way}, {_NEWEST}", []


def _keys(connection: sqlite3.Connection) -> Keys:
    return {(kind, name): n for kind, name, n in connection.execute("SELECT kind, name, n FROM key")}


def _check_known(connection: sqlite3.Connection, known: Keys, field: Field, expression: str) -> None:
    if field.kind == "run" or (field.kind, field.name) in known:
        return
    if connection.execute("SELECT 1 FROM run LIMIT 1").fetchone() is None:
        return
    word = {"params": "param", "metrics": "metric", "tags": "run tag"}[field.kind]
    message = f"no run has the {word} {field.name!r}{_hint(known, field)}"
    raise FilterError(message, expression=expression, position=field.position)


def _hint(known: Collection[tuple[str, str]], field: Field) -> str:
    from difflib import get_close_matches

    elsewhere = [Field(kind, name) for kind, name in known if name == field.name]
    if elsewhere:
        return f"; there is {elsewhere[0]}"
    alike = get_close_matches(field.name, [name for kind, name in known if kind == field.kind], n=1, cutoff=0.5)
    if alike:
        return f"; the nearest is {Field(field.kind, alike[0])}"
    return "; 'gittrack ls' shows the keys in use"


def _fill(connection: sqlite3.Connection, wanted: set[tuple[str, str]]) -> None:
    """Fill the columns that are asked for the first time, all in one pass over the runs."""
    if not wanted or not _unfilled(connection, wanted):
        return
    with transaction(connection):
        missing = _unfilled(connection, wanted)
        cells = (
            (key, n, *cell)
            for n, doc in connection.execute("SELECT n, json FROM doc ORDER BY n")
            for values in (doc_values(doc),)
            for key, kind, name in missing
            if (cell := to_cell(kind, values[kind].get(name))) is not None
        )
        connection.executemany("INSERT INTO cell VALUES (?, ?, ?, ?)", cells)
        connection.executemany("UPDATE key SET filled = 1 WHERE n = ?", [(key,) for key, _, _ in missing])


def _unfilled(connection: sqlite3.Connection, wanted: set[tuple[str, str]]) -> list[tuple[int, str, str]]:
    rows = connection.execute("SELECT n, kind, name FROM key WHERE NOT filled")
    return [row for row in rows if (row[1], row[2]) in wanted]
