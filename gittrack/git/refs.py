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
# Refs that nobody but us moves, and the age in seconds at which a lock on one is a dead process's.
_OURS = ("refs/experiments/", "refs/gittrack/")
_STALE = 60.0


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
    for attempt in range(_TRIES):
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
        if _unlock(repository, said):
            continue
        time.sleep(random.uniform(0.01, 0.05) * (attempt + 1))
    advice = "; if no git is at work, remove that file" if "File exists" in said else ""
    raise GitFailed(f"refs could not be changed: {said.splitlines()[0]}{advice}", stderr=said)


def _unlock(repository: Repository, said: str) -> bool:
    """Take away the lock of a git that was killed, on a ref of ours: git holds one for moments, and only we move those refs."""
    found = re.search(r"'([^'\n]+\.lock)': File exists", said)
    if found is None:
        return False
    lock = (repository.root or repository.git_dir) / found[1]
    aside = lock.with_name(f".{lock.name}.{os.getpid()}")
    try:
        if not str(lock.relative_to(repository.common_dir)).startswith(_OURS) or not _is_old(lock):
            return False
        # Another process may do the same, and hold it by now: then it gets it back.
        os.rename(lock, aside)
        if not _is_old(aside):
            os.link(aside, lock)
        aside.unlink()
        return True
    except (OSError, ValueError):
        return False


def _is_old(path: Path) -> bool:
    return time.time() - path.stat().st_mtime > _STALE


def _is_hopeless(repository: Repository, said: str) -> bool:
    # That a folder cannot be made is a race with its removal, unless nothing can be made there.
    return any(words in said for words in _HOPELESS) or not os.access(repository.common_dir, os.W_OK)
