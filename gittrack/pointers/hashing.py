"""The md5 of a file while it is read, and while it is copied: one pass over the bytes."""

from __future__ import annotations

import errno
import hashlib
import os
import queue
import threading
from collections.abc import Callable, Iterator
from io import FileIO

Progress = Callable[[int], None]

# Larger blocks gain nothing.
BLOCK = 1 << 20
_STEP = 4 * BLOCK
_LEAD = 64 * BLOCK
# From so many bytes on, a thread costs less than it saves.
_THREAD_FROM = 2 * _STEP
# sendfile(2) between these files, or on this system, is not possible: macOS sends to sockets only.
_NO_SENDFILE = {errno.EINVAL, errno.ENOSYS, errno.ENOTSOCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EOVERFLOW}

Signature = tuple[int, int, int, int]

# ioctl(2) FICLONE, the same number on all architectures that Linux has reflinks on, but for a few old ones.
_FICLONE = 0x40049409


def signature(status: os.stat_result) -> Signature:
    """What changes when a file's content does: size, both times and the inode."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def clone(source: FileIO, target: FileIO) -> bool:
    """Make the target share the source's blocks, where the file system can; it does not change with the source."""
    try:
        import fcntl

        fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
    except (ImportError, OSError):
        return False
    return True


def copy(
    source: FileIO, target: FileIO, size: int, progress: Progress | None = None, *, alone: bool = True
) -> tuple[str, int]:
    """Copy a file into an empty one that can be read too; the md5 of what the copy holds, and its number of bytes.

    `size` is what to expect, no promise. `alone`: nobody else needs the cores, so the md5 may have a thread of its own.
    """
    if size and clone(source, target):
        return digest(target, progress)
    if size < _THREAD_FROM or not alone:
        hasher = _Follower(target)
        for count in _copied(source, target):
            hasher.follow(count)
            if progress is not None:
                progress(count)
        return hasher.result()
    return _side_by_side(source, target, progress)


def digest(source: FileIO, progress: Progress | None = None) -> tuple[str, int]:
    """The md5 of all that is left in a file, and its number of bytes."""
    hasher = hashlib.md5(usedforsecurity=False)
    block = memoryview(bytearray(BLOCK))
    total = 0
    while count := source.readinto(block):
        hasher.update(block[:count])
        total += count
        if progress is not None:
            progress(count)
    return hasher.hexdigest(), total


class _Follower:
    """Hashes a copy while it grows: never the source, which somebody may be changing."""

    def __init__(self, copy: FileIO) -> None:
        self._handle = copy.fileno()
        self._hasher = hashlib.md5(usedforsecurity=False)
        self._block = memoryview(bytearray(BLOCK))
        self._at = 0

    def follow(self, count: int) -> None:
        end = self._at + count
        while self._at < end:
            read = os.preadv(self._handle, [self._block[: end - self._at]], self._at)
            if not read:
                raise OSError(errno.EIO, "a file that was just written is shorter than that")
            self._hasher.update(self._block[:read])
            self._at += read

    def result(self) -> tuple[str, int]:
        return self._hasher.hexdigest(), self._at


def _side_by_side(source: FileIO, target: FileIO, progress: Progress | None) -> tuple[str, int]:
    hasher = _Follower(target)
    # Not further ahead than this, or what was written is gone from memory when the hasher comes.
    lead = threading.Semaphore(_LEAD // _STEP)
    steps: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    failed: list[BaseException] = []

    def follow() -> None:
        while (count := steps.get()) is not None:
            try:
                if not failed:
                    hasher.follow(count)
            except BaseException as error:
                failed.append(error)
            lead.release()

    thread = threading.Thread(target=follow, name="gittrack-md5", daemon=True)
    thread.start()
    try:
        for count in _copied(source, target):
            lead.acquire()
            steps.put(count)
            if progress is not None:
                progress(count)
    except BaseException:
        # Nobody needs the md5 any more.
        failed.append(InterruptedError())
        raise
    finally:
        steps.put(None)
        thread.join()
    if failed:
        raise failed[0]
    return hasher.result()


def _copied(source: FileIO, target: FileIO) -> Iterator[int]:
    """Copy to the end, and say after each step how many bytes it was; inside the kernel where it can do that."""
    block: memoryview | None = None
    while True:
        if block is None:
            try:
                count = os.sendfile(target.fileno(), source.fileno(), None, _STEP)
            except OSError as error:
                if error.errno not in _NO_SENDFILE:
                    raise
                block = memoryview(bytearray(BLOCK))
                continue
        else:
            count = source.readinto(block) or 0
            written = 0
            while written < count:
                written += target.write(block[written:count])
        if not count:
            return
        yield count
