"""Runs read back: all of them quickly, what is damaged told and never in the way of the rest."""

from __future__ import annotations

import math
import os

import pytest

from gittrack.domain.environment import Environment
from gittrack.domain.run import RunState
from gittrack.errors import CorruptRecord, UnknownRun
from gittrack.git.objects import ObjectBatch
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.read import (
    Damage,
    foreign_refs,
    read_environment,
    read_file,
    read_histories,
    read_record,
    read_states,
    run_heads,
)
from tests.helpers import Repo
from tests.ledger.builders import SOMEONE, amend_at, chain_at, history, record, write


@pytest.fixture
def repository(repo: Repo) -> Repository:
    return Repository.discover(repo.path)


def states(repository: Repository) -> dict[str, RunState | Damage]:
    heads = {run: one.head for run, one in run_heads(repository).items()}
    found = list(read_states(repository, heads))
    assert len(found) == len(heads)
    return {one.id if isinstance(one, RunState) else one.run: one for one in found}


def test_nothing_yet(repository: Repository) -> None:
    assert run_heads(repository) == {}
    assert list(read_states(repository, {})) == []
    assert chain_at(repository, "refs/experiments/a/" + "0" * 32) is None


def test_the_state_of_runs_with_and_without_amendments(repository: Repository) -> None:
    ids = []
    for number in range(4):
        points = [history("acc", [0.5, number / 10])]
        one = record(repository, params={"n": number}, histories=points, experiment=f"e{number % 2}/sub")
        write(repository, one, points)
        ref = layout.run_ref(one.experiment, one.id)
        for count in range(number):
            amend_at(repository, ref, {f"tag:t{count}": str(count)})
        ids.append(one.id)
    found = states(repository)
    assert set(found) == set(ids)
    for number, run in enumerate(ids):
        state = found[run]
        assert isinstance(state, RunState)
        assert state.params == {"n": number}
        assert state.metrics == {"acc": number / 10}
        assert state.tags == {f"t{count}": str(count) for count in range(number)}
        heads = run_heads(repository)
        assert state.head == heads[run].head
        chain = chain_at(repository, heads[run].ref)
        assert chain is not None
        assert chain.state == state


def test_what_was_left_out_of_the_line_comes_back(repository: Repository) -> None:
    points = [history(f"metric number {number}", [number / 3, math.nan]) for number in range(400)]
    one = record(
        repository,
        params={f"param number {number}": "x" * 30 for number in range(400)},
        histories=points,
        tags={f"tag {number}": "y" * 100 for number in range(200)},
        description="d" * 20_000,
        command=("python", "z" * 20_000),
    )
    commit = write(repository, one, points)
    assert len(layout.find_line(repository.read_object(commit, "commit"))[1]) <= layout.LINE_LIMIT  # type: ignore[index]
    state = states(repository)[one.id]
    expected = one.state(commit=commit)
    assert repr(state) == repr(expected)


def test_a_long_line_with_amendments_and_attempts_comes_back_whole(repository: Repository) -> None:
    long = {f"t{number}": "y" * 100 for number in range(200)}
    first = record(repository, tags=long, description="first " * 2000)
    ref = layout.run_ref(first.experiment, first.id)
    write(repository, first)
    amend_at(repository, ref, {"tag:t0": None, "tag:t1": "changed", "description": "d"})
    state = states(repository)[first.id]
    assert isinstance(state, RunState)
    assert state.tags == {**{key: value for key, value in long.items() if key != "t0"}, "t1": "changed"}
    assert state.description == "d"
    second = record(
        repository, id=first.id, tags={**long, "own": "2"}, attempts=2, params={f"p{n}": "v" * 50 for n in range(300)}
    )
    write(repository, second)
    amend_at(repository, ref, {"tag:t2": None})
    state = states(repository)[first.id]
    assert isinstance(state, RunState)
    assert state.attempt == 2
    assert len(state.params) == 300
    assert state.tags["own"] == "2"
    assert state.tags["t1"] == "changed"
    assert not {"t0", "t2"} & state.tags.keys()
    assert state.description == "d"


def test_histories_come_back_short_and_long(repository: Repository) -> None:
    for length in (3, 12_000):
        points = [
            history("a/b", [math.nan, math.inf, *range(length)], [7, -1, *range(length)]),
            history("single", [math.nan], [5]),
            history("c", [0.1] * length),
        ]
        one = record(repository, histories=points)
        commit = write(repository, one, points)
        back = read_record(repository, commit)
        found = read_histories(repository, back, commit)
        for wanted in points:
            assert found[wanted.key].steps == wanted.steps
            assert list(map(repr, found[wanted.key].values)) == list(map(repr, wanted.values))
            assert all(abs(a - b) < 1e-6 for a, b in zip(found[wanted.key].times, wanted.times, strict=True))
        assert set(read_histories(repository, back, commit, ["c", "nothing"])) == {"c"}


def test_files_and_environment(repository: Repository) -> None:
    one = record(repository)
    environment = Environment.from_dict({"seeds": {"python": 42}})
    commit = write(repository, one, environment=environment, artifacts={"my file.txt": b"1"}, console=b"said\n")
    assert read_environment(repository, commit) == environment
    assert read_file(repository, commit, "artifacts/my file.txt") == b"1"
    assert read_file(repository, commit, layout.CONSOLE) == b"said\n"
    with pytest.raises(UnknownRun, match="ls-tree"):
        read_file(repository, commit, "no such file")
    with pytest.raises(UnknownRun):
        read_file(repository, commit, "artifacts")


# --- damage


def damage(repo: Repo, object_id: str, how: str) -> None:
    path = repo.path / ".git" / "objects" / object_id[:2] / object_id[2:]
    whole = path.read_bytes()
    path.unlink()
    if how == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif how == "garbage":
        path.write_bytes(b"garbage")
    elif how == "empty":
        path.write_bytes(b"")


@pytest.mark.parametrize("how", ["gone", "cut", "garbage", "empty"])
def test_a_damaged_commit_hides_no_other_run(repo: Repo, repository: Repository, how: str) -> None:
    records = [record(repository, params={"x": os.urandom(500).hex()}) for _ in range(5)]
    commits = [write(repository, one) for one in records]
    damage(repo, commits[2], how)
    found = {one.id if isinstance(one, RunState) else one.run: one for one in read_states(
        repository, {one.id: commit for one, commit in zip(records, commits, strict=True)}
    )}  # fmt: skip
    assert [isinstance(found[one.id], RunState) for one in records] == [True, True, False, True, True]
    lost = found[records[2].id]
    assert isinstance(lost, Damage)
    assert lost.where == commits[2]


def fake(repo: Repo, repository: Repository, run: str, message: str, *parents: str) -> str:
    batch = ObjectBatch(repository)
    commit = batch.commit(tree=batch.folder({}), parents=parents, author=SOMEONE, committer=SOMEONE, message=message)
    batch.write()
    repo.git("update-ref", layout.run_ref("fake", run), commit)
    return commit


WRONG = {
    "no record": "just a commit",
    "not json": "x\n\nGittrack-Record: {broken\n",
    "no fields": "x\n\nGittrack-Record: {}\n",
    "null": 'x\n\nGittrack-Record: {"format": null}\n',
    "newer": 'x\n\nGittrack-Record: {"format":99,"id":"?"}\n',
    "orphan": 'x\n\nGittrack-Amendment: {"format":1,"run":"RUN","clock":1,"changes":{}}\n',
    "clock": 'x\n\nGittrack-Amendment: {"format":1,"run":"RUN","clock":"x","changes":{}}\n',
    "changes": 'x\n\nGittrack-Amendment: {"format":1,"run":"RUN","clock":1,"changes":[1]}\n',
    "types": 'x\n\nGittrack-Record: {"format":1,"id":"RUN","name":1,"experiment":[],"status":"finished","started":7,'
    '"ended":null,"code":[],"author":1,"params":[],"metrics":3}\n',
}


@pytest.mark.parametrize("message", WRONG.values(), ids=WRONG.keys())
def test_a_ref_that_leads_to_nonsense_is_damage(repo: Repo, repository: Repository, message: str) -> None:
    good = record(repository)
    write(repository, good)
    run = "0123456789abcdef" * 2
    commit = fake(repo, repository, run, message.replace("RUN", run))
    found = states(repository)
    assert isinstance(found[good.id], RunState)
    bad = found[run]
    assert isinstance(bad, Damage)
    assert bad.where == commit
    assert bad.reason


def test_a_ref_of_another_runs_commit_is_damage(repo: Repo, repository: Repository) -> None:
    good = record(repository)
    commit = write(repository, good)
    run = "0123456789abcdef" * 2
    repo.git("update-ref", layout.run_ref("fake", run), commit)
    found = states(repository)
    assert isinstance(found[good.id], RunState)
    assert isinstance(found[run], Damage)


def test_a_ref_of_no_commit_is_damage(repo: Repo, repository: Repository) -> None:
    run = "0123456789abcdef" * 2
    blob = repo.git("hash-object", "-w", "train.py")
    repo.git("update-ref", layout.run_ref("fake", run), blob)
    assert isinstance(states(repository)[run], Damage)


def test_an_annotated_tag_is_no_run(repo: Repo, repository: Repository) -> None:
    repo.git("tag", "-a", "v1", "-m", "x")
    run = "0123456789abcdef" * 2
    repo.git("update-ref", layout.run_ref("fake", run), repo.git("rev-parse", "v1"))
    assert isinstance(states(repository)[run], Damage)


@pytest.mark.parametrize("what", [layout.RUN, layout.PARAMS, "plots/metrics/acc.tsv"])
@pytest.mark.parametrize("how", ["gone", "cut", "garbage"])
def test_a_damaged_file_of_a_run_is_told(repo: Repo, repository: Repository, what: str, how: str) -> None:
    points = [history("acc", [float(n) for n in range(200)])]
    one = record(repository, histories=points, params={f"p{n}": os.urandom(8).hex() for n in range(50)})
    commit = write(repository, one, points)
    damage(repo, repo.git("rev-parse", f"{commit}:.gittrack/{what}"), how)
    with pytest.raises(CorruptRecord, match="fsck"):
        read_histories(repository, read_record(repository, commit), commit)
    assert isinstance(states(repository)[one.id], RunState)


def test_refs_of_others_in_our_place(repo: Repo, repository: Repository) -> None:
    repo.git("update-ref", "refs/experiments/somebody", "HEAD")
    repo.git("update-ref", "refs/experiments/_ledger/me", "HEAD")
    write(repository, record(repository))
    assert foreign_refs(repository) == ["refs/experiments/somebody"]
    assert len(run_heads(repository)) == 1


def test_an_active_run_has_no_commit(repository: Repository) -> None:
    from gittrack.domain.run import Status

    with pytest.raises(UnknownRun, match="active"):
        read_record(repository, RunState("r", "n", "e", Status.RUNNING, 1.0))
