"""`gittrack run --isolated`: the command works on the captured code, and whatever happens here does not touch it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gittrack.live.owner import this_process
from gittrack.project import Project
from gittrack.run import Run
from gittrack.tracking.slots import SPARES, Slot
from gittrack.values import replace
from tests.helpers import Repo, fill_disk, read_only, small_disk, wait_until

SHOW = "import os; print(os.getcwd()); print(*sorted(os.listdir()))"
# Waits until the file that its last argument names is there.
WAIT = (
    "import os, sys, time\nprint(os.getcwd(), flush=True)\nwhile not os.path.exists(sys.argv[-1]): time.sleep(0.01)\n"
)


def run(repo: Repo, *words: str, code: int = 0, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    done = repo.gittrack("run", "--isolated", *words, check=False, **kwargs)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def only_run(repo: Repo) -> Run:
    (found,) = Project.open(repo.path).runs()
    return found


def isolated_folder(repo: Repo) -> Path:
    return repo.path / ".git/gittrack/isolated"


def spares(repo: Repo) -> list[str]:
    home = isolated_folder(repo)
    return sorted(os.listdir(home)) if home.exists() else []


def in_use(repo: Repo) -> list[Path]:
    return sorted(isolated_folder(repo).glob("*/used"))


class Waiting:
    """A run that goes on until it is told."""

    def __init__(self, repo: Repo, go: Path, *options: str, command: str = WAIT) -> None:
        self.go = go
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gittrack", "run", "--isolated", *options, "--", sys.executable, "-c", command, str(go)],
            cwd=repo.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.place = Path(self.process.stdout.readline().strip())

    def end(self) -> str:
        self.go.touch()
        _, err = self.process.communicate()
        assert self.process.returncode == 0, err
        return err


# --- what it works on


def test_the_captured_code_in_the_same_folder(repo: Repo) -> None:
    repo.write("sub/one.py", "1")
    repo.write(".gitignore", "data.bin\n")
    repo.write("data.bin", "ignored")
    commit = repo.commit()
    before = repo.status_fingerprint()
    done = run(repo, "-p", "lr=1", "--", sys.executable, "-c", SHOW, cwd=repo.path / "sub")
    place = isolated_folder(repo) / "0" / repo.path.name
    assert done.stdout.splitlines() == [str(place / "sub"), "one.py"]
    assert repo.status_fingerprint() == before
    record = only_run(repo).record
    assert (record.cwd, record.code.captured, record.code.dirty, record.code.branch) == ("sub", commit, False, "main")
    assert spares(repo) == ["0"]
    assert in_use(repo) == []
    tree = repo.git("show", "--no-textconv", f"{only_run(repo).commit}:.gittrack/run.yaml")
    assert "isolated" not in tree


def test_from_within_a_hook_of_git(repo: Repo) -> None:
    """There variables name the user's repository and index."""
    git = repo.path / ".git"
    before = repo.status_fingerprint()
    env = {"GIT_DIR": str(git), "GIT_INDEX_FILE": str(git / "index"), "GIT_WORK_TREE": str(repo.path), "GIT_PREFIX": ""}
    for _ in range(2):
        done = run(repo, "--", "git", "rev-parse", "--show-toplevel", env=env)
        assert done.stdout == f"{isolated_folder(repo)}/0/{repo.path.name}\n"
    assert repo.status_fingerprint() == before


def test_a_snapshot_where_changes_are_allowed_and_the_gate_where_not(repo: Repo) -> None:
    repo.write("train.py", "print('changed')")
    assert "differs from the last commit" in run(repo, "--", sys.executable, "train.py", code=4).stderr
    assert spares(repo) == []
    done = run(repo, "--allow-dirty", "--", sys.executable, "train.py")
    assert done.stdout == "changed\n"
    code = only_run(repo).record.code
    assert code.dirty
    assert repo.git("show", f"{code.captured}:train.py") == "print('changed')"
    # The next one finds the committed file again, though the spare had the other.
    repo.git("checkout", "-q", "train.py")
    assert run(repo, "--", sys.executable, "train.py").stdout == "training\n"


def test_files_are_read_and_kept_from_there(repo: Repo) -> None:
    code = """
import json, os
json.dump({"acc": 0.5}, open("metrics.json", "w"))
os.makedirs("out"); open("out/model.bin", "w").write("model")
open("lost.txt", "w").write("x"); open("logged.txt", "w").write("x")
import gittrack
with gittrack.start_run() as run:
    run.log_artifact("logged.txt")
"""
    repo.write("params.yaml", "lr: 0.1\n")
    repo.write("train.py", code)
    repo.commit()
    done = run(repo, "--input", "params.yaml", "--output", "out", "--", sys.executable, "train.py")
    found = only_run(repo)
    assert (found.params, found.metrics) == ({"lr": 0.1}, {"acc": 0.5})
    assert sorted(one.path for one in found.record.artifacts) == ["logged.txt", "out/model.bin"]
    assert [one["path"] for one in found.record.inputs] == ["params.yaml"]
    assert "its outputs lie in the run, not in your tree" in done.stderr
    assert "lost.txt is gone with the isolated folder" in done.stderr
    assert found.record.script == "train.py"
    assert sorted(os.listdir(repo.path)) == [".git", "params.yaml", "train.py"]
    assert sorted(os.listdir(isolated_folder(repo) / "0" / repo.path.name)) == [".git", "params.yaml", "train.py"]


def test_paths_that_name_the_users_worktree(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "beside.txt").write_text("beside")
    repo.write("conf/a.yaml", "a: 1")
    repo.write(".gitignore", "env/\nscratch/\n")
    repo.commit()
    repo.write(
        "env/tool",
        f"#!{sys.executable}\nimport sys, os; print(sys.argv[0]); print(*sys.argv[1:])\nopen(sys.argv[3], 'w')",
    )
    (repo.path / "env/tool").chmod(0o755)
    top, place = repo.path, isolated_folder(repo) / "0" / repo.path.name
    words = [f"--conf={top}/conf/a.yaml", "../beside.txt", f"{top}/model.pt", f"{top}/env/x"]
    done = run(
        repo, "--output", f"{top}/model.pt", "--input", f"{top}/conf/a.yaml", "--input", "../beside.txt", "--",
        "env/tool", *words,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        f"{top}/env/tool",
        f"--conf={place}/conf/a.yaml ../beside.txt {place}/model.pt {top}/env/x",
    ]
    assert "env/x lies in your worktree and not in the captured code" in done.stderr
    record = only_run(repo).record
    assert [one["path"] for one in record.inputs] == ["conf/a.yaml", str(tmp_path / "beside.txt")]
    assert [one.path for one in record.artifacts] == ["model.pt"]
    assert record.command == ("env/tool", *words)
    repo.write("scratch/data", "x")
    refused = run(repo, "--input", "scratch/data", "--", "true", code=2).stderr
    assert refused.count("\n") == 1
    assert "is in your worktree alone" in refused
    assert in_use(repo) == []


def test_an_editable_package_is_the_captured_one(repo: Repo, tmp_path: Path) -> None:
    """Its `.pth` names the user's worktree, and an import would bring what stands there now."""
    repo.write("src/net/__init__.py", "VALUE = 'captured'")
    repo.write("apps/train.py", "import net; print(net.VALUE, net.__file__)")
    repo.write("tool/__init__.py", "")
    repo.write("lib/types.py", "")
    repo.commit()
    repo.write("src/net/__init__.py", "VALUE = 'edited'")
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "net.pth").write_text(f"{repo.path}/src\n")
    (site / "lib.pth").write_text(f"{repo.path}/lib\n")
    (site / "__editable___tool_finder.py").write_text(f"MAPPING: dict[str, str] = {{'tool': '{repo.path}/tool'}}\n")
    run(repo, "--", str(venv / "bin/python"), "apps/train.py", code=4)
    repo.git("stash")
    go = tmp_path / "go"
    late = f"{WAIT}import net; print(net.VALUE); print(os.environ['PYTHONPATH'])"
    waiting = subprocess.Popen(
        [sys.executable, "-m", "gittrack", "run", "--isolated", "--", str(venv / "bin/python"), "-c", late, str(go)],
        cwd=repo.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert waiting.stdout is not None
    place = Path(waiting.stdout.readline().strip())
    repo.git("stash", "pop")
    go.touch()
    out, err = waiting.communicate()
    assert out.splitlines()[0] == "captured"
    assert "lib has modules that are called like Python's own (types)" in err
    assert {f"{place}/src", str(place)} <= set(out.splitlines()[1].split(":"))


@pytest.mark.parametrize("said", [["--no-isolated"], []])
def test_the_setting_and_the_option_against_it(repo: Repo, said: list[str]) -> None:
    repo.git("config", "gittrack.run.isolated", "true")
    done = repo.gittrack("run", *said, "--", sys.executable, "-c", SHOW)
    top = repo.path if said else isolated_folder(repo) / "0" / repo.path.name
    assert done.stdout.splitlines()[0] == str(top)


def test_a_run_inside_works_with_the_same_files(repo: Repo) -> None:
    inside = "import os; print(os.getcwd()); open('made').read()"
    inner = f'{sys.executable} -m gittrack run --allow-dirty=all -- {sys.executable} -c "{inside}"'
    done = run(repo, "--", "sh", "-c", f"echo x > made; {inner}", env={"GITTRACK_RUN_ISOLATED": "true"})
    assert done.stdout.splitlines() == [str(isolated_folder(repo) / "0" / repo.path.name)]


def test_in_a_bare_repository_a_linked_worktree_and_a_folder_that_git_does_not_hold(repo: Repo, tmp_path: Path) -> None:
    repo.git("worktree", "add", "-q", "--detach", "../linked")
    linked = Repo(tmp_path / "linked")
    (linked.path / "empty").mkdir()
    place = isolated_folder(repo) / "0" / repo.path.name
    assert run(linked, "--", "pwd", cwd=linked.path / "empty").stdout == f"{place}/empty\n"
    bare = tmp_path / "bare.git"
    repo.git("clone", "-q", "--bare", ".", str(bare))
    done = run(Repo(bare), "--", sys.executable, "train.py")
    assert done.stdout == "training\n"
    assert (bare / "gittrack/isolated/0/bare/train.py").exists()


def test_where_git_keeps_its_folder_elsewhere(repo: Repo, tmp_path: Path) -> None:
    (repo.path / ".git").rename(tmp_path / "store")
    (repo.path / ".git").symlink_to(tmp_path / "store")
    for _ in range(2):
        assert Path(run(repo, "--", "pwd").stdout.strip()).is_relative_to(tmp_path / "store")
    (repo.path / ".git").unlink()
    repo.write(".git", f"gitdir: {tmp_path / 'store'}\n")
    run(repo, "--", "pwd")
    assert {one.record.cwd for one in Project.open(repo.path).runs()} == {"."}
    assert len(repo.git("worktree", "list").splitlines()) == 2


# --- several


def test_seeds_all_run_what_was_here_when_they_began(repo: Repo) -> None:
    """Each changes the user's worktree, as a person may; a run that is not isolated would be refused then."""
    repo.write(
        "train.py", f"import sys; print('old', sys.argv[1]); open({str(repo.path / 'train.py')!r}, 'a').write('# x\\n')"
    )
    commit = repo.commit()
    done = run(repo, "--seeds", "2", "--", sys.executable, "train.py", "{seed}")
    assert done.stdout.splitlines() == ["old 0", "old 1"]
    assert {one.record.code.captured for one in Project.open(repo.path).runs()} == {commit}
    assert repo.git("status", "--porcelain") == " M train.py"


def test_runs_at_the_same_time_have_a_folder_each_and_few_are_kept(repo: Repo, tmp_path: Path) -> None:
    many = [Waiting(repo, tmp_path / f"go{number}") for number in range(SPARES + 1)]
    assert [one.place.parent.name for one in many] == [str(number) for number in range(SPARES + 1)]
    # A person may tidy meanwhile.
    repo.git("worktree", "prune", "--expire=now")
    repo.git("gc", "--quiet", "--prune=now")
    live = Project.open(repo.path).live()
    assert len(live) == SPARES + 1
    folders = [repo.path / ".git/gittrack/live" / one.state.id / "place" for one in live]
    assert {one.read_text() for one in folders} == {str(one.place) for one in many}
    # Nothing is taken away under them.
    assert repo.gittrack_json("gc")["spares"] == 0
    for one in many:
        one.end()
    assert spares(repo) == ["0", "1"]
    assert len(repo.git("worktree", "list").splitlines()) == 1 + SPARES
    assert repo.gittrack_json("gc")["spares"] == SPARES
    assert spares(repo) == []
    assert repo.git("worktree", "list").splitlines() == [
        f"{repo.path}  {repo.git('rev-parse', '--short', 'HEAD')} [main]"
    ]
    assert repo.git("fsck", "--no-dangling") == ""


# --- what happens here, and how it ends


def test_nothing_that_happens_here_reaches_it(repo: Repo, tmp_path: Path) -> None:
    repo.write("config.json", "1")
    commit = repo.commit()
    waiting = Waiting(repo, tmp_path / "go")
    seen = {path: (path.read_bytes(), path.stat()) for path in waiting.place.iterdir() if path.name != ".git"}
    repo.write("config.json", "2")
    repo.git("stash")
    repo.git("checkout", "-q", "-b", "other")
    repo.write("train.py", "other")
    repo.git("commit", "-q", "-a", "-m", "other")
    repo.git("checkout", "-q", "main")
    repo.git("commit", "-q", "--amend", "--allow-empty", "-m", "amended")
    repo.git("rebase", "-q", "other")
    repo.git("reflog", "expire", "--expire=now", "--all")
    repo.git("gc", "--quiet", "--prune=now")
    assert {path: (path.read_bytes(), path.stat()) for path in seen} == seen
    waiting.end()
    assert only_run(repo).record.code.captured == commit
    assert repo.git("fsck", "--no-dangling") == ""


def test_ctrl_c_and_a_command_that_cannot_be_started_leave_nothing(repo: Repo, tmp_path: Path) -> None:
    repo.write("no-program", "\0")
    (repo.path / "no-program").chmod(0o755)
    repo.commit()
    assert "there is no program" in run(repo, "--", "no-such-program", code=127).stderr
    assert spares(repo) == []
    run(repo, "--", "./no-program", code=2)
    assert in_use(repo) == []
    waiting = Waiting(repo, tmp_path / "go", command="import os, sys\nopen('half', 'w')\n" + WAIT)
    waiting.process.send_signal(signal.SIGINT)
    waiting.process.communicate()
    assert waiting.process.returncode == 130
    assert in_use(repo) == []
    assert not (waiting.place / "half").exists()


def test_who_was_killed_leaves_a_folder_that_nobody_takes_while_its_command_lives(repo: Repo, tmp_path: Path) -> None:
    waiting = Waiting(repo, tmp_path / "go", command="open('half', 'w')\n" + WAIT)
    waiting.process.kill()
    waiting.process.wait()
    run(repo, "--", "true")
    assert spares(repo) == ["0", "1"]
    repo.gittrack("recover")
    assert (waiting.place / "half").exists()
    waiting.go.touch()
    waiting.process.communicate()
    wait_until(lambda: _is_free(repo), "the command of the killed run has ended")
    repo.gittrack("recover")
    assert not (waiting.place / "half").exists()
    assert in_use(repo) == []
    assert run(repo, "--", "pwd").stdout == f"{waiting.place}\n"


def _is_free(repo: Repo) -> bool:
    slot = Slot.take(Project.open(repo.path).repo, os.environ)
    slot.close()
    return slot.path.name == "0"


@pytest.mark.parametrize(
    ("changed", "number"),
    [
        (
            {"boot": "its", "host": "elsewhere", "machine": "its"},
            "1",
        ),  # perhaps the file system has no locks that reach there
        ({"namespace": "of a container"}, "0"),  # on this machine they do
        ({"started": 1.0}, "0"),
        ({}, "1"),
    ],
)
def test_who_said_that_he_works_there(repo: Repo, changed: dict[str, Any], number: str) -> None:
    repository = Project.open(repo.path).repo
    slot = Slot.take(repository, os.environ)
    user = replace(this_process(), **changed)
    (slot.path / "used").write_text(json.dumps([user.to_dict()]))
    slot.close()
    again = Slot.take(repository, os.environ)
    again.close()
    assert again.path.name == number


def test_what_the_command_left_running_keeps_the_folder(repo: Repo, tmp_path: Path) -> None:
    daemon = f"while [ ! -e {tmp_path / 'go'} ]; do sleep 0.01; done"
    run(repo, "--", "sh", "-c", f"({daemon}) >/dev/null 2>&1 &")
    assert run(repo, "--", "pwd").stdout == f"{isolated_folder(repo) / '1' / repo.path.name}\n"
    (tmp_path / "go").touch()
    wait_until(lambda: _is_free(repo), "what was left running has ended")
    assert run(repo, "--", "pwd").stdout == f"{isolated_folder(repo) / '0' / repo.path.name}\n"


def test_a_spare_that_was_damaged_is_made_anew(repo: Repo) -> None:
    run(repo, "--", "true")
    place = isolated_folder(repo) / "0" / repo.path.name
    for spoil in (
        lambda: (place / ".git").write_text("gitdir: /nowhere"),
        lambda: shutil.rmtree(place),
        lambda: shutil.rmtree(repo.path / ".git/worktrees"),
        lambda: (isolated_folder(repo) / "0" / "lock").unlink(),
    ):
        spoil()
        assert run(repo, "--", sys.executable, "train.py").stdout == "training\n"
    assert len(repo.git("worktree", "list").splitlines()) == 2


def test_a_repository_that_was_moved_goes_on(repo: Repo, tmp_path: Path) -> None:
    run(repo, "--", "true")
    moved = Repo(repo.path.rename(tmp_path / "moved"))
    assert run(moved, "--", "pwd").stdout == f"{tmp_path}/moved/.git/gittrack/isolated/0/moved\n"
    moved.gittrack("gc")
    assert len(moved.git("worktree", "list").splitlines()) == 1


def test_another_folder_by_a_variable_and_a_full_disk_in_it(repo: Repo, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        env = {"GITTRACK_WORKTREES": str(disk)}
        done = run(repo, "--", "pwd", env=env)
        assert Path(done.stdout.strip()).is_relative_to(disk)
        assert repo.gittrack("gc", env=env).returncode == 0
        assert os.listdir(disk) == []
        repo.write("large.bin", os.urandom(2 << 20))
        repo.commit()
        said = run(repo, "--", "pwd", env=env, code=1).stderr
        assert said.count("\n") == 1
        assert "there can be no isolated worktree in" in said
        fill_disk(disk, leave=0)
        assert run(repo, "--", "pwd", env=env, code=1).stderr.count("\n") == 1
        assert os.listdir(disk) == ["filler"]
    assert len(repo.git("worktree", "list").splitlines()) == 1
    assert len(list(Project.open(repo.path).runs())) == 1


def test_where_nothing_can_be_written_it_is_one_sentence(repo: Repo) -> None:
    with read_only(repo.path / ".git"):
        said = run(repo, "--", "pwd", code=1).stderr
    assert "there can be no isolated run in" in said
    assert said.count("\n") == 1


def test_a_purge_takes_the_code_from_a_spare(repo: Repo) -> None:
    repo.write("train.py", "print('a secret of mine')")
    run(repo, "--allow-dirty", "--", "true")
    blob = repo.git("rev-parse", f"{only_run(repo).record.code.captured}:train.py")
    repo.git("checkout", "-q", "train.py")
    repo.gittrack("gc", "--purge", "@")
    assert "missing" in repo.git("cat-file", "--batch-check", input=blob)


def test_a_place_where_nothing_can_be_made(repo: Repo) -> None:
    done = repo.gittrack("run", "--isolated", "--", "true", env={"GITTRACK_WORKTREES": "/proc/none"}, check=False)
    assert done.returncode == 1
    assert "there can be no isolated run in /proc/none" in done.stderr
    assert repo.gittrack_json("ls") == []


def test_what_is_committed_inside_is_told(repo: Repo) -> None:
    said = run(repo, "--", "git", "commit", "--quiet", "--allow-empty", "-m", "From inside").stderr
    commit = said.partition("'git branch NAME ")[2].partition("'")[0]
    assert repo.git("log", "-1", "--format=%s", commit) == "From inside"
    assert "git branch NAME" not in run(repo, "--", "git", "switch", "--quiet", "-c", "kept").stderr
