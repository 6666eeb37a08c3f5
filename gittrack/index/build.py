"""Bringing the index up to date with git: only what is new is read."""

from __future__ import annotations

import gc
import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

from gittrack._version import __version__
from gittrack.domain.run import RunState
from gittrack.errors import GitFailed, GittrackError
from gittrack.git.repository import Repository
from gittrack.index.database import index_commits, transaction
from gittrack.index.intake import Batch, Place, add_active, prepare, prepare_lost
from gittrack.ledger import layout
from gittrack.ledger.chain import PageContent, page_ids, read_pages
from gittrack.ledger.read import Damage, Line, RunLines, page_lines, read_lines, read_members
from gittrack.values import dataclass

# Runs, or pages of ledgers, in one transaction: some 100 ms, for which other processes wait. Of a long ledger more pages: each
# transaction rewrites a good part of the index by id, which is in no order.
_RUNS, _PAGES, _TRANSACTIONS = 4096, 4, 64
# What is damaged is tried again each time, unless there is much.
_RETRIED = 100
# Others may write all the time; what they write is not lost to us.
_TRIES = 1000

Refs = Mapping[str, str]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class UpdateReport:
    """What an update did: runs read from git, runs that are gone, and all that cannot be read.

    `note` says when the index file had to be made anew or done without.
    """

    read: int = 0
    gone: int = 0
    damaged: tuple[Damage, ...] = ()
    note: str = ""


def update(connection: sqlite3.Connection, repository: Repository, active: Sequence[RunState] = ()) -> UpdateReport:
    """Make the index equal to git and to the active runs; raises sqlite3.Error, GitFailed."""
    read = gone = 0
    for _ in range(_TRIES):
        generation = _generation(connection)
        refs = repository.list_refs(layout.RUNS, layout.TRACKED)
        digest = _digest(refs)
        if _meta(connection, "refs") == digest and not _retried(connection):
            break
        done = True
        for batch in _without_collecting(_news(connection, repository, refs)):
            with transaction(connection):
                done = _generation(connection) == generation
                if done:
                    batch.write(connection)
                    generation = _generation(connection)
            if not done:
                # Another process came first with what this was made from.
                break
            read += len(batch.entries) + len(batch.damages)
            gone += len(batch.dropped)
        if done:
            _finish(connection, digest, generation)
            break
    back, ended = _overlay(connection, repository, active)
    return UpdateReport(read + back, gone + ended, _damaged(connection))


def _without_collecting(batches: Iterable[T]) -> Iterator[T]:
    """While a batch is being made, cycles of garbage wait: of what is made here there are none, and looking takes a sixth of the time."""
    rest = iter(batches)
    while True:
        was_on = gc.isenabled()
        gc.disable()
        try:
            batch = next(rest, None)
        finally:
            if was_on:
                gc.enable()
        if batch is None:
            return
        yield batch


def _finish(connection: sqlite3.Connection, digest: str, generation: int) -> None:
    with transaction(connection):
        if _generation(connection) == generation:
            index_commits(connection)
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('refs', ?)", (digest,))


def _digest(refs: Refs) -> str:
    lines = "\n".join(f"{ref} {tip}" for ref, tip in sorted(refs.items()))
    return hashlib.sha1(lines.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()


def _meta(connection: sqlite3.Connection, name: str) -> str | None:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def _generation(connection: sqlite3.Connection) -> int:
    try:
        return int(_meta(connection, "generation") or 0)
    except ValueError as error:
        raise sqlite3.DatabaseError(f"the count of writes is damaged: {error}") from error


# --- what is new


def _news(connection: sqlite3.Connection, repository: Repository, refs: Refs) -> Iterator[Batch]:
    """Everything that git has and the index lacks, or the other way round, a transaction each."""
    known = {ref: (tip, run) for ref, tip, run in connection.execute("SELECT ref, tip, run FROM place")}
    gone = {ref: run for ref, (_, run) in known.items() if ref not in refs}
    if None in gone.values():
        # A ledger is gone; what it had, others may have or not.
        yield _emptied(connection)
        known, gone = {}, {}
    runs: dict[str, list[Place]] = {}
    changed: set[str] = set()
    for ref, tip in refs.items():
        before = known.get(ref, ("", None))[0]
        named = layout.parse_run_ref(ref)
        if named is not None:
            runs.setdefault(named[1], []).append(Place(ref, tip, named[1]))
            if before != tip:
                changed.add(named[1])
        elif layout.is_ledger(ref) and before != tip:
            yield from _ledger(connection, repository, ref, tip, before)
    lost = {run for run in gone.values() if run is not None}
    changed |= lost & runs.keys()
    yield from _own_refs(connection, repository, {run: runs[run] for run in changed})
    if gone:
        batch = prepare_lost(connection, repository, sorted(lost - runs.keys()))
        batch.gone_places = list(gone)
        yield batch
    yield from _again(connection, repository, runs)


def _emptied(connection: sqlite3.Connection) -> Batch:
    batch = Batch()
    batch.dropped = [run for (run,) in connection.execute("SELECT id FROM run UNION SELECT run FROM amendment")]
    batch.gone_places = [ref for (ref,) in connection.execute("SELECT ref FROM place")]
    batch.mended = [one for (one,) in connection.execute("SELECT id FROM damage")]
    return batch


def _ledger(connection: sqlite3.Connection, repository: Repository, ref: str, tip: str, before: str) -> Iterator[Batch]:
    """The new pages of a ledger, oldest first; of one that was rewritten all."""
    try:
        pages, found = page_ids(repository, tip, {before} if before else ())
        if before and not found:
            # It was written anew; what both versions have in common is known.
            pages, _ = page_ids(repository, tip, set(_old_pages(repository, before)))
    except GitFailed as error:
        yield Batch(damages=[(Damage(ref, tip, str(error)), tip, True)], places=[Place(ref, tip)])
        return
    for part in _parts(
        zip(pages, read_pages(repository, pages), strict=False), max(_PAGES, len(pages) // _TRANSACTIONS)
    ):
        batch = _of_pages(connection, repository, [content for _, content in part])
        batch.places.append(Place(ref, part[-1][0]))
        yield batch


def _old_pages(repository: Repository, tip: str) -> list[str]:
    try:
        return page_ids(repository, tip)[0]
    except GitFailed:
        return []


def _of_pages(
    connection: sqlite3.Connection, repository: Repository, contents: Sequence[PageContent | tuple[str, GittrackError]]
) -> Batch:
    problems = [Damage(one[0], one[0], str(one[1])) for one in contents if isinstance(one, tuple)]
    readable = [one for one in contents if not isinstance(one, tuple)]
    problems += [Damage(one.page.commit, one.page.commit, one.problem) for one in readable if one.problem]
    purged = [purge.run for one in readable for purge in one.purges]
    lines = (line for one in readable for line in page_lines(repository, one))
    batch = prepare(connection, repository, lines, ledgered=True, purged=purged)
    batch.damages += [(one, one.where, True) for one in problems]
    bad = {one.run for one in problems}
    batch.mended += [one.page.commit for one in readable if one.page.commit not in bad]
    return batch


def _own_refs(
    connection: sqlite3.Connection, repository: Repository, changed: Mapping[str, Sequence[Place]]
) -> Iterator[Batch]:
    heads = {run: [place.tip for place in places] for run, places in changed.items()}
    for part in _parts(read_lines(repository, heads), _RUNS):
        batch = prepare(connection, repository, _lines(part), ledgered=False)
        batch.places += [place for one in part for place in changed[one.run]]
        yield batch


def _lines(runs: Iterable[RunLines | Damage]) -> Iterator[Line | Damage]:
    for one in runs:
        if isinstance(one, Damage):
            yield one
        else:
            yield one.origin
            yield from one.amendments


def _parts(items: Iterable[T], count: int) -> Iterator[list[T]]:
    remaining = iter(items)
    while part := list(islice(remaining, count)):
        yield part


# --- what could not be read


def _retried(connection: sqlite3.Connection) -> list[tuple[str, str, bool, str]]:
    """What may have been mended without any ref moving, or is damaged only for an older gittrack."""
    count = connection.execute("SELECT count(*) FROM damage").fetchone()[0]
    where, values = ("1", []) if count <= _RETRIED else ("version != ?", [__version__])
    rows = connection.execute(f"SELECT id, head, ledger, reason FROM damage WHERE {where}", values)
    return [(one, head, bool(ledger), reason) for one, head, ledger, reason in rows]


def _again(
    connection: sqlite3.Connection, repository: Repository, runs: Mapping[str, Sequence[Place]]
) -> Iterator[Batch]:
    """Another look at what is damaged; a batch only where something is otherwise than before."""
    retried = _retried(connection)
    own = {one: runs[one] for one, _, ledger, _ in retried if not ledger and one in runs}
    yield from (batch for batch in _own_refs(connection, repository, own) if _differs(batch, retried))
    members: list[str] = []
    pages: list[str] = []
    for one, head, ledger, _ in retried:
        if ledger and one == head:
            (pages if _is_page(repository, head) else members).append(head)
    if members:
        batch = prepare(connection, repository, read_members(repository, members), ledgered=True)
        batch.mended += [one for one in members if one not in {damage.run for damage, _, _ in batch.damages}]
        if _differs(batch, retried):
            yield batch
    if pages:
        batch = _of_pages(connection, repository, list(read_pages(repository, pages)))
        if _differs(batch, retried):
            yield batch


def _is_page(repository: Repository, commit: str) -> bool:
    return any(not isinstance(one, tuple) for one in read_pages(repository, [commit]))


def _differs(batch: Batch, retried: Sequence[tuple[str, str, bool, str]]) -> bool:
    reasons = {one: reason for one, _, _, reason in retried}
    same = all(reasons.get(damage.run) == damage.reason for damage, _, _ in batch.damages)
    return bool(batch.entries or batch.ledgered or set(batch.mended) & reasons.keys()) or not same


def _damaged(connection: sqlite3.Connection) -> tuple[Damage, ...]:
    rows = connection.execute("SELECT place, id, reason FROM damage ORDER BY id")
    return tuple(Damage(*row) for row in rows)


# --- what is active


def _overlay(connection: sqlite3.Connection, repository: Repository, active: Sequence[RunState]) -> tuple[int, int]:
    """Rows of active runs say what their journals say; those of runs that are active no more, what git says.

    Returns how many of these git has, and how many it has not.
    """
    live = {state.id for state in active}
    for _ in range(_TRIES):
        generation = _generation(connection)
        rows = connection.execute("SELECT id, recorded FROM run WHERE head IS NULL").fetchall()
        stale = {run: recorded for run, recorded in rows if run not in live}
        if not live and not stale:
            return 0, 0
        back = {run: [head] for run, head in stale.items() if head is not None}
        refs = repository.list_refs(layout.RUNS) if back else {}
        for ref, tip in refs.items():
            named = layout.parse_run_ref(ref)
            if named is not None and named[1] in back:
                back[named[1]].append(tip)
        batch = prepare(connection, repository, _lines(read_lines(repository, back)), ledgered=False)
        batch.removed += [run for run, head in stale.items() if head is None]
        add_active(connection, batch, active)
        with transaction(connection):
            if _generation(connection) == generation:
                batch.write(connection)
                return len(back), len(stale) - len(back)
    return 0, 0
