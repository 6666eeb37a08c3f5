"""Git's own progress, on a terminal, while its other words stay ours to read."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

from tests.helpers import Repo

PUSH = """
import sys
from gittrack.git.remote import push_refs
from gittrack.git.repository import Repository
done = push_refs(Repository.discover(), sys.argv[1], {"refs/heads/copy": "HEAD"})
print(done.done, dict(done.refused))
"""


def on_a_terminal(repo: Repo, *words: str) -> tuple[str, str]:
    """What a command prints, and what it shows on a terminal behind stderr."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PUSH, *words], cwd=repo.path, stdout=subprocess.PIPE, stderr=theirs, text=True
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    out, _ = process.communicate()
    return out, shown.decode()


def test_progress_is_shown_and_the_answer_read(repo: Repo, tmp_path: Path) -> None:
    repo.git("init", "--quiet", "--bare", str(tmp_path / "host.git"))
    out, shown = on_a_terminal(repo, str(tmp_path / "host.git"))
    assert out == "('refs/heads/copy',) {}\n"
    assert "Writing objects: 100%" in shown
    assert "refs/heads/copy" not in shown


def test_what_is_wrong_is_not_taken_for_progress(repo: Repo, tmp_path: Path) -> None:
    out, shown = on_a_terminal(repo, str(tmp_path / "nowhere"))
    assert out == ""
    assert "git could not push to" in shown
