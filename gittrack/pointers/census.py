"""What lies in the store: every object of the farm, the cache's name for one, and setting damaged ones aside."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from gittrack.domain.pointer import is_oid
from gittrack.pointers.farm import beside, is_sound
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
        if path is None or not path.exists() or is_sound(path, oid):
            continue
        aside.mkdir(parents=True, exist_ok=True)
        taken = take_away(path, lambda taken: not is_sound(taken, oid))
        if taken is not None:
            try:
                os.replace(taken, aside / oid)
            except OSError:
                # To another file system nothing can be moved.
                pass
            # Two names of one inode stay both (rename(2)).
            taken.unlink(missing_ok=True)
    store.protect(oid)
    store.expose(oid)


def take_away(path: Path, wanted: Callable[[Path], bool]) -> Path | None:
    """Take a name from an object, and return the temporary one that it has now; None when it is not, or no longer, `wanted`.

    Another process may give the name to other bytes at any time: what was taken is looked at again, and put back.
    """
    taken = Path(beside(path))
    try:
        os.rename(path, taken)
    except FileNotFoundError:
        return None
    if wanted(taken):
        return taken
    try:
        os.link(taken, path)
    except FileExistsError:
        pass
    except OSError:
        os.rename(taken, path)
        return None
    taken.unlink(missing_ok=True)
    return None


def _place(top: Path, oid: str) -> Path:
    return top / _LAYOUT / oid[:2] / oid[2:]
