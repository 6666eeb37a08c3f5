"""One opened repository: naming, changing, deleting, and what never changes by it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gittrack.errors import (
    AmbiguousRun,
    FilterError,
    InvalidName,
    InvalidValue,
    NotARepository,
    SettingsError,
    UnknownRun,
    UsageError,
)
from gittrack.project import Project
from gittrack.tracking.active import active_runs
from tests.helpers import Fingerprint, Repo


@pytest.fixture
def project(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setenv("GITTRACK_RUN_SYSTEM_METRICS", "off")
    monkeypatch.setenv("GITTRACK_RUN_CONSOLE", "false")
    monkeypatch.chdir(repo.path)
    yield Project.open()
    for run in active_runs():
        run.abandon()


def make(project: Project, name: str, acc: float = 0.5, **kwargs: Any) -> str:
    with project.start_run(name, **kwargs) as run:
        run.log_metric("acc", acc)
    return run.id


def test_open(repo: Repo, tmp_path: Path) -> None:
    (repo.path / "sub").mkdir()
    assert Project.open(repo.path / "sub").repo.root == repo.path
    with pytest.raises(NotARepository):
        Project.open(tmp_path)
    repo.write(".gittrack/config.yaml", "experimnt: x\n")
    with pytest.raises(SettingsError, match="experiment"):
        Project.open(repo.path)


def test_naming_a_run(project: Project) -> None:
    ids = [make(project, name, acc, experiment="e") for name, acc in (("a", 0.1), ("b", 0.9), ("c", 0.5))]
    commit = project.get_run("b").commit
    assert commit is not None
    for name, expected in {
        "@": ids[2], "@~1": ids[1], "@~2": ids[0], ids[0]: ids[0], ids[1][:10]: ids[1], commit: ids[1],
        commit[:12]: ids[1], "b": ids[1], "e/b": ids[1], "best:max:acc": ids[1], "best:min:acc": ids[0],
        f"refs/experiments/e/{ids[2]}": ids[2],
    }.items():  # fmt: skip
        assert project.get_run(name).id == expected, name
    for name in ("nothing", "@~3", "e/nothing", "HEAD", "f" * 32, "best:max:nothing"):
        with pytest.raises((UnknownRun, FilterError)):
            project.get_run(name)
    make(project, "b", experiment="e")
    with pytest.raises(AmbiguousRun) as raised:
        project.get_run("b")
    assert len(raised.value.candidates) == 2


def test_filters_and_sorting(project: Project) -> None:
    for number in range(5):
        make(project, f"r{number}", number / 10, params={"n": number}, tags={"odd": number % 2})
    assert [run.name for run in project.runs("metrics.acc >= 0.3", sort="-metrics.acc")] == ["r4", "r3"]
    assert [run.name for run in project.runs(sort="params.n", limit=2)] == ["r0", "r1"]
    assert project.count('tags.odd = "1"') == 2
    assert [run.name for run in project.best("acc", goal="max", limit=2)] == ["r4", "r3"]
    assert project.keys("params") == ["n"]
    assert project.experiments()[0][:2] == ("default", 5)
    with pytest.raises(FilterError):
        project.runs("metrics.acc >")
    with pytest.raises(UsageError, match="high or low"):
        project.best("acc")


def test_goals_of_the_settings_say_what_is_best(project: Project, repo: Repo) -> None:
    repo.write(".gittrack/config.yaml", "metrics: {goals: {acc: {goal: max}}}\n")
    repo.commit()
    opened = Project.open()
    for name, acc in (("a", 0.1), ("b", 0.9)):
        make(opened, name, acc)
    assert opened.best("acc")[0].name == "b"
    assert opened.get_run("best:acc").name == "b"


def test_amend(project: Project) -> None:
    run = make(project, "it", tags={"a": "1", "b": "2"})
    found = project.amend("it", tags={"c": 3}, untag=["a"], name="new", description="text")
    assert (found.name, found.tags, found.description) == ("new", {"b": "2", "c": "3"}, "text")
    assert project.get_run("new").id == run
    with pytest.raises(UnknownRun):
        project.get_run("it")
    assert project.amend(found, description="").description == ""


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, UsageError),
        ({"untag": ["nothing"]}, UsageError),
        ({"tags": {"": 1}}, InvalidName),
        ({"name": ""}, InvalidName),
        ({"description": 3}, InvalidValue),
    ],
    ids=str,
)
def test_a_wrong_amendment_changes_nothing(
    project: Project, repo: Repo, changes: dict[str, Any], error: type[Exception]
) -> None:
    make(project, "it")
    before = repo.git("for-each-ref")
    with pytest.raises(error):
        project.amend("it", **changes)
    assert repo.git("for-each-ref") == before


def test_deleted_and_restored(project: Project) -> None:
    run = make(project, "it")
    make(project, "other")
    assert project.amend("it", deleted=True).state.deleted
    assert [one.name for one in project.runs()] == ["other"]
    assert [one.name for one in project.runs(deleted=True)] == ["other", "it"]
    assert (project.count(), project.count(deleted=True)) == (1, 2)
    with pytest.raises(UnknownRun):
        project.get_run("it")
    assert project.get_run(run).id == run
    project.amend(run, deleted=False)
    assert project.get_run("it").id == run


def test_what_is_damaged_is_listed_and_in_nobodys_way(project: Project, repo: Repo) -> None:
    make(project, "good")
    ref = "refs/experiments/x/" + "0" * 32
    repo.git("update-ref", ref, "HEAD")
    assert [run.name for run in project.runs()] == ["good"]
    (damage,) = project.damage()
    assert damage.run == "0" * 32
    assert "not a run" in damage.reason


def test_the_tree_as_run_would_judge_it(project: Project, repo: Repo, tmp_path: Path) -> None:
    tree = project.tree()
    assert tree is not None
    assert tree.clean
    repo.write("train.py", "changed")
    tree = project.tree()
    assert tree is not None
    assert [str(one) for one in tree.changes] == ["train.py (modified)"]
    repo.git("clone", "--quiet", "--bare", str(repo.path), str(tmp_path / "bare.git"))
    assert Project.open(tmp_path / "bare.git").tree() is None


def test_a_broken_index_hurts_nobody(project: Project, repo: Repo) -> None:
    make(project, "it")
    assert project.count() == 1
    for path in (repo.path / ".git" / "gittrack").glob("index*"):
        path.write_bytes(b"garbage")
    assert [run.name for run in Project.open().runs()] == ["it"]
    for path in (repo.path / ".git" / "gittrack").glob("index*"):
        path.unlink()
    assert [run.name for run in Project.open().runs()] == ["it"]


def test_two_projects_see_each_others_changes(project: Project) -> None:
    other = Project.open()
    assert other.count() == 0
    make(project, "it")
    assert other.count() == 1
    project.amend("it", tags={"a": "1"})
    assert other.get_run("it").tags == {"a": "1"}


# --- nothing of the user's own is changed


def commands(project: Project) -> dict[str, Any]:
    return {
        "start": lambda: make(project, "again"),
        "resume": lambda: project.start_run(resume="it").finish(),
        "runs": lambda: project.runs(),
        "get_run": lambda: project.get_run("it").record,
        "amend": lambda: project.amend("it", tags={"a": 1}),
        "delete": lambda: project.amend("it", deleted=True),
        "recover": lambda: project.recover(),
        "live": lambda: project.live(),
        "tree": lambda: project.tree(),
        "damage": lambda: project.damage(),
        "wrapped": lambda: project.run_command(["true"]),
        "dirty": lambda: make(project, "dirty", allow_dirty="all"),
    }


@pytest.mark.parametrize("name", list(commands(None)))  # type: ignore[arg-type]
@pytest.mark.parametrize("state", ["clean", "dirty", "detached"])
def test_the_users_own_things_are_byte_identical_after_every_command(
    project: Project, repo: Repo, name: str, state: str
) -> None:
    make(project, "it")
    repo.write("other.py", "1")
    repo.commit()
    repo.write("train.py", "stashed")
    repo.git("stash")
    repo.git("branch", "side")
    repo.git("tag", "-a", "v1", "-m", "one")
    if state == "detached":
        repo.git("checkout", "--quiet", "--detach")
    if state == "dirty":
        repo.write("train.py", "changed")
        repo.write("other.py", "2")
        repo.git("add", "other.py")
        repo.write("new.py", "1")
        os.environ["GITTRACK_RUN_ALLOW_DIRTY"] = "all"
        project = Project.open()
    try:
        before = (repo.status_fingerprint(), files(repo))
        commands(project)[name]()
        assert (repo.status_fingerprint(), files(repo)) == before
    finally:
        os.environ.pop("GITTRACK_RUN_ALLOW_DIRTY", None)


def files(repo: Repo) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes())
        for path in repo.path.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


def test_the_fingerprint_sees_what_it_must(repo: Repo) -> None:
    seen: list[Fingerprint] = [repo.status_fingerprint()]
    for change in (
        lambda: repo.write("new", "1"),
        lambda: repo.git("add", "new"),
        lambda: repo.git("stash"),
        lambda: repo.git("branch", "b"),
        lambda: repo.git("checkout", "--quiet", "b"),
    ):
        change()
        assert repo.status_fingerprint() != seen[-1]
        seen.append(repo.status_fingerprint())
