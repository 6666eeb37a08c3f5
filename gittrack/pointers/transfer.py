"""Objects to a remote and back: exactly those named, in parallel, verified; what is there is not moved again.

Nothing half-done is ever seen under an object's name: an object store takes an upload whole or not at all, anywhere else, and
on this side, a temporary file is renamed when it is complete.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from gittrack.model.pointer import FOLDER_SUFFIX
from gittrack.pointers.hashing import Progress, copy, digest
from gittrack.pointers.reasons import is_connection_problem, reason_of
from gittrack.pointers.remote import Remote

MISSING = "missing"
# Larger objects are read piece by piece, and continued where a download broke off.
LARGE = 32 * 1024 * 1024
_PIECE = 8 * 1024 * 1024
_TRIES = 3
_PAUSE = 0.5
# So many objects in a row that find no connection mean that there is none.
_PATIENCE = 6
_STORE_JOBS, _FILE_JOBS = 32, 4


class LocalStore(Protocol):
    """What we need of the store on this side."""

    def find(self, oid: str) -> Path | None: ...
    def scratch(self) -> Path: ...
    def install(self, oid: str, temporary: Path) -> None: ...


@dataclass(frozen=True, slots=True)
class Transferred:
    """How many objects moved and their bytes, how many were there `already`, and why the others `failed`."""

    done: int = 0
    bytes: int = 0
    already: int = 0
    failed: Mapping[str, str] = field(default_factory=dict)


# --- what is there


def present(remote: Remote, oids: Iterable[str]) -> dict[str, int]:
    """Which of the objects the remote has, with their sizes. Raises what DVC's file system raises."""
    wanted = list(dict.fromkeys(oids))
    return {oid: size for oid, (size, _) in _look(remote, wanted).items()}


def _look(remote: Remote, wanted: Sequence[str]) -> dict[str, tuple[int, str | None]]:
    """Size and, where the remote has such a thing, its own checksum."""
    if not wanted:
        return {}
    if remote.is_object_store and (len(wanted) <= _STORE_JOBS or not _is_quick_to_list(remote, len(wanted))):
        return _ask_each(remote, wanted)
    found: dict[str, tuple[int, str | None]] = {}
    places = {remote.place(oid): oid for oid in wanted}
    tops = [remote.join("files", "md5")]
    if not remote.is_object_store:
        tops = sorted({remote.fs.parent(place) for place in places})
    for listing in _in_parallel(tops, lambda top: _list(remote, top), remote):
        for path, info in listing:
            oid = places.get(path)
            if oid is not None:
                found[oid] = (int(info.get("size") or 0), _etag(info))
    return found


def _is_quick_to_list(remote: Remote, count: int) -> bool:
    """Whether a whole listing, a thousand a page, asks less of an object store than one question an object.

    Objects are spread evenly over the 256 folders, so one of them tells how many there are.
    """
    sample = _list(remote, remote.join("files", "md5", "00"))
    return len(sample) * 256 / 1000 <= count


def _list(remote: Remote, top: str) -> list[tuple[str, Mapping[str, Any]]]:
    fs = remote.fs.fs
    try:
        if remote.is_object_store:
            # Others write there too: what a listing of an earlier call remembers is old.
            fs.invalidate_cache()
            listed = fs.find(top, detail=True)
            return [(path, info) for path, info in listed.items() if info.get("type") == "file"]
        return [(remote.fs.join(top, _base(info["name"])), info) for info in fs.ls(top, detail=True)]
    except FileNotFoundError:
        return []


def _base(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]


def _ask_each(remote: Remote, wanted: Sequence[str]) -> dict[str, tuple[int, str | None]]:
    def ask(oid: str) -> tuple[str, tuple[int, str | None] | None]:
        try:
            info = remote.fs.fs.info(remote.place(oid))
        except FileNotFoundError:
            return oid, None
        return oid, (int(info.get("size") or 0), _etag(info))

    return {oid: found for oid, found in _in_parallel(wanted, ask, remote) if found is not None}


def _etag(info: Mapping[str, Any]) -> str | None:
    """The md5 that an object store computed, where its checksum is one: not of what was uploaded in parts."""
    etag = str(info.get("ETag") or "").strip('"').lower()
    return etag if len(etag) == 32 and not etag.strip("0123456789abcdef") else None


def _in_parallel(items: Sequence[Any], act: Callable[[Any], Any], remote: Remote) -> list[Any]:
    if len(items) < 2:
        return [act(one) for one in items]
    with ThreadPoolExecutor(_jobs(remote)) as pool:
        return list(pool.map(act, items))


def _jobs(remote: Remote, jobs: int | None = None) -> int:
    chosen = jobs or remote.fs._config.get("jobs")
    return int(chosen) if chosen else _STORE_JOBS if remote.is_object_store else _FILE_JOBS


# --- moving


class _Move:
    """One push or pull: what was done, what failed, and when to stop trying."""

    def __init__(self, remote: Remote, jobs: int | None, progress: Progress | None) -> None:
        self.remote = remote
        self.jobs = _jobs(remote, jobs)
        self.failed: dict[str, str] = {}
        self.done: dict[str, int] = {}
        self._progress = progress
        self._lock = threading.Lock()
        self._in_a_row = 0

    def progress(self, count: int) -> None:
        if self._progress is not None:
            with self._lock:
                self._progress(count)

    def all(self, oids: Sequence[str], act: Callable[[str], int]) -> None:
        """Each object once, or again after a broken connection; what cannot be moved is noted and the rest goes on."""
        if not oids:
            return
        pool = ThreadPoolExecutor(self.jobs)
        try:
            list(pool.map(lambda oid: self._one(oid, act), oids))
        finally:
            # After ctrl-C nobody waits for what has not begun.
            pool.shutdown(wait=True, cancel_futures=True)

    def _one(self, oid: str, act: Callable[[str], int]) -> None:
        for again in reversed(range(_TRIES)):
            if self._in_a_row >= _PATIENCE:
                self.failed[oid] = "the remote does not answer any more"
                return
            generation = self.remote.generation
            try:
                self.done[oid] = act(oid)
                self._in_a_row = 0
                return
            except _Refused as refused:
                self.failed[oid] = str(refused)
                return
            except Exception as error:
                if not is_connection_problem(error):
                    self.failed[oid] = reason_of(error)
                    return
                if not again:
                    self._in_a_row += 1
                    self.failed[oid] = reason_of(error)
                    return
                time.sleep(_PAUSE * 2 ** (_TRIES - 1 - again))
                if not self.remote.is_object_store:
                    self._reconnect(generation)

    def _reconnect(self, generation: int) -> None:
        try:
            self.remote.renew(generation)
        except Exception:
            # The next try says what is wrong.
            return


class _Refused(Exception):
    """An object that another try would not make better; the text is the reason."""


def push(
    store: LocalStore,
    remote: Remote,
    oids: Iterable[str],
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Transferred:
    """Send objects that the remote lacks, lists of folders last, so that none promises what is not there.

    Afterwards the remote is asked for the size of each, an object store also for its md5. Never raises for a single object.
    """
    wanted = list(dict.fromkeys(oids))
    move = _Move(remote, jobs, progress)
    try:
        there = _look(remote, wanted)
    except Exception as error:
        return Transferred(failed=dict.fromkeys(wanted, reason_of(error)))
    sizes: dict[str, int] = {}
    already = 0
    for oid in wanted:
        path = store.find(oid)
        if path is None:
            if oid in there:
                already += 1
            else:
                move.failed[oid] = MISSING
            continue
        sizes[oid] = path.stat().st_size
        if there.get(oid, (-1, None))[0] == sizes[oid]:
            already += 1
            del sizes[oid]
            move.progress(path.stat().st_size)

    def send(oid: str) -> int:
        path = store.find(oid)
        if path is None:
            raise _Refused(MISSING)
        _send_one(remote, oid, path, sizes[oid], move)
        return sizes[oid]

    _make_folders(remote, sizes)
    move.all([oid for oid in sizes if not oid.endswith(FOLDER_SUFFIX)], send)
    whole = {oid for oid in sizes if not oid.endswith(FOLDER_SUFFIX)} <= move.done.keys()
    lists = [oid for oid in sizes if oid.endswith(FOLDER_SUFFIX)]
    if whole or not lists:
        move.all(lists, send)
    else:
        # Which list names what failed nobody here knows: all of them wait for the next push.
        move.failed |= dict.fromkeys(lists, "some of its files could not be sent")
    _verify(move, sizes)
    return Transferred(len(move.done), sum(move.done.values()), already, move.failed)


def _make_folders(remote: Remote, sizes: Mapping[str, int]) -> None:
    """Where folders are real, those that the objects need: once, not once an object."""
    if remote.is_object_store or not sizes:
        return
    try:
        remote.fs.makedirs(remote.join("tmp"), exist_ok=True)
        there = {_base(info["name"]) for info in _ls(remote, remote.join("files", "md5"))}
        wanted = [remote.join("files", "md5", digits) for digits in sorted({oid[:2] for oid in sizes} - there)]
        if wanted:
            # The first makes what is above it, too.
            remote.fs.makedirs(wanted[0], exist_ok=True)
            _in_parallel(wanted[1:], lambda place: remote.fs.makedirs(place, exist_ok=True), remote)
    except Exception:
        # Each upload says what is wrong.
        return


def _ls(remote: Remote, top: str) -> list[Mapping[str, Any]]:
    try:
        return list(remote.fs.fs.ls(top, detail=True))
    except FileNotFoundError:
        return []


def _send_one(remote: Remote, oid: str, path: Path, size: int, move: _Move) -> None:
    place = remote.place(oid)
    if remote.is_object_store:
        if size <= LARGE:
            # One request: with `put_file` s3fs asks twice.
            data = path.read_bytes()
            if hashlib.md5(data, usedforsecurity=False).hexdigest() != oid.removesuffix(FOLDER_SUFFIX):
                raise _Refused("its bytes are damaged here ('gittrack fsck --repair')")
            remote.fs.fs.pipe_file(place, data)
        else:
            _check_here(path, oid)
            remote.fs.fs.put_file(str(path), place)
        move.progress(size)
        return
    temporary = remote.join("tmp", uuid.uuid4().hex)
    try:
        if remote.is_local:
            _copy_verified(path, temporary, oid)
            os.replace(temporary, place)
        else:
            _check_here(path, oid)
            remote.fs.fs.put_file(str(path), temporary)
            _rename(remote, temporary, place)
    except BaseException:
        _remove(remote, temporary)
        raise
    move.progress(size)


def _copy_verified(path: Path, target: str, oid: str) -> None:
    """One pass over the bytes: what is hashed is the copy."""
    with open(path, "rb", buffering=0) as source, open(target, "xb+", buffering=0) as new:
        if copy(source, new, path.stat().st_size)[0] != oid.removesuffix(FOLDER_SUFFIX):
            raise _Refused("its bytes are damaged here ('gittrack fsck --repair')")
        os.fchmod(new.fileno(), 0o444)


def _check_here(path: Path, oid: str) -> None:
    """Damaged bytes are not passed on."""
    with open(path, "rb", buffering=0) as file:
        if digest(file)[0] != oid.removesuffix(FOLDER_SUFFIX):
            raise _Refused("its bytes are damaged here ('gittrack fsck --repair')")


def _rename(remote: Remote, temporary: str, place: str) -> None:
    try:
        remote.fs.fs.mv(temporary, place)
    except Exception:
        # SFTP's plain rename does not replace: what is there already is as good if it is whole.
        size = remote.fs.fs.info(temporary)["size"]
        try:
            there = remote.fs.fs.info(place)["size"]
        except FileNotFoundError:
            there = None
        if there is None:
            raise
        if there != size:
            remote.fs.fs.rm_file(place)
            remote.fs.fs.mv(temporary, place)
        else:
            remote.fs.fs.rm_file(temporary)


def _remove(remote: Remote, path: str) -> None:
    try:
        remote.fs.fs.rm_file(path)
    except Exception:
        # Not there, or no connection: what is left in `tmp` harms nobody.
        return


def _verify(move: _Move, sizes: Mapping[str, int]) -> None:
    if not move.done:
        return
    try:
        there = _look(move.remote, list(move.done))
    except Exception as error:
        reason = f"it was sent, and then the remote could not be asked for it: {reason_of(error)}"
        move.failed |= dict.fromkeys(move.done, reason)
        move.done.clear()
        return
    for oid in list(move.done):
        size, etag = there.get(oid, (-1, None))
        if size != sizes[oid] or (etag is not None and etag != oid.removesuffix(FOLDER_SUFFIX)):
            move.failed[oid] = "it was sent, and the remote does not have it whole"
            del move.done[oid]


# --- pulling


def pull(
    store: LocalStore,
    remote: Remote,
    oids: Iterable[str],
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Transferred:
    """Bring objects that are not here, each verified before it gets its name; a large one goes on where it broke off."""
    wanted = list(dict.fromkeys(oids))
    missing = [oid for oid in wanted if store.find(oid) is None]
    move = _Move(remote, jobs, progress)
    try:
        sizes = present(remote, missing)
    except Exception as error:
        return Transferred(already=len(wanted) - len(missing), failed=dict.fromkeys(missing, reason_of(error)))
    for oid in missing:
        if oid not in sizes:
            move.failed[oid] = f"remote {remote.name!r} does not have it"

    def bring(oid: str) -> int:
        if sizes[oid] > LARGE:
            _bring_large(store, remote, oid, sizes[oid], move)
        else:
            _bring_small(store, remote, oid, move)
        return sizes[oid]

    move.all(list(sizes), bring)
    return Transferred(len(move.done), sum(move.done.values()), len(wanted) - len(missing), move.failed)


def _bring_small(store: LocalStore, remote: Remote, oid: str, move: _Move) -> None:
    temporary = store.scratch()
    try:
        if remote.is_object_store:
            # One request: `get_file` asks for the size first.
            data = remote.fs.fs.cat_file(remote.place(oid))
            found = hashlib.md5(data, usedforsecurity=False).hexdigest()
            if found == oid.removesuffix(FOLDER_SUFFIX):
                temporary.write_bytes(data)
            size = len(data)
        else:
            remote.fs.get_file(remote.place(oid), str(temporary))
            with open(temporary, "rb", buffering=0) as file:
                found, size = digest(file)
        _install(store, remote, oid, temporary, found)
        move.progress(size)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _bring_large(store: LocalStore, remote: Remote, oid: str, size: int, move: _Move) -> None:
    """Piece by piece into a file that outlives us; only one process at a time continues it."""
    import fcntl

    scratch = store.scratch()
    part = scratch.with_name(f"part-{oid}")
    with open(part, "a+b") as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise _Refused("another process is fetching it") from None
        if file.seek(0, os.SEEK_END) > size:
            file.truncate(0)
        at = file.seek(0, os.SEEK_END)
        move.progress(at)
        for data in _pieces(remote, remote.place(oid), at, size):
            file.write(data)
            file.flush()
            move.progress(len(data))
        file.seek(0)
        with open(part, "rb", buffering=0) as whole:
            found = digest(whole)[0]
        try:
            _install(store, remote, oid, part, found)
        except _Refused:
            part.unlink(missing_ok=True)
            raise


def _pieces(remote: Remote, place: str, at: int, size: int) -> Iterator[bytes]:
    """The bytes from `at` on; an object store is asked for each range, others let a file be read on."""
    fs = remote.fs.fs
    with contextlib.ExitStack() as stack:
        file = None if remote.is_object_store else stack.enter_context(fs.open(place, "rb"))
        if file is not None:
            file.seek(at)
        while at < size:
            end = min(at + _PIECE, size)
            data = bytes(fs.cat_file(place, start=at, end=end) if file is None else file.read(end - at))
            if not data:
                raise ConnectionError("the remote sent fewer bytes than it promised")
            yield data
            at += len(data)


def _install(store: LocalStore, remote: Remote, oid: str, temporary: Path, found: str) -> None:
    if found != oid.removesuffix(FOLDER_SUFFIX):
        raise _Refused(f"its bytes on remote {remote.name!r} are damaged")
    store.install(oid, temporary)
