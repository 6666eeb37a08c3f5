"""A commit that its author cancelled is not made, whatever our line makes of its message."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.helpers import Repo
from tests.hooks.conftest import ROOT
from tests.hooks.test_guards import METRICS, attempt, run_of

ABORTS = ("empty commit message", "did not edit the message")


def measured(repo: Repo) -> str:
    """Results of a run are staged; its id."""
    repo.write("measure.py", METRICS)
    repo.commit("Measure")
    run = run_of(repo, "0.5")
    repo.git("add", "metrics.json")
    return run


def cancelled(repo: Repo, *words: str, editor: str = "true") -> None:
    before = repo.git("rev-parse", "HEAD")
    said = attempt(repo, *words, code=1, GIT_EDITOR=editor)
    assert any(one in said for one in ABORTS), said
    assert repo.git("rev-parse", "HEAD") == before


def message(repo: Repo) -> str:
    return repo.git("log", "-1", "--format=%B").rstrip()


def test_what_git_would_abort_is_aborted(repo: Repo, tmp_path: Path) -> None:
    run = measured(repo)
    repo.gittrack("hooks", "install")
    cancelled(repo, "commit")
    cancelled(repo, "commit", "-v", "--signoff")
    cancelled(repo, "commit", "-m", "")
    cancelled(repo, "-c", "commit.status=false", "commit")
    (tmp_path / "template").write_text("\nWhat:\n\n# hint\nWhy:\n")
    with_template = ("-c", f"commit.template={tmp_path}/template")
    cancelled(repo, *with_template, "commit", "-v", "-s")
    for char in (";", "auto"):
        with_char = ("-c", f"core.commentChar={char}")
        cancelled(repo, *with_char, "commit")
        cancelled(repo, *with_char, *with_template, "commit", "-v")

    repo.git("config", "core.commentChar", "auto")
    attempt(repo, *with_template, "commit", "-v", GIT_EDITOR="sed -i '1s/^/Measured/'")
    assert message(repo) == f"Measured\nWhat:\n\n# hint\nWhy:\n\nGittrack-Run: {run}"
    # Emptied in the editor, and the line alone taken out.
    cancelled(repo, "commit", "--amend", editor="sed -i '/^Gittrack/!d'")
    attempt(repo, "commit", "--amend", GIT_EDITOR="sed -i /^Gittrack/d")
    assert message(repo) == "Measured\nWhat:\n\n# hint\nWhy:"


@pytest.mark.parametrize("way", ["scripts", "framework"])
def test_in_other_ways_too(
    way: str, repo: Repo, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "scripts":
        monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
        repo.git("config", "core.hooksPath", str(ROOT / "hooks"))
    else:
        set_up: Callable[[Repo, Iterable[str]], None] = request.getfixturevalue("framework")
        set_up(repo, ["gittrack-trailer"])
    run = measured(repo)
    cancelled(repo, "commit", "-v")
    cancelled(repo, "commit", editor="truncate -s 0")
    attempt(repo, "commit", "--no-status", GIT_EDITOR="sed -i '1s/^/Measured/'")
    assert message(repo) == f"Measured\n\nGittrack-Run: {run}"
    attempt(repo, "commit", "--amend", GIT_EDITOR="sed -i /^Gittrack/d")
    assert message(repo) == "Measured"
