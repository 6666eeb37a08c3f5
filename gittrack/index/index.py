"""The index of one repository, as others use it."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from gittrack.domain.amendment import Amendment
from gittrack.domain.codec import amendment_from_line
from gittrack.domain.run import RunState
from gittrack.errors import UsageError
from gittrack.git.repository import Repository
from gittrack.index import build, database, query
from gittrack.index.build import UpdateReport
from gittrack.index.filter import Filter
from gittrack.index.query import ExperimentSummary, Grounds, Selection
from gittrack.index.syntax import parse_sort
from gittrack.ledger.read import parse_line
from gittrack.values import replace

T = TypeVar("T")


class Index:
    """What git holds of runs, quick to ask.

    The file behind it may be missing, broken, locked or read-only: then it is made anew, or the
    index is kept in memory as long as this object lives; `note` says so. No method fails for it.
    May be used by several threads, and after a fork.
    """

    def __init__(self, repository: Repository, path: Path | None) -> None:
        self.note = ""
        self._repository = repository
        self._path = path
        self._lock = threading.RLock()
        self._active: Sequence[RunState] | None = None
        self._replaced = False
        self._connection = self._connect()

    @classmethod
    def open(cls, repository: Repository) -> Index:
        """The index in the repository's common directory, which all its worktrees share."""
        return cls(repository, repository.common_dir / "gittrack" / "index.sqlite")

    def update(self, active: Sequence[RunState] = ()) -> UpdateReport:
        """Take in what is new in git; the active runs replace those of last time."""
        with self._lock:
            self._active = tuple(active)
            report = self._safely(lambda db: build.update(db, self._repository, tuple(active)), catch_up=False)
            return replace(report, note=self.note)

    def select(
        self,
        where: Filter | None = None,
        *,
        experiment: str | None = None,
        sort: str | None = None,
        limit: int | None = None,
        offset: int = 0,
        deleted: bool = False,
    ) -> list[RunState]:
        """Runs that pass a filter, newest first or by a field: `params.lr`, `-metrics.val/acc`.

        A minus sorts from high to low. Ties are newest first; runs without the field come last either
        way. `deleted` includes deleted runs. Raises FilterError for a key that no run has.
        """
        order = None if sort is None else parse_sort(sort)
        selection = Selection(where, experiment, deleted)
        return self._safely(lambda db: query.select(db, selection, time.time(), sort=order, limit=limit, offset=offset))

    def code_commits(self, experiment: str | None = None) -> list[tuple[str, bool]]:
        """The commits whose trees finished runs ran, each once, and whether that is a snapshot of a dirty tree."""
        selection = Selection(None, experiment, False)
        return self._safely(lambda db: query.code_commits(db, selection, time.time()))

    def of_code(self, commits: Sequence[str], experiment: str | None = None) -> list[RunState]:
        """The finished runs of these commits' trees, newest first."""
        selection = Selection(None, experiment, False)
        return self._safely(lambda db: query.of_code(db, commits, selection, time.time()))

    def count(self, where: Filter | None = None, *, experiment: str | None = None, deleted: bool = False) -> int:
        selection = Selection(where, experiment, deleted)
        return self._safely(lambda db: query.count(db, selection, time.time()))

    def best(
        self,
        metric: str,
        goal: str,
        *,
        experiment: str | None = None,
        where: Filter | None = None,
        limit: int | None = 1,
    ) -> list[RunState]:
        """The best runs first by the last value of a metric; `goal` is "min" or "max".

        Runs that did not finish, are deleted or have no finite value do not count.
        """
        if goal not in ("min", "max"):
            raise UsageError(f"the goal of {metric!r} must be 'min' or 'max', not {goal!r}")
        selection = Selection(where, experiment)
        return self._safely(lambda db: query.best(db, metric, goal, selection, time.time(), limit))

    def experiments(self) -> list[ExperimentSummary]:
        """All experiments with a run that is not deleted; the one with the newest run first."""
        return self._safely(query.experiments)

    def keys(self, kind: str) -> list[str]:
        """All keys of "params", "metrics" or "tags", sorted."""
        return self._safely(lambda db: query.keys(db, kind))

    # --- finding runs by what they are called; `resolve` makes names of it

    def get(self, run_id: str) -> RunState | None:
        """The run with this id, deleted or not."""
        found = self._safely(lambda db: query.by_id(db, run_id))
        return found[0] if found else None

    def commit_of(self, run_id: str) -> str | None:
        """The run commit of a recorded run, deleted or not."""
        return self._safely(lambda db: query.commit_of(db, run_id))

    def mark(self) -> int:
        """Where the index stands now; see `since`."""
        return self._safely(query.newest_row)

    def since(self, mark: int) -> list[tuple[str, str]]:
        """Id and experiment of the recorded runs that came or changed since then."""
        return self._safely(lambda db: query.rows_since(db, mark))

    def states(self, runs: Iterable[str]) -> Iterator[RunState]:
        """Runs by their ids, deleted ones too, a few hundred in memory at a time."""
        remaining = iter(runs)
        while part := list(islice(remaining, 500)):
            yield from self._safely(lambda db, part=part: query.by_ids(db, part))  # type: ignore[misc]

    def grounds(self, commits: Mapping[str, str]) -> dict[str, Grounds]:
        """What was kept of the grounds of runs, which are given with their commits."""
        return self._safely(lambda db: query.grounds(db, commits))

    def keep_grounds(self, commits: Mapping[str, str], found: Mapping[str, Grounds]) -> None:
        """Keep what was read from git, for next time."""
        self._safely(lambda db: query.keep_grounds(db, commits, found))

    def known_commits(self, commits: Collection[str]) -> set[str]:
        """Those that are runs or amendments, as of the last update."""
        return self._safely(lambda db: query.known_commits(db, list(commits)))

    def amendments(self, run_id: str) -> list[Amendment]:
        """All that was changed after a run, in the order in which it folds; raises CorruptRecord."""
        rows = self._safely(lambda db: query.amendments(db, run_id))
        found = [amendment_from_line(parse_line(commit, raw).plain, commit=commit) for commit, raw in rows]
        return sorted(found, key=lambda one: (one.clock, one.commit))

    def named(self, name: str, *, experiment: str | None = None, deleted: bool = False) -> list[RunState]:
        selection = Selection(None, experiment, deleted)
        return self._safely(lambda db: query.by_name(db, name, selection))

    def with_prefix(self, digits: str, *, experiment: str | None = None) -> list[RunState]:
        """Runs whose id, commit or newest amendment begins with these digits, deleted ones too."""
        selection = Selection(None, experiment, deleted=True)
        return self._safely(lambda db: query.by_prefix(db, digits, selection))

    def names(self, *, experiment: str | None = None, limit: int = 5000) -> list[str]:
        """The names of the newest runs."""
        return self._safely(lambda db: query.names(db, Selection(None, experiment), limit))

    def with_artifact(self, name: str | None = None, *, experiment: str | None = None) -> list[RunState]:
        """Runs that have an artifact of this name (None: any name), newest first; deleted ones do not count."""
        return self._safely(lambda db: query.with_artifact(db, name, Selection(None, experiment)))

    def makers(self, contents: Collection[str]) -> dict[str, list[RunState]]:
        """The runs that left contents in files, by the contents' short names (`short_content`); see `query.makers`."""
        return self._safely(lambda db: query.makers(db, contents))

    # --- the file behind it

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _connect(self) -> sqlite3.Connection:
        self._pid = os.getpid()
        if self._path is None:
            return database.open_memory(None)
        try:
            return database.open_file(self._path)
        except (sqlite3.Error, OSError) as error:
            return self._other_connection(error)

    def _safely(self, operation: Callable[[sqlite3.Connection], T], catch_up: bool = True) -> T:
        """The result of an operation, if need be on an index made anew."""
        with self._lock:
            if self._pid != os.getpid():
                # SQLite forbids a connection that was opened before a fork; closing it would, too.
                self._inherited = self._connection
                self._connection = self._connect()
                if catch_up:
                    self._catch_up()
            while True:
                try:
                    return operation(self._connection)
                except sqlite3.Error as error:
                    if self._path is None:
                        raise
                    self._connection.close()
                    self._connection = self._other_connection(error)
                    if catch_up:
                        self._catch_up()

    def _catch_up(self) -> None:
        if self._active is not None:
            active = self._active
            self._safely(lambda db: build.update(db, self._repository, active), catch_up=False)

    def _other_connection(self, error: Exception) -> sqlite3.Connection:
        """After a failure a new file; after a second one, or where no file is possible, memory."""
        path = self._path
        assert path is not None
        if not self._replaced and not database.is_unusable(error):
            self._replaced = True
            try:
                connection = database.replace_file(path)
                self.note = f"the index was damaged ({error}) and has been made anew"
                return connection
            except (sqlite3.Error, OSError) as another:
                error = another
        self._path = None
        self.note = f"the index {path} cannot be used ({error}); it is made in memory each time"
        return database.open_memory(path if database.is_unusable(error) else None)
