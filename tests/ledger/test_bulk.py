"""Many runs come in at once, as the very commits that single runs become, all of them or none."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gittrack import Project
from gittrack.domain.environment import Environment
from gittrack.domain.run import Status
from gittrack.errors import GitFailed, UsageError
from gittrack.git.fastimport import FastImport
from gittrack.git.objects import Signature
from gittrack.git.repository import Repository
from gittrack.ledger import bulk, fold, layout
from gittrack.ledger.chain import PageContent, page_ids, parse_page, read_pages
from gittrack.ledger.files import run_files
from gittrack.ledger.fold import all_members
from gittrack.ledger.handle import Ledger
from gittrack.ledger.item import Defaults, to_record
from gittrack.ledger.read import read_histories, read_record
from gittrack.ledger.write import write_run
from tests.helpers import Repo, wait_until
from tests.ledger.builders import SOMEONE, record, write

Item = dict[str, Any]


def item(number: int = 0, **fields: Any) -> Item:
    plain = {
        "id": f"{number:032x}",
        "name": f"run-{number}",
        "experiment": "digits",
        "params": {"lr": 0.1 / (number + 1), "model": {"name": "forest"}},
        "metrics": {"val/acc": 1 / (number + 3), "loss": 2.5},
        "started": 1_700_000_000.25 + number,
        "ended": 1_700_000_060.5 + number,
        "author": "Jane <jane@example.org>",
    }
    return {**plain, **fields}


def ledger(repo: Repo) -> Ledger:
    return Project.open(repo.path).ledger


def members(repo: Repo, tip: str | None) -> list[str]:
    assert tip is not None
    return list(all_members(Repository.discover(repo.path), tip))


def nothing_is_left(repo: Repo) -> bool:
    git = repo.path / ".git"
    folder = git / "gittrack" / "import"
    litter = [*git.glob("fast_import_crash*"), *(git / "objects" / "pack").glob("tmp_*"), *folder.glob("*")]
    kept = [one for one in (git / "objects" / "pack").glob("*.keep") if not one.with_suffix(".idx").exists()]
    return not litter and not kept


@pytest.fixture(params=["sha1", "sha256"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Repo:
    return Repo.init(tmp_path / request.param, f"--object-format={request.param}")


# --- what comes in


def test_runs_lie_in_pages_and_every_command_knows_them(either: Repo) -> None:
    before = either.status_fingerprint()
    curve = {"val/acc": [(step, step / 10, 1_700_000_001.0 + step) for step in range(5)]}
    done = ledger(either).import_runs(item(number, history=curve, tags={"kind": "old"}) for number in range(7))
    assert (done.runs, done.pages) == (7, 1)
    assert either.status_fingerprint() == before
    assert nothing_is_left(either)
    refs = either.git("for-each-ref", "--format=%(refname)", "refs/experiments/", "refs/gittrack/").splitlines()
    assert refs == [f"refs/experiments/_ledger/{ledger(either).writer}"]
    assert either.git("rev-parse", refs[0]) == done.tip
    assert either.git("fsck", "--strict", "--no-dangling") == ""
    assert either.gittrack("fsck").returncode == 0
    listed = either.gittrack_json("ls")
    assert [one["name"] for one in listed] == [f"run-{number}" for number in range(6, -1, -1)]
    assert listed[0]["metrics"] == {"val/acc": 0.4, "loss": 2.5}
    assert listed[0]["params"] == {"lr": 0.1 / 7, "model.name": "forest"}
    assert [one["commit"] for one in reversed(listed)] == members(either, done.tip)
    assert "old" in either.gittrack("show", "run-3").stdout
    assert either.gittrack("curve", "run-3", "val/acc").returncode == 0


@pytest.mark.parametrize("lies", ["clean", "with our folder", "in a run"])
def test_it_is_the_commit_that_a_single_run_becomes(either: Repo, lies: str) -> None:
    repository = Repository.discover(either.path)
    either.write(".gittrack/config.yaml", "experiment: digits\n")
    either.write(".gittrack/own.txt", "mine\n")
    if lies == "with our folder":
        either.write(".gittrack/plots/metrics/old.tsv", "step\tvalue\ttime\n")
        either.write(".gittrack/run.yaml", "format: 1\n")
    code = either.commit() if lies != "clean" else either.git("rev-parse", "HEAD")
    if lies == "in a run":
        code = write(repository, record(repository, params={"a": 1}))
    whole = item(
        code=code,
        history={"loss": [3.0, 2.0, float("nan")], "odd key: x": [(5, 1)]},
        description="Gittrack-Record: no\nbut Ünïcode 🎉",
        tags={"kind": "x" * 300},
        command="python train.py --lr '0.1'",
    )
    done = ledger(either).import_runs([whole])
    [commit] = members(either, done.tip)
    defaults = Defaults("default", "", 0.0)
    one, histories = to_record(whole, whole["id"], code, defaults)
    author = Signature(whole["author"], 0)
    assert write_run(repository, one, run_files(one, Environment(), histories), author=author) == commit
    # Now that it has a ref, it is read back whole.
    assert either.gittrack("fsck").returncode == 0
    assert either.git("diff", "--name-only", code, commit, "--", ":!.gittrack") == ""


def test_a_record_line_that_is_too_long_is_whole_in_the_page(repo: Repo) -> None:
    params = {f"param number {number}": "x" * 90 for number in range(100)}
    done = ledger(repo).import_runs([item(params=params)])
    [commit] = members(repo, done.tip)
    assert repo.git("cat-file", "-e", f"{commit}:.gittrack/record.json") == ""
    assert '"truncated":true' in repo.git("log", "-1", "--format=%B", commit)
    assert repo.gittrack_json("ls")[0]["params"] == params


def test_importing_again_gives_the_same_commits(repo: Repo, tmp_path: Path) -> None:
    other = Repo.init(tmp_path / "other")
    commits = [members(one, ledger(one).import_runs([item(), item(1)]).tip) for one in (repo, other)]
    assert commits[0] == commits[1]
    again = ledger(repo).import_runs([item(), item(1)])
    assert members(repo, again.tip) == commits[0]
    assert len(repo.gittrack_json("ls")) == 2


def test_the_unknown_code_is_one_commit_everywhere(repo: Repo) -> None:
    commit = members(repo, ledger(repo).import_runs([item()]).tip)[0]
    assert repo.git("rev-parse", f"{commit}^") == "3992f6a458e9e9b146b7468b722ab59ace256aef"


def test_what_an_item_leaves_out(repo: Repo) -> None:
    ledger(repo).import_runs([{}, {"started": "2026-01-31T12:00:00Z"}, {"ended": dt.datetime(2026, 1, 31, 12)}])  # noqa: DTZ001
    first, *others = sorted(repo.gittrack_json("ls"), key=lambda one: one["started"], reverse=True)
    assert first["experiment"] == "default"
    assert first["author"] == "Test Author <author@example.org>"
    assert first["duration"] == 0
    for one in others:
        assert (one["started"], one["ended"]) == ("2026-01-31T12:00:00.000000Z",) * 2


def test_metrics_in_every_form(repo: Repo) -> None:
    import numpy as np

    histories = {
        "values": [1.0, 2.0],
        "mixed": [1, np.float32(2.5), True],
        "array": np.array([0.5, 0.25]),
        "pairs": [(10, 1), (20, 2.0)],
        "rows": [[0, 1.0, 1_700_000_002], [1, float("inf"), "2023-11-14T22:13:30Z"]],
        "none": [],
    }
    metrics = {"values": 9.0, "alone": np.float64(0.5), "nan": float("nan"), "none": 3}
    done = ledger(repo).import_runs([item(history=histories, metrics=metrics, status="failed", ended=None)])
    repository = Repository.discover(repo.path)
    [commit] = members(repo, done.tip)
    one = read_record(repository, commit)
    assert one.status is Status.FAILED
    assert one.ended == 1_700_000_010.0, "the last point that has a time"
    read = read_histories(repository, one, commit)
    points = {key: (list(curve.steps), list(curve.values)) for key, curve in read.items()}
    assert points.pop("nan")[0] == [0]
    assert points == {
        "alone": ([0], [0.5]),
        "array": ([0, 1], [0.5, 0.25]),
        "mixed": ([0, 1, 2], [1.0, 2.5, 1.0]),
        "none": ([0], [3.0]),
        "pairs": ([10, 20], [1.0, 2.0]),
        "rows": ([0, 1], [1.0, float("inf")]),
        "values": ([0, 1], [1.0, 2.0]),
    }
    assert list(read["pairs"].times) == [one.ended] * 2
    assert list(read["rows"].times) == [1_700_000_002.0, 1_700_000_010.0]


def test_a_large_history_is_parquet_as_in_any_run(repo: Repo) -> None:
    curve = [float(step) for step in range(layout.LARGE_HISTORY)]
    done = ledger(repo).import_runs([item(history={"long": curve})])
    repository = Repository.discover(repo.path)
    [commit] = members(repo, done.tip)
    one = read_record(repository, commit)
    read = read_histories(repository, one, commit)
    assert list(read["long"].values) == curve
    assert list(read["loss"].values) == [2.5]


def test_secrets_are_hidden(repo: Repo) -> None:
    secret = "hf_" + "a1" * 17
    item_ = item(
        params={"api_key": secret, "deep": {"list": [secret, {"x": secret}]}},
        tags={"t": secret},
        description=f"with {secret}",
        command=["python", "--token", secret],
    )
    done = ledger(repo).import_runs([item_])
    [commit] = members(repo, done.tip)
    assert secret not in repo.git("log", "-1", "--format=%B", commit)
    assert secret not in repo.git("grep", "-h", "", commit)


def test_pages_hold_no_more_than_they_may(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "PAGE_MEMBERS", 3)
    monkeypatch.setattr(layout, "TIP_MEMBERS", 2)
    monkeypatch.setattr(bulk, "_MANY", 6)
    done = ledger(repo).import_runs(item(number) for number in range(20))
    assert (done.runs, done.pages) == (20, 7)
    assert done.tip is not None
    repository = Repository.discover(repo.path)
    commits, _ = page_ids(repository, done.tip)
    contents = [one for one in read_pages(repository, commits) if isinstance(one, PageContent)]
    assert [len(one.page.members) for one in contents] == [0, 3, 3, 3, 3, 3, 3, 2]
    lines = [line for one in contents for line in one.lines]
    assert [f'"run-{number}"'.encode() in line for number, line in enumerate(lines)] == [True] * 20
    found = [repo.git("log", "-1", "--format=%B", one) for one in members(repo, done.tip)]
    assert [line.decode() in text for line, text in zip(lines, found, strict=True)] == [True] * 20


def test_a_page_is_as_old_as_its_newest_run_and_the_newest_page_is_small(repo: Repo) -> None:
    """The user's own `git fetch` opens the parents of the newest page, of others only if they are as new as its members."""
    done = ledger(repo).import_runs(item(number) for number in range(150))
    assert done.tip is not None
    pages = repo.git("log", "--first-parent", "--format=%ct %P", done.tip).splitlines()
    assert [len(one.split()) - 2 for one in pages[:-1]] == [100, 50]
    assert [int(one.split()[0]) for one in pages[:-1]] == [1_700_000_209, 1_700_000_109]
    written = repo.git("log", "-1", "--format=%at", done.tip)
    assert int(written) > 1_700_000_209
    future = ledger(repo).import_runs([item(200, ended=4e9)])
    assert int(repo.git("log", "-1", "--format=%ct", str(future.tip))) < 4e9


def test_it_goes_on_where_a_fold_ended_and_a_fold_after_it(repo: Repo) -> None:
    repository = Repository.discover(repo.path)
    writer = ledger(repo).writer
    write(repository, record(repository, name="single"))
    first = fold.fold(repository, writer, SOMEONE)
    done = ledger(repo).import_runs([item()])
    assert done.tip is not None
    assert parse_page(done.tip, *_object(repository, done.tip)).previous == first.tip
    again = fold.fold(repository, writer, SOMEONE)
    assert (again.members, again.tip) == (0, done.tip)
    repo.gittrack("tag", "run-0", "kind=old")
    assert fold.fold(repository, writer, SOMEONE).tip != done.tip
    assert {one["name"] for one in repo.gittrack_json("ls")} == {"single", "run-0"}


def _object(repository: Repository, name: str) -> tuple[str, bytes]:
    [(_, kind, data)] = repository.read_objects([name])
    return kind, data


def test_nothing_to_import(repo: Repo) -> None:
    done = ledger(repo).import_runs([])
    assert (done.runs, done.pages, done.tip) == (0, 0, None)
    assert nothing_is_left(repo)


# --- what does not


BAD: list[tuple[Any, str]] = [
    ("text", "a mapping of fields, not str"),
    (item(metric={}), "'metric' is nothing"),
    (item(id="1"), "32 hex digits"),
    (item(id="A" * 32), "32 hex digits"),
    (item(name=""), "cannot name a run"),
    (item(name=3), "must be text"),
    (item(experiment="_x"), "cannot name an experiment"),
    (item(params=[1]), "params is a mapping"),
    (item(params={"a": object()}), "no plain form"),
    (item(metrics={"a": "1"}), "must be a number"),
    (item(metrics={"a": None}), "must be a number"),
    (item(metrics={" a": 1}), "white space"),
    (item(history={"a": 1}), "history of 'a'"),
    (item(history={"a": [(1,)]}), "not like the others"),
    (item(history={"a": [(1.5, 1)]}), "whole number"),
    (item(history={"a": [(1, 1, None)]}), "a time of 'a'"),
    (item(history={"a": [(1, 1, -1)]}), "1970"),
    (item(started="yesterday"), "no time"),
    (item(started=True), "seconds since 1970"),
    (item(started=float("nan")), "1970"),
    (item(ended=1.0), "ended before"),
    (item(status="running"), "finished, failed"),
    (item(status=["x"]), "finished, failed"),
    (item(tags={"": 1}), "cannot be a run tag"),
    (item(description=1), "text is expected"),
    (item(author="<x>"), "is not like"),
    (item(author="a\nb <c>"), "is not like"),
    (item(command=[1]), "a command"),
    (item(code="0" * 40), "no commit here"),
    (item(code=[]), "the id of a commit"),
]


@pytest.mark.parametrize(("bad", "said"), BAD)
def test_a_bad_item_is_named_and_nothing_comes_in(repo: Repo, bad: Any, said: str) -> None:
    with pytest.raises(UsageError, match=r"run 2 \(from 0\)") as error:
        ledger(repo).import_runs([item(1), item(2), bad, item(3)])
    assert said in str(error.value)
    assert repo.git("for-each-ref", "refs/experiments/", "refs/gittrack/") == ""
    assert repo.git("count-objects", "-v").splitlines()[2] == "in-pack: 0"
    assert nothing_is_left(repo)


def test_two_items_of_one_id(repo: Repo) -> None:
    with pytest.raises(UsageError, match="runs 1 and 3"):
        ledger(repo).import_runs([item(1), item(2), item(3), item(2)])
    assert repo.git("for-each-ref", "refs/experiments/") == ""
    assert nothing_is_left(repo)


def test_an_iterable_that_fails_is_heard(repo: Repo) -> None:
    def items() -> Iterator[Item]:
        yield item()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ledger(repo).import_runs(items())
    assert repo.git("for-each-ref", "refs/experiments/") == ""
    assert nothing_is_left(repo)


def test_git_that_dies_on_the_way(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[FastImport] = []
    start = FastImport._start
    monkeypatch.setattr(FastImport, "_start", lambda self: (start(self), started.append(self)))

    def items() -> Iterator[Item]:
        yield item()
        [stream] = started
        assert stream._process is not None
        stream._process.kill()
        for number in range(1, 2000):
            yield item(number)

    with pytest.raises(GitFailed, match="fast-import"):
        ledger(repo).import_runs(items())
    assert repo.git("for-each-ref", "refs/experiments/") == ""
    assert nothing_is_left(repo)


# --- meanwhile


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something once, just before the ledger is moved."""
    change, done = bulk.change_refs, []

    def changed(*arguments: Any) -> None:
        if not done:
            done.append(True)
            act()
        change(*arguments)

    monkeypatch.setattr(bulk, "change_refs", changed)


@pytest.mark.parametrize("begun", [False, True])
def test_a_ledger_that_moved_meanwhile_loses_nothing(
    either: Repo, begun: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "PAGE_MEMBERS", 3)
    repository = Repository.discover(either.path)
    if begun:
        ledger(either).import_runs([item(100)])
    write(repository, record(repository, name="between"))
    meanwhile(monkeypatch, lambda: fold.fold(repository, ledger(either).writer, SOMEONE))
    done = ledger(either).import_runs(item(number) for number in range(7))
    assert (done.runs, done.pages) == (7, 3)
    names = {one["name"] for one in either.gittrack_json("ls")}
    assert names == {"between", *(f"run-{number}" for number in range(7)), *(["run-100"] if begun else [])}
    assert len(members(either, done.tip)) == 8 + begun
    assert either.git("fsck", "--strict", "--no-dangling").count("dangling") == 0
    assert nothing_is_left(either)


def test_a_ledger_that_was_taken_away_meanwhile_is_begun_again(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger(repo).import_runs([item(100)])
    ref = layout.LEDGERS + ledger(repo).writer
    meanwhile(monkeypatch, lambda: repo.git("update-ref", "-d", ref))
    done = ledger(repo).import_runs([item(1)])
    assert len(members(repo, done.tip)) == 1


def test_gc_between_the_objects_and_the_ref(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    meanwhile(monkeypatch, lambda: repo.git("gc", "--quiet", "--prune=now"))
    ledger(repo).import_runs(item(number) for number in range(5))
    assert repo.git("fsck", "--strict", "--no-dangling") == ""
    assert nothing_is_left(repo)


_KILLED = """
import os, signal, sys
import gittrack
from gittrack.ledger import bulk
when = sys.argv[1]

def items():
    for number in range(3000):
        if when == "items" and number == 2500:
            os.kill(os.getpid(), signal.SIGKILL)
        yield {"name": f"run-{number}", "metrics": {"a": number}}

if when == "ref":
    bulk.change_refs = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
gittrack.Project.open().ledger.import_runs(items())
"""


@pytest.mark.parametrize("when", ["items", "ref"])
def test_killed_on_the_way_it_leaves_nothing_that_the_next_import_does_not_clear(repo: Repo, when: str) -> None:
    killed = subprocess.run([sys.executable, "-c", _KILLED, when], cwd=repo.path, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert repo.git("for-each-ref", "refs/experiments/", "refs/gittrack/") == ""
    assert not list((repo.path / ".git").glob("fast_import_crash*"))
    assert not nothing_is_left(repo)
    assert ledger(repo).import_runs([item()]).runs == 1

    def cleared() -> bool:
        # The git that lost its writer may be at its last words when the first of these comes.
        ledger(repo).import_runs([])
        return nothing_is_left(repo)

    wait_until(cleared, "the dead import is cleared away")
    assert len(repo.gittrack_json("ls")) == 1


def test_an_import_at_work_is_left_alone(repo: Repo) -> None:
    def items() -> Iterator[Mapping[str, Any]]:
        yield item(0)
        ledger(repo).import_runs([item(2)])
        yield item(1)

    assert ledger(repo).import_runs(items()).runs == 2
    assert {one["name"] for one in repo.gittrack_json("ls")} == {"run-0", "run-1", "run-2"}
    assert nothing_is_left(repo)


# --- what is here already


def test_what_is_here_is_passed_over_and_something_else_refused(repo: Repo) -> None:
    first = ledger(repo).import_runs([item(1), item(2)])
    again = ledger(repo).import_runs([item(1), item(3), item(2)])
    assert (again.runs, again.passed_over) == (1, 2)
    none = ledger(repo).import_runs([item(1)])
    assert (none.runs, none.pages, none.tip) == (0, 0, again.tip)
    assert first.passed_over == 0
    with pytest.raises(UsageError, match=r"run 1 \(from 0\) .* says something else"):
        ledger(repo).import_runs([item(4), item(2, name="other")])
    assert sorted(one["name"] for one in repo.gittrack_json("ls")) == ["run-1", "run-2", "run-3"]


def test_many_that_are_here_already_come_between_two_new_ones(repo: Repo) -> None:
    known = [item(number, metrics={}, params={}) for number in range(1, 2 * layout.PAGE_MEMBERS)]
    ledger(repo).import_runs(known)
    done = ledger(repo).import_runs([item(9001), *known, item(9002)])
    assert (done.runs, done.passed_over) == (2, len(known))
    assert [repo.gittrack_json("show", f"{number:032x}")["name"] for number in (9001, 9002)] == ["run-9001", "run-9002"]
    assert repo.gittrack("fsck").returncode == 0


def test_what_was_deleted_for_good_does_not_come_back(repo: Repo) -> None:
    ledger(repo).import_runs([item(1), item(2)])
    repo.gittrack("gc", "--purge", "run-1")
    done = ledger(repo).import_runs([item(1)])
    assert (done.runs, done.passed_over) == (0, 1)


@pytest.mark.parametrize("wrong", [None, {"name": "a"}, "text", 7])
def test_what_is_no_list_of_runs(repo: Repo, wrong: Any) -> None:
    with pytest.raises(UsageError, match="one by one"):
        ledger(repo).import_runs(wrong)


def test_two_of_one_id_from_two_clones_are_the_same_run_everywhere(repo: Repo, tmp_path: Path) -> None:
    """The lower commit holds, however the index came by them."""
    for number, name in enumerate(("first", "second")):
        clone = tmp_path / name
        repo.git("clone", "--quiet", str(repo.path), str(clone))
        ledger(Repo(clone)).import_runs([item(1, name=name, metrics={"m": float(number)})])
    listed = []
    for name, other in (("first", "second"), ("second", "first")):
        clone = Repo(tmp_path / name)
        before = clone.gittrack_json("ls")
        assert [one["name"] for one in before] == [name]
        clone.git("fetch", "--quiet", str(tmp_path / other), "refs/experiments/*:refs/experiments/*")
        listed.append(clone.gittrack("ls", "--json").stdout)
        assert clone.gittrack("fsck").returncode == 0
    assert listed[0] == listed[1]
