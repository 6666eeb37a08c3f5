"""Tracked data in a worktree of ours: linked from the store, so that nothing is copied that is large, and watched."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from gittrack.domain.artifact import is_inside
from gittrack.errors import CorruptRecord, GittrackError, ObjectMissing
from gittrack.pointers.census import heal
from gittrack.pointers.dvcfile import read_pointer_file
from gittrack.pointers.farm import is_sound
from gittrack.pointers.hashing import clone
from gittrack.pointers.store import Store
from gittrack.values import dataclass, field

# Who may write to an object whatever its mode (root) gets copies of so many bytes, in so many files; what is beyond is linked
# and watched. To make a file takes up to ten times as long as to link one.
_MOST_COPIED = 256 << 20
_MOST_COPIES = 2_000
_WRITABLE = 0o222
_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


@dataclass(frozen=True, slots=True)
class Watched:
    """An object that a file in the worktree shares, and what stat(2) said of it."""

    oid: str
    path: str
    place: Path
    size: int
    time: int


@dataclass(slots=True)
class Placed:
    """What lies in place now; `absent` are the paths of data that are not here, `problems` whole sentences."""

    paths: set[str] = field(default_factory=set)
    absent: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    watched: list[Watched] = field(default_factory=list)


def place_data(store: Store, top: Path, pointer_files: Iterable[str], *, without: Sequence[str] = ()) -> Placed:
    """Put in place what the pointer files of the worktree at `top` name and the store has.

    `without` are paths that the run is going to write. A path that is there already stays as it is.
    """
    placer = _Placer(store, top, without)
    for name in pointer_files:
        file = top / name
        try:
            outs = read_pointer_file(file.read_bytes(), name)
        except (CorruptRecord, OSError) as error:
            placer.placed.problems.append(str(error))
            continue
        for out in outs:
            path = os.path.normpath(os.path.join(os.path.dirname(name), out.path))
            # One without a hash of the bytes is git's own, or of a DVC that is long gone.
            if out.pointer is not None and out.comparable and is_inside(path) and not os.path.lexists(top / path):
                placer.put(path, out.pointer.oid)
    return placer.placed


class _Placer:
    def __init__(self, store: Store, top: Path, without: Sequence[str]) -> None:
        self.placed = Placed()
        self._store = store
        self._top = top
        self._without = without
        self._safe: dict[str, bool] = {}
        self._clones = True
        self._room = _MOST_COPIED
        self._copies = _MOST_COPIES

    def put(self, path: str, oid: str) -> None:
        if self._is_left_out(path):
            return
        try:
            for relative, member in self._files(path, oid):
                if not self._is_left_out(relative):
                    self._link(relative, member)
        except (ObjectMissing, FileNotFoundError):
            self.placed.absent.append(path)
        except (GittrackError, OSError) as error:
            self.placed.problems.append(f"the data of {path} cannot be put in place ({error})")

    def _files(self, path: str, oid: str) -> Iterator[tuple[str, str]]:
        if not oid.endswith(".dir"):
            yield path, oid
            return
        members = self._store.members(oid)
        if self._is_allowed(path):
            (self._top / path).mkdir(parents=True, exist_ok=True)
        yield from ((f"{path}/{one.relpath}", one.oid) for one in members)

    def _is_left_out(self, path: str) -> bool:
        return any(path == one or path.startswith(f"{one}/") for one in self._without)

    def _link(self, path: str, oid: str) -> None:
        source = self._store.find(oid)
        if source is None:
            raise ObjectMissing(f"the object {oid} of {path} is not here")
        folder, target = os.path.dirname(path), self._top / path
        if not self._is_allowed(folder):
            raise CorruptRecord("a link in the commit leads out of the worktree")
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
        if not (self._cloned(source, target) or self._copied(source, target)):
            status = os.stat(source)
            try:
                os.link(source, target)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                os.symlink(source, target)
            self.placed.watched.append(Watched(oid, path, source, status.st_size, status.st_mtime_ns))
        self.placed.paths.add(path)

    def _is_allowed(self, folder: str) -> bool:
        """A link that the commit has may lead anywhere."""
        if folder not in self._safe:
            real = Path(os.path.realpath(self._top / folder))
            self._safe[folder] = real == self._top or real.is_relative_to(self._top)
        return self._safe[folder]

    def _cloned(self, source: Path, target: Path) -> bool:
        """Where the file system can share blocks, the run's file is its own."""
        if not self._clones:
            return False
        with open(source, "rb", buffering=0) as old, open(target, "xb", buffering=0) as new:
            if clone(old, new):
                return True
        self._clones = False
        os.unlink(target)
        return False

    def _copied(self, source: Path, target: Path) -> bool:
        if not os.access(source, os.W_OK):
            return False
        size = os.stat(source).st_size
        if size > self._room or not self._copies:
            return False
        self._room -= size
        self._copies -= 1
        shutil.copyfile(source, target)
        return True


def look_after(store: Store, placed: Placed) -> list[str]:
    """Objects that the run wrote to through a link are set aside, where nobody takes them for sound; returns their paths."""
    spoiled = []
    for one in placed.watched:
        try:
            status = os.stat(one.place)
            if status.st_mode & _WRITABLE:
                # By the run, to write; a shared cache may have had it so before, and somebody else owns it then.
                with suppress(OSError):
                    os.chmod(one.place, status.st_mode & 0o7555)
            if (status.st_size, status.st_mtime_ns) == (one.size, one.time) or is_sound(one.place, one.oid):
                continue
        except OSError:
            continue
        spoiled.append(one.path)
        with suppress(GittrackError, OSError):
            heal(store, one.oid)
    return spoiled
