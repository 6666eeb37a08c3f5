"""Lines of our own in `info/attributes`, which git obeys in every worktree of a clone and for every commit."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence

from gittrack.git.repository import Repository

_BEGIN, _END = b"# >>> gittrack >>>", b"# <<< gittrack <<<"
# Whole, and with nothing inside but lines that gittrack writes: of a block that lost its end, somebody else's lines may follow.
_BLOCK = re.compile(
    rb"^%s\r?\n(?:/\.gittrack/\S+ diff=gittrack\r?\n)*%s(?:\r?\n|\Z)" % (re.escape(_BEGIN), re.escape(_END)),
    re.MULTILINE,
)


def set_attributes(repository: Repository, lines: Sequence[str]) -> bool:
    """Make these lines our block of the file; whether anything changed. What others wrote there stays; raises OSError."""
    path = repository.common_dir / "info" / "attributes"
    there = path.read_bytes() if path.exists() else b""
    wanted = with_block(there, lines)
    if wanted == there:
        return False
    # Whoever made a link of it wants the file behind it.
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix="attributes-", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(wanted)
        os.chmod(temporary, path.stat().st_mode & 0o777 if path.exists() else 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return True


def with_block(there: bytes, lines: Sequence[str]) -> bytes:
    """The file with our block in it once: where it was, else at the end; one that is not whole stays as it is."""
    block = b"\n".join([_BEGIN, *(line.encode("utf-8") for line in lines), _END]) + b"\n"
    first = _BLOCK.search(there)
    if first is None:
        return there + (b"\n" if there and not there.endswith(b"\n") else b"") + block
    return there[: first.start()] + block + _BLOCK.sub(b"", there[first.end() :])
