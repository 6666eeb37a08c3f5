"""Single objects: in the farm, where they are safe, and in DVC's cache, where DVC looks for them."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

from gittrack.domain.pointer import FOLDER_SUFFIX
from gittrack.pointers.hashing import copy, digest, md5
from gittrack.pointers.places import Places
from gittrack.pointers.released import Released

_LAYOUT = os.path.join("files", "md5")
_MODE = 0o444
# What link(2) says where there are no hard links, or no more of them.
_NO_LINKS = {errno.EPERM, errno.EXDEV, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
# A download that was begun may be continued so long.
_PART = "part-"
_BESIDE = ".tmp"
_PART_SECONDS = 14 * 24 * 3600


class Health(Enum):
    """How an object is that was read from its first byte to its last."""

    OK = "ok"
    MISSING = "missing"
    DAMAGED = "damaged"


class Farm:
    """Objects under their names.

    `cache_problem` is why the cache did not get one, in the system's words and with its path; the farm alone is enough to lose nothing.
    """

    def __init__(self, places: Places, released: Released | None = None, *, fresh: bool = False) -> None:
        """`fresh`: nothing that is there is trusted to stay, and every object is made anew."""
        self.cache_problem: str | None = None
        self.fresh = fresh
        self._released = released
        self._shelves = [os.path.join(keep, _LAYOUT) for keep in places.keeps]
        self._cache = None if places.cache is None else os.path.join(places.cache, _LAYOUT)
        self._temporary = os.path.join(places.keep, "tmp")
        self._prefix = f"{os.getpid()}-{_host()}-"

    # --- looking

    def find(self, oid: str) -> Path | None:
        """Where an object can be read."""
        for path in self.copies(oid):
            return path
        return None

    def copies(self, oid: str) -> list[Path]:
        """All places where an object lies, the safest first; the same inode only once."""
        found: dict[tuple[int, int], Path] = {}
        for shelf in (*self._shelves, self._cache):
            if shelf is not None and (status := _stat(_place(shelf, oid))) is not None:
                found.setdefault((status.st_dev, status.st_ino), Path(_place(shelf, oid)))
        return list(found.values())

    def has(self, oid: str, size: int | None, *, trust_links: bool = False) -> bool:
        """Whether the farm holds an object of that size; then the cache gets it again too, should it be gone there.

        `trust_links`: a second name is taken for the cache's. It may be one that `dvc checkout` made, but to look again
        for each of many files takes long.
        """
        for shelf in () if self.fresh else self._shelves:
            path = f"{shelf}/{oid[:2]}/{oid[2:]}"
            try:
                status = os.stat(path)
            except OSError:
                continue
            if size is None or status.st_size == size:
                if status.st_nlink == 1 or not trust_links:
                    self._to_cache(oid, path, status)
                return True
        return False

    def check(self, oid: str) -> Health:
        """Read all copies; damaged when one of them is."""
        copies = self.copies(oid)
        if not all(is_sound(path, oid) for path in copies):
            return Health.DAMAGED
        return Health.OK if copies else Health.MISSING

    def read(self, oid: str) -> bytes | None:
        """The bytes of a small object, from the first copy that is sound; None when there is none. Raises ValueError."""
        copies = self.copies(oid)
        for path in copies:
            data = path.read_bytes()
            if md5(data) == oid.removesuffix(FOLDER_SUFFIX):
                return data
        if copies:
            raise ValueError(f"object {oid} is damaged: {copies[0]}")
        return None

    # --- putting in

    def put(self, oid: str, data: bytes) -> None:
        """Bytes whose md5 was computed become the object; one that is there stays if it holds the same."""
        if not self.fresh and self._holds(oid, len(data)):
            return
        temporary = self.scratch()
        try:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(handle, "wb", buffering=0) as file:
                view = memoryview(data)
                while view:
                    view = view[file.write(view) :]
                os.fchmod(handle, _MODE)
            self._place_in_farm(oid, temporary)
        except BaseException:
            remove(temporary)
            raise

    def install(self, oid: str, temporary: Path) -> None:
        """A finished, verified file on the farm's file system becomes the object; it must not be open for writing.

        It takes the place of one that is there, since that is quicker than to read whether that one is sound; but not where
        the worktree shares it, or it would take its room twice.
        """
        status = os.stat(temporary)
        if not self.fresh and self._holds(oid, status.st_size, only_shared=True):
            remove(temporary)
            return
        os.chmod(temporary, _MODE)
        self._place_in_farm(oid, temporary)

    def _holds(self, oid: str, size: int, *, only_shared: bool = False) -> bool:
        """Whether the farm holds a sound object, read to its end; the cache gets it too. Not to be had is not sound."""
        ours = 1 if self._cache is None else 2
        for shelf in self._shelves:
            path = _place(shelf, oid)
            status = _stat(path)
            if status is None or status.st_size != size:
                continue
            if only_shared and shelf == self._shelves[0] and status.st_nlink <= ours:
                return False
            try:
                sound = is_sound(path, oid)
            except OSError:
                continue
            if sound:
                self._to_cache(oid, path, status, sound=True)
                return True
        return False

    def _place_in_farm(self, oid: str, temporary: Path) -> None:
        path = _place(self._shelves[0], oid)
        try:
            os.rename(temporary, path)
        except FileNotFoundError:
            make_folder(os.path.dirname(path))
            os.rename(temporary, path)
        if self._released is not None:
            self._released.strike(oid)
        self._to_cache(oid, path, os.stat(path), sound=True)

    def _to_cache(self, oid: str, path: str, kept: os.stat_result, *, sound: bool = False) -> bool:
        """Give the cache the farm's object, under one inode where that is possible.

        Where the cache has another, the sound one takes both places; `sound` says that the farm's was just read.
        """
        if self._cache is None:
            return False
        there = _place(self._cache, oid)
        status = None
        try:
            os.link(path, there)
            return True
        except FileExistsError:
            status = _stat(there)
            if status is not None and _as_good(status, kept, sound=sound):
                return True
        except OSError:
            # No folder yet, no links, no room: the long way says which.
            pass
        try:
            if status is not None and not sound and not is_sound(path, oid):
                if is_sound(there, oid):
                    _bring(there, path)
                return True
            if status is not None and status.st_dev != kept.st_dev and is_sound(there, oid):
                return True
            _bring(path, there)
        except OSError as error:
            if status is not None and status.st_size == kept.st_size:
                # Somebody else's copy, in a shared cache: as good.
                return True
            problem = problem_of(error, self._cache)
            self.cache_problem = f"{problem.strerror}: {problem.filename}"
            return False
        return True

    # --- from one to the other

    def protect(self, oid: str) -> bool:
        """What only the cache has gets a name in the farm; False when it is nowhere."""
        if any(_stat(_place(shelf, oid)) is not None for shelf in self._shelves):
            return True
        if self._cache is None:
            return False
        there, path = _place(self._cache, oid), _place(self._shelves[0], oid)
        try:
            _bring(there, path, verify=oid.removesuffix(FOLDER_SUFFIX))
        except (FileNotFoundError, ValueError):
            return False
        if self._released is not None:
            self._released.strike(oid)
        return True

    def expose(self, oid: str) -> bool:
        """What only the farm has gets its name in the cache again; whether the cache has it now."""
        if self._cache is None:
            return False
        for shelf in self._shelves:
            path = _place(shelf, oid)
            if (status := _stat(path)) is not None:
                return self._to_cache(oid, path, status)
        return _stat(_place(self._cache, oid)) is not None

    # --- temporary files

    def scratch(self) -> Path:
        if not os.path.isdir(self._temporary):
            make_folder(self._temporary)
        return Path(self._temporary, self._prefix + os.urandom(8).hex())

    def sweep(self) -> tuple[int, int]:
        """Remove what dead processes of this host left behind, and what nobody continued; how many files and bytes."""
        files = size = 0
        for entry in self._temporaries():
            try:
                status = entry.stat(follow_symlinks=False)
                # One beside an object may share its times, which are old.
                named, changed = entry.name.removeprefix("."), status.st_mtime
                if not _is_left_over(named, status.st_ctime if named != entry.name else changed):
                    continue
                os.unlink(entry.path)
            except OSError:
                continue
            files, size = files + 1, size + (status.st_size if status.st_nlink == 1 else 0)
        return files, size

    def _temporaries(self) -> Iterator[os.DirEntry[str]]:
        yield from _entries(self._temporary)
        for shelf in (*self._shelves, self._cache):
            for folder in _entries(shelf) if shelf is not None else ():
                if len(folder.name) == 2:
                    yield from (one for one in _entries(folder.path) if one.name.endswith(_BESIDE))


def problem_of(error: OSError, place: Path | str) -> OSError:
    """What the system says, with the place that it is about: of a full disk nobody else knows which one it is."""
    return OSError(error.errno, error.strerror or str(error), str(place))


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _place(shelf: str, oid: str) -> str:
    return f"{shelf}/{oid[:2]}/{oid[2:]}"


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def make_folder(path: str) -> None:
    """With its parents; in a shared repository or cache the others must be able to write there too."""
    try:
        os.mkdir(path)
    except FileExistsError:
        return
    except FileNotFoundError:
        make_folder(os.path.dirname(path))
        make_folder(path)
        return
    mode = os.stat(path).st_mode
    shared = os.stat(os.path.dirname(path)).st_mode & 0o2070
    if shared & ~mode:
        os.chmod(path, (mode & 0o7777) | shared)


def is_sound(path: Path | str, oid: str) -> bool:
    """Whether a file holds what its name as an object says, read to its end."""
    with open(path, "rb", buffering=0) as file:
        return digest(file)[0] == oid.removesuffix(FOLDER_SUFFIX)


def _as_good(there: os.stat_result, kept: os.stat_result, *, sound: bool) -> bool:
    """Whether the cache's object may stay unread: the same inode, or a copy where it cannot be the same."""
    if there.st_dev == kept.st_dev:
        return there.st_ino == kept.st_ino
    return not sound and there.st_size == kept.st_size


def _bring(source: str, target: str, *, verify: str | None = None) -> None:
    """Give an object a second name, or a copy where hard links cannot be; what lay under the name is replaced.

    Raises ValueError when the copy's md5 is not the one to `verify`.
    """
    folder = os.path.dirname(target)
    temporary = beside(target)
    if not os.path.isdir(folder):
        make_folder(folder)
    try:
        try:
            os.link(source, temporary)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            with open(source, "rb", buffering=0) as old, open(temporary, "xb+", buffering=0) as new:
                found, _ = copy(old, new, os.fstat(old.fileno()).st_size)
                if verify not in (None, found):
                    raise ValueError(f"object {verify} is damaged: {source}") from None
        if os.stat(temporary).st_mode & 0o777 != _MODE:
            try:
                os.chmod(temporary, _MODE)
            except OSError:
                # Somebody else's object in a shared cache.
                pass
        # Over what is there in one step, so that no reader ever misses it.
        os.rename(temporary, target)
    except BaseException:
        remove(temporary)
        raise
    # Two names of one inode are left as they are by rename(2), which is a success of another process.
    remove(temporary)


def beside(path: Path | str) -> str:
    """A free name in the same folder, which no reader takes for an object; see `Farm.sweep`."""
    return os.path.join(os.path.dirname(path), f".{os.getpid()}-{_host()}-{os.urandom(6).hex()}{_BESIDE}")


def remove(path: Path | str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def _host() -> str:
    """A pid means nothing on another machine that shares the file system."""
    return md5(os.uname().nodename.encode("utf-8", "surrogateescape"))[:8]


def _is_left_over(name: str, changed: float) -> bool:
    if time.time() - changed > _PART_SECONDS:
        return True
    pid, _, rest = name.partition("-")
    if name.startswith(_PART) or not pid.isdigit() or not rest.startswith(_host()):
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
