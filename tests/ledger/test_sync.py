"""Clones that share runs: copied, restored, damaged, purged and merged, and nothing is lost or comes back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import gittrack.ledger.purge
import gittrack.share
from gittrack.errors import PurgeNotPushed, SettingsError, UsageError
from gittrack.git.objects import ObjectBatch
from gittrack.ledger import layout
from gittrack.ledger.chain import PageContent, all_purges, page_ids, read_pages
from gittrack.ledger.fsck import Problem, fsck
from gittrack.project import Project
from gittrack.share import Shared
from tests.helpers import Repo
from tests.ledger.builders import SOMEONE, record, write

OLD = 1_600_000_000.0


def opened(repo: Repo) -> Project:
    return Project.open(repo.path, os.environ)


def add(repo: Repo, name: str, **fields: object) -> str:
    """A finished run; returns its id."""
    project = opened(repo)
    one = record(project.repo, name=name, **fields)
    write(project.repo, one)
    return one.id


def only_folded(repo: Repo) -> None:
    """From now on the ledger alone has what was recorded here."""
    opened(repo).pack()
    for ref in repo.git("for-each-ref", "--format=%(refname)", f"{layout.RUNS}digits/").splitlines():
        repo.git("update-ref", "-d", ref)


def push(repo: Repo) -> Shared:
    done = opened(repo).push(data=False)
    assert done.refused == {}
    return done


def fetch(repo: Repo) -> Shared:
    done = opened(repo).fetch(data=False)
    assert done.refused == {}
    return done


def names(repo: Repo) -> set[str]:
    return {run.name for run in opened(repo).runs(deleted=True)}


def tags(repo: Repo, name: str) -> dict[str, str]:
    return dict(opened(repo).get_run(name).tags)


def writer(repo: Repo) -> str:
    return opened(repo)._clone().writer.name


def ledgers(repo: Repo) -> dict[str, str]:
    """The newest page of each ledger there, by its writer."""
    listed = repo.git("ls-remote", "origin", f"{layout.LEDGERS}*").splitlines()
    return {ref.removeprefix(layout.LEDGERS): tip for tip, ref in (line.split("\t") for line in listed)}


def problems(repo: Repo) -> list[Problem]:
    return [one for one in fsck(opened(repo).repo) if not one.harmless]


def copied(repo: Repo, path: Path, *, image: bool = False) -> Repo:
    """`cp -r`; with `image` like that of a whole disk, where a copy cannot be told from the original."""
    shutil.copytree(repo.path, path, symlinks=True)
    if image:
        file = path / ".git" / "gittrack" / "writer"
        file.write_text(f"{file.read_text().split()[0]} {os.stat(path / '.git').st_ino:x}\n")
    return Repo(path)


@pytest.fixture
def team(repo: Repo, tmp_path: Path) -> list[Repo]:
    """Three clones of one bare repository."""
    repo.git("clone", "--quiet", "--bare", str(repo.path), str(tmp_path / "remote.git"))
    repo.git("remote", "add", "origin", str(tmp_path / "remote.git"))
    others = [tmp_path / "second", tmp_path / "third"]
    for path in others:
        repo.git("clone", "--quiet", str(tmp_path / "remote.git"), str(path))
    return [repo, *map(Repo, others)]


# --- who writes


def test_a_copied_clone_writes_under_a_name_of_its_own(team: list[Repo], tmp_path: Path) -> None:
    first, second, _ = team
    add(first, "before")
    push(first)
    copy = copied(first, tmp_path / "copy")
    assert writer(copy) != writer(first)
    add(first, "in the first")
    add(copy, "in the copy")
    push(first)
    push(copy)
    assert ledgers(first).keys() == {writer(first), writer(copy)}
    for one in (first, copy, second):
        fetch(one)
        assert names(one) == {"before", "in the first", "in the copy"}
        assert problems(one) == []


def test_a_copy_that_cannot_be_told_apart_is_noticed_when_both_push(team: list[Repo], tmp_path: Path) -> None:
    first, second, _ = team
    add(first, "before")
    push(first)
    copy = copied(first, tmp_path / "copy", image=True)
    assert writer(copy) == writer(first)
    add(first, "in the first")
    add(copy, "in the copy")
    only_folded(copy)
    push(first)
    before = writer(first)
    done = push(copy)
    assert "another clone writes under this one's name" in done.note
    assert writer(copy) != writer(first) == before
    assert push(copy).note == ""
    for one in (first, copy, second):
        fetch(one)
        assert names(one) == {"before", "in the first", "in the copy"}


def test_a_purge_is_kept_by_a_clone_that_gets_another_name(team: list[Repo], tmp_path: Path) -> None:
    first, second, _ = team
    secret = add(first, "secret")
    push(first)
    copy = copied(first, tmp_path / "copy", image=True)
    add(copy, "in the copy")
    push(copy)
    add(first, "in the first")
    opened(first).purge([secret])
    push(first)
    for one in (first, copy, second):
        fetch(one)
        assert names(one) == {"in the first", "in the copy"}


def test_a_purge_is_kept_where_a_copy_has_more(team: list[Repo], tmp_path: Path) -> None:
    first, second, _ = team
    secret = add(first, "secret")
    push(first)
    copy = copied(first, tmp_path / "copy", image=True)
    add(copy, "in the copy")
    push(copy)
    opened(first).purge([secret])
    with pytest.raises(PurgeNotPushed, match="has more of the ledger"):
        opened(first).push_purged()
    push(first)
    for one in (first, copy, second):
        fetch(one)
        assert names(one) == {"in the copy"}


def test_a_restored_backup_goes_on_where_it_was(team: list[Repo], tmp_path: Path) -> None:
    first, second, _ = team
    add(first, "before")
    push(first)
    copied(first, tmp_path / "backup", image=True)
    add(first, "after the backup")
    push(first)
    name = writer(first)
    shutil.rmtree(first.path)
    copied(Repo(tmp_path / "backup"), first.path, image=True)
    assert names(first) == {"before"}
    add(first, "after it was restored")
    only_folded(first)
    fetch(first)
    push(first)
    fetch(second)
    assert names(first) == names(second) == {"before", "after the backup", "after it was restored"}
    assert push(first).runs == ()
    assert len(ledgers(first)) in (1, 2)
    assert name in ledgers(first)


def test_a_backup_does_not_bring_back_what_was_purged_since(team: list[Repo], tmp_path: Path) -> None:
    first, second, _ = team
    secret = add(first, "secret")
    push(first)
    copied(first, tmp_path / "backup", image=True)
    opened(first).purge([secret])
    assert opened(first).push_purged().replaced
    shutil.rmtree(first.path)
    copied(Repo(tmp_path / "backup"), first.path, image=True)
    assert names(first) == {"secret"}
    push(first)
    fetch(second)
    assert names(first) == names(second) == set()
    assert ledgers(first).keys() == {writer(first)}
    assert secret not in second.git("log", "--format=%B", *ledgers(first).values())


def test_a_backup_that_purges_keeps_what_was_purged_since(team: list[Repo], tmp_path: Path) -> None:
    first, second, _ = team
    secret, other = add(first, "secret"), add(first, "other")
    add(first, "third")
    push(first)
    copied(first, tmp_path / "backup", image=True)
    opened(first).purge([secret])
    assert opened(first).push_purged().replaced
    shutil.rmtree(first.path)
    copied(Repo(tmp_path / "backup"), first.path, image=True)
    opened(first).purge([other])
    assert opened(first).push_purged().replaced
    fetch(second)
    assert names(first) == names(second) == {"third"}
    assert all_purges(opened(second).repo).keys() == {secret, other}
    assert secret not in first.git("for-each-ref", "--format=%(refname)")
    assert problems(first) == problems(second) == []


def test_jobs_that_share_a_name_and_purge_at_once(team: list[Repo], monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = team
    monkeypatch.setenv("GITTRACK_WRITER", "ci")
    one, two = add(first, "one"), add(first, "two")
    add(first, "three")
    push(first)
    fetch(second)
    opened(second).purge([one])
    assert opened(second).push_purged().replaced
    opened(first).purge([two])
    assert opened(first).push_purged().replaced
    monkeypatch.delenv("GITTRACK_WRITER")
    fetch(third)
    monkeypatch.setenv("GITTRACK_WRITER", "ci")
    fetch(second)
    push(second)
    assert names(first) == names(second) == names(third) == {"three"}


def test_a_clone_that_was_moved_shares_what_only_its_ledger_has(team: list[Repo], tmp_path: Path) -> None:
    first, second, _ = team
    add(first, "folded")
    only_folded(first)
    name = writer(first)
    moved = copied(first, tmp_path / "moved")
    shutil.rmtree(first.path)
    assert "passed on 1 ledger" in push(moved).note
    assert writer(moved) != name
    assert push(moved).note == ""
    fetch(second)
    assert names(second) == {"folded"}


def test_a_ledger_that_a_remote_refused_is_passed_on_later(team: list[Repo], tmp_path: Path) -> None:
    first, second, third = team
    add(first, "one")
    opened(first).create_bundle(tmp_path / "file")
    opened(second).apply_bundle(tmp_path / "file")
    hook = tmp_path / "remote.git" / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    assert opened(second).push(data=False).refused.keys() == {layout.LEDGERS + writer(first)}
    hook.unlink()
    push(second)
    fetch(third)
    assert names(third) == {"one"}


def test_a_run_that_ends_while_a_push_loses_a_race_waits_for_the_next(
    team: list[Repo], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = team
    monkeypatch.setenv("GITTRACK_WRITER", "ci")
    add(first, "begun")
    send = gittrack.share.send

    # The real push, only later: somebody else comes first between the look at the remote and it.
    def beaten(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(gittrack.share, "send", send)
        add(second, "faster")
        push(second)
        add(first, "ended meanwhile")
        return send(*arguments, **options)

    monkeypatch.setattr(gittrack.share, "send", beaten)
    push(first)
    fetch(third)
    assert names(third) == {"begun", "faster"}
    push(first)
    fetch(third)
    assert names(third) == {"begun", "faster", "ended meanwhile"}


def test_an_experiment_with_what_unicode_calls_a_line_end(team: list[Repo]) -> None:
    first, second, _ = team
    run = add(first, "one", experiment="ex\u2028p")
    done = opened(first).push(data=False, experiment="ex\u2028p")
    assert [one.id for one in done.runs] == [run]
    fetch(second)
    assert names(second) == {"one"}


def test_a_name_that_parts_of_ledgers_have_is_nobodys(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITTRACK_WRITER", "part-time")
    with pytest.raises(SettingsError, match="does not begin with part-"):
        writer(repo)


def test_jobs_that_share_a_name_go_on_from_each_other(team: list[Repo], monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = team
    monkeypatch.setenv("GITTRACK_WRITER", "ci")
    add(first, "one")
    push(first)
    add(second, "two")
    push(second)
    assert names(second) == {"one", "two"}
    monkeypatch.delenv("GITTRACK_WRITER")
    fetch(third)
    assert names(third) == {"one", "two"}
    assert ledgers(first).keys() == {"ci"}


def test_jobs_that_share_a_name_may_push_at_once(team: list[Repo], tmp_path: Path) -> None:
    jobs = []
    for number in range(4):
        job = Repo(tmp_path / f"job-{number}")
        team[0].git("clone", "--quiet", str(tmp_path / "remote.git"), str(job.path))
        add(job, f"run-{number}")
        jobs.append(job)
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "gittrack", "push", "--no-data"],
            cwd=job.path,
            env={**os.environ, "GITTRACK_WRITER": "ci"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for job in jobs
    ]
    said = [child.communicate(timeout=120)[0] for child in children]
    assert [child.returncode for child in children] == [0] * 4, said
    fetch(team[1])
    assert names(team[1]) == {f"run-{number}" for number in range(4)}
    assert ledgers(team[1]).keys() == {"ci"}


# --- what was changed on several sides


def test_amendments_of_one_run_in_three_clones(team: list[Repo]) -> None:
    run = add(team[0], "shared")
    push(team[0])
    for one in team[1:]:
        fetch(one)
    for number, one in enumerate(team):
        opened(one).amend(run, tags={"last": str(number), f"from-{number}": "x"})
    for _ in range(2):
        for one in team:
            push(one)
            fetch(one)
    found = [tags(one, "shared") for one in team]
    assert found[0] == found[1] == found[2]
    assert found[0].keys() == {"last", "from-0", "from-1", "from-2"}
    # Who saw all of them has the last word.
    opened(team[1]).amend(run, tags={"last": "again"})
    push(team[1])
    for one in (team[0], team[2]):
        fetch(one)
        assert tags(one, "shared")["last"] == "again"


def test_runs_pushed_by_hand_are_taken_in(team: list[Repo]) -> None:
    first, second, third = team
    run = add(first, "by hand")
    ref = layout.run_ref("digits", run)
    first.git("push", "--quiet", "origin", f"{ref}:{ref}")
    done = fetch(second)
    assert [one.id for one in done.runs] == [run]
    assert fetch(second).runs == ()
    opened(second).amend(run, tags={"kind": "cv"})
    push(second)
    opened(first).amend(run, tags={"more": "x"})
    first.git("push", "--quiet", "origin", f"{ref}:{ref}")
    push(first)
    for one in (third, second, first):
        fetch(one)
        assert tags(one, "by hand") == {"kind": "cv", "more": "x"}
        assert problems(one) == []


def test_what_two_said_and_pushed_by_hand_alone_comes_together(team: list[Repo]) -> None:
    first, second, _ = team
    run = add(first, "by hand")
    ref = layout.run_ref("digits", run)
    first.git("push", "--quiet", "origin", f"{ref}:{ref}")
    fetch(second)
    opened(first).amend(run, tags={"first": "x"})
    opened(second).amend(run, tags={"second": "y"})
    first.git("push", "--quiet", "origin", f"{ref}:{ref}")
    fetch(second)
    assert tags(second, "by hand") == {"first": "x", "second": "y"}
    assert problems(second) == []


# --- purges


def test_a_purge_takes_no_file_that_another_run_has(repo: Repo) -> None:
    add(repo, "older", params={"lr": 0.1})
    opened(repo).pack()
    secret = add(repo, "secret", params={"lr": 0.1})
    opened(repo).pack()
    done = opened(repo).purge([secret])
    assert (done.objects > 0, done.reached) == (True, {})
    assert repo.git("fsck", "--strict", "--no-dangling") == ""
    assert dict(opened(repo).get_run("older").record.params) == {"lr": 0.1}
    assert problems(repo) == []


def test_the_bytes_of_a_purged_run_are_gone(repo: Repo) -> None:
    secret = add(repo, "secret", description="the password is tarantula")
    add(repo, "other")
    commit = opened(repo).get_run(secret).commit
    opened(repo).amend(secret, description="no, it is not")
    opened(repo).pack()
    opened(repo).purge([secret])
    assert repo.git("cat-file", "-t", str(commit), check=False) == ""
    objects = repo.git("cat-file", "--batch-check", "--batch-all-objects").splitlines()
    assert not any("tarantula" in repo.git("cat-file", "-p", line.split()[0]) for line in objects)


@pytest.mark.parametrize("after", ["a kill", "others recorded"])
def test_what_a_purge_left_goes_with_the_next(repo: Repo, monkeypatch: pytest.MonkeyPatch, after: str) -> None:
    secret = add(repo, "secret", description="the password is tarantula")
    add(repo, "other")
    opened(repo).pack()
    commit = str(opened(repo).get_run(secret).commit)
    with monkeypatch.context() as patch:
        if after == "a kill":
            patch.setattr(gittrack.ledger.purge, "_still_reached", lambda *_: os.kill(os.getpid(), signal.SIGINT))
            with pytest.raises(KeyboardInterrupt):
                opened(repo).purge([secret])
        else:
            patch.setattr(Project, "live", lambda _: [object()])
            assert opened(repo).purge([secret]).waiting
    assert repo.git("cat-file", "-t", commit).strip() == "commit"
    done = opened(repo).purge([])
    assert (done.runs, done.objects > 0, done.waiting) == ((), True, False)
    assert repo.git("cat-file", "-t", commit, check=False) == ""
    with pytest.raises(UsageError, match="nothing is here"):
        opened(repo).purge([])
    assert problems(repo) == []


def test_a_purge_travels_and_no_clone_brings_the_run_back(team: list[Repo]) -> None:
    first, second, third = team
    secret = add(first, "secret")
    add(first, "other")
    push(first)
    for one in (second, third):
        fetch(one)
    opened(second).amend(secret, tags={"kind": "cv"})
    push(second)
    fetch(first)
    done = opened(first).purge([secret], reason="it is secret")
    assert done.reached == {secret: (layout.LEDGERS + writer(second),)}
    with pytest.raises(PurgeNotPushed, match="gc --purge --push"):
        opened(first).push(data=False)
    assert "purged" in opened(first).fetch(data=False).note
    assert opened(first).push_purged().replaced
    assert not opened(first).push_purged().replaced
    # The third has not heard of it yet, and says something more.
    opened(third).amend(secret, description="new words")
    for _ in range(2):
        for one in (third, second, first):
            push(one)
            fetch(one)
            assert names(one) <= {"other", "secret"}
    for one in team:
        assert names(one) == {"other"}
        assert problems(one) == []


def test_a_purged_run_on_a_ref_of_its_own_stays_away(team: list[Repo]) -> None:
    first, second, _ = team
    secret = add(first, "secret")
    ref = layout.run_ref("digits", secret)
    first.git("push", "--quiet", "origin", f"{ref}:{ref}")
    push(first)
    fetch(second)
    opened(second).purge([secret])
    push(second)
    fetch(second)
    assert names(second) == set()
    assert secret not in second.git("for-each-ref", "--format=%(refname)")
    fetch(first)
    assert names(first) == set()


def test_what_still_reaches_a_purged_run_is_named(team: list[Repo]) -> None:
    first, second, _ = team
    secret = add(first, "secret")
    push(first)
    fetch(second)
    commit = opened(second).get_run(secret).commit
    second.git("tag", "keep-it", str(commit))
    done = opened(second).purge([secret])
    assert set(done.reached[secret]) == {layout.LEDGERS + writer(first), "refs/tags/keep-it"}
    assert second.git("cat-file", "-t", str(commit)) == "commit"


# --- merging ledgers


def test_a_dead_writer_that_wakes_up_again(team: list[Repo]) -> None:
    first, second, third = team
    add(second, "of the second")
    push(second)
    dead = writer(second)
    add(first, "of the first")
    fetch(first)
    done = opened(first).merge_ledgers(idle_days=-1)
    assert done.ledgers == (dead,)
    assert ledgers(first).keys() == {writer(first)}
    fetch(third)
    assert names(third) == {"of the first", "of the second"}
    add(second, "after the sleep")
    fetch(second)
    push(second)
    assert writer(second) == dead
    for one in team:
        fetch(one)
        assert names(one) == {"of the first", "of the second", "after the sleep"}
        assert problems(one) == []


def test_merging_carries_purges_along_and_no_purged_run(team: list[Repo]) -> None:
    first, second, third = team
    secret = add(first, "secret")
    push(first)
    fetch(second)
    opened(second).amend(secret, tags={"kind": "cv"})
    push(second)
    fetch(third)
    opened(first).purge([secret])
    opened(first).push_purged()
    fetch(third)
    opened(third).merge_ledgers(idle_days=-1)
    assert ledgers(third).keys() == {writer(third)}
    assert secret not in third.git("log", "--format=%B", *ledgers(third).values())
    fourth = team[0].path.with_name("fourth")
    third.git("clone", "--quiet", str(team[0].path.with_name("remote.git")), str(fourth))
    push(second)
    fetch(Repo(fourth))
    assert names(Repo(fourth)) == set()


def test_what_is_no_ledger_keeps_no_other_from_being_merged(team: list[Repo]) -> None:
    first, second, _ = team
    add(second, "left")
    push(second)
    fetch(first)
    first.git("update-ref", f"{layout.LEDGERS}junk", "HEAD")
    done = opened(first).merge_ledgers(idle_days=-1, local=True)
    assert (done.ledgers, list(done.refused)) == ((writer(second),), ["junk"])
    opened(first).mirror()
    assert "junk" not in ledgers(first)


@pytest.mark.parametrize("ref", [f"{layout.RUNS}digits/{'a' * 32}/{'b' * 32}", f"{layout.LEDGERS}{{writer}}/sub"])
def test_odd_refs_of_a_remote_keep_nobody_from_fetching(team: list[Repo], ref: str) -> None:
    first, second, _ = team
    add(first, "mine", id="a" * 32)
    push(first)
    add(second, "new")
    push(second)
    odd = ref.format(writer=writer(second) + "x")
    second.git("push", "--quiet", "origin", f"HEAD:{odd}")
    done = opened(first).fetch(data=False)
    assert list(done.refused) == [odd]
    assert names(first) == {"mine", "new"}


def test_a_ledger_that_somebody_wrote_to_meanwhile_is_left(team: list[Repo]) -> None:
    first, second, third = team
    add(second, "one")
    push(second)
    fetch(first)
    add(second, "two")
    push(second)
    done = opened(first).merge_ledgers(idle_days=-1)
    assert done.ledgers == ()
    assert "fetch" in done.refused[writer(second)]
    fetch(third)
    assert names(third) == {"one", "two"}


# --- damage


def rewritten(repo: Repo, lines: Iterable[bytes] | None) -> str:
    """The newest page of this clone's ledger with other lines, or without any; returns the new page."""
    repository = opened(repo).repo
    ref = layout.LEDGERS + writer(repo)
    tip = repo.git("rev-parse", ref)
    commit = repository.read_object(tip, "commit")
    batch = ObjectBatch(repository)
    files = {} if lines is None else {layout.LINES: batch.blob(b"".join(one + b"\n" for one in lines))}
    tree = batch.folder(files)
    parents = layout.commit_links(commit)[1]
    message = commit.partition(b"\n\n")[2].decode()
    page = batch.commit(tree=tree, parents=parents, author=SOMEONE, committer=SOMEONE, message=message)
    batch.write()
    repo.git("update-ref", ref, page)
    return page


def newest_lines(repo: Repo) -> list[bytes]:
    repository = opened(repo).repo
    tip = repository.resolve(layout.LEDGERS + writer(repo))
    assert tip is not None
    content = list(read_pages(repository, page_ids(repository, tip)[0]))[-1]
    assert isinstance(content, PageContent)
    return list(content.lines)


@pytest.fixture
def two(team: list[Repo]) -> list[Repo]:
    """A team whose first has two runs in its ledger and no other refs of them."""
    first = team[0]
    for name in ("one", "two"):
        ref = layout.run_ref("digits", add(first, name))
        opened(first).pack()
        first.git("update-ref", "-d", ref)
    add(first, "three")
    opened(first).pack()
    return team


@pytest.mark.parametrize("lines", [None, [], [b'{"id": "x"}'] * 2])
def test_a_page_with_other_lines_than_members_is_named_and_read_all_the_same(
    two: list[Repo], lines: list[bytes] | None
) -> None:
    page = rewritten(two[0], lines)
    found = problems(two[0])
    assert len(found) == 1
    assert page in found[0].reason
    assert names(two[0]) == {"one", "two", "three"}
    assert two[0].gittrack("fsck", check=False).returncode == 4
    push(two[0])
    fetch(two[1])
    assert names(two[1]) == {"one", "two", "three"}


def test_a_page_whose_lines_are_missing_is_named_and_read_all_the_same(two: list[Repo]) -> None:
    first = two[0]
    page = rewritten(first, [b"soon gone"])
    blob = first.git("rev-parse", f"{page}:{layout.LINES}")
    (first.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    assert names(first) == {"one", "two", "three"}
    assert any(page in one.reason for one in problems(first))


def test_a_line_that_disagrees_with_its_commit_is_named(two: list[Repo]) -> None:
    first = two[0]
    page = rewritten(first, [one.replace(b'"three"', b'"better"') for one in newest_lines(first)])
    found = problems(first)
    assert len(found) == 1
    assert page in found[0].reason
    assert "says something else" in found[0].reason
    assert names(first) >= {"one", "two"}


@pytest.mark.parametrize("line", [b"nonsense", b"[]", b'{"id": 7}', b"{}", b"\xff"])
def test_a_line_that_makes_no_sense_hides_nothing(two: list[Repo], line: bytes) -> None:
    first = two[0]
    page = rewritten(first, [line])
    assert names(first) == {"one", "two", "three"}
    assert any(page in one.reason for one in problems(first))
    add(first, "four")
    push(first)
    fetch(two[1])
    assert names(two[1]) == {"one", "two", "three", "four"}


@pytest.mark.parametrize("what", ["commit", "tag", "tag of a ledger", "blob", "tree"])
def test_a_ledger_that_is_none_is_refused_and_the_others_come(team: list[Repo], what: str) -> None:
    first, second, third = team
    add(first, "good")
    push(first)
    if what.startswith("tag"):
        first.git("tag", "-a", "-m", "x", "v1", ledgers(first)[writer(first)] if "ledger" in what else "HEAD")
    target = {"commit": "HEAD", "blob": "HEAD:train.py", "tree": "HEAD^{tree}"}.get(what, "v1")
    ref = f"{layout.LEDGERS}strange"
    first.git("push", "--quiet", "origin", f"{first.git('rev-parse', target)}:{ref}")
    done = opened(second).fetch(data=False)
    assert list(done.refused) == [ref]
    assert names(second) == {"good"}
    assert second.git("for-each-ref", layout.INCOMING) == ""
    # Here by another way, it is named and harms nobody.
    third.git("fetch", "--quiet", "origin", f"{ref}:{ref}")
    assert any(one.where == ref for one in problems(third)) or what == "tag of a ledger"
    fetch_ = opened(third).fetch(data=False)
    assert names(third) == {"good"} or fetch_.refused
    add(third, "mine")
    push(third)
    assert "mine" in names(third)


@pytest.mark.parametrize("what", ["HEAD", "HEAD:train.py"])
def test_an_own_ledger_that_is_none_is_said_so(team: list[Repo], what: str) -> None:
    first = team[0]
    add(first, "good")
    ref = layout.LEDGERS + writer(first)
    first.git("update-ref", ref, first.git("rev-parse", what))
    assert names(first) == {"good"}
    done = first.gittrack("push", "--no-data", check=False)
    assert done.returncode == 1
    assert ref in done.stderr
    assert "Traceback" not in done.stderr
    assert any(one.where == ref for one in problems(first))
    assert first.git("rev-parse", ref) == first.git("rev-parse", what)
    first.git("update-ref", "-d", ref)
    push(first)
    fetch(team[1])
    assert names(team[1]) == {"good"}


def test_a_forged_run_commit_is_named_and_spoils_no_other(team: list[Repo]) -> None:
    first, second, _ = team
    good = add(first, "good")
    line = '{"format": 1, "id": "%s", "name": "forged"}'
    message = "digits/forged: finished\n\nGittrack-Record: " + line
    ids = {"wrong id": ("b" * 32, "c" * 32), "no more": ("d" * 32, "d" * 32)}
    for named, claimed in ids.values():
        commit = first.git("commit-tree", "-m", message % claimed, "HEAD^{tree}", "-p", "HEAD")
        first.git("update-ref", layout.run_ref("digits", named), commit)
        first.git("push", "--quiet", "origin", layout.run_ref("digits", named))
    assert names(first) == {"good"}
    assert {one.where[-32:] for one in problems(first)} == {"b" * 32, "d" * 32}
    push(first)
    done = opened(second).fetch(data=False)
    assert names(second) == {"good"}
    assert {ref[-32:] for ref in done.refused} >= {"b" * 32}
    assert [run.id for run in opened(second).runs()] == [good]
