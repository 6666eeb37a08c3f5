"""Artifacts: files that a run made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gittrack.domain.names import check_key
from gittrack.domain.pointer import FOLDER_SUFFIX, Pointer, is_oid
from gittrack.errors import InvalidName, InvalidValue
from gittrack.values import dataclass


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file or folder of a run; `path` is relative to the run's `artifacts` folder, `size` in bytes, `md5` of the content.

    A `pointer` stands in git for what lies in DVC's cache; then `md5` is the name of the object there, which ends in
    `.dir` for a folder of `nfiles` files.
    """

    path: str
    size: int
    md5: str
    kind: str | None = None
    name: str | None = None
    nfiles: int | None = None
    pointer: bool = False

    @property
    def called(self) -> str:
        """How a person names it: by its name, else by its path."""
        return self.name or self.path

    @property
    def is_folder(self) -> bool:
        return self.md5.endswith(FOLDER_SUFFIX)

    def as_pointer(self) -> Pointer:
        return Pointer(self.md5, self.size, self.nfiles)

    def to_dict(self) -> dict[str, Any]:
        plain: dict[str, Any] = {
            "path": self.path,
            "size": self.size,
            "md5": self.md5,
            "kind": self.kind,
        }
        if self.name is not None:
            plain["name"] = self.name
        if self.nfiles is not None:
            plain["nfiles"] = self.nfiles
        if self.pointer:
            plain["pointer"] = True
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Artifact:
        """Raises KeyError, TypeError or ValueError for what is no artifact.

        Other people write these, and path and md5 become places on disk.
        """
        path, size, md5, nfiles = plain["path"], plain["size"], plain["md5"], plain.get("nfiles")
        kind, name = plain.get("kind"), plain.get("name")
        if type(path) is not str or type(size) is not int or type(md5) is not str:
            raise TypeError("an artifact's path, size or md5 is of the wrong type")
        if (
            not isinstance(kind, str | None)
            or not isinstance(name, str | None)
            or type(nfiles) not in (int, type(None))
        ):
            raise TypeError("an artifact's kind, name or number of files is of the wrong type")
        made = cls(check_artifact_path(path), size, md5, kind, name, nfiles, plain.get("pointer") is True)
        if not is_oid(md5) or (made.is_folder and not made.pointer):
            raise ValueError(f"the md5 of artifact {path!r} is none")
        return made


def check_artifact_name(name: str) -> str:
    """What an artifact may be called: a key in which nothing looks like `name:v3` or `name@<run>`.

    Raises InvalidName; InvalidValue, which is a TypeError, for what is no text. Older runs may have other names.
    """
    if not isinstance(name, str):
        raise InvalidValue(f"an artifact's name must be text, not {type(name).__name__} {name!r:.60}")
    check_key("artifact", name)
    wrong = next((one for one in ":@" if one in name), None)
    if wrong is not None:
        meaning = "a version (name:v3)" if wrong == ":" else "a run (name@RUN)"
        raise InvalidName(
            f"{name[:80]!r} cannot name an artifact: {wrong!r} stands before {meaning}; choose another name"
        )
    return name


def check_artifact_kind(kind: str | None) -> str | None:
    """Raises InvalidValue, which is a TypeError, for what is no text."""
    if kind is not None and not isinstance(kind, str):
        raise InvalidValue(f"an artifact's kind must be text, not {type(kind).__name__} {kind!r:.60}")
    return kind


def check_artifact_path(name: str) -> str:
    """An artifact's path inside the run's `artifacts` folder: relative, normal, and possible in a git tree.

    Raises InvalidName.
    """
    if not isinstance(name, str):
        raise InvalidValue(f"an artifact's path must be text, not {type(name).__name__} {name!r:.60}")
    check_key("artifact", name)
    parts = name.split("/")
    problem = None
    if name.startswith("/") or "\\" in name:
        problem = "it must be relative, with '/' between folders"
    elif any(part in {"", ".", ".."} for part in parts):
        problem = "it has an empty part, '.' or '..'"
    elif any(_is_gits(part) for part in parts):
        problem = "git keeps '.git' and its settings for itself"
    elif any(len(part.encode("utf-8")) > 250 for part in parts):
        problem = "a part is longer than 250 bytes"
    if problem is not None:
        raise InvalidName(f"{name!r} cannot be an artifact's path: {problem}")
    return name


# A folder may have a million files, and nearly none of them has such a name.
_SUSPECT = re.compile(r"(?:^|/)(?:\.|/|\Z)|[^ -~]")
# What HFS+ ignores in a name, and where NTFS ends one: git-fsck(1) refuses `.git` in all these disguises.
_IGNORED = dict.fromkeys([*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF])


def _is_gits(part: str) -> bool:
    plain = _plain(part)
    return plain in {".git", ".gitmodules", ".gitattributes"} or plain.startswith(("git~", "gitmod~", "gi7eba~"))


def is_git_folder(part: str) -> bool:
    """Whether a name is `.git` on some file system: who writes there changes what git does."""
    if part.isascii() and not part.startswith("."):
        return False
    return _plain(part) == ".git"


def _plain(part: str) -> str:
    return part.translate(_IGNORED).partition(":")[0].rstrip(". ").lower()


def is_inside(path: str) -> bool:
    """Whether a path is relative, normal, and leads nowhere but into the folder that it is taken from, nor into a `.git`."""
    if not _SUSPECT.search(path):
        return True
    return "\0" not in path and not any(part in {"", ".", ".."} or is_git_folder(part) for part in path.split("/"))
