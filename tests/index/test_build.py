"""The index follows git: new runs, amendments, vanished and damaged runs."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys

import pytest

from gittrack.domain.run import Status
from gittrack.git.repository import Repository
from gittrack.index import Index
from gittrack.index import build as build_module
from gittrack.index.syntax import parse
from gittrack.ledger.layout import run_ref
from tests.index.samples import a_run, change, record, run_id


def _names(states):
    return [state.name for state in states]


def _rebuilt(repo):
    """All that an index knows which is made from nothing."""
    shutil.rmtree(repo.path / ".git" / "gittrack", ignore_errors=True)
    with Index.open(Repository.discover(repo.path)) as index:
        index.update()
        return _all_of(index)


def _all_of(index):
    return (
        index.select(deleted=True),
        [index.keys(kind) for kind in ("params", "metrics", "tags")],
        index.experiments(),
    )


def test_a_repository_without_runs(index):
    assert index.update() == build_module.UpdateReport()
    assert index.select() == []


def test_new_runs_are_read_once(repo, index):
    first = record(repo, a_run(1, params={"lr": 0.1}, metrics={"acc": 0.5}, tags={"kind": "cv"}))
    assert index.update().read == 1
    second = record(repo, a_run(2, experiment="mnist/cnn", description="a line\n\nand more"))
    assert index.update().read == 1
    assert index.update().read == 0
    assert index.select() == [second, first]


def test_a_second_index_finds_the_work_done(repo, index):
    record(repo, a_run(1))
    index.update()
    with Index.open(Repository.discover(repo.path)) as another:
        assert another.update().read == 0
        assert _names(another.select()) == ["run-1"]


def test_an_index_in_a_linked_worktree_is_the_same_file(repo, index, tmp_path):
    record(repo, a_run(1))
    index.update()
    repo.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"))
    with Index.open(Repository.discover(tmp_path / "linked")) as another:
        assert another.update().read == 0


def test_a_bare_repository(repo, tmp_path):
    one = record(repo, a_run(1))
    repo.git("clone", "--quiet", "--mirror", ".", str(tmp_path / "bare.git"))
    with Index.open(Repository.discover(tmp_path / "bare.git")) as index:
        index.update()
        assert index.select() == [one]


def test_amendments_are_followed(repo, index):
    one = record(repo, a_run(1, tags={"kind": "cv"}))
    index.update()
    change(repo, one, tag_kind="final", name="better")
    head = change(repo, one, deleted=True)
    assert index.update().read == 1
    (found,) = index.select(deleted=True)
    assert (found.name, found.tags, found.deleted, found.head) == ("better", {"kind": "final"}, True, head)
    assert found.commit == one.commit
    assert index.select() == []


def test_filled_columns_follow(repo, index):
    one = record(repo, a_run(1, params={"lr": 0.1}, tags={"kind": "cv"}))
    index.update()
    both = parse("params.lr > 0 and tags.kind = final")
    assert index.select(both) == []
    change(repo, one, tag_kind="final")
    record(repo, a_run(2, params={"lr": 0.2}, tags={"kind": "final"}))
    index.update()
    assert _names(index.select(both)) == ["run-2", "run-1"]
    repo.git("update-ref", "-d", run_ref("digits", one.id))
    index.update()
    assert _names(index.select(both)) == ["run-2"]


def test_runs_that_vanish_are_taken_out_with_their_keys(repo, index):
    one = record(repo, a_run(1, params={"only here": 1}))
    record(repo, a_run(2, params={"lr": 1}))
    index.update()
    repo.git("update-ref", "-d", run_ref("digits", one.id))
    assert index.update().gone == 1
    assert _names(index.select()) == ["run-2"]
    assert index.keys("params") == ["lr"]


def test_following_git_ends_where_a_new_index_begins(repo, index):
    for number in range(1, 5):
        one = record(repo, a_run(number, params={f"p{number}": number, "lr": 0.1}))
        index.update([a_run(9, status=Status.RUNNING, ended=None)])
        index.select(sort="params.lr")
        change(repo, one, tag_kind=f"k{number}")
    index.update()
    change(repo, one, tag_kind=None)
    repo.git("update-ref", "-d", run_ref("digits", run_id(2)))
    index.update()
    assert _all_of(index) == _rebuilt(repo)


def test_more_runs_than_one_transaction_holds(repo, index, monkeypatch):
    monkeypatch.setattr(build_module, "_RUNS", 2)
    for number in range(1, 6):
        record(repo, a_run(number, params={"lr": number}))
    assert index.update().read == 5
    assert len(index.select(parse("params.lr <= 4"))) == 4


# --- active runs


def test_active_runs_come_and_change_and_go(repo, index):
    live = a_run(1, status=Status.RUNNING, ended=None, metrics={"loss": 1.0})
    index.update([live])
    assert index.select() == [live]
    index.update([dataclasses.replace(live, metrics={"loss": 0.5})])
    assert index.select(parse("metrics.loss < 1"))[0].metrics == {"loss": 0.5}
    index.update()
    assert index.select() == []
    assert index.keys("metrics") == []


def test_an_active_run_becomes_a_finished_one(repo, index):
    live = a_run(1, status=Status.RUNNING, ended=None)
    index.update([live])
    done = record(repo, a_run(1))
    assert index.update().read == 1
    assert index.select() == [done]


def test_a_resumed_run_is_active_and_then_finished_again(repo, index):
    done = record(repo, a_run(1))
    index.update()
    again = dataclasses.replace(done, status=Status.RUNNING, ended=None, attempt=2)
    index.update([again])
    assert [state.status for state in index.select()] == ["running"]
    index.update([again])
    assert index.update().read == 1
    assert index.select() == [done]


# --- damage


def _spoil(repo, number, message="no run at all"):
    tree = repo.git("rev-parse", "HEAD^{tree}")
    commit = repo.git("commit-tree", tree, "-m", message)
    repo.git("update-ref", run_ref("digits", run_id(number)), commit)
    return commit


@pytest.mark.parametrize(
    "message",
    [
        "no run at all",
        "x\n\nGittrack-Record: {broken",
        "x\n\nGittrack-Record: {}",
        'x\n\nGittrack-Record: {"format": 999}',
        'x\n\nGittrack-Amendment: {"format": 1}',
        'x\n\nGittrack-Amendment: {"format":1,"run":"a","clock":1,"changes":{}}',
    ],
)
def test_a_damaged_run_is_named_and_the_others_stay(repo, index, message):
    record(repo, a_run(1))
    commit = _spoil(repo, 2, message)
    report = index.update()
    assert [(one.run, one.where) for one in report.damaged] == [(run_id(2), commit)]
    assert report.damaged[0].reason
    assert _names(index.select()) == ["run-1"]


def test_much_damage_is_remembered_and_not_read_again(repo, index, monkeypatch):
    monkeypatch.setattr(build_module, "_RETRIED", 1)
    _spoil(repo, 2)
    _spoil(repo, 3)
    first = index.update()
    monkeypatch.setattr(build_module, "read_lines", lambda *_: pytest.fail("read again"))
    assert index.update().damaged == first.damaged


def test_a_run_that_is_mended_without_a_new_ref_returns(repo, index):
    one = record(repo, a_run(1))
    path = repo.path / ".git" / "objects" / one.commit[:2] / one.commit[2:]
    whole = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(b"damaged")
    assert [damage.run for damage in index.update().damaged] == [one.id]
    path.write_bytes(whole)
    assert index.update().damaged == ()
    assert _names(index.select()) == [one.name]


def test_another_version_reads_damage_again(repo, index, monkeypatch):
    monkeypatch.setattr(build_module, "_RETRIED", 0)
    _spoil(repo, 2)
    index.update()
    read, asked = build_module.read_lines, []
    monkeypatch.setattr(build_module, "read_lines", lambda _, heads: asked.extend(heads) or read(_, heads))
    index.update()
    assert asked == []
    monkeypatch.setattr(build_module, "__version__", "999")
    index.update()
    assert asked == [run_id(2)]


def test_a_run_that_is_damaged_later_disappears_and_returns(repo, index):
    one = record(repo, a_run(1))
    index.update()
    _spoil(repo, 1)
    assert len(index.update().damaged) == 1
    assert index.select() == []
    repo.git("update-ref", run_ref("digits", one.id), one.commit)
    assert index.update().damaged == ()
    assert index.select() == [one]


def test_damage_that_vanishes_is_forgotten(repo, index):
    _spoil(repo, 2)
    index.update()
    repo.git("update-ref", "-d", run_ref("digits", run_id(2)))
    assert index.update().damaged == ()
    assert index.update().gone == 0


def test_a_run_whose_commit_is_missing(repo, index):
    one = record(repo, a_run(1))
    record(repo, a_run(2))
    git = repo.path / ".git"
    (git / "objects" / one.commit[:2] / one.commit[2:]).unlink()
    report = index.update()
    assert [damage.run for damage in report.damaged] == [one.id]
    assert _names(index.select()) == ["run-2"]


def test_two_refs_on_one_commit(repo, index):
    one = record(repo, a_run(1))
    repo.git("update-ref", run_ref("digits", run_id(2)), one.commit)
    report = index.update()
    assert [damage.run for damage in report.damaged] == [run_id(2)]
    assert _names(index.select()) == ["run-1"]


# --- another process at the same time


def test_rows_of_another_process_are_not_taken_for_old_ones(repo, index, monkeypatch):
    """Between our look at git and our look at the index, somebody amends a run and updates the index."""
    one = record(repo, a_run(1))
    index.update()
    record(repo, a_run(2))
    looked = Repository.list_refs

    def slow_look(repository, *prefixes):
        heads = looked(repository, *prefixes)
        monkeypatch.setattr(Repository, "list_refs", looked)
        change(repo, one, name="renamed")
        record(repo, a_run(3))
        with Index.open(repository) as another:
            another.update()
        return heads

    monkeypatch.setattr(Repository, "list_refs", slow_look)
    index.update()
    assert _names(index.select()) == ["run-3", "run-2", "renamed"]


def test_rows_written_while_we_read_are_kept(repo, index, monkeypatch):
    one = record(repo, a_run(1))
    record(repo, a_run(2))
    read = build_module.read_lines

    def slow_read(repository, heads):
        states = list(read(repository, heads))
        change(repo, one, name="renamed")
        with Index.open(repository) as another:
            monkeypatch.setattr(build_module, "read_lines", read)
            another.update()
        return iter(states)

    monkeypatch.setattr(build_module, "read_lines", slow_read)
    index.update()
    assert _names(index.select()) == ["run-2", "renamed"]
    index.update()
    assert _all_of(index) == _rebuilt(repo)


UPDATE = """
import sys
from gittrack.git.repository import Repository
from gittrack.index import Index
from gittrack.index.syntax import parse
for _ in range(5):
    with Index.open(Repository.discover()) as index:
        index.update()
        print(len(index.select(parse("params.lr > 0"), sort="-params.lr")), index.note)
"""


def test_processes_that_update_at_once(repo, index):
    for number in range(1, 21):
        record(repo, a_run(number, params={"lr": 1 / number}))
    started = [
        subprocess.Popen(
            [sys.executable, "-c", UPDATE],
            cwd=repo.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(4)
    ]
    for number in range(21, 26):
        record(repo, a_run(number, params={"lr": 1 / number}))
        index.update()
    for process in started:
        said, _ = process.communicate()
        assert process.returncode == 0, said
        for line in said.splitlines():
            count, _, note = line.partition(" ")
            assert 20 <= int(count) <= 25
            assert note == ""
    index.update()
    assert _all_of(index) == _rebuilt(repo)
