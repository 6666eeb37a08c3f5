"""Folders as DVC sees them: which files, and the bytes of the list."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.domain.artifact import is_inside
from gittrack.pointers.dvcfile import pointer_file
from gittrack.pointers.folder import Member, folder_oid, from_list, to_list, walk
from gittrack.pointers.setup import set_up_dvc
from gittrack.pointers.store import Store
from tests.helpers import Repo

MD5 = hashlib.md5(b"content").hexdigest()

parts = st.text(min_size=1, max_size=8).filter(lambda part: part not in {".", ".."} and not set(part) & {"/", "\0"})
relpaths = st.lists(parts, min_size=1, max_size=3).map("/".join)


def names(folder: Path, ignore_root: Path | None = None) -> list[str]:
    return sorted(name for name, _ in walk(folder, ignore_root).files)


# --- the list


def possible(files: dict[str, str]) -> bool:
    """Whether a folder can hold them: nothing is a file and a folder, and git's own place is taken."""
    folders = {one[:at] for one in files for at, letter in enumerate(one) if letter == "/"}
    return not folders & files.keys() and all(map(is_inside, files))


oids = st.binary(max_size=3).map(lambda data: hashlib.md5(data).hexdigest())


@given(st.dictionaries(relpaths, oids, max_size=6).filter(possible))
def test_the_list_is_the_one_that_dvc_writes(files: dict[str, str]) -> None:
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.meta import Meta
    from dvc_data.hashfile.tree import Tree

    tree = Tree()  # type: ignore[no-untyped-call]
    for relpath, oid in files.items():
        tree.add(tuple(relpath.split("/")), Meta(size=3), HashInfo("md5", oid))
    tree.digest()
    data = to_list(files.items())
    assert data == tree.as_bytes()
    assert folder_oid(data) == tree.oid
    assert {one.relpath: one.oid for one in from_list(data)} == files


def test_a_name_that_is_not_utf8_comes_back() -> None:
    relpath = os.fsdecode(b"a/\xff\xfe")
    data = to_list([(relpath, MD5)])
    assert data.isascii()
    assert from_list(data) == (Member(relpath, MD5),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        "[{}]",
        '[{"md5": "x", "relpath": "a"}]',
        f'[{{"md5": "{MD5}", "relpath": 1}}]',
        *(
            f'[{{"md5": "{MD5}", "relpath": "{bad}"}}]'
            for bad in ("", "/etc/x", "../x", "a/../../x", "a//b", "\\u0000")
        ),
    ],
)
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        from_list(text.encode())


# --- the walk


def test_what_cannot_be_stored_is_skipped_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "file").write_text("x")
    (folder / "broken").symlink_to("nowhere")
    (folder / "circle").symlink_to("circle")
    (folder / "up").symlink_to("..")
    (folder / "good").symlink_to("sub/file")
    os.mkfifo(folder / "fifo")
    here = os.open(folder, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as one:
        # A socket's path may not be long.
        one.bind(f"/proc/self/fd/{here}/sock")
    os.close(here)
    listing = walk(folder, None)
    assert sorted(name for name, _ in listing.files) == ["good", "sub/file"]
    assert listing.skipped == (
        "broken (a broken link)",
        "circle (a broken link)",
        "fifo (a pipe)",
        "sock (a socket)",
        "up (a link to a folder)",
    )


def test_an_ignore_file_inside_counts_and_is_left_out(tmp_path: Path) -> None:
    for name in ("a.txt", "b.log", "sub/c.log", "sub/d.txt"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text(name)
    (tmp_path / "data" / "sub" / ".dvcignore").write_text("# logs\n*.log\n")
    listing = walk(tmp_path / "data", tmp_path)
    assert sorted(name for name, _ in listing.files) == ["a.txt", "b.log", "sub/d.txt"]
    assert listing.skipped == ("sub/.dvcignore (DVC allows none inside a stored folder)",)


def test_dvc_is_not_imported_for_comments_only(repo: Repo) -> None:
    set_up_dvc(repo.path)
    repo.write("data/x", "x")
    code = (
        "import sys; from pathlib import Path; from gittrack.pointers.folder import walk\n"
        "walk(Path('data').resolve(), Path.cwd()); print([one for one in ('dvc', 'yaml', 'tqdm') if one in sys.modules])"
    )
    assert repo.python(code, env={"PYTHONPATH": str(Path(__file__).parents[2])}).stdout == "[]\n"


def test_a_source_outside_the_project_has_its_own_rules(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / ".dvcignore").write_text("*\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x").write_text("x")
    assert names(tmp_path / "data", tmp_path / "project") == ["x"]


# --- beside the real one


def fill(root: Path) -> list[str]:
    """Folders of every kind that DVC can store; their names."""
    for name in (
        "plain/a",
        "plain/b/c",
        "plain/b/d.txt",
        "plain/.hidden/x",
        "outside/file",
        "logs/a.txt",
        "logs/b.log",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "logs/keep").mkdir()
    (root / "logs/keep/c.log").write_text("kept")
    (root / "empty").mkdir()
    (root / "hollow/sub/subsub").mkdir(parents=True)
    (root / "links").mkdir()
    (root / "links/to_file").symlink_to("../outside/file")
    (root / "links/to_folder").symlink_to("../outside")
    (root / "links/loop").symlink_to("../links")
    (root / "links/own").write_text("own")
    (root / "vcs/.hg").mkdir(parents=True)
    (root / "vcs/.hg/x").write_text("x")
    (root / "vcs/.git").write_text("gitdir: nowhere")
    (root / "vcs/own").write_text("own")
    (root / "vcs/project/.dvc").mkdir(parents=True)
    (root / "vcs/project/file").write_text("x")
    (root / "odd").mkdir()
    for name in (
        "sp ace",
        "ünïcode",
        "日本",
        "a'b",
        'a"b',
        "back\\slash",
        "new\nline",
        "\u2028",
        "😀",
        "Z",
        "a",
        "_",
        "-",
    ):
        (root / "odd" / name).write_text(name)
    (root / ".dvcignore").write_text("*.log\n!keep/*.log\n")
    return ["plain", "logs", "empty", "hollow", "links", "vcs", "odd"]


def test_folders_as_dvc_stores_them(tmp_path: Path) -> None:
    ours, theirs = Repo.init(tmp_path / "ours"), Repo.init(tmp_path / "theirs")
    for one in (ours, theirs):
        set_up_dvc(one.path)
        stored = fill(one.path)
    subprocess.run([sys.executable, "-m", "dvc", "add", "--quiet", *stored], cwd=theirs.path, check=True)
    store = Store.of(ours.path / ".git", ours.path)
    for name in stored:
        added = store.add(ours.path / name, ignore_root=ours.path)
        assert pointer_file(added.pointer, name) == (theirs.path / f"{name}.dvc").read_bytes()
        assert store.measure(ours.path / name, ignore_root=ours.path).pointer == added.pointer
    assert tree(ours.path / ".dvc/cache") == tree(theirs.path / ".dvc/cache")
    assert {kind for _, kind, _ in tree(ours.path / ".dvc/cache").values()} == {0o100444}


def tree(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mode, path.parent.stat().st_mode)
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("pattern", ["/out", "out/**", "*.bin"])
def test_a_folder_that_is_ignored_whole_is_told(repo: Repo, pattern: str) -> None:
    set_up_dvc(repo.path)
    repo.write("out/sub/x.bin", "1")
    repo.write(".dvcignore", f"{pattern}\n")
    store = Store.of(repo.path / ".git", repo.path)
    added = store.add(repo.path / "out", ignore_root=repo.path)
    assert added.pointer.nfiles == 0
    assert ".dvcignore" in added.skipped[0]
    repo.write("out/y.txt", "2")
    if pattern == "*.bin":
        assert store.add(repo.path / "out", ignore_root=repo.path).skipped == ()


def test_a_project_in_a_subfolder_has_ignore_files_of_its_own(repo: Repo) -> None:
    set_up_dvc(repo.path)
    (repo.path / "sub").mkdir()
    set_up_dvc(repo.path / "sub")
    repo.write(".dvcignore", "*.bin\n")
    repo.write("sub/.dvcignore", "/out/x.txt\n")
    for name in ("x.txt", "y.bin"):
        repo.write(f"sub/out/{name}", name)
    store = Store.of(repo.path / ".git", repo.path)
    pointer = store.add(repo.path / "sub/out", ignore_root=repo.path).pointer
    assert [one.relpath for one in store.members(pointer.oid)] == ["y.bin"]


def test_names_in_any_encoding_go_in_and_out(repo: Repo) -> None:
    folder = repo.path / "data"
    folder.mkdir()
    (folder / os.fsdecode(b"\xff\xfe.bin")).write_bytes(b"1")
    (folder / "é").write_bytes(b"2")
    store = Store.of(repo.path / ".git", repo.path)
    pointer = store.add(folder).pointer
    assert store.add(folder).pointer == pointer
    store.export(pointer.oid, repo.path / "out")
    assert sorted(os.listdir(os.fsencode(repo.path / "out"))) == sorted(os.listdir(os.fsencode(folder)))
    shutil.rmtree(folder)
