"""One path from journal to commit, for finish, recover and resume; every step of it may be the last, and be repeated."""

from __future__ import annotations

import dataclasses
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from gittrack.live.folder import RunFolder
from gittrack.live.owner import this_process
from gittrack.project import Project
from gittrack.run import Run
from tests.helpers import Repo


def only_run(project: Project) -> Run:
    (run,) = project.runs()
    return run


def die(folder: RunFolder) -> None:
    """The process that wrote it is gone."""
    me = this_process()
    folder.claim(dataclasses.replace(me, started=me.started - 500))


class Crash(BaseException):
    """The process ends here."""


def crash_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Die before or after the `number`th step that touches the disk."""
    import gittrack.git.objects as objects

    count = itertools.count()

    def wrapped(original: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            if next(count) == number:
                raise Crash
            result = original(*args, **kwargs)
            if next(count) == number:
                raise Crash
            return result

        return step

    monkeypatch.setattr(objects, "_write_loose", wrapped(objects._write_loose))
    monkeypatch.setattr(objects, "change_refs", wrapped(objects.change_refs))
    for name in ("mark", "remove"):
        monkeypatch.setattr(RunFolder, name, wrapped(getattr(RunFolder, name)))
    monkeypatch.setattr("gittrack.live.folder.shutil.rmtree", wrapped(__import__("shutil").rmtree))


@pytest.mark.parametrize("resumed", [False, True], ids=["first attempt", "second attempt"])
def test_a_crash_at_any_step_of_finishing_costs_nothing(project: Project, repo: Repo, resumed: bool) -> None:
    for number in itertools.count():
        name = f"run {number}"
        if resumed:
            with project.start_run(name) as before:
                before.log_metric("loss", 0, 0)
        run = project.start_run(None if resumed else name, resume=name if resumed else None)
        for step in range(1, 4):
            run.log_metric("loss", step, step)
        run.log_text("kept", "note.txt")
        crashed = False
        with pytest.MonkeyPatch.context() as patched:
            crash_at(patched, number)
            try:
                run.finish()
            except Crash:
                crashed = True
        if run.folder.exists():
            die(run.folder)
        repo.git("prune", "--expire=now")
        found = project.get_run(name)
        assert found.status == "finished"
        assert list(found.history("loss").steps) == ([0, 1, 2, 3] if resumed else [1, 2, 3])
        assert found.state.attempt == (2 if resumed else 1)
        assert found.file("artifacts/note.txt") == b"kept"
        assert project.recover() == []
        assert os.listdir(repo.path / ".git" / "gittrack" / "live") == []
        if not crashed:
            break
    assert number > 8
    assert repo.git("fsck", "--strict", "--no-dangling") == ""
    assert repo.git("for-each-ref", "refs/gittrack/") == ""


def test_a_crash_and_a_recovery_that_crashes_too(project: Project, repo: Repo) -> None:
    for first, second in itertools.product(range(0, 20, 3), repeat=2):
        name = f"run {first} {second}"
        run = project.start_run(name)
        run.log_metric("loss", 1, 1)
        for number, act in ((first, run.finish), (second, project.recover)):
            with pytest.MonkeyPatch.context() as patched:
                crash_at(patched, number)
                try:
                    act()
                except Crash:
                    pass
            if run.folder.exists():
                die(run.folder)
        assert list(project.get_run(name).history("loss").steps) == [1]
        assert project.get_run(name).state.attempt == 1
    assert repo.git("fsck", "--strict", "--no-dangling") == ""


# --- writers that outlive the end

CHILD = """
import os, sys, gittrack
run = gittrack.start_run('it', console=False)
run.log_metric('parent', 1)
reader, writer = os.pipe()
pid = os.fork()
if pid == 0:
    run.log_metric('child', 1)
    os.write(writer, b'x')
    sys.stdin.readline()
    run.log_metric('child', 2)
    os._exit(0)
os.read(reader, 1)
commit = run.finish()
print(commit, flush=True)
sys.stdin.close()
os._exit(0)
"""


def test_what_a_child_logs_after_the_parents_end_is_kept(project: Project, repo: Repo) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdin is not None
        parent.stdout.readline()
        parent.wait()
        project.recover()
        parent.stdin.write("go on\n")
        parent.stdin.close()
        # At the end of the child nobody holds the pipe any more.
        parent.stdout.read()
    found = only_run(project)
    assert list(found.history("child").values) == [1.0, 2.0]
    assert found.metrics["parent"] == 1.0
    assert repo.git("fsck", "--strict", "--no-dangling") == ""


def test_a_child_that_never_logs_holds_nothing_up(project: Project) -> None:
    code = """
import os, sys, gittrack
run = gittrack.start_run('it', console=False)
reader, writer = os.pipe()
pid = os.fork()
if pid == 0:
    os.close(writer)
    os.read(reader, 1)
    os._exit(0)
print(run.finish(), flush=True)
os.close(writer)
os.waitpid(pid, 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert only_run(project).commit == done.stdout.strip()
    assert done.stderr == ""


def test_records_that_came_after_the_commit_are_the_next_attempt(project: Project, repo: Repo) -> None:
    """A writer that nobody could see (on another machine, say) goes on after the run was recorded."""
    run = project.start_run("it", params={"lr": 0.1})
    run.log_metric("loss", 1, 1)
    kept = {path: path.read_bytes() for path in run.folder.journals()}
    commit = run.finish()
    assert commit is not None
    folder = run.folder
    folder.create()
    late = folder.path / "journal-late"
    for path, data in kept.items():
        path.with_name(late.name).write_bytes(data)
    from gittrack.live.journal import Journal

    journal = Journal(late, pytest.fail)
    journal.log_metric("late", 7, 7)
    journal.event({"op": "tags", "time": 1e9, "values": {"kind": "late"}})
    die(folder)
    assert [one.problem for one in project.recover()] == [None]
    found = only_run(project)
    assert found.metrics == {"loss": 1.0, "late": 7.0}
    assert found.tags == {"kind": "late"}
    assert found.params == {"lr": 0.1}
    assert repo.git("merge-base", "--is-ancestor", commit, str(found.commit)) == ""
    assert project.recover() == []
