"""Events in real repositories: one order of them, one winner of each race, and nothing trusted that was moved."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gto.api
import pytest

from gittrack.domain.version import Version
from gittrack.errors import GitFailed, LostRace, NotSigned, UnknownModel
from gittrack.git.objects import Signature
from gittrack.git.repository import Repository
from gittrack.git.tags import check_signature
from gittrack.registry.event import Event
from gittrack.registry.read import read_registry
from gittrack.registry.record import Draft, build, publish_here, publish_there
from gittrack.registry.state import Model
from gittrack.registry.sync import fetch_registry, push_registry
from gittrack.registry.tagname import LOST, SEQUENCE, Action
from tests.helpers import Repo

ONE, TWO = Version(1), Version(2)
JANE = "Jane <jane@example.org>"


def repository(repo: Repo) -> Repository:
    return Repository.discover(repo.path)


def model(repo: Repo) -> Model:
    return read_registry(repository(repo)).models.get("digits", Model("digits"))


def draft(repo: Repo, action: Action, version: Version, place: str | None = None, **fields: Any) -> Draft:
    commit = repo.git("rev-parse", f"HEAD~{version.major - 1}")
    return Draft(action, commit.strip(), "a" * 32, version, place, **fields)


def made(repo: Repo, *drafts: Draft, when: float | None = None, sign: bool = False) -> tuple[Event, ...]:
    who = Signature(JANE, int(time.time() if when is None else when))
    return build(repository(repo), model(repo), drafts, who, sign=sign)


def say(repo: Repo, *drafts: Draft, **options: Any) -> tuple[Event, ...]:
    events = made(repo, *drafts, **options)
    publish_here(repository(repo), events)
    return events


@pytest.fixture
def digits(repo: Repo) -> Repo:
    """Two commits, and a version of the model on each."""
    repo.git("commit", "--quiet", "--allow-empty", "-m", "another")
    say(repo, draft(repo, Action.REGISTER, ONE, message="the first\n\nGittrack-Registry: {}"))
    say(repo, draft(repo, Action.REGISTER, TWO))
    return repo


@pytest.fixture
def pair(digits: Repo, tmp_path: Path) -> tuple[Repo, Repo]:
    digits.git("clone", "--quiet", "--bare", str(digits.path), str(tmp_path / "remote.git"))
    digits.git("remote", "add", "origin", str(tmp_path / "remote.git"))
    push_registry(repository(digits), "origin")
    digits.git("clone", "--quiet", str(tmp_path / "remote.git"), str(tmp_path / "second"))
    second = Repo(tmp_path / "second")
    fetch_registry(repository(second), "origin")
    return digits, second


def test_what_was_said_is_read_again_and_reads_well(digits: Repo) -> None:
    found = model(digits)
    assert [str(one) for one in found.versions] == ["v1.0.0", "v2.0.0"]
    with pytest.raises(UnknownModel, match="did you mean 'digits'"):
        read_registry(repository(digits)).get("digit")
    assert found.find("v1").registered.message == "the first\n\n Gittrack-Registry: {}"
    assert found.find("v1").registered.author == JANE
    assert "digits v1: registered" in digits.git("tag", "-n", "-l", "digits@*")
    assert digits.git("fsck", "--strict", "--no-dangling") == ""


def test_clocks_that_run_backwards_and_gto(digits: Repo) -> None:
    say(digits, draft(digits, Action.ASSIGN, ONE, "production"), when=4_000_000_000)
    swap = (draft(digits, Action.UNASSIGN, ONE, "production"), draft(digits, Action.ASSIGN, TWO, "production"))
    events = say(digits, *swap, when=1_000_000_000)
    assert [one.time - 4_000_000_000 for one in events] == [1, 2]
    assert [one.clock for one in events] == [1_000_000_000] * 2
    assert model(digits).holders == {"production": (TWO,)}
    theirs = gto.api.show(str(digits.path), "digits#production")
    assert [one["version"] for one in theirs] == ["v2.0.0"]


def test_of_two_processes_in_one_clone_the_second_hears_of_it(digits: Repo) -> None:
    first = made(digits, draft(digits, Action.ASSIGN, ONE, "production"))
    second = made(digits, draft(digits, Action.ASSIGN, TWO, "staging"))
    publish_here(repository(digits), first)
    with pytest.raises(LostRace, match="at this moment"):
        publish_here(repository(digits), second)
    assert model(digits).holders == {"production": (ONE,)}


@pytest.mark.parametrize("stages", [("production", "production"), ("production", "staging")])
def test_of_two_clones_that_promote_at_once_one_wins(pair: tuple[Repo, Repo], stages: tuple[str, str]) -> None:
    for _ in range(3):
        before = [repo.git("for-each-ref") for repo in pair]
        ready = [
            made(repo, draft(repo, Action.ASSIGN, version, stage))
            for repo, version, stage in zip(pair, (ONE, TWO), stages, strict=True)
        ]

        def attempt(at: int, ready: list[tuple[Event, ...]] = ready) -> bool:
            try:
                publish_there(repository(pair[at]), "origin", ready[at])
            except LostRace:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(attempt, (0, 1))) == [False, True]
        assert [repo.git("for-each-ref") for repo in pair] == before
        for repo in pair:
            assert len(fetch_registry(repository(repo), "origin").events) == 1
        assert model(pair[0]) == model(pair[1])
        for stage, held in model(pair[0]).holders.items():
            for version in held:
                say(pair[0], draft(pair[0], Action.UNASSIGN, version, stage))
        push_registry(repository(pair[0]), "origin")
        fetch_registry(repository(pair[1]), "origin")


def test_who_was_offline_and_comes_second_is_told_and_goes_on(pair: tuple[Repo, Repo]) -> None:
    first, second = pair
    say(first, draft(first, Action.ASSIGN, ONE, "production"))
    (mine,) = say(second, draft(second, Action.ASSIGN, TWO, "production"))
    assert [one.number for one in push_registry(repository(first), "origin").events] == [3]
    assert push_registry(repository(second), "origin").lost == [mine]
    done = fetch_registry(repository(second), "origin")
    assert (done.lost, [one.version for one in done.events]) == ([mine], [ONE])
    assert model(second).holders == {"production": (ONE,)}
    assert mine.object in second.git("for-each-ref", LOST)
    assert fetch_registry(repository(second), "origin").lost == []
    second.git("fetch", "--quiet", "--tags")
    say(second, draft(second, Action.ASSIGN, TWO, "staging"))
    assert push_registry(repository(second), "origin").refused == {}


def test_tags_that_somebody_pushed_with_git_get_their_number_later(pair: tuple[Repo, Repo]) -> None:
    first, second = pair
    (event,) = say(first, draft(first, Action.ASSIGN, ONE, "production"))
    first.git("push", "--quiet", "--tags", "origin")
    assert fetch_registry(repository(second), "origin").events == []
    assert push_registry(repository(first), "origin").events == [event]
    assert fetch_registry(repository(second), "origin").events == [event]
    assert read_registry(repository(second)).findings == ()
    assert model(second) == model(first)


def test_a_tag_without_a_number_is_named_to_whom_it_stands_in_the_way(pair: tuple[Repo, Repo]) -> None:
    first, second = pair
    say(first, draft(first, Action.ASSIGN, ONE, "production"))
    first.git("push", "--quiet", "--tags", "origin")
    with pytest.raises(GitFailed, match=r"has a tag 'digits#production#3' already .* --delete refs/tags/digits#prod"):
        publish_there(repository(second), "origin", made(second, draft(second, Action.ASSIGN, TWO, "production")))
    second.git("push", "--quiet", "origin", "--delete", "refs/tags/digits#production#3")
    publish_there(repository(second), "origin", made(second, draft(second, Action.ASSIGN, TWO, "production")))


def test_a_plain_clone_has_the_tags_and_they_say_enough(pair: tuple[Repo, Repo], tmp_path: Path) -> None:
    say(pair[0], draft(pair[0], Action.ASSIGN, ONE, "production"))
    push_registry(repository(pair[0]), "origin")
    pair[0].git("clone", "--quiet", str(tmp_path / "remote.git"), str(tmp_path / "plain"))
    plain = Repo(tmp_path / "plain")
    assert plain.git("for-each-ref", SEQUENCE) == ""
    assert model(plain).holders == {"production": (ONE,)}
    assert read_registry(repository(plain)).findings == ()


def test_after_a_change_only_what_is_new_is_read(digits: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    assert model(digits).number == 2
    (event,) = say(digits, draft(digits, Action.ASSIGN, ONE, "production"))
    digits.git("tag", "somebodys-own")
    asked: list[str] = []
    read_objects = Repository.read_objects

    def listened(self: Repository, wanted: Iterable[str]) -> Iterator[tuple[str, str, bytes]]:
        names = list(wanted)
        asked.extend(names)
        return read_objects(self, names)

    monkeypatch.setattr(Repository, "read_objects", listened)
    remembered = read_registry(repository(digits))
    assert asked == [event.object]
    (repository(digits).home / "registry.json").unlink()
    assert read_registry(repository(digits)) == remembered
    assert len(asked) == 4


@pytest.mark.parametrize("how", ["lightweight", "foreign", "moved", "gone", "made anew"])
def test_what_cannot_be_trusted_is_named_and_changes_nothing(digits: Repo, how: str) -> None:
    say(digits, draft(digits, Action.ASSIGN, ONE, "production"))
    tag = "digits#production#3"
    match how:
        case "lightweight":
            tag = "digits#production#4"
            digits.git("tag", tag, "HEAD")
        case "foreign":
            tag = "digits#production#4"
            digits.git("tag", "-a", "-m", "by hand", tag, "HEAD")
        case "moved":
            digits.git("update-ref", f"refs/tags/{tag}", digits.git("rev-parse", "refs/tags/digits@v2.0.0").strip())
        case "gone":
            digits.git("tag", "-d", tag)
        case "made anew":
            (fresh,) = made(digits, draft(digits, Action.ASSIGN, TWO, "staging"))
            digits.git("update-ref", f"refs/tags/{fresh.tag}", fresh.object)
            tag = fresh.tag
    found = read_registry(repository(digits))
    assert [one.ref for one in found.findings] == [f"refs/tags/{tag}"]
    assert found.models["digits"].holders == {"production": (ONE,)}
    # And again, from what was remembered.
    assert read_registry(repository(digits)) == found


def test_a_signature_of_ssh_and_a_tag_that_was_tampered_with(digits: Repo, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    allowed = f"jane@example.org {key.with_suffix('.pub').read_text()}".encode()
    digits.git("config", "gpg.format", "ssh")
    digits.git("config", "user.signingKey", str(key))
    (event,) = say(digits, draft(digits, Action.ASSIGN, ONE, "production"), sign=True)
    found = check_signature(repository(digits), event.object, "tag", signers=allowed)
    assert (found.good, found.email) == (True, "jane@example.org")
    assert model(digits).events[-1].signed
    assert not check_signature(repository(digits), event.object, "tag", signers=b"").good
    whole = digits.git("cat-file", "tag", event.object)
    forged = subprocess.run(
        ["git", "hash-object", "-t", "tag", "-w", "--stdin"],
        input=whole.replace("production", "prodaction").encode(),
        cwd=digits.path,
        capture_output=True,
        check=True,
    )
    object_id = os.fsdecode(forged.stdout).strip()
    assert not check_signature(repository(digits), object_id, "tag", signers=allowed).good
    unsigned = check_signature(repository(digits), model(digits).find("v1").registered.object, "tag")
    assert (unsigned.good, unsigned.said) == (False, "it is not signed")


def test_a_key_that_is_not_there_is_said_so(digits: Repo, tmp_path: Path) -> None:
    digits.git("config", "gpg.format", "ssh")
    digits.git("config", "user.signingKey", str(tmp_path / "none"))
    with pytest.raises(NotSigned, match="could not sign"):
        made(digits, draft(digits, Action.ASSIGN, ONE, "production"), sign=True)
    assert digits.git("for-each-ref", "refs/tags/digits#*") == ""


def test_refs_in_files_of_their_own_never_become_many(digits: Repo) -> None:
    loose = lambda: sum(len(files) for _, _, files in os.walk(digits.path / ".git" / "refs"))  # noqa: E731
    before = loose()
    made = model(digits)
    who = Signature(JANE, 1_700_000_000)
    for turn in range(3):
        for _ in range(60):
            for action in (Action.ASSIGN, Action.UNASSIGN):
                events = build(repository(digits), made, [draft(digits, action, ONE, "staging")], who)
                made = Model(made.name, events=(*made.events, *events))
        publish_here(repository(digits), made.events[len(model(digits).events) :])
        assert len(model(digits).events) == 2 + 120 * (turn + 1)
    # Each event is a tag and a number: 720 files were they all loose.
    assert loose() < before + 257
    assert len(digits.git("for-each-ref", "refs/tags/").splitlines()) == 362
