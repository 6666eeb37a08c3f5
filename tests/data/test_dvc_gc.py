"""Whatever DVC and git collect, every artifact of every run can still be read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.data.conftest import Bench, large

COLLECTORS = {
    "workspace": ["dvc gc -f -w"],
    "branches": ["dvc gc -f -a"],
    "commits": ["dvc gc -f -A"],
    "tags": ["dvc gc -f -T"],
    "experiments": ["dvc gc -f --all-experiments"],
    "cloud": ["dvc gc -f -w -c"],
    "git": ["git gc --quiet --prune=now", "git reflog expire --expire=now --all", "git gc --quiet --prune=now"],
}


@pytest.fixture
def shared(bench: Bench, tmp_path: Path) -> Bench:
    """Two runs with data, pushed to a remote that `dvc gc -c` sweeps; nothing on any branch points to the artifacts."""
    bench.dvc("remote", "add", "-d", "store", str(tmp_path / "store"))
    bench.repo.git("init", "--bare", "--quiet", str(tmp_path / "origin.git"))
    bench.repo.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    bench.repo.gittrack("init")
    bench.repo.commit("A place for data")
    bench.track("data.csv", large("d"))
    with bench.project.start_run("first") as run:
        run.use("data.csv")
        bench.repo.write("out/set/1.bin", large("1"))
        bench.repo.write("out/set/2.bin", large("2"))
        run.log_artifacts("out/set", name="set")
        bench.repo.write("out/m.bin", large("m"))
        run.log_artifact("out/m.bin", name="model")
    bench.run("second", {"n.bin": large("n")})
    # The data of the branch change, so that only the run still knows the old ones.
    bench.track("data.csv", large("e"))
    bench.repo.gittrack("push")
    return bench


@pytest.mark.parametrize("which", COLLECTORS)
def test_everything_can_be_read_after(shared: Bench, which: str) -> None:
    shared.repo.write("unwanted.bin", large("u"))
    shared.store.add(shared.repo.path / "unwanted.bin")
    (shared.repo.path / "unwanted.bin").unlink()
    for line in COLLECTORS[which]:
        program, *words = line.split()
        if program == "dvc":
            shared.dvc(*words)
        else:
            shared.repo.git(*words)
    project = shared.project
    first = project.get_run("first")
    assert first.artifact("model").read_bytes() == large("m")
    assert first.artifact("set").read_bytes("2.bin") == large("2")
    assert project.get_run("second").artifact("out/n.bin").read_bytes() == large("n")
    assert project.fsck() == []
    place = shared.repo.path.parent / "old"
    checked = project.check_out("first", worktree=place)
    assert checked.absent == ()
    assert (place / "data.csv").read_bytes() == large("d")
    assert shared.dvc("status", cwd=place).strip() == "Data and pipelines are up to date."
    # And on the remote: a clone that has nothing gets all of it.
    clone = shared.repo.path.parent / "clone"
    shared.repo.git("clone", "--quiet", str(shared.repo.path.parent / "origin.git"), str(clone))
    shared.repo.git("-C", str(clone), "fetch", "--quiet", "origin", "refs/experiments/*:refs/experiments/*")
    shared.repo.git("-C", str(clone), "checkout", "--quiet", str(first.commit))
    shared.dvc("pull", "-r", "gittrack", cwd=clone)
    assert (clone / ".gittrack/artifacts/out/m.bin").read_bytes() == large("m")
    assert shared.dvc("status", cwd=clone).strip() == "Data and pipelines are up to date."


def test_with_a_worktree_of_the_run_nothing_is_lost_for_dvc_either(shared: Bench) -> None:
    shared.dvc("gc", "-f", "-w")
    cache = shared.repo.path / ".dvc" / "cache"
    before = sum(1 for one in cache.rglob("*") if one.is_file())
    shared.repo.gittrack("fsck", "--repair")
    after = sum(1 for one in cache.rglob("*") if one.is_file())
    # Data of two states, a model, a folder's list and its two files, and the second run's file.
    assert (before, after) == (1, 7)


def test_plain_dvc_finds_the_farm_as_a_remote(shared: Bench) -> None:
    shared.dvc("gc", "-f", "-w")
    first = shared.project.get_run("first")
    shared.repo.git("worktree", "add", "--quiet", "--detach", "../plain", str(first.commit))
    place = shared.repo.path.parent / "plain"
    (place / ".dvc" / "config.local").write_bytes((shared.repo.path / ".dvc" / "config.local").read_bytes())
    shared.dvc("pull", "-r", "keep", cwd=place)
    assert (place / ".gittrack/artifacts/out/set/2.bin").read_bytes() == large("2")


def test_the_whole_of_it_as_a_user_types_it(shared: Bench) -> None:
    done = shared.repo.gittrack("run", "-n", "third", "--input", "data.csv", "--", sys.executable, "train.py")
    assert "finished" in done.stderr
    again = shared.repo.gittrack("push")
    assert "default: 1 run pushed" in again.stdout
    assert "no new runs to origin" in shared.repo.gittrack("push").stdout
