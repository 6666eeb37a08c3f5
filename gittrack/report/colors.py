"""Colours that people who see colours differently tell apart, on white and on black paper."""

from __future__ import annotations

# For lines and groups (the palette of Okabe and Ito).
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
# For numbers, low to high: from blue to orange, none so dark or so light that a page would swallow it.
SHADES = ("#3F6FD8", "#7F66C9", "#B85FA4", "#DE6B76", "#EE9440")
NO_COLOR = "#888888"


def shade(part: float | None) -> str:
    """The colour of a number that lies so far, 0 to 1, along its axis; grey for what is no number."""
    if part is None:
        return NO_COLOR
    place = min(max(part, 0.0), 1.0) * (len(SHADES) - 1)
    at = min(int(place), len(SHADES) - 2)
    low, high = _channels(SHADES[at]), _channels(SHADES[at + 1])
    mixed = (round(a + (b - a) * (place - at)) for a, b in zip(low, high, strict=True))
    return "#" + "".join(f"{one:02x}" for one in mixed)


def _channels(color: str) -> tuple[int, ...]:
    return tuple(int(color[at : at + 2], 16) for at in (1, 3, 5))
