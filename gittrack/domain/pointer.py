"""Pointers: the few words that stand for a large file or folder, as DVC writes them."""

from __future__ import annotations

import re

from gittrack.values import dataclass

FOLDER_SUFFIX = ".dir"

_OID = re.compile(r"[0-9a-f]{32}(\.dir)?")


def is_oid(text: str) -> bool:
    """Whether a text names an object of DVC: 32 hex digits of an md5, and `.dir` for a folder's list."""
    return _OID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Pointer:
    """What stands for content kept outside git.

    `oid` is the md5 of a file's bytes, or that of a folder's list of files with `.dir` behind it; `size` counts the bytes
    of all files, `nfiles` the files of a folder (None for a file).
    """

    oid: str
    size: int
    nfiles: int | None = None

    def __post_init__(self) -> None:
        if not is_oid(self.oid):
            raise ValueError(f"{self.oid!r:.80} is no md5")

    @property
    def is_folder(self) -> bool:
        return self.oid.endswith(FOLDER_SUFFIX)
