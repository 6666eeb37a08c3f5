"""Starting, nesting, resuming; and what a script may do to itself: forget, fork, be told to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import gittrack
from gittrack.errors import (
    DirtyTree,
    GittrackError,
    InvalidName,
    InvalidValue,
    NoCommitYet,
    RunBusy,
    UnknownRun,
    UsageError,
)
from gittrack.project import Project
from gittrack.run import Run
from gittrack.tracking import start as start_module
from tests.helpers import Repo, read_only, wait_until


def gittrack_refs(repo: Repo) -> list[str]:
    return repo.git("for-each-ref", "--format=%(refname)", "refs/experiments/", "refs/gittrack/").splitlines()


def live_files(repo: Repo) -> list[str]:
    live = repo.path / ".git" / "gittrack" / "live"
    return sorted(os.listdir(live)) if live.exists() else []


def only_run(project: Project) -> Run:
    (run,) = project.runs()
    return run


# --- where it works


def test_an_active_run_says_where_it_works(project: Project, repo: Repo) -> None:
    """Whoever guards commits asks each active run for its worktree."""
    repo.git("worktree", "add", "--quiet", "--detach", "../linked")
    linked = repo.path.parent / "linked"
    with project.start_run() as here, Project.open(linked).start_run() as there:
        assert here.folder.place() == repo.path
        assert there.folder.place() == linked
    repo.git("worktree", "remove", "--force", "../linked")
    first = only_run_named(project, here.name)
    with project.start_run(resume=first.id) as again:
        assert again.folder.place() == repo.path


def only_run_named(project: Project, name: str) -> Run:
    return next(run for run in project.runs() if run.name == name)


# --- before anything is recorded


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": ""},
        {"name": 7},
        {"experiment": "a b"},
        {"experiment": "_ledger"},
        {"params": {"a": object()}},
        {"params": {"": 1}},
        {"tags": {"a\n": 1}},
        {"description": 3},
        {"allow_dirty": "yes"},
        {"parent": "no such run"},
        {"resume": "no such run"},
    ],
    ids=lambda one: "-".join(one),
)
def test_a_wrong_argument_raises_and_nothing_is_recorded(project: Project, repo: Repo, arguments: Any) -> None:
    with pytest.raises((InvalidName, InvalidValue, UsageError, UnknownRun)):
        project.start_run(**arguments)
    assert gittrack_refs(repo) == []
    assert live_files(repo) == []
    assert gittrack.active_run() is None


def test_no_commit_yet(tmp_path: Path) -> None:
    Repo(tmp_path).git("init", "--quiet")
    with pytest.raises(NoCommitYet, match="git commit"):
        Project.open(tmp_path).start_run()
    assert live_files(Repo(tmp_path)) == []


def test_a_dirty_tree_is_refused_by_name(project: Project, repo: Repo) -> None:
    repo.write("train.py", "changed")
    repo.write("new.py", "")
    with pytest.raises(DirtyTree) as raised:
        project.start_run()
    assert raised.value.exit_code == 4
    assert raised.value.files == ("train.py (modified)", "new.py (untracked)")
    assert gittrack_refs(repo) == []
    assert live_files(repo) == []


def test_a_dirty_tree_that_is_allowed(project: Project, repo: Repo, caplog: pytest.LogCaptureFixture) -> None:
    repo.write("train.py", "changed")
    repo.write("new.py", "1")
    before = repo.status_fingerprint()
    for allowed, unrecorded in (("tracked", ("new.py",)), ("all", ())):
        with project.start_run(allow_dirty=allowed) as run:
            kept = repo.git("rev-parse", f"refs/gittrack/live/{run.id}")
        assert repo.status_fingerprint() == before
        code = project.get_run(run.id).record.code
        assert (code.dirty, code.snapshot, code.unrecorded) == (True, kept, unrecorded)
        assert code.commit == repo.git("rev-parse", "HEAD")
        assert repo.git("show", f"{run.commit}:train.py") == "changed"
    assert "the tree is dirty; a snapshot holds train.py" in caplog.text
    assert "1 untracked files are not in it (new.py)" in caplog.text


def test_a_failure_in_the_middle_of_starting_leaves_nothing(
    project: Project, repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(start_module._Starter, "_watch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        project.start_run(params={"a": 1})
    assert gittrack_refs(repo) == []
    assert live_files(repo) == []
    assert gittrack.active_run() is None


def test_what_cannot_be_watched_holds_nobody_up(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: Any) -> None:
        raise RuntimeError("no such sensor")

    monkeypatch.setattr(start_module._Starter, "_watch_environment", broken)
    with project.start_run() as run:
        run.log_metric("a", 1)
    assert "no such sensor" in caplog.text
    assert project.get_run(run.id).metrics == {"a": 1.0}


def test_the_code_of_an_active_run_survives_an_amended_head_and_gc(project: Project, repo: Repo) -> None:
    with project.start_run() as run:
        repo.git("commit", "--quiet", "--amend", "-m", "another")
        repo.git("reflog", "expire", "--expire=now", "--all")
        repo.git("gc", "--quiet", "--prune=now")
        run.log_metric("a", 1)
    assert run.commit is not None
    assert repo.git("fsck", "--strict", "--no-dangling") == ""
    assert project.get_run(run.id).metrics == {"a": 1.0}


# --- names, several, nested


def test_names_and_experiments(project: Project, repo: Repo) -> None:
    with project.start_run() as first:
        pass
    with project.start_run("mine", experiment="a/b") as second:
        second.rename("mine too")
    names = {run.id: (run.name, run.experiment) for run in project.runs()}
    assert names[first.id][1] == "default"
    assert names[first.id][0].count("-") == 2
    assert names[second.id] == ("mine too", "a/b")
    assert f"refs/experiments/a/b/{second.id}" in gittrack_refs(repo)


def test_several_runs_of_one_script(project: Project) -> None:
    for number in range(5):
        with project.start_run(params={"n": number}) as run:
            run.log_metric("n", number)
    assert sorted(run.params["n"] for run in project.runs()) == [0, 1, 2, 3, 4]  # type: ignore[type-var]


def test_nested_runs_name_their_parent(project: Project) -> None:
    with gittrack.start_run("outer") as outer:
        for number in range(2):
            with gittrack.start_run(f"inner {number}", nested=True) as inner:
                gittrack.log_metric("n", number)
                with gittrack.start_run("innermost", nested=True) as innermost:
                    gittrack.log_metric("deep", 1)
            assert inner.parent == outer.id
            assert innermost.parent == inner.id
        gittrack.log_metric("outer", 1)
    runs = {run.name: run for run in project.runs()}
    assert runs["inner 1"].parent == outer.id
    assert runs["inner 1"].metrics == {"n": 1.0}
    assert runs["outer"].parent is None
    assert runs["outer"].metrics == {"outer": 1.0}


def test_a_second_run_without_saying_so_is_a_mistake(project: Project) -> None:
    with gittrack.start_run(), pytest.raises(UsageError, match="nested=True"):
        gittrack.start_run()
    with gittrack.start_run():
        pass


def test_a_child_that_fails_inside_a_parent_that_does_not(project: Project) -> None:
    with gittrack.start_run("outer"), pytest.raises(ValueError), gittrack.start_run("inner", nested=True):
        raise ValueError
    assert {run.name: run.status for run in project.runs()} == {"outer": "finished", "inner": "failed"}


def test_threads_with_runs_of_their_own(project: Project) -> None:
    def work(number: int) -> None:
        with project.start_run(f"t{number}") as run:
            for step in range(20):
                run.log_metric("n", number, step)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runs = project.runs()
    assert {run.name: run.metrics for run in runs} == {f"t{number}": {"n": float(number)} for number in range(6)}


# --- resuming


def test_a_finished_run_goes_on_as_its_next_attempt(project: Project, repo: Repo) -> None:
    with project.start_run("it", params={"lr": 0.1, "a": 1}, tags={"kind": "cv"}, description="first") as run:
        for step in range(3):
            run.log_metric("loss", step)
        run.log_metric("old", 7)
        run.log_text("old", "old.txt")
        run.use("train.py")
    first = run.commit
    project.amend(run.id, tags={"said": "later"}, description="better")
    repo.write("train.py", "print('second')\n")
    repo.commit()
    with project.start_run(resume="it", params={"lr": 0.2}) as again:
        assert (again.id, again.attempt, again.name) == (run.id, 2, "it")
        for step in range(3, 5):
            again.log_metric("loss", step, step=step)
        again.log_metric("new", 1)
        again.log_text("new", "new.txt")
    with project.start_run(resume=run.id[:8]) as third:
        assert third.attempt == 3
        third.log_metric("loss", 9, step=9)
    found = only_run(project)
    assert (found.id, found.status, found.state.attempt) == (run.id, "finished", 3)
    assert found.params == {"lr": 0.2, "a": 1}
    assert found.tags == {"kind": "cv", "said": "later"}
    assert found.description == "better"
    assert list(found.history("loss").values) == [0, 1, 2, 3, 4, 9]
    assert list(found.history("loss").attempts) == [1, 1, 1, 2, 2, 3]
    assert found.metrics == {"loss": 9.0, "old": 7.0, "new": 1.0}
    assert {one.path: found.file(f"artifacts/{one.path}") for one in found.artifacts} == {
        "old.txt": b"old",
        "new.txt": b"new",
    }
    assert [one["path"] for one in found.record.inputs] == ["train.py"]
    assert [one.number for one in found.record.attempts] == [1, 2, 3]
    assert found.record.code.commit == repo.git("rev-parse", "HEAD")
    assert repo.git("merge-base", "--is-ancestor", str(first), str(found.commit)) == ""
    assert len(found.amendments) == 3
    assert repo.git("fsck", "--strict", "--no-dangling") == ""


def test_a_resumed_child_keeps_its_parent(project: Project) -> None:
    with gittrack.start_run("outer") as outer, gittrack.start_run("inner", nested=True):
        pass
    with gittrack.start_run(resume="inner"):
        pass
    assert project.get_run("inner").parent == outer.id


def test_a_resumed_run_stays_in_its_experiment(project: Project, repo: Repo) -> None:
    with project.start_run("it", experiment="one") as run:
        pass
    with project.start_run(resume="it", experiment="one"):
        pass
    with pytest.raises(UsageError, match="experiment"):
        project.start_run(resume="it", experiment="two")
    assert gittrack_refs(repo) == [f"refs/experiments/one/{run.id}"]


def test_a_failed_run_that_is_resumed_and_finished_is_finished(project: Project) -> None:
    with pytest.raises(ValueError), project.start_run("it"):
        raise ValueError("first try")
    assert only_run(project).status == "failed"
    with project.start_run(resume="it"):
        pass
    found = only_run(project)
    assert found.status == "finished"
    assert found.record.error is None
    assert [str(one.status) for one in found.record.attempts] == ["failed", "finished"]


def test_an_active_run_cannot_be_resumed_nor_changed(project: Project) -> None:
    with project.start_run("it") as run:
        for call in (
            lambda: project.start_run(resume="it"),
            lambda: project.start_run(resume=run.id),
            lambda: project.amend("it", tags={"a": 1}),
        ):
            with pytest.raises(RunBusy):
                call()
    assert only_run(project).status == "finished"


def test_a_resumed_run_cannot_be_resumed_again_meanwhile(project: Project) -> None:
    with project.start_run("it"):
        pass
    with project.start_run(resume="it"), pytest.raises(RunBusy):
        project.start_run(resume="it")
    assert only_run(project).state.attempt == 2


def test_a_deleted_run_must_be_restored_first(project: Project) -> None:
    with project.start_run("it") as run:
        pass
    project.amend("it", deleted=True)
    with pytest.raises((UsageError, UnknownRun)):
        project.start_run(resume=run.id)
    project.amend(run.id, deleted=False)
    with project.start_run(resume=run.id):
        pass


RESUME = """
import sys
import gittrack
sys.stdin.readline()
try:
    run = gittrack.start_run(resume=sys.argv[1])
except gittrack.GittrackError as error:
    print(type(error).__name__)
else:
    print("resumed", flush=True)
    sys.stdin.readline()
    run.log_metric("a", 1)
    run.finish()
"""


def test_of_many_that_resume_a_run_exactly_one_may(project: Project, repo: Repo) -> None:
    with project.start_run("it") as run:
        pass
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RESUME, run.id],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        for _ in range(5)
    ]
    for one in racers:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    said = [one.stdout.readline().strip() for one in racers if one.stdout is not None]
    for one in racers:
        assert one.communicate("finish\n")
    assert sorted(said) == ["RunBusy"] * 4 + ["resumed"]
    assert only_run(project).state.attempt == 2


# --- scripts that end in their own way


def script(repo: Repo, code: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    return repo.python("import gittrack, os, sys, signal\n" + code, check=False, **kwargs)


def test_a_run_that_the_script_forgot_to_finish(project: Project, repo: Repo) -> None:
    done = script(repo, "gittrack.start_run('it').log_metric('a', 1)\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert (only_run(project).status, only_run(project).metrics) == ("finished", {"a": 1.0})


def test_a_run_whose_handle_the_script_threw_away(project: Project, repo: Repo) -> None:
    code = "import gc\ngittrack.Project.open().start_run('it').log_metric('a', 1)\ngc.collect()\n"
    assert script(repo, code).returncode == 0
    assert (only_run(project).status, only_run(project).metrics) == ("finished", {"a": 1.0})


def test_an_exception_that_ends_a_script_without_a_with_block(project: Project, repo: Repo) -> None:
    done = script(repo, "run = gittrack.start_run('it')\nrun.log_metric('a', 1)\nraise ValueError('oh no')\n")
    assert done.returncode == 1
    assert "ValueError: oh no" in done.stderr
    found = only_run(project)
    assert (found.status, found.metrics) == ("failed", {"a": 1.0})
    assert found.record.error is not None
    assert (found.record.error.type, found.record.error.message) == ("ValueError", "oh no")


@pytest.mark.parametrize(
    ("end", "code", "status"),
    [("sys.exit(3)", 3, "failed"), ("sys.exit('bye')", 1, "failed"), ("sys.exit()", 0, "finished"),
     ("raise KeyboardInterrupt", -2, "killed"), ("1/0", 1, "failed")],
)  # fmt: skip
def test_a_script_ends_with_its_own_exit_code(project: Project, repo: Repo, end: str, code: int, status: str) -> None:
    done = script(repo, f"with gittrack.start_run('it') as run:\n    run.log_metric('a', 1)\n    {end}\n")
    assert done.returncode in {code, 128 - code if code < 0 else code}
    assert (only_run(project).status, only_run(project).metrics) == (status, {"a": 1.0})


TERM = """
run = gittrack.start_run('it')
run.log_metric('a', 1)
print('ready', flush=True)
while True:
    run.log_metric('b', 1)
"""


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, "killed"), (signal.SIGINT, "killed"), (signal.SIGKILL, "lost")]
)
def test_a_signal_in_the_middle_of_logging(project: Project, repo: Repo, number: signal.Signals, status: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "import gittrack\n" + TERM], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(number)
        child.communicate(timeout=60)
    # Python itself ends a program given by -c with 1 after Ctrl-C.
    assert child.returncode in {-number, 128 + number, 1 if number is signal.SIGINT else -number}
    found = only_run(project)
    assert found.status == status
    assert found.metrics["a"] == 1.0
    if number is signal.SIGTERM:
        assert found.record.error is not None
        assert found.record.error.signal == "SIGTERM"


def test_the_users_own_signal_handler_is_left_alone(project: Project, repo: Repo) -> None:
    code = """
def mine(number, frame):
    print('mine', flush=True)
    sys.exit(7)
signal.signal(signal.SIGTERM, mine)
with gittrack.start_run('it') as run:
    os.kill(os.getpid(), signal.SIGTERM)
"""
    done = script(repo, code)
    assert (done.returncode, done.stdout) == (7, "mine\n")
    assert only_run(project).status == "failed"


def test_os_exit_leaves_a_lost_run(project: Project, repo: Repo) -> None:
    script(repo, "run = gittrack.start_run('it')\nrun.log_metric('a', 1)\nos._exit(0)\n")
    assert (only_run(project).status, only_run(project).metrics) == ("lost", {"a": 1.0})


# --- processes


def test_what_forked_children_log_arrives(project: Project, repo: Repo) -> None:
    code = """
with gittrack.start_run('it') as run:
    run.log_metric('shared', 0)
    children = []
    for number in range(3):
        pid = os.fork()
        if pid == 0:
            for step in range(100):
                run.log_metric(f'child{number}', step)
            run.log_metric('shared', number + 1)
            run.set_tag(f'child{number}', 'here')
            run.finish()                       # not its to say
            os._exit(0)
        children.append(pid)
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    run.log_metric('shared', 9)
"""
    done = script(repo, code)
    assert (done.returncode, done.stderr) == (0, "")
    found = only_run(project)
    assert found.status == "finished"
    assert sorted(found.history("shared").values) == [0, 1, 2, 3, 9]
    assert all(len(found.history(f"child{number}")) == 100 for number in range(3))
    assert found.tags == {f"child{number}": "here" for number in range(3)}


def test_a_forked_child_that_ends_normally_does_not_end_the_run(project: Project, repo: Repo) -> None:
    code = """
run = gittrack.start_run('it')
pid = os.fork()
if pid == 0:
    run.log_metric('child', 1)
    sys.exit(3)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
run.log_metric('parent', 1)
"""
    assert script(repo, code).returncode == 0
    assert (only_run(project).status, only_run(project).metrics) == ("finished", {"child": 1.0, "parent": 1.0})


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes(project: Project, repo: Repo, method: str) -> None:
    repo.write(
        "work.py",
        f"""
import multiprocessing, gittrack
def work(number):
    if {method == "fork"}:
        gittrack.log_metric(f"w{{number}}", number)
    return number
if __name__ == "__main__":
    with gittrack.start_run("it") as run:
        with multiprocessing.get_context("{method}").Pool(3) as pool:
            run.log_metric("sum", sum(pool.map(work, range(6))))
            pool.close()
            pool.join()
""",
    )
    repo.commit()
    done = subprocess.run([sys.executable, "work.py"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found = only_run(project)
    assert found.metrics["sum"] == 15.0
    if method == "fork":
        assert {f"w{number}" for number in range(6)} <= found.metrics.keys()


def test_a_run_started_in_a_forked_child(project: Project, repo: Repo) -> None:
    code = """
with gittrack.start_run('outer'):
    pid = os.fork()
    if pid == 0:
        with gittrack.start_run('inner', nested=True) as run:
            run.log_metric('a', 1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
"""
    assert script(repo, code).returncode == 0
    runs = {run.name: run for run in project.runs()}
    assert {name: run.status for name, run in runs.items()} == {"outer": "finished", "inner": "finished"}
    assert runs["inner"].parent == runs["outer"].id


# --- a failing world


def test_a_read_only_repository_is_told_once_and_the_run_comes_later(project: Project, repo: Repo) -> None:
    code = """
with gittrack.start_run('it', params={'lr': 0.1}) as run:
    for step in range(100):
        run.log_metric('a', step)
    run.log_text('x', 'x.txt')
print('done')
"""
    with read_only(repo.path / ".git"):
        done = script(repo, code)
        assert (done.returncode, done.stdout) == (0, "done\n")
        assert "cannot be written" in done.stderr
        assert "Traceback" not in done.stderr
        assert len(project.live()) == 1
        assert project.recover()[0].problem is not None
    found = only_run(project)
    assert (found.status, found.params, found.metrics) == ("finished", {"lr": 0.1}, {"a": 99.0})
    assert len(found.history("a")) == 100
    assert found.file("artifacts/x.txt") == b"x"
    assert project.live() == []


def test_a_read_only_repository_with_a_dirty_tree_cannot_take_a_snapshot(project: Project, repo: Repo) -> None:
    repo.write("train.py", "changed")
    with read_only(repo.path / ".git"), pytest.raises(GittrackError, match="snapshot"):
        project.start_run(allow_dirty="all")


def test_a_file_where_the_live_folder_should_be(project: Project, repo: Repo, caplog: pytest.LogCaptureFixture) -> None:
    (repo.path / ".git" / "gittrack").write_text("in the way")
    with project.start_run("it") as run:
        run.log_metric("a", 1)
    assert "cannot be written" in caplog.text
    assert run.commit is not None  # the rest of the repository is sound
    assert project.repo.resolve(f"refs/experiments/default/{run.id}") == run.commit


def test_a_repository_that_vanishes_during_training(project: Project, repo: Repo) -> None:
    code = """
import shutil
with gittrack.start_run('it') as run:
    run.log_metric('a', 1)
    shutil.rmtree('.git')
    for step in range(100):
        run.log_metric('a', step)
        run.log_param(f'p{step}', 1)
    run.log_text('x', 'x.txt')
print('done')
"""
    done = script(repo, code)
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert "Traceback" not in done.stderr
    assert "could not be recorded" in done.stderr


def test_a_repository_that_is_moved_away_and_back(project: Project, repo: Repo, tmp_path: Path) -> None:
    code = """
run = gittrack.start_run('it')
run.log_metric('a', 1)
os.rename('.git', 'elsewhere')
run.log_metric('a', 2)
run.log_metric('b', 1)
assert run.finish() is None
os.rename('elsewhere', '.git')
"""
    assert script(repo, code).returncode == 0
    found = only_run(project)
    assert (found.status, list(found.history("a").values)) == ("finished", [1.0, 2.0])


def test_a_finish_that_failed_may_be_made_good_while_the_process_lives(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = project.start_run("it")
    with monkeypatch.context() as patched:
        patched.setattr("gittrack.git.objects._write_loose", lambda *_: (_ for _ in ()).throw(OSError(28, "No space")))
        assert run.finish() is None
    assert only_run(project).status == "finished"


def test_no_git_any_more_at_the_end(project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = project.start_run("it")
    run.log_metric("a", 1)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", str(tmp_path))
        assert run.finish() is None
    assert only_run(project).metrics == {"a": 1.0}


def test_a_folder_that_the_script_leaves_and_removes(project: Project, repo: Repo) -> None:
    code = """
import tempfile, shutil
with gittrack.start_run('it') as run:
    away = tempfile.mkdtemp()
    os.chdir(away)
    shutil.rmtree(away)
    run.log_metric('a', 1)
    gittrack.log_metric('b', 1)
"""
    done = script(repo, code)
    assert (done.returncode, done.stderr) == (0, "")
    assert only_run(project).metrics == {"a": 1.0, "b": 1.0}


# --- console


def test_what_a_script_prints_is_kept_and_still_printed(project: Project, repo: Repo) -> None:
    code = """
with gittrack.start_run('it', console=True):
    print('to stdout')
    print('to stderr', file=sys.stderr)
    os.system('echo from a child')
print('after')
"""
    done = script(repo, code)
    assert done.returncode == 0
    assert "to stdout" in done.stdout
    assert "after" in done.stdout
    assert "to stderr" in done.stderr
    said = only_run(project).console()
    assert "to stdout" in said
    assert "to stderr" in said
    assert "after" not in said


def test_environment_and_utilisation_are_recorded(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITTRACK_RUN_SYSTEM_METRICS", "10ms")
    sampled = Project.open()
    with sampled.start_run("it") as run:
        wait_until(lambda: any(key.startswith("system/") for key in run.folder.replay().histories), "a sample came")
    found = only_run(project)
    assert any(key.startswith("system/") for key in found.metrics)
    assert found.environment.to_dict()["python"]["version"] == sys.version.split()[0]
