"""Naming a run."""

from __future__ import annotations

import pytest

from gittrack.domain.run import Status
from gittrack.errors import AmbiguousRun, UnknownRun, UsageError
from gittrack.git.repository import Repository
from gittrack.index.resolve import candidate_line, resolve
from gittrack.ledger.layout import run_ref
from tests.index.samples import BEGINNING, a_run, change, record

GOALS = {"acc": "max", "loss": "min"}


@pytest.fixture
def find(repo, index):
    def called(text, **options):
        index.update()
        return resolve(index, Repository.discover(repo.path), text, goals=GOALS.get, **options)

    return called


@pytest.fixture
def runs(repo):
    """Four runs: two of one name, one in an experiment with a slash."""
    return [
        record(repo, a_run(1, id="aaaa1111" * 4, name="first", metrics={"acc": 0.5, "loss": 2.0, "f1": 1.0})),
        record(repo, a_run(2, id="aaaa2222" * 4, name="twin", metrics={"acc": 0.9, "loss": 3.0, "f1": 2.0})),
        record(repo, a_run(3, id="bbbb3333" * 4, name="twin", experiment="mnist/cnn", metrics={"acc": 0.7})),
        record(repo, a_run(4, id="cccc4444" * 4, name="beef", metrics={"loss": 1.0})),
    ]


def test_the_newest_and_those_before_it(find, runs):
    assert find("@") == runs[3]
    assert find("@~0") == runs[3]
    assert find("@~") == runs[2]
    assert find("@~2") == runs[1]
    assert find("@~1", experiment="digits") == runs[1]
    with pytest.raises(UnknownRun, match="only 4 runs, so @~3 is the oldest"):
        find("@~4")
    with pytest.raises(UnknownRun, match="experiment mnist/cnn has only 1 runs"):
        find("@~1", experiment="mnist/cnn")


def test_without_runs(find):
    with pytest.raises(UnknownRun, match="no runs yet; 'gittrack run -- COMMAND' records one"):
        find("@")
    with pytest.raises(UnknownRun, match="there is no run 'x'; 'gittrack ls' lists the runs"):
        find("x")


def test_ids_and_their_prefixes(find, runs):
    assert find("aaaa1111" * 4) == runs[0]
    assert find("aaaa1") == runs[0]
    assert find("AAAA1") == runs[0]
    assert find("bbbb") == runs[2]
    assert find("bbbb", experiment="digits") == runs[2]
    with pytest.raises(UnknownRun):
        find("bbb")
    with pytest.raises(AmbiguousRun) as caught:
        find("aaaa")
    assert caught.value.candidates == (candidate_line(runs[1]), candidate_line(runs[0]))
    assert "'aaaa' names 2 runs" in str(caught.value)


def test_commits_and_their_prefixes(repo, find, runs):
    assert find(runs[1].commit) == runs[1]
    assert find(runs[1].commit[:10]) == runs[1]
    amended = change(repo, runs[1], tag_kind="cv")
    found = find(amended[:10])
    assert (found.id, found.head, found.commit) == (runs[1].id, amended, runs[1].commit)
    assert find(runs[1].commit) == found


def test_names(find, runs):
    assert find("first") == runs[0]
    assert find("twin", experiment="mnist/cnn") == runs[2]
    with pytest.raises(AmbiguousRun) as caught:
        find("twin")
    assert [line.split()[1] for line in caught.value.candidates] == ["mnist/cnn/twin", "digits/twin"]


def test_a_name_of_many_runs_lists_the_newest_ten(repo, find):
    for number in range(1, 13):
        record(repo, a_run(number, name="same"))
    with pytest.raises(AmbiguousRun) as caught:
        find("same")
    assert len(caught.value.candidates) == 11
    assert caught.value.candidates[-1] == "... and 2 older ones"


def test_candidate_lines(runs):
    assert candidate_line(runs[0]) == "aaaa1111  digits/first  finished  2026-01-01 00:01 UTC"


def test_an_exact_name_beats_a_prefix(repo, find, runs):
    beefed = record(repo, a_run(5, id="beef5555" * 4))
    assert find("beef") == runs[3]
    assert find("beef5") == beefed


def test_names_within_an_experiment(find, runs):
    assert find("digits/twin") == runs[1]
    assert find("mnist/cnn/twin") == runs[2]
    assert find("mnist/cnn/bbbb") == runs[2]
    assert find("digits/aaaa2") == runs[1]
    with pytest.raises(UnknownRun):
        find("digits/bbbb")
    with pytest.raises(AmbiguousRun):
        find("digits/aaaa")


def test_a_name_with_a_slash(repo, find):
    one = record(repo, a_run(1, name="a/b"))
    assert find("a/b") == one
    assert find("digits/a/b") == one


def test_best(find, runs):
    assert find("best:acc") == runs[1]
    assert find("best:loss") == runs[3]
    assert find("best:max:loss") == runs[1]
    assert find("best:min:acc", experiment="mnist/cnn") == runs[2]
    assert find("best:max:f1") == runs[1]
    with pytest.raises(UsageError, match=r"write best:max:f1 or best:min:f1, or set metrics\.goals"):
        find("best:f1")
    with pytest.raises(UsageError, match=r"no run has the metric 'ac'; the nearest is metrics\.acc"):
        find("best:max:ac")
    with pytest.raises(UnknownRun, match="no finished run has a number for the metric 'f1' in experiment mnist/cnn"):
        find("best:max:f1", experiment="mnist/cnn")


def test_git_revisions(repo, find, runs):
    repo.git("branch", "good", runs[0].commit)
    repo.git("tag", "-m", "a tag", "best-one", runs[1].commit)
    assert find("good") == runs[0]
    assert find("best-one") == runs[1]
    assert find("experiments/digits/" + runs[3].id) == runs[3]
    assert find(run_ref("digits", runs[3].id)) == runs[3]


def test_an_old_amendment_is_its_run(repo, find, runs):
    old = change(repo, runs[0], tag_kind="cv")
    new = change(repo, runs[0], tag_kind="final")
    assert find(old).head == new
    assert find(old[:12]).head == new
    assert find(f"{new}~1").head == new


def test_code_is_no_run(repo, find, runs):
    head = repo.git("rev-parse", "HEAD")
    with pytest.raises(UnknownRun, match=f"'main' is commit {head[:12]}, which is no run"):
        find("main")


@pytest.mark.parametrize(
    "text", ["", "-x", "\udcff", "a\nb", "a\0b", "%", "best", "@x", "/", "digits/", "'", "^", ".."]
)
def test_what_is_no_name_is_an_unknown_run(find, runs, text):
    with pytest.raises(UnknownRun):
        find(text)


def test_an_unknown_name_names_the_nearest(find, runs):
    with pytest.raises(UnknownRun, match=r"no run 'frist' \(the nearest: first\); 'gittrack ls'"):
        find("frist")
    with pytest.raises(UnknownRun, match=r"the nearest: twin"):
        find("digits/twim")
    with pytest.raises(UnknownRun, match="experiment mnist/cnn has no run 'first'; there is digits/first"):
        find("first", experiment="mnist/cnn")


def test_deleted_runs_answer_to_ids_and_commits_alone(repo, find, runs):
    change(repo, runs[0], deleted=True)
    for text in (runs[0].id, runs[0].commit, "aaaa1", "digits/aaaa1"):
        assert find(text).deleted
    with pytest.raises(UnknownRun):
        find("first")
    assert find("first", deleted=True).id == runs[0].id
    assert find("digits/first", deleted=True).id == runs[0].id


def test_a_deleted_run_makes_nothing_ambiguous(repo, find, runs):
    change(repo, runs[0], deleted=True)
    assert find("aaaa") == runs[1]
    change(repo, runs[2], deleted=True)
    assert find("twin") == runs[1]
    change(repo, runs[3], deleted=True)
    assert find("@") == runs[1]


def test_an_active_run_is_found_by_name_and_id(repo, index):
    live = a_run(1, id="dddd" * 8, name="live", status=Status.RUNNING, ended=None, started=BEGINNING + 1e6)
    index.update([live])
    repository = Repository.discover(repo.path)
    for text in ("live", "dddd", "@", "digits/live"):
        assert resolve(index, repository, text, goals=GOALS.get) == live
