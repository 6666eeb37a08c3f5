"""What lies on a remote: a listing where many are asked for, a question an object where few are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gittrack.errors import RemoteUnusable
from gittrack.pointers.reasons import reason_of
from gittrack.pointers.remote import Remote
from gittrack.values import dataclass

# An object store answers a listing as fast as so many questions.
_FEW = 32


@dataclass(frozen=True, slots=True)
class There:
    """An object on a remote; `md5` where the remote itself computed one."""

    size: int
    md5: str | None = None


def present(remote: Remote, oids: Iterable[str]) -> dict[str, int]:
    """Which of the objects the remote has, with their sizes. Raises RemoteUnusable when it cannot be asked."""
    try:
        return {oid: there.size for oid, there in look(remote, list(dict.fromkeys(oids))).items()}
    except Exception as error:
        raise RemoteUnusable(
            f"remote {remote.name!r} at {remote.url} cannot be asked what it has: {reason_of(error)}; try again when it can"
        ) from None


def look(remote: Remote, wanted: Sequence[str]) -> dict[str, There]:
    """What the remote has of the objects named. Raises whatever its file system raises."""
    if not wanted:
        return {}
    if remote.is_object_store and (len(wanted) <= _FEW or not _is_quick_to_list(remote, len(wanted))):
        return _ask_each(remote, wanted)
    places = {remote.place(oid): oid for oid in wanted}
    tops = [remote.join("files", "md5")]
    if not remote.is_object_store:
        tops = sorted({str(remote.fs.parent(place)) for place in places})
    found: dict[str, There] = {}
    for listing in in_parallel(tops, lambda top: _list(remote, top), remote.jobs()):
        for path, info in listing:
            oid = places.get(path)
            if oid is not None:
                found[oid] = _there(info)
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
        return [(str(remote.fs.join(top, base_name(info["name"]))), info) for info in fs.ls(top, detail=True)]
    except FileNotFoundError:
        return []


def base_name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _ask_each(remote: Remote, wanted: Sequence[str]) -> dict[str, There]:
    remote.fs.fs.invalidate_cache()

    def ask(oid: str) -> tuple[str, There | None]:
        try:
            return oid, _there(remote.fs.fs.info(remote.place(oid)))
        except FileNotFoundError:
            return oid, None

    return {oid: found for oid, found in in_parallel(wanted, ask, remote.jobs()) if found is not None}


def _there(info: Mapping[str, Any]) -> There:
    """With the checksum of an object store, where it is an md5: not that of what was uploaded in parts."""
    etag = str(info.get("ETag") or "").strip('"').lower()
    return There(int(info.get("size") or 0), etag if len(etag) == 32 and not etag.strip("0123456789abcdef") else None)


def in_parallel(items: Sequence[Any], act: Callable[[Any], Any], jobs: int) -> list[Any]:
    if len(items) < 2:
        return [act(one) for one in items]
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(act, items))
