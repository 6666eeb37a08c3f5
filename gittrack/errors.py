"""Everything that gittrack raises on purpose.

    GittrackError                 1  an expected failure
    ├── UsageError                2  the command or call itself is wrong
    │   ├── SettingsError            a settings file or variable
    │   ├── FilterError              a filter expression; knows the position
    │   ├── InvalidName              a key or name with illegal characters (also a ValueError)
    │   └── InvalidValue             a value of the wrong type (also a TypeError)
    ├── RepositoryError              the repository cannot serve us
    │   ├── NotARepository
    │   ├── ForeignRepository        owned by somebody else
    │   ├── NoCommitYet              HEAD is unborn
    │   ├── GitUnusable              no git program, or one that is too old
    │   ├── GitFailed                a git command failed; carries its words
    │   ├── RefConflict              a ref is not what we expected
    │   ├── AlreadyRecorded          the run is a commit already; knows it
    │   ├── PurgeNotPushed           a remote still has what was purged here
    │   ├── NotSigned                git could not sign, with the user's own settings
    │   └── CorruptRecord            an object, journal or record that cannot be read
    ├── FormatTooNew                 written by a newer gittrack
    ├── UnknownRun                   no such run, or none that matches
    │   └── AmbiguousRun             several; knows the candidates
    ├── UnknownModel                 no such model, version, stage or alias (also a LookupError)
    ├── LostRace                     somebody else changed the model first
    ├── RunClosed                    the run is finished already
    ├── RunBusy                      the run is active elsewhere
    ├── MissingExtra                 an optional dependency is not installed
    ├── SourceChanged                a file changes while it is read
    ├── ObjectMissing                an object of the store that is not here (also a LookupError)
    ├── RemoteUnusable               no DVC remote, or one that cannot be reached or refuses us
    ├── OnlyCopy                     what would be removed is on no remote
    ├── HostRefused                  a git host does not answer, or refuses us; knows the HTTP status
    └── GateRefused               4  a gate said no
        ├── DirtyTree                knows the files
        ├── ReportRefused            a change did what its gate does not allow
        └── PolicyRefused            a stage does not let a version in; knows each check

Raise the precise class with one sentence that says what, where, and what to do next. Only `gittrack.cli` prints
and chooses the exit code, which is the `exit_code` of the class.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = [
    "AlreadyRecorded",
    "AmbiguousRun",
    "CorruptRecord",
    "DirtyTree",
    "FilterError",
    "ForeignRepository",
    "FormatTooNew",
    "GateRefused",
    "GitFailed",
    "GitUnusable",
    "GittrackError",
    "HostRefused",
    "InvalidName",
    "InvalidValue",
    "LostRace",
    "MissingExtra",
    "NoCommitYet",
    "NotARepository",
    "NotSigned",
    "ObjectMissing",
    "OnlyCopy",
    "PolicyRefused",
    "PurgeNotPushed",
    "RefConflict",
    "RemoteUnusable",
    "ReportRefused",
    "RepositoryError",
    "RunBusy",
    "RunClosed",
    "SettingsError",
    "SourceChanged",
    "UnknownModel",
    "UnknownRun",
    "UsageError",
]


class GittrackError(Exception):
    """An expected failure; its text is one sentence for the user."""

    exit_code = 1


class UsageError(GittrackError):
    exit_code = 2


class SettingsError(UsageError):
    pass


class FilterError(UsageError):
    """A mistake in a filter expression, at `position` (a character offset) of `expression`."""

    def __init__(self, message: str, *, expression: str = "", position: int | None = None) -> None:
        super().__init__(message)
        self.expression = expression
        self.position = position


class InvalidName(UsageError, ValueError):
    pass


class InvalidValue(UsageError, TypeError):
    pass


class RepositoryError(GittrackError):
    pass


class NotARepository(RepositoryError):
    pass


class ForeignRepository(RepositoryError):
    pass


class NoCommitYet(RepositoryError):
    pass


class GitUnusable(RepositoryError):
    pass


class GitFailed(RepositoryError):
    """A git command failed with `returncode`; `stderr` is what it said."""

    def __init__(self, message: str, *, returncode: int = 1, stderr: str = "") -> None:
        super().__init__(message)
        self.returncode = returncode
        self.stderr = stderr


class PurgeNotPushed(RepositoryError):
    pass


class NotSigned(RepositoryError):
    pass


class RefConflict(RepositoryError):
    pass


class AlreadyRecorded(RepositoryError):
    """The run is in git already, as `commit`, and ended at `ended` (seconds since the epoch) there."""

    def __init__(self, message: str, *, commit: str, ended: float) -> None:
        super().__init__(message)
        self.commit = commit
        self.ended = ended


class CorruptRecord(RepositoryError):
    pass


class FormatTooNew(GittrackError):
    pass


class UnknownRun(GittrackError, LookupError):
    pass


class AmbiguousRun(UnknownRun):
    """A name that several runs bear; `candidates` are lines a person can choose from."""

    def __init__(self, message: str, candidates: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.candidates = tuple(candidates)


class UnknownModel(GittrackError, LookupError):
    pass


class LostRace(GittrackError):
    pass


class RunClosed(GittrackError):
    pass


class RunBusy(GittrackError):
    pass


class MissingExtra(GittrackError):
    pass


class SourceChanged(GittrackError):
    pass


class ObjectMissing(GittrackError, LookupError):
    """Objects that cannot be had; `spoiled` are those that the remote has with other bytes than their names say."""

    def __init__(self, message: str, *, spoiled: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.spoiled = frozenset(spoiled)


class OnlyCopy(GittrackError):
    pass


class RemoteUnusable(GittrackError):
    pass


class HostRefused(GittrackError):
    """A git host's REST interface said no, with an HTTP status, or nothing at all (0)."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class GateRefused(GittrackError):
    exit_code = 4


class DirtyTree(GateRefused):
    """The worktree holds changes that no commit knows; `files` are their paths, each with a reason."""

    def __init__(self, message: str, files: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.files = tuple(files)


class ReportRefused(GateRefused):
    pass


class PolicyRefused(GateRefused):
    """A stage does not let a version in; `checks` are lines, one for each rule, with what was found."""

    def __init__(self, message: str, checks: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.checks = tuple(checks)
