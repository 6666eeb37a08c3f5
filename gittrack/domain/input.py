"""Inputs: what a run read, and where its version comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gittrack.domain.artifact import is_inside
from gittrack.domain.pointer import Pointer, is_oid
from gittrack.values import dataclass, fields

DVC, GIT, RUN, URI = "dvc", "git", "run", "uri"


@dataclass(frozen=True, slots=True)
class Input:
    """One file, folder or reference that a run used.

    `path` is relative to the top of the worktree where it lies inside, else absolute; of a reference it is the URI.
    `md5` names the content as DVC would (`.dir` for a folder of `nfiles` files); None where nobody read the bytes.
    `tracked_by` says who keeps the version: `dvc` (then `pointer` is the file with the hash), `git`, `run` (an artifact
    called `artifact` of the run `run`, recorded as `commit`; `pointer` is its file there, absent when git holds it whole),
    `uri` (`version` or `etag`), or None: nobody.
    `changed`: the bytes were not those of the pointer. `declared` is False for one that was only noticed.
    """

    path: str
    size: int | None = None
    md5: str | None = None
    nfiles: int | None = None
    tracked_by: str | None = None
    pointer: str | None = None
    changed: bool = False
    declared: bool = True
    run: str | None = None
    commit: str | None = None
    artifact: str | None = None
    version: str | None = None
    etag: str | None = None

    @property
    def as_pointer(self) -> Pointer | None:
        """The object in DVC's cache that holds it; None where there is none."""
        kept = self.tracked_by in (DVC, RUN) and self.pointer is not None and not self.changed
        if not kept or self.md5 is None or self.size is None or not is_oid(self.md5):
            return None
        return Pointer(self.md5, self.size, self.nfiles)

    def to_dict(self) -> dict[str, Any]:
        """What is said of it, without what is not; path, size and md5 first."""
        plain: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if value != one.default:
                plain[one.name] = value
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Input:
        """Of a mapping that a newer gittrack wrote, what this one knows; raises TypeError or ValueError for what is none.

        Other people write these, and a path in a worktree becomes a place on disk.
        """
        known = {one.name: plain[one.name] for one in fields(cls) if one.name in plain}
        made = cls(**known)
        for numeric, value in ((False, made.path), (True, made.size), (True, made.nfiles), (False, made.md5)):
            if value is not None and type(value) is not (int if numeric else str):
                raise TypeError("an input's path, size, md5 or number of files is of the wrong type")
        if made.tracked_by in (DVC, GIT) and made.path != "." and not is_inside(made.path):
            raise ValueError(f"input {made.path!r:.200} lies outside of the worktree, and cannot be tracked there")
        return made
