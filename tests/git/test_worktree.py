"""What differs from HEAD, as real git sees it, for every kind of change."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from gittrack.errors import GitFailed
from gittrack.git.repository import Repository
from gittrack.git.worktree import parse_status, untracked_files, worktree_status, write_snapshot_tree
from tests.helpers import Repo


def changes(repo: Repo) -> dict[str, str]:
    """Path to kind; looking may change nothing."""
    before = repo.status_fingerprint()
    status = worktree_status(Repository.discover(repo.path))
    assert repo.status_fingerprint() == before
    assert len({change.path for change in status.changes}) == len(status.changes) or "deleted" in {
        change.kind for change in status.changes
    }
    return {change.path: change.kind for change in status.changes}


def test_a_clean_tree(repo: Repo) -> None:
    status = worktree_status(Repository.discover(repo.path))
    assert status.clean
    assert status.head == repo.git("rev-parse", "HEAD")
    assert (status.branch, status.ahead) == ("main", None)


def test_modified_in_the_worktree_or_the_index(repo: Repo) -> None:
    repo.write("other.py", "1")
    repo.commit()
    repo.write("train.py", "new")
    repo.write("other.py", "2")
    repo.git("add", "other.py")
    assert changes(repo) == {"train.py": "modified", "other.py": "modified"}


def test_touched_but_equal_is_clean(repo: Repo) -> None:
    os.utime(repo.path / "train.py", (1, 1))
    assert changes(repo) == {}


def test_added_deleted_and_renamed(repo: Repo) -> None:
    repo.write("old.py", "a file that is renamed\n" * 20)
    repo.write("gone.py", "1")
    repo.write("gone too.py", "1")
    repo.commit()
    repo.git("mv", "old.py", "new.py")
    repo.git("rm", "--quiet", "gone.py")
    (repo.path / "gone too.py").unlink()
    repo.write("fresh.py", "1")
    repo.git("add", "fresh.py")
    assert changes(repo) == {
        "old.py": "deleted",
        "new.py": "added",
        "gone.py": "deleted",
        "gone too.py": "deleted",
        "fresh.py": "added",
    }


def test_intent_to_add_is_added(repo: Repo) -> None:
    repo.write("planned.py", "1")
    repo.git("add", "--intent-to-add", "planned.py")
    assert changes(repo) == {"planned.py": "added"}


def test_removed_from_the_index_only(repo: Repo) -> None:
    repo.git("rm", "--quiet", "--cached", "train.py")
    found = worktree_status(Repository.discover(repo.path)).changes
    assert sorted(change.kind for change in found) == ["deleted", "untracked"]


def test_unmerged(repo: Repo) -> None:
    repo.git("checkout", "--quiet", "-b", "side")
    repo.write("train.py", "theirs")
    repo.commit()
    repo.git("checkout", "--quiet", "main")
    repo.write("train.py", "ours")
    repo.commit()
    repo.git("merge", "side", check=False)
    assert changes(repo) == {"train.py": "unmerged"}


def test_untracked_files_and_folders_but_not_ignored_ones(repo: Repo) -> None:
    repo.write(".gitignore", "*.log\n")
    repo.commit()
    repo.write("a.log", "")
    repo.write("notes.txt", "")
    repo.write("data/one", "")
    repo.write("data/two", "")
    (repo.path / "empty").mkdir()
    assert changes(repo) == {"notes.txt": "untracked", "data/": "untracked"}
    assert sorted(untracked_files(Repository.discover(repo.path))) == ["data/one", "data/two", "notes.txt"]


def test_the_users_settings_hide_nothing(repo: Repo) -> None:
    repo.git("config", "status.showUntrackedFiles", "no")
    repo.git("config", "status.relativePaths", "false")
    repo.git("config", "status.renames", "copies")
    repo.git("config", "color.status", "always")
    repo.git("config", "status.short", "true")
    repo.write("notes.txt", "")
    assert changes(repo) == {"notes.txt": "untracked"}


def test_type_and_mode_changes(repo: Repo) -> None:
    repo.write("run.sh", "#!/bin/sh\n")
    repo.write("file", "1")
    repo.commit()
    (repo.path / "run.sh").chmod(0o755)
    (repo.path / "file").unlink()
    (repo.path / "file").symlink_to("train.py")
    assert changes(repo) == {"run.sh": "modified", "file": "modified"}


def test_a_folder_in_place_of_a_file(repo: Repo) -> None:
    (repo.path / "train.py").unlink()
    repo.write("train.py/inner", "1")
    assert changes(repo) == {"train.py": "deleted"}
    assert untracked_files(Repository.discover(repo.path)) == ["train.py/inner"]


def test_line_endings_that_git_converts_are_no_change(repo: Repo) -> None:
    repo.write(".gitattributes", "*.py text eol=crlf\n")
    repo.write("win.py", "one\ntwo\n")
    repo.commit()
    (repo.path / "win.py").unlink()
    repo.git("checkout", "win.py")
    assert (repo.path / "win.py").read_bytes() == b"one\r\ntwo\r\n"
    os.utime(repo.path / "win.py", (1, 1))
    assert changes(repo) == {}
    repo.write("win.py", "one\r\nthree\r\n")
    assert changes(repo) == {"win.py": "modified"}


# --- submodules and nested repositories


@pytest.fixture
def library(repo: Repo, tmp_path: Path) -> Repo:
    """A submodule of `repo` at `lib`, with a commit of its own."""
    upstream = Repo.init(tmp_path / "library")
    repo.git("submodule", "--quiet", "add", str(upstream.path), "lib")
    repo.commit()
    return Repo(repo.path / "lib")


def test_a_clean_submodule(repo: Repo, library: Repo) -> None:
    assert changes(repo) == {}


@pytest.mark.parametrize("ignore", ["all", "dirty", "untracked", "none"])
@pytest.mark.parametrize("name", ["train.py", "new file"])
def test_a_submodule_with_changes_of_its_own(repo: Repo, library: Repo, name: str, ignore: str) -> None:
    repo.git("config", "submodule.lib.ignore", ignore)
    repo.git("config", "diff.ignoreSubmodules", ignore)
    library.write(name, "changed")
    assert changes(repo) == {"lib": "submodule"}


def test_a_submodule_at_another_commit(repo: Repo, library: Repo) -> None:
    library.commit()
    assert changes(repo) == {"lib": "moved submodule"}
    library.write("more", "1")
    assert changes(repo) == {"lib": "submodule"}


@pytest.mark.parametrize("place", ["inner", "deep/inner"])
@pytest.mark.parametrize("commits", [True, False])
def test_a_repository_inside_that_is_no_submodule(repo: Repo, place: str, commits: bool) -> None:
    inner = repo.path / place
    if commits:
        Repo.init(inner)
    else:
        inner.mkdir(parents=True)
        Repo(inner).git("init", "--quiet")
        (inner / "file").write_text("1")
    top = place.split("/")[0] + "/"
    assert set(changes(repo)) == {top}
    if place == "inner":
        assert changes(repo) == {top: "nested"}
    assert untracked_files(Repository.discover(repo.path)) == [place + "/"]


# --- what git was told not to look at


@pytest.mark.parametrize("mark", ["--assume-unchanged", "--skip-worktree"])
def test_edits_that_git_was_told_to_overlook(repo: Repo, mark: str) -> None:
    repo.write("same.py", "1")
    repo.write("dir/conf.txt", "1\n")
    repo.write(".gitattributes", "dir/*.txt text eol=crlf\n")
    repo.commit()
    repo.git("update-index", mark, "train.py", "same.py", "dir/conf.txt")
    repo.write("dir/conf.txt", "1\r\n")
    assert changes(repo) == {}
    repo.write("train.py", "secretly changed")
    assert changes(repo) == {"train.py": "hidden"}
    (repo.path / "train.py").unlink()
    (repo.path / "train.py").symlink_to("same.py")
    assert changes(repo) == {"train.py": "hidden"}


def test_a_deletion_that_git_was_told_to_overlook(repo: Repo) -> None:
    repo.git("update-index", "--assume-unchanged", "train.py")
    (repo.path / "train.py").unlink()
    assert changes(repo) == {"train.py": "hidden"}


def test_a_mode_that_git_was_told_to_overlook(repo: Repo) -> None:
    repo.git("update-index", "--assume-unchanged", "train.py")
    (repo.path / "train.py").chmod(0o755)
    assert changes(repo) == {"train.py": "hidden"}


def test_many_overlooked_files(repo: Repo) -> None:
    names = [f"{'folder' * 30}/file {number}" for number in range(1200)]
    for name in names:
        repo.write(name, "1")
    repo.commit()
    repo.git("update-index", "-z", "--assume-unchanged", "--stdin", input="\0".join(names) + "\0")
    assert changes(repo) == {}
    repo.write(names[700], "2")
    assert changes(repo) == {names[700]: "hidden"}


def test_a_sparse_checkout_is_clean_but_for_what_is_edited(repo: Repo) -> None:
    repo.write("kept/a", "1")
    repo.write("left/b", "1")
    repo.commit()
    repo.git("sparse-checkout", "set", "kept")
    assert not (repo.path / "left").exists()
    assert changes(repo) == {}
    repo.write("kept/a", "2")
    assert changes(repo) == {"kept/a": "modified"}
    repo.write("left/b", "written all the same")
    assert "left/b" in changes(repo)


def test_a_sparse_index(repo: Repo) -> None:
    repo.write("kept/a", "1")
    repo.write("left/b", "1")
    repo.commit()
    repo.git("sparse-checkout", "set", "--cone", "--sparse-index", "kept")
    assert changes(repo) == {}


# --- where HEAD is


def test_an_unborn_head(tmp_path: Path) -> None:
    path = tmp_path / "new"
    path.mkdir()
    repo = Repo(path)
    repo.git("init", "--quiet")
    repo.write("a", "1")
    status = worktree_status(Repository.discover(path))
    assert (status.head, status.branch) == (None, "main")
    assert changes(repo) == {"a": "untracked"}


def test_a_detached_head(repo: Repo) -> None:
    repo.git("checkout", "--quiet", "--detach")
    status = worktree_status(Repository.discover(repo.path))
    assert (status.head, status.branch) == (repo.git("rev-parse", "HEAD"), None)


def test_ahead_of_the_upstream(repo: Repo, tmp_path: Path) -> None:
    repo.git("clone", "--quiet", "--bare", str(repo.path), str(tmp_path / "up.git"))
    repo.git("remote", "add", "origin", str(tmp_path / "up.git"))
    repo.git("push", "--quiet", "--set-upstream", "origin", "main")
    assert worktree_status(Repository.discover(repo.path)).ahead == 0
    repo.commit()
    assert worktree_status(Repository.discover(repo.path)).ahead == 1


def test_from_a_linked_worktree(repo: Repo, tmp_path: Path) -> None:
    repo.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "linked"))
    (tmp_path / "linked" / "train.py").write_text("changed there")
    assert changes(repo) == {}
    status = worktree_status(Repository.discover(tmp_path / "linked"))
    assert status.branch == "side"
    assert [str(change) for change in status.changes] == ["train.py (modified)"]


@pytest.mark.parametrize("name", [b"caf\xe9.py", b"two\nlines.py", b'quo"te.py', b" # ?.py", "snow☃.py".encode()])
def test_names_of_any_bytes(repo: Repo, name: bytes) -> None:
    path = os.fsdecode(name)
    repo.write(path, "1")
    assert changes(repo) == {path: "untracked"}
    assert untracked_files(Repository.discover(repo.path)) == [path]
    repo.commit()
    repo.write(path, "2")
    assert changes(repo) == {path: "modified"}
    repo.git("update-index", "--assume-unchanged", path)
    assert changes(repo) == {path: "hidden"}


def test_a_branch_whose_name_is_no_unicode(repo: Repo) -> None:
    repo.git("symbolic-ref", "HEAD", os.fsdecode(b"refs/heads/caf\xe9"))
    repo.git("update-ref", "HEAD", repo.git("rev-parse", "main"))
    assert worktree_status(Repository.discover(repo.path)).branch == os.fsdecode(b"caf\xe9")


def test_a_damaged_index_is_told(repo: Repo) -> None:
    (repo.path / ".git" / "index").write_bytes(b"DIRC garbage that is no index at all, really")
    with pytest.raises(GitFailed, match="index"):
        worktree_status(Repository.discover(repo.path))


def test_status_of_nothing() -> None:
    assert parse_status(b"").clean


# --- snapshots


def make_every_kind_of_change(repo: Repo) -> None:
    repo.write(".gitignore", "*.log\n")
    repo.write("staged.py", "1")
    repo.write("gone.py", "1")
    repo.write("old name.py", "content\n" * 10)
    repo.write("win.txt", "one\ntwo\n")
    repo.write("run.sh", "#!/bin/sh\n")
    repo.write("becomes-link", "1")
    repo.commit()
    repo.write("train.py", "changed")
    repo.write("staged.py", "2")
    repo.git("add", "staged.py")
    repo.write("staged.py", "3")
    (repo.path / "gone.py").unlink()
    repo.git("mv", "old name.py", "new name.py")
    repo.write("win.txt", "one\r\ntwo\n")
    repo.git("config", "core.autocrlf", "input")
    repo.git("config", "core.safecrlf", "true")
    (repo.path / "run.sh").chmod(0o755)
    (repo.path / "becomes-link").unlink()
    (repo.path / "becomes-link").symlink_to("train.py")
    repo.write("planned.py", "1")
    repo.git("add", "--intent-to-add", "planned.py")
    repo.write("new/deep/file", "1")
    repo.write(os.fsdecode(b"caf\xe9"), "1")
    repo.write("a.log", "ignored")


@pytest.mark.parametrize("untracked", [True, False])
def test_a_snapshot_is_the_tree_that_git_would_commit(repo: Repo, untracked: bool) -> None:
    make_every_kind_of_change(repo)
    copy = repo.path.with_name("copy")
    shutil.copytree(repo.path, copy, symlinks=True)
    Repo(copy).git("-c", "core.safecrlf=false", "add", "-A" if untracked else "-u", "--", ":/")
    expected = Repo(copy).git("write-tree")
    before = repo.status_fingerprint()
    assert write_snapshot_tree(Repository.discover(repo.path), untracked=untracked) == expected
    assert repo.status_fingerprint() == before
    assert not list((repo.path / ".git").glob("gittrack-index-*"))


def test_a_snapshot_from_a_subfolder_and_a_linked_worktree(repo: Repo, tmp_path: Path) -> None:
    repo.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "linked"))
    linked = Repo(tmp_path / "linked")
    linked.write("sub/file", "1")
    linked.write("train.py", "2")
    tree = write_snapshot_tree(Repository.discover(linked.path / "sub"), untracked=True)
    assert linked.git("ls-tree", "-r", "--name-only", tree).split() == ["sub/file", "train.py"]
    assert linked.git("show", f"{tree}:train.py") == "2"
    assert repo.git("status", "--porcelain") == ""


def test_a_snapshot_with_a_split_index(repo: Repo) -> None:
    for number in range(30):
        repo.write(f"f{number}", "1")
    repo.commit()
    repo.git("update-index", "--split-index")
    repo.git("config", "core.splitIndex", "true")
    repo.write("f3", "2")
    before = repo.status_fingerprint()
    tree = write_snapshot_tree(Repository.discover(repo.path), untracked=False)
    assert repo.git("show", f"{tree}:f3") == "2"
    assert repo.git("show", f"{tree}:f4") == "1"
    assert repo.status_fingerprint() == before
    assert repo.git("fsck", "--no-dangling") == ""


def test_a_snapshot_without_an_index_file(repo: Repo) -> None:
    (repo.path / ".git" / "index").unlink()
    tree = write_snapshot_tree(Repository.discover(repo.path), untracked=True)
    assert tree == repo.git("rev-parse", "HEAD^{tree}")
    assert not (repo.path / ".git" / "index").exists()


def test_a_snapshot_of_a_sparse_checkout_keeps_what_is_not_checked_out(repo: Repo) -> None:
    repo.write("kept/a", "1")
    repo.write("left/b", "1")
    repo.commit()
    repo.git("sparse-checkout", "set", "kept")
    repo.write("kept/a", "2")
    tree = write_snapshot_tree(Repository.discover(repo.path), untracked=False)
    assert repo.git("show", f"{tree}:left/b") == "1"
    assert repo.git("show", f"{tree}:kept/a") == "2"


def test_inside_a_hook_the_users_index_is_left_alone(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """git sets GIT_INDEX_FILE in its hooks, and GIT_PREFIX and others."""
    repo.write("train.py", "2")
    before = repo.status_fingerprint()
    monkeypatch.setenv("GIT_INDEX_FILE", str(repo.path / ".git" / "index"))
    monkeypatch.setenv("GIT_DIR", ".git")
    monkeypatch.chdir(repo.path)
    repository = Repository.discover()
    assert [str(one) for one in worktree_status(repository).changes] == ["train.py (modified)"]
    tree = write_snapshot_tree(repository, untracked=True)
    assert repo.git("show", f"{tree}:train.py") == "2"
    assert repo.status_fingerprint() == before
