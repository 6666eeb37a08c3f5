"""What a terminal would show in the end for a stream of bytes. Pure, linear in its length."""

from __future__ import annotations

import re

# Colours, titles, cursor shapes, alternative screens: all that moves no text.
_ESCAPE = re.compile(
    r"\x1b\][^\x07\x1b\n]{0,4096}(?:\x07|\x1b\\)?"  # OSC: window title, hyperlink
    r"|\x1b[PX^_][^\x1b\n]{0,4096}(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|\x1b\[[0-?]{0,64}[ -/]{0,8}[@-~]"  # CSI
    r"|\x1b[ -/]{0,8}[0-~]"  # two characters
    r"|\x1b"
)
_MOVE = re.compile(r"\x1b\[(\d{0,4})([ABCDGJK])\Z")
_OTHER_CONTROLS = re.compile(r"[\x00-\x07\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]+")
_TOKEN = re.compile(r"\x1b\[\d{0,4}[ABCDGJK]|[\r\b\n]|[^\x1b\r\b\n]+")

# A cursor goes up this far (nested progress bars), and right of the text only this far.
_ROWS_UP = 200
_COLUMNS = 300


def clean(data: bytes) -> str:
    """The text that is left when a terminal has obeyed all of `data`.

    Progress bars come down to their last state, colours are gone, lines end in a newline, and bytes
    that are no UTF-8 become replacement characters.
    """
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    if "\x1b" in text:
        text = _ESCAPE.sub(lambda found: found[0] if _MOVE.match(found[0]) else "", text)
    text = _OTHER_CONTROLS.sub("", text)
    if "\r" not in text and "\b" not in text and "\x1b" not in text:
        return text
    screen = _Screen()
    for token in _TOKEN.finditer(text):
        screen.take(token[0])
    return screen.text()


class _Screen:
    """A page without a bottom. Rows are lists of characters, so that writing into one is cheap."""

    def __init__(self) -> None:
        self._done: list[str] = []  # rows that the cursor cannot come back to
        self._rows: list[list[str]] = [[]]
        self._row = 0
        self._column = 0

    def take(self, token: str) -> None:
        if token == "\n":
            self._line_feed()
        elif token == "\r":
            self._column = 0
        elif token == "\b":
            self._column = max(0, self._column - 1)
        elif token[0] == "\x1b":
            self._move(token[-1], token[2:-1])
        else:
            self._write(token)

    def text(self) -> str:
        return "\n".join([*self._done, *map(_shown, self._rows)])

    def _line_feed(self) -> None:
        self._row += 1
        self._column = 0
        if self._row == len(self._rows):
            self._rows.append([])
            if len(self._rows) > 2 * _ROWS_UP:
                self._done += map(_shown, self._rows[:_ROWS_UP])
                del self._rows[:_ROWS_UP]
                self._row -= _ROWS_UP

    def _write(self, token: str) -> None:
        row = self._rows[self._row]
        if len(row) < self._column:
            row.extend(" " * (self._column - len(row)))
        end = self._column + len(token)
        row[self._column : end] = token
        self._column = end

    def _move(self, kind: str, number: str) -> None:
        count = max(1, int(number or "1"))
        if kind == "A":
            lowest = max(0, len(self._rows) - 1 - _ROWS_UP)
            self._row = max(min(lowest, self._row), self._row - count)
        elif kind == "B":
            self._row = min(len(self._rows) - 1, self._row + count)
        elif kind == "C":
            self._column += count
        elif kind == "D":
            self._column = max(0, self._column - count)
        elif kind == "G":
            self._column = count - 1
        elif number in ("", "0"):  # erase from here on: the line (K), or all that follows (J)
            del self._rows[self._row][self._column :]
            if kind == "J":
                del self._rows[self._row + 1 :]
        elif number == "2" and kind == "K":
            self._rows[self._row].clear()
        # Blanks up to the cursor are not paid for by any byte of the input, so they are few.
        self._column = min(self._column, max(len(self._rows[self._row]), _COLUMNS))


def _shown(row: list[str]) -> str:
    return "".join(row).rstrip(" ")
