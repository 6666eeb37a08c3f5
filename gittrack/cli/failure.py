"""What is left behind when gittrack itself is at fault: a report that can be sent to its makers."""

from __future__ import annotations

import os
import platform
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from gittrack._version import __version__
from gittrack.capture.secrets import mask_argv, mask_text
from gittrack.errors import GittrackError
from gittrack.git.program import run_git


def write_report(error: BaseException, arguments: Sequence[str]) -> str:
    """Write the report; returns the sentence for the user."""
    cause = f"{type(error).__name__}: {error}".split("\n")[0][:200]
    said = f"this is a defect of gittrack, not of yours ({mask_text(cause)})"
    text = _report(error, arguments)
    for folder in (_home(), Path(tempfile.gettempdir())):
        if folder is None:
            continue
        try:
            path = folder / f"gittrack-report-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
            folder.mkdir(parents=True, exist_ok=True)
            # Not for other people of this machine: a traceback says much.
            with open(
                os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", errors="backslashreplace"
            ) as file:
                file.write(text)
        except OSError:
            continue
        return f"{said}; please report it with the file {path}"
    return f"{said}; no report file could be written"


def _report(error: BaseException, arguments: Sequence[str]) -> str:
    told = mask_text("".join(traceback.format_exception(error)))
    return (
        f"gittrack {__version__}\n"
        f"python {platform.python_version()} ({platform.python_implementation()})\n"
        f"{_git('--version')}\n"
        f"{platform.platform()}\n"
        f"arguments: {mask_argv(list(arguments), ())}\n\n{told}"
    )


def _git(*arguments: str) -> str:
    try:
        return os.fsdecode(run_git(*arguments, check=False).stdout).strip()
    except GittrackError:
        return ""


def _home() -> Path | None:
    """Our folder in the repository; asked of git itself, since our own code has just failed."""
    found = _git("rev-parse", "--path-format=absolute", "--git-common-dir")
    return Path(found) / "gittrack" / "reports" if found else None
