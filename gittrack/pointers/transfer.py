"""Objects to a remote and back: exactly those named, in parallel, verified; what is there is not moved again.

Nothing half-done is ever seen under an object's name: an object store takes an upload whole or not at all, anywhere else, and
on this side, a temporary file is renamed when it is complete.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from gittrack.domain.pointer import FOLDER_SUFFIX
from gittrack.pointers.folder import from_list
from gittrack.pointers.hashing import Progress, copy, digest, md5
from gittrack.pointers.lookup import There, base_name, in_parallel, look, present
from gittrack.pointers.moving import Move, Refused, Spoiled, patiently
from gittrack.pointers.reasons import reason_of
from gittrack.pointers.remote import Remote
from gittrack.values import dataclass, field

__all__ = ["LocalStore", "Transferred", "present", "pull", "push"]

MISSING = "it is neither here nor on the remote"
# Larger objects are read piece by piece, and continued where a download broke off.
LARGE = 32 * 1024 * 1024
_PIECE = 8 * 1024 * 1024
# Of those that fill memory only a few move at once.
_HEAVY, _HEAVY_JOBS = 1024 * 1024, 4
_DAMAGED_HERE = "its bytes are damaged here ('gittrack fsck --repair')"


class LocalStore(Protocol):
    """What we need of the store on this side."""

    def find(self, oid: str) -> Path | None: ...
    def scratch(self) -> Path: ...
    def install(self, oid: str, temporary: Path) -> None: ...


@dataclass(frozen=True, slots=True)
class Transferred:
    """How many objects moved and their bytes, how many were there `already`, and why the others `failed`.

    `spoiled` are those that failed since the remote has other bytes under their names.
    """

    done: int = 0
    bytes: int = 0
    already: int = 0
    failed: Mapping[str, str] = field(default_factory=dict)
    spoiled: frozenset[str] = frozenset()


def _is_list(oid: str) -> bool:
    return oid.endswith(FOLDER_SUFFIX)


def _sum(oid: str) -> str:
    return oid.removesuffix(FOLDER_SUFFIX)


# --- pushing


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
    move = Move(remote, jobs, progress)
    try:
        there: dict[str, There] = patiently(remote, lambda: look(remote, wanted))
    except Exception as error:
        return Transferred(failed=dict.fromkeys(wanted, reason_of(error)))
    already, sources = _to_send(store, there, wanted, move)
    sizes = {oid: path.stat().st_size for oid, path in sources.items()}
    _make_folders(remote, sizes)
    act: Callable[[str], Awaitable[int]] | Callable[[str], int]
    if remote.is_asynchronous:
        heavy = asyncio.Semaphore(_HEAVY_JOBS)

        async def send_in_loop(oid: str) -> int:
            if sizes[oid] <= _HEAVY:
                await _upload(remote, oid, sources[oid], sizes[oid])
            else:
                async with heavy:
                    await _upload(remote, oid, sources[oid], sizes[oid])
            move.progress(sizes[oid])
            return sizes[oid]

        act = send_in_loop
    else:

        def send(oid: str) -> int:
            _send(remote, oid, sources[oid], sizes[oid])
            move.progress(sizes[oid])
            return sizes[oid]

        act = send
    files = [oid for oid in sizes if not _is_list(oid)]
    lists = [oid for oid in sizes if _is_list(oid)]
    move.all(files, act)
    _verify(move, files)
    # What lies there with another size is not what the list names.
    arrived = (there.keys() - sources.keys()) | move.done.keys()
    kept_back = {oid for oid in lists if not _members(sources[oid]) <= arrived}
    move.failed |= dict.fromkeys(kept_back, "some of its files are not on the remote")
    move.all([oid for oid in lists if oid not in kept_back], act)
    _verify(move, lists)
    return Transferred(len(move.done), sum(move.done.values()), already, move.failed)


def _members(listing: Path) -> set[str]:
    """What a folder's list names; of a damaged one nothing, since it is refused anyway."""
    try:
        return {one.oid for one in from_list(listing.read_bytes())}
    except (OSError, ValueError):
        return set()


def _to_send(
    store: LocalStore, there: Mapping[str, There], wanted: Iterable[str], move: Move
) -> tuple[int, dict[str, Path]]:
    """How many the remote has, and where those lie that it has not; what is nowhere has failed."""
    already = 0
    sources: dict[str, Path] = {}
    for oid in wanted:
        path = store.find(oid)
        if path is None:
            if oid in there:
                already += 1
            else:
                move.failed[oid] = MISSING
        elif oid in there and there[oid].size == path.stat().st_size:
            already += 1
            move.progress(there[oid].size)
        else:
            sources[oid] = path
    return already, sources


async def _upload(remote: Remote, oid: str, path: Path, size: int) -> None:
    """To an object store, in one request; a large one in parts, of which the store makes one object when all are there."""
    fs, place = remote.fs.fs, remote.place(oid)
    if size > LARGE:
        if await asyncio.to_thread(_digest, path) != _sum(oid):
            raise Refused(_DAMAGED_HERE)
        # More parts at once would fill memory.
        limits = {"max_concurrency": 2} if remote.fs.protocol == "s3" else {}
        await fs._put_file(str(path), place, **limits)
        return
    data = path.read_bytes()
    if md5(data) != _sum(oid):
        raise Refused(_DAMAGED_HERE)
    await fs._pipe_file(place, data)


def _send(remote: Remote, oid: str, path: Path, size: int) -> None:
    place = remote.place(oid)
    if remote.is_object_store:
        if _digest(path) != _sum(oid):
            raise Refused(_DAMAGED_HERE)
        remote.fs.put_file(str(path), place)
        return
    temporary = remote.join("tmp", uuid.uuid4().hex)
    try:
        if remote.is_local:
            if _copy(path, Path(temporary), size) != _sum(oid):
                raise Refused(_DAMAGED_HERE)
            os.chmod(temporary, 0o444)
            os.replace(temporary, place)
        else:
            if _digest(path) != _sum(oid):
                raise Refused(_DAMAGED_HERE)
            remote.fs.put_file(str(path), temporary)
            _rename(remote, temporary, place)
    except BaseException:
        _remove(remote, temporary)
        raise


def _copy(source: Path, target: Path, size: int) -> str:
    """Copy, in one pass with the md5 of what arrived."""
    with open(source, "rb", buffering=0) as old, open(target, "xb+", buffering=0) as new:
        return copy(old, new, size, alone=False)[0]


def _digest(path: Path) -> str:
    with open(path, "rb", buffering=0) as file:
        return digest(file)[0]


def _make_folders(remote: Remote, sizes: Mapping[str, int]) -> None:
    """Where folders are real, those that the objects need: once, not once an object."""
    if remote.is_object_store or not sizes:
        return
    try:
        remote.fs.makedirs(remote.join("tmp"), exist_ok=True)
        there = {base_name(info["name"]) for info in _ls(remote, remote.join("files", "md5"))}
        wanted = [remote.join("files", "md5", digits) for digits in sorted({oid[:2] for oid in sizes} - there)]
        if wanted:
            # The first makes what is above it, too.
            remote.fs.makedirs(wanted[0], exist_ok=True)
            in_parallel(wanted[1:], lambda place: remote.fs.makedirs(place, exist_ok=True), remote.jobs())
    except Exception:
        # Each upload says what is wrong.
        return


def _ls(remote: Remote, top: str) -> list[Mapping[str, Any]]:
    try:
        return list(remote.fs.fs.ls(top, detail=True))
    except FileNotFoundError:
        return []


def _rename(remote: Remote, temporary: str, place: str) -> None:
    fs = remote.fs.fs
    try:
        fs.mv(temporary, place)
    except Exception:
        # Not every server's rename replaces: what is there already is as good if it is whole.
        size = fs.info(temporary)["size"]
        try:
            there = fs.info(place)["size"]
        except FileNotFoundError:
            there = None
        if there is None:
            raise
        fs.rm_file(temporary if there == size else place)
        if there != size:
            fs.mv(temporary, place)


def _remove(remote: Remote, path: str) -> None:
    try:
        remote.fs.fs.rm_file(path)
    except Exception:
        # Not there, or no connection: what is left in `tmp` harms nobody.
        return


def _verify(move: Move, oids: Iterable[str]) -> None:
    sent = {oid: move.done[oid] for oid in oids if oid in move.done}
    if not sent:
        return
    try:
        there = patiently(move.remote, lambda: look(move.remote, list(sent)))
    except Exception as error:
        reason = f"it was sent, and then the remote could not be asked for it: {reason_of(error)}"
        for oid in sent:
            move.failed[oid] = reason
            del move.done[oid]
        return
    for oid, size in sent.items():
        found = there.get(oid)
        if found is None or found.size != size or found.md5 not in (None, _sum(oid)):
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
    already = len(wanted) - len(missing)
    move = Move(remote, jobs, progress)
    try:
        there: dict[str, There] = patiently(remote, lambda: look(remote, missing))
    except Exception as error:
        return Transferred(already=already, failed=dict.fromkeys(missing, reason_of(error)))
    sizes = {oid: found.size for oid, found in there.items()}
    move.failed |= {oid: f"remote {remote.name!r} does not have it" for oid in missing if oid not in sizes}
    if remote.is_asynchronous:
        heavy = asyncio.Semaphore(_HEAVY_JOBS)

        async def bring_in_loop(oid: str) -> int:
            if sizes[oid] <= _HEAVY:
                await _download(store, remote, oid, sizes[oid], move)
            else:
                async with heavy:
                    await _download(store, remote, oid, sizes[oid], move)
            return sizes[oid]

        move.all(list(sizes), bring_in_loop)
    else:

        def bring(oid: str) -> int:
            _bring(store, remote, oid, sizes[oid], move)
            return sizes[oid]

        move.all(list(sizes), bring)
    return Transferred(len(move.done), sum(move.done.values()), already, move.failed, frozenset(move.spoiled))


async def _download(store: LocalStore, remote: Remote, oid: str, size: int, move: Move) -> None:
    """From an object store; always by range, since for a whole object s3fs asks for its size first."""
    fs, place = remote.fs.fs, remote.place(oid)
    if size > LARGE:
        with _part(store, oid, size) as part:
            at = part.tell()
            move.progress(at)
            while at < size:
                data = await fs._cat_file(place, start=at, end=min(at + _PIECE, size))
                at += _append(part, data)
                move.progress(len(data))
            await asyncio.to_thread(_install_part, store, remote, oid, part)
        return
    data = await fs._cat_file(place, start=0, end=size) if size else b""
    if md5(data) != _sum(oid):
        raise _damaged_there(remote)
    temporary = store.scratch()
    try:
        temporary.write_bytes(data)
        store.install(oid, temporary)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    move.progress(size)


def _bring(store: LocalStore, remote: Remote, oid: str, size: int, move: Move) -> None:
    place = remote.place(oid)
    if size > LARGE:
        with _part(store, oid, size) as part, remote.fs.fs.open(place, "rb") as source:
            at = part.tell()
            move.progress(at)
            source.seek(at)
            while at < size:
                data = bytes(source.read(min(_PIECE, size - at)))
                at += _append(part, data)
                move.progress(len(data))
            _install_part(store, remote, oid, part)
        return
    temporary = store.scratch()
    try:
        if remote.is_local:
            found = _copy(Path(place), temporary, size)
        else:
            remote.fs.get_file(place, str(temporary))
            found = _digest(temporary)
        if found != _sum(oid):
            raise _damaged_there(remote)
        store.install(oid, temporary)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    move.progress(size)


@contextmanager
def _part(store: LocalStore, oid: str, size: int) -> Iterator[IO[bytes]]:
    """What has come so far of a large object, open at its end; it outlives us, and one process at a time continues it."""
    import fcntl

    path = store.scratch().with_name(f"part-{oid}")
    if path.exists() and not os.access(path, os.W_OK):
        # Who could not make it an object, or was killed at it, had closed it for writing.
        os.chmod(path, 0o600)
    with open(path, "a+b", buffering=0) as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Refused("another process is fetching it") from None
        if file.seek(0, os.SEEK_END) > size:
            file.truncate(0)
            file.seek(0)
        yield file


def _append(part: IO[bytes], data: bytes) -> int:
    if not data:
        raise ConnectionError("the remote sent fewer bytes than it promised")
    view = memoryview(data)
    while view:
        view = view[part.write(view) :]
    return len(data)


def _install_part(store: LocalStore, remote: Remote, oid: str, part: IO[bytes]) -> None:
    path = Path(part.name)
    if _digest(path) != _sum(oid):
        path.unlink(missing_ok=True)
        raise _damaged_there(remote)
    store.install(oid, path)


def _damaged_there(remote: Remote) -> Spoiled:
    return Spoiled(f"its bytes on remote {remote.name!r} are damaged")
