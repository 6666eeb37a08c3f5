"""A folder as DVC sees it: the walk over its files, and the list that stands for it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Sequence
from json.encoder import encode_basestring_ascii
from pathlib import Path

from gittrack.domain.artifact import is_git_folder, is_inside
from gittrack.domain.pointer import FOLDER_SUFFIX, is_oid
from gittrack.pointers.hashing import Signature, md5, signature
from gittrack.pointers.ignore import IGNORE_FILE, Filter, dvc_filter, has_patterns, is_affected, plain_filter
from gittrack.values import dataclass


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a stored folder."""

    relpath: str
    oid: str


@dataclass(frozen=True, slots=True)
class Listing:
    """The files below a folder with what stat(2) says of them, and what was left out, each with its reason."""

    files: Sequence[tuple[str, Signature]]
    skipped: tuple[str, ...]


# --- walking


_BROKEN = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}


class _IgnoreFileInside(Exception):
    pass


def walk(folder: Path, ignore_root: Path | None) -> Listing:
    """All files of a folder that DVC would take; raises OSError for what cannot be looked at.

    Links to files are followed, links to folders are left out, as DVC does: so there are no loops. An ignore file
    inside the folder, which DVC refuses, counts and is left out itself.
    """
    top = Path(os.path.abspath(folder))
    root = top if ignore_root is None else _project_of(top, Path(os.path.abspath(ignore_root)))
    if not is_affected(top, root):
        try:
            return _walk(str(top), None)
        except _IgnoreFileInside:
            pass
    found = _walk(str(top), dvc_filter(root))
    if not found.files and not found.skipped and any(names for _, _, names in os.walk(top)):
        # That may be meant for git, or for `dvc status`; an artifact without a file is not what anybody wanted.
        return Listing((), (f"all of it ({IGNORE_FILE} covers every file)",))
    return found


def _project_of(top: Path, root: Path) -> Path:
    """Where DVC counts from for a folder: the nearest project around it, at the highest `root`."""
    if not top.is_relative_to(root) or top == root:
        return top
    around = top.parents[: top.parents.index(root) + 1] if root in top.parents else ()
    return next((one for one in around if (one / ".dvc").is_dir()), root)


def _walk(top: str, keep: Filter | None) -> Listing:
    files: list[tuple[str, Signature]] = []
    skipped: list[str] = []
    pending = [""]
    while pending:
        prefix = pending.pop()
        here = f"{top}/{prefix}".rstrip("/") or "/"
        found: dict[str, os.DirEntry[str]] = {}
        folders: list[str] = []
        others: list[str] = []
        with os.scandir(here) as entries:
            for entry in entries:
                found[entry.name] = entry
                (folders if _is_dir(entry) else others).append(entry.name)
        if keep is None and IGNORE_FILE in found and has_patterns(f"{here}/{IGNORE_FILE}"):
            raise _IgnoreFileInside
        folders, others = (keep or plain_filter)(here, folders, others)
        for name in sorted(folders):
            if is_git_folder(name):
                skipped.append(f"{prefix}{name} (git keeps that name for itself)")
            elif found[name].is_symlink():
                skipped.append(f"{prefix}{name} (a link to a folder)")
            else:
                pending.append(f"{prefix}{name}/")
        for name in others:
            problem = _take(found[name], prefix + name, files)
            if problem is not None:
                skipped.append(f"{prefix}{name} ({problem})")
    return Listing(files, tuple(sorted(skipped)))


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link in a circle.
        return False


def _take(entry: os.DirEntry[str], relpath: str, files: list[tuple[str, Signature]]) -> str | None:
    """Add one entry to the files; or why not."""
    if is_git_folder(entry.name):
        return "git keeps that name for itself"
    if entry.name == IGNORE_FILE:
        return "DVC allows none inside a stored folder"
    try:
        status = entry.stat()
    except OSError as error:
        if entry.is_symlink() and error.errno in _BROKEN:
            return "a broken link"
        raise
    if stat.S_ISREG(status.st_mode):
        files.append((relpath, signature(status)))
        return None
    return _what(status.st_mode)


def _what(mode: int) -> str:
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a pipe" if stat.S_ISFIFO(mode) else "a device"


# --- the list


def to_list(members: Iterable[tuple[str, str]]) -> bytes:
    """The list of `(relpath, md5)` that stands for a folder, as `dvc_data` writes it.

    Its format is what `json.dumps` makes of `[{"md5": ..., "relpath": ...}, ...]`, sorted by relpath. A name that is
    not UTF-8, at which DVC itself fails, keeps its bytes as lone surrogates, escaped like all that is not ASCII.
    """
    items = (f'{{"md5": "{oid}", "relpath": {encode_basestring_ascii(relpath)}}}' for relpath, oid in sorted(members))
    return f"[{', '.join(items)}]".encode("ascii")


def folder_oid(data: bytes) -> str:
    return md5(data) + FOLDER_SUFFIX


def from_list(data: bytes) -> tuple[Member, ...]:
    """The files of a list; raises ValueError for what is none, also for a file outside of the folder.

    Other people write these, and their names become places on disk.
    """
    # Not orjson: it takes no lone surrogates.
    import json

    try:
        plain = json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(plain, list):
        raise ValueError("it holds no list")
    members = []
    for item in plain:
        if not isinstance(item, dict):
            raise ValueError("it lists something that is no file")
        relpath, oid = item.get("relpath"), item.get("md5")
        if not isinstance(relpath, str) or not isinstance(oid, str) or not is_oid(oid) or oid.endswith(FOLDER_SUFFIX):
            raise ValueError("it lists a file without a name or md5")
        if not is_inside(relpath):
            raise ValueError(f"it lists a file outside of the folder, or in a folder of git's: {relpath!r:.200}")
        members.append(Member(relpath, oid))
    names = {one.relpath for one in members}
    if len(names) != len(members):
        raise ValueError("it lists a file twice")
    folders: set[str] = set()
    for one in members:
        above = one.relpath.rpartition("/")[0]
        while above and above not in folders:
            folders.add(above)
            above = above.rpartition("/")[0]
    if both := folders & names:
        raise ValueError(f"it lists {min(both)!r:.200} as a file and as a folder")
    return tuple(members)
