"""A history that is too large for git lies with the data, and everything that reads curves finds it there."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from gittrack.errors import ObjectMissing
from gittrack.project import Project
from tests.data.conftest import Bench
from tests.data.test_share import colleague, team  # noqa: F401  a fixture

POINTS = 140_000


def trained(bench: Bench, resume: str | None = None) -> str:
    noise = random.Random(7)
    with bench.project.start_run("long" if resume is None else None, resume=resume, console=False) as run:
        for step in range(POINTS if resume is None else 10):
            run.log_metric("loss", noise.random(), step=step)
    return run.id


def test_it_lies_behind_a_pointer_and_is_read_back(bench: Bench) -> None:
    run = bench.project.get_run(trained(bench))
    listed = bench.repo.git("ls-tree", "-r", "--name-only", str(run.commit), ".gittrack").split()
    assert ".gittrack/history.parquet.dvc" in listed
    assert ".gittrack/history.parquet" not in listed
    assert len(run.history("loss")) == POINTS
    assert bench.repo.gittrack("fsck").returncode == 0
    bench.repo.git("checkout", "--quiet", str(run.commit))
    bench.dvc("checkout", ".gittrack/history.parquet.dvc")
    assert Path(".gittrack/history.parquet").read_bytes() == run.file("history.parquet")
    assert bench.repo.git("status", "--porcelain") == ""


def test_a_resumed_run_goes_on_from_it(bench: Bench) -> None:
    run_id = trained(bench)
    trained(bench, resume=run_id)
    assert len(bench.project.get_run(run_id).history("loss")) == POINTS + 10
    assert bench.repo.gittrack("fsck").returncode == 0


def test_room_is_made_without_it(bench: Bench) -> None:
    run_id = trained(bench)
    bench.run("later", {"model.bin": b"m" * 70_000})
    bench.repo.write(".gittrack/config.yaml", "artifacts: {retention: {keep_last: 1}}\n")
    bench.repo.gittrack("gc")
    assert len(bench.project.get_run(run_id).history("loss")) == POINTS


def test_a_colleague_has_the_curve_when_it_is_asked_for(team: Bench) -> None:  # noqa: F811
    run_id = trained(team)
    assert team.repo.gittrack_json("push")["objects"] == 1
    other = colleague(team)
    assert other.gittrack_json("fetch", "--no-data")["objects"] == 0
    assert len(Project.open(other.path).get_run(run_id).history("loss")) == POINTS


def test_one_that_is_lost_is_named(bench: Bench) -> None:
    run = bench.project.get_run(trained(bench))
    for place in (bench.store.places.cache, bench.store.places.keep):
        for path in place.rglob(run.record.large["history.parquet"].oid[2:]):
            path.unlink()
    with pytest.raises(ObjectMissing, match="the history of run long"):
        bench.project.get_run(run.id).history("loss")
    said = bench.repo.gittrack("fsck", check=False)
    assert said.returncode == 4
    assert "file 'history.parquet' of run long" in said.stdout
