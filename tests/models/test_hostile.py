"""What a colleague with bad intentions, or bad luck, can do: nothing that counts, and nothing that locks the others out."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from gittrack.project import Project
from gittrack.registry.tagname import LOST
from tests.helpers import Repo
from tests.models.conftest import Shop, become


def forged(shop: Shop, number: int, name: str, changes: Mapping[str, Any], *, tagger: str = "") -> str:
    """A tag object as the next event of `digits`, of whatever content."""
    events = shop.project.models.get("digits").events
    last, first = events[-1], events[0]
    line = {
        "format": 1, "model": "digits", "number": number, "action": "assign", "operation": number, "previous": last.object,
        "run": first.run, "nonce": "0", "version": "v1.0.0", "place": "staging", **changes,
    }  # fmt: skip
    line = {key: value for key, value in line.items() if value is not None or key == "previous"}
    who = tagger or f"Mallory <mallory@example.org> {last.time + 1} +0000"
    body = (
        f"object {first.commit}\ntype commit\ntag {name}\ntagger {who}\n\nforged\n\nGittrack-Run: {first.run}\n"
        f"Gittrack-Registry: {orjson.dumps(line).decode()}\n"
    )
    done = subprocess.run(
        ["git", "hash-object", "-t", "tag", "-w", "--stdin", "--literally"],
        cwd=shop.repo.path, input=body.encode(), capture_output=True, check=True,
    )  # fmt: skip
    return done.stdout.decode().strip()


@pytest.mark.parametrize(
    "changes",
    [
        {"place": "a~^"},
        {"place": "a\0b"},
        {"model": "../x"},
        {"run": "not an id"},
        {"operation": 3},
        {"details": {"checks": 5}},
        {"details": {"checks": [{"rule": ["a"], "said": "b"}]}},
        {"details": {"tags": [1]}},
        {"details": {"artifact": {"size": "big"}}},
        {"details": {"policy": "x"}},
        {"version": "one"},
        {"format": 99},
    ],
    ids=str,
)
def test_an_odd_event_counts_for_nothing_and_is_named(shop: Shop, changes: Mapping[str, Any]) -> None:
    shop.registered("net")
    tag = f"digits#{changes.get('place', 'staging')}#2".replace("\0", "")
    shop.repo.git("update-ref", "refs/gittrack/seq/digits/2", forged(shop, 2, tag, changes))
    for command in (
        ("model", "ls"),
        ("model", "show", "digits"),
        ("model", "show", "digits@v1"),
        ("model", "history", "digits"),
    ):
        shop(*command)
        shop(*command, "--json")
    assert "refs/gittrack/seq/digits/2" in shop("fsck", code=4).stdout
    before = shop.repo.git("for-each-ref")
    said = shop.error("promote", "digits@v1", "production", code=1)
    assert "the sequence of digits is broken, so nothing can follow: refs/gittrack/seq/digits/2: " in said
    shop("fsck", "--repair", code=4)
    assert shop.repo.git("for-each-ref") == before
    shop.repo.git("update-ref", "-d", "refs/gittrack/seq/digits/2")
    shop("promote", "digits@v1", "production")


@pytest.mark.parametrize("when", [253_402_300_800, 999_999_999_999])
def test_a_time_beyond_all_calendars(shop: Shop, when: int) -> None:
    shop.registered("net")
    made = forged(shop, 2, "digits#staging#2", {}, tagger=f"Mallory <m@example.org> {when} +0000")
    shop.repo.git("update-ref", "refs/gittrack/seq/digits/2", made)
    assert "its time is none that gittrack writes" in shop("fsck", code=4).stdout
    shop("model", "history", "digits")


def test_what_could_not_be_read_again_is_not_written(shop: Shop) -> None:
    shop.registered("net")
    before = shop.repo.git("for-each-ref")
    assert "say it shorter" in shop.error("promote", "digits@v1", "staging", "-m", "x" * 100_001, code=2)
    assert shop.repo.git("for-each-ref") == before
    shop("promote", "digits@v1", "staging", "-m", "x" * 70_000)
    assert shop.json("model", "show", "digits")["stages"] == {"staging": ["v1.0.0"]}


def test_no_alias_leads_a_stage_elsewhere(shop: Shop) -> None:
    shop.registered("one", "two")
    shop("promote", "digits@v2", "production")
    made = forged(shop, 4, "alias/digits/production#4", {"action": "alias", "place": "production"})
    shop.repo.git("update-ref", "refs/gittrack/seq/digits/4", made)
    assert shop.project.models.version("digits@production").version == "v2.0.0"
    assert "means something else already" in shop("fsck", code=4).stdout
    shop.repo.git("update-ref", "-d", "refs/gittrack/seq/digits/4")
    shop("model", "alias", "set", "digits@v1", "canary")
    shop.settings("registry: {stages: {canary: {}}}")
    assert "canary is an alias of digits" in shop.error("promote", "digits@v2", "canary", code=2)


def test_escapes_do_not_reach_the_terminal(shop: Shop) -> None:
    shop.registered("net")
    shop("promote", "digits@v1", "staging", "-m", "\x1b]0;pwn\x07")
    made = forged(
        shop,
        3,
        "digits#x#3",
        {"place": "x", "details": {"override": "\x1b[2J", "checks": [{"rule": "\x1b[1m", "ok": True, "said": "\x07"}]}},
    )
    shop.repo.git("update-ref", "refs/gittrack/seq/digits/3", made)
    shop.repo.git("update-ref", "refs/tags/digits#x#3", made)
    for command in (
        ("ls",),
        ("show", "digits"),
        ("show", "digits@v1"),
        ("history", "digits"),
        ("card", "digits@v1"),
        ("history", "digits", "--at", "2100-01-01"),
    ):
        said = shop("model", *command).stdout
        assert not {"\x1b", "\x07"} & set(said), command


# --- shared history


@pytest.fixture
def team(shop: Shop, tmp_path: Path) -> tuple[Shop, Repo]:
    shop.registered("one", "two")
    shop.repo.git("init", "--quiet", "--bare", "--initial-branch=trunk", str(tmp_path / "host.git"))
    shop.repo.git("remote", "add", "origin", str(tmp_path / "host.git"))
    shop.repo.git("push", "--quiet", "origin", "HEAD:refs/heads/trunk")
    shop("promote", "digits@v1", "production")
    shop.repo.git("clone", "--quiet", str(tmp_path / "host.git"), str(tmp_path / "second"))
    second = Repo(tmp_path / "second")
    second.gittrack("fetch")
    return shop, second


def test_what_was_shared_is_never_taken_back(team: tuple[Shop, Repo]) -> None:
    shop, second = team
    other = forged(shop, 1, "digits@v1.0.0", {"action": "register", "place": None, "previous": None, "operation": 1})
    shop.repo.git("push", "--quiet", "--force", "origin", f"{other}:refs/gittrack/seq/digits/1")
    before = second.git("for-each-ref", "refs/tags", "refs/gittrack/seq")
    done = second.gittrack("fetch", check=False)
    assert done.returncode == 1
    assert "event 1 of digits was shared before, and the remote has another one now: somebody rewrote it" in done.stderr
    assert second.git("for-each-ref", "refs/tags", "refs/gittrack/seq") == before
    assert second.git("for-each-ref", LOST) == ""
    assert second.gittrack("model", "verify", "digits@production").returncode == 0


def test_the_policy_that_counts_is_the_newest_of_the_remote(team: tuple[Shop, Repo]) -> None:
    shop, second = team
    # The default branch has no common name, nobody fetched what came last, and the worktree says something else.
    shop.policy("[acc >= 0.9]")
    shop.repo.git("push", "--quiet", "origin", "HEAD:refs/heads/trunk")
    late = second.gittrack("promote", "digits@v2", "production", check=False)
    assert late.returncode == 4
    assert "run two has no metric 'acc'" in late.stderr
    assert second.gittrack("promote", "digits@v2", "production", "--no-push", check=False).returncode == 4
    assert second.git("rev-parse", "origin/trunk") != shop.repo.git("rev-parse", "HEAD"), (
        "their own refs stay as they are"
    )


def test_a_default_branch_that_nobody_knows_is_not_guessed(team: tuple[Shop, Repo]) -> None:
    _, second = team
    second.git("remote", "set-head", "origin", "--delete")
    second.git("branch", "main")
    for ref in second.git("for-each-ref", "--format=%(refname)", "refs/gittrack/policy").splitlines():
        second.git("update-ref", "-d", ref)
    said = second.gittrack("promote", "digits@v2", "staging", "--no-push", check=False)
    assert said.returncode == 1
    assert "'git remote set-head origin --auto' asks it" in said.stderr


def test_a_clone_without_numbers_changes_nothing(team: tuple[Shop, Repo], tmp_path: Path) -> None:
    shop, _ = team
    shop.repo.git("clone", "--quiet", str(tmp_path / "host.git"), str(tmp_path / "third"))
    third = Repo(tmp_path / "third")
    assert "production v1" in third.gittrack("model", "ls").stdout
    said = third.gittrack("promote", "digits@v2", "staging", "--no-push", check=False)
    assert "only the tags of digits are here, and not its sequence; 'gittrack fetch' first" in said.stderr


def test_a_shallow_clone_accuses_nobody(team: tuple[Shop, Repo], tmp_path: Path) -> None:
    shop, _ = team
    shop.policy("[clean]")
    shop.repo.git("push", "--quiet", "origin", "HEAD:refs/heads/trunk")
    shop("promote", "digits@v2", "production")
    shop.repo.commit("More")
    shop.repo.git("push", "--quiet", "origin", "HEAD:refs/heads/trunk")
    shop.repo.git("clone", "--quiet", "--depth", "1", (tmp_path / "host.git").as_uri(), str(tmp_path / "shallow"))
    shallow = Repo(tmp_path / "shallow")
    shallow.gittrack("fetch", "--no-data")
    said = shallow.gittrack("model", "verify", "digits@production", check=False)
    assert said.returncode == 0 or "'git fetch --unshallow' first" in said.stderr


def test_who_made_room_and_who_came_back_can_be_verified(shop: Shop) -> None:
    shop.settings("registry: {stages: {production: {archive: true, policy: [{people: [jane@example.org]}]}}}")
    become(shop.repo, "Jane")
    shop.registered("one", "two")
    for version in ("v1", "v2"):
        shop("promote", f"digits@{version}", "production")
    assert shop("model", "verify", "digits@archived").exit_code == 0
    shop("model", "rollback", "digits", "production")
    assert "production: brought back by Jane; production: 1 rule holds" in shop.out(
        "model", "verify", "digits@production"
    )
    # Somebody who may not says that they brought it back, with a gittrack of their own.
    event = shop.project.models.get("digits").events[-1]
    shop("model", "demote", "digits@v1")
    number = event.number + 2
    made = forged(
        shop,
        number,
        f"digits#production#{number}",
        {"place": "production", "details": {**event.details, "rollback": []}},
    )
    shop.repo.git("update-ref", f"refs/gittrack/seq/digits/{number}", made)
    shop.repo.git("update-ref", f"refs/tags/digits#production#{number}", made)
    said = shop("model", "verify", "digits@production", code=1).stdout
    assert "mallory@example.org may not" in said


def test_nothing_of_a_deprecated_model_comes_back(shop: Shop) -> None:
    shop.registered("one")
    shop("promote", "digits@v1", "production")
    shop("model", "demote", "digits@v1")
    shop("model", "deprecate", "digits")
    assert "model digits is deprecated" in shop.error("model", "rollback", "digits", "production", code=2)


def test_another_pipeline_than_that_of_the_code_is_named(shop: Shop) -> None:
    shop.trained("net", artifact="weights")
    shop("model", "register", "digits", "net", "--no-push")
    found = shop.project.models.version("digits@v1")
    shop.repo.git("checkout", "--quiet", "--detach", found.commit)
    shop.repo.write("dvc.yaml", f"{(shop.repo.path / 'dvc.yaml').read_text()}stages: {{a: {{cmd: rm -rf /}}}}\n")
    evil = shop.repo.git("commit-tree", "-p", f"{found.commit}^", "-m", "x", _tree(shop.repo))
    shop.repo.git("checkout", "--quiet", "--force", "main")
    body = shop.repo.git("cat-file", "tag", found.registered.object).replace(found.commit, evil)
    made = shop.repo.git("hash-object", "-t", "tag", "-w", "--stdin", input=f"{body}\n")
    for ref in ("refs/tags/digits@v1.0.0", "refs/gittrack/seq/digits/1"):
        shop.repo.git("update-ref", ref, made)
    assert "dvc.yaml of commit" in shop("model", "verify", "digits@v1", code=1).stdout


def _tree(repo: Repo) -> str:
    repo.git("add", "dvc.yaml")
    return repo.git("write-tree")


def test_several_fetches_at_once(team: tuple[Shop, Repo]) -> None:
    shop, second = team
    for _ in range(3):
        shop("promote", "digits@v2", "staging")
        shop("model", "demote", "digits@v2")
    running = [
        subprocess.Popen(
            ["python", "-m", "gittrack", "fetch"], cwd=second.path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        for _ in range(3)
    ]
    for one in running:
        _, said = one.communicate()
        assert one.returncode == 0, said
    assert len(Project.open(second.path).models.get("digits").events) == len(shop.project.models.get("digits").events)
