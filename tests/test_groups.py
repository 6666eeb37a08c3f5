"""Runs by configuration, in real repositories: the same runs belong together as `diff` finds, whatever the index keeps."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from gittrack.errors import FilterError
from gittrack.groups import Group
from gittrack.project import Project
from gittrack.run import Run
from tests.helpers import Repo


def run(repo: Repo, *, fails: bool = False, inputs: tuple[str, ...] = (), acc: float = 0.5, **params: Any) -> Run:
    project = Project.open(repo.path, {"GITTRACK_RUN_SYSTEM_METRICS": "off"})
    active = project.start_run(params=params, console=False)
    for path in inputs:
        active.use(path)
    active.log_metric("acc", acc)
    active.finish("failed" if fails else "finished")
    return project.get_run(active.id)


def groups(repo: Repo, **more: Any) -> list[Group]:
    return Project.open(repo.path).groups(**more)[0]


def ids(found: Sequence[Group]) -> list[list[str]]:
    return [[one.id for one in group.runs] for group in found]


def test_repeats_are_one_group_and_all_else_tells_groups_apart(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo.path)
    repo.write("a.csv", "a")
    repo.write("b.csv", "b")
    repo.commit("Data")
    first = [run(repo, lr=0.1, seed=seed) for seed in (1, 2)]
    repo.git("commit", "--quiet", "--allow-empty", "-m", "The same code under another name")
    first.append(run(repo, lr=0.1, seed=3))
    other = [run(repo, lr=lr, seed=1) for lr in (0.2, True, "0.1", float("nan"))]
    data = [[run(repo, lr=0.1, seed=seed, inputs=(name,)) for seed in (1, 2)] for name in ("a.csv", "b.csv")]
    repo.write("train.py", "something new\n")
    repo.commit("Other code")
    code = run(repo, lr=0.1, seed=1)
    expected = [[one.id for one in part] for part in (first, *([one] for one in other), *data, [code])]
    # Twice: as read from git, and as the index kept it.
    for _ in range(2):
        assert ids(groups(repo)) == expected[::-1]
    assert {one.experiment for one in groups(repo)} == {first[0].experiment}


def test_groups_agree_with_what_diff_takes_for_repeats(repo: Repo) -> None:
    dice = random.Random(7)
    values = [0.1, 1, 1.0, True, None, "x", float("nan"), [1, "a"], {"deep": 1}]
    for seed in range(20):
        run(repo, lr=dice.choice(values), flag=dice.choice((0.0, -0.0, False)), **{"model.seed": seed})
    project = Project.open(repo.path)
    for group in groups(repo):
        for one in group.runs:
            found = project.repeats(project.get_run(one.id))
            assert [other.id for other in found] == [other.id for other in group.runs]


def test_a_seed_that_ran_twice_counts_once(repo: Repo) -> None:
    runs = [run(repo, lr=1, seed=seed, acc=acc) for seed, acc in ((1, 0.5), (2, 0.6), (1, 0.7))]
    (found,) = groups(repo)
    assert ids([found]) == [[one.id for one in runs]]
    assert found.n == 2
    assert sorted(found.metric("acc").values) == [0.6, 0.7]
    # Another configuration with the same seed replaces nothing.
    run(repo, lr=2, seed=1, acc=0.9)
    (whole,) = groups(repo, by="experiment")
    assert sorted(whole.metric("acc").values) == [0.6, 0.7, 0.9]


def test_an_outer_run_is_no_repeat_of_its_folds(repo: Repo) -> None:
    project = Project.open(repo.path, {"GITTRACK_RUN_SYSTEM_METRICS": "off"})
    for seed in (1, 2):
        outer = project.start_run(params={"lr": 0.1, "seed": seed}, console=False)
        for fold in range(3):
            inner = project.start_run(
                params={"lr": 0.1, "seed": seed, "fold": fold}, parent_id=outer.id, nested=True, console=False
            )
            inner.log_metric("acc", fold / 10)
            inner.finish()
        outer.log_metric("acc", 0.1)
        outer.finish()
    assert sorted(one.n for one in groups(repo)) == [2, 6]
    for group in groups(repo):
        for one in group.runs:
            assert len(project.repeats(project.get_run(one.id))) == group.n


def test_runs_without_a_seed_all_count(repo: Repo) -> None:
    for acc in (0.25, 0.75):
        run(repo, acc=acc)
    (found,) = groups(repo)
    assert (found.n, found.metric("acc").mean) == (2, 0.5)


def test_what_did_not_finish_and_what_is_deleted_is_left_out(repo: Repo) -> None:
    kept, gone = run(repo, seed=1), run(repo, seed=2)
    run(repo, seed=3, fails=True)
    Project.open(repo.path).amend(gone, deleted=True)
    found, others = Project.open(repo.path).groups()
    assert ids(found) == [[kept.id]]
    assert others == 1


def test_keys_of_ones_own_choice(repo: Repo) -> None:
    for lr, depth in ((0.1, 1), (0.1, 2), (0.2, 1)):
        run(repo, lr=lr, depth=depth, width=7)
    run(repo, depth=1, width=7)
    found = groups(repo, by="params.lr", sort="params.lr")
    assert [(one.by[0][1], one.n) for one in found[:2]] == [(0.1, 2), (0.2, 1)]
    assert found[2].to_json()["by"] == {"params.lr": None}
    assert found[0].params == {"lr": 0.1, "width": 7}
    assert ids(groups(repo, by="lr, depth")) == ids(groups(repo, by="params.lr,params.depth"))
    with pytest.raises(FilterError, match="widht"):
        groups(repo, by="widht")
    with pytest.raises(FilterError, match=r"nearest is params\.width"):
        groups(repo, by="params.widht")


def test_sorting_by_means_and_counts(repo: Repo) -> None:
    for lr, acc in ((1, 0.2), (2, 0.9), (3, float("nan")), (2, 0.1)):
        run(repo, lr=lr, acc=acc)
    assert [one.params["lr"] for one in groups(repo, sort="-metrics.acc")] == [2, 1, 3]
    assert [one.params["lr"] for one in groups(repo, sort="metrics.acc")] == [1, 2, 3]
    assert groups(repo, sort="-n")[0].params["lr"] == 2
    with pytest.raises(FilterError):
        groups(repo, sort="metrics.none")


def test_an_amended_run_keeps_its_place_and_an_index_made_anew_says_the_same(repo: Repo) -> None:
    runs = [run(repo, lr=1, seed=seed) for seed in (1, 2)]
    before = ids(groups(repo))
    Project.open(repo.path).amend(runs[0], tags={"stage": "cv"}, name="other")
    assert ids(groups(repo)) == before
    for path in (repo.path / ".git" / "gittrack").glob("index.sqlite*"):
        path.unlink()
    assert ids(groups(repo)) == before


def test_code_that_is_fetched_later_joins_what_it_is_the_same_as(repo: Repo) -> None:
    head = repo.git("rev-parse", "HEAD")
    repo.git("commit", "--quiet", "--allow-empty", "-m", "The same code")
    first, second = run(repo, seed=1), run(repo, seed=2)
    repo.git("reset", "--quiet", "--soft", head)
    third = run(repo, seed=3)
    lost = repo.path / ".git" / "objects" / str(first.state.code_commit)[:2] / str(first.state.code_commit)[2:]
    kept = lost.read_bytes()
    lost.unlink()
    assert ids(groups(repo)) == [[third.id], [first.id, second.id]]
    lost.write_bytes(kept)
    assert ids(groups(repo)) == [[first.id, second.id, third.id]]
