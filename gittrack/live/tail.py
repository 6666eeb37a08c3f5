"""What an active run says now, without reading all of a long journal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from gittrack.live.folder import RunFolder
from gittrack.live.journal import HEAD, KEY, MAGIC, POINT_SIZE
from gittrack.live.replay import Replay, first_record, scan
from gittrack.values import dataclass

# Read whole up to here; of a longer journal the beginning (who, what, keys) and the end (newest points).
_PIECE = 256 * 1024
_KEY_HEAD = HEAD.pack(MAGIC, KEY, 1, 0)[:4]
_LONGEST_KEY = 8 * 1024


@dataclass(frozen=True, slots=True)
class Peek:
    """The events seen, the newest point of each metric seen, and about how many points there are."""

    events: tuple[dict[str, Any], ...]
    newest: dict[str, tuple[int, float]]
    points: int
    rate: float


def peek(folder: RunFolder) -> Peek:
    """A look at an active run; raises OSError when its folder just went away."""
    events: list[dict[str, Any]] = []
    newest: dict[str, tuple[int, float, float]] = {}
    points, rate = 0, 0.0
    for path in folder.journals():
        for part in _pieces(path):
            events += part.events
            for key, history in part.histories.items():
                if key not in newest or history.times[-1] >= newest[key][2]:
                    newest[key] = (history.steps[-1], history.values[-1], history.times[-1])
        count, seconds = _recent(part)
        whole = path.stat().st_size
        points += sum(map(len, part.histories.values())) if whole <= 2 * _PIECE else whole // POINT_SIZE
        rate += count / seconds if seconds > 0 else 0.0
    events.sort(key=lambda event: event.get("time", 0.0))
    return Peek(tuple(events), {key: value[:2] for key, value in newest.items()}, points, rate)


def _pieces(path: Path) -> list[Replay]:
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size <= 2 * _PIECE:
            return [scan(file.read())]
        first = scan(file.read(_PIECE))
        file.seek(size - _PIECE)
        end = file.read()
        last = scan(end, first.names)
        if any(key.startswith("unnamed/") for key in last.histories):
            # Their names were written in between: a quick look for those alone.
            file.seek(_PIECE)
            last = scan(end, first.names | _names(file.read(size - 2 * _PIECE)))
        return [first, last]


def _names(data: bytes) -> dict[int, str]:
    names: dict[int, str] = {}
    at = data.find(_KEY_HEAD)
    while at != -1:
        names |= scan(first_record(data[at : at + _LONGEST_KEY])).names
        at = data.find(_KEY_HEAD, at + 1)
    return names


def _recent(part: Replay) -> tuple[int, float]:
    """How many points came in how many seconds, but for the utilisation samples."""
    times = [time for key, one in part.histories.items() if not key.startswith("system/") for time in one.times]
    return (len(times), max(times) - min(times)) if len(times) > 1 else (0, 0.0)
