"""Artifacts: files that a run made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gittrack.errors import InvalidName
from gittrack.model.names import check_key


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of a run; `path` is relative to the run's `artifacts` folder, `size` in bytes, `md5` of the content."""

    path: str
    size: int
    md5: str
    kind: str | None = None
    name: str | None = None

    def to_dict(self) -> dict[str, Any]:
        plain: dict[str, Any] = {
            "path": self.path,
            "size": self.size,
            "md5": self.md5,
            "kind": self.kind,
        }
        if self.name is not None:
            plain["name"] = self.name
        return plain

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Artifact:
        return cls(plain["path"], plain["size"], plain["md5"], plain.get("kind"), plain.get("name"))


def check_artifact_path(name: str) -> str:
    """An artifact's path inside the run's `artifacts` folder: relative, normal, and possible in a git tree.

    Raises InvalidName.
    """
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


# What HFS+ ignores in a name, and where NTFS ends one: git-fsck(1) refuses `.git` in all these disguises.
_IGNORED = dict.fromkeys([*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF])


def _is_gits(part: str) -> bool:
    plain = part.translate(_IGNORED).partition(":")[0].rstrip(". ").lower()
    return plain in {".git", ".gitmodules", ".gitattributes"} or plain.startswith(("git~", "gitmod~", "gi7eba~"))
