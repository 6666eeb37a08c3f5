"""What was hashed before and has not changed since."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path

from gittrack.domain.pointer import Pointer
from gittrack.pointers.farm import make_folder, remove
from gittrack.pointers.hashing import Signature
from gittrack.values import dataclass, field

_FORMAT = 1
# A file that changes twice within one tick of the file system's clock looks unchanged. Ticks of 10 ms are common where
# times have nanoseconds, of up to 2 s where they have not.
_FINE_TICK, _COARSE_TICK = 100_000_000, 2_100_000_000
_OLD_SECONDS = 180 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Hashed:
    """The md5 of one file, with what stat(2) said when the hashing began, at `began` (nanoseconds since the epoch)."""

    oid: str
    signature: Signature
    began: int

    @property
    def is_safe(self) -> bool:
        """Whether any later change is bound to show in the signature."""
        _, modified, changed, _ = self.signature
        newest = max(modified, changed)
        tick = _COARSE_TICK if newest % 1_000_000 == 0 else _FINE_TICK
        return newest + tick < self.began


@dataclass(frozen=True, slots=True)
class Remembered:
    """The files of one source by relative path ("" for a source that is a file), and a folder's pointer."""

    files: Mapping[str, tuple[Signature, str]] = field(default_factory=dict)
    folder: Pointer | None = None

    def oid(self, relpath: str, now: Signature) -> str | None:
        known = self.files.get(relpath)
        return known[1] if known is not None and known[0] == now else None


class Memory:
    """One small file for each source; one that is lost or damaged only costs time."""

    def __init__(self, folder: Path | None, mark: str = "") -> None:
        """What was remembered under another `mark` is not known."""
        self._folder = folder
        self._mark = mark

    def recall(self, source: Path) -> Remembered:
        path = self._path(source)
        if path is None:
            return Remembered()
        import orjson

        try:
            plain = orjson.loads(path.read_bytes())
            if plain["format"] != _FORMAT:
                return Remembered()
            files = {
                _name(name): ((size, modified, changed, inode), str(oid))
                for name, size, modified, changed, inode, oid in plain["files"]
            }
            return Remembered(files, None if plain["folder"] is None else Pointer(*plain["folder"]))
        except (OSError, ValueError, TypeError, KeyError):
            return Remembered()

    def keep(self, source: Path, files: Mapping[str, Hashed], folder: Pointer | None = None) -> None:
        """Remember what can be trusted later: a folder only with all its files, since its pointer stands for them."""
        path = self._path(source)
        if path is None:
            return
        import orjson

        safe = {name: one for name, one in files.items() if one.is_safe}
        plain = {
            "format": _FORMAT,
            "files": [(_text(name), *one.signature, one.oid) for name, one in safe.items()],
            "folder": (folder.oid, folder.size, folder.nfiles)
            if folder is not None and len(safe) == len(files)
            else None,
        }
        temporary = path.with_name(f"{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
        try:
            make_folder(str(path.parent))
            temporary.write_bytes(orjson.dumps(plain))
            os.replace(temporary, path)
        except OSError:
            remove(temporary)

    def forget_old(self) -> None:
        """Sources that nobody has added for long."""
        if self._folder is None:
            return
        try:
            for entry in os.scandir(self._folder):
                if time.time() - entry.stat().st_mtime > _OLD_SECONDS:
                    remove(entry.path)
        except OSError:
            pass

    def _path(self, source: Path) -> Path | None:
        if self._folder is None:
            return None
        key = os.fsencode(f"{self._mark}\0{os.path.abspath(source)}")
        return self._folder / hashlib.sha256(key).hexdigest()[:32]


def _text(name: str) -> str:
    """A file's name in a form that JSON can hold, whatever its bytes are."""
    return name if name.isascii() else os.fsencode(name).decode("latin-1")


def _name(text: str) -> str:
    return text if text.isascii() else os.fsdecode(text.encode("latin-1"))
