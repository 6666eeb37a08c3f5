"""Small files read and written whole."""

from __future__ import annotations

import os
import stat
from pathlib import Path

# What a kill leaves of a file under way; the next try writes over it.
UNDER_WAY = ".gittrack-new"


def read(path: Path) -> bytes | None:
    """The bytes of a regular file, also behind a link; None where there is no such file."""
    try:
        return path.read_bytes() if path.is_file() else None
    except OSError:
        return None


def put(path: Path, content: bytes, mode: int | None = None) -> None:
    """Write a file whole or not at all; `mode` None: that of the file which was there, else 0644. Raises OSError."""
    if mode is None:
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644
    temporary = path.with_name(path.name + UNDER_WAY)
    try:
        temporary.write_bytes(content)
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        drop(temporary)
        raise


def drop(path: Path) -> bool:
    """Remove a file; whether it was there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def drop_folder(path: Path) -> bool:
    """Remove a folder if nothing is in it; whether it is gone."""
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
