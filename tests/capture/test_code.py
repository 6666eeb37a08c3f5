"""How the code of a run is recorded: HEAD when clean, else a refusal by name or an exact snapshot."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from gittrack.capture import code as code_module
from gittrack.capture.code import capture_code
from gittrack.capture.identity import signature
from gittrack.domain.run import CodeCapture
from gittrack.errors import DirtyTree, GittrackError, NoCommitYet
from gittrack.git.repository import Repository
from tests.helpers import Repo

LIMIT = 1_000_000


def capture(repo: Repo, allow: str = "none", limit: int = LIMIT) -> CodeCapture:
    """What is captured; index, files, stash and refs must be byte-identical afterwards."""
    before = repo.status_fingerprint()
    stamps = {
        path: path.stat().st_mtime_ns for path in repo.path.rglob("*") if path.is_file() and ".git" not in path.parts
    }
    repository = Repository.discover(repo.path)
    try:
        return capture_code(
            repository, allow_dirty=allow, author=signature(repository, os.environ, now=1e9), snapshot_limit=limit
        )
    finally:
        assert repo.status_fingerprint() == before
        assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
        assert not list((repo.path / ".git").glob("gittrack-index-*"))


def files_of(error: pytest.ExceptionInfo[DirtyTree]) -> list[str]:
    return list(error.value.files)


@pytest.fixture(autouse=True)
def forget_origins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_module, "_origins", {})


def test_a_clean_tree_is_its_commit(repo: Repo) -> None:
    code = capture(repo)
    assert code.captured == code.commit == repo.git("rev-parse", "HEAD")
    assert (code.branch, code.dirty, code.snapshot, code.pushed) == ("main", False, None, None)
    assert (code.default_branch, code.merge_base, code.commits_since_base) == ("main", code.commit, 0)


def test_no_commit_yet(tmp_path: Path) -> None:
    repo = Repo(tmp_path)
    repo.git("init", "--quiet")
    with pytest.raises(NoCommitYet, match="git add -A && git commit"):
        capture(repo)
    repo.write("a", "1")
    with pytest.raises(NoCommitYet):
        capture(repo, "all")


def test_a_bare_repository(repo: Repo, tmp_path: Path) -> None:
    repo.git("clone", "--quiet", "--bare", str(repo.path), str(tmp_path / "bare.git"))
    repository = Repository.discover(tmp_path / "bare.git")
    code = capture_code(repository, allow_dirty="none", author=signature(repository, {}), snapshot_limit=1)
    assert code.commit == repo.git("rev-parse", "HEAD")
    empty = tmp_path / "empty.git"
    empty.mkdir()
    Repo(empty).git("init", "--quiet", "--bare")
    with pytest.raises(NoCommitYet):
        capture_code(Repository.discover(empty), allow_dirty="none", author=signature(repository, {}), snapshot_limit=1)


# --- refusal


def test_a_refusal_names_every_file_and_what_to_do(repo: Repo) -> None:
    repo.write("other.py", "1")
    repo.commit()
    repo.write("train.py", "changed")
    (repo.path / "other.py").unlink()
    repo.write("new/file", "1")
    with pytest.raises(DirtyTree) as raised:
        capture(repo)
    assert sorted(files_of(raised)) == ["new/ (untracked)", "other.py (deleted)", "train.py (modified)"]
    assert "--allow-dirty=tracked" in str(raised.value)
    assert raised.value.exit_code == 4
    assert str(raised.value).startswith("3 files differ")


def test_a_single_file(repo: Repo) -> None:
    repo.write("a", "1")
    with pytest.raises(DirtyTree, match="1 file differs"):
        capture(repo)


# --- snapshots


def every_kind_of_change(repo: Repo) -> None:
    repo.write(".gitignore", "*.log\n")
    repo.write("gone.py", "1")
    repo.write("old.py", "content\n" * 9)
    repo.write("run.sh", "#!/bin/sh\n")
    repo.write("staged.py", "1")
    repo.commit()
    repo.write("train.py", "changed")
    repo.write("staged.py", "2")
    repo.git("add", "staged.py")
    repo.write("staged.py", "3")
    (repo.path / "gone.py").unlink()
    repo.git("mv", "old.py", "new name.py")
    (repo.path / "run.sh").chmod(0o755)
    repo.write("planned.py", "1")
    repo.git("add", "-N", "planned.py")
    repo.write("fresh/one", "1")
    repo.write(os.fsdecode(b"caf\xe9"), "1")
    repo.write("two\nlines", "1")
    repo.write("a.log", "ignored")


@pytest.mark.parametrize("allow", ["tracked", "all"])
def test_a_snapshot_is_exactly_what_git_would_commit(repo: Repo, allow: str) -> None:
    every_kind_of_change(repo)
    copy = repo.path.with_name("copy")
    shutil.copytree(repo.path, copy, symlinks=True)
    Repo(copy).git("add", "-A" if allow == "all" else "-u", "--", ":/")
    expected = Repo(copy).git("write-tree")
    code = capture(repo, allow)
    assert code.snapshot is not None
    assert code.captured == code.snapshot
    assert repo.git("rev-parse", f"{code.snapshot}^{{tree}}") == expected
    assert repo.git("rev-parse", f"{code.snapshot}^") == repo.git("rev-parse", "HEAD")
    assert repo.git("fsck", "--strict", "--no-dangling") == ""
    tracked = {"train.py", "staged.py", "gone.py", "old.py", "new name.py", "run.sh", "planned.py"}
    untracked = {"fresh/one", "caf\\xe9", "two\\nlines"}
    assert tracked <= set(code.files)
    if allow == "all":
        assert set(code.files) == tracked | untracked
        assert code.unrecorded == ()
    else:
        assert set(code.files) == tracked
        assert set(code.unrecorded) == untracked


def test_two_snapshots_of_one_moment_are_one_commit(repo: Repo) -> None:
    repo.write("train.py", "changed")
    assert capture(repo, "tracked").snapshot == capture(repo, "tracked").snapshot


def test_a_clean_tree_needs_no_snapshot_even_where_allowed(repo: Repo) -> None:
    assert capture(repo, "all").snapshot is None


def test_untracked_files_alone_and_only_tracked_allowed(repo: Repo) -> None:
    repo.write("notes.txt", "1")
    code = capture(repo, "tracked")
    assert code.dirty
    assert code.unrecorded == ("notes.txt",)
    assert code.snapshot is not None
    assert repo.git("diff", "--name-only", "HEAD", code.snapshot) == ""


def test_the_users_stash_and_index_with_all_they_hold_stay(repo: Repo) -> None:
    repo.write("train.py", "stashed")
    repo.git("stash")
    repo.write("train.py", "staged")
    repo.git("add", "train.py")
    repo.write("train.py", "worktree")
    code = capture(repo, "all")
    assert repo.git("show", f"{code.snapshot}:train.py") == "worktree"
    assert repo.git("show", ":train.py") == "staged"
    assert repo.git("stash", "list") != ""


def test_identity_of_the_snapshot_without_any_configuration(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, sealed_home: Path
) -> None:
    (sealed_home / "gitconfig").write_text("")
    repo.write("train.py", "changed")
    code = capture(repo, "tracked")
    who = repo.git("log", "-1", "--format=%an <%ae>", str(code.snapshot))
    assert "<" in who
    assert "@" in who
    assert repo.git("fsck", "--strict", "--no-dangling") == ""


# --- what is refused even where a snapshot is allowed


def refused(repo: Repo, allow: str, *problems: str, limit: int = LIMIT) -> None:
    with pytest.raises(DirtyTree) as raised:
        capture(repo, allow, limit)
    found = files_of(raised)
    assert len(found) == len(problems)
    for problem, line in zip(sorted(problems), sorted(found), strict=True):
        assert problem in line


@pytest.mark.parametrize("allow", ["tracked", "all"])
def test_a_merge_that_is_not_finished(repo: Repo, allow: str) -> None:
    repo.git("checkout", "--quiet", "-b", "side")
    repo.write("train.py", "theirs")
    repo.commit()
    repo.git("checkout", "--quiet", "main")
    repo.write("train.py", "ours")
    repo.commit()
    repo.git("merge", "side", check=False)
    refused(repo, allow, "train.py: a merge is not finished")


@pytest.mark.parametrize("allow", ["tracked", "all"])
def test_a_submodule_with_changes_of_its_own(repo: Repo, tmp_path: Path, allow: str) -> None:
    library = Repo.init(tmp_path / "library")
    repo.git("submodule", "--quiet", "add", str(library.path), "lib")
    repo.commit()
    repo.write("lib/train.py", "changed")
    refused(repo, allow, "lib: a submodule has changes of its own")


def test_a_submodule_at_another_commit_is_recorded(repo: Repo, tmp_path: Path) -> None:
    library = Repo.init(tmp_path / "library")
    repo.git("submodule", "--quiet", "add", str(library.path), "lib")
    repo.commit()
    inside = Repo(repo.path / "lib").commit()
    code = capture(repo, "tracked")
    assert inside in repo.git("ls-tree", str(code.snapshot), "lib")


@pytest.mark.parametrize("place", ["inner", "deep/inner"])
def test_a_repository_inside(repo: Repo, place: str) -> None:
    Repo.init(repo.path / place)
    refused(repo, "all", f"{place}/: another repository lies there")
    assert capture(repo, "tracked").unrecorded == (f"{place}/",)


def test_a_repository_inside_without_a_commit(repo: Repo) -> None:
    (repo.path / "inner").mkdir()
    Repo(repo.path / "inner").git("init", "--quiet")
    refused(repo, "all", "inner/: another repository lies there")


@pytest.mark.parametrize("mark", ["--assume-unchanged", "--skip-worktree"])
@pytest.mark.parametrize("allow", ["none", "tracked", "all"])
def test_edits_that_git_was_told_to_overlook(repo: Repo, mark: str, allow: str) -> None:
    repo.git("update-index", mark, "train.py")
    repo.write("train.py", "hidden")
    refused(repo, allow, "train.py")


def test_a_huge_untracked_file(repo: Repo) -> None:
    repo.write("huge.bin", b"x" * 2001)
    repo.write("small.bin", b"x" * 1999)
    refused(repo, "all", "huge.bin: 2,001 bytes would stay in git for ever", limit=2000)
    assert capture(repo, "all", 5000).files == ("huge.bin", "small.bin")
    assert capture(repo, "tracked", 2000).unrecorded == ("huge.bin", "small.bin")


SECRETS: dict[str, Any] = {
    "id_rsa": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
    ".env": "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n",
    "conf.py": "token = 'ghp_" + "a1B2" * 9 + "'\n",
}


@pytest.mark.parametrize(("name", "content"), SECRETS.items(), ids=SECRETS.keys())
def test_an_untracked_secret(repo: Repo, name: str, content: str) -> None:
    repo.write(f"deep/{name}", content)
    refused(repo, "all", f"deep/{name}: looks like a secret")
    assert capture(repo, "tracked").unrecorded == (f"deep/{name}",)


def test_every_problem_is_told_at_once(repo: Repo) -> None:
    Repo.init(repo.path / "inner")
    repo.write("huge.bin", b"x" * 2001)
    repo.write("id_rsa", SECRETS["id_rsa"])
    repo.git("update-index", "--assume-unchanged", "train.py")
    repo.write("train.py", "hidden")
    refused(repo, "all", "inner/", "huge.bin", "id_rsa", "train.py", limit=2000)


def test_odd_untracked_things(repo: Repo) -> None:
    os.mkfifo(repo.path / "pipe")
    (repo.path / "dangling").symlink_to("nowhere")
    (repo.path / "loop").symlink_to("loop")
    code = capture(repo, "all")
    assert "dangling" in repo.git("ls-tree", "--name-only", str(code.snapshot))


def test_an_unreadable_untracked_file(repo: Repo) -> None:
    if os.getuid() == 0:
        pytest.skip("root can read everything")
    repo.write("locked", "1").chmod(0)
    refused(repo, "all", "locked: cannot be read")


# --- where it comes from


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:hunter2@example.org/a/b.git", "https://example.org/a/b.git"),
        ("https://token@example.org/a.git", "https://example.org/a.git"),
        ("git@example.org:a/b.git", "git@example.org:a/b.git"),
        ("ssh://git@example.org/a.git", None),
        ("/some/path", "/some/path"),
    ],
)
def test_the_remote_without_credentials(repo: Repo, url: str, shown: str | None) -> None:
    repo.git("remote", "add", "origin", url)
    remote = capture(repo).remote
    assert remote is not None
    assert "hunter2" not in remote
    assert "token" not in remote
    if shown is not None:
        assert remote == shown


def test_what_the_branch_did_since_it_left_the_default_one(repo: Repo, tmp_path: Path) -> None:
    base = repo.git("rev-parse", "HEAD")
    repo.git("clone", "--quiet", "--bare", str(repo.path), str(tmp_path / "up.git"))
    repo.git("remote", "add", "origin", str(tmp_path / "up.git"))
    repo.git("fetch", "--quiet", "origin")
    repo.git("remote", "set-head", "origin", "main")
    repo.git("checkout", "--quiet", "-b", "feature")
    repo.write("a.py", "1")
    repo.commit()
    repo.write("b.py", "1")
    repo.commit()
    code = capture(repo)
    assert (code.branch, code.default_branch, code.merge_base) == ("feature", "origin/HEAD", base)
    assert (code.commits_since_base, set(code.files_since_base)) == (2, {"a.py", "b.py"})
    assert code.pushed is None
    repo.git("push", "--quiet", "-u", "origin", "feature")
    assert capture(repo).pushed is True
    repo.write("train.py", "dirty")
    code = capture(repo, "tracked")
    assert set(code.files_since_base) == {"a.py", "b.py", "train.py"}
    repo.commit()
    assert capture(repo).pushed is False


def test_a_detached_head_and_an_orphan(repo: Repo) -> None:
    repo.git("checkout", "--quiet", "--detach")
    code = capture(repo)
    assert (code.branch, code.default_branch) == (None, "main")
    repo.git("checkout", "--quiet", "--orphan", "alone")
    repo.commit()
    code = capture(repo)
    assert (code.branch, code.merge_base) == ("alone", None)


def test_a_branch_with_slashes_and_odd_letters(repo: Repo) -> None:
    repo.git("checkout", "--quiet", "-b", "ünï/☃")
    assert capture(repo).branch == "ünï/☃"


def test_a_remote_that_is_missing_does_no_harm(repo: Repo) -> None:
    repo.git("config", "branch.main.remote", "nowhere")
    assert capture(repo).remote is None


def test_an_origin_that_cannot_be_read_does_no_harm(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> None:
        raise GittrackError("no")

    monkeypatch.setattr(code_module, "_read_origin", fail)
    assert capture(repo).commit == repo.git("rev-parse", "HEAD")


# --- identity


def test_identities(repo: Repo, sealed_home: Path) -> None:
    repository = Repository.discover(repo.path)
    assert signature(repository, {}, now=1e9).identity == "Test Author <author@example.org>"
    assert signature(repository, {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@b"}, now=1e9).identity == "A <a@b>"
    assert signature(repository, {"GIT_AUTHOR_NAME": "<A\n>"}, now=1e9).identity == "A <author@example.org>"
    (sealed_home / "gitconfig").write_text("[author]\n\tname = Other\n\temail = o@b\n")
    assert signature(Repository.discover(repo.path), {}).identity == "Other <o@b>"
    (sealed_home / "gitconfig").write_text("")
    assert "@" in signature(Repository.discover(repo.path), {}).identity
