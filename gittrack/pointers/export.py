"""Copying stored content out, verified on the way."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from gittrack.errors import CorruptRecord, ObjectMissing
from gittrack.pointers.farm import Farm, remove
from gittrack.pointers.folder import Member
from gittrack.pointers.hashing import Progress, copy, signature
from gittrack.pointers.intake import take_file
from gittrack.pointers.memory import Memory


def choose(members: Sequence[Member], member: str, target: Path) -> list[tuple[str, Path]]:
    """The files of a folder that `member` names, a file or a folder in it, as `(oid, where to)`; `""` names all.

    Raises ObjectMissing when the folder has nothing of that name.
    """
    member = member.strip("/")
    for one in members:
        if member and one.relpath == member:
            return [(one.oid, target)]
    prefix = f"{member}/" if member else ""
    chosen = [(one.oid, target / one.relpath.removeprefix(prefix)) for one in members if one.relpath.startswith(prefix)]
    if member and not chosen:
        raise ObjectMissing(f"the stored folder holds no {member!r}")
    return chosen


def export_files(
    wanted: Sequence[tuple[str, Path]],
    target: Path,
    farm: Farm,
    memory: Memory,
    progress: Progress | None,
    *,
    overwrite: bool,
) -> list[Path]:
    """Copies of objects as files of their own, never links; what is there already with the same content stays.

    Nothing is written when any file has to stay but differs: raises FileExistsError. Raises ObjectMissing, CorruptRecord.
    """
    known = memory.recall(target)
    missing = []
    for oid, path in wanted:
        status = os.stat(path) if path.exists() else None
        if status is not None and not path.is_dir():
            now = signature(status)
            found = known.oid(os.path.relpath(path, target) if path != target else "", now)
            source = farm.find(oid)
            if found is None and (source is None or source.stat().st_size == status.st_size):
                found = take_file(str(path), None).oid
            if found == oid:
                continue
        if path.is_dir():
            raise FileExistsError(f"{path} is a folder, which no file replaces; move it away")
        if os.path.lexists(path) and not overwrite:
            raise FileExistsError(
                f"{path} is there already, with other content; move it away, or allow to overwrite it (--force)"
            )
        missing.append((oid, path))
    for oid, path in missing:
        _export(oid, path, farm, progress)
    return [path for _, path in wanted]


def _export(oid: str, path: Path, farm: Farm, progress: Progress | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not after the file's own name, which may be as long as a name can be.
    temporary = path.with_name(f".gittrack-{os.getpid()}-{os.urandom(6).hex()}.tmp")
    copies = farm.copies(oid)
    if not copies:
        raise ObjectMissing(f"the object {oid} for {path.name} is not here")
    try:
        for one in copies:
            with open(one, "rb", buffering=0) as source, open(temporary, "wb+", buffering=0) as new:
                found, count = copy(source, new, os.fstat(source.fileno()).st_size, progress)
            if found == oid:
                os.replace(temporary, path)
                return
            if progress is not None:
                progress(-count)
    except BaseException:
        remove(temporary)
        raise
    remove(temporary)
    raise CorruptRecord(f"the object {oid} for {path.name} is damaged: {copies[0]}")
