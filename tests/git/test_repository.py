"""Opening repositories of every shape, and reading from them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from gittrack.errors import CorruptRecord, ForeignRepository, GitUnusable, NotARepository, RepositoryError
from gittrack.git.repository import Repository
from tests.helpers import Repo


def head(repo: Repo) -> str:
    return repo.git("rev-parse", "HEAD")


def test_opens_the_top_and_any_folder_below(repo: Repo) -> None:
    below = repo.path / "deep" / "er"
    below.mkdir(parents=True)
    for start in (repo.path, below):
        found = Repository.discover(start)
        assert found.root == repo.path
        assert found.git_dir == found.common_dir == repo.path / ".git"
        assert (found.bare, found.shallow, found.object_format) == (False, False, "sha1")


def test_the_current_folder_is_the_default(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo.path)
    assert Repository.discover().root == repo.path


def test_a_linked_worktree_shares_the_common_folder(repo: Repo, tmp_path: Path) -> None:
    repo.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    linked = Repository.discover(tmp_path / "linked")
    assert linked.root == tmp_path / "linked"
    assert linked.git_dir == repo.path / ".git" / "worktrees" / "linked"
    assert linked.common_dir == repo.path / ".git"
    assert linked.home == repo.path / ".git" / "gittrack"


def test_a_bare_repository_has_no_worktree(repo: Repo, tmp_path: Path) -> None:
    repo.git("clone", "--quiet", "--bare", str(repo.path), str(tmp_path / "bare.git"))
    found = Repository.discover(tmp_path / "bare.git")
    assert found.root is None
    assert found.bare
    assert found.resolve("HEAD") == head(repo)


def test_inside_the_git_folder_there_is_no_worktree_either(repo: Repo) -> None:
    found = Repository.discover(repo.path / ".git")
    assert found.root is None
    assert found.common_dir == repo.path / ".git"


def test_a_submodule_is_a_repository_of_its_own(repo: Repo, tmp_path: Path) -> None:
    library = Repo.init(tmp_path / "library")
    repo.git("submodule", "--quiet", "add", str(library.path), "lib")
    found = Repository.discover(repo.path / "lib")
    assert found.root == repo.path / "lib"
    assert found.git_dir == repo.path / ".git" / "modules" / "lib"
    assert found.resolve("HEAD") == head(library)


def test_git_dir_and_work_tree_variables_are_honoured(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setenv("GIT_DIR", str(repo.path / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(repo.path))
    found = Repository.discover(elsewhere)
    assert found.root == repo.path
    assert found.resolve("HEAD") == head(repo)


def test_once_opened_the_variables_of_a_hook_lead_nowhere_else(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Repo.init(tmp_path / "other")
    other.write("more.py", "")
    other.commit()
    found = Repository.discover(repo.path)
    expected = head(repo)
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.path))
    assert found.resolve("HEAD") == expected


def test_sha256(tmp_path: Path) -> None:
    repo = Repo.init(tmp_path / "long", "--object-format=sha256")
    found = Repository.discover(repo.path)
    assert found.object_format == "sha256"
    assert found.zero == "0" * 64
    assert found.resolve("HEAD") == head(repo)


def test_a_shallow_clone_knows_that_it_is(repo: Repo, tmp_path: Path) -> None:
    repo.commit()
    repo.git("clone", "--quiet", "--depth", "1", f"file://{repo.path}", str(tmp_path / "shallow"))
    assert Repository.discover(tmp_path / "shallow").shallow


@pytest.mark.parametrize("name", [b"caf\xe9", b"two\nlines", b'quo"te', b"back\\slash", b" space ", "snow☃".encode()])
def test_a_path_may_hold_any_bytes(tmp_path: Path, name: bytes) -> None:
    path = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))
    repo = Repo.init(path)
    found = Repository.discover(path)
    assert (found.root, found.git_dir, found.common_dir) == (path, path / ".git", path / ".git")
    assert (found.bare, found.shallow, found.object_format) == (False, False, "sha1")
    assert found.resolve("HEAD") == head(repo)


def test_a_bare_repository_may_lie_in_a_folder_of_two_lines(tmp_path: Path) -> None:
    path = tmp_path / "two\nlines"
    path.mkdir()
    Repo(path).git("init", "--quiet", "--bare")
    found = Repository.discover(path)
    assert (found.root, found.git_dir, found.bare) == (None, path, True)


# --- what cannot be opened


def test_a_folder_without_a_repository(tmp_path: Path) -> None:
    with pytest.raises(NotARepository, match="not inside a git repository"):
        Repository.discover(tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="gone"):
        Repository.discover(tmp_path / "nowhere")


def test_a_file_is_no_folder(repo: Repo) -> None:
    with pytest.raises(RepositoryError, match=r"train\.py"):
        Repository.discover(repo.path / "train.py")


def test_git_dir_that_leads_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nothing"))
    with pytest.raises(NotARepository):
        Repository.discover(tmp_path)


def test_a_repository_of_somebody_else_is_refused(repo: Repo) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    os.chown(repo.path, 12345, 12345)
    os.chown(repo.path / ".git", 12345, 12345)
    with pytest.raises(ForeignRepository, match=r"safe\.directory"):
        Repository.discover(repo.path)


def test_a_broken_configuration_names_the_line(repo: Repo) -> None:
    (repo.path / ".git" / "config").write_text("[core\n")
    with pytest.raises(RepositoryError, match="bad config line 1"):
        Repository.discover(repo.path)


def fake_git(folder: Path, says: str) -> Path:
    folder.mkdir()
    program = folder / "git"
    program.write_text(f"#!{sys.executable}\nprint({says!r})\n")
    program.chmod(0o755)
    return folder


ASK = """
import sys
from gittrack.git.repository import Repository
from gittrack.errors import GitUnusable
try:
    Repository.discover()
except GitUnusable as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ("git version 2.20.1", "2.20.1 is too old; install git 2.31 or newer"),
        ("git version 1.9", "1.9 is too old"),
        ("hello", "names no version"),
    ],
)
def test_a_git_that_is_too_old_or_none(repo: Repo, tmp_path: Path, says: str, told: str) -> None:
    done = repo.python(ASK, check=False, env={"PATH": str(fake_git(tmp_path / "bin", says))})
    assert done.returncode == 1
    assert told in done.stderr


def test_an_apple_version_is_understood(repo: Repo, tmp_path: Path) -> None:
    done = repo.python(
        "from gittrack.git.program import git_version; print(git_version())",
        env={"PATH": str(fake_git(tmp_path / "bin", "git version 2.39.3 (Apple Git-146)"))},
    )
    assert done.stdout == "2.39.3\n"


def test_no_git_at_all(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = repo.python(ASK, check=False, env={"PATH": str(tmp_path / "empty")})
    assert done.returncode == 1
    assert "no git program was found" in done.stderr


def test_a_git_that_may_not_be_started(repo: Repo, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "git").write_text("not a program")
    (folder / "git").chmod(0o755)
    done = repo.python(ASK, check=False, env={"PATH": str(folder)})
    assert done.returncode == 1
    assert "git could not be started" in done.stderr


# --- configuration


def test_configuration_with_several_values_and_without_any(repo: Repo) -> None:
    repo.git("config", "--add", "gittrack.thing", "one")
    repo.git("config", "--add", "gittrack.thing", "two\nlines")
    with (repo.path / ".git" / "config").open("a") as file:
        file.write("[gittrack]\n\tswitch\n")
    found = Repository.discover(repo.path)
    assert found.config["gittrack.thing"] == ("one", "two\nlines")
    assert found.setting("gittrack.thing") == "two\nlines"
    assert found.setting("GITTRACK.Switch") == "true"
    assert found.setting("gittrack.nothing") is None


def test_a_subsection_keeps_its_case(repo: Repo) -> None:
    repo.git("remote", "add", "Mine", "https://example.org/x.git")
    assert Repository.discover(repo.path).setting("remote.Mine.url") == "https://example.org/x.git"


# --- reading


def test_resolve_never_takes_a_name_for_an_option(repo: Repo) -> None:
    found = Repository.discover(repo.path)
    assert found.resolve("HEAD") == head(repo)
    assert found.resolve(head(repo)[:8]) == head(repo)
    for name in ("", "--all", "-h", "nothing", "a\0b", "HEAD:train.py", "refs/heads/*"):
        assert found.resolve(name) is None


def test_list_refs_by_prefix(repo: Repo) -> None:
    repo.git("update-ref", "refs/experiments/digits/1", "HEAD")
    repo.git("tag", "v1")
    found = Repository.discover(repo.path)
    assert found.list_refs("refs/experiments/") == {"refs/experiments/digits/1": head(repo)}
    assert set(found.list_refs("refs/heads/", "refs/tags/")) == {"refs/heads/main", "refs/tags/v1"}


def test_objects_of_all_kinds_in_one_go(repo: Repo) -> None:
    repo.write("my data.txt", "with a space")
    repo.commit()
    found = Repository.discover(repo.path)
    names = [head(repo), "HEAD^{tree}", "HEAD:my data.txt", "HEAD:no such file 12 34", "f" * 40, "nonsense"]
    read = list(found.read_objects(names))
    assert [name for name, _, _ in read] == names
    assert [kind for _, kind, _ in read] == ["commit", "tree", "blob", "missing", "missing", "missing"]
    assert read[2][2] == b"with a space"


def test_many_objects_with_long_names_and_large_contents(repo: Repo) -> None:
    """git answers while we still ask: neither side may wait for the other for ever."""
    long = f"{'long' * 55}/{'er' * 110}/"
    for number in range(40):
        repo.write(f"{long}{number}", bytes([number]) * 90_000)
    repo.commit()
    found = Repository.discover(repo.path)
    names = [f"HEAD:{long}{number % 40}" for number in range(600)]
    read = list(found.read_objects(names))
    assert [(name, data) for name, _, data in read] == [
        (name, bytes([number % 40]) * 90_000) for number, name in enumerate(names)
    ]


def test_a_reader_may_stop_early(repo: Repo) -> None:
    found = Repository.discover(repo.path)
    for _, kind, _ in found.read_objects([head(repo)] * 1000):
        assert kind == "commit"
        break


def test_an_object_that_is_damaged_is_told_and_spoils_no_other(repo: Repo) -> None:
    repo.write("good", "good " * 1000)
    repo.write("bad", bytes(hash((1, at)) % 251 for at in range(100_000)))
    repo.commit()
    bad = repo.git("rev-parse", "HEAD:bad")
    path = repo.path / ".git" / "objects" / bad[:2] / bad[2:]
    whole = path.read_bytes()
    told = set()
    for damage in (whole[:-8], whole[:1000], whole[:12], b"", b"garbage"):
        path.chmod(0o644)
        path.write_bytes(damage)
        found = Repository.discover(repo.path)
        kinds = [kind for _, kind, _ in found.read_objects(["HEAD:good", bad, "HEAD:good", bad, "HEAD:train.py"])]
        told |= {kinds[1], kinds[3]}
        assert kinds == ["blob", kinds[1], "blob", kinds[3], "blob"]
        with pytest.raises(CorruptRecord, match="git fsck"):
            found.read_object(bad)
    assert told == {"missing", "damaged"}


def test_read_object_of_the_wrong_kind(repo: Repo) -> None:
    with pytest.raises(CorruptRecord, match="is tree, not a commit"):
        Repository.discover(repo.path).read_object("HEAD^{tree}", "commit")


def test_a_repository_that_vanishes_is_told_not_hung(repo: Repo) -> None:
    found = Repository.discover(repo.path)
    (repo.path / ".git").rename(repo.path / "git-elsewhere")
    with pytest.raises(RepositoryError):
        list(found.read_objects(["HEAD"]))
    with pytest.raises(RepositoryError):
        found.list_refs("refs/")
    assert found.resolve("HEAD") is None


def test_the_folder_itself_vanishes(repo: Repo) -> None:
    found = Repository.discover(repo.path)
    repo.path.rename(repo.path.with_name("elsewhere"))
    with pytest.raises((GitUnusable, RepositoryError)):
        list(found.read_objects(["HEAD"]))
    with pytest.raises(GitUnusable, match="gone"):
        found.git("status")


def test_merge_base(repo: Repo) -> None:
    base = head(repo)
    repo.git("checkout", "--quiet", "-b", "side")
    side = repo.commit("side")
    repo.git("checkout", "--quiet", "--orphan", "alone")
    alone = repo.commit("alone")
    found = Repository.discover(repo.path)
    assert found.merge_base(base, side) == base
    assert found.merge_base(base, alone) is None
