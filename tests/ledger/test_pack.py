"""Packing: what it takes into packs of ours, what it leaves alone, and that it comes by itself."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from gittrack.errors import RunBusy
from gittrack.git.packs import own_packs
from gittrack.ledger import fold as fold_module
from gittrack.ledger import pack as pack_module
from gittrack.project import Project
from tests.helpers import Repo, wait_until


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITTRACK_RUN_SYSTEM_METRICS", "off")


def record(repo: Repo, count: int, start: int = 0) -> None:
    project = Project.open(repo.path)
    for number in range(start, start + count):
        with project.start_run(f"run-{number}", experiment="e", console=False) as run:
            run.log_metric("loss", number)


def loose(repo: Repo) -> int:
    return int(repo.git("count-objects").split()[0])


def names(repo: Repo) -> list[str]:
    return sorted(run.name for run in Project.open(repo.path).runs())


def test_objects_of_runs_go_into_a_pack_and_those_of_the_user_stay(repo: Repo) -> None:
    record(repo, 5)
    repo.write("note.txt", "of the user")
    repo.git("add", "note.txt")
    unreachable = repo.git("hash-object", "-w", "--stdin", input="nobody's")
    said = repo.gittrack_json("pack")
    assert (said["members"], said["refs_dropped"]) == (5, 0)
    assert said["objects"] > 15
    assert len(own_packs(Project.open(repo.path).repo)) == 1
    repo.git("cat-file", "-e", unreachable)
    assert loose(repo) >= 2
    assert repo.gittrack_json("pack")["objects"] == 0
    repo.git("gc", "--quiet", "--prune=now")
    assert repo.git("cat-file", "-t", unreachable, check=False) == ""
    assert len(own_packs(Project.open(repo.path).repo)) == 1
    assert repo.gittrack("fsck").returncode == 0
    assert repo.git("fsck", "--strict", "--no-dangling") == ""
    assert names(repo) == [f"run-{number}" for number in range(5)]


def test_snapshots_of_a_dirty_tree_are_packed_too(repo: Repo) -> None:
    repo.write("train.py", "changed = True\n")
    with Project.open(repo.path).start_run("dirty", allow_dirty="tracked", console=False) as run:
        pass
    before = loose(repo)
    repo.gittrack("pack")
    snapshot = Project.open(repo.path).get_run("dirty").record.code.snapshot
    assert snapshot is not None
    assert not (repo.path / ".git/objects" / snapshot[:2] / snapshot[2:]).exists()
    assert loose(repo) < before
    assert repo.git("show", f"{run.id and snapshot}:train.py") == "changed = True"


def test_only_the_newest_runs_keep_refs_and_all_can_be_used(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold_module, "KEEP_REFS", 2)
    monkeypatch.setattr(fold_module, "SLACK", 1)
    record(repo, 6)
    project = Project.open(repo.path)
    done = project.pack()
    assert done.folded.dropped == 4
    assert len(repo.git("for-each-ref", "refs/experiments/e").splitlines()) == 2
    assert names(repo) == [f"run-{number}" for number in range(6)]
    project.amend("run-0", tags={"old": "yes"}, description="still here")
    project.amend("run-0", name="first")
    found = project.get_run("first")
    assert (found.tags, found.description) == ({"old": "yes"}, "still here")
    assert len(found.amendments) == 2
    with project.start_run(resume="run-1", console=False) as again:
        again.log_metric("loss", 99, step=7)
    resumed = project.get_run(again.id)
    assert resumed.metrics["loss"] == 99
    assert len(resumed.history("loss")) == 2
    repo.write("late.txt", "late")
    project.add_artifact("run-2", repo.path / "late.txt")
    assert project.get_run("run-2").file("artifacts/late.txt") == b"late"
    project.pack()
    assert project.get_run("run-2").file("artifacts/late.txt") == b"late"
    assert repo.gittrack("fsck").returncode == 0
    assert repo.gittrack("show", "run-3").returncode == 0


def test_many_packs_become_few(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_module, "_PACKS", 3)
    project = Project.open(repo.path)
    most = 0
    for number in range(8):
        record(repo, 2, start=2 * number)
        project.pack()
        most = max(most, len(own_packs(project.repo)))
    assert most <= 4
    assert repo.git("fsck", "--strict", "--no-dangling") == ""
    assert len(names(repo)) == 16


def test_a_pack_that_was_half_removed_stops_nobody(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a kill leaves it between the index, which goes first, and the mark, which goes last."""
    monkeypatch.setattr(pack_module, "_PACKS", 1)
    project = Project.open(repo.path)
    record(repo, 2)
    project.pack()
    folder = repo.path / ".git/objects/pack"
    left = folder / f"pack-{'0' * 40}"
    left.with_suffix(".pack").write_bytes(b"half")
    left.with_suffix(".keep").write_text("gittrack\n")
    record(repo, 2, start=2)
    project.pack()
    assert not list(folder.glob(f"{left.name}.*"))
    assert len(names(repo)) == 4
    assert repo.git("fsck", "--strict", "--no-dangling") == ""


def almost_due(repo: Repo) -> Path:
    counter = repo.path / ".git/gittrack/unpacked"
    counter.parent.mkdir(exist_ok=True)
    counter.write_bytes(b"." * (pack_module._EVERY - 1))
    return counter


def test_it_comes_by_itself(repo: Repo) -> None:
    repo.git("config", "gc.auto", "6700")
    record(repo, 3)
    counter = almost_due(repo)
    record(repo, 1, start=3)
    wait_until(lambda: bool(own_packs(Project.open(repo.path).repo)), "the runs are packed")
    wait_until(lambda: "_ledger" in repo.git("for-each-ref"), "the runs are folded")
    assert not counter.exists() or counter.stat().st_size < pack_module._EVERY
    assert names(repo) == [f"run-{number}" for number in range(4)]


@pytest.mark.parametrize("auto", ["0", "6700"])
def test_it_does_not_where_git_is_told_to_do_nothing_by_itself(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, auto: str
) -> None:
    repo.git("config", "gc.auto", auto)
    almost_due(repo)
    repository = Project.open(repo.path).repo
    assert repository.setting("gc.auto") == auto
    started: list[object] = []
    seen = SimpleNamespace(run=lambda words, **_: started.append(words), DEVNULL=subprocess.DEVNULL)
    monkeypatch.setattr(pack_module, "subprocess", seen)
    pack_module.count_up(repository)
    assert len(started) == (auto != "0")


def test_one_at_a_time(repo: Repo) -> None:
    project = Project.open(repo.path)
    with pack_module._alone(project.repo), pytest.raises(RunBusy, match="packing runs already"):
        project.pack()


def test_refs_that_another_git_packs_stay_as_they_are(repo: Repo) -> None:
    record(repo, 2)
    lock = repo.path / ".git" / "packed-refs.lock"
    lock.touch()
    assert repo.gittrack_json("pack")["objects"] > 0
    assert lock.exists()
    assert names(repo) == ["run-0", "run-1"]
    lock.unlink()
    repo.gittrack_json("pack")
    assert "refs/experiments/e/" in (repo.path / ".git" / "packed-refs").read_text("utf-8")
