"""The store of large files: DVC's cache with DVC's own layout, and beside it a farm that no `dvc gc` touches."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from gittrack.domain.pointer import FOLDER_SUFFIX, Pointer
from gittrack.errors import CorruptRecord, ObjectMissing
from gittrack.pointers.export import choose, export_files
from gittrack.pointers.farm import Farm, Health, problem_of
from gittrack.pointers.folder import Listing, Member, folder_oid, from_list, to_list, walk
from gittrack.pointers.hashing import Progress, md5, signature
from gittrack.pointers.intake import take_file, take_files
from gittrack.pointers.memory import Hashed, Memory
from gittrack.pointers.places import Places, find_places
from gittrack.pointers.released import Released
from gittrack.values import dataclass, replace

__all__ = ["Added", "Health", "Member", "Progress", "Store"]

T = TypeVar("T")
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


@dataclass(frozen=True, slots=True)
class Added:
    """What stands for a file or folder now.

    `skipped` names what was left out of a folder, each with its reason; `cache_problem` says, in the system's words, why
    DVC's cache did not get all of it, though the farm did.
    """

    pointer: Pointer
    skipped: tuple[str, ...] = ()
    cache_problem: str | None = None


class Store:
    """Content under its md5. An object that is in the farm stays, whatever DVC removes from its cache."""

    def __init__(self, places: Places, *, memory: Path | None = None, released: Released | None = None) -> None:
        """`memory` is the folder that remembers what was hashed before; None: nothing does."""
        self.places = places
        self._released = released
        self._farm = Farm(places, released)
        # Another cache has to be filled first.
        self._memory = Memory(memory, str(places.cache))

    @classmethod
    def of(cls, common_dir: Path, root: Path | None) -> Store:
        """The store of a repository, seen from the worktree at `root`."""
        home = common_dir / "gittrack"
        return cls(find_places(common_dir, root), memory=home / "hashed", released=Released(home))

    # --- putting in

    def add(
        self,
        source: Path,
        *,
        progress: Progress | None = None,
        ignore_root: Path | None = None,
        fresh: bool = False,
    ) -> Added:
        """Store a file or folder as `dvc add` would, without a link to it. `ignore_root`: `.dvcignore` counts from here.

        `progress` gets bytes as they are read, or a negative count when a file has to be read again. `fresh`: objects that
        are there are not trusted to stay, and made anew. Raises OSError; SourceChanged when a file does not stand still.
        """
        return self._where_room_is(fresh, lambda farm: self._take(source, farm, progress, ignore_root))

    def measure(self, source: Path, *, progress: Progress | None = None, ignore_root: Path | None = None) -> Added:
        """What `add` would return, without storing anything."""
        return self._take(source, None, progress, ignore_root)

    def add_bytes(self, data: bytes, *, fresh: bool = False) -> Pointer:
        oid = md5(data)
        self._where_room_is(fresh, lambda farm: farm.put(oid, data))
        return Pointer(oid, len(data))

    def _where_room_is(self, fresh: bool, act: Callable[[Farm], T]) -> T:
        """In the farm that is written to; where its disk is full or cannot be written, in the one on the other disk."""
        for first in self.places.keeps:
            farm = self._farm
            if fresh or first != self.places.keep:
                rest = (one for one in self.places.keeps if one != first)
                farm = Farm(Places(self.places.cache, (first, *rest)), self._released, fresh=fresh)
            try:
                return act(farm)
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                problem = problem_of(error, first)
        raise problem

    def _take(self, source: Path, farm: Farm | None, progress: Progress | None, ignore_root: Path | None) -> Added:
        if farm is not None:
            farm.cache_problem = None
        added = self._taken(source, farm, progress, ignore_root)
        return added if farm is None else replace(added, cache_problem=farm.cache_problem)

    def _taken(self, source: Path, farm: Farm | None, progress: Progress | None, ignore_root: Path | None) -> Added:
        status = os.stat(source)
        if stat.S_ISDIR(status.st_mode):
            listing = walk(source, ignore_root)
            return Added(self._take_folder(source, listing, farm, progress), listing.skipped)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "neither a file nor a folder", str(source))
        now = signature(status)
        oid = self._memory.recall(source).oid("", now)
        if oid is None or (farm is not None and not farm.has(oid, now[0], trust_links=True)):
            taken = take_file(os.path.abspath(source), farm, progress)
            self._memory.keep(source, {"": taken})
            oid, now = taken.oid, taken.signature
        return Added(Pointer(oid, now[0]))

    def _take_folder(self, source: Path, listing: Listing, farm: Farm | None, progress: Progress | None) -> Pointer:
        known = self._memory.recall(source)
        members: dict[str, tuple[str, int]] = {}
        fresh: list[tuple[str, int]] = []
        for relpath, now in listing.files:
            oid = known.oid(relpath, now)
            if oid is not None and (farm is None or farm.has(oid, now[0], trust_links=True)):
                members[relpath] = oid, now[0]
            else:
                fresh.append((relpath, now[0]))
        if (
            not fresh
            and known.folder is not None
            and len(known.files) == len(members)
            and (farm is None or farm.has(known.folder.oid, None))
        ):
            return known.folder
        top = os.path.abspath(source)
        taken = take_files([(f"{top}/{relpath}", size) for relpath, size in fresh], farm, progress)
        new = {relpath: taken[f"{top}/{relpath}"] for relpath, _ in fresh}
        members.update((relpath, (one.oid, one.signature[0])) for relpath, one in new.items())
        data = to_list((relpath, oid) for relpath, (oid, _) in members.items())
        pointer = Pointer(folder_oid(data), sum(size for _, size in members.values()), len(members))
        if farm is not None:
            farm.put(pointer.oid, data)
        # What was trusted once stays so.
        old = {path: Hashed(oid, now, 1 << 63) for path, (now, oid) in known.files.items() if path in members}
        self._memory.keep(source, {**old, **new}, pointer)
        return pointer

    # --- looking

    def find(self, oid: str) -> Path | None:
        """Where an object can be read: in the farm, else in the cache, where it is not safe from DVC."""
        return self._farm.find(oid)

    def read(self, oid: str) -> bytes:
        """The verified bytes of a file. Raises ObjectMissing, CorruptRecord."""
        found = self.find(oid)
        if found is None:
            raise ObjectMissing(f"object {oid} is not here; 'gittrack fsck' tells where it can be had")
        data = found.read_bytes()
        if md5(data) != oid:
            raise CorruptRecord(f"object {oid} is damaged here; 'gittrack fsck --repair' mends it")
        return data

    def members(self, oid: str) -> tuple[Member, ...]:
        """The files of a stored folder. Raises ObjectMissing, CorruptRecord."""
        try:
            data = self._farm.read(oid)
            if data is not None:
                return from_list(data)
        except ValueError as error:
            raise CorruptRecord(f"the list of the stored folder {oid} cannot be read: {error}") from None
        raise ObjectMissing(f"the list of the stored folder {oid} is not here")

    def objects(self, oid: str) -> tuple[str, ...]:
        """All objects that make up a file or folder, each once, the folder's list first."""
        if not oid.endswith(FOLDER_SUFFIX):
            return (oid,)
        return (oid, *dict.fromkeys(one.oid for one in self.members(oid)))

    def check(self, oid: str) -> Health:
        """Read an object, in the farm and in the cache, from its first byte to its last; of a folder only its list."""
        return self._farm.check(oid)

    # --- keeping safe

    def protect(self, oid: str) -> bool:
        """Bring into the farm what only the cache has, of a folder all files; False when something is missing."""
        return self._for_all(oid, self._farm.protect)

    def expose(self, oid: str) -> bool:
        """Bring into the cache again what only the farm has; False when the cache does not have all of it now."""
        return self._for_all(oid, self._farm.expose)

    def _for_all(self, oid: str, act: Callable[[str], bool]) -> bool:
        if not act(oid):
            return False
        try:
            # All, even after one that is missing.
            done = [act(one) for one in self.objects(oid)]
            return all(done)
        except (ObjectMissing, CorruptRecord):
            return False

    # --- taking out

    def export(
        self,
        oid: str,
        target: Path,
        *,
        member: str | None = None,
        progress: Progress | None = None,
        overwrite: bool = False,
    ) -> list[Path]:
        """Copy a stored file or folder to `target`, or only `member` of a folder: a file or folder in it.

        Files that are there already with the same content are left alone. Returns all of them. Raises ObjectMissing,
        CorruptRecord; FileExistsError, before anything is written, for a file that differs unless `overwrite`.
        """
        if oid.endswith(FOLDER_SUFFIX):
            wanted = choose(self.members(oid), member or "", target)
            if not wanted:
                target.mkdir(parents=True, exist_ok=True)
        elif member:
            raise ObjectMissing(f"{oid} is a file, it holds no {member!r}")
        else:
            wanted = [(oid, target)]
        return export_files(wanted, target, self._farm, self._memory, progress, overwrite=overwrite)

    # --- for who brings objects from elsewhere

    def scratch(self) -> Path:
        """A path that is free, for a temporary file on the farm's file system; see `sweep`."""
        return self._farm.scratch()

    def install(self, oid: str, temporary: Path) -> None:
        """A finished file, whose md5 was verified, becomes the object; an object that is there already is a success."""
        self._farm.install(oid, temporary)

    def sweep(self) -> tuple[int, int]:
        """Remove temporary files of processes that died; returns how many, and their bytes.

        What is named `part-<oid>` can be continued, and stays for fourteen days.
        """
        self._memory.forget_old()
        return self._farm.sweep()
