"""Which runs are repeats of one configuration, in real repositories."""

from __future__ import annotations

from typing import Any

import pytest

from gittrack.compare.verdict import Repeats
from gittrack.project import Project
from gittrack.repeats import samples
from gittrack.run import Run
from tests.helpers import Repo


def run(repo: Repo, *, fails: bool = False, acc: float = 0.5, inputs: tuple[str, ...] = (), **params: Any) -> Run:
    project = Project.open(repo.path, {"GITTRACK_RUN_SYSTEM_METRICS": "off"})
    active = project.start_run(params=params, console=False)
    for path in inputs:
        active.use(path)
    active.log_metric("acc", acc)
    active.finish("failed" if fails else "finished")
    return project.get_run(active.id)


def repeats(repo: Repo, of: Run) -> list[str]:
    return [one.id for one in Project.open(repo.path).repeats(of)]


def test_a_seed_and_a_fold_tell_repeats_apart_and_nothing_else_does(repo: Repo) -> None:
    first = run(repo, lr=0.1, optimizer="sgd", **{"model.seed": 1})
    second = run(repo, lr=0.1, optimizer="sgd", **{"model.seed": 2})
    for other in (
        {"lr": 0.2, "optimizer": "sgd"},
        {"lr": 0.1, "optimizer": "adam"},
        {"lr": 0.1},
        {"lr": 0.1, "optimizer": "sgd", "extra": True},
    ):
        alone = run(repo, **{"model.seed": 1, **other})
        assert repeats(repo, alone) == [alone.id]
    assert repeats(repo, first) == [first.id, second.id]
    assert repeats(repo, second) == [first.id, second.id]


def test_runs_that_failed_or_are_deleted_are_no_repeats(repo: Repo) -> None:
    kept, gone = run(repo, seed=1), run(repo, seed=2)
    run(repo, seed=3, fails=True)
    Project.open(repo.path).amend(gone, deleted=True)
    assert repeats(repo, kept) == [kept.id]


def test_code_counts_by_what_it_is_and_not_by_its_commit(repo: Repo) -> None:
    first = run(repo, seed=1)
    repo.git("commit", "--quiet", "--allow-empty", "-m", "nothing new")
    second = run(repo, seed=2)
    repo.write("train.py", "something new\n")
    repo.commit("Something new")
    third = run(repo, seed=3)
    assert repeats(repo, first) == [first.id, second.id]
    assert repeats(repo, third) == [third.id]


def test_other_data_are_another_configuration(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo.path)
    for name in ("a.csv", "b.csv"):
        repo.write(name, name)
    repo.commit("Data")
    first, second = (run(repo, seed=seed, inputs=("a.csv",)) for seed in (1, 2))
    third = run(repo, seed=3, inputs=("b.csv",))
    assert repeats(repo, first) == [first.id, second.id]
    assert repeats(repo, third) == [third.id]


def test_a_params_that_is_not_a_number_and_no_params_at_all(repo: Repo) -> None:
    odd = [run(repo, seed=seed, loss=float("nan"), flags=["a", 1], on=True) for seed in (1, 2)]
    plain = [run(repo, seed=seed) for seed in (1, 2)]
    assert repeats(repo, odd[0]) == [one.id for one in odd]
    assert repeats(repo, plain[0]) == [one.id for one in plain]


def test_one_seed_twice_is_one_observation(repo: Repo) -> None:
    runs = [run(repo, acc=acc, seed=seed) for seed, acc in ((1, 0.5), (2, 0.6), (1, 0.55))]
    found = samples([one.state for one in runs], ("seed",))["acc"]
    assert sorted(found.values) == [0.55, 0.6]
    assert len(found.labels) == 2
    unlabelled = [run(repo, acc=acc) for acc in (0.5, 0.6)]
    assert samples([one.state for one in unlabelled], ("seed",))["acc"] == Repeats((0.5, 0.6))


def test_folds_are_counted(repo: Repo) -> None:
    runs = [run(repo, fold=fold, acc=fold / 10) for fold in range(4)]
    assert samples([one.state for one in runs], ("seed", "fold"))["acc"].folds == 4
    assert samples([one.state for one in runs], ("seed",))["acc"].folds is None
