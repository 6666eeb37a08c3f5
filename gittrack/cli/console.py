"""The only place that prints: results to stdout (through a pager if it is a terminal), the rest to stderr."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

import click

from gittrack.errors import GittrackError
from gittrack.report.table import Column, Paint, as_csv, as_markdown, as_text
from gittrack.report.text import escape, escape_lines

# What a reader of a pipe or file gets when nobody says how wide: enough for the usual columns.
_WIDTH_WITHOUT_TERMINAL = 120

_STYLES: Mapping[str, Mapping[str, Any]] = {
    "title": {"bold": True},
    "strong": {"bold": True},
    "dim": {"dim": True},
    "good": {"fg": "green"},
    "bad": {"fg": "red"},
    "warn": {"fg": "yellow"},
    "commit": {"fg": "yellow"},
    "finished": {"fg": "green"},
    "running": {"fg": "cyan"},
    "failed": {"fg": "red"},
    "killed": {"fg": "red"},
    "lost": {"fg": "magenta"},
}


class OutputClosed(Exception):
    """Whoever read our output went away, like `head` does; nothing is wrong."""


class Console:
    """Where a command's results and remarks go."""

    def __init__(self, *, color: str = "auto", pager: bool = True) -> None:
        # What an encoding cannot say, and halves of surrogate pairs, become \x.. and \u....
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        self._color = color
        self._pager = pager
        self.is_terminal = sys.stdout.isatty()

    # --- how it looks

    @property
    def width(self) -> int:
        """Columns for a table or a picture; COLUMNS has the last word."""
        import shutil

        fallback = _WIDTH_WITHOUT_TERMINAL
        if self.is_terminal or os.environ.get("COLUMNS"):
            return shutil.get_terminal_size((80, 24)).columns
        return fallback

    @property
    def height(self) -> int:
        import shutil

        return shutil.get_terminal_size((80, 24)).lines

    def colored(self, stream: TextIO | None = None) -> bool:
        if self._color != "auto":
            return self._color == "always"
        wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        return wanted and (stream or sys.stdout).isatty()

    @property
    def paint(self) -> Paint | None:
        """Gives text a style or a colour by name; None where there are no colours."""
        return _paint if self.colored() else None

    def style(self, text: str, name: str) -> str:
        return _paint(text, name) if name and self.colored() else text

    # --- results

    def write(self, text: str) -> None:
        """Text to stdout as it is; raises OutputClosed."""
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:
            raise OutputClosed from None

    def line(self, text: str = "") -> None:
        self.write(f"{text}\n")

    def lines(self, lines: Iterable[str]) -> None:
        """Several lines at once, paged if they are more than a terminal shows."""
        text = "".join(f"{line}\n" for line in lines)
        command = self._pager_command() if text else None
        if command is None or not _page(command, text):
            self.write(text)

    def table(self, columns: Sequence[Column], *, form: str = "text", whole: bool = False) -> None:
        """A table as `text`, `csv` or `md`; `whole` does not shorten it to the terminal."""
        if form == "csv":
            self.write(as_csv(columns))
        elif form == "md":
            self.write(as_markdown(columns))
        else:
            self.lines(as_text(columns, room=None if whole else self.width, paint=self.paint))

    def json(self, value: Any) -> None:
        """A value as JSON; of a list each element has a line of its own."""
        import json

        # Where the stream cannot write every character, only JSON's own escapes are valid.
        ascii_only = (sys.stdout.encoding or "ascii").lower().replace("-", "") != "utf8"
        options: dict[str, Any] = {"ensure_ascii": ascii_only, "allow_nan": False}
        if isinstance(value, list):
            rows = ",\n".join(json.dumps(one, **options) for one in value)
            text = f"[\n{rows}\n]" if value else "[]"
        else:
            text = json.dumps(value, indent=2, **options)
        self.write(text + "\n")

    # --- remarks

    def note(self, text: str) -> None:
        """A line on stderr that is not part of the result."""
        self._remark(escape_lines(text))

    def error(self, text: str) -> None:
        self._remark(f"gittrack: {escape_lines(text)}")

    def listing(self, items: Sequence[str], *, most: int = 20) -> None:
        """Things that a remark speaks of, below it."""
        for one in items[:most]:
            self._remark(f"  {escape(one)}")
        if len(items) > most:
            self._remark(f"  ... and {len(items) - most:,} more")

    def _remark(self, text: str) -> None:
        try:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
        except (BrokenPipeError, ValueError):
            return

    # --- pages

    def _pager_command(self) -> str | None:
        """git's pager (GIT_PAGER, core.pager, PAGER, less), or None where a pager makes no sense."""
        if not (self._pager and self.is_terminal):
            return None
        from gittrack.git.program import run_git

        try:
            found = os.fsdecode(run_git("var", "GIT_PAGER", check=False).stdout).strip()
        except GittrackError:
            found = ""
        command = found or os.environ.get("PAGER", "").strip() or "less"
        return None if command == "cat" else command


def _paint(text: str, name: str) -> str:
    return click.style(text, **_STYLES.get(name, {"fg": name}))


def _page(command: str, text: str) -> bool:
    """Show text in a pager; False when it could not be started."""
    # As git: less goes away by itself when all fits one screen, and shows colours.
    environment = {**os.environ}
    environment.setdefault("LESS", "FRX")
    environment.setdefault("LV", "-c")
    try:
        process = subprocess.Popen(command, shell=True, stdin=subprocess.PIPE, env=environment)
    except OSError:
        return False
    encoding = sys.stdout.encoding or "utf-8"
    try:
        process.communicate(text.encode(encoding, "backslashreplace"))
    except BrokenPipeError:
        pass
    while True:
        try:
            # 127: the shell found no such program.
            return process.wait() != 127
        except KeyboardInterrupt:
            # The key is for the pager, which may use it to stop a search.
            continue
