"""The pager, on a real terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.cli.conftest import Desk


def on_a_terminal(desk: Desk, *args: str, env: Mapping[str, str] | None = None) -> str:
    """What a command shows on a terminal of 80 columns."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gittrack", *args],
        cwd=desk.repo.path,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24", **(env or {})},
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:  # the other side is closed
            break
        if not chunk:
            break
        shown += chunk
    os.close(master)
    assert process.wait() == 0, shown
    return shown.decode()


def test_long_output_goes_through_gits_pager(three: Desk, tmp_path: Path) -> None:
    pager = f"sed s/^/PAGED:/ > {tmp_path}/seen; true"
    assert on_a_terminal(three, "log", env={"GIT_PAGER": pager}) == ""
    assert (tmp_path / "seen").read_text().startswith("PAGED:\x1b[33mcommit ")
    three.repo.git("config", "core.pager", f"cat > {tmp_path}/config")
    on_a_terminal(three, "ls")
    assert "slow" in (tmp_path / "config").read_text()


def test_no_pager_when_not_wanted(three: Desk) -> None:
    assert "slow" in on_a_terminal(three, "--no-pager", "ls", env={"GIT_PAGER": "false"})
    assert "slow" in on_a_terminal(three, "ls", env={"GIT_PAGER": "cat"})


def test_a_pager_that_leaves_early_or_is_missing(three: Desk) -> None:
    assert "Traceback" not in on_a_terminal(three, "log", env={"GIT_PAGER": "true"})
    assert "slow" in on_a_terminal(three, "ls", env={"GIT_PAGER": "no-such-pager-here"})


def test_colours_on_a_terminal(three: Desk) -> None:
    assert "\x1b[32mfinished" in on_a_terminal(three, "ls")
    assert "\x1b[" not in on_a_terminal(three, "ls", env={"NO_COLOR": "1"})


def test_a_table_fits_the_terminal(three: Desk) -> None:
    three.run("a-name-that-is-much-longer-than-any-terminal-would-like-it-to-be-" + "x" * 60)
    shown = on_a_terminal(three, "ls", env={"NO_COLOR": "1", "COLUMNS": "60"})
    assert max(map(len, shown.splitlines())) <= 60
    assert "…" in shown
