"""Rows in and out, inside one transaction; the counts of keys and the filled columns follow."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from gittrack._version import __version__
from gittrack.index.rows import COLUMNS, KINDS, Row, doc_artifacts, doc_values, encodable, to_cell
from gittrack.ledger.read import Damage

_INSERT = f"INSERT INTO run (n, recorded, ledgered, {COLUMNS}) VALUES (?, ?, ?{', ?' * (COLUMNS.count(',') + 1)})"


class Entry(NamedTuple):
    """A run made ready for its row before the transaction begins; see schema.sql for `recorded` and `ledgered`."""

    id: str
    row: Row
    doc: bytes
    keys: tuple[Iterable[str], ...]
    artifacts: Sequence[str] = ()
    recorded: str | None = None
    ledgered: bool = False
    results: Sequence[str] = ()


class Writer:
    """The changes of a transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._filled = connection.execute("SELECT n, kind, name FROM key WHERE filled").fetchall()
        self._next = connection.execute("SELECT coalesce(max(n), 0) + 1 FROM run").fetchone()[0]
        self._counts: Counter[tuple[str, str]] = Counter()

    def remove(self, runs: Iterable[str]) -> int:
        """Take runs out; returns how many were there."""
        removed = 0
        for run in runs:
            found = self._db.execute("SELECT run.n, json FROM run LEFT JOIN doc USING (n) WHERE id = ?", (run,))
            for n, doc in found.fetchall():
                self._remove_row(n, doc)
                removed += 1
        return removed

    def _remove_row(self, n: int, doc: bytes) -> None:
        for kind, values in doc_values(doc).items():
            self._counts.subtract((kind, name) for name in values)
        self._db.execute("DELETE FROM run WHERE n = ?", (n,))
        self._db.execute("DELETE FROM doc WHERE n = ?", (n,))
        self._db.execute("DELETE FROM result WHERE run = ?", (n,))
        self._db.executemany(
            "DELETE FROM artifact WHERE name = ? AND run = ?", [(one, n) for one in doc_artifacts(doc)]
        )
        self._db.executemany("DELETE FROM cell WHERE key = ? AND run = ?", [(key, n) for key, _, _ in self._filled])

    def add(self, entries: Sequence[Entry]) -> None:
        first = self._next
        self._next += len(entries)
        self._db.executemany(
            _INSERT, [(n, one.recorded, one.ledgered, *one.row) for n, one in enumerate(entries, first)]
        )
        self._db.executemany("INSERT INTO doc VALUES (?, ?)", [(n, one.doc) for n, one in enumerate(entries, first)])
        named = [(encodable(name), n) for n, one in enumerate(entries, first) for name in one.artifacts]
        if named:
            self._db.executemany("INSERT OR IGNORE INTO artifact VALUES (?, ?)", named)
        made = [(encodable(name), n) for n, one in enumerate(entries, first) for name in one.results]
        if made:
            self._db.executemany("INSERT OR IGNORE INTO result VALUES (?, ?)", made)
        for at, kind in enumerate(KINDS):
            names = Counter(chain.from_iterable(one.keys[at] for one in entries))
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

    def mark_ledgered(self, runs: Iterable[str]) -> None:
        self._db.executemany("UPDATE run SET ledgered = 1 WHERE id = ?", [(run,) for run in runs])

    def add_damage(self, damage: Damage, head: str, *, ledger: bool) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO damage VALUES (?, ?, ?, ?, ?, ?)",
            (damage.run, head, ledger, damage.where, damage.reason, __version__),
        )

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
        self._db.execute(
            "INSERT INTO meta VALUES ('generation', '1') ON CONFLICT (name) DO UPDATE SET value = value + 1"
        )
