"""Which of DVC's pointers tracks a file or folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from gittrack.domain.pointer import Pointer
from gittrack.errors import CorruptRecord
from gittrack.pointers.dvcfile import TrackedOut, read_pointer_file
from gittrack.values import dataclass

# In YAML such names may be escaped, or folded into several lines.
_MAY_BE_WRITTEN_OTHERWISE = re.compile(r"[^A-Za-z0-9_.+@=-]")


@dataclass(frozen=True, slots=True)
class Tracked:
    """What DVC knows of a path: the pointer at `pointer_path` tracks `out`, which is the path or a folder around it.

    In the second case `member` is the path inside. See `TrackedOut` for `pointer` and `comparable`.
    """

    pointer_path: Path
    out: Path
    pointer: Pointer | None
    member: str | None
    comparable: bool


def find_tracked(path: Path, root: Path) -> Tracked | None:
    """The pointer that tracks a path in the worktree at `root`: the nearest, should several.

    Raises CorruptRecord when a pointer file that lies beside the path, or beside a folder around it, cannot be read.
    """
    path, root = Path(os.path.abspath(path)), Path(os.path.abspath(root))
    if path == root or not path.is_relative_to(root):
        return None
    inside = path.relative_to(root).parts
    best: Tracked | None = None
    for depth in reversed(range(len(inside))):
        folder = root.joinpath(*inside[:depth])
        for pointer_path, one in _outs(folder, inside, inside[depth]):
            out = Path(os.path.normpath(folder / one.path))
            if not path.is_relative_to(out) or out == root or not out.is_relative_to(root):
                continue
            if best is None or len(out.parts) > len(best.out.parts):
                member = None if out == path else path.relative_to(out).as_posix()
                best = Tracked(pointer_path, out, one.pointer, member, one.comparable)
        if best is not None and best.member is None:
            return best
    return best


def tracked_below(folder: Path, root: Path) -> list[Tracked]:
    """Everything inside a folder of the worktree that some pointer tracks, by its path; there or not."""
    folder, root = Path(os.path.abspath(folder)), Path(os.path.abspath(root))
    places = [one for one in folder.parents if one.is_relative_to(root)] if folder != root else []
    for inner, folders, _ in os.walk(folder):
        places.append(Path(inner))
        folders[:] = [name for name in folders if name not in (".git", ".dvc")]
    found: dict[Path, Tracked] = {}
    for place in places:
        for pointer_path, one in _all_outs(place):
            out = Path(os.path.normpath(place / one.path))
            if out != folder and out.is_relative_to(folder):
                found.setdefault(out, Tracked(pointer_path, out, one.pointer, None, one.comparable))
    return [found[out] for out in sorted(found)]


def _all_outs(folder: Path) -> Iterator[tuple[Path, TrackedOut]]:
    """What the pointers in a folder track; a `.dvc` file that cannot be read raises CorruptRecord."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if _is_pointer_name(entry.name) and entry.is_file())
    except OSError:
        return
    for name in names:
        yield from ((folder / name, out) for out in read_pointer_file((folder / name).read_bytes(), str(folder / name)))


def _outs(folder: Path, inside: tuple[str, ...], name: str) -> Iterator[tuple[Path, TrackedOut]]:
    """What the pointers in a folder track, the one named after `name` first; only those that may be of interest."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if _is_pointer_name(entry.name))
    except OSError:
        return
    own = f"{name}.dvc"
    for one in sorted(names, key=lambda one: one != own):
        file = folder / one
        try:
            data = file.read_bytes()
        except OSError:
            # A folder of that name, `.dvc` itself among them.
            continue
        if one != own and not _mentions(data, inside):
            continue
        try:
            outs = read_pointer_file(data, str(file))
        except CorruptRecord:
            if one == own:
                raise
            continue
        yield from ((file, out) for out in outs)


def _is_pointer_name(name: str) -> bool:
    return name.endswith(".dvc") or name == "dvc.lock"


def _mentions(data: bytes, inside: tuple[str, ...]) -> bool:
    """Whether a pointer may track something on the way to the path: parsing all that lie in a folder takes long."""
    if any(_MAY_BE_WRITTEN_OTHERWISE.search(part) for part in inside):
        return True
    return any(part.encode("ascii") in data for part in inside)
