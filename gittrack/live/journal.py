"""The append-only journal of one process of one run: what is acknowledged here survives kill -9.

Every call makes one `write(2)` to a file opened with O_APPEND, which the kernel carries out as a whole, so threads
need no lock. The records (docs/formats/journal.md) are little-endian:

    magic u8 = 0xA7 | kind u8 | count u16 | length of body u32 | body | crc32 of all before u32

    POINT   key u32, step i64, value f64, time f64
    KEY     key u32, name in UTF-8             before the first point of that key in this file
    POINTS  step i64, time f64, then `count` times: key u32, value f64
    EVENT   JSON: everything that is not a number over steps
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import struct
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from time import time
from typing import Any, Protocol
from zlib import crc32

from gittrack.domain.metric import STEP_MAX, to_number, to_step
from gittrack.domain.names import check_key
from gittrack.errors import RunClosed

MAGIC = 0xA7
POINT, KEY, POINTS, EVENT = 1, 2, 3, 4
HEAD = struct.Struct("<BBHI")
TAIL = struct.Struct("<I")
POINT_RECORD = struct.Struct("<BBHIIqddI")
POINT_BODY = 28
POINT_SIZE = POINT_RECORD.size

# The point's head and key number never change for one key, so they are packed once and go in as they are.
_pack_values = struct.Struct("<qdd").pack
_pack_parts = struct.Struct("<12s24sI").pack
_pack_tail = TAIL.pack

Write = Callable[[bytes], int | None]
# What a value, a key or the disk may come up with; the slow path names it or makes it good.
_EXPECTED = (KeyError, TypeError, ValueError, OverflowError, RuntimeError, OSError, struct.error, Warning)

# What may wait in memory while the disk refuses to take it; beyond that, points are counted as dropped.
_PENDING_LIMIT = 64 * 1024 * 1024
_MANY = 4096


@lru_cache(maxsize=256)
def points_struct(count: int) -> struct.Struct:
    return struct.Struct("<BBHIqd" + "Id" * count)


class _Slot:
    """One key: its number in this file, the first 12 bytes of its points, and its newest step."""

    __slots__ = ("crc", "number", "prefix", "step")

    def __init__(self, number: int, step: int = -1) -> None:
        self.number = number
        self.prefix = HEAD.pack(MAGIC, POINT, 1, POINT_BODY) + struct.pack("<I", number)
        self.crc = crc32(self.prefix)
        self.step = step


class PointLogger(Protocol):
    """One point now; without a step, one more than the key's last (the first is 0)."""

    def __call__(self, key: str, value: Any, step: int | None = None) -> None: ...


def _point_logger(
    keys: Mapping[str, _Slot], slowly: Callable[[str, Any, Any], None]
) -> tuple[PointLogger, Callable[[Write], None]]:
    """The hot path, and how to tell it where to write: one look-up, two packs, one write.

    A closure, because its names are found faster than attributes of an object: measured, a fifth of the whole call.
    """
    write: Write = len

    def log_metric(key: str, value: Any, step: int | None = None) -> None:
        try:
            slot = keys[key]
            at = slot.step + 1 if step is None else step
            values = _pack_values(at, value, time())
            if at is not True and write(_pack_parts(slot.prefix, values, crc32(values, slot.crc))) == 40:
                slot.step = at
                return
        except _EXPECTED as error:
            _raise_if_foreign(error)
        slowly(key, value, step)

    def switch(to: Write) -> None:
        nonlocal write
        write = to

    return log_metric, switch


def _raise_if_foreign(error: Exception) -> None:
    """An exception that a signal handler of the user's raised while we were at work is not ours to swallow."""
    if isinstance(error, OSError) and error.errno is None:
        raise error


class Journal:
    """Appends to one file; `warn` is told once when the world fails, and nothing is ever raised for that.

    `spare` makes a folder elsewhere, where the journal goes on in a file of the same name when its own place fails.
    """

    log_metric: PointLogger

    def __init__(
        self,
        path: Path,
        warn: Callable[[str], None],
        *,
        prefix: str = "",
        spare: Callable[[], Path] | None = None,
    ) -> None:
        self._warn = warn
        self._prefix = prefix
        self._spare = spare
        self._keys: dict[str, _Slot] = {}
        # Newest steps of keys that were logged before this file: of an earlier attempt, or by the parent of a fork.
        self.known_steps: dict[str, int] = {}
        self.log_metric, self._switch_points = _point_logger(self._keys, self._log_metric_slowly)
        self.reopen(path)

    def reopen(self, path: Path, announce: Callable[[], object] | None = None) -> None:
        """Continue in another file, as a forked child must; what waited in memory belongs to the parent.

        `announce` is called before the first record is written.
        """
        self.path = path
        self._announce = announce
        self.known_steps.update((key, slot.step) for key, slot in self._keys.items())
        self._lock = threading.RLock()
        self._pending: deque[bytes] = deque()
        self._pending_size = 0
        self.dropped = 0
        self._closed = False
        self._moved = False
        self._failed = False
        self._keys.clear()
        # Never closed while somebody may still log: a file descriptor that was given away to another file is the one
        # thing worse than a lost point. It is closed when the last reference to the object goes.
        self._file: io.FileIO | None = None
        self._switch(self._first_write)

    def _switch(self, write: Write) -> None:
        """Where records go from now on."""
        self._write = write
        self._switch_points(write)

    def _first_write(self, record: bytes) -> int | None:
        with self._lock:
            write = self._opened().write
            self._switch(write)
            return write(record)

    def _opened(self) -> io.FileIO:
        if self._file is None:
            if self._announce is not None:
                self._announce()
                self._announce = None
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            handle = os.open(self.path, flags, 0o666)
            self._file = io.FileIO(handle, "ab", closefd=False)
            weakref.finalize(self._file, os.close, handle).atexit = False
        return self._file

    # --- numbers

    def _log_metric_slowly(self, key: str, value: Any, step: Any) -> None:
        self._check_open()
        number = to_number(key, value)
        slot = self._slot(key)
        step = self._next_step(slot) if step is None else to_step(step)
        values = _pack_values(step, number, time())
        self._append(_pack_parts(slot.prefix, values, crc32(values, slot.crc)))
        slot.step = step

    def log_metrics(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Several points at one step and one moment, in one record: all of them or none."""
        try:
            keys = self._keys
            fields: list[Any] = []
            append = fields.append
            for key, value in values.items():
                append(keys[key].number)
                append(value)
            count = len(values)
            at = max(keys[key].step for key in values) + 1 if step is None else step
            record = points_struct(count)
            body = record.pack(MAGIC, POINTS, count, 16 + 12 * count, at, time(), *fields)
            if at is not True and self._write(body + _pack_tail(crc32(body))) == record.size + 4:
                for key in values:
                    keys[key].step = at
                return
        except _EXPECTED as error:
            _raise_if_foreign(error)
        self._log_metrics_slowly(values, step)

    def _log_metrics_slowly(self, values: Mapping[str, Any], step: Any) -> None:
        self._check_open()
        if not values:
            return
        # Every argument is checked before anything is written.
        checked = [(check_key("metric", key), to_number(key, value)) for key, value in values.items()]
        at = None if step is None else to_step(step)
        slots = [self._slot(key) for key, _ in checked]
        if at is None:
            at = max(self._next_step(slot) for slot in slots)
        now = time()
        for first in range(0, len(checked), _MANY):
            part = range(first, min(first + _MANY, len(checked)))
            fields = [field for index in part for field in (slots[index].number, checked[index][1])]
            body = points_struct(len(part)).pack(MAGIC, POINTS, len(part), 16 + 12 * len(part), at, now, *fields)
            self._append(body + _pack_tail(crc32(body)))
        for slot in slots:
            slot.step = at

    @staticmethod
    def _next_step(slot: _Slot) -> int:
        return min(slot.step + 1, STEP_MAX)

    def _slot(self, key: str) -> _Slot:
        slot = self._keys.get(key)
        if slot is None:
            check_key("metric", key)
            with self._lock:
                slot = self._keys.get(key)
                if slot is None:
                    slot = _Slot(len(self._keys), self.known_steps.get(key, -1))
                    self._append(self._name(key, slot))
                    # Only now may other threads use the number: its name is on disk before it.
                    self._keys[key] = slot
        return slot

    def _name(self, key: str, slot: _Slot) -> bytes:
        return frame(KEY, struct.pack("<I", slot.number) + (self._prefix + key).encode("utf-8"))

    # --- everything else

    def event(self, event: Mapping[str, Any]) -> bool:
        """Append one event; True when it is on disk."""
        self._check_open()
        return self._append(event_frame(event))

    def _check_open(self) -> None:
        if self._closed:
            raise RunClosed("the run is finished already; start a new one, or resume it with start_run(resume=…)")

    def _append(self, record: bytes) -> bool:
        # One at a time: nothing may be written while something older waits, least of all a point before its key.
        with self._lock:
            if self._pending and not self.flush():
                self._keep(record)
                return False
            try:
                written = self._write(record)
            except OSError as error:
                self._complain(error)
                written = 0
            if written == len(record):
                return True
            # A torn record may now lie in the file; readers skip it, and it goes in again as a whole, before all that follow.
            self._switch(self._write_later)
            self._keep(record)
            return self.flush()

    def _write_later(self, record: bytes) -> int | None:
        raise OSError(errno.EAGAIN, "the journal cannot be written at the moment")

    def _keep(self, record: bytes) -> None:
        if self._pending_size + len(record) > _PENDING_LIMIT:
            self.dropped += 1
            return
        self._pending.append(record)
        self._pending_size += len(record)

    def flush(self) -> bool:
        """Try once more to bring to disk what waits in memory; True when nothing waits."""
        with self._lock:
            while self._pending:
                record = self._pending[0]
                try:
                    write = self._opened().write
                    if write(record) != len(record):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                except OSError as error:
                    if self._complain(error):
                        continue
                    return False
                self._pending.popleft()
                self._pending_size -= len(record)
                if not self._pending:
                    # Only now may the fast path write again.
                    self._switch(write)
        return True

    def _complain(self, error: OSError) -> bool:
        """Tell it, once; True when there is another place to write to from now on."""
        # The fast path must not overtake what waits.
        self._switch(self._write_later)
        moved = self._move()
        if moved:
            rest = f"what is logged goes to {self.path.parent} until 'gittrack recover' can record it"
        elif not self._failed:
            self._failed = True
            rest = f"what is logged waits in memory until {self.path.parent} can be written again"
        else:
            return False
        with contextlib.suppress(Exception):
            self._warn(f"the run's journal cannot be written ({error.strerror or error}); training goes on, {rest}")
        return moved

    def _move(self) -> bool:
        """Go on in the spare place, with the keys known so far; tried once."""
        if self._spare is None or self._moved:
            return False
        self._moved = True
        before, name = (self.path, self._file), self.path.name
        try:
            self.path, self._file = self._spare() / name, None
            names = b"".join(self._name(key, slot) for key, slot in self._keys.items())
            if self._opened().write(names) == len(names):
                return True
        except OSError:
            pass
        self.path, self._file = before
        return False

    def close(self) -> bool:
        """No more records; True when all of them are on disk."""
        complete = self.flush() and self.dropped == 0
        self._closed = True
        self._switch(self._write_later)
        if self._file is not None:
            # Another thread may hold the old write in its hand: it must fail, or its point would be acknowledged and
            # then missed by whoever reads the journal now.
            nowhere = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            os.dup2(nowhere, self._file.fileno(), inheritable=False)
            os.close(nowhere)
        return complete

    @property
    def waiting(self) -> int:
        """How many records are not on disk."""
        return len(self._pending) + self.dropped


def _unicode(value: Any) -> Any:
    if isinstance(value, str):
        try:
            data = value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            data = value.encode("utf-8", "backslashreplace")
        return data.decode("utf-8", "backslashreplace")
    if isinstance(value, Mapping):
        return {_unicode(key): _unicode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_unicode(item) for item in value]
    return value


def event_frame(event: Mapping[str, Any]) -> bytes:
    """The record of one event."""
    import orjson

    try:
        data = orjson.dumps(event)
    except TypeError:
        # A path or a message that is not valid Unicode: what can be told of it is kept.
        data = orjson.dumps(_unicode(event))
    return frame(EVENT, data)


def frame(kind: int, body: bytes, count: int = 1) -> bytes:
    """One record around a body."""
    start = HEAD.pack(MAGIC, kind, count, len(body)) + body
    return start + TAIL.pack(crc32(start))
