"""`gittrack run`: any command as a run, and what it logs itself joins."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

import gittrack
from gittrack.errors import DirtyTree, UsageError
from gittrack.project import Project
from gittrack.run import Run
from tests.helpers import Repo

WRAP = "import sys; from gittrack.project import Project; sys.exit(Project.open().run_command(sys.argv[1:]).exit_code)"


def wrap(repo: Repo, *command: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    return repo.python(WRAP, *command, check=False, **kwargs)


def only_run(project: Project) -> Run:
    (run,) = project.runs()
    return run


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_command_of_any_language(project: Project, repo: Repo) -> None:
    before = repo.status_fingerprint()
    done = wrap(repo, "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.returncode, done.stdout) == (3, "out\n")
    assert "err" in done.stderr
    assert repo.status_fingerprint() == before
    found = only_run(project)
    assert (found.status, found.command) == ("failed", "sh -c 'echo out; echo err >&2; exit 3'")
    assert found.record.error is not None
    assert found.record.error.exit_code == 3


def test_the_console_is_kept(project: Project, repo: Repo) -> None:
    done = wrap(repo, "sh", "-c", "echo out; echo err >&2", env={"GITTRACK_RUN_CONSOLE": "true"})
    assert done.stdout == "out\n"
    assert sorted(only_run(project).console().splitlines()) == ["err", "out"]


def test_what_a_script_logs_joins_the_run(project: Project, repo: Repo) -> None:
    code = """
import gittrack
with gittrack.start_run('named inside', params={'lr': 0.1}, tags={'a': 1}, description='why') as run:
    for step in range(10):
        run.log_metric('loss', step)
    run.log_text('x', 'x.txt')
with gittrack.start_run('second') as second:
    second.log_metric('n', 2)
"""
    done = wrap(repo, *python(code))
    assert (done.returncode, done.stderr) == (0, "")
    runs = {run.name: run for run in project.runs()}
    assert set(runs) == {"named inside", "second"}
    joined = runs["named inside"]
    assert (joined.status, joined.params, joined.tags, joined.description) == (
        "finished",
        {"lr": 0.1},
        {"a": "1"},
        "why",
    )
    assert list(joined.history("loss").values) == list(range(10))
    assert joined.file("artifacts/x.txt") == b"x"
    assert runs["second"].parent == joined.id
    assert runs["second"].metrics == {"n": 2.0}


def test_a_name_given_outside_stands(project: Project, repo: Repo) -> None:
    project.run_command(python("import gittrack; gittrack.start_run('inside')"), name="outside", params={"lr": 0.1})
    found = only_run(project)
    assert (found.name, found.params) == ("outside", {"lr": 0.1})


def test_the_traceback_of_the_script_is_that_of_the_run(project: Project, repo: Repo) -> None:
    code = "import gittrack\nwith gittrack.start_run() as run:\n    raise ValueError('oh no')\n"
    done = wrap(repo, *python(code))
    assert done.returncode == 1
    found = only_run(project)
    assert found.status == "failed"
    error = found.record.error
    assert error is not None
    assert (error.type, error.message, error.exit_code) == ("ValueError", "oh no", 1)
    assert "line 3" in (error.traceback or "")


def test_processes_below_the_command_join_too(project: Project, repo: Repo) -> None:
    code = """
import subprocess, sys, gittrack
with gittrack.start_run() as run:
    run.log_metric('outer', 1)
    inner = "import gittrack; gittrack.start_run().log_metric('inner', 2)"
    subprocess.run([sys.executable, '-c', inner], check=True)
    run.log_metric('outer', 3)
"""
    assert wrap(repo, *python(code)).returncode == 0
    assert only_run(project).metrics == {"outer": 3.0, "inner": 2.0}


def test_ranks_below_a_wrapped_launcher_join_with_their_prefix(project: Project, repo: Repo) -> None:
    code = """
import os, subprocess, sys
inner = "import os, gittrack; gittrack.start_run().log_metric('loss', int(os.environ['RANK']))"
ranks = [subprocess.Popen([sys.executable, '-c', inner], env={**os.environ, 'RANK': str(r), 'WORLD_SIZE': '3',
    'MASTER_ADDR': 'h', 'MASTER_PORT': '1', 'LOCAL_WORLD_SIZE': '3'}) for r in range(3)]
assert [one.wait() for one in ranks] == [0, 0, 0]
"""
    assert wrap(repo, *python(code)).returncode == 0
    assert only_run(project).metrics == {"loss": 0.0, "rank1/loss": 1.0, "rank2/loss": 2.0}


def test_a_wrapped_command_inside_another_is_a_child(project: Project, repo: Repo) -> None:
    done = wrap(repo, sys.executable, "-c", WRAP, "true")
    assert done.returncode == 0
    outer, inner = sorted(project.runs(), key=lambda run: run.parent is not None)
    assert inner.parent == outer.id


def test_params_and_metrics_files_are_read(project: Project, repo: Repo) -> None:
    repo.write("params.yaml", "lr: 0.1\nmodel:\n  depth: 3\nseed: 1\n")
    repo.write(".gitignore", "metrics.json\n")
    repo.write("metrics.json", '{"old": 1}')
    repo.commit()
    code = "import json; json.dump({'acc': 0.5, 'val': {'f1': 0.25}, 'note': 'x'}, open('metrics.json', 'w'))"
    project.run_command(python(code), params={"seed": 42})
    found = only_run(project)
    assert found.params == {"lr": 0.1, "model.depth": 3, "seed": 42}
    assert found.metrics == {"acc": 0.5, "val/f1": 0.25}
    assert found.record.warnings == ()


def test_a_metrics_file_that_the_command_did_not_write_is_of_another_run(project: Project, repo: Repo) -> None:
    repo.write(".gitignore", "metrics.json\n")
    repo.commit()
    repo.write("metrics.json", '{"old": 1}')
    project.run_command(["true"])
    assert only_run(project).metrics == {}


@pytest.mark.parametrize("content", ["{", "[1, 2]", '{"a": "x"}', "", "\xff", '{"a": NaN, "b": 1e999}'])
def test_a_metrics_file_that_makes_no_sense_is_warned_of(project: Project, repo: Repo, content: str) -> None:
    repo.write(".gitignore", "metrics.json\n")
    repo.commit()
    code = f"open('metrics.json', 'w', encoding='latin-1').write({content!r})"
    assert project.run_command(python(code)).exit_code == 0
    assert only_run(project).status == "finished"


def test_a_params_file_that_makes_no_sense_is_warned_of(
    project: Project, repo: Repo, caplog: pytest.LogCaptureFixture
) -> None:
    repo.write("params.yaml", "a: [")
    repo.commit()
    project.run_command(["true"])
    assert "params.yaml could not be read" in caplog.text
    assert only_run(project).params == {}


def test_what_cannot_be_started_raises_before_anything_is_recorded(project: Project, repo: Repo) -> None:
    with pytest.raises(UsageError, match="no program 'no-such-program'"):
        project.run_command(["no-such-program"])
    with pytest.raises(UsageError, match="no command"):
        project.run_command([])
    assert project.count() == 0
    assert project.live() == []


def test_a_dirty_tree_is_refused(project: Project, repo: Repo) -> None:
    repo.write("train.py", "changed")
    with pytest.raises(DirtyTree):
        project.run_command(["touch", "started"])
    assert not (repo.path / "started").exists()
    assert project.run_command(["true"], allow_dirty="tracked").exit_code == 0


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, "killed"), (signal.SIGINT, "killed"), (signal.SIGKILL, "failed"), (signal.SIGSEGV, "failed")],
)
def test_a_command_that_a_signal_ends(project: Project, repo: Repo, number: signal.Signals, status: str) -> None:
    wrap(repo, *python(f"import os; os.kill(os.getpid(), {int(number)})"))
    found = only_run(project)
    assert found.status == status
    assert found.record.error is not None
    assert found.record.error.signal == number.name


def test_a_signal_for_us_reaches_the_command_first(project: Project, repo: Repo) -> None:
    code = """
import signal, sys, time, gittrack
run = gittrack.start_run()
run.log_metric('a', 1)
def end(*args):
    run.log_metric('told', 1)
    sys.exit(7)
signal.signal(signal.SIGTERM, end)
print('ready', flush=True)
while True:
    time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", WRAP, *python(code)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as wrapped:
        assert wrapped.stdout is not None
        wrapped.stdout.readline()
        wrapped.send_signal(signal.SIGTERM)
        wrapped.communicate(timeout=60)
    assert wrapped.returncode == 7
    found = only_run(project)
    assert found.metrics == {"a": 1.0, "told": 1.0}


def test_the_wrapper_is_killed_and_the_script_goes_on(project: Project, repo: Repo) -> None:
    """What the script logs until its own end is kept; only then is the run lost."""
    code = """
import sys, gittrack
run = gittrack.start_run()
run.log_metric('a', 1)
print('ready', flush=True)
sys.stdin.readline()
run.log_metric('b', 2)
run.finish()
"""
    with subprocess.Popen(
        [sys.executable, "-c", WRAP, *python(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        start_new_session=True,
    ) as wrapped:  # fmt: skip
        assert wrapped.stdout is not None
        wrapped.stdout.readline()
        wrapped.kill()
        wrapped.wait()
        assert [run.status for run in project.runs()] == ["running"]
        assert wrapped.stdin is not None
        wrapped.stdin.write(b"\n")
        wrapped.stdin.close()
        wrapped.stdout.read()
    found = only_run(project)
    assert (found.status, found.metrics) == ("lost", {"a": 1.0, "b": 2.0})


def test_a_variable_that_leads_to_no_run_is_ignored(
    project: Project, monkeypatch: pytest.MonkeyPatch, repo: Repo
) -> None:
    monkeypatch.setenv("GITTRACK_RUN", "0" * 32)
    monkeypatch.setenv("GITTRACK_LIVE", str(repo.path / "nowhere"))
    with gittrack.start_run("it"):
        pass
    assert only_run(project).status == "finished"


def test_joining_a_run_whose_folder_cannot_be_written(project: Project, repo: Repo) -> None:
    code = """
import os, gittrack
live = os.environ['GITTRACK_LIVE']
folder = os.path.join(live, os.environ['GITTRACK_RUN'])
os.rename(folder, folder + '-away')
open(folder, 'w').close()
run = gittrack.start_run()
run.log_metric('a', 1)
run.finish()
os.unlink(folder)
os.rename(folder + '-away', folder)
"""
    done = wrap(repo, *python(code))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_arguments_with_secrets_are_masked(project: Project) -> None:
    project.run_command(["true", "--api-key=hunter2secret", "--password", "correct horse"])
    found = only_run(project)
    assert "hunter2secret" not in found.command
    assert "correct horse" not in found.command


def test_environment_of_the_command_is_its_own(project: Project, repo: Repo) -> None:
    done = wrap(repo, *python("import os; print(sorted(k for k in os.environ if k.startswith('GITTRACK')))"))
    assert eval(done.stdout) == sorted(
        ["GITTRACK_LIVE", "GITTRACK_OPENS", "GITTRACK_RUN", *(key for key in os.environ if key.startswith("GITTRACK"))]
    )
