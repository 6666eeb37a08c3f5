"""A file system of 4 MB that fills up during training."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gittrack.project import Project
from gittrack.tracking.recover import recover
from tests.helpers import Repo, fill_disk, small_disk

SCRIPT = """
import os, sys
import gittrack
say = lambda text: os.write(int(sys.argv[2]), (text + "\\n").encode())
with gittrack.start_run("it", params={"lr": 0.1}) as run:
    run.log_text("early", "early.txt")
    for step in range(int(sys.argv[1])):
        run.log_metric("loss", step, step)
        say(str(step))
        if step % 50 == 0:
            run.log_metrics({"acc": step, f"key{step}": 1}, step)
        if step == 1000:
            sys.stdin.readline()
    run.set_tag("late", "yes")
    run.log_text("x" * 100_000, "late.txt")
    print("trained")
    sys.exit(5)
"""


def train(repo: Repo, temporary: Path, steps: int, filler: list[Path]) -> tuple[int, str, str, list[int]]:
    """Exit code, stdout, stderr, and the steps that were acknowledged."""
    reader, writer = os.pipe()
    environment = {**os.environ, "TMPDIR": str(temporary), "GITTRACK_RUN_SYSTEM_METRICS": "off"}
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(steps), str(writer)],
        cwd=repo.path, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        pass_fds=[writer], text=True,
    ) as child:  # fmt: skip
        os.close(writer)
        said = b""
        while b"1000\n" not in said:
            piece = os.read(reader, 65536)
            assert piece, f"the script ended too early: {child.communicate()[1]}"
            said += piece
        filler.append(fill_disk(repo.path.parent))
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
        while piece := os.read(reader, 65536):
            said += piece
        out, err = child.communicate(timeout=120)
    os.close(reader)
    return child.returncode, out, err, [int(word) for word in said.split()]


@pytest.mark.parametrize("steps", [3_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_with_room_elsewhere_every_acknowledged_point_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with small_disk(tmp_path / "disk") as disk:
        repo = Repo.init(disk / "repo")
        filler: list[Path] = []
        code, out, err, acknowledged = train(repo, tmp_path, steps, filler)
        assert (code, out) == (5, "trained\n")
        assert "Traceback" not in err
        assert "No space left" in err
        assert acknowledged == list(range(steps))
        assert [one.problem is not None for one in recover(Project.open(repo.path).repo)] == [True]
        filler[0].unlink()
        project = Project.open(repo.path)
        assert [one.problem for one in project.recover()] == [None]
        found = project.get_run("it")
        assert list(found.history("loss").steps) == acknowledged
        assert list(found.history("acc").steps) == list(range(0, steps, 50))
        assert (found.status, found.params, found.tags) == ("failed", {"lr": 0.1}, {"late": "yes"})
        assert found.file("artifacts/early.txt") == b"early"
        assert project.recover() == []
        assert repo.git("fsck", "--strict", "--no-dangling") == ""


def test_with_room_nowhere_all_that_reached_the_disk_is_kept_and_how_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        monkeypatch.setattr("tempfile.tempdir", str(disk / "tmp"))
        (disk / "tmp").mkdir()
        repo = Repo.init(disk / "repo")
        filler: list[Path] = []
        code, out, err, _ = train(repo, disk / "tmp", 3000, filler)
        assert (code, out) == (5, "trained\n")
        assert "Traceback" not in err
        assert "waits in memory" in err
        assert "lost" in err
        filler[0].unlink()
        project = Project.open(repo.path)
        assert [one.problem for one in project.recover()] == [None]
        found = project.get_run("it")
        steps = list(found.history("loss").steps)
        assert steps == list(range(len(steps)))
        assert len(steps) > 1000
        # The last word had its room reserved.
        assert found.status == "failed"
        assert found.record.error is not None
        assert found.record.error.exit_code == 5


def test_a_disk_that_is_freed_while_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_disk(tmp_path / "disk") as disk:
        monkeypatch.setattr("tempfile.tempdir", str(disk))
        repo = Repo.init(disk / "repo")
        project = Project.open(repo.path)
        run = project.start_run("it", console=False)
        run.log_metric("loss", 0, 0)
        filler = fill_disk(disk)
        for step in range(1, 500):
            run.log_metric("loss", step, step)
        filler.unlink()
        for step in range(500, 1000):
            run.log_metric("loss", step, step)
        run.finish()
        found = project.get_run("it")
        assert list(found.history("loss").steps) == list(range(1000))
        assert found.status == "finished"
