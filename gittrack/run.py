"""Finished and active runs as read-only handles."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, overload

from gittrack.data.artifact import RunArtifact
from gittrack.data.depot import Depot
from gittrack.domain.amendment import all_added
from gittrack.domain.artifact import Artifact
from gittrack.domain.codec import state_to_json, strict, summary_to_dict, time_to_text
from gittrack.domain.metric import History, summarize
from gittrack.errors import AmbiguousRun, InvalidValue, MissingExtra, UnknownRun
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.read import (
    environment_of,
    histories_in,
    history_files,
    read_ahead,
    read_chain,
    read_environment,
    read_file,
    read_histories,
    read_record,
    record_of,
)
from gittrack.live.replay import Replay

if TYPE_CHECKING:
    import pandas

    from gittrack.domain.amendment import Amendment
    from gittrack.domain.environment import Environment
    from gittrack.domain.param import ParamValue
    from gittrack.domain.run import RunRecord, RunState


class Run:
    """One run as it is known now: amendments folded in, details read from git when they are asked for."""

    def __init__(
        self,
        repository: Repository,
        state: RunState,
        depot: Depot | None = None,
        amendments: Callable[[], Sequence[Amendment]] | None = None,
    ) -> None:
        """`amendments` knows those that no ref of the run leads to; without it they are read from its head."""
        self._repository = repository
        self.state = state
        self._depot = depot or Depot(repository)
        self._find_amendments = amendments or self._from_head
        self._files: Mapping[str, bytes | None] | None = None

    def __repr__(self) -> str:
        return f"<Run {self.experiment}/{self.name} {self.id[:8]} {self.status}>"

    def __eq__(self, other: object) -> bool:
        # Not all of the state: a NaN among its metrics is not equal to itself.
        return isinstance(other, Run) and (self.id, self.head, self.status) == (other.id, other.head, other.status)

    def __hash__(self) -> int:
        return hash(self.state.id)

    @property
    def id(self) -> str:
        return self.state.id

    @property
    def name(self) -> str:
        return self.state.name

    @property
    def experiment(self) -> str:
        return self.state.experiment

    @property
    def status(self) -> str:
        return str(self.state.status)

    @property
    def started(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.state.started, dt.UTC)

    @property
    def ended(self) -> dt.datetime | None:
        return None if self.state.ended is None else dt.datetime.fromtimestamp(self.state.ended, dt.UTC)

    @property
    def duration(self) -> float | None:
        """In seconds; None while the run is active."""
        return self.state.duration

    @property
    def commit(self) -> str | None:
        return self.state.commit

    @property
    def head(self) -> str | None:
        return self.state.head

    @property
    def params(self) -> Mapping[str, ParamValue]:
        """Flat, with dotted keys."""
        return self.state.params

    @property
    def metrics(self) -> Mapping[str, float]:
        """Last values."""
        return self.state.metrics

    @property
    def tags(self) -> Mapping[str, str]:
        return self.state.tags

    @property
    def description(self) -> str:
        return self.state.description

    @property
    def command(self) -> str:
        return self.state.command

    @property
    def author(self) -> str:
        return self.state.author

    @property
    def parent(self) -> str | None:
        return self.state.parent

    @property
    def dirty(self) -> bool:
        return self.state.dirty

    # --- read from git

    @cached_property
    def record(self) -> RunRecord:
        """Everything but files and histories, as it was when the run finished."""
        if self._files is not None:
            return record_of(str(self.state.commit), self._files)
        return read_record(self._repository, self.state)

    @cached_property
    def environment(self) -> Environment:
        if self._files is not None:
            return environment_of(self._files)
        return read_environment(self._repository, self.state)

    def same_environment(self, other: Run) -> bool:
        """Whether both files say the same, byte for byte: to know that neither need be understood."""
        mine, theirs = self._files, other._files
        return (
            mine is not None and theirs is not None and mine.get(layout.ENVIRONMENT) == theirs.get(layout.ENVIRONMENT)
        )

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """What the run made, and what was added to it later, by path."""
        if self.state.commit is None:
            return ()
        found = {one.path: one for one in self.record.artifacts}
        if self.state.head != self.state.commit:
            found |= all_added(self.amendments)
        return tuple(found[path] for path in sorted(found))

    def artifact(self, name: str | Artifact) -> RunArtifact:
        """One artifact by its name or path, or as `artifacts` lists it.

        Raises UnknownRun when the run has no such artifact; AmbiguousRun when it has several of that name.
        """
        if isinstance(name, Artifact):
            return self._artifact(name)
        if not isinstance(name, str):
            raise InvalidValue(f"an artifact is named by text, not by {type(name).__name__} {name!r:.60}")
        found = [one for one in self.artifacts if one.name == name] or [
            one for one in self.artifacts if one.path == name
        ]
        if not found:
            known = ", ".join(one.called for one in self.artifacts[:10]) or "none"
            raise UnknownRun(f"run {self.name} has no artifact {name!r}; it has {known}")
        if len({one.md5 for one in found}) > 1:
            paths = ", ".join(one.path for one in found[:5])
            raise AmbiguousRun(
                f"run {self.name} has {len(found):,} artifacts called {name!r}; name one by its path: {paths}",
                [f"{one.path}  {one.md5[:12]}" for one in found],
            )
        return self._artifact(found[-1])

    def _artifact(self, made: Artifact) -> RunArtifact:
        return RunArtifact(self._depot, self.state, made, lambda: [one.commit for one in self.amendments])

    @cached_property
    def amendments(self) -> tuple[Amendment, ...]:
        """What was changed after the run, oldest first."""
        return tuple(self._find_amendments())

    def _from_head(self) -> tuple[Amendment, ...]:
        chain = read_chain(self._repository, self.id, [self.state.head])
        return () if chain is None else tuple(reversed(chain.amendments))

    def history(self, key: str) -> History:
        """All points of one metric; raises UnknownRun when the run has no such metric."""
        found = self.histories([key])
        if key not in found:
            known = ", ".join(sorted(self.metrics)[:10]) or "none"
            raise UnknownRun(f"run {self.name} has no metric {key!r}; it has {known}")
        return found[key]

    def histories(self, keys: Sequence[str] | None = None) -> dict[str, History]:
        """Points by metric, of all metrics or of those named that the run has."""
        if self.state.commit is None:
            live = self._live().histories
            return {key: one for key, one in live.items() if keys is None or key in keys}
        fetch = partial(self._depot.read, what=f"the history of run {self.name}")
        return read_histories(self._repository, self.record, self.state.commit, keys, fetch=fetch)

    def _live(self) -> Replay:
        from gittrack.tracking.places import find_folder

        folder = find_folder(self._repository, self.id)
        if folder is None:
            raise UnknownRun(f"run {self.name} is no longer active; look it up again")
        return folder.replay()

    def console(self) -> str:
        """What the run printed, colours left out and long output shortened in the middle."""
        if self.state.commit is None:
            from gittrack.capture.console import clean, read_console
            from gittrack.tracking.places import find_folder

            folder = find_folder(self._repository, self.id)
            return "" if folder is None else clean(read_console(folder.path))
        try:
            return self.file(layout.CONSOLE).decode("utf-8", "replace")
        except UnknownRun:
            return ""

    def file(self, path: str) -> bytes:
        """One file of the run's `.gittrack/` folder, such as `artifacts/confusion.png`."""
        if self.state.commit is None:
            raise UnknownRun(f"run {self.name} is still active and has no files in git yet")
        if path in self.record.large:
            return self._depot.read(self.record.large[path], what=f"{path} of run {self.name}")
        inside = path.removeprefix(f"{layout.ARTIFACTS}/")
        if inside != path:
            made = next((one for one in self.artifacts if one.path == inside), None)
            if made is not None:
                return self._artifact(made).read_bytes()
        return read_file(self._repository, self.state.commit, path)

    # --- as JSON

    def to_json(self) -> dict[str, Any]:
        """One element of `ls --json`."""
        return state_to_json(self.state)

    def details_json(self) -> dict[str, Any]:
        """`show --json`."""
        plain = self.to_json()
        if self.state.commit is None:
            live = {key: summarize(one) for key, one in self._live().histories.items() if len(one)}
            return {
                **plain,
                "summary": {key: strict(summary_to_dict(one)) for key, one in live.items()},
                "environment": {},
                "inputs": [],
                "artifacts": [],
                "error": None,
                "amendments": [],
            }
        record = self.record
        error = record.error
        return {
            **plain,
            "summary": {key: strict(summary_to_dict(one)) for key, one in record.summary.items()},
            "environment": strict(self.environment.to_dict()),
            "inputs": [dict(one) for one in record.inputs],
            "artifacts": [one.to_dict() for one in self.artifacts],
            "host": record.host,
            "job": dict(record.job),
            "warnings": list(record.warnings),
            "attempts": [
                {
                    "number": one.number,
                    "started": time_to_text(one.started),
                    "ended": time_to_text(one.ended),
                    "status": str(one.status),
                    "host": one.host,
                }
                for one in record.attempts
            ],
            "error": None
            if error is None
            else {name: getattr(error, name) for name in ("type", "message", "exit_code", "signal", "traceback")},
            "amendments": [
                {
                    "commit": one.commit,
                    "time": time_to_text(one.time),
                    "author": one.author,
                    "changes": dict(one.changes) if one.continuation is None else {"attempt": one.continuation.attempt},
                }
                for one in self.amendments
            ],
        }


def look_ahead(*runs: Run) -> None:
    """Read the records and environments of several runs at once; each is understood when it is asked for."""
    commits = {run.state.commit: run for run in runs if run.state.commit is not None}
    if not commits:
        return
    for commit, files in read_ahead(runs[0]._repository, list(commits)).items():
        if all(one is not None for one in files.values()):
            commits[commit]._files = files


def histories_of(runs: Sequence[Run], keys: Sequence[str]) -> dict[str, dict[str, History]]:
    """The histories of several runs by their ids, as `Run.histories` gives them, with two processes for all of them."""
    look_ahead(*(run for run in runs if "record" not in run.__dict__))
    files = {
        str(run.commit): (run, paths)
        for run in runs
        if run.commit is not None and (paths := history_files(run.record, keys)) is not None
    }
    read = read_ahead(runs[0]._repository, {commit: paths for commit, (_, paths) in files.items()}) if files else {}
    found = {}
    for run in runs:
        there = read.get(str(run.commit))
        if there is None or any(one is None for one in there.values()):
            found[run.id] = run.histories(keys)
        else:
            found[run.id] = histories_in(run.record, keys, there, str(run.commit))
    return found


class Runs(Sequence[Run]):
    """Several runs, in order; `total` is how many there would be without a limit."""

    def __init__(self, runs: Sequence[Run], total: int | None = None) -> None:
        self._runs = list(runs)
        self.total = len(self._runs) if total is None else total

    def __len__(self) -> int:
        return len(self._runs)

    @overload
    def __getitem__(self, at: int) -> Run: ...

    @overload
    def __getitem__(self, at: slice) -> Runs: ...

    def __getitem__(self, at: int | slice) -> Run | Runs:
        return Runs(self._runs[at]) if isinstance(at, slice) else self._runs[at]

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    def __repr__(self) -> str:
        return f"<{len(self)} runs>"

    def to_pandas(self) -> pandas.DataFrame:
        """One row a run: its fields, then `params.*`, `metrics.*` and `tags.*`; needs the extra `pandas`."""
        try:
            import pandas
        except ImportError:
            raise MissingExtra("to_pandas needs pandas: pip install pandas") from None
        rows = []
        for run in self._runs:
            row: dict[str, Any] = {
                "id": run.id,
                "name": run.name,
                "experiment": run.experiment,
                "status": run.status,
                "started": run.started,
                "ended": run.ended,
                "duration": run.duration,
                "commit": run.commit,
                "dirty": run.dirty,
                "author": run.author,
                "parent": run.parent,
            }
            for prefix, values in (
                ("params", run.params),
                ("metrics", run.metrics),
                ("tags", run.tags),
            ):
                row.update({f"{prefix}.{key}": value for key, value in values.items()})
            rows.append(row)
        return pandas.DataFrame(rows)
