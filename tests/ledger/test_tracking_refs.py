"""Plain `git fetch` that brings runs, by the refspec that `gittrack init --fetch-runs` adds."""

from __future__ import annotations

from pathlib import Path

import pytest

from gittrack.project import Project
from tests.helpers import Repo


def recorded(repo: Repo, name: str) -> None:
    with Project.open(repo.path).start_run(name, experiment="e", console=False) as run:
        run.log_metric("loss", 1.0)


def team(repo: Repo, tmp_path: Path) -> Repo:
    repo.git("init", "--quiet", "--bare", str(tmp_path / "host.git"))
    repo.git("remote", "add", "origin", str(tmp_path / "host.git"))
    repo.git("push", "--quiet", "origin", "HEAD")
    repo.git("clone", "--quiet", str(tmp_path / "host.git"), str(tmp_path / "other"))
    other = Repo(tmp_path / "other")
    assert "--fetch-runs" in other.gittrack("init").stdout
    assert "'git fetch' brings runs too" in other.gittrack("init", "--fetch-runs").stdout
    assert "fetch-runs" not in other.gittrack("init").stdout
    other.git("add", "--all")
    other.commit()
    return other


def test_runs_come_along_and_prune_takes_none_of_ours(repo: Repo, tmp_path: Path) -> None:
    other = team(repo, tmp_path)
    recorded(repo, "theirs")
    repo.gittrack("push", "--no-data")
    recorded(other, "ours")
    other.git("fetch", "--quiet", "--prune")
    assert {run.name for run in Project.open(other.path).runs()} == {"theirs", "ours"}
    other.gittrack("tag", "theirs", "seen=1")
    other.gittrack("push", "--no-data")
    other.git("fetch", "--quiet", "--prune")
    recorded(other, "more")
    other.git("fetch", "--quiet", "--prune")
    repo.gittrack("fetch", "--no-data")
    assert Project.open(repo.path).get_run("theirs").tags == {"seen": "1"}
    assert other.gittrack("fsck").returncode == 0
    assert other.gittrack("fetch", "--no-data").returncode == 0


def test_a_purge_elsewhere_stops_git_fetch_only_until_gittrack_fetches(repo: Repo, tmp_path: Path) -> None:
    other = team(repo, tmp_path)
    for name in ("secret", "fine"):
        recorded(repo, name)
    repo.gittrack("push", "--no-data")
    other.git("fetch", "--quiet")
    repo.gittrack("gc", "--purge", "secret", "--push")
    other.gittrack("fetch", "--no-data")
    other.git("fetch", "--quiet")
    assert [run.name for run in Project.open(other.path).runs(deleted=True)] == ["fine"]


def test_what_others_purged_goes_here_too(repo: Repo, tmp_path: Path) -> None:
    other = team(repo, tmp_path)
    recorded(repo, "secret")
    run = Project.open(repo.path).get_run("secret").id
    repo.gittrack("push", "--no-data")
    other.gittrack("fetch", "--no-data")
    other.gittrack("gc", "--purge", "secret", "--push")
    assert run not in other.gittrack("ls", "--json").stdout
    repo.gittrack("fetch", "--no-data")
    said = repo.gittrack("gc", "--purge")
    assert "purged 1 run" in said.stdout
    assert repo.gittrack("gc", "--purge", check=False).returncode == 2
    assert "as it is now" in repo.gittrack("gc", "--purge", "--push").stdout
    other.gittrack("fetch", "--no-data")
    for one in (repo, other):
        assert "secret" not in one.git("log", "--all", "--format=%s", "--no-walk", "--glob=refs/experiments/*")
        assert one.gittrack("ls", "--json").stdout == "[]\n"


def test_a_dry_run_never_purges(repo: Repo) -> None:
    recorded(repo, "kept")
    for words in (("--purge", "kept", "--dry-run"), ("--merge-ledgers", "--dry-run"), ("--purge", "--merge-ledgers")):
        assert repo.gittrack("gc", *words, check=False).returncode == 2
    assert [run.name for run in Project.open(repo.path).runs()] == ["kept"]


def test_a_purge_takes_refs_of_single_runs_away_on_the_remote(repo: Repo, tmp_path: Path) -> None:
    other = team(repo, tmp_path)
    recorded(repo, "leak")
    recorded(repo, "fine")
    leak = Project.open(repo.path).get_run("leak").id
    repo.gittrack("push", "-e", "e", "--no-data")
    assert leak in repo.git("ls-remote", "origin")
    said = repo.gittrack("gc", "--purge", "leak", "--push").stdout
    assert "took 1 ref of purged runs away there" in said
    left = repo.git("ls-remote", "origin", "refs/experiments/*")
    assert leak not in left
    other.gittrack("fetch", "--no-data")
    assert [run.name for run in Project.open(other.path).runs()] == ["fine"]


def test_who_had_the_run_takes_out_what_others_purged(repo: Repo, tmp_path: Path) -> None:
    other = team(repo, tmp_path)
    for name in ("leak", "fine"):
        recorded(repo, name)
    leak = Project.open(repo.path).get_run("leak").id
    commit = Project.open(repo.path).get_run("leak").commit
    repo.gittrack("push", "--no-data")
    other.gittrack("fetch", "--no-data")
    other.gittrack("gc", "--purge", "leak", "--push", "--reason", "a key")
    said = repo.gittrack("fetch", "--no-data")
    assert "1 run is no more here: somebody deleted them for good" in said.stdout + said.stderr
    gone = repo.gittrack("show", leak[:8], check=False)
    assert gone.returncode == 1
    assert "was deleted for good by" in gone.stderr
    assert "a key" in gone.stderr
    # Named by the first digits of its id, or not at all.
    assert "purged 1 run" in repo.gittrack("gc", "--purge", leak[:8], "--push").stdout
    assert Project.open(repo.path).purged_here() == set()
    reached = Repo(tmp_path / "host.git").git("log", "--glob=refs/*", "--format=%H")
    assert str(commit) not in reached


@pytest.mark.parametrize(
    "words",
    [
        ("--reason", "x"),
        ("--idle", "3"),
        ("--local",),
        ("--remote", "origin"),
        ("--merge-ledgers", "--push"),
        ("--merge-ledgers", "--reason", "x"),
        ("--merge-ledgers", "--idle", "-3"),
        ("--merge-ledgers", "--idle", "nan"),
        ("--purge", "--force"),
    ],
)
def test_options_that_do_not_belong_together(repo: Repo, words: tuple[str, ...]) -> None:
    assert repo.gittrack("gc", *words, check=False).returncode == 2
