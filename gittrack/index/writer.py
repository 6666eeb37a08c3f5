"""Rows in and out, inside one transaction; the counts of keys and the filled columns follow."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from gittrack._version import __version__
from gittrack.index.rows import COLUMNS, KINDS, Row, doc_artifacts, doc_values, encodable, to_cell, to_doc, to_row
from gittrack.ledger.read import Damage
from gittrack.model.run import RunState

_INSERT = f"INSERT INTO run (n, {COLUMNS}) VALUES (?{', ?' * (COLUMNS.count(',') + 1)})"


def stored_sum(connection: sqlite3.Connection) -> int:
    """The sum of all heads in the index; see `meta` in schema.sql."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'heads'").fetchone()
    try:
        return int(row[0], 16) if row else 0
    except (ValueError, TypeError) as error:
        raise sqlite3.DatabaseError(f"a sum is damaged: {error}") from error


class Entry(NamedTuple):
    """A run made ready for its row before the transaction begins."""

    id: str
    state: RunState
    row: Row
    doc: bytes

    @classmethod
    def of(cls, state: RunState, head: str | None) -> Entry:
        return cls(state.id, state, to_row(state, head), to_doc(state))


class Writer:
    """The changes of a transaction; `known` has each run's head as we saw it (None: active)."""

    def __init__(self, connection: sqlite3.Connection, known: Mapping[str, str | None]) -> None:
        self._db = connection
        self._known = known
        self._damaged: dict[str, str] = dict(connection.execute("SELECT id, head FROM damage"))
        self._filled = connection.execute("SELECT n, kind, name FROM key WHERE filled").fetchall()
        self._next = connection.execute("SELECT coalesce(max(n), 0) + 1 FROM run").fetchone()[0]
        self._empty = self._next == 1
        self._counts: Counter[tuple[str, str]] = Counter()
        self._sum = stored_sum(connection)

    def remove(self, run: str) -> bool:
        """Take a run out of the index; False, and nothing done, if it is newer there than we know."""
        if not self._empty:
            found = self._db.execute(
                "SELECT run.n, head, json FROM run LEFT JOIN doc USING (n) WHERE id = ?", (run,)
            ).fetchone()
            if found is None and self._known.get(run) is not None:
                return False
            if found is not None:
                n, head, doc = found
                if run not in self._known or self._known[run] != head:
                    return False
                self._remove_row(n, head, doc)
        head = self._damaged.pop(run, None)
        if head is not None:
            self._db.execute("DELETE FROM damage WHERE id = ?", (run,))
            self._sum -= int(head, 16)
        return True

    def _remove_row(self, n: int, head: str | None, doc: bytes) -> None:
        for kind, values in doc_values(doc).items():
            self._counts.subtract((kind, name) for name in values)
        self._db.execute("DELETE FROM run WHERE n = ?", (n,))
        self._db.execute("DELETE FROM doc WHERE n = ?", (n,))
        self._db.executemany(
            "DELETE FROM artifact WHERE name = ? AND run = ?", [(one, n) for one in doc_artifacts(doc)]
        )
        self._db.executemany("DELETE FROM cell WHERE key = ? AND run = ?", [(key, n) for key, _, _ in self._filled])
        if head is not None:
            self._sum -= int(head, 16)

    def add(self, entries: Sequence[Entry]) -> None:
        first = self._next
        self._next += len(entries)
        self._db.executemany(_INSERT, [(n, *one.row) for n, one in enumerate(entries, first)])
        self._db.executemany("INSERT INTO doc VALUES (?, ?)", [(n, one.doc) for n, one in enumerate(entries, first)])
        named = [(encodable(name), n) for n, one in enumerate(entries, first) for name in one.state.artifacts]
        if named:
            self._db.executemany("INSERT OR IGNORE INTO artifact VALUES (?, ?)", named)
        self._sum += sum(int(one.row[1], 16) for one in entries if one.row[1] is not None)
        for kind in KINDS:
            names = Counter(chain.from_iterable(getattr(one.state, kind) for one in entries))
            self._counts.update({(kind, name): count for name, count in names.items()})
        if self._filled:
            for n, one in enumerate(entries, first):
                self._add_cells(n, one.doc)

    def _add_cells(self, n: int, doc: bytes) -> None:
        values = doc_values(doc)
        for key, kind, name in self._filled:
            cell = to_cell(kind, values[kind].get(name))
            if cell is not None:
                self._db.execute("INSERT INTO cell VALUES (?, ?, ?, ?)", (key, n, *cell))

    def add_damage(self, damage: Damage, head: str) -> None:
        self._db.execute(
            "INSERT INTO damage VALUES (?, ?, ?, ?, ?)",
            (damage.run, head, damage.where, damage.reason, __version__),
        )
        self._sum += int(head, 16)

    def close(self) -> None:
        """Write what was counted along the way."""
        self._db.executemany(
            "INSERT INTO key (kind, name, runs) VALUES (?, ?, ?) "
            "ON CONFLICT (kind, name) DO UPDATE SET runs = runs + excluded.runs",
            [(*key, count) for key, count in self._counts.items() if count],
        )
        if any(count < 0 for count in self._counts.values()):
            self._db.execute("DELETE FROM cell WHERE key IN (SELECT n FROM key WHERE runs <= 0)")
            self._db.execute("DELETE FROM key WHERE runs <= 0")
        self._db.execute("INSERT OR REPLACE INTO meta VALUES ('heads', ?)", (f"{self._sum:x}",))
