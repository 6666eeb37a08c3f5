from __future__ import annotations

import sys

import pytest

from tests.cli.conftest import Desk
from tests.helpers import Repo


def test_a_command_becomes_a_run(repo: Repo) -> None:
    done = repo.gittrack(
        "run", "-e", "digits", "-n", "first", "-p", "lr=0.1", "-p", "name=x", "-p", "on=true", "-t", "a=b=c",
        "--", sys.executable, "-c", "print('hello')",
    )  # fmt: skip
    assert done.stdout == "hello\n"
    run = repo.gittrack_json("show", "first")
    assert done.stderr.startswith(f"gittrack: digits/first ({run['id'][:8]}) finished after ")
    assert done.stderr.count("\n") == 1
    assert run["params"] == {"lr": 0.1, "name": "x", "on": True}
    assert run["tags"] == {"a": "b=c"}
    assert run["experiment"] == "digits"
    assert repo.gittrack("show", "first", "console").stdout == "hello\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [(["sh", "-c", "exit 7"], 7), (["--", "false"], 1), (["--", "sh", "-c", "kill -9 $$"], 137)],
)
def test_the_exit_code_is_that_of_the_command(repo: Repo, words: list[str], code: int) -> None:
    assert repo.gittrack("run", *words, check=False).returncode == code
    assert repo.gittrack_json("ls")[0]["status"] == "failed"


def test_the_options_of_the_command_are_its_own(repo: Repo) -> None:
    done = repo.gittrack("run", "echo", "-n", "--", "--allow-dirty", "-h")
    assert done.stdout == "-- --allow-dirty -h"
    assert repo.gittrack_json("ls")[0]["command"] == "echo -n -- --allow-dirty -h"


def test_a_dirty_tree_is_refused_by_name(repo: Repo) -> None:
    repo.write("train.py", "changed\n")
    repo.write("new.txt", "x\n")
    before = repo.status_fingerprint()
    done = repo.gittrack("run", "--", "echo", "hi", check=False)
    assert (done.returncode, done.stdout) == (4, "")
    lines = done.stderr.splitlines()
    assert lines[0].startswith("gittrack: ")
    assert "--allow-dirty" in lines[0]
    assert lines[1:] == ["  train.py (modified)", "  new.txt (untracked)"]
    assert repo.gittrack_json("ls") == []
    assert repo.status_fingerprint() == before


@pytest.mark.parametrize(
    "words",
    [["--allow-dirty", "echo", "hi"], ["--allow-dirty=tracked", "echo", "hi"], ["--allow-dirty", "--", "echo", "hi"]],
)
def test_allowing_a_dirty_tree(repo: Repo, words: list[str]) -> None:
    repo.write("train.py", "changed\n")
    repo.write("new.txt", "x\n")
    done = repo.gittrack("run", "-n", "quick", *words)
    assert done.stdout == "hi\n"
    run = repo.gittrack_json("show", "quick")
    assert run["code"]["dirty"] is True
    assert "new.txt" not in repo.git("ls-tree", "--name-only", run["code"]["commit"])


def test_allowing_new_files_too(repo: Repo) -> None:
    repo.write("new.txt", "x\n")
    repo.gittrack("run", "-n", "quick", "--allow-dirty=all", "true")
    run = repo.gittrack_json("show", "quick")
    assert "new.txt" in repo.git("ls-tree", "--name-only", run["code"]["commit"])


def test_wrong_usage(desk: Desk) -> None:
    assert "missing argument" in desk.error("run", code=2)
    assert "'x' is not one of" in desk.error("run", "--allow-dirty=x", "true", code=2)
    assert "'lr' is not KEY=VALUE" in desk.error("run", "-p", "lr", "true", code=2)
    assert "cannot name an experiment" in desk.error("run", "-e", "a b", "true", code=2)
    assert "cannot name a run" in desk.error("run", "-n", "@", "true", code=2)
    assert "there is no program 'no-such-program'" in desk.error("run", "no-such-program", code=127)
    assert "there is no run 'nope'" in desk.error("run", "--parent", "nope", "true", code=1)
    assert desk.json("ls") == []


def test_a_child_of_another_run(desk: Desk) -> None:
    parent = desk.run("outer")
    desk.repo.gittrack("run", "--parent", "outer", "-n", "inner", "true")
    assert desk.json("show", "inner")["parent"] == parent.id


def test_no_commit_yet(repo: Repo) -> None:
    repo.git("checkout", "--quiet", "--orphan", "empty")
    done = repo.gittrack("run", "true", check=False)
    assert done.returncode == 1
    assert "no commit yet" in done.stderr
