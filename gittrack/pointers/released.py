"""Objects that `gc` let go of on purpose: without it they would look lost."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from gittrack.domain.pointer import is_oid

_AGAIN = "-"


class Released:
    """A file that only grows: an object a line, and `-` before one that was stored again after that.

    So several processes may write to it at once; a line that is damaged says nothing.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / "released"
        self._known: set[str] = set()
        self._seen: tuple[int, int, int] | None = None

    def all(self) -> set[str]:
        try:
            status = os.stat(self._path)
            seen = status.st_mtime_ns, status.st_size, status.st_ino
            if seen != self._seen:
                self._known, self._seen = _folded(self._path.read_bytes()), seen
        except OSError:
            self._known, self._seen = set(), None
        return self._known

    def note(self, oids: Iterable[str]) -> None:
        """Before anything goes: whoever misses it later is told why."""
        known = self.all()
        self._append([f"{oid}\n" for oid in oids if oid not in known])

    def strike(self, *oids: str) -> None:
        """They are in the store again: when they are missing the next time, something is wrong."""
        known = self.all()
        if known:
            self._append([f"{_AGAIN}{oid}\n" for oid in oids if oid in known])

    def _append(self, lines: list[str]) -> None:
        if lines:
            self._path.parent.mkdir(exist_ok=True)
            # What a damaged line left open ends here.
            with open(self._path, "ab", buffering=0) as file:
                file.write(("\n" + "".join(lines)).encode("ascii"))


def _folded(data: bytes) -> set[str]:
    found: set[str] = set()
    for line in data.decode("ascii", "replace").split():
        oid = line.removeprefix(_AGAIN)
        if not is_oid(oid):
            continue
        if oid == line:
            found.add(oid)
        else:
            found.discard(oid)
    return found
