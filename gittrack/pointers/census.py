"""What lies in the store: every object of the farm, the cache's name for one, and setting damaged ones aside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gittrack.model.pointer import FOLDER_SUFFIX, is_oid
from gittrack.pointers.hashing import digest
from gittrack.pointers.places import Places
from gittrack.pointers.store import Store

_LAYOUT = Path("files", "md5")


def kept_objects(places: Places) -> Iterator[tuple[str, Path]]:
    """Every object of the farm by its name; what is none of ours is passed over."""
    for keep in places.keeps:
        try:
            folders = sorted(os.scandir(keep / _LAYOUT), key=lambda one: one.name)
        except OSError:
            continue
        for folder in folders:
            if len(folder.name) == 2 and folder.is_dir(follow_symlinks=False):
                for entry in os.scandir(folder.path):
                    oid = folder.name + entry.name
                    if is_oid(oid):
                        yield oid, Path(entry.path)


def cached_object(places: Places, oid: str) -> Path | None:
    """Where DVC's cache has an object."""
    if places.cache is None:
        return None
    path = _place(places.cache, oid)
    return path if path.exists() else None


def heal(store: Store, oid: str) -> None:
    """Set damaged copies of an object aside, and give its name in farm and cache to a sound one, if there is any.

    Damaged bytes are moved, not removed: in `<farm>/damaged` a person may still find something in them.
    """
    places = store.places
    aside = places.keep / "damaged"
    for top in (*places.keeps, places.cache):
        path = None if top is None else _place(top, oid)
        if path is None or not path.exists() or _is_sound(path, oid):
            continue
        aside.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(path, aside / oid)
        except OSError:
            pass
        # Two names of one inode stay both (rename(2)), and to another file system nothing can be moved.
        path.unlink(missing_ok=True)
    store.protect(oid)
    store.expose(oid)


def _is_sound(path: Path, oid: str) -> bool:
    with open(path, "rb", buffering=0) as file:
        return digest(file)[0] == oid.removesuffix(FOLDER_SUFFIX)


def _place(top: Path, oid: str) -> Path:
    return top / _LAYOUT / oid[:2] / oid[2:]
