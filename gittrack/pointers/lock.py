"""Who stores something and `gc`, which takes away what nobody names, must not meet between storing and naming."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PAUSE = 0.02


@contextmanager
def naming(home: Path, patience: float = 10.0) -> Iterator[bool]:
    """Held from before an object is stored, or found to be there, until a journal or a commit names it.

    `home` is the repository's own folder of ours, one for all its worktrees. Any number may hold it at once. After
    `patience` seconds it is done without, since training must not wait for `gc`: then it is False, and whoever stores
    something makes it anew instead of trusting what is there.
    """
    with _held(home, exclusive=False, patience=patience) as held:
        yield held


@contextmanager
def collecting(home: Path, patience: float = 60.0) -> Iterator[bool]:
    """Held alone while `gc` looks once more who names what, and takes away; False when others held it all the while.

    Raises OSError where nothing can be written.
    """
    with _held(home, exclusive=True, patience=patience) as held:
        yield held


@contextmanager
def _held(home: Path, *, exclusive: bool, patience: float) -> Iterator[bool]:
    import fcntl

    try:
        home.mkdir(parents=True, exist_ok=True)
        handle = os.open(home / "store.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        if exclusive:
            raise
        # Somebody else may be allowed to write here, and to collect.
        yield False
        return
    try:
        yield _take(handle, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH, patience)
    finally:
        with suppress(OSError):
            # A process that was forked meanwhile has the handle too, and would hold the lock on.
            fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def _take(handle: int, kind: int, patience: float) -> bool:
    import fcntl

    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(_PAUSE)
        except OSError:
            # A file system that knows no locks: `gc` works, and who stores something makes it anew.
            return kind == fcntl.LOCK_EX
