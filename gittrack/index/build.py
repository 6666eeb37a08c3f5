"""Bringing the index up to date with git: only what is new is read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from gittrack._version import __version__
from gittrack.git.repository import Repository
from gittrack.index.database import transaction
from gittrack.index.writer import Entry, Writer, stored_sum
from gittrack.ledger.read import Damage, read_states, run_heads
from gittrack.model.run import RunState

# Runs in one transaction: some 100 ms, for which other processes wait.
_BATCH = 4096
# Damaged runs are tried again each time, unless there are many.
_RETRIED = 100
_TRIES = 5

Heads = dict[str, str]


@dataclass(frozen=True, slots=True)
class UpdateReport:
    """What an update did: runs read from git, runs that are gone, and all that cannot be read.

    `note` says when the index file had to be made anew or done without.
    """

    read: int = 0
    gone: int = 0
    damaged: tuple[Damage, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Known:
    """What the index held when git was asked: heads by run id (None: active), and damaged heads.

    `current` says that git has nothing new; then only active runs are in here.
    """

    heads: Mapping[str, str | None]
    damaged: Mapping[str, str] = field(default_factory=dict)
    current: bool = False


def update(connection: sqlite3.Connection, repository: Repository, active: Sequence[RunState] = ()) -> UpdateReport:
    """Make the index equal to git and to the active runs; raises sqlite3.Error, GitFailed."""
    live = {state.id: state for state in active}
    heads, known = _compare(connection, repository, live)
    changed = {} if known.current else _changed(heads, known, live)
    read = 0
    for batch in _batches(read_states(repository, changed) if changed else ()):
        read += len(batch)
        _write(connection, known, batch, heads)
    gone = [run for run in {**known.heads, **known.damaged} if run not in heads and run not in live]
    if gone or live:
        _write(connection, known, list(live.values()), {}, gone)
    return UpdateReport(read, len(gone), _damaged(connection))


def _compare(connection: sqlite3.Connection, repository: Repository, live: Iterable[str]) -> tuple[Heads, _Known]:
    """git's heads by run id, and what the index knows.

    If another process writes in between, both are asked again: its newer rows must not be taken for
    older ones.
    """
    for _ in range(_TRIES):
        before = connection.execute("PRAGMA data_version").fetchone()
        heads = {run: one.head for run, one in run_heads(repository).items()}
        damaged = connection.execute("SELECT count(*) FROM damage").fetchone()[0]
        # Damaged runs may have been mended without any ref moving, so a few of them are looked at each time.
        same = not 0 < damaged <= _RETRIED
        if same and sum(int(head, 16) for head in heads.values()) == stored_sum(connection):
            known = _Known(_active_rows(connection, live), current=True)
        else:
            known = _Known(
                dict(connection.execute("SELECT id, head FROM run")),
                dict(connection.execute("SELECT id, iif(version = ?, head, '') FROM damage", (__version__,))),
            )
        if connection.execute("PRAGMA data_version").fetchone() == before:
            break
    return heads, known


def _active_rows(connection: sqlite3.Connection, live: Iterable[str]) -> dict[str, str | None]:
    rows = dict(connection.execute("SELECT id, head FROM run WHERE head IS NULL"))
    for run in live:
        rows.update(connection.execute("SELECT id, head FROM run WHERE id = ?", (run,)))
    return rows


def _changed(heads: Heads, known: _Known, live: Mapping[str, RunState]) -> Heads:
    changed = {
        run: head
        for run, head in heads.items()
        if known.heads.get(run) != head and known.damaged.get(run) != head and run not in live
    }
    again = [run for run in known.damaged if run in heads and run not in live]
    if len(again) <= _RETRIED:
        changed.update((run, heads[run]) for run in again)
    return changed


def _damaged(connection: sqlite3.Connection) -> tuple[Damage, ...]:
    rows = connection.execute("SELECT place, id, reason FROM damage ORDER BY id")
    return tuple(Damage(*row) for row in rows)


def _batches(items: Iterable[RunState | Damage]) -> Iterator[list[RunState | Damage]]:
    remaining = iter(items)
    while batch := list(islice(remaining, _BATCH)):
        yield batch


def _write(
    connection: sqlite3.Connection,
    known: _Known,
    items: Sequence[RunState | Damage],
    heads: Mapping[str, str],
    gone: Iterable[str] = (),
) -> None:
    """One transaction: replace the rows of some runs and remove those of others.

    A run without an entry in `heads` is active. A row that is not as `known` has it was written by
    another process meanwhile, and stays.
    """
    entries = [Entry.of(one, heads.get(one.id)) for one in items if isinstance(one, RunState)]
    damages = [one for one in items if isinstance(one, Damage)]
    with transaction(connection):
        writer = Writer(connection, known.heads)
        for run in gone:
            writer.remove(run)
        writer.add([one for one in entries if writer.remove(one.id)])
        for one in damages:
            if writer.remove(one.run):
                writer.add_damage(one, heads[one.run])
        writer.close()
