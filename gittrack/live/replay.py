"""Reading journals back (pure): bytes in, events and histories out, whatever the crash left behind."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, TypeVar
from zlib import crc32

from gittrack.domain.metric import History
from gittrack.live.journal import (
    EVENT,
    HEAD,
    KEY,
    MAGIC,
    POINT,
    POINT_BODY,
    POINT_RECORD,
    POINT_SIZE,
    POINTS,
    TAIL,
    points_struct,
)
from gittrack.values import dataclass, field

_T = TypeVar("_T")
_MAX_BODY = 1 << 28
_MAGIC_BYTE = bytes([MAGIC])
_POINT_HEAD = HEAD.pack(MAGIC, POINT, 1, POINT_BODY)


@dataclass(slots=True)
class Replay:
    """What journals hold: `events` in order, histories by key, and how many bytes could not be read."""

    events: list[dict[str, Any]] = field(default_factory=list)
    histories: dict[str, History] = field(default_factory=dict)
    skipped: int = 0
    torn: int = 0
    names: dict[int, str] = field(default_factory=dict)


def replay(journals: Sequence[bytes], names: Sequence[Mapping[int, str]] = ()) -> Replay:
    """All journals of one run together: events by time, points of one key by time (in order, where times are equal)."""
    parts = [scan(one, known) for one, known in zip_longest(journals, names)]
    if len(parts) == 1:
        return parts[0]
    whole = Replay(skipped=sum(part.skipped for part in parts), torn=sum(part.torn for part in parts))
    whole.events = _in_time([part.events for part in parts], lambda event: event.get("time", 0.0))
    keys = dict.fromkeys(key for part in parts for key in part.histories)
    for key in keys:
        whole.histories[key] = merge([part.histories[key] for part in parts if key in part.histories])
    return whole


def merge(histories: Sequence[History]) -> History:
    """Points of one metric from several writers in the order of their times."""
    if len(histories) == 1:
        return histories[0]
    merged = History(histories[0].key)
    for step, value, at in _in_time([list(history) for history in histories], lambda point: point.time):
        merged.steps.append(step)
        merged.values.append(value)
        merged.times.append(at)
    return merged


def _in_time(parts: Sequence[Sequence[_T]], time: Callable[[_T], float]) -> list[_T]:
    """All together by time; what one writer wrote stays in its order, even where its clock was set back meanwhile."""
    keyed = []
    for part in parts:
        latest = float("-inf")
        for one in part:
            latest = max(latest, time(one))
            keyed.append((latest, one))
    return [one for _, one in sorted(keyed, key=lambda pair: pair[0])]


def scan(data: bytes, names: Mapping[int, str] | None = None) -> Replay:
    """One journal. A damaged or torn stretch is skipped up to the next whole record, and counted.

    `names` are the keys known from an earlier part of the same file, when `data` is a later one.
    """
    result = Replay(names={} if names is None else dict(names))
    names = result.names
    unnamed: dict[int, History] = {}
    columns: dict[int, History] = {}

    def column(number: int) -> History:
        history = columns.get(number)
        if history is None:
            name = names.get(number)
            if name is None:
                # Its KEY record was damaged: the points are kept under a name that says so.
                history = unnamed.setdefault(number, History(f"unnamed/{number}"))
            else:
                history = result.histories.setdefault(name, History(name))
            columns[number] = history
        return history

    view = memoryview(data)
    at, end = 0, len(data)
    while at < end:
        if data[at : at + 8] == _POINT_HEAD:
            at = _scan_points(view, at, column)
            if data[at : at + 8] != _POINT_HEAD:
                continue
            # The run of points stopped at a damaged one.
        size = _whole_record(view, at, end)
        if size is None:
            following = _next_record(data, view, at + 1, end)
            if following is None:
                result.torn += end - at
                break
            result.skipped += following - at
            at = following
            continue
        _, kind, count, length = HEAD.unpack_from(view, at)
        body = view[at + HEAD.size : at + HEAD.size + length]
        if kind == KEY and length >= 4:
            number = int.from_bytes(body[:4], "little")
            names[number] = str(body[4:], "utf-8", "replace")
            columns.pop(number, None)
        elif kind == POINTS and length == 16 + 12 * count:
            fields = points_struct(count).unpack_from(view, at)
            step, time = fields[4], fields[5]
            for index in range(6, 6 + 2 * count, 2):
                history = column(fields[index])
                history.steps.append(step)
                history.values.append(fields[index + 1])
                history.times.append(time)
        elif kind == EVENT:
            _add_event(result, bytes(body))
        # Kinds that a newer writer added are passed over.
        at += size
    for number, history in unnamed.items():
        # The name may have come after the points all the same.
        named = result.histories.pop(names[number], None) if number in names else None
        history.key = names.get(number, history.key)
        result.histories[history.key] = history if named is None else _join(history, named)
    return result


def _join(history: History, more: History) -> History:
    history.steps.extend(more.steps)
    history.values.extend(more.values)
    history.times.extend(more.times)
    return history


def _scan_points(view: memoryview, at: int, column: Any) -> int:
    """Single points in a row, the most frequent record by far; returns where the row ends."""
    count = (len(view) - at) // POINT_SIZE
    number_before = -1
    steps = values = times = None
    for magic, kind, _, length, number, step, value, time, check in POINT_RECORD.iter_unpack(
        view[at : at + count * POINT_SIZE]
    ):
        if magic != MAGIC or kind != POINT or length != POINT_BODY or crc32(view[at : at + POINT_SIZE - 4]) != check:
            return at
        if number != number_before:
            history: History = column(number)
            steps, values, times = history.steps.append, history.values.append, history.times.append
            number_before = number
        assert steps is not None
        assert values is not None
        assert times is not None
        steps(step)
        values(value)
        times(time)
        at += POINT_SIZE
    return at


def _whole_record(view: memoryview, at: int, end: int) -> int | None:
    """The size of the record at `at`, or None when there is none that is whole."""
    if at + HEAD.size + TAIL.size > end:
        return None
    magic, _, _, length = HEAD.unpack_from(view, at)
    size = HEAD.size + int(length) + TAIL.size
    if magic != MAGIC or length > _MAX_BODY or at + size > end:
        return None
    (check,) = TAIL.unpack_from(view, at + size - TAIL.size)
    return size if crc32(view[at : at + size - TAIL.size]) == check else None


def first_record(data: bytes) -> bytes:
    """The record at the very beginning, without what follows; empty when there is none."""
    size = _whole_record(memoryview(data), 0, len(data))
    return data[: size or 0]


def _next_record(data: bytes, view: memoryview, at: int, end: int) -> int | None:
    while True:
        at = data.find(_MAGIC_BYTE, at)
        if at == -1:
            return None
        if _whole_record(view, at, end) is not None:
            return at
        at += 1


def _add_event(result: Replay, body: bytes) -> None:
    import orjson

    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError:
        event = None
    known = isinstance(event, dict) and isinstance(event.get("op"), str)
    if known and isinstance(event.get("time", 0.0), (int, float)):
        result.events.append(event)
    else:
        result.skipped += len(body)


def with_attempts(history: History, starts: Sequence[float]) -> History:
    """Number each point with the attempt it belongs to; `starts` are the attempts' start times, ascending."""
    if len(starts) > 1:
        from bisect import bisect_right

        history.attempts = array("i", (max(1, bisect_right(starts, time)) for time in history.times))
    return history
