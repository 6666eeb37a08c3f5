"""A pull request from end to end: a bare repository as the host, and a stand-in for its REST interface."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.conftest import Desk
from tests.cli.test_report import BASE, change, goals, repeats
from tests.helpers import Repo
from tests.hosts.stand_in import StandIn, stand_in


@dataclass(frozen=True)
class PullRequest:
    """A clone of a bare repository with a base that ran, and where its host answers; `env` is what CI sets."""

    desk: Desk
    host: StandIn
    env: Mapping[str, str]
    summary: Path

    def report(self, *words: str, code: int = 0, **more: str) -> str:
        return self.desk("report", "--comment", "--gate", *words, code=code, env={**self.env, **more}).stderr


@pytest.fixture(params=["github", "gitlab"])
def pull(
    request: pytest.FixtureRequest, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PullRequest]:
    Repo(tmp_path).git("init", "--quiet", "--bare", "host.git")
    desk.repo.git("remote", "add", "origin", str(tmp_path / "host.git"))
    goals(desk)
    repeats(desk, "old", BASE)
    desk.repo.git("push", "--quiet", "-u", "origin", "main")
    desk("push")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    summary = tmp_path / "summary.md"
    tokens = {"github": ("Authorization", "Bearer secret"), "gitlab": ("PRIVATE-TOKEN", "secret")}
    with stand_in(request.param, tokens[request.param]) as host:
        env = {
            "github": {
                "GITHUB_API_URL": host.address,
                "GITHUB_REPOSITORY": "octo/digits",
                "GITHUB_REF": "refs/pull/7/merge",
                "GITHUB_BASE_REF": "main",
                "GITHUB_TOKEN": "secret",
                "GITHUB_STEP_SUMMARY": str(summary),
            },
            "gitlab": {
                "CI_API_V4_URL": host.address,
                "CI_PROJECT_ID": "group/digits",
                "CI_MERGE_REQUEST_IID": "7",
                "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
                "GITLAB_TOKEN": "secret",
            },
        }[request.param]
        yield PullRequest(desk, host, env, summary)
        assert host.broken == []


def test_one_comment_edited_in_place_and_a_gate_that_turns_green(pull: PullRequest) -> None:
    pull.host.comments[1] = "Looks good to me"
    worse = change(pull.desk, "worse\n")
    repeats(pull.desk, "worse", (0.801, 0.82, 0.811))
    said = pull.report(code=4)
    assert "the gate says no: acc regressed: paired t" in said
    assert list(pull.host.comments) == [1, 2]
    assert "**regressed**" in pull.host.comments[2]
    better = change(pull.desk, "better\n")
    repeats(pull.desk, "better", (0.951, 0.958, 0.949))
    pull.report()
    assert list(pull.host.comments) == [1, 2]
    assert pull.host.comments[1] == "Looks good to me"
    assert "**improved**" in pull.host.comments[2]
    assert "**regressed**" not in pull.host.comments[2]
    red, green = pull.host.states
    assert (red["sha"], green["sha"]) == (worse, better)
    assert red["state"] in ("failure", "failed")
    assert red["description"].startswith("the gate says no: acc regressed")
    assert (green["state"], green["description"]) == ("success", "improved: acc 0.9057 → 0.9527 (+5.2 %, p = 0.002)")
    if "GITHUB_STEP_SUMMARY" in pull.env:
        assert pull.summary.read_text(encoding="utf-8").count("### gittrack:") == 2


def test_a_key_keeps_two_comments_apart(pull: PullRequest) -> None:
    change(pull.desk)
    repeats(pull.desk, "new", (0.951, 0.958, 0.949))
    for _ in range(2):
        pull.report("--key", "a")
        pull.report("--key", "b")
    assert len(pull.host.comments) == 2


def test_the_comment_is_found_among_many_and_another_persons_is_left(pull: PullRequest) -> None:
    change(pull.desk)
    repeats(pull.desk, "new", (0.951, 0.958, 0.949))
    pull.host.comments.update({at: f"Comment {at}" for at in range(1, 231)})
    pull.report()
    assert len(pull.host.comments) == 231
    text = pull.host.comments[231]
    pull.host.comments[100] = text + "copied"
    pull.host.foreign.add(100)
    pull.report()
    # Whoever copied our text keeps it; ours is the next one.
    assert pull.host.comments[100] == text + "copied"
    assert len(pull.host.comments) == 231


def test_nothing_ran_on_the_change(pull: PullRequest) -> None:
    change(pull.desk)
    said = pull.report(code=1)
    assert "make one with 'gittrack run'" in said
    assert "### gittrack: no run of this change" in pull.host.comments[1]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "the token is wrong or has expired"),
        (403, "the token may not do that"),
        (302, "it moved"),
        (422, "does not take"),
    ],
)
def test_a_host_that_refuses(pull: PullRequest, status: int, words: str) -> None:
    change(pull.desk)
    repeats(pull.desk, "new", (0.951, 0.958, 0.949))
    pull.host.answers += [status]
    said = pull.report(code=1)
    assert f"({status}, as the test wants it): " in said
    assert words in said
    assert len(pull.host.states) == 1, "a comment that is refused keeps no state from being set"


def test_the_gate_says_no_whatever_the_host_says(pull: PullRequest) -> None:
    change(pull.desk)
    repeats(pull.desk, "new", (0.801, 0.82, 0.811))
    pull.host.answers += [403, 403]
    said = pull.report(code=4)
    assert said.count("the token may not do that") == 2
    assert "the gate says no" in said


def test_a_host_that_is_busy_is_asked_again(pull: PullRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gittrack.review.hosts._wait", lambda tries: None)
    change(pull.desk)
    repeats(pull.desk, "new", (0.951, 0.958, 0.949))
    pull.host.answers += [503, 502]
    pull.report()
    assert len(pull.host.comments) == 1


def test_a_host_that_is_not_there(pull: PullRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gittrack.review.hosts._wait", lambda tries: None)
    change(pull.desk)
    repeats(pull.desk, "new", (0.951, 0.958, 0.949))
    nowhere = "http://127.0.0.1:9"
    said = pull.report(code=1, GITHUB_API_URL=nowhere, CI_API_V4_URL=nowhere)
    assert f"does not answer at {nowhere}" in said


def test_without_a_token_or_a_pull_request(pull: PullRequest) -> None:
    change(pull.desk)
    assert "there is no token" in pull.report(code=2, GITHUB_TOKEN="", GITLAB_TOKEN="")
    said = pull.report(code=2, GITHUB_REF="refs/heads/main", CI_MERGE_REQUEST_IID="")
    assert "name it with --pull-request N" in said
    said = pull.report(code=2, GITHUB_REPOSITORY="", CI_API_V4_URL="")
    assert said.startswith("gittrack: nothing here says which pull request")


def test_github_says_which_commit_is_the_newest_of_a_merge(pull: PullRequest, tmp_path: Path) -> None:
    change(pull.desk)
    repeats(pull.desk, "new", (0.951, 0.958, 0.949))
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"head": {"sha": "a" * 40}}}), encoding="utf-8")
    pull.report(GITHUB_EVENT_PATH=str(event))
    assert pull.host.states[0]["sha"] == "a" * 40
