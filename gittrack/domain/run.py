"""A run: what tables know of it (`RunState`) and all the rest (`RunRecord`)."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from gittrack.domain.artifact import Artifact
from gittrack.domain.metric import Summary
from gittrack.domain.param import ParamValue
from gittrack.domain.pointer import Pointer
from gittrack.values import dataclass, field

FORMAT = 1


class Status(StrEnum):
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    KILLED = "killed"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class CodeCapture:
    """How the code of a run was recorded.

    `commit` is HEAD; `snapshot` the commit that holds a dirty tree, made from HEAD. `files` are the paths that
    differed from HEAD, `unrecorded` the untracked ones that a snapshot left out.
    """

    commit: str
    branch: str | None = None
    dirty: bool = False
    snapshot: str | None = None
    remote: str | None = None
    default_branch: str | None = None
    merge_base: str | None = None
    commits_since_base: int = 0
    files_since_base: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    unrecorded: tuple[str, ...] = ()
    pushed: bool | None = None

    @property
    def captured(self) -> str:
        """The commit whose tree is the code that ran."""
        return self.snapshot or self.commit


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run did not finish: an exception, an exit code or a signal's name."""

    type: str | None = None
    message: str | None = None
    traceback: str | None = None
    exit_code: int | None = None
    signal: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One stretch of execution; a resumed run has several. Times in seconds since the epoch."""

    number: int
    started: float
    ended: float | None
    status: Status
    host: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What a run left in a file: the blob that git makes of it, and the md5 by which DVC knows it."""

    blob: str
    md5: str

    def to_dict(self) -> dict[str, str]:
        return {"blob": self.blob, "md5": self.md5}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Result:
        """Raises KeyError, TypeError for what is none."""
        if type(plain["blob"]) is not str or type(plain["md5"]) is not str:
            raise TypeError("a result's blob or md5 is no text")
        return cls(plain["blob"], plain["md5"])


@dataclass(frozen=True, slots=True)
class RunState:
    """What is known now of a run, amendments folded in: one row of a table.

    `commit` is the run commit (None while the run is active), `head` that or its newest amendment. Times are in
    seconds since the epoch; params have dotted keys; metrics are last values. `artifacts` are those that have a name, by it; `results` the
    short names (`short_content`) of what else it left in files.
    `truncated` says that the record was too long for the commit message and that params or metrics are incomplete here.
    """

    id: str
    name: str
    experiment: str
    status: Status
    started: float
    ended: float | None = None
    commit: str | None = None
    head: str | None = None
    code_commit: str | None = None
    branch: str | None = None
    dirty: bool = False
    author: str = ""
    host: str | None = None
    parent: str | None = None
    params: Mapping[str, ParamValue] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    command: str = ""
    attempt: int = 1
    deleted: bool = False
    truncated: bool = False
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    results: tuple[str, ...] = ()

    @property
    def duration(self) -> float | None:
        return None if self.ended is None else self.ended - self.started


@dataclass(frozen=True, slots=True)
class RunRecord:
    """All of a finished run but its files and histories, as `run.yaml` and the commit message hold it.

    `large` are files of its folder that lie outside git, by their path there; `results` the files that the run left in the
    worktree, by their path there, what counts most first.
    """

    id: str
    name: str
    experiment: str
    status: Status
    started: float
    ended: float
    code: CodeCapture
    command: tuple[str, ...] = ()
    script: str | None = None
    cwd: str = "."
    author: str = ""
    host: str | None = None
    parent: str | None = None
    params: Mapping[str, ParamValue] = field(default_factory=dict)
    summary: Mapping[str, Summary] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    error: Failure | None = None
    inputs: tuple[Mapping[str, Any], ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    job: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    large: Mapping[str, Pointer] = field(default_factory=dict)
    results: Mapping[str, Result] = field(default_factory=dict)

    def state(self, *, commit: str | None = None) -> RunState:
        """The row that tables show of this record."""
        return RunState(
            id=self.id,
            name=self.name,
            experiment=self.experiment,
            status=self.status,
            started=self.started,
            ended=self.ended,
            commit=commit,
            head=commit,
            code_commit=self.code.captured,
            branch=self.code.branch,
            dirty=self.code.dirty,
            author=self.author,
            host=self.host,
            parent=self.parent,
            params=self.params,
            metrics={key: one.last for key, one in self.summary.items()},
            tags=self.tags,
            description=self.description,
            command=shlex.join(self.command),
            attempt=len(self.attempts) or 1,
            artifacts={one.name: one for one in self.artifacts if one.name is not None},
            results=_short_results(self),
        )


# Of a content's name so much tells it from all others that anybody will meet, and is a third as long in every table.
_DIGITS = 16
_MOST_RESULTS = 100


def short_content(name: str) -> str:
    """A blob's id or an md5 as a record line and the index have it."""
    return name[:_DIGITS]


def _short_results(record: RunRecord) -> tuple[str, ...]:
    """Named artifacts stand in the line already."""
    names = [name for one in record.results.values() for name in (one.blob, one.md5)]
    names += [one.md5 for one in record.artifacts if one.name is None]
    return tuple(dict.fromkeys(map(short_content, names)))[:_MOST_RESULTS]
