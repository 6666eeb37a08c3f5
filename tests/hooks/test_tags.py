"""The guard before a push: tags of models go out as events in their order, or not at all."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gittrack.registry.tagname import Action, sequence_ref
from tests.helpers import Repo
from tests.hooks.served import HERE, ROOT, Served, served

__all__ = ["served"]
SEQ = "refs/gittrack/seq/digits"


@pytest.fixture
def guarded(served: Served) -> Served:
    """Jane has the guard, and the server has none."""
    (served.bare.path / "hooks" / "update").unlink()
    hook = served.jane.path / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m gittrack hooks run gittrack-tags "$@"\n')
    hook.chmod(0o755)
    return served


def test_what_follows_passes(guarded: Served) -> None:
    jane = guarded.jane
    registrar = guarded.project.models.registrar
    registrar.promote("digits", "v2", "production", share=HERE)
    events = guarded.model.events[3:]
    refs = [ref for one in events for ref in (sequence_ref("digits", one.number), f"refs/tags/{one.tag}")]
    jane.git("tag", "v1.0")
    jane.git("tag", "-a", "-m", "a package", "parts@1.0.0")
    jane.commit("More code")
    guarded.passes("main", "v1.0", "parts@1.0.0", *refs)
    guarded.passes("--delete", "v1.0")
    # What is there already goes again, as to a mirror.
    guarded.passes("--tags")


def test_a_tag_does_not_go_without_its_number(guarded: Served) -> None:
    registrar = guarded.project.models.registrar
    tag = registrar.promote("digits", "v2", "staging", share=HERE).events[-1].tag
    said = guarded.refused("--tags")
    assert said.startswith(f"gittrack-tags: refs/tags/{tag}: its number does not go along ({SEQ}/4)")
    assert said.splitlines()[0] in (ROOT / "docs" / "guide" / "guards" / "tags.md").read_text()
    registrar.set_alias("digits", "v2", "champion", share=HERE)
    assert f"the number of event 4 before it does not go along ({SEQ}/4)" in guarded.refused(f"{SEQ}/5")
    guarded.jane.gittrack("push")


def test_what_is_no_event_does_not_go(guarded: Served) -> None:
    jane = guarded.jane
    jane.git("tag", "digits@v3.0.0")
    jane.git("tag", "-a", "-m", "by hand", "digits#production#4")
    assert "it is a lightweight tag" in guarded.refused("digits@v3.0.0")
    assert "it was not made by gittrack" in guarded.refused("digits#production#4")
    first = guarded.model.events[0].object
    assert "it holds event 1 of digits" in guarded.refused(f"{first}:{SEQ}/7")
    assert "has such a number" in guarded.refused(f"{first}:{SEQ}/first")
    assert "never moved" in guarded.refused("--force", f"{first}:{SEQ}/2")
    assert "never deleted" in guarded.refused("--delete", f"{SEQ}/3")
    assert "never deleted" in guarded.refused("--delete", "digits@v1.0.0")
    anew = guarded.made(guarded.draft(Action.APPROVE), after=guarded.made(guarded.draft(Action.APPROVE)))[0]
    assert "does not go along" in guarded.refused(f"{anew.object}:{SEQ}/{anew.number}")


def test_the_policy_of_the_default_branch_counts_here_too(guarded: Served) -> None:
    guarded.settings("registry: {stages: {production: {policy: [acc >= 0.9]}}}\n")
    guarded.jane.git("fetch", "--quiet")
    made = guarded.made(
        guarded.draft(Action.UNASSIGN, 1, "production"),
        guarded.draft(Action.ASSIGN, 2, "production", **guarded.no_policy()),
    )
    said = guarded.refused("--atomic", *(f"{one.object}:{SEQ}/{one.number}" for one in made))
    assert f"{SEQ}/5: nobody looked at the rule 'acc >= 0.9' when it was let into production" in said


def test_it_is_skipped_as_git_and_the_framework_skip(guarded: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    guarded.jane.git("tag", "digits@v3.0.0")
    guarded.passes("--no-verify", "digits@v3.0.0")
    guarded.jane.git("tag", "digits@v4.0.0")
    monkeypatch.setenv("SKIP", "other, gittrack-tags")
    guarded.passes("digits@v4.0.0")


def test_in_the_framework_it_looks_at_the_first_ref(guarded: Served) -> None:
    jane = guarded.jane
    (jane.path / ".git" / "hooks" / "pre-push").unlink()
    jane.write(
        ".pre-commit-config.yaml",
        "repos:\n- repo: local\n  hooks:\n  - {id: gittrack-tags, name: tags, language: system, stages: [pre-push], "
        f"always_run: true, pass_filenames: false, entry: '{sys.executable} -m gittrack hooks run gittrack-tags'}}\n",
    )
    jane.commit("Guards")
    subprocess.run([sys.executable, "-m", "pre_commit", "install", "-t", "pre-push"], cwd=jane.path, check=True)
    guarded.passes("main")
    jane.git("tag", "-a", "-m", "by hand", "digits@v3.0.0", "refs/tags/digits@v1.0.0^{commit}")
    done = guarded.push("digits@v3.0.0")
    assert done.returncode != 0
    assert "refs/tags/digits@v3.0.0: it was not made by gittrack" in done.stdout + done.stderr


def test_where_there_is_no_model_and_no_commit_nothing_is_said(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("empty")
    empty = Repo(folder)
    empty.git("init", "--quiet")
    line = f"refs/heads/x {'1' * 40} refs/heads/x {'0' * 40}\n"
    done = empty.gittrack("hooks", "run", "gittrack-tags", "origin", "../there", input=line)
    assert (done.stdout, done.stderr) == ("", "")
