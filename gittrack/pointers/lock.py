"""Who stores something and `gc`, which takes away what nobody names, must not meet between storing and naming."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PAUSE = 0.02


@contextmanager
def naming(keep: Path, patience: float = 10.0) -> Iterator[None]:
    """Held from before an object is stored, or found to be there, until a journal or a commit names it.

    Any number may hold it at once. After `patience` seconds it is done without: training must not wait for `gc`.
    """
    with _held(keep, exclusive=False, patience=patience):
        yield


@contextmanager
def collecting(keep: Path, patience: float = 60.0) -> Iterator[bool]:
    """Held alone, from before `gc` looks who names what until all is gone; False when others held it all the while.

    Raises OSError where nothing can be written.
    """
    with _held(keep, exclusive=True, patience=patience) as held:
        yield held


@contextmanager
def _held(keep: Path, *, exclusive: bool, patience: float) -> Iterator[bool]:
    import fcntl

    try:
        keep.mkdir(parents=True, exist_ok=True)
        handle = os.open(keep / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        if exclusive:
            raise
        # Where nothing can be written, nothing is collected either.
        yield True
        return
    try:
        yield _take(handle, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH, patience)
    finally:
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
            # A file system that knows no locks: the day of grace in `gc` has to do.
            return True
