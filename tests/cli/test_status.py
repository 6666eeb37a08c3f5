from __future__ import annotations

import os
import signal

from gittrack.project import Project
from tests.cli.conftest import Desk

DIES = """\
import gittrack, os, signal
run = gittrack.start_run("doomed", experiment="digits")
run.log_metric("loss", 0.5, 7)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_nothing_runs_and_the_tree_is_clean(desk: Desk) -> None:
    head = desk.repo.git("rev-parse", "HEAD")[:8]
    assert desk.out("status").splitlines() == [
        "no active runs",
        f"tree clean, on main at {head}: a run would be recorded as it is",
    ]


def test_an_active_run_with_its_newest_numbers(desk: Desk) -> None:
    desk.repo.git("config", "gittrack.metrics.goals", "{val/acc: max}")
    active = Project.open().start_run("now", experiment="digits", console=False)
    for step in range(5):
        active.log_metrics({"loss": 1.0 / (step + 1), "val/acc": step / 4}, step)
    heading, row = desk.out("status").splitlines()[:2]
    assert heading.split()[:3] == ["id", "name", "since"]
    assert "digits/now" in row
    assert "val/acc=1 @4 loss=0.2 @4" in row
    plain = desk.json("status")
    assert plain["active"][0]["newest"]["val/acc"] == {"step": 4, "value": 1.0}
    assert plain["active"][0]["pid"] == os.getpid()
    assert plain["lost"] == []
    active.finish()


def test_a_run_that_died_is_recorded(desk: Desk) -> None:
    assert desk.repo.python(DIES, check=False).returncode == -signal.SIGKILL
    assert desk.out("status").startswith("recovered lost run ")
    assert desk.json("ls")[0]["status"] == "lost"
    assert desk.json("ls")[0]["metrics"] == {"loss": 0.5}


def test_recover(desk: Desk) -> None:
    assert desk.out("recover") == "no run is lost\n"
    desk.repo.python(DIES, check=False)
    found = desk.json("recover")
    assert found[0]["problem"] is None
    assert desk.json("show", found[0]["id"])["status"] == "lost"
    assert desk.json("recover") == []
    assert "no single active run" in desk.error("recover", "--force", "nope", code=1)


def test_would_a_run_be_refused(desk: Desk) -> None:
    desk.repo.write("train.py", "changed\n")
    lines = desk.out("status").splitlines()
    assert lines[1].endswith("a run would be refused")
    assert lines[2] == "  train.py (modified)"
    assert desk.json("status")["tree"]["refused"] is True
    desk.repo.git("config", "gittrack.run.allow-dirty", "tracked")
    assert "a snapshot (run.allow_dirty is tracked: git config gittrack.run.allow-dirty)" in desk.out("status")
    tree = desk.json("status")["tree"]
    assert (tree["refused"], tree["clean"], tree["branch"]) == (False, False, "main")
    assert tree["changes"] == [{"path": "train.py", "kind": "modified"}]


def test_a_bare_repository(desk: Desk) -> None:
    desk.repo.git("clone", "--quiet", "--bare", ".", "../bare.git")
    assert "no worktree here" in desk.out("-C", "../bare.git", "status")
    assert desk.json("-C", "../bare.git", "status")["tree"] is None


def test_no_commit_yet(desk: Desk) -> None:
    desk.repo.git("init", "--quiet", "../empty")
    assert "no commit yet" in desk.out("-C", "../empty", "status")
