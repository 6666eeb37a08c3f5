"""Changing refs: one transaction of git's own, repeated when it only lost a race for a lock."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Sequence
from pathlib import Path

from gittrack.errors import GitFailed, RefConflict
from gittrack.git.repository import Repository
from gittrack.values import dataclass

# What git says when somebody else holds a lock for a moment; everything else is an answer, not a race.
_RACES = ("Unable to create", "unable to lock", "cannot lock ref", "could not lock", "File exists")
_ANSWERS = (
    "but expected",
    "reference already exists",
    "unable to resolve reference",
    "reference is missing",
    "exists; cannot create",
)
# No use to wait for these.
_HOPELESS = ("Permission denied", "Read-only file system", "No space left", "Disk quota", "Input/output error")
_TRIES = 12
# Refs that nobody but us moves, and the age in seconds at which a lock on one is a dead process's. Who has watched a lock for so long
# without a change need not wait for that: git holds one for moments. Both are needed, since a machine may sleep while git holds it.
_OURS = ("refs/experiments/", "refs/gittrack/")
_STALE = 60.0
_WATCHED = 10.0


@dataclass(frozen=True, slots=True)
class RefChange:
    """`old` None: the ref must not exist yet; `new` None: it goes away."""

    name: str
    new: str | None
    old: str | None

    def command(self, zero: str) -> bytes:
        if "\0" in self.name:
            # It would be a command of its own.
            raise ValueError(f"a ref cannot be called {self.name!r}")
        new, old = self.new or zero, self.old or zero
        return b"update %s\0%s\0%s\0" % (
            self.name.encode("utf-8", "surrogateescape"),
            new.encode(),
            old.encode(),
        )


def change_refs(repository: Repository, changes: Sequence[RefChange], reason: str = "gittrack") -> None:
    """All of the changes, or none.

    Raises RefConflict when a ref is not as expected; GitFailed for everything else.
    """
    script = b"start\0" + b"".join(one.command(repository.zero) for one in changes) + b"prepare\0commit\0"
    watch = _Watch(repository)
    attempt, began = 0, time.monotonic()
    while True:
        done = repository.run("update-ref", "-z", "--stdin", "-m", reason, stdin=script, check=False)
        if done.returncode == 0:
            return
        said = done.stderr.decode("utf-8", "replace").strip()
        if any(words in said for words in _ANSWERS):
            raise RefConflict(f"a ref changed meanwhile: {said.splitlines()[0]}")
        if not any(words in said for words in _RACES) or _is_hopeless(repository, said):
            raise GitFailed(
                f"refs could not be changed: {said.splitlines()[0] if said else done.returncode}",
                stderr=said,
            )
        if watch.unlock(said):
            continue
        attempt += 1
        if attempt >= _TRIES and not (watch.waits and time.monotonic() - began < 2 * _WATCHED):
            advice = "; if no git is at work, remove that file" if "File exists" in said else ""
            raise GitFailed(f"refs could not be changed: {said.splitlines()[0]}{advice}", stderr=said)
        time.sleep(random.uniform(0.01, 0.05) * min(attempt, _TRIES))


class _Watch:
    """Looks at the locks that are in the way, and takes away one that a killed git left on a ref of ours."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        # The lock that is in the way, the file that it is, and since when it has been that.
        self._seen: tuple[Path, tuple[int, int], float] | None = None

    @property
    def waits(self) -> bool:
        """Whether the lock in the way may be taken away soon."""
        return self._seen is not None

    def unlock(self, said: str) -> bool:
        found = re.search(r"'([^'\n]+\.lock)': File exists", said)
        if found is None:
            self._seen = None
            return False
        repository = self._repository
        lock = (repository.root or repository.git_dir) / found[1]
        try:
            ours = str(lock.relative_to(repository.common_dir)).startswith(_OURS)
            there = _identity(lock)
        except (OSError, ValueError):
            ours = False
        if not ours:
            self._seen = None
            return False
        now = time.monotonic()
        if self._seen is None or self._seen[:2] != (lock, there):
            self._seen = lock, there, now
        return (now - self._seen[2] > _WATCHED or _is_old(lock)) and _take(lock, there)


def _take(lock: Path, there: tuple[int, int]) -> bool:
    aside = lock.with_name(f".{lock.name}.{os.getpid()}")
    try:
        # Another process may do the same, and hold it by now: then it gets it back.
        os.rename(lock, aside)
        if _identity(aside) != there:
            os.link(aside, lock)
        aside.unlink()
        return True
    except OSError:
        return False


def _identity(path: Path) -> tuple[int, int]:
    """Which file it is, and whether anybody wrote to it."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _STALE
    except OSError:
        return False


def _is_hopeless(repository: Repository, said: str) -> bool:
    # That a folder cannot be made is a race with its removal, unless nothing can be made there.
    return any(words in said for words in _HOPELESS) or not os.access(repository.common_dir, os.W_OK)
