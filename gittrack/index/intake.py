"""What one transaction is to write, made ready beforehand: lines of runs and amendments become rows."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import orjson

from gittrack.domain.codec import results_from_line, state_from_line
from gittrack.domain.run import FORMAT, RunState, Status, short_content
from gittrack.errors import CorruptRecord, FormatTooNew
from gittrack.git.repository import Repository
from gittrack.index.rows import to_doc, to_row
from gittrack.index.writer import Entry, Writer
from gittrack.ledger.read import Damage, Line, RunLines, parse_line, read_lines
from gittrack.values import dataclass, field

_PART = 500


class Place(NamedTuple):
    """A ref, what it was read up to, and the run that it is of (None: a ledger)."""

    ref: str
    tip: str
    run: str | None = None


@dataclass(slots=True)
class Batch:
    """The writes of one transaction; `removed` go before `entries` come."""

    removed: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    ledgered: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    amendments: list[tuple[str, str, bytes, bool]] = field(default_factory=list)
    origins: list[tuple[str, str, bytes]] = field(default_factory=list)
    purged: list[str] = field(default_factory=list)
    damages: list[tuple[Damage, str, bool]] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    gone_places: list[str] = field(default_factory=list)

    def write(self, connection: sqlite3.Connection) -> None:
        """Inside a transaction."""
        writer = Writer(connection)
        many = connection.executemany
        many("INSERT OR IGNORE INTO purged VALUES (?)", [(run,) for run in self.purged])
        many("DELETE FROM damage WHERE id = ?", [(one,) for one in self.mended])
        many("DELETE FROM amendment WHERE run = ? AND NOT ledgered", [(run,) for run in self.forgotten])
        for table in ("amendment", "origin", "ground"):
            many(f"DELETE FROM {table} WHERE run = ?", [(run,) for run in self.dropped])
        many(
            "INSERT INTO amendment VALUES (?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET ledgered = max(ledgered, excluded.ledgered)",
            self.amendments,
        )
        many("INSERT OR REPLACE INTO origin VALUES (?, ?, ?)", self.origins)
        writer.remove([*self.removed, *self.dropped])
        writer.add(self.entries)
        writer.mark_ledgered(self.ledgered)
        for damage, head, ledger in self.damages:
            writer.add_damage(damage, head, ledger=ledger)
        many("INSERT OR REPLACE INTO place VALUES (?, ?, ?)", self.places)
        many("DELETE FROM place WHERE ref = ?", [(ref,) for ref in self.gone_places])
        writer.close()


def entry_of(state: RunState, *, ledgered: bool, active: bool = False, recorded: str | None = None) -> Entry:
    head = state.head if state.commit is not None and not active else None
    keys = (state.params, state.metrics, state.tags)
    results = (*state.results, *(short_content(one.md5) for one in state.artifacts.values()))
    return Entry(
        state.id, to_row(state, head), to_doc(state), keys, tuple(state.artifacts), recorded, ledgered, results
    )


# What a line of ours has at the least; anything else goes the careful way.
_PLAIN_TEXTS = ("id", "name", "experiment", "status", "author", "started", "ended", "command", "description")
_OR_NULL = (str, type(None))
_STATUSES = frozenset(Status)


def entry_of_line(line: Line, *, ledgered: bool) -> Entry | None:
    """The entry of a run of which nothing more is known than an ordinary line, at half the cost; None where it is not one."""
    plain = line.plain
    try:
        code, params, metrics, tags = plain["code"], plain["params"], plain["metrics"], plain["tags"]
        texts = [plain[key] for key in _PLAIN_TEXTS]
        if (
            plain["format"] != FORMAT
            or "artifacts" in plain
            or "truncated" in plain
            or [type(one) for one in texts] != _ALL_TEXT
            or texts[3] not in _STATUSES
            or type(params) is not dict
            or type(tags) is not dict
            or type(code["dirty"]) is not bool
            or type(plain["attempt"]) is not int
            or not {type(one) for one in metrics.values()} <= _FLOATS
            or not {type(one) for one in tags.values()} <= _TEXTS
            or not {type(one) for one in params.values()} <= _SCALARS
            or type(code["commit"]) not in _OR_NULL
            or type(code["branch"]) not in _OR_NULL
            or type(plain["host"]) not in _OR_NULL
            or type(plain["parent"]) not in _OR_NULL
        ):
            return None
        row = (
            texts[0],
            line.commit,
            line.commit,
            texts[1],
            texts[2],
            texts[3],
            dt.datetime.fromisoformat(texts[5]).timestamp(),
            dt.datetime.fromisoformat(texts[6]).timestamp(),
            False,
            code["dirty"],
            code["commit"],
            code["branch"],
            texts[4],
            plain["host"],
            plain["parent"],
            plain["attempt"],
            False,
            texts[8],
            texts[7],
        )
        doc, keys = orjson.dumps((params, metrics, tags)), (params, metrics, tags)
        results = results_from_line(plain) if "results" in plain else ()
        return Entry(texts[0], row, doc, keys, (), None, ledgered, results)
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


_ALL_TEXT = [str] * len(_PLAIN_TEXTS)
_FLOATS, _TEXTS, _SCALARS = {float}, {str}, {str, int, float, bool, type(None)}


# --- from lines to rows


def prepare(
    connection: sqlite3.Connection,
    repository: Repository,
    lines: Iterable[Line | Damage],
    *,
    ledgered: bool,
    purged: Sequence[str] = (),
) -> Batch:
    """The rows of all runs that the lines speak of; `ledgered` says that they come from a ledger, else from runs' own refs.

    Of runs' own refs all lines of a run come at once, and what was known of it from its ref alone before is forgotten.
    `purged` are runs that are to vanish.
    """
    batch = Batch(purged=list(purged), dropped=list(purged))
    away = {*purged, *(run for (run,) in connection.execute("SELECT run FROM purged"))}
    origins: dict[str, Line] = {}
    amendments: dict[str, list[Line]] = {}
    for one in lines:
        if isinstance(one, Damage):
            batch.damages.append((one, one.where, ledgered))
            continue
        if "changes" in one.plain:
            run = one.plain["run"]
            if run not in away:
                amendments.setdefault(run, []).append(one)
        else:
            run = one.plain["id"]
            if run not in away and (run not in origins or one.commit < origins[run].commit):
                origins[run] = one
    broken = [] if ledgered else [damage.run for damage, _, _ in batch.damages]
    rows = _rows(connection, list(dict.fromkeys([*origins, *amendments, *broken])))
    # What it was before is no answer any more, unless a ledger has it.
    batch.dropped += [run for run in broken if run in rows and not rows[run].ledgered]
    folding: dict[str, None] = dict.fromkeys(amendments)
    if not ledgered:
        batch.forgotten = list(origins)
    for run, line in origins.items():
        row = rows.get(run)
        if run in folding:
            continue
        if row is None:
            _add(batch, run, line, ledgered)
        elif row.amended or row.active or row.run_commit != line.commit:
            folding[run] = None
        elif ledgered and not row.ledgered:
            batch.ledgered.append(run)
    if folding:
        _fold(connection, repository, batch, list(folding), origins, amendments, rows, ledgered)
    return batch


def prepare_lost(connection: sqlite3.Connection, repository: Repository, runs: Sequence[str]) -> Batch:
    """The rows of runs whose own ref is gone: those that no ledger has go, the others forget what only the ref knew."""
    batch = Batch(mended=list(runs), forgotten=list(runs))
    rows = _rows(connection, runs)
    batch.dropped = [run for run in runs if run not in rows or not rows[run].ledgered]
    kept = [run for run, row in rows.items() if row.ledgered and (row.amended or row.active)]
    if kept:
        _fold(connection, repository, batch, kept, {}, {}, rows, False)
    return batch


def add_active(connection: sqlite3.Connection, batch: Batch, active: Sequence[RunState]) -> None:
    """Rows of active runs over those that git has of them."""
    rows = _rows(connection, [state.id for state in active])
    for state in active:
        row = rows.get(state.id)
        batch.removed.append(state.id)
        recorded = None if row is None else row.recorded if row.active else row.head
        batch.entries.append(entry_of(state, ledgered=row is not None and row.ledgered, active=True, recorded=recorded))


def _add(batch: Batch, run: str, line: Line, ledgered: bool) -> None:
    try:
        entry = entry_of_line(line, ledgered=ledgered)
        if entry is None:
            entry = entry_of(state_from_line(line.plain, commit=line.commit), ledgered=ledgered)
        batch.entries.append(entry)
        batch.mended.append(run)
    except (CorruptRecord, FormatTooNew) as error:
        batch.damages.append((Damage(line.commit, run, str(error)), line.commit, ledgered))


class _Row(NamedTuple):
    head: str | None
    run_commit: str | None
    active: bool
    recorded: str | None
    ledgered: bool
    amended: bool


def _rows(connection: sqlite3.Connection, runs: Sequence[str]) -> dict[str, _Row]:
    found = {}
    for part in _parts(runs):
        marks = ", ".join("?" * len(part))
        for run, commit, head, recorded, ledgered, amended in connection.execute(
            "SELECT id, run_commit, head, recorded, ledgered, "
            f"id IN (SELECT run FROM origin) FROM run WHERE id IN ({marks})",
            part,
        ):
            found[run] = _Row(head, commit, head is None, recorded, bool(ledgered), bool(amended))
    return found


def _fold(
    connection: sqlite3.Connection,
    repository: Repository,
    batch: Batch,
    runs: Sequence[str],
    origins: dict[str, Line],
    amendments: dict[str, list[Line]],
    rows: dict[str, _Row],
    ledgered: bool,
) -> None:
    """Runs of which more is said than their run commit: what is known of them, and what has come, fold anew."""
    known: dict[str, dict[str, tuple[Line, bool]]] = {run: {} for run in runs}
    first: dict[str, Line] = {}
    for part in _parts(runs):
        marks = ", ".join("?" * len(part))
        only = "" if ledgered else " AND ledgered"
        for commit, run, raw, kept in connection.execute(
            f"SELECT id, run, line, ledgered FROM amendment WHERE run IN ({marks}){only}", part
        ):
            known[run][commit] = (parse_line(commit, raw), bool(kept))
        for run, commit, raw in connection.execute(f"SELECT run, id, line FROM origin WHERE run IN ({marks})", part):
            first[run] = parse_line(commit, raw)
    for run in runs:
        for line in amendments.get(run, ()):
            known[run][line.commit] = (line, ledgered or known[run].get(line.commit, (line, False))[1])
        line_ = origins.get(run)
        if line_ is not None and (run not in first or line_.commit < first[run].commit):
            first[run] = line_
    # The run commit itself may lie in another ledger, or have come before anything was said of it.
    absent: dict[str, list[str]] = {}
    for run in runs:
        row = rows.get(run)
        if run not in first:
            others = () if row is None else (row.run_commit, row.recorded)
            absent[run] = [*known[run], *(one for one in others if one is not None)]
        elif (
            row is not None
            and row.run_commit is not None
            and row.run_commit < first[run].commit
            and (ledgered or row.ledgered)
        ):
            # Two run commits of one id; of the one that holds nothing was noted, while nothing was said of it.
            absent[run] = [row.run_commit]
    for found in read_lines(repository, absent) if absent else ():
        if isinstance(found, Damage):
            batch.damages.append((found, found.where, ledgered))
            continue
        if found.run not in first or found.origin.commit < first[found.run].commit:
            first[found.run] = found.origin
        for line in found.amendments:
            known[found.run].setdefault(line.commit, (line, ledgered))
    for run in runs:
        if run not in first:
            continue
        row = rows.get(run)
        kept = ledgered or (row is not None and row.ledgered)
        lines = tuple(line for line, _ in known[run].values())
        try:
            state = RunLines(run, first[run], lines).state
        except (CorruptRecord, FormatTooNew) as error:
            batch.damages.append((Damage(first[run].commit, run, str(error)), first[run].commit, ledgered))
            continue
        batch.removed.append(run)
        batch.entries.append(entry_of(state, ledgered=kept))
        batch.mended.append(run)
        batch.origins.append((run, first[run].commit, first[run].raw))
        batch.amendments += [(line.commit, run, line.raw, marked) for line, marked in known[run].values()]


def _parts(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for at in range(0, len(items), _PART):
        yield items[at : at + _PART]
