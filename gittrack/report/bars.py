"""Shares of one whole as bars, with how far they can be believed. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gittrack.compare.importance import Importance
from gittrack.report.text import fit, pad, width
from gittrack.values import dataclass

_LABEL = 28


@dataclass(frozen=True, slots=True)
class Bars:
    """How much each param matters for a metric, the most first."""

    metric: str
    shares: tuple[Importance, ...]

    @property
    def heading(self) -> str:
        return f"importance for {self.metric}"


def bar_lines(found: Bars, columns: int) -> list[str]:
    """The bars in a terminal of so many columns, `─` from the low end of an interval to its high one."""
    labels = [fit(one.key, _LABEL) for one in found.shares]
    wide = max(map(width, labels), default=0)
    room = max(10, columns - wide - 8)
    return [
        found.heading,
        *(_line(pad(label, wide), one, room) for label, one in zip(labels, found.shares, strict=True)),
    ]


def _line(label: str, one: Importance, room: int) -> str:
    cells = ["█"] * round(one.share * room) + [" "] * (room - round(one.share * room))
    for at in _interval(one, room):
        cells[at] = "▓" if cells[at] == "█" else "─"
    return f"{label} {one.share:.3f} {''.join(cells)}".rstrip()


def _interval(one: Importance, room: int) -> Sequence[int]:
    if one.low is None or one.high is None:
        return ()
    return range(max(0, min(room - 1, round(one.low * room))), max(0, min(room, round(one.high * room))))
