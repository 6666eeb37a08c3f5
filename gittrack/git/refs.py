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
# Refs that nobody but us moves, and for how many seconds a lock must stand still while we look, by a clock that stops with the machine,
# before it may be a dead process's. The age of the file proves nothing: a file server has a clock of its own.
_OURS = ("refs/experiments/", "refs/gittrack/")
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
        attempt += 1
        if attempt < 10 * _TRIES and watch.unlock(said):
            continue
        if attempt >= _TRIES and not (watch.waits and time.monotonic() - began < 2 * _WATCHED):
            advice = "; if no git is at work, remove that file" if "File exists" in said else ""
            raise GitFailed(f"refs could not be changed: {said.splitlines()[0]}{advice}", stderr=said)
        time.sleep(random.uniform(0.01, 0.05) * min(attempt, _TRIES))


class _Watch:
    """Looks at the locks that are in the way, and takes away what a killed git left: it stands still, and no git is at work here.

    Not even a stopped git: it would go on with what it knew, and somebody's change would be lost.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        # The files that are in the way, what they are, and since when they have been that.
        self._seen: tuple[tuple[Path, ...], tuple[object, ...], float] | None = None

    @property
    def waits(self) -> bool:
        """Whether what is in the way may be taken away soon."""
        return self._seen is not None

    def unlock(self, said: str) -> bool:
        files = self._in_the_way(said)
        there = tuple(map(_identity, files))
        if not any(there):
            self._seen = None
            return False
        now = time.monotonic()
        if self._seen is None or self._seen[:2] != (files, there):
            self._seen = files, there, now
        if now - self._seen[2] <= _WATCHED or _git_at_work(self._repository):
            return False
        taken = [_take(path, one) for path, one in zip(files, there, strict=True) if one is not None]
        return all(taken)

    def _in_the_way(self, said: str) -> tuple[Path, ...]:
        """The files that a killed git may have left, none where they are not ours to judge."""
        common = self._repository.common_dir
        if re.search(r"packed-refs\.(lock|new)'?: File exists", said):
            # What is to become the file lies beside its lock, and stops git just as well.
            return common / "packed-refs.lock", common / "packed-refs.new"
        found = re.search(r"'([^'\n]+\.lock)': File exists", said)
        if found is None:
            return ()
        lock = (self._repository.root or self._repository.git_dir) / found[1]
        try:
            return (lock,) if str(lock.relative_to(common)).startswith(_OURS) else ()
        except ValueError:
            return ()


def _take(path: Path, there: object) -> bool:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # Another process may do the same, and hold it by now: then it gets it back.
        os.rename(path, aside)
        if _identity(aside) != there:
            os.link(aside, path)
        aside.unlink()
        return True
    except OSError:
        return False


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Which file it is, and whether anybody wrote to it; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _git_at_work(repository: Repository) -> bool:
    """Whether a git runs in this repository, or one of which nobody tells us where it runs."""
    import psutil

    places = [str(one) for one in (repository.root, repository.common_dir, repository.git_dir) if one is not None]
    for process in psutil.process_iter(["name", "cwd", "status"]):
        found = process.info
        if not str(found["name"]).startswith("git") or found["status"] == psutil.STATUS_ZOMBIE:
            continue
        if found["cwd"] is None or any(_is_inside(found["cwd"], place) for place in places):
            return True
    return False


def _is_inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _is_hopeless(repository: Repository, said: str) -> bool:
    # That a folder cannot be made is a race with its removal, unless nothing can be made there.
    return any(words in said for words in _HOPELESS) or not os.access(repository.common_dir, os.W_OK)
