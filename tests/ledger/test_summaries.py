"""A fetch of summaries: tables at once, files when they are read, and the user's own fetches as before."""

from __future__ import annotations

from pathlib import Path

import pytest

from gittrack.project import Project
from tests.helpers import Repo


@pytest.fixture
def team(repo: Repo, tmp_path: Path) -> tuple[Repo, Repo]:
    """A clone with pushed runs, and one without any, of a host that can filter."""
    host = tmp_path / "host.git"
    repo.git("init", "--quiet", "--bare", str(host))
    Repo(host).git("config", "uploadpack.allowFilter", "true")
    repo.git("remote", "add", "origin", f"file://{host}")
    repo.git("push", "--quiet", "origin", "HEAD")
    project = Project.open(repo.path)
    for number in range(3):
        with project.start_run(f"run-{number}", experiment="e", console=False) as run:
            for step in range(200):
                run.log_metric("loss", number + 1 / (step + 1), step=step)
    project.push(data=False)
    repo.git("clone", "--quiet", f"file://{host}", str(tmp_path / "other"))
    return repo, Repo(tmp_path / "other")


def missing(repo: Repo) -> int:
    return repo.git("rev-list", "--objects", "--all", "--missing=print").count("?")


def test_tables_are_whole_and_curves_come_on_demand(team: tuple[Repo, Repo]) -> None:
    repo, other = team
    assert "3 runs fetched" in other.gittrack("fetch", "--summaries").stdout
    left_out = missing(other)
    assert left_out > 6
    assert other.gittrack("ls", "--json").stdout == repo.gittrack("ls", "--json").stdout
    assert missing(other) == left_out
    assert len(Project.open(other.path).get_run("run-1").history("loss")) == 200
    assert missing(other) < left_out


def test_what_the_user_fetches_comes_whole(team: tuple[Repo, Repo]) -> None:
    repo, other = team
    other.gittrack("fetch", "--summaries")
    repo.write("new.txt", "of the user\n")
    repo.commit()
    repo.git("push", "--quiet", "origin", "HEAD")
    other.git("fetch", "--quiet")
    blob = repo.git("rev-parse", "HEAD:new.txt")
    assert f"?{blob}" not in other.git("rev-list", "--objects", "--all", "--missing=print")
    assert other.git("config", "--get", "remote.origin.promisor") == "true"
    assert "partialclonefilter" not in other.git("config", "--list")


def test_a_host_that_cannot_filter_sends_all(team: tuple[Repo, Repo], tmp_path: Path) -> None:
    _, other = team
    Repo(tmp_path / "host.git").git("config", "uploadpack.allowFilter", "false")
    assert "3 runs fetched" in other.gittrack("fetch", "--summaries").stdout
    assert missing(other) == 0


def test_a_host_that_is_gone_is_no_damage(team: tuple[Repo, Repo], tmp_path: Path) -> None:
    _, other = team
    other.gittrack("fetch", "--summaries")
    host = tmp_path / "host.git"
    host.rename(tmp_path / "away.git")
    said = other.gittrack("show", "run-1", check=False)
    assert said.returncode == 1
    assert "origin does not give them now" in said.stderr
    checked = other.gittrack("fsck", check=False)
    assert checked.returncode == 1
    assert "3 runs are not here whole" in checked.stdout
    (tmp_path / "away.git").rename(host)
    assert other.gittrack("fsck").returncode == 0
