"""Worktrees of our own: whatever was done to one, afterwards it is as its commit says, and nobody else has lost anything."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gittrack.errors import GitFailed
from gittrack.git.linked import (
    add_linked,
    clean_linked,
    drop_strays,
    fill_submodules,
    lock_linked,
    open_linked,
    remove_linked,
    reset_linked,
    unlock_linked,
    untracked_in,
)
from gittrack.git.repository import Repository
from gittrack.values import replace
from tests.helpers import Repo


def files(folder: Path) -> dict[str, bytes]:
    """Every file but git's own."""
    found = {}
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != ".git"]
        for name in names:
            path = Path(place, name)
            if name != ".git":
                found[str(path.relative_to(folder))] = path.read_bytes()
    return found


@pytest.fixture
def linked(repo: Repo, tmp_path: Path) -> Repository:
    repo.write("sub/deep/a.py", "a")
    repo.write(os.fsdecode(b"odd \xff\n name"), "odd")
    repo.write(".gitignore", "*.bin\n")
    repo.commit()
    return add_linked(Repository.discover(repo.path), tmp_path / "place", repo.git("rev-parse", "HEAD"))


def spoil(place: Path) -> None:
    """All that a training might do, and some that it should not."""
    git = Repo(place)
    git.git("checkout", "-q", "-b", "inside")
    git.write("train.py", "changed")
    git.git("update-index", "--assume-unchanged", "sub/deep/a.py")
    git.write("sub/deep/a.py", "b")
    git.write("new/more.py", "new")
    git.commit("inside")
    git.write("model.bin", "ignored")
    shutil.rmtree(place / "sub")
    git.write("sub", "a file in place of a folder")
    Repo.init(place / "nested")
    (place / "shut").mkdir()
    git.write("shut/in", "x")
    (place / "shut").chmod(0)
    (Path(git.git("rev-parse", "--absolute-git-dir")) / "index.lock").touch()


def test_everything_is_put_back(repo: Repo, linked: Repository) -> None:
    assert linked.root is not None
    commit, fresh = repo.git("rev-parse", "HEAD"), files(linked.root)
    before = repo.status_fingerprint()
    lock_linked(linked, "a run")
    spoil(linked.root)
    inside = repo.git("rev-parse", "inside")
    reset_linked(linked, commit)
    clean_linked(linked)
    assert files(linked.root) == fresh
    assert Repo(linked.root).git("status", "--porcelain", "--ignored") == ""
    assert Repo(linked.root).git("rev-parse", "HEAD") == commit
    assert not Repo(linked.root).git("branch", "--show-current")
    # What it made on purpose is there, and nobody else's branch has moved.
    assert repo.git("rev-parse", "inside") == inside
    repo.git("branch", "-D", "inside")
    assert repo.status_fingerprint() == before


def test_only_what_differs_is_written(repo: Repo, linked: Repository) -> None:
    assert linked.root is not None
    inode = (linked.root / "train.py").stat().st_ino
    repo.git("rm", "-q", "-r", "sub")
    repo.write("new.py", "1")
    reset_linked(linked, repo.commit())
    assert not (linked.root / "sub").exists()
    assert (linked.root / "new.py").exists()
    assert (linked.root / "train.py").stat().st_ino == inode


def test_files_are_converted_as_they_are_by_now(repo: Repo, linked: Repository) -> None:
    """As when somebody installs git-lfs after the first isolated run: the content in git is the same, the file is not."""
    assert linked.root is not None
    script = linked.root / "train.py"
    plain = script.read_bytes()
    repo.git("config", "core.autocrlf", "true")
    # Configuration is read once for each opened repository.
    reset_linked(replace(linked), repo.git("rev-parse", "HEAD"))
    assert script.read_bytes() == plain.replace(b"\n", b"\r\n")
    assert Repo(linked.root).git("status", "--porcelain") == ""
    repo.write(".gitattributes", "*.py -text\n")
    reset_linked(replace(linked), repo.commit())
    assert script.read_bytes() == plain
    inode = script.stat().st_ino
    reset_linked(replace(linked), repo.git("rev-parse", "HEAD"))
    assert script.stat().st_ino == inode


def test_what_is_left_is_listed_and_no_branch_stays_checked_out(repo: Repo, linked: Repository) -> None:
    assert linked.root is not None
    Repo(linked.root).git("checkout", "-q", "-b", "inside")
    for name in ("a.bin", "b.txt", "sub/c"):
        Repo(linked.root).write(name, "x")
    assert sorted(untracked_in(linked)) == ["a.bin", "b.txt", "sub/c"]
    clean_linked(linked)
    assert untracked_in(linked) == []
    repo.git("branch", "-D", "inside")


def test_one_that_fails_leaves_nothing(repo: Repo, tmp_path: Path) -> None:
    repository = Repository.discover(repo.path)
    with pytest.raises(GitFailed):
        add_linked(repository, tmp_path / "place", "0" * 40)
    assert not (tmp_path / "place").exists()
    assert len(repo.git("worktree", "list").splitlines()) == 1
    assert not (repo.path / ".git/worktrees").exists()


def test_taken_away_in_whatever_state(repo: Repo, linked: Repository, tmp_path: Path) -> None:
    repository = Repository.discover(repo.path)
    other = add_linked(repository, tmp_path / "other", repo.git("rev-parse", "HEAD"))
    lock_linked(linked, "a run")
    spoil(tmp_path / "place")
    (tmp_path / "place/.git").unlink()
    assert open_linked(repository, tmp_path / "place") is None
    remove_linked(repository, tmp_path / "place")
    assert not (tmp_path / "place").exists()
    assert open_linked(repository, tmp_path / "other") == other
    remove_linked(repository, tmp_path / "other")
    assert len(repo.git("worktree", "list").splitlines()) == 1
    repo.git("worktree", "prune")
    assert repo.git("fsck", "--no-dangling") == ""


def test_a_clone_that_was_moved_or_copied_does_not_touch_the_other(repo: Repo, linked: Repository) -> None:
    assert linked.root is not None
    copy = repo.path.with_name("copy")
    shutil.copytree(repo.path, copy, symlinks=True)
    copied = Repository.discover(copy)
    assert open_linked(copied, linked.root) is None
    drop_strays(copied)
    assert len(Repo(copy).git("worktree", "list").splitlines()) == 1
    assert open_linked(Repository.discover(repo.path), linked.root) == linked


def test_submodules_come_from_the_users_own(repo: Repo, tmp_path: Path) -> None:
    inner, middle = Repo.init(tmp_path / "inner"), Repo.init(tmp_path / "middle")
    inner.write("deep.py", "deep")
    inner.commit()
    middle.git("submodule", "--quiet", "add", str(inner.path), "inner")
    middle.commit()
    repo.git("submodule", "--quiet", "add", str(middle.path), "lib")
    repo.git("submodule", "--quiet", "update", "--init", "--recursive")
    repo.git("submodule", "--quiet", "add", str(inner.path), "absent")
    commit = repo.commit()
    repo.git("submodule", "--quiet", "deinit", "-f", "absent")
    shutil.rmtree(tmp_path / "inner")
    shutil.rmtree(tmp_path / "middle")
    before = [subprocess.check_output(["git", "status", "-s"], cwd=repo.path / one) for one in ("lib", "lib/inner")]
    linked = add_linked(Repository.discover(repo.path), tmp_path / "place", commit)
    assert linked.root is not None
    for _ in range(2):
        fill_submodules(repo.path, linked)
        assert (linked.root / "lib/inner/deep.py").read_text() == "deep"
        assert (linked.root / "lib/train.py").exists()
        assert list((linked.root / "absent").iterdir()) == []
        assert Repo(linked.root).git("status", "--porcelain") == ""
        (linked.root / "lib/train.py").write_text("changed")
    clean_linked(linked)
    assert not (linked.root / "lib/train.py").exists()
    after = [subprocess.check_output(["git", "status", "-s"], cwd=repo.path / one) for one in ("lib", "lib/inner")]
    assert after == before == [b"", b""]


def test_a_link_in_the_way_of_a_submodule_is_removed_and_not_what_it_leads_to(repo: Repo, tmp_path: Path) -> None:
    Repo.init(tmp_path / "inner")
    repo.git("submodule", "--quiet", "add", str(tmp_path / "inner"), "libs/sub")
    repo.commit()
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "sub").mkdir(parents=True)
    (elsewhere / "sub" / "work.txt").write_text("mine")
    here = Repository.discover(repo.path)
    linked = add_linked(here, tmp_path / "linked", repo.git("rev-parse", "HEAD"))
    fill_submodules(repo.path, linked)
    shutil.rmtree(tmp_path / "linked" / "libs")
    (tmp_path / "linked" / "libs").symlink_to(elsewhere)
    clean_linked(linked)
    assert (elsewhere / "sub" / "work.txt").read_text() == "mine"
    reset_linked(linked, repo.git("rev-parse", "HEAD"))
    fill_submodules(repo.path, linked)
    assert (elsewhere / "sub" / "work.txt").read_text() == "mine"
    assert (tmp_path / "linked" / "libs" / "sub" / "train.py").exists()


def test_a_locked_worktree_is_no_stray(repo: Repo, tmp_path: Path) -> None:
    here = Repository.discover(repo.path)
    linked = add_linked(here, tmp_path / "linked", repo.git("rev-parse", "HEAD"))
    lock_linked(linked, "at work")
    (tmp_path / "linked").rename(tmp_path / "seen-elsewhere")
    drop_strays(here)
    assert linked.git_dir.is_dir()
    unlock_linked(linked)
    drop_strays(here)
    assert not linked.git_dir.exists()
