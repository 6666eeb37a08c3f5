"""Runs and amendments move from refs into this clone's ledger, and nothing is missed where a run has no ref any more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import gittrack.ledger.fold as module
from gittrack.errors import CorruptRecord
from gittrack.ledger import layout
from gittrack.ledger.chain import PageContent, all_members, page_ids, read_pages
from gittrack.ledger.fold import Folded, fold
from gittrack.ledger.fsck import fsck
from gittrack.project import Project
from tests.helpers import Repo
from tests.ledger.builders import SOMEONE, amend_at, record, write


def opened(repo: Repo) -> Project:
    return Project.open(repo.path, {})


def folded(project: Project, *, drop: bool = False) -> Folded:
    return fold(project.repo, "me", SOMEONE, drop=drop)


def add(project: Project, name: str = "one", **fields: object) -> str:
    """A finished run; returns its ref."""
    one = record(project.repo, name=name, **fields)
    write(project.repo, one)
    return layout.run_ref(one.experiment, one.id)


def pages(project: Project) -> list[PageContent]:
    tip = project.repo.resolve(layout.LEDGERS + "me")
    assert tip is not None
    found = [one for one in read_pages(project.repo, page_ids(project.repo, tip)[0]) if isinstance(one, PageContent)]
    assert all(one.problem == "" for one in found)
    return found


def run_refs(project: Project) -> set[str]:
    return {ref for ref in project.repo.list_refs(layout.RUNS) if layout.parse_run_ref(ref) is not None}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs keep a ref of their own."""
    monkeypatch.setattr(module, "KEEP_REFS", 2)
    monkeypatch.setattr(module, "SLACK", 0)


def test_a_ledger_has_a_line_for_each_run_and_amendment(repo: Repo) -> None:
    project = opened(repo)
    ref = add(project)
    run = repo.git("rev-parse", ref)
    amendment = amend_at(project.repo, ref, {"tag:kind": "cv"})
    assert folded(project).members == 2
    root, page = pages(project)
    assert root.page.members == ()
    assert page.page.members == (run, amendment)
    assert [b'"changes":' in line for line in page.lines] == [False, True]
    assert repo.git("fsck", "--strict", "--no-dangling") == ""
    assert list(fsck(project.repo)) == []


def test_what_is_folded_is_not_folded_again(repo: Repo) -> None:
    project = opened(repo)
    ref = add(project)
    first = folded(project)
    assert folded(project) == Folded(first.ledger, first.tip)
    # The note of what is folded can go: the ledger itself knows.
    (project.repo.home / "folded").unlink()
    assert folded(project) == Folded(first.ledger, first.tip)
    (project.repo.home / "folded").write_bytes(b"\xff nonsense")
    amend_at(project.repo, ref, {"tag:kind": "cv"})
    assert folded(project).members == 1
    assert len(all_members(project.repo, repo.git("rev-parse", first.ledger))) == 2


def test_a_purge_leaves_nothing_to_fold_again(repo: Repo) -> None:
    project = opened(repo)
    add(project)
    project.pack()
    secret = add(project, "secret")
    project.pack()
    project.purge([secret[-32:]])
    clone = project._clone()
    assert fold(project.repo, clone.writer.name, clone.author).members == 0


def test_pages_hold_no_more_than_a_host_advises(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "PAGE_MEMBERS", 2)
    project = opened(repo)
    for number in range(5):
        add(project, f"run-{number}", ended=1_700_000_100.0 + number)
    folded(project)
    assert [len(one.page.members) for one in pages(project)] == [0, 2, 2, 1]
    names = [line for one in pages(project) for line in one.lines]
    assert [f'"run-{number}"'.encode() in line for number, line in enumerate(names)] == [True] * 5


def test_a_run_that_cannot_be_read_keeps_its_ref(repo: Repo, few: None) -> None:
    project = opened(repo)
    bad = f"refs/experiments/digits/{'a' * 32}"
    repo.git("update-ref", bad, "HEAD")
    for number in range(4):
        add(project, f"run-{number}")
    done = folded(project, drop=True)
    assert [one.run for one in done.damaged] == ["a" * 32]
    assert done.members == 4
    assert bad in run_refs(project)
    assert len(project.runs()) == 4


FOLD = """
import sys
from gittrack.ledger.fold import fold
from gittrack.project import Project
from tests.ledger.builders import SOMEONE, record, write
project = Project.open(".", {})
for number in range(6):
    write(project.repo, record(project.repo, name=f"{sys.argv[1]}-{number}"))
    fold(project.repo, "me", SOMEONE)
"""


def test_several_processes_of_one_clone_fold_at_once(repo: Repo) -> None:
    root = Path(__file__).parents[2]
    children = [
        subprocess.Popen(
            [sys.executable, "-c", FOLD, name], cwd=repo.path, env={**_environment(), "PYTHONPATH": str(root)}
        )
        for name in ("a", "b", "c")
    ]
    assert [child.wait(120) for child in children] == [0, 0, 0]
    project = opened(repo)
    members = [member for one in pages(project) for member in one.page.members]
    assert len(members) == len(set(members)) == 18
    assert len(project.runs()) == 18


def _environment() -> dict[str, str]:
    import os

    return dict(os.environ)


# --- runs without a ref of their own


@pytest.fixture
def bare_run(repo: Repo, few: None, monkeypatch: pytest.MonkeyPatch) -> tuple[Project, str]:
    """A project with a run that only the ledger has, and its id."""
    monkeypatch.setenv("GITTRACK_RUN_SYSTEM_METRICS", "off")
    monkeypatch.chdir(repo.path)
    project = opened(repo)
    oldest = add(project, "oldest", ended=1_600_000_000.0)
    for number in range(3):
        add(project, f"newer-{number}")
    project.pack()
    assert oldest not in run_refs(project)
    assert len(run_refs(project)) == 2
    return project, oldest[-32:]


def test_without_a_ref_a_run_is_shown_and_whole(bare_run: tuple[Project, str]) -> None:
    project, run = bare_run
    assert project.get_run("oldest").id == run
    assert project.get_run(run[:8]).record.name == "oldest"
    assert list(project.fsck()) == []


def test_without_a_ref_a_run_can_be_amended_again_and_again(bare_run: tuple[Project, str]) -> None:
    project, run = bare_run
    assert project.amend(run, tags={"kind": "cv"}).tags == {"kind": "cv"}
    project.pack()
    assert project.amend(run, tags={"more": "x"}).tags == {"kind": "cv", "more": "x"}
    assert project.amend(run, untag=["kind"]).tags == {"more": "x"}
    assert [one.clock for one in project._index.amendments(run)] == [1, 2, 3]


def test_without_a_ref_a_run_can_be_resumed(bare_run: tuple[Project, str]) -> None:
    project, run = bare_run
    project.amend(run, tags={"kind": "cv"})
    project.pack()
    with project.start_run(resume="oldest", console=False) as resumed:
        resumed.log_metric("loss", 0.5)
    found = project.get_run(run)
    assert (found.id, found.state.attempt, found.tags, found.metrics) == (run, 2, {"kind": "cv"}, {"loss": 0.5})


def test_without_a_ref_a_run_can_get_an_artifact(bare_run: tuple[Project, str]) -> None:
    project, run = bare_run
    assert project.repo.root is not None
    (project.repo.root / "note.txt").write_text("later")
    project.add_artifact(run, "note.txt", name="note")
    project.pack()
    assert project.get_run(run).artifact("note").path().read_text() == "later"


def test_without_a_ref_a_run_can_be_checked_out(bare_run: tuple[Project, str], tmp_path: Path) -> None:
    project, run = bare_run
    project.check_out(run, worktree=tmp_path / "there")
    assert (tmp_path / "there" / ".gittrack" / "run.yaml").is_file()


def test_without_a_ref_a_run_can_be_deleted_restored_and_purged(bare_run: tuple[Project, str]) -> None:
    project, run = bare_run
    project.amend(run, deleted=True)
    project.pack()
    assert run not in {one.id for one in project.runs()}
    project.amend(run, deleted=False)
    assert run in {one.id for one in project.runs()}
    assert project.purge([run]).reached == {}
    assert run not in {one.id for one in project.runs(deleted=True)}


def test_purging_needs_a_ledger_that_can_be_read(repo: Repo) -> None:
    project = opened(repo)
    run = add(project)[-32:]
    writer = project._clone().writer.name
    repo.git("update-ref", layout.LEDGERS + writer, "HEAD")
    with pytest.raises(CorruptRecord, match="is no ledger"):
        project.purge([run])
