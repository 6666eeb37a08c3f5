"""Ref transactions: all or none, and a lost race is not an error."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from gittrack.errors import GitFailed, RefConflict
from gittrack.git.refs import RefChange, change_refs
from gittrack.git.repository import Repository
from tests.helpers import Repo, read_only


@pytest.fixture
def two(repo: Repo) -> tuple[str, str]:
    """Two commits."""
    first = repo.git("rev-parse", "HEAD")
    return first, repo.commit()


def refs(repo: Repo) -> dict[str, str]:
    return Repository.discover(repo.path).list_refs("refs/experiments/")


def test_create_move_and_delete(repo: Repo, two: tuple[str, str]) -> None:
    repository = Repository.discover(repo.path)
    name = "refs/experiments/a/1"
    change_refs(repository, [RefChange(name, two[0], None)])
    change_refs(repository, [RefChange(name, two[1], two[0])])
    assert refs(repo) == {name: two[1]}
    change_refs(repository, [RefChange(name, None, two[1])])
    assert refs(repo) == {}


def test_creation_is_only_for_what_is_not_there(repo: Repo, two: tuple[str, str]) -> None:
    repository = Repository.discover(repo.path)
    change_refs(repository, [RefChange("refs/experiments/a/1", two[0], None)])
    for new in two:
        with pytest.raises(RefConflict, match="changed meanwhile"):
            change_refs(repository, [RefChange("refs/experiments/a/1", new, None)])


def test_a_ref_that_is_elsewhere_gone_or_in_the_way(repo: Repo, two: tuple[str, str]) -> None:
    repository = Repository.discover(repo.path)
    change_refs(repository, [RefChange("refs/experiments/a/1", two[0], None)])
    repo.git("pack-refs", "--all")
    for wrong in (
        RefChange("refs/experiments/a/1", two[1], two[1]),
        RefChange("refs/experiments/a/2", two[1], two[0]),
        RefChange("refs/experiments/a/2", None, two[0]),
        RefChange("refs/experiments/a/1", None, two[1]),
        RefChange("refs/experiments/a/1/b", two[1], None),
        RefChange("refs/experiments/a", two[1], None),
    ):
        with pytest.raises(RefConflict):
            change_refs(repository, [wrong])
    assert refs(repo) == {"refs/experiments/a/1": two[0]}


def test_all_or_none(repo: Repo, two: tuple[str, str]) -> None:
    repository = Repository.discover(repo.path)
    with pytest.raises(RefConflict):
        change_refs(
            repository,
            [RefChange("refs/experiments/a/1", two[0], None), RefChange("refs/experiments/a/2", None, two[0])],
        )
    assert refs(repo) == {}


def test_an_object_that_is_not_there(repo: Repo) -> None:
    with pytest.raises(GitFailed, match="f" * 40):
        change_refs(Repository.discover(repo.path), [RefChange("refs/experiments/a/1", "f" * 40, None)])


def test_a_name_that_git_forbids(repo: Repo, two: tuple[str, str]) -> None:
    with pytest.raises(GitFailed):
        change_refs(Repository.discover(repo.path), [RefChange("refs/experiments/a b..lock", two[0], None)])


def test_a_lock_that_was_left_behind_is_named(
    repo: Repo, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a branch, which others move: nobody but its owner may take the lock away."""
    monkeypatch.setattr("gittrack.git.refs._TRIES", 3)
    lock = repo.path / ".git" / "refs" / "heads" / "other.lock"
    lock.write_bytes(b"")
    with pytest.raises(GitFailed, match=r"other\.lock.*remove that file"):
        change_refs(Repository.discover(repo.path), [RefChange("refs/heads/other", two[0], None)])
    lock.unlink()
    change_refs(Repository.discover(repo.path), [RefChange("refs/heads/other", two[0], None)])


@pytest.mark.parametrize("left", [("packed-refs.lock",), ("packed-refs.new",), ("packed-refs.lock", "packed-refs.new")])
def test_what_a_killed_git_left_of_packed_refs_is_taken_away(
    repo: Repo, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch, left: tuple[str, ...]
) -> None:
    monkeypatch.setattr("gittrack.git.refs._WATCHED", 1.0)
    repository = Repository.discover(repo.path)
    change_refs(repository, [RefChange("refs/experiments/a/1", two[0], None)])
    repo.git("pack-refs", "--all")
    for name in left:
        (repo.path / ".git" / name).write_bytes(b"half")
    change_refs(repository, [RefChange("refs/experiments/a/1", None, two[0])])
    assert refs(repo) == {}
    assert not list((repo.path / ".git").glob("*packed-refs.*"))


def test_packed_refs_that_a_stopped_git_holds_are_left_alone(
    repo: Repo, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would go on with the refs that it knew, and those of the meantime would be lost."""
    monkeypatch.setattr("gittrack.git.refs._WATCHED", 1.0)
    repository = Repository.discover(repo.path)
    change_refs(repository, [RefChange("refs/experiments/a/1", two[0], None)])
    repo.git("pack-refs", "--all")
    lock = repo.path / ".git" / "packed-refs.lock"
    lock.write_bytes(b"")
    with subprocess.Popen(["git", "cat-file", "--batch"], cwd=repo.path, stdin=subprocess.PIPE) as git:
        try:
            git.send_signal(signal.SIGSTOP)
            with pytest.raises(GitFailed, match=r"packed-refs\.lock.*remove that file"):
                change_refs(repository, [RefChange("refs/experiments/a/1", None, two[0])])
        finally:
            git.kill()
    assert lock.exists()


def test_a_lock_of_ours_that_a_git_holds_is_left_to_it(
    repo: Repo, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gittrack.git.refs._WATCHED", 0.5)
    monkeypatch.setattr("gittrack.git.refs._TRIES", 3)
    repository = Repository.discover(repo.path)
    ref = "refs/experiments/a/1"
    change_refs(repository, [RefChange(ref, two[0], None)])
    with subprocess.Popen(
        ["git", "update-ref", "--stdin"], cwd=repo.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as git:
        assert git.stdin is not None
        assert git.stdout is not None
        git.stdin.write(f"start\nupdate {ref} {two[1]} {two[0]}\nprepare\n")
        git.stdin.flush()
        assert [git.stdout.readline() for _ in range(2)] == ["start: ok\n", "prepare: ok\n"]
        with pytest.raises(GitFailed, match=r"1\.lock.*remove that file"):
            change_refs(repository, [RefChange(ref, two[1], two[0])])
        git.stdin.write("commit\n")
        git.stdin.close()
        assert git.wait() == 0
    assert refs(repo) == {ref: two[1]}


def test_a_lock_of_ours_that_others_keep_taking_is_given_up(
    repo: Repo, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gittrack.git.refs._TRIES", 3)
    monkeypatch.setattr("gittrack.git.refs._WATCHED", 0.3)
    lock = repo.path / ".git" / "refs" / "experiments" / "a" / "1.lock"
    lock.parent.mkdir(parents=True)
    lock.write_bytes(b"")
    sleep = time.sleep

    def busy(seconds: float) -> None:
        sleep(seconds)
        lock.unlink()
        lock.write_bytes(b"")

    monkeypatch.setattr("gittrack.git.refs.time.sleep", busy)
    with pytest.raises(GitFailed, match=r"1\.lock.*remove that file"):
        change_refs(Repository.discover(repo.path), [RefChange("refs/experiments/a/1", two[0], None)])
    assert lock.exists()


def test_where_nothing_can_be_written_nobody_waits(
    repo: Repo, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gittrack.git.refs.time.sleep", lambda _: pytest.fail("waited for what cannot come"))
    repository = Repository.discover(repo.path)
    with read_only(repo.path / ".git"), pytest.raises(GitFailed, match="refs could not be changed"):
        change_refs(repository, [RefChange("refs/experiments/a/1", two[0], None)])


def test_a_lock_that_goes_away_is_waited_for(repo: Repo, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    repository = Repository.discover(repo.path)
    change_refs(repository, [RefChange("refs/experiments/a/1", two[0], None)])
    repo.git("pack-refs", "--all")
    lock = repo.path / ".git" / "packed-refs.lock"
    lock.write_bytes(b"")
    waited = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        lock.unlink(missing_ok=True)

    monkeypatch.setattr("gittrack.git.refs.time.sleep", wait)
    change_refs(repository, [RefChange("refs/experiments/a/1", None, two[0])])
    assert len(waited) == 1
    assert refs(repo) == {}


RACE = """
import sys
from gittrack.errors import RefConflict
from gittrack.git.refs import RefChange, change_refs
from gittrack.git.repository import Repository
repository = Repository.discover()
commit = repository.resolve("HEAD")
print("ready", flush=True)
sys.stdin.readline()
won = 0
for number in range(10):
    try:
        change_refs(repository, [RefChange(f"refs/experiments/a/{number}", commit, None)])
        won += 1
    except RefConflict:
        pass
    change_refs(repository, [RefChange(f"refs/experiments/{sys.argv[1]}/{number}", commit, None)])
print(won)
"""


def test_of_many_that_create_a_ref_exactly_one_wins(repo: Repo) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, f"own{number}"],
            cwd=repo.path,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for number in range(8)
    ]
    for one in racers:
        assert one.stdout is not None
        one.stdout.readline()
    for one in racers:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    results = [one.communicate(timeout=120) for one in racers]
    assert [err for _, err in results] == [""] * 8
    assert sum(int(out) for out, _ in results) == 10
    assert len(refs(repo)) == 90
