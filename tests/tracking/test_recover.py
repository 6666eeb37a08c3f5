"""Dead runs become commits with all that they had logged; living and unseen ones are left alone."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gittrack.errors import UnknownRun
from gittrack.live.folder import RunFolder
from gittrack.live.owner import Owner, this_process
from gittrack.project import Project
from gittrack.tracking.active import ActiveRun
from gittrack.tracking.places import all_folders, live_folder, spare_folder
from gittrack.tracking.recover import recover
from tests.helpers import Repo, fill_disk, small_disk


def dead() -> Owner:
    """A process of this machine that is gone."""
    me = this_process()
    return dataclasses.replace(me, started=me.started - 500)


def afar() -> Owner:
    """A process of a machine that cannot be seen from here."""
    return dataclasses.replace(this_process(), host="elsewhere", boot="its own", pid=1)


def abandon(run: ActiveRun, owner: Owner | None = None) -> RunFolder:
    """As if the process had died without a word (or lived elsewhere)."""
    run.log_metric("last", 1)
    for stop in run._stops:
        stop()
    folder = run.folder
    data = {path: path.read_bytes() for path in folder.journals()}
    run.abandon()
    for path, content in data.items():
        path.write_bytes(content)
    folder.claim(owner or dead())
    return folder


def live_files(repo: Repo) -> list[str]:
    live = repo.path / ".git" / "gittrack" / "live"
    return sorted(os.listdir(live)) if live.exists() else []


def test_nothing_to_do(project: Project, repo: Repo) -> None:
    assert project.recover() == []
    assert live_files(repo) == []


def test_a_lost_run_has_all_that_was_logged(project: Project, repo: Repo) -> None:
    run = project.start_run("it", params={"lr": 0.1}, tags={"kind": "cv"}, description="why")
    for step in range(50):
        run.log_metric("loss", step, step)
    run.log_text("x", "x.txt")
    abandon(run)
    before = repo.status_fingerprint()
    (view,) = project.live()
    assert (view.lost, view.state.status, view.newest["loss"]) == (True, "lost", (49, 49.0))
    (one,) = project.recover()
    assert (one.run_id, one.problem) == (run.id, None)
    assert repo.status_fingerprint() == before
    found = project.get_run("it")
    assert (found.commit, found.status) == (one.commit, "lost")
    assert found.params == {"lr": 0.1}
    assert found.tags == {"kind": "cv"}
    assert found.description == "why"
    assert list(found.history("loss").steps) == list(range(50))
    assert found.file("artifacts/x.txt") == b"x"
    assert live_files(repo) == []
    assert repo.git("for-each-ref", "refs/gittrack/") == ""
    assert project.recover() == []


def test_a_lost_run_ended_when_it_last_wrote(project: Project) -> None:
    run = project.start_run("it")
    folder = abandon(run)
    past = time.time() - 7200
    for path in [*folder.journals(), folder.path / "end"]:
        os.utime(path, (past, past))
    project.recover()
    found = project.get_run("it")
    assert found.duration is not None
    assert found.duration < 3700


def test_any_reading_command_recovers(project: Project) -> None:
    abandon(project.start_run("it"))
    assert [run.status for run in project.runs("status = lost")] == ["lost"]
    abandon(project.start_run("it2"))
    assert project.get_run("it2").status == "lost"
    abandon(project.start_run("it3"))
    assert project.count() == 3


def test_a_living_run_is_left_alone(project: Project) -> None:
    with project.start_run("it") as run:
        assert project.recover() == []
        assert project.recover(force=[run.id]) == []
        (found,) = project.runs()
        assert (found.status, found.commit) == ("running", None)
        run.log_metric("a", 1)
        assert project.get_run("it").metrics == {"a": 1.0}
        assert list(project.get_run("it").history("a").values) == [1.0]


def test_a_run_of_another_machine_is_left_alone_unless_forced(project: Project) -> None:
    run = project.start_run("it")
    abandon(run, afar())
    assert project.recover() == []
    (view,) = project.live()
    assert (view.unknown, view.lost, view.host) == (True, False, "elsewhere")
    assert project.get_run("it").status == "running"
    with pytest.raises(UnknownRun):
        project.recover(force=["no such run"])
    for name in ("it", run.id[:6], run.id):
        if project.live():
            assert [one.problem for one in project.recover(force=[name])] == [None]
    assert project.get_run("it").status == "lost"


def test_a_run_that_is_just_starting_is_left_alone(project: Project) -> None:
    folder = RunFolder(live_folder(project.repo), "0123456789abcdef" * 2)
    folder.create()
    assert project.recover() == []
    assert folder.exists()
    for path in (folder.path / "end", folder.path):
        os.utime(path, (1, 1))
    assert project.recover() == []
    assert not folder.exists()


def test_a_run_that_died_before_its_first_record(project: Project, repo: Repo) -> None:
    folder = RunFolder(live_folder(project.repo), "0123456789abcdef" * 2)
    folder.create()
    folder.claim(dead())
    folder.journal.write_bytes(b"")
    assert project.recover() == []
    assert live_files(repo) == []


def test_a_journal_of_garbage_is_told_and_kept(project: Project, repo: Repo) -> None:
    abandon(project.start_run("good"))
    folder = RunFolder(live_folder(project.repo), "0123456789abcdef" * 2)
    folder.create()
    folder.claim(dead())
    folder.journal.write_bytes(b"garbage" * 100)
    problems = [one.problem for one in project.recover() if one.problem]
    assert len(problems) == 1
    assert "does not say what was started" in str(problems[0])
    assert [run.name for run in project.runs()] == ["good"]
    assert folder.exists()


@pytest.mark.parametrize(
    "event",
    [
        {"op": "params"},
        {"op": "params", "values": 7},
        {"op": "artifact", "path": 3},
        {"op": "end", "attempt": 1, "status": "well", "time": 1.0},
        {"op": "from the future", "x": 1},
        {"op": "tags", "values": None},
        {"no op": 1},
    ],
    ids=str,
)
def test_an_event_that_we_cannot_understand_does_not_stop_every_command(
    project: Project, event: dict[str, Any]
) -> None:
    run = project.start_run("odd")
    run._journal.event({"time": time.time(), **event})
    abandon(run)
    abandon(project.start_run("good"))
    project.live()
    recovered = project.recover()
    assert len(recovered) == 2
    assert all(one.problem is None or "newer gittrack" in one.problem for one in recovered)
    assert "good" in [run.name for run in project.runs()]
    if event.get("op") == "from the future":
        assert len(project.runs()) == 2


def test_a_damaged_stretch_of_the_journal_costs_only_itself(project: Project) -> None:
    run = project.start_run("it")
    for step in range(100):
        run.log_metric("loss", step, step)
    folder = abandon(run)
    data = bytearray(folder.journal.read_bytes())
    points = data.index(b"loss") + 100
    data[points : points + 100] = b"\xff" * 100
    folder.journal.write_bytes(data)
    project.recover()
    found = project.get_run("it")
    assert 94 <= len(found.history("loss")) < 100
    assert any("damaged bytes" in text for text in found.record.warnings)


def test_a_missing_artifact_is_told_and_the_rest_recorded_or_kept(project: Project) -> None:
    run = project.start_run("it")
    run.log_text("x", "x.txt")
    folder = abandon(run)
    (kept,) = folder.files.iterdir()
    content = kept.read_bytes()
    kept.unlink()
    (one,) = project.recover()
    assert "x.txt" in str(one.problem)
    kept.write_bytes(content)
    assert project.get_run("it").file("artifacts/x.txt") == b"x"


def test_code_that_was_pruned_is_told_and_kept(project: Project, repo: Repo) -> None:
    run = project.start_run("it")
    repo.git("update-ref", "-d", f"refs/gittrack/live/{run.id}")
    abandon(run)
    gone = repo.git("rev-parse", "HEAD")
    repo.write("train.py", "another")
    repo.git("commit", "--quiet", "--amend", "-a", "-m", "another")
    repo.git("reflog", "expire", "--expire=now", "--all")
    repo.git("gc", "--quiet", "--prune=now")
    (one,) = project.recover()
    assert gone in str(one.problem)
    assert len(all_folders(project.repo)) == 1


def test_a_crash_between_the_commit_and_clearing_away(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    class Crash(BaseException):
        pass

    def crash(folder: RunFolder) -> None:
        raise Crash

    run = project.start_run("it")
    run.log_metric("a", 1)
    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "remove", crash)
        with pytest.raises(Crash):
            run.finish()
    run.folder.claim(dead())
    (view,) = project.live()
    assert view.lost
    commits = [one.commit for one in project.recover()]
    (found,) = project.runs()
    assert (found.status, [found.commit]) == ("finished", commits)
    assert project.live() == []


RECOVER = """
import sys
from gittrack.project import Project
project = Project.open()
print('here', flush=True)
sys.stdin.readline()
print(len([one for one in project.recover() if one.commit]), [one.problem for one in project.recover() if one.problem])
"""


def test_several_that_recover_at_once_record_every_run_once(project: Project, repo: Repo) -> None:
    for number in range(6):
        run = project.start_run(f"r{number}")
        run.log_metric("n", number)
        abandon(run)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RECOVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(5)
    ]
    for one in racers:
        assert one.stdout is not None
        one.stdout.readline()
    for one in racers:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    said = [one.communicate(timeout=60) for one in racers]
    assert [err for _, err in said] == [""] * 5
    assert all(out.endswith("[]\n") for out, _ in said)
    assert len(repo.git("for-each-ref", "refs/experiments/").splitlines()) == 6
    assert {run.name: run.metrics["n"] for run in project.runs()} == {f"r{n}": n for n in range(6)}
    assert live_files(repo) == []


def test_a_lost_run_is_resumed_as_the_next_attempt(project: Project) -> None:
    run = project.start_run("it")
    run.log_metric("loss", 1)
    abandon(run)
    with project.start_run(resume="it") as again:
        assert again.attempt == 2
        again.log_metric("loss", 2, 1)
    found = project.get_run("it")
    assert found.status == "finished"
    assert [str(one.status) for one in found.record.attempts] == ["lost", "finished"]
    assert list(found.history("loss").values) == [1, 2]


def test_a_lost_attempt_of_a_resumed_run(project: Project) -> None:
    with project.start_run("it") as run:
        run.log_metric("loss", 1)
    again = project.start_run(resume="it")
    again.log_metric("loss", 2, 1)
    abandon(again, dataclasses.replace(dead(), attempt=2))
    found = project.get_run("it")
    assert (found.status, found.state.attempt) == ("lost", 2)
    assert list(found.history("loss").values) == [1, 2]


def test_keep_refs_of_nobody_are_released(project: Project, repo: Repo) -> None:
    run = project.start_run("it")
    stale = "refs/gittrack/live/" + "0" * 32
    repo.git("update-ref", stale, "HEAD")
    project.recover()
    assert stale in repo.git("for-each-ref")  # it may belong to a run that is just starting
    path = repo.path / ".git" / stale
    os.utime(path, (1, 1))
    os.utime(repo.path / ".git" / "refs" / "gittrack" / "live" / run.id, (1, 1))
    project.recover()
    assert stale not in repo.git("for-each-ref")
    assert run.id in repo.git("for-each-ref", "refs/gittrack/")
    run.finish()


# --- the spare place


def test_the_spare_place_is_ours_alone(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (project.repo.common_dir / "gittrack").write_text("in the way")
    run = project.start_run("it")
    assert run.folder.path.is_relative_to(tmp_path)
    assert (tmp_path / f"gittrack-{os.getuid()}").stat().st_mode & 0o777 == 0o700
    run.finish()


def test_a_spare_place_of_somebody_else_is_not_used(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    spare = spare_folder(project.repo)
    foreign = spare / ("0123456789abcdef" * 2)
    foreign.mkdir(parents=True)
    (foreign / "journal").write_bytes(b"what somebody else wants us to read")
    os.chown(tmp_path / "gittrack-0", 12345, 12345)
    assert all_folders(project.repo) == []
    (project.repo.common_dir / "gittrack").write_text("in the way")
    run = project.start_run("it")
    run.log_metric("a", 1)
    run.finish()
    assert list(spare.iterdir()) == [foreign]
    assert "cannot be written" in caplog.text


def test_a_disk_that_fills_up_and_is_freed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with small_disk(tmp_path / "disk") as disk:
        repo = Repo.init(disk / "repo")
        code = """
import gittrack, os, sys
with gittrack.start_run('it', params={'lr': 0.1}) as run:
    for step in range(1000):
        run.log_metric('loss', step, step)
    print('fill', flush=True)
    sys.stdin.readline()
    for step in range(1000, 3000):
        run.log_metric('loss', step, step)
        run.log_metrics({'new': step}, step)
    run.set_tag('late', 'yes')
    sys.exit(5)
"""
        with subprocess.Popen(
            [sys.executable, "-c", code], cwd=repo.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)},
        ) as child:  # fmt: skip
            assert child.stdout is not None
            assert child.stdout.readline() == "fill\n"
            filler = fill_disk(disk)
            _, said = child.communicate("\n", timeout=60)
        assert child.returncode == 5
        assert "Traceback" not in said
        assert said.count("journal cannot be written") == 1
        project = Project.open(repo.path)
        assert [one.problem is None for one in recover(project.repo)] == [False]
        filler.unlink()
        (one,) = recover(project.repo)
        assert one.problem is None
        found = project.get_run("it")
        assert list(found.history("loss").steps) == list(range(3000))
        assert list(found.history("new").steps) == list(range(1000, 3000))
        assert found.tags == {"late": "yes"}
        assert found.status == "failed"
        assert not list(spare_folder(project.repo).iterdir())
        assert repo.git("fsck", "--strict", "--no-dangling") == ""


def test_what_overflowed_is_cleared_away_after_a_crash_too(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with project.start_run("it") as run:
        pass
    left = RunFolder(spare_folder(project.repo), run.id)
    left.create()
    left.journal.write_bytes(b"")
    for path in (left.journal, left.path / "end", left.path):
        os.utime(path, (1, 1))
    assert project.recover() == []
    assert not left.exists()
