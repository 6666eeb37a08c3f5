"""Changing refs: one transaction of git's own, repeated when it only lost a race for a lock."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from gittrack.errors import GitFailed, RefConflict
from gittrack.git.repository import Repository

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


@dataclass(frozen=True, slots=True)
class RefChange:
    """`old` None: the ref must not exist yet; `new` None: it goes away."""

    name: str
    new: str | None
    old: str | None

    def command(self, zero: str) -> bytes:
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
        time.sleep(random.uniform(0.01, 0.05) * (attempt + 1))
    advice = "; if no git is at work, remove that file" if "File exists" in said else ""
    raise GitFailed(f"refs could not be changed: {said.splitlines()[0]}{advice}", stderr=said)


def _is_hopeless(repository: Repository, said: str) -> bool:
    # That a folder cannot be made is a race with its removal, unless nothing can be made there.
    return any(words in said for words in _HOPELESS) or not os.access(repository.common_dir, os.W_OK)
