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
        pull.report()
    assert len(pull.host.comments) == 3
    names = [one.get("context") or one["name"] for one in pull.host.states]
    assert names == ["gittrack/a", "gittrack/b", "gittrack"] * 2


def test_a_state_only_where_a_gate_was_asked_for(pull: PullRequest) -> None:
    change(pull.desk)
    repeats(pull.desk, "worse", (0.801, 0.82, 0.811))
    said = pull.desk("report", "--comment", env=pull.env)
    assert pull.host.states == []
    assert "**A gate would say no:** acc regressed" in pull.host.comments[1]
    assert "a gate would say no: acc regressed" in said.stdout
    assert "gate" not in said.stderr
    gated = pull.desk("report", "--comment", "--gate", env=pull.env, code=4)
    assert "**The gate says no:** acc regressed" in pull.host.comments[1]
    assert f"{gated.stdout}{gated.stderr}".count("says no") == 1
    assert len(pull.host.states) == 1


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


def test_a_copy_of_our_text_is_not_ours_where_the_token_may_edit_every_comment(pull: PullRequest) -> None:
    change(pull.desk)
    repeats(pull.desk, "new", (0.951, 0.958, 0.949))
    copy = pull.host.comments[1] = "<!-- gittrack report default -->\nAll is well"
    pull.host.foreign.add(1)
    for _ in range(2):
        pull.report()
        assert list(pull.host.comments) == [1, 2]
        assert pull.host.comments[1] == copy
        assert "**improved**" in pull.host.comments[2]
    # A job's token may not ask whose it is: on GitHub ours is a bot's; on GitLab the host has the last word.
    pull.host.anonymous = True
    pull.host.locked |= {1} if "GITLAB_TOKEN" in pull.env else set()
    pull.report(GITHUB_ACTIONS="true")
    assert list(pull.host.comments) == [1, 2]
    assert pull.host.comments[1] == copy
    assert pull.host.asked.count("GET /user") == 4, "twice where a comment was made, to look whose came first"
    # A person's token in a job may ask, and a person's comment is its own.
    pull.host.anonymous = False
    pull.host.comments[2] = "<!-- gittrack report default -->"
    pull.report(GITHUB_ACTIONS="true")
    assert list(pull.host.comments) == [1, 2]
    assert "**improved**" in pull.host.comments[2]


def test_whose_a_comment_is_when_nobody_tells(pull: PullRequest) -> None:
    """On a computer, with a token that may not ask whose it is: what the host lets us edit is ours."""
    change(pull.desk)
    repeats(pull.desk, "new", (0.951, 0.958, 0.949))
    pull.host.anonymous = True
    pull.host.comments[1] = pull.host.comments[2] = "<!-- gittrack report default -->"
    pull.host.foreign |= {1, 2}
    pull.host.locked.add(1)
    pull.report(GITHUB_ACTIONS="")
    assert pull.host.comments[1] == "<!-- gittrack report default -->"
    assert "**improved**" in pull.host.comments[2]


def test_two_jobs_at_once_leave_one_comment(pull: PullRequest) -> None:
    change(pull.desk)
    repeats(pull.desk, "new", (0.951, 0.958, 0.949))

    def other_job() -> None:
        pull.host.comments[1] = "<!-- gittrack report default -->\nOf the other job"

    pull.host.between = other_job
    pull.report()
    assert list(pull.host.comments) == [1]
    assert "**improved**" in pull.host.comments[1]


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
    assert pull.host.states.pop()["sha"] == "a" * 40
    head = pull.desk.repo.git("rev-parse", "HEAD")
    for odd in (
        "[" * 100_000,
        "[1]",
        '{"pull_request": {"head": {"sha": null}}}',
        '{"pull_request": {"head": {"sha": "é/b"}}}',
    ):
        event.write_text(odd, encoding="utf-8")
        pull.report(GITHUB_EVENT_PATH=str(event))
        assert pull.host.states.pop()["sha"] == head


def test_odd_answers_take_neither_the_gate_nor_the_state_with_them(pull: PullRequest) -> None:
    change(pull.desk)
    repeats(pull.desk, "new", (0.801, 0.82, 0.811))
    odd = "the address of its REST interface?"
    for answer in (b"[1]", b"null", b'"x"', b"{}", b'{"id": null}', b"[" * 100_000, b"\xff", b""):
        pull.host.comments.clear()
        pull.host.odd = {"POST": answer}
        said = pull.report(code=4)
        assert said.count(odd) == 2, "of the comment and of the state"
        assert "the gate says no" in said
        pull.host.odd = {"GET": answer}
        assert odd in pull.report(code=4)
        pull.host.odd = {}
        pull.report(code=4)
        pull.host.odd = {"PATCH": answer, "PUT": answer}
        assert odd in pull.report(code=4)
        assert [one["state"][:4] for one in pull.host.states] == ["fail"] * 3
        pull.host.states.clear()


def test_an_answer_that_breaks_off(pull: PullRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gittrack.review.hosts._wait", lambda tries: None)
    change(pull.desk)
    repeats(pull.desk, "new", (0.951, 0.958, 0.949))
    pull.host.answers += [None] * 3
    assert "(500): try again later" in pull.report(code=1)
    assert len(pull.host.states) == 1


@pytest.mark.parametrize(
    "address", ["nonsense", "file:///etc/passwd", "http://[", "http://a..b", "http://127.0.0.1:port", "http://a b"]
)
def test_an_address_that_is_none(pull: PullRequest, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr("gittrack.review.hosts._wait", lambda tries: None)
    change(pull.desk)
    repeats(pull.desk, "new", (0.801, 0.82, 0.811))
    said = pull.report(code=4, GITHUB_API_URL=address, CI_API_V4_URL=address)
    assert said.count(address) >= 2
    assert "the gate says no" in said


def test_a_token_is_never_shown(pull: PullRequest) -> None:
    change(pull.desk)
    repeats(pull.desk, "new", (0.951, 0.958, 0.949))
    for token in ("hidden\nkey", "hidden\x1bkey", "hidden\u20ackey"):
        said = pull.report(code=2, GITHUB_TOKEN=token, GITLAB_TOKEN=token)
        assert "_TOKEN holds characters that no token has" in said
        assert "hidden" not in said
        assert "key" not in said
    pull.report(GITHUB_TOKEN=" secret\n", GITLAB_TOKEN="\tsecret\r\n")
    assert len(pull.host.comments) == 1


def test_a_number_that_is_none(pull: PullRequest) -> None:
    change(pull.desk)
    assert "takes the number of a pull request" in pull.report("--pull-request", "7/../8", code=2)
    assert pull.host.asked == []


def test_a_page_and_a_picture_that_cannot_be_written_keep_nothing_from_being_said(
    pull: PullRequest, tmp_path: Path
) -> None:
    change(pull.desk)
    repeats(pull.desk, "new", (0.951, 0.958, 0.949))
    (tmp_path / "file").write_bytes(b"")
    words = ("--html", str(tmp_path / "no" / "x.html"), "--images", str(tmp_path / "file" / "pictures"))
    said = pull.report(*words, code=1)
    assert "no/x.html" in said
    assert "file/pictures" in said
    assert "**improved**" in pull.host.comments[1]
    assert pull.host.states.pop()["state"] == "success"
    change(pull.desk, "worse\n")
    repeats(pull.desk, "worse", (0.801, 0.82, 0.811))
    said = pull.report(*words, code=4)
    assert "no/x.html" in said
    assert "the gate says no" in said
    assert "**regressed**" in pull.host.comments[1]
