"""A training reads its files a thousand times a second while people commit under pre-commit, which puts changes aside.

Under `gittrack run --isolated` it sees no change, ever. Without that it does: so the proof can fail.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gittrack.project import Project
from tests.helpers import Repo

# Every file below, its size, time and content, until told to end; what changed is said, with how often it looked.
WATCH = """\
import json, os, sys, time
top, answer, end = sys.argv[1:4]

def look():
    found = {}
    for place, folders, names in os.walk("."):
        folders[:] = [one for one in folders if one not in (".git", "__pycache__")]
        for path in (os.path.join(place, one) for one in names if one != ".git"):
            try:
                with open(path, "rb") as file:
                    status = os.fstat(file.fileno())
                    found[path] = (status.st_ino, status.st_size, status.st_mtime_ns, file.read().hex())
            except OSError as error:
                found[path] = str(error)
    return found

first, looks, changes = look(), 0, set()
print("looking", flush=True)
while not os.path.exists(end):
    began = time.monotonic()
    now = look()
    looks += 1
    changes |= {path for path in first.keys() | now.keys() if first.get(path) != now.get(path)}
    time.sleep(max(0.0, 0.001 - (time.monotonic() - began)))
tree = {path[2:]: value[3] for path, value in first.items()}
json.dump({"looks": looks, "changes": sorted(changes), "files": tree}, open(answer, "w"))
"""
CONFIG = """\
repos:
- repo: local
  hooks:
  - {id: slow, name: slow, language: system, entry: sleep 0.2, pass_filenames: false, stages: [pre-commit]}
"""


@pytest.fixture
def guarded(repo: Repo) -> Repo:
    """A repository with the framework installed, a hook that takes its time, and files enough to look at."""
    for number in range(8):
        repo.write(f"net/layer_{number}.py", f"width = {number}\n")
    repo.write("watch.py", WATCH)
    repo.write(".pre-commit-config.yaml", CONFIG)
    repo.commit()
    subprocess.run(["pre-commit", "install"], cwd=repo.path, check=True, capture_output=True)
    return repo


def train(repo: Repo, tmp_path: Path, *options: str, commits: int) -> tuple[dict[str, object], str]:
    """What the training saw, and what was said, while somebody commits, with another edit that is not for the commit."""
    answer, end = tmp_path / "answer.json", tmp_path / "end"
    words = [sys.executable, "watch.py", str(repo.path), str(answer), str(end)]
    process = subprocess.Popen(
        [sys.executable, "-m", "gittrack", "run", *options, "--", *words],
        cwd=repo.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "looking\n"
        if "--allow-dirty" not in options:
            repo.write("net/layer_1.py", "width = 11\n")
        for number in range(commits):
            repo.write("net/layer_0.py", f"width = {number}00\n")
            repo.git("add", "net/layer_0.py")
            # The framework puts the edit of layer_1.py aside, sleeps, and brings it back.
            subprocess.run(["git", "commit", "-q", "-m", f"{number}"], cwd=repo.path, check=True, capture_output=True)
    finally:
        end.touch()
        _, err = process.communicate()
    assert process.returncode == 0, err
    return json.loads(answer.read_text()), err


@pytest.mark.parametrize("commits", [2, pytest.param(40, marks=pytest.mark.slow)])
def test_an_isolated_training_never_sees_a_change(guarded: Repo, tmp_path: Path, commits: int) -> None:
    before = guarded.git("rev-parse", "HEAD")
    seen, said = train(guarded, tmp_path, "--isolated", commits=commits)
    assert seen["changes"] == []
    assert isinstance(seen["looks"], int)
    # A thousand times a second on an idle machine; this one may be shared.
    assert seen["looks"] > 10 * commits
    assert "pre-commit" not in said
    (found,) = Project.open(guarded.path).runs()
    code = found.record.code
    assert (code.captured, code.dirty) == (before, False)
    # The files that ran are those of the recorded commit, byte for byte.
    listed = guarded.git("ls-tree", "-r", "--name-only", code.captured).splitlines()
    files = seen["files"]
    assert isinstance(files, dict)
    assert sorted(files) == sorted(listed)
    for name in listed:
        blob = subprocess.run(
            ["git", "cat-file", "blob", f"{code.captured}:{name}"], cwd=guarded.path, capture_output=True, check=True
        )
        assert bytes.fromhex(files[name]) == blob.stdout


def test_one_that_is_not_isolated_does(guarded: Repo, tmp_path: Path) -> None:
    # Edited before it began, so that nobody but the framework changes it.
    guarded.write("net/layer_1.py", "width = 11\n")
    seen, said = train(guarded, tmp_path, "--allow-dirty", commits=1)
    assert isinstance(seen["changes"], list)
    assert "./net/layer_1.py" in seen["changes"]
    assert (guarded.path / "net/layer_1.py").read_text() == "width = 11\n"
    # It was told what may happen, once.
    assert said.count("pre-commit is installed here") == 1
