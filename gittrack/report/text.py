"""Text on a screen: how wide it is, what of it must not reach a terminal, and how to shorten it."""

from __future__ import annotations

import re

ELLIPSIS = "…"

# Control characters, what turns the reading direction around, line ends that are not "\n", and
# halves of surrogate pairs (bytes of a path that are not UTF-8).
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_JOINER, _EMOJI_STYLE = "\u200d", "\ufe0f"
_NAMED = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def escape(text: str) -> str:
    """One line that a terminal shows and does not obey: what is unsafe becomes like `\\x1b`."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(_escaped, text)


def escape_lines(text: str) -> str:
    """The same for text of several lines: line ends and tabs stay."""
    return _UNSAFE.sub(lambda found: found[0] if found[0] in "\n\t" else _escaped(found), text)


def _escaped(found: re.Match[str]) -> str:
    char = found[0]
    if char in _NAMED:
        return _NAMED[char]
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def width(text: str) -> int:
    """How many columns of a terminal the text takes (Unicode Annex 11; emoji sequences count once)."""
    if text.isascii():
        return len(text)
    return sum(_widths(text))


def _widths(text: str) -> list[int]:
    """The columns of each character; those that join the one before take none."""
    from unicodedata import category, east_asian_width

    widths: list[int] = []
    joined = False
    for char in text:
        code = ord(char)
        if char == _JOINER:
            widths.append(0)
            joined = True
            continue
        if char == _EMOJI_STYLE and widths:
            at = next((i for i in range(len(widths) - 1, -1, -1) if widths[i]), None)
            if at is not None:
                widths[at] = 2
            widths.append(0)
        elif joined or category(char) in ("Mn", "Me", "Cf") or 0x1F3FB <= code <= 0x1F3FF:
            widths.append(0)
        else:
            widths.append(2 if east_asian_width(char) in "WF" else 1)
        joined = False
    return widths


def fit(text: str, columns: int) -> str:
    """The text in at most so many columns, shortened in the middle, where names differ least."""
    if width(text) <= columns:
        return text
    if columns <= 1:
        return ELLIPSIS[:columns]
    widths = [1] * len(text) if text.isascii() else _widths(text)
    room = columns - 1
    head, used = 0, 0
    while used + widths[head] <= (room + 1) // 2:
        used += widths[head]
        head += 1
    while head < len(text) and not widths[head]:  # what belongs to the last character taken
        head += 1
    tail = len(text)
    while used + widths[tail - 1] <= room:
        tail -= 1
        used += widths[tail]
    while tail < len(text) and not widths[tail]:  # and not what belongs to one left out
        tail += 1
    return text[:head] + ELLIPSIS + text[tail:]


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """The text with spaces up to so many columns; `right` puts the text there."""
    space = " " * (columns - width(text))
    return space + text if right else text + space
