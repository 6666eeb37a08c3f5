from __future__ import annotations

from gittrack.compare.code import ChangedFile, CodeDiff, diff_code
from gittrack.git.repository import Repository
from tests.helpers import Repo


def diff(repo: Repo, a: str, b: str, *, patch: bool = False) -> CodeDiff:
    return diff_code(Repository.discover(repo.path), a, b, patch=patch)


def test_commits_and_files_of_two_branches(repo: Repo) -> None:
    repo.write("both.txt", "1\n" * 20)
    repo.commit("Base")
    repo.git("switch", "--quiet", "-c", "other")
    repo.write("only-a.txt", "a\n")
    a = repo.commit("A side")
    repo.git("switch", "--quiet", "main")
    repo.git("mv", "both.txt", "renamed.txt")
    repo.write("train.py", "changed\n")
    b = repo.commit("B side: \x1b[31mred")
    found = diff(repo, a, b)
    assert {(one.subject, one.side) for one in found.commits} == {("A side", "a"), ("B side: \x1b[31mred", "b")}
    assert found.files == (
        ChangedFile("D", "only-a.txt"),
        ChangedFile("R", "renamed.txt", "both.txt"),
        ChangedFile("M", "train.py"),
    )
    assert found.patch is None
    assert "+changed" in (diff(repo, a, b, patch=True).patch or "")


def test_the_same_commit(repo: Repo) -> None:
    head = repo.git("rev-parse", "HEAD")
    assert diff(repo, head, head) == CodeDiff()
    assert diff(repo, head, head, patch=True).patch == ""


def test_a_commit_that_is_not_here(repo: Repo) -> None:
    found = diff(repo, "0" * 39 + "1", repo.git("rev-parse", "HEAD"))
    assert found.missing == "0" * 39 + "1"


def test_odd_file_names(repo: Repo) -> None:
    a = repo.git("rev-parse", "HEAD")
    repo.write("tab\there.txt", "x")
    repo.write("größe 東.txt", "x")
    (repo.path / "caf\udce9").write_bytes(b"x")
    b = repo.commit("Odd")
    assert {one.path for one in diff(repo, a, b).files} == {"tab\there.txt", "größe 東.txt", "caf\udce9"}


def test_the_users_diff_settings_do_not_matter(repo: Repo) -> None:
    for key, value in (("color.ui", "always"), ("diff.external", "false"), ("diff.noprefix", "true")):
        repo.git("config", key, value)
    a = repo.git("rev-parse", "HEAD")
    repo.write("train.py", "changed\n")
    b = repo.commit("Change")
    found = diff(repo, a, b, patch=True)
    assert found.files == (ChangedFile("M", "train.py"),)
    assert "\x1b" not in (found.patch or "")
