"""Every guard in each of the three ways into a repository: one commit or push that passes, and one that is refused."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.helpers import Repo, wait_until
from tests.hooks.conftest import ALL, ROOT
from tests.hooks.test_guards import METRICS, TOKEN, attempt, documented, run_of

Install = Callable[[Repo, Iterable[str]], None]


@pytest.fixture(params=["install", "hooks-path", "framework"])
def guarded(request: pytest.FixtureRequest, repo: Repo, tmp_path: Path) -> Repo:
    """A repository with a remote, whose hooks ask every guard."""
    repo.write("measure.py", METRICS)
    repo.write(".gitignore", "*.flag\n")
    repo.write(".gittrack/config.yaml", "guards: {notebooks: 100B, push_runs: refuse, large_files: 5MB}\n")
    repo.commit("Measure")
    (tmp_path / "remote.git").mkdir()
    Repo(tmp_path / "remote.git").git("init", "-q", "--bare")
    repo.git("remote", "add", "origin", str(tmp_path / "remote.git"))
    match request.param:
        case "install":
            repo.gittrack("hooks", "install")
        case "hooks-path":
            repo.git("config", "core.hooksPath", str(ROOT / "hooks"))
        case "framework":
            request.getfixturevalue("framework")(repo, ALL)
    return repo


def test_each_guard_lets_pass_and_refuses(guarded: Repo) -> None:
    _clean_run(guarded)
    _trailer(guarded)
    _large_files(guarded)
    _notebooks(guarded)
    _secrets(guarded)
    _active_run(guarded)
    _pushes(guarded)


def _refused(repo: Repo, guard: str, *words: str, run: str = "") -> None:
    """Nothing moves, and the page of the guard shows what is said; the framework says more around it."""
    before = repo.git("rev-parse", "HEAD")
    said = attempt(repo, *words, code=1)
    lines = [line for line in said.splitlines() if line.startswith(f"gittrack-{guard}: ")]
    assert lines, said
    documented(guard, "\n".join(lines), run)
    assert repo.git("rev-parse", "HEAD") == before


def _clean_run(repo: Repo) -> None:
    repo.write("measure.py", METRICS + "# tried\n")
    run = run_of(repo, "0.9", "--allow-dirty", "-n", "trial")
    repo.git("add", "metrics.json")
    # Partially staged: the code is not, and the framework puts it aside.
    _refused(repo, "clean-run", "commit", "-m", "x", run=run)
    assert repo.git("diff", "--name-only") == "measure.py"
    _refused(repo, "clean-run", "commit", "-a", "-m", "x", run=run)
    _refused(repo, "clean-run", "commit", "--amend", "--no-edit", run=run)
    repo.git("rm", "-q", "--cached", "metrics.json")
    (repo.path / "metrics.json").unlink()
    attempt(repo, "commit", "-a", "-m", "The code alone")


def _trailer(repo: Repo) -> None:
    run = run_of(repo, "0.5")
    repo.git("add", "metrics.json")
    repo.write("train.py", "not staged\n")
    attempt(repo, "commit", "-m", "Measured")
    assert repo.git("log", "-1", "--format=%B").rstrip() == f"Measured\n\nGittrack-Run: {run}"
    attempt(repo, "commit", "-a", "--amend", "--no-edit")
    assert repo.git("log", "-1", "--format=%B").count(f"Gittrack-Run: {run}") == 1


def _large_files(repo: Repo) -> None:
    repo.write("model.bin", bytes(6_000_000))
    repo.git("add", "--all")
    _refused(repo, "large-files", "commit", "-m", "x")
    repo.git("rm", "-q", "--cached", "model.bin")
    repo.write(".gitignore", "*.flag\n*.bin\n")
    attempt(repo, "commit", "-a", "-m", "Without it")


def _notebooks(repo: Repo) -> None:
    repo.write("a.ipynb", json.dumps({"cells": [{"outputs": [{"text": "x" * 200}]}]}))
    repo.git("add", "--all")
    _refused(repo, "notebooks", "commit", "-m", "x")
    repo.write("a.ipynb", json.dumps({"cells": [{"outputs": []}]}))
    attempt(repo, "commit", "-m", "x", "a.ipynb")


def _secrets(repo: Repo) -> None:
    repo.write("params.yaml", f"lr: 1\ntoken: {TOKEN}\n")
    repo.git("add", "--all")
    repo.write("params.yaml", "lr: 1\n")
    _refused(repo, "secrets", "commit", "-m", "x")
    attempt(repo, "commit", "-m", "x", "params.yaml")


def _active_run(repo: Repo) -> None:
    repo.git("branch", "side", "HEAD^")
    repo.git("switch", "-q", "side")
    attempt(repo, "commit", "--allow-empty", "-m", "Aside")
    repo.git("switch", "-q", "main")
    code = "import pathlib, time\npathlib.Path('begun.flag').touch()\nwhile True: time.sleep(0.01)"
    process = subprocess.Popen(
        [sys.executable, "-m", "gittrack", "run", "-n", "long", "--", sys.executable, "-c", code],
        cwd=repo.path,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until((repo.path / "begun.flag").exists, "the run has begun")
        run = str(repo.gittrack_json("ls")[0]["id"])
        _refused(repo, "active-run", "commit", "--allow-empty", "-m", "x", run=run)
        for words in (["merge", "--no-edit", "side"], ["rebase", "side"], ["cherry-pick", "--allow-empty", "side"]):
            before = repo.git("rev-parse", "HEAD")
            said = attempt(repo, *words, code=1)
            # Of a rebase git asks before it begins.
            begins = "a run is active" if words[0] == "rebase" else f"a {words[0]} has changed files under a run"
            assert f"gittrack-active-run: {begins}" in said
            repo.git(words[0], "--abort", check=False)
            assert repo.git("rev-parse", "HEAD") == before
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
    attempt(repo, "cherry-pick", "--allow-empty", "side")
    attempt(repo, "rebase", "side")


def _pushes(repo: Repo) -> None:
    (repo.path / "metrics.json").unlink()
    repo.git("rm", "-q", "--cached", "metrics.json")
    attempt(repo, "commit", "-m", "No numbers")
    repo.gittrack("run", "-n", "here", "--output", "metrics.json", "--", sys.executable, "measure.py", "0.2")
    run = str(repo.gittrack_json("ls")[0]["id"])
    said = attempt(repo, "push", "origin", "main", code=1)
    assert "gittrack-push-runs: " in said
    assert f"default/here ({run[:8]})" in said
    repo.gittrack("push", "origin")
    lines = (f"object {repo.git('rev-parse', 'HEAD')}", "type commit", "tag digits@v1.0.0", "tagger A <a@b.c> 0 +0000")
    tag = repo.git("mktag", input="\n".join([*lines, "", "x", ""]))
    repo.git("update-ref", "refs/tags/digits@v1.0.0", tag)
    assert "gittrack-tags: " in attempt(repo, "push", "origin", "refs/tags/digits@v1.0.0", code=1)
    attempt(repo, "push", "origin", "main")
