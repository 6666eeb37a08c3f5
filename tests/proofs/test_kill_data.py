"""kill -9 at random moments of storing and of pushing: no damaged object anywhere, and a repeat completes."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gittrack.pointers.setup import set_up_dvc
from tests.helpers import Repo

STORE = """
import sys, gittrack
with gittrack.start_run('killed', console=False) as run:
    print('on', flush=True)
    for number in range(40):
        open(f'out/{number}.bin', 'wb').write((f'{sys.argv[1]} {number} ' * 60_000).encode())
        run.log_artifact(f'out/{number}.bin')
"""


def objects(top: Path) -> list[Path]:
    """Whatever lies under the name of an object."""
    return [one for one in top.glob("**/files/md5/??/*") if one.is_file() and not one.name.startswith(".")]


def damaged(top: Path) -> list[Path]:
    found = objects(top)
    whole = {
        one: hashlib.md5(one.read_bytes(), usedforsecurity=False).hexdigest()
        == one.parent.name + one.name.removesuffix(".dir")
        for one in found
    }
    return [one for one, good in whole.items() if not good]


def kill_at_random(command: list[str], folder: Path, longest: float) -> None:
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    time.sleep(random.uniform(0.05, longest))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_hundred_kills(repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITTRACK_RUN_SYSTEM_METRICS", "off")
    remote = tmp_path / "store"
    set_up_dvc(repo.path)
    repo.write(".dvc/config", f"[core]\n    remote = store\n['remote \"store\"']\n    url = {remote}\n")
    repo.write(".gitignore", "/out\n")
    repo.write("out/.keep", "")
    repo.commit("Set up")
    repo.git("init", "--bare", "--quiet", str(tmp_path / "origin.git"))
    repo.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    push = [sys.executable, "-m", "gittrack", "push"]
    for number in range(50):
        kill_at_random([sys.executable, "-c", STORE, str(number % 5)], repo.path, 1.2)
        assert damaged(repo.path) == []
        kill_at_random(push, repo.path, 1.5)
        assert damaged(remote) == []
    repo.python(STORE, "last")
    done = repo.gittrack("push", check=False)
    assert done.returncode == 0, done.stderr
    assert repo.gittrack("fsck").returncode == 0
    assert damaged(repo.path) == damaged(remote) == []
    kept = {one.parent.name + one.name for one in objects(repo.path / ".git/gittrack/odb")}
    sent = {one.parent.name + one.name for one in objects(remote)}
    # Everything that a run names went; what was stored and never recorded stays here.
    assert sent <= kept
    assert len(sent) >= 40
    assert repo.git("fsck", "--strict", "--no-dangling") == ""
