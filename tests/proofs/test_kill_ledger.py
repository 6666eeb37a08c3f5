"""kill -9 at any moment of folding, packing, pushing and fetching: the next time goes through, and nothing is lost.

What a killed git leaves behind, a lock file above all, must not stop anybody for long.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gittrack.errors import RunBusy
from gittrack.ledger import layout
from gittrack.project import Project
from tests.helpers import Repo
from tests.ledger.builders import amend_at, record, write

WORK = """
import itertools, os, sys
import gittrack.ledger.fold
from gittrack.ledger import layout
from gittrack.ledger.fold import fold
from gittrack.project import Project
gittrack.ledger.fold.KEEP_REFS, gittrack.ledger.fold.SLACK, layout.PAGE_MEMBERS, layout.TIP_MEMBERS = 3, 1, 4, 2
project = Project.open(".")
os.write(1, b"ready\\n")
os.close(1)
os.open(os.devnull, os.O_WRONLY)
for _ in itertools.count():
    for what in sys.argv[1:]:
        if what == "fold":
            clone = project._clone()
            fold(project.repo, clone.writer.name, clone.author)
        elif what == "pack":
            project.pack()
        elif what == "push":
            project.push(data=False)
        elif what == "fetch":
            project.fetch(data=False)
"""
JOBS = (["fold"], ["pack"], ["push"], ["fetch"], ["fetch", "push"], ["push", "pack", "fetch"])


def start(repo: Repo, job: list[str], root: Path) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        [sys.executable, "-c", WORK, *job],
        cwd=repo.path,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert child.stdout is not None
    with child.stdout:
        child.stdout.readline()
    return child


def add(repo: Repo, name: str) -> str:
    project = Project.open(repo.path)
    one = record(project.repo, name=name)
    head = write(project.repo, one)
    ref = layout.run_ref(one.experiment, one.id)
    # What was started beside this may pack meanwhile.
    amend_at(project.repo, ref, {"tag:kind": "cv"}, head=head)
    return one.id


def pack(project: Project) -> None:
    """After whoever packs by itself, as every few fetches do."""
    for _ in range(600):
        try:
            project.pack()
            return
        except RunBusy:
            time.sleep(0.1)
    raise AssertionError("somebody packs for ever")


@pytest.mark.parametrize("where", ["refs/experiments/_ledger/{}", "refs/experiments/digits/{}"])
@pytest.mark.parametrize("old", [True, False])
def test_the_lock_that_a_killed_git_left_stops_nobody(
    repo: Repo, where: str, old: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = add(repo, "before")
    project = Project.open(repo.path)
    project.pack()
    name = project._clone().writer.name if "_ledger" in where else run
    lock = repo.path / ".git" / f"{where.format(name)}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    amend_at(project.repo, layout.run_ref("digits", run), {"tag:more": "x"}) if "_ledger" in where else None
    if old:
        # By the clock of whoever keeps the files: it proves nothing.
        os.utime(lock, (1_700_000_000, 1_700_000_000))
    monkeypatch.setattr("gittrack.git.refs._WATCHED", 2.0)
    began = time.monotonic()
    project.pack() if "_ledger" in where else project.amend(run, tags={"new": "y"})
    assert time.monotonic() - began >= 2.0
    assert not lock.exists()
    assert list(lock.parent.glob(".*")) == []
    assert [problem for problem in project.fsck() if not problem.harmless] == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("group", [False, True])
def test_who_is_killed_while_sharing_loses_nothing(repo: Repo, tmp_path: Path, group: bool) -> None:
    """With `group` the git processes die as well, as when a machine goes down; else they live on for a moment."""
    chance = random.Random(group)
    root = Path(__file__).parents[2]
    remote = tmp_path / "remote.git"
    repo.git("clone", "--quiet", "--bare", str(repo.path), str(remote))
    repo.git("remote", "add", "origin", str(remote))
    other = Repo(tmp_path / "other")
    repo.git("clone", "--quiet", str(remote), str(other.path))
    expected: set[str] = set()
    slowest = 0.0
    for number in range(50):
        one, beside = chance.sample([repo, other], 2)
        job = chance.choice(JOBS)
        child = start(one, job, root)
        expected.add(add(one, f"run-{number}"))
        expected.add(add(beside, f"beside-{number}"))
        if chance.random() < 0.5:
            Project.open(beside.path).push(data=False)
        time.sleep(chance.uniform(0, 0.3))
        if group:
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
        child.wait()
        began = time.monotonic()
        for again in (one, beside):
            project = Project.open(again.path)
            pack(project)
            assert project.push(data=False).refused == {}, f"after kill {number} of {job}"
            assert project.fetch(data=False).refused == {}, f"after kill {number} of {job}"
        slowest = max(slowest, time.monotonic() - began)
    for one in (repo, other):
        Project.open(one.path).fetch(data=False)
        project = Project.open(one.path)
        runs = {run.id: run for run in project.runs()}
        assert runs.keys() == expected
        assert all(run.tags == {"kind": "cv"} for run in runs.values())
        assert one.git("fsck", "--strict", "--no-dangling") == ""
        assert [problem for problem in project.fsck() if not problem.harmless] == []
        assert one.git("for-each-ref", layout.INCOMING) == ""
    # Nobody waited for a lock that was never given back.
    assert slowest < 60
