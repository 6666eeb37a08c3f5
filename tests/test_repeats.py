"""Which runs are repeats of one configuration, in real repositories."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gittrack.compare.verdict import Repeats
from gittrack.git.repository import Repository
from gittrack.index.index import Index
from gittrack.project import Project
from gittrack.repeats import find_repeats, samples, with_folds
from gittrack.run import Run
from gittrack.values import replace
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
    failed = run(repo, seed=3, fails=True)
    Project.open(repo.path).amend(gone, deleted=True)
    assert repeats(repo, kept) == [kept.id]
    assert repeats(repo, failed) == [failed.id]


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
    runs = [run(repo, acc=acc, seed=seed) for seed, acc in ((1, 0.5), (2, 0.6), (1.0, 0.55))]
    project = Project.open(repo.path)
    for named, values in ((0, (0.5, 0.6)), (1, (0.6, 0.55)), (2, (0.6, 0.55))):
        # The run that somebody named stays, whatever was made again later.
        found = project.repeats(runs[named])
        assert [one.metrics["acc"] for one in found] == list(values)
        assert len(samples(found, ("seed",))["acc"].labels) == 2


def test_a_rerun_without_the_metric_does_not_take_it_away(repo: Repo) -> None:
    kept, named = run(repo, seed=1), run(repo, seed=2)
    again = Project.open(repo.path).start_run(params={"seed": 1}, console=False)
    again.finish()
    assert repeats(repo, named) == [kept.id, named.id]


def test_runs_without_a_seed_all_count(repo: Repo) -> None:
    unlabelled = [run(repo, acc=acc) for acc in (0.5, 0.6)]
    seeded = [run(repo, acc=0.7, seed=1), run(repo, acc=0.8, seed=1)]
    found = Project.open(repo.path).repeats(unlabelled[0])
    assert [one.id for one in found] == [unlabelled[0].id, unlabelled[1].id, seeded[1].id]
    assert samples(found, ("seed",))["acc"] == Repeats((0.5, 0.6, 0.8))


def test_folds_are_known_by_their_params(repo: Repo) -> None:
    runs = [run(repo, fold=fold, seed=7, acc=fold / 10) for fold in range(4)]
    found = samples([one.state for one in runs], ("seed", "fold"))["acc"]
    assert (len(set(found.folds)), len(set(found.labels))) == (4, 1)
    assert samples([one.state for one in runs], ("seed",))["acc"].folds == ()
    # A fold that is always the same one is a param like another.
    alone = samples([one.state for one in runs[:1]], ("seed", "fold"))["acc"]
    assert (alone.folds, len(alone.labels)) == ((), 1)


def test_a_run_that_is_no_fold_is_no_value_beside_folds(repo: Repo) -> None:
    """A last fit of all data, or a parent with the mean, would take the folds away from the others."""
    runs = [run(repo, fold=fold, acc=fold / 10) for fold in range(3)] + [run(repo, acc=0.9)]
    found = samples([one.state for one in runs], ("seed", "fold"))["acc"]
    assert found.values == (0.0, 0.1, 0.2)
    assert len(set(found.folds)) == 3
    # One fold is no cross-validation.
    assert samples([one.state for one in (runs[0], runs[3])], ("seed", "fold"))["acc"].values == (0.0, 0.9)


def test_what_nothing_tells_apart_and_measured_the_same_is_one_run_made_again(repo: Repo) -> None:
    runs = [run(repo, acc=acc) for acc in (0.5, 0.6, 0.5, float("nan"), float("nan"))] + [
        run(repo, acc=0.5, seed=seed) for seed in (1, 2)
    ]
    states = [one.state for one in runs]
    found = samples(states, ("seed",))["acc"]
    assert list(map(str, found.values)) == ["0.5", "0.6", "nan", "0.5", "0.5"]
    # Where all are the same, the metric may be one that never varies.
    assert samples([states[0], states[2]], ("seed",))["acc"].values == (0.5, 0.5)


def cross_validated(repo: Repo, *values: float, **params: Any) -> Run:
    """A run that makes all its folds itself."""
    project = Project.open(repo.path, {"GITTRACK_RUN_SYSTEM_METRICS": "off"})
    active = project.start_run(params=params, console=False)
    for fold, value in enumerate(values):
        active.log_fold(fold, {"acc": value}, of=len(values) if len(values) > 1 else None)
    active.finish()
    return project.get_run(active.id)


def test_folds_inside_one_run_are_its_values(repo: Repo) -> None:
    one = cross_validated(repo, 0.5, 0.75, lr=0.1)
    assert one.metrics["acc"] == 0.625
    assert samples([one.state], ("seed",)) == {
        "acc": Repeats((0.5, 0.75), ((("round", "0"),),) * 2, (0, 1)),
    }


def test_rounds_of_folds_are_told_apart_by_seed_or_by_number(repo: Repo) -> None:
    seeded = [cross_validated(repo, 0.5, 0.75, seed=seed) for seed in (3, 4)]
    found = samples(Project.open(repo.path).repeats(seeded[0]), ("seed",))["acc"]
    assert found.folds == (0, 1, 0, 1)
    assert found.labels == ((("seed", "3"),),) * 2 + ((("seed", "4"),),) * 2
    unseeded = [cross_validated(repo, 0.5, 0.75) for _ in "ab"]
    found = samples([one.state for one in unseeded], ("seed",))["acc"]
    assert len(set(zip(found.labels, found.folds, strict=True))) == 4


def test_one_fold_is_no_cross_validation_and_a_run_without_folds_no_round(repo: Repo) -> None:
    one, plain, two = cross_validated(repo, 0.5), run(repo, acc=0.7), cross_validated(repo, 0.1, 0.2)
    assert samples([one.state, plain.state], ("seed",)) == {"acc": Repeats((0.5, 0.7))}
    assert samples([two.state, plain.state], ("seed",))["acc"].values == (0.1, 0.2)


def nested(repo: Repo, *values: float, own: float | None = None, lr: Any = 0.1, **params: Any) -> Run:
    """A run with one run inside it for each fold."""
    project = Project.open(repo.path, {"GITTRACK_RUN_SYSTEM_METRICS": "off"})
    outer = project.start_run(params={"lr": 0.1, **params}, console=False)
    for fold, value in enumerate(values):
        inside = {"lr": lr if not callable(lr) else lr(fold), "fold": fold}
        inner = project.start_run(params=inside, parent_id=outer.id, nested=True, console=False)
        inner.log_metric("acc", value)
        inner.finish()
    if own is not None:
        outer.log_metric("acc", own)
    outer.finish()
    return project.get_run(outer.id)


@pytest.mark.parametrize("own", [None, 0.6])
def test_runs_inside_that_are_folds_are_the_values_of_the_outer_one(repo: Repo, own: float | None) -> None:
    runs = [nested(repo, 0.5, 0.7, own=own, seed=seed) for seed in (1, 2)]
    project = Project.open(repo.path)
    found = project.repeats(runs[1])
    assert [one.id for one in found] == [one.id for one in runs]
    assert samples(found, ("seed", "fold"))["acc"] == Repeats(
        (0.5, 0.7, 0.5, 0.7), ((("seed", "1"),),) * 2 + ((("seed", "2"),),) * 2, (0, 1, 0, 1)
    )


def test_an_outer_run_is_no_repeat_of_the_inner_ones(repo: Repo) -> None:
    outer = nested(repo, 0.5, 0.7)
    project = Project.open(repo.path)
    inner = [one for one in project.runs() if one.parent == outer.id]
    assert {one.id for one in project.repeats(inner[0])} == {one.id for one in inner}


def test_runs_inside_that_are_something_else(repo: Repo) -> None:
    project = Project.open(repo.path)
    # A search, a single fold, folds that the run logged itself.
    for outer in (
        nested(repo, 0.5, 0.7, lr=lambda fold: fold / 10),
        nested(repo, 0.5),
        cross_validated(repo, 0.1, 0.2),
    ):
        assert project.with_folds(outer) is outer.state
    odd = [replace(one.state, params={"fold": fold}) for fold in ("a", True, -1, 0.5, float("nan")) for one in [outer]]
    assert with_folds(run(repo).state, odd, ("seed",)).metrics == {"acc": 0.5}


def test_integers_beyond_what_the_index_keeps(repo: Repo) -> None:
    runs = [run(repo, seed=seed, big=2**63, small=-(2**70), lr=0.1) for seed in (1, 2)]
    assert repeats(repo, runs[0]) == [one.id for one in runs]


def test_other_words_of_a_command_are_another_configuration(repo: Repo) -> None:
    """What a script takes and does not log is a param all the same."""
    items = [
        {
            "experiment": "e",
            "name": f"run{at}",
            "params": {"seed": seed},
            "metrics": {"acc": seed / 10},
            "command": command,
        }
        for at, (seed, command) in enumerate(
            [(1, "./t.sh 0.05 1"), (2, "./t.sh 0.05 2"), (1, "./t.sh 0.1 1"), (2, "./t.sh 0.1 2"), (3, None), (4, None)]
        )
    ]
    Project.open(repo.path).ledger.import_runs(items)
    project = Project.open(repo.path)
    runs = [project.get_run(f"run{at}") for at in range(6)]
    expected = [{runs[at].id, runs[at + 1].id} for at in (0, 2, 4)]
    assert [set(repeats(repo, one)) for one in runs] == [pair for pair in expected for _ in "ab"]
    found = [{one.id for one in group.runs} for group in project.groups()[0]]
    assert len(found) == 3
    assert all(one in expected for one in found)
    assert sorted(map(len, project.group_repeats(runs))) == [2, 2, 2]


def test_where_python_lies_is_no_other_environment(repo: Repo) -> None:
    first, second, newer = (run(repo, seed=seed) for seed in (1, 2, 3))
    text = repo.git("show", f"{first.commit}:.gittrack/environment.yaml")
    changed = [
        (second, re.sub(r"executable: .*", "executable: /elsewhere/bin/python3", text)),
        (newer, re.sub(r"  version: .*", "  version: 2.7.18", text, count=1)),
    ]
    assert all(other != text for _, other in changed)
    states = [first.state] + [
        replace(one.state, commit=_with_file(repo, one.commit, ".gittrack/environment.yaml", other))
        for one, other in changed
    ]
    assert [one.id for one in find_repeats(*opened(repo), first.state, states, ("seed",))] == [first.id, second.id]


@pytest.mark.parametrize("inputs", ["[a, b]", "{path: a}", "7", "[{path: a}, 3]"])
def test_a_damaged_record_is_like_nothing_else(repo: Repo, inputs: str) -> None:
    first, second = run(repo, seed=1), run(repo, seed=2)
    broken = [
        _with_file(repo, one.commit, ".gittrack/run.yaml", f"x: 1\ninputs: {inputs}\n") for one in (first, second)
    ]
    states = [replace(one.state, commit=commit) for one, commit in zip((first, second), broken, strict=True)]
    assert find_repeats(*opened(repo), states[0], states, ("seed",)) == [states[0]]


def test_a_run_without_its_environment_is_like_nothing_else(repo: Repo) -> None:
    runs = [run(repo, seed=seed) for seed in (1, 2)]
    states = [
        replace(one.state, commit=_with_file(repo, one.commit, ".gittrack/environment.yaml", None)) for one in runs
    ]
    assert find_repeats(*opened(repo), states[0], states, ("seed",)) == [states[0]]


def test_runs_fall_into_groups_of_repeats(repo: Repo) -> None:
    many = [run(repo, seed=seed, lr=lr) for lr in (1, 2, True) for seed in (1, 2)]
    failed = [run(repo, seed=seed, lr=1, fails=True) for seed in (3, 4)]
    same = run(repo, seed=5, lr=1.0)
    repo.write("train.py", "something new\n")
    repo.commit("Something new")
    newer = run(repo, seed=6, lr=1)
    groups = Project.open(repo.path).group_repeats([*many, *failed, same, newer, same])
    assert [[one.id for one in group] for group in groups] == [
        [many[0].id, many[1].id, same.id],
        [many[2].id, many[3].id],
        [many[4].id, many[5].id],
        [failed[0].id],
        [failed[1].id],
        [newer.id],
    ]
    assert {one.id for one in groups[0]} == set(repeats(repo, many[0]))
    assert Project.open(repo.path).group_repeats([]) == []


def test_params_that_are_no_numbers_group_too(repo: Repo) -> None:
    odd = [run(repo, seed=seed, loss=float("nan"), flags=["a", 1], text="🦦|`") for seed in (1, 2)]
    groups = Project.open(repo.path).group_repeats(odd)
    assert [[one.id for one in group] for group in groups] == [[one.id for one in odd]]


def opened(repo: Repo) -> tuple[Repository, Index]:
    repository = Repository.discover(repo.path)
    return repository, Index.open(repository)


def _with_file(repo: Repo, commit: str | None, path: str, text: str | None) -> str:
    """A commit like another, but for one file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_INDEX_FILE", str(repo.path / ".git" / "scratch-index"))
        repo.git("read-tree", str(commit))
        if text is None:
            repo.git("update-index", "--force-remove", path)
        else:
            blob = repo.git("hash-object", "-w", "--stdin", input=text)
            repo.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
        return repo.git("commit-tree", repo.git("write-tree"), "-m", "broken")
