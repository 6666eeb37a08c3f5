"""What a run printed: a capped log on disk, and its reading as a person would have seen it.

The first bytes go to `console.log`, later ones to segments `console.log.<offset>` of which only
the newest are kept, so that head and tail are on disk at every moment and a kill loses nothing.
Bytes are kept as they came; `clean` makes text of them.
"""

from __future__ import annotations

import os
import threading
import weakref
from itertools import pairwise
from pathlib import Path

from gittrack.capture.terminal import clean

__all__ = ["HEAD", "TAIL", "ConsoleLog", "clean", "read_console"]

HEAD = 512 * 1024
TAIL = 512 * 1024

# Of the kind that its owner may take again: a signal's handler may print while we write.
_lock = threading.RLock

_NAME = "console.log"
_SEGMENTS = 4  # of which one is being written: the tail costs a quarter more than it holds


class ConsoleLog:
    """An append-only sink of bytes in `directory`, capped to about `head` and `tail` bytes.

    It never raises: what could not be written is counted in `dropped`. It may be written to by
    several threads, and goes on in forked children. A log that is there is continued.
    """

    def __init__(self, directory: Path, head: int = HEAD, tail: int = TAIL) -> None:
        self.dropped = 0
        self._directory = directory
        self._head = head
        self._tail = tail
        self._segment = max(1, tail // _SEGMENTS)
        self._lock = _lock()
        self._fd: int | None = None
        self._offset = 0  # of the file that is being written, in all that was ever printed
        self._closed = False
        try:
            segments = _segments(directory)
            self._open(segments[-1][0] if segments else 0)
        except OSError:
            pass  # the first write tries again
        _logs.add(self)

    def write(self, data: bytes) -> None:
        """Append; bytes that do not fit any more push out older ones."""
        with self._lock:
            rest = memoryview(data)
            try:
                while rest and not self._closed:
                    rest = rest[self._write_some(rest) :]
            except OSError:
                pass
            self.dropped += len(rest)

    def close(self) -> None:
        """Stop writing; later writes are dropped."""
        with self._lock:
            self._closed = True
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None

    def _write_some(self, data: memoryview) -> int:
        if self._fd is None:
            self._open(self._offset)
        assert self._fd is not None
        state = os.fstat(self._fd)
        # The file knows best how full it is: a forked child writes to it too.
        limit = self._head if self._offset == 0 else self._segment
        room = limit - state.st_size
        if room <= 0 or (state.st_nlink == 0 and self._offset > 0):
            self._advance(state.st_size)
            return 0
        return os.write(self._fd, data[:room])

    def _open(self, offset: int) -> None:
        path = self._directory / (f"{_NAME}.{offset}" if offset else _NAME)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        before = self._fd
        # In this order, because a fork may happen at any point.
        self._fd, self._offset = os.open(path, flags, 0o666), offset
        if before is not None:
            os.close(before)

    def _advance(self, size: int) -> None:
        """Begin the next segment, and remove those that the tail does not need any more."""
        older = _segments(self._directory)
        # A relative may be ahead of us: then its newest segment is ours too.
        self._open(max([self._offset + size, *(offset for offset, _ in older)]))
        keep = self._offset - self._tail
        for (_, path), (following, _) in pairwise(older):
            if following <= keep:
                path.unlink(missing_ok=True)


_logs: weakref.WeakSet[ConsoleLog] = weakref.WeakSet()


def _renew_locks() -> None:
    """In a forked child: another thread may have held a lock that nobody will release there."""
    for log in _logs:
        log._lock = _lock()


os.register_at_fork(after_in_child=_renew_locks)


def read_console(directory: Path, tail: int = TAIL) -> bytes:
    """Head and tail of a log, with a line between them that tells how many bytes are left out.

    Raises OSError when there is a log that cannot be read; without one it is empty.
    """
    try:
        head = (directory / _NAME).read_bytes()
    except FileNotFoundError:
        head = b""
    rest = bytearray()
    end = len(head)
    for offset, path in _segments(directory):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue  # the run goes on, and has just left it behind
        if offset > end:
            rest.clear()  # a gap: what is before it is no part of the tail
        rest += data
        end = offset + len(data)
    cut = len(rest) - tail
    if cut > 0:
        # Begin with a whole line, if one begins near.
        newline = rest.find(b"\n", cut - 1, cut + 4096)
        del rest[: newline + 1 if newline >= 0 else cut]
    left_out = end - len(rest) - len(head)
    if left_out <= 0:
        return head + rest
    between = b"" if head.endswith(b"\n") else b"\n"
    return head + between + f"... {left_out:,} bytes left out ...\n".encode() + rest


def _segments(directory: Path) -> list[tuple[int, Path]]:
    """The segments after the head, oldest first, each with its offset."""
    found = []
    for name in os.listdir(directory):
        stem, _, offset = name.rpartition(".")
        if stem == _NAME and offset.isdecimal():
            found.append((int(offset), directory / name))
    return sorted(found)
