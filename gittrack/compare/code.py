"""What changed in the code between two runs."""

from __future__ import annotations

import os
from typing import Any, Literal

from gittrack.errors import GitFailed
from gittrack.git.repository import Repository
from gittrack.values import dataclass


@dataclass(frozen=True, slots=True)
class Commit:
    """`side` says which of the two has it: `a` or `b`."""

    id: str
    subject: str
    side: Literal["a", "b"]


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """`status` is git's letter: A added, D deleted, M modified, R renamed (`old` is its name before), T type."""

    status: str
    path: str
    old: str | None = None


@dataclass(frozen=True, slots=True)
class CodeDiff:
    """From the code of one run to that of another; `missing` is a commit that this clone does not have."""

    commits: tuple[Commit, ...] = ()
    files: tuple[ChangedFile, ...] = ()
    patch: str | None = None
    missing: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "commits": [{"commit": one.id, "subject": one.subject, "side": one.side} for one in self.commits],
            "files": [
                {"status": one.status, "path": one.path, **({"old": one.old} if one.old else {})} for one in self.files
            ],
            "patch": self.patch,
        }


def diff_code(repository: Repository, a: str | None, b: str | None, *, patch: bool = False) -> CodeDiff:
    """`a` and `b` are the commits whose trees ran; runs of our own folder are not code."""
    if a is None or b is None or a == b:
        return CodeDiff(patch="" if patch else None)
    try:
        return CodeDiff(
            commits=_commits(repository, a, b),
            files=_files(repository, a, b),
            patch=_text(repository.git(*_DIFF, "--patch", a, b)) if patch else None,
        )
    except GitFailed:
        # Not asked before: mostly both are here, and each question is a process.
        missing = next((one for one in (a, b) if repository.resolve(one) is None), None)
        if missing is None:
            raise
        return CodeDiff(missing=missing)


# The user's own diff settings (external programs, colours, prefixes) would make it unreadable to us.
_DIFF = ("-c", "core.quotePath=false", "diff", "--no-ext-diff", "--no-textconv", "--no-color", "-M")


def _commits(repository: Repository, a: str, b: str) -> tuple[Commit, ...]:
    found = repository.git(
        "-c", "log.showSignature=false", "log", "--left-right", "-z", "--format=%m%H %s", f"{a}...{b}"
    )
    commits = []
    for item in _text(found).split("\0"):
        if item:
            commit, _, subject = item[1:].partition(" ")
            commits.append(Commit(commit, subject, "a" if item[0] == "<" else "b"))
    return tuple(commits)


def _files(repository: Repository, a: str, b: str) -> tuple[ChangedFile, ...]:
    parts = iter(repository.git(*_DIFF, "--name-status", "-z", a, b).split(b"\0"))
    files = []
    for status in parts:
        if not status:
            continue
        letter = status[:1].decode("ascii")
        first = os.fsdecode(next(parts))
        if letter in "RC":
            files.append(ChangedFile(letter, os.fsdecode(next(parts)), first))
        else:
            files.append(ChangedFile(letter, first))
    return tuple(files)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
