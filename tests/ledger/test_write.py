"""Runs and amendments become commits, once, whatever happens in between."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack.domain.amendment import Amendment, fold
from gittrack.domain.run import CodeCapture, RunState, Status
from gittrack.errors import AlreadyRecorded, CorruptRecord, RefConflict, UnknownRun
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger import write as write_module
from gittrack.ledger.read import read_histories, read_record
from tests.helpers import Repo
from tests.ledger.builders import SOMEONE, amend_at, chain_at, history, record, write


def opened(repo: Repo) -> Repository:
    return Repository.discover(repo.path)


@pytest.fixture(params=["sha1", "sha256"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Repo:
    return Repo.init(tmp_path / request.param, f"--object-format={request.param}")


def refs(repo: Repo) -> list[str]:
    return repo.git("for-each-ref", "--format=%(refname)", "refs/experiments/", "refs/gittrack/").splitlines()


# --- one run


def test_a_run_is_a_commit_on_top_of_its_code(either: Repo) -> None:
    repository = opened(either)
    one = record(repository, params={"lr": 0.1}, histories=[history("acc", [0.5, 0.9])], description="Why\nnot")
    before = either.status_fingerprint()
    commit = write(repository, one, [history("acc", [0.5, 0.9])])
    assert either.status_fingerprint() == before
    assert refs(either) == [f"refs/experiments/digits/{one.id}"]
    assert either.git("log", "--format=%P", "-1", commit) == either.git("rev-parse", "HEAD")
    assert either.git("log", "--format=%s", "-1", commit) == "digits/brave-otter-42: finished, acc=0.9"
    assert either.git("log", "--format=%aI", "-1", commit) == "2023-11-14T23:13:20+01:00"
    assert either.git("diff", "--name-only", "HEAD", commit, "--", ":!.gittrack") == ""
    assert either.git("fsck", "--strict", "--no-dangling") == ""
    assert either.git("show", f"{commit}:.gittrack/params.yaml") == "lr: 0.1"


def test_writing_again_finds_what_is_there(repo: Repo) -> None:
    repository = opened(repo)
    one = record(repository)
    commit = write(repository, one)
    assert write(repository, one) == commit
    assert len(refs(repo)) == 1


def test_the_keep_ref_goes_as_the_run_comes(repo: Repo) -> None:
    repository = opened(repo)
    one = record(repository)
    repo.git("update-ref", layout.kept_ref(one.id), "HEAD")
    write(repository, one)
    assert refs(repo) == [f"refs/experiments/digits/{one.id}"]


@pytest.mark.parametrize("packed", [True, False])
def test_a_keep_ref_that_was_moved_or_left_behind_goes_too(repo: Repo, packed: bool) -> None:
    repository = opened(repo)
    one = record(repository)
    other = repo.commit()
    repo.git("update-ref", layout.kept_ref(one.id), other)
    if packed:
        repo.git("pack-refs", "--all")
    commit = write(repository, one)
    assert refs(repo) == [f"refs/experiments/digits/{one.id}"]
    repo.git("update-ref", layout.kept_ref(one.id), one.code.captured)
    assert write(repository, one) == commit
    assert refs(repo) == [f"refs/experiments/digits/{one.id}"]


def test_settings_that_the_user_committed_stay_and_our_old_files_do_not(repo: Repo) -> None:
    repo.write(".gittrack/config.yaml", "experiment: digits\n")
    repo.write(".gittrack/notes/mine.txt", "mine")
    repo.write(".gittrack/artifacts/old.bin", "from a checkout of another run")
    repo.write(".gittrack/plots/metrics/old.tsv", "old")
    repo.commit()
    repository = opened(repo)
    commit = write(repository, record(repository), artifacts={"new.bin": b"1"})
    listed = repo.git("ls-tree", "-r", "--name-only", commit, ".gittrack").splitlines()
    assert ".gittrack/config.yaml" in listed
    assert ".gittrack/notes/mine.txt" in listed
    assert ".gittrack/artifacts/new.bin" in listed
    assert not [name for name in listed if "old" in name]
    assert repo.git("show", f"{commit}:.gittrack/config.yaml") == "experiment: digits"


@pytest.mark.parametrize("what", ["file", "link"])
def test_a_file_where_our_folder_should_be(repo: Repo, what: str) -> None:
    if what == "file":
        repo.write(".gittrack", "a file")
    else:
        (repo.path / ".gittrack").symlink_to("train.py")
    repo.commit()
    repository = opened(repo)
    commit = write(repository, record(repository))
    assert ".gittrack/run.yaml" in repo.git("ls-tree", "-r", "--name-only", commit)
    assert repo.git("fsck", "--strict", "--no-dangling") == ""


def test_code_that_is_not_there_any_more(repo: Repo) -> None:
    repository = opened(repo)
    with pytest.raises(CorruptRecord, match="not in the repository any more"):
        write(repository, record(repository, code=CodeCapture(commit="f" * 40)))
    assert refs(repo) == []


def test_another_run_of_the_same_id_is_not_taken_for_this_one(repo: Repo) -> None:
    repository = opened(repo)
    first = record(repository)
    write(repository, first)
    with pytest.raises(AlreadyRecorded) as caught:
        write_module.write_run(repository, record(repository, id=first.id, ended=first.ended + 5), {}, author=SOMEONE)
    assert caught.value.ended == first.ended


def test_a_resumed_run_is_an_amendment_that_keeps_what_people_said(repo: Repo) -> None:
    repository = opened(repo)
    one = record(repository, params={"lr": 0.1}, tags={"kind": "cv"})
    ref = layout.run_ref(one.experiment, one.id)
    first = write(repository, one)
    amend_at(repository, ref, {"tag:kind": "final", "tag:new": "1", "description": "said later"})
    repo.commit()
    again = record(
        repository,
        id=one.id,
        params={"lr": 0.2},
        tags={"kind": "cv", "own": "2"},
        attempts=2,
        ended=one.ended + 100,
        histories=[history("acc", [0.5])],
    )
    second = write(repository, again, [history("acc", [0.5])])
    assert write(repository, again, [history("acc", [0.5])]) == second
    chain = chain_at(repository, ref)
    assert chain is not None
    assert (chain.head, chain.clock, len(chain.amendments)) == (second, 2, 2)
    state = chain.state
    assert state.attempt == 2
    assert state.commit == second
    assert state.params == {"lr": 0.2}
    assert state.metrics == {"acc": 0.5}
    assert state.tags == {"kind": "final", "new": "1", "own": "2"}
    assert state.description == "said later"
    assert repo.git("log", "--format=%P", "-1", second).split()[1] == repo.git("rev-parse", "HEAD")
    assert repo.git("merge-base", "--is-ancestor", first, second) == ""
    assert read_record(repository, state).params == {"lr": 0.2}


# --- crashes


class Crash(BaseException):
    """The process ends here."""


def crash_points(monkeypatch: pytest.MonkeyPatch, number: int) -> Callable[[], int]:
    """The process dies before or after the `number`th step that touches the disk; tells how many there were."""
    count = itertools.count()
    reached = []

    def wrapped(original: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            if next(count) == number:
                raise Crash
            result = original(*args, **kwargs)
            reached.append(1)
            if next(count) == number:
                raise Crash
            return result

        return step

    import gittrack.git.objects as objects

    monkeypatch.setattr(objects, "_write_loose", wrapped(objects._write_loose))
    monkeypatch.setattr(objects, "change_refs", wrapped(objects.change_refs))
    monkeypatch.setattr(objects.ObjectBatch, "_write_pack", wrapped(objects.ObjectBatch._write_pack))
    monkeypatch.setattr(objects.ObjectBatch, "release", wrapped(objects.ObjectBatch.release))
    return lambda: len(reached)


@pytest.mark.parametrize("gc", [False, True], ids=["alone", "while gc runs"])
def test_a_crash_at_any_step_of_writing_can_be_repeated(repo: Repo, gc: bool) -> None:
    repository = opened(repo)
    points = [history("acc", [0.5, 0.9])]
    number = 0
    while True:
        one = record(repository, histories=points)
        repo.git("update-ref", layout.kept_ref(one.id), "HEAD")
        if gc:
            (repo.path / ".git" / "gc.pid").write_text("1 here")
        crashed = False
        with pytest.MonkeyPatch.context() as patched:
            crash_points(patched, number)
            try:
                write(repository, one, points)
            except Crash:
                crashed = True
        visible = [ref for ref in refs(repo) if one.id in ref]
        assert len(visible) == 1  # the keep ref or the run, never both, never none
        (repo.path / ".git" / "gc.pid").unlink(missing_ok=True)
        repo.git("prune", "--expire=now")
        commit = write(repository, one, points)
        assert [ref for ref in refs(repo) if one.id in ref] == [f"refs/experiments/digits/{one.id}"]
        assert repo.git("rev-parse", f"refs/experiments/digits/{one.id}") == commit
        assert read_histories(repository, read_record(repository, commit), commit)["acc"].values[-1] == 0.9
        if not crashed:
            break
        number += 1
    assert number >= 4
    assert repo.git("fsck", "--strict", "--no-dangling") == ""


# --- amendments


@pytest.fixture
def run_ref(repo: Repo) -> str:
    one = record(opened(repo), params={"lr": 0.1}, tags={"kind": "cv", "old": "x"}, description="first")
    write(opened(repo), one)
    return layout.run_ref(one.experiment, one.id)


def state_of(repo: Repo, ref: str) -> RunState:
    chain = chain_at(opened(repo), ref)
    assert chain is not None
    return chain.state


def test_tags_name_description_and_deletion(repo: Repo, run_ref: str) -> None:
    repository = opened(repo)
    tree = repo.git("rev-parse", f"{run_ref}^{{tree}}")
    changes: list[dict[str, Any]] = [
        {"tag:kind": "final", "tag:old": None},
        {"name": "better name"},
        {"description": "second\n\nGittrack-Record: {}"},
        {"deleted": True},
    ]
    for one in changes:
        amend_at(repository, run_ref, one, now=1_800_000_000)
    state = state_of(repo, run_ref)
    assert (state.tags, state.name, state.deleted) == ({"kind": "final"}, "better name", True)
    assert state.description == "second\n\nGittrack-Record: {}"
    amend_at(repository, run_ref, {"deleted": False, "description": None})
    state = state_of(repo, run_ref)
    assert (state.deleted, state.description) == (False, "")
    assert repo.git("rev-parse", f"{run_ref}^{{tree}}") == tree
    assert repo.git("log", "--format=%s", f"{run_ref}~1", "-1") == "digits/better name: delete"
    assert repo.git("fsck", "--strict", "--no-dangling") == ""


def test_no_such_run(repo: Repo) -> None:
    with pytest.raises(UnknownRun, match="gittrack ls"):
        amend_at(opened(repo), "refs/experiments/a/" + "0" * 32, {"name": "x"})


def test_a_ref_that_leads_to_something_else(repo: Repo) -> None:
    ref = "refs/experiments/a/" + "0" * 32
    repo.git("update-ref", ref, "HEAD")
    with pytest.raises(CorruptRecord, match="not a run"):
        amend_at(opened(repo), ref, {"name": "x"})


def test_a_ref_that_never_stands_still(repo: Repo, run_ref: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def moved(*args: Any) -> None:
        raise RefConflict("moved")

    monkeypatch.setattr(write_module, "publish", moved)
    monkeypatch.setattr(write_module, "_AMEND_TRIES", 3)
    with pytest.raises(RefConflict, match="try again"):
        amend_at(opened(repo), run_ref, {"name": "x"})


AMEND = """
import sys
from gittrack.git.objects import Signature
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.write import amend
from gittrack.domain.run import RunState, Status
repository = Repository.discover()
experiment, run = layout.parse_run_ref(sys.argv[1])
state = RunState(run, "", experiment, Status.FINISHED, 0.0)
print("ready", flush=True)
sys.stdin.readline()
for number in range(6):
    amend(repository, state, {f"tag:{sys.argv[2]}-{number}": "1", "tag:shared": sys.argv[2]},
          author=Signature("S <s@example.org>", 0))
"""


def test_eight_processes_amend_one_run_and_none_is_lost(repo: Repo, run_ref: str) -> None:
    amenders = [
        subprocess.Popen(
            [sys.executable, "-c", AMEND, run_ref, str(number)],
            cwd=repo.path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for number in range(8)
    ]
    for one in amenders:
        assert one.stdout is not None
        one.stdout.readline()
    for one in amenders:
        assert one.stdin is not None
        one.stdin.write(b"\n")
        one.stdin.flush()
    assert [one.communicate(timeout=120)[1] for one in amenders] == [b""] * 8
    chain = chain_at(opened(repo), run_ref)
    assert chain is not None
    assert len(chain.amendments) == 48
    assert {f"{process}-{number}" for process in range(8) for number in range(6)} <= chain.state.tags.keys()
    assert chain.state.tags["shared"] == next(iter(chain.amendments)).changes["tag:shared"]
    assert chain.clock == 48
    assert repo.git("fsck", "--strict", "--no-dangling") == ""


# --- folding

CHANGES = st.dictionaries(
    st.sampled_from(["name", "description", "tag:a", "tag:b", "deleted"]),
    st.sampled_from(["x", "y", None, True, False]),
    min_size=1,
    max_size=3,
).map(
    lambda changes: {
        key: bool(value) if key == "deleted" else (value if value is None or isinstance(value, str) else "z")
        for key, value in changes.items()
    }
)


def attempt(number: int) -> RunState:
    return RunState("r", f"n{number}", "e", Status.FINISHED, 1.0, attempt=number, tags={"own": str(number)})


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.text("0123456789abcdef", min_size=4, max_size=4), CHANGES, st.integers(0, 4)),
        max_size=7,
        unique_by=lambda one: one[1],
    ),
    st.randoms(),
)
def test_amendments_fold_alike_in_whatever_order_they_arrive(made: list[Any], random: Any) -> None:
    amendments = [
        Amendment("r", clock, commit, changes=changes, continuation=attempt(again) if again > 1 else None)
        for clock, commit, changes, again in made
    ]
    expected = fold(attempt(1), amendments)
    random.shuffle(amendments)
    assert fold(attempt(1), amendments) == expected
    assert fold(attempt(1), iter(amendments)) == expected
    if amendments:
        assert expected.attempt == max(1, *(one.continuation.attempt for one in amendments if one.continuation), 1)


def test_two_clones_that_amend_alike_and_merge_agree(repo: Repo, run_ref: str) -> None:
    """Amendments of two writers with the same clock: their ids decide, in both clones the same way."""
    start = RunState("r", "n", "e", Status.FINISHED, 1.0)
    here = Amendment("r", 1, "aaaa", changes={"tag:x": "here", "tag:y": "1"})
    there = Amendment("r", 1, "bbbb", changes={"tag:x": "there"})
    later = Amendment("r", 2, "0000", changes={"tag:x": "later"})
    assert fold(start, [here, there]).tags == fold(start, [there, here]).tags == {"x": "there", "y": "1"}
    assert fold(start, [later, there, here]).tags["x"] == "later"


# --- repositories of every shape


def test_a_bare_clone(repo: Repo, tmp_path: Path) -> None:
    repo.git("clone", "--quiet", "--bare", str(repo.path), str(tmp_path / "bare.git"))
    bare = Repo(tmp_path / "bare.git")
    repository = opened(bare)
    one = record(repository)
    commit = write(repository, one)
    amend_at(repository, layout.run_ref("digits", one.id), {"tag:a": "1"})
    assert state_of(bare, layout.run_ref("digits", one.id)).tags == {"a": "1"}
    assert read_record(repository, commit).id == one.id
    assert bare.git("fsck", "--strict", "--no-dangling") == ""


def test_a_shallow_clone_records_and_pushes(repo: Repo, tmp_path: Path) -> None:
    for number in range(3):
        repo.write("train.py", str(number))
        repo.commit()
    repo.git("clone", "--quiet", "--bare", str(repo.path), str(tmp_path / "up.git"))
    repo.git("clone", "--quiet", "--depth", "1", f"file://{tmp_path}/up.git", str(tmp_path / "shallow"))
    shallow = Repo(tmp_path / "shallow")
    repository = opened(shallow)
    one = record(repository)
    commit = write(repository, one)
    shallow.git("push", "--quiet", "origin", "refs/experiments/*:refs/experiments/*")
    assert Repo(tmp_path / "up.git").git("rev-parse", layout.run_ref("digits", one.id)) == commit
    assert shallow.git("fsck", "--strict", "--no-dangling") == ""


def test_a_partial_clone_fetches_what_it_needs(repo: Repo, tmp_path: Path) -> None:
    repo.write("big.bin", "x" * 10_000)
    repo.write(".gittrack/config.yaml", "experiment: digits\n")
    repo.commit()
    origin = opened(repo)
    points = [history("acc", [0.5, 0.9])]
    there = record(origin, histories=points)
    theirs = write(origin, there, points)
    repo.git("config", "uploadpack.allowFilter", "true")
    repo.git("config", "uploadpack.allowAnySHA1InWant", "true")
    url = f"file://{repo.path}"
    repo.git("clone", "--quiet", "--no-checkout", "--filter=blob:none", url, str(tmp_path / "partial"))
    partial = Repo(tmp_path / "partial")
    partial.git("fetch", "--quiet", "origin", "refs/experiments/*:refs/experiments/*")
    repository = opened(partial)
    missing = partial.git("rev-list", "--objects", "--missing=print", "--all").count("?")
    assert missing > 3
    one = record(repository)
    commit = write(repository, one)
    assert read_histories(repository, read_record(repository, theirs), theirs)["acc"].values[-1] == 0.9
    assert "big.bin" in partial.git("ls-tree", "--name-only", commit)
    amend_at(repository, layout.run_ref("digits", there.id), {"tag:a": "1"})
    assert state_of(partial, layout.run_ref("digits", there.id)).tags == {"a": "1"}


def test_a_linked_worktree_and_a_detached_head(repo: Repo, tmp_path: Path) -> None:
    repo.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"))
    linked = Repo(tmp_path / "linked")
    linked.write("only-there.py", "1")
    linked.commit()
    repository = opened(linked)
    one = record(repository)
    commit = write(repository, one)
    assert repo.git("rev-parse", layout.run_ref("digits", one.id)) == commit
    assert "only-there.py" in repo.git("ls-tree", "--name-only", commit)


def test_code_with_names_of_any_bytes(repo: Repo) -> None:
    for name in (b"caf\xe9", b"two\nlines", b'quo"te', b"\xff\xfe/inner"):
        repo.write(os.fsdecode(name), "1")
    repo.commit()
    repository = opened(repo)
    commit = write(repository, record(repository))
    changed = repo.git("diff", "--name-only", "-z", "HEAD", commit).split("\0")
    assert all(name.startswith(".gittrack/") for name in changed if name)
    assert repo.git("fsck", "--strict", "--no-dangling") == ""


def test_many_artifacts_and_a_large_one(repo: Repo) -> None:
    repository = opened(repo)
    artifacts = {f"folder/{number}/file": b"%d" % number for number in range(300)}
    artifacts["large.bin"] = os.urandom(2_000_000)
    artifacts["ünï/☃.txt"] = b"1"
    commit = write(repository, record(repository), artifacts=artifacts)
    listed = repo.git("ls-tree", "-r", "--name-only", "-z", commit, ".gittrack/artifacts/").split("\0")
    assert len([name for name in listed if name]) == 302
    assert repo.git("cat-file", "-s", f"{commit}:.gittrack/artifacts/large.bin") == "2000000"
    assert repo.git("show", f"{commit}:.gittrack/artifacts/ünï/☃.txt") == "1"
    assert repo.git("fsck", "--strict", "--no-dangling") == ""
