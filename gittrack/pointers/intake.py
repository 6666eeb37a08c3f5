"""Reading a source once: its md5, and on the way an object of the store."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from io import FileIO
from pathlib import Path

from gittrack.errors import SourceChanged
from gittrack.pointers.farm import Farm, remove
from gittrack.pointers.hashing import BLOCK, Progress, Signature, copy, digest, md5, signature
from gittrack.pointers.memory import Hashed

# A file that changes while it is read is read again.
_TRIES = 3
# Hashing is what takes the time; with more threads than this the disk does.
_THREADS = 4


def take_file(path: str, farm: Farm | None, progress: Progress | None = None, *, alone: bool = True) -> Hashed:
    """The md5 of a file; `farm` gets an object of the bytes that were hashed. `alone`: no other file is read meanwhile.

    Raises OSError, and SourceChanged for a file that never stands still; then the farm is as before.
    """
    for _ in range(_TRIES):
        began = time.time_ns()
        with open(path, "rb", buffering=0) as source:
            before = signature(os.fstat(source.fileno()))
            take = _take_small if before[0] < BLOCK else _take_large
            oid = take(source, before, farm, progress, alone)
        if oid is not None:
            return Hashed(oid, before, began)
    raise SourceChanged(f"{path} changes while it is read; store it when nothing writes to it any more")


def _take_small(
    source: FileIO, before: Signature, farm: Farm | None, progress: Progress | None, alone: bool
) -> str | None:
    size = before[0]
    # One byte more than expected, so that growing is noticed.
    data = source.read(size + 1)
    if len(data) != size or signature(os.fstat(source.fileno())) != before:
        return None
    oid = md5(data)
    if farm is not None:
        farm.put(oid, data)
    if progress is not None:
        progress(size)
    return oid


def _take_large(
    source: FileIO, before: Signature, farm: Farm | None, progress: Progress | None, alone: bool
) -> str | None:
    size = before[0]
    temporary: Path | None = None
    try:
        if farm is None:
            oid, count = digest(source, progress)
        else:
            temporary = farm.scratch()
            with open(temporary, "xb+", buffering=0) as target:
                oid, count = copy(source, target, size, progress, alone=alone)
        if count != size or signature(os.fstat(source.fileno())) != before:
            if progress is not None:
                progress(-count)
            return None
        if farm is not None and temporary is not None:
            farm.install(oid, temporary)
            temporary = None
        return oid
    finally:
        if temporary is not None:
            remove(temporary)


def take_files(
    paths: Sequence[tuple[str, int]], farm: Farm | None, progress: Progress | None = None
) -> dict[str, Hashed]:
    """Many files, `(path, expected size)`: the small ones in turn, the large ones side by side."""
    large = [path for path, size in paths if size >= BLOCK]
    done = {path: take_file(path, farm, progress) for path, size in paths if size < BLOCK}
    if len(large) < 2:
        return done | {path: take_file(path, farm, progress) for path in large}
    from concurrent.futures import ThreadPoolExecutor

    lock = threading.Lock()

    def report(count: int) -> None:
        with lock:
            if progress is not None:
                progress(count)

    pool = ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1), thread_name_prefix="gittrack-store")
    try:
        found = pool.map(lambda path: take_file(path, farm, report, alone=False), large)
        done.update(zip(large, found, strict=True))
    finally:
        # After an error or Ctrl-C the files that are being read are finished, no more are begun.
        pool.shutdown(cancel_futures=True)
    return done
