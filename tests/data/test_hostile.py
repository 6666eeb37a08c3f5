"""Runs of other people: whatever they say, nothing is written outside of the place that was asked for."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gittrack.capture.identity import signature
from gittrack.domain.amendment import ARTIFACT_PREFIX
from gittrack.domain.artifact import Artifact
from gittrack.errors import CorruptRecord, GittrackError
from gittrack.ledger.write import amend
from gittrack.pointers.dvcfile import pointer_file
from gittrack.pointers.folder import folder_oid, from_list, to_list
from tests.data.conftest import Bench, large
from tests.helpers import Repo

OID = "a" * 32


@pytest.fixture
def plain(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A repository without DVC."""
    monkeypatch.setenv("GITTRACK_RUN_SYSTEM_METRICS", "off")
    monkeypatch.chdir(repo.path)
    return Bench(repo)


def forge(bench: Bench, change: Callable[[bytes], bytes]) -> None:
    """The only run says something else in its `run.yaml`, under the same message."""
    ref = bench.repo.git("for-each-ref", "--format=%(refname)", "refs/experiments").splitlines()[0]
    before = bench.repo.git("cat-file", "blob", f"{ref}:.gittrack/run.yaml").encode() + b"\n"
    after = change(before)
    assert after != before
    place = bench.repo.path.with_name("forged")
    bench.repo.git("worktree", "add", "--quiet", "--detach", str(place), ref)
    (place / ".gittrack/run.yaml").write_bytes(after)
    forged = Repo(place)
    forged.git("add", "--all")
    message = bench.repo.git("log", "-1", "--format=%B", ref)
    parents = bench.repo.git("log", "-1", "--format=%P", ref).split()
    tree = forged.git("write-tree")
    options = [word for one in parents for word in ("-p", one)]
    commit = bench.repo.git("commit-tree", tree, *options, input=message)
    bench.repo.git("worktree", "remove", "--force", str(place))
    bench.repo.git("update-ref", ref, commit)


def add_hostile(bench: Bench, path: str, md5: str, **more: object) -> None:
    said = json.dumps({"size": 5, "md5": md5, "name": "evil", **more})
    state = bench.project.get_run("a").state
    fake = Artifact("x.txt", 5, OID)
    author = signature(bench.project.repo, os.environ)
    amend(
        bench.project.repo,
        state,
        {ARTIFACT_PREFIX + path: said},
        author=author,
        added=[fake],
        contents={"x.txt": b"EVIL\n"},
    )


@pytest.mark.parametrize("path", ["..", "../../x", "/tmp/x", "a/../../x", ".git/hooks/post-checkout"])
def test_an_artifact_with_a_path_that_leads_out_is_none(bench: Bench, path: str) -> None:
    bench.run("a", {"m.bin": large("m")})
    listing = to_list([("evil.sh", bench.store.add_bytes(b"EVIL\n").oid)])
    bench.store._farm.put(folder_oid(listing), listing)
    add_hostile(bench, path, folder_oid(listing), pointer=True, nfiles=1)
    assert [one.path for one in bench.project.get_run("a").artifacts] == ["out/m.bin"]
    assert bench.repo.gittrack("artifact", "get", "a", "evil", check=False).returncode == 1


@pytest.mark.parametrize("md5", ["../../../pwned", "a", f"{OID}.dir", f"{OID}\n"])
def test_an_artifact_with_an_md5_that_is_none_is_none(bench: Bench, md5: str) -> None:
    """It names the folder that its copy for reading lies in."""
    bench.run("a")
    add_hostile(bench, "x.txt", md5)
    assert bench.project.get_run("a").artifacts == ()


def test_bytes_in_git_are_what_the_record_says(bench: Bench) -> None:
    bench.run("a")
    add_hostile(bench, "x.txt", OID)
    with pytest.raises(CorruptRecord, match="other bytes"):
        bench.project.get_run("a").artifact("evil").read_bytes()


@pytest.mark.parametrize("path", ["../pwned/x", "{tmp}/pwned/x", "link/x", "sub/.git/x"])
def test_a_checkout_writes_nothing_outside_of_its_worktree(plain: Bench, path: str) -> None:
    outside = plain.repo.path.parent / "pwned"
    outside.mkdir()
    (plain.repo.path / "link").symlink_to(outside)
    plain.repo.write("input.txt", large("i"))
    plain.repo.commit()
    with plain.project.start_run("a") as run:
        run.use("input.txt")
    oid = plain.store.add_bytes(large("i")).oid
    wanted = path.format(tmp=outside.parent)
    forge(
        plain,
        lambda data: data.replace(b"- path: input.txt\n", f"- path: {wanted}\n".encode()).replace(
            b"tracked_by: git", b"tracked_by: dvc\n  pointer: x.dvc"
        ),
    )
    assert plain.store.find(oid)
    done = plain.repo.gittrack("checkout", "a", check=False)
    assert "Traceback" not in done.stderr
    assert list(outside.iterdir()) == []
    assert not list(plain.repo.path.with_name("repo-a").rglob(".git/x"))
    assert plain.repo.gittrack("show", "a", check=False).returncode in (0, 1)


@pytest.mark.parametrize("how", ["link", "dvc folder", "private settings", "link in the data"])
def test_dvc_is_not_led_outside_by_a_commit(bench: Bench, how: str) -> None:
    outside = bench.repo.path.parent / "pwned"
    outside.mkdir()
    (outside / "precious").write_text("mine")
    pointer = bench.store.add_bytes(large("d"))
    if how == "link":
        (bench.repo.path / "link").symlink_to(outside)
        bench.repo.write("x.dvc", pointer_file(pointer, "link/precious"))
    elif how == "link in the data":
        bench.repo.write("made/sub/precious", large("d"))
        folder = bench.store.add(bench.repo.path / "made").pointer
        (bench.repo.path / "data").mkdir()
        (bench.repo.path / "data/sub").symlink_to(outside)
        bench.repo.write("data.dvc", pointer_file(folder, "data"))
    elif how == "private settings":
        (bench.repo.path / ".dvc/config.local").unlink(missing_ok=True)
        (bench.repo.path / ".dvc/config.local").symlink_to(outside / "precious")
    else:
        bench.repo.git("mv", ".dvc", "dvc-settings")
        bench.repo.git("rm", "-r", "--cached", "-q", "dvc-settings")
        (bench.repo.path / ".dvc").symlink_to("dvc-settings")
        (bench.repo.path / "dvc-settings").rename(outside / "settings")
        (bench.repo.path / ".dvc").unlink()
        (bench.repo.path / ".dvc").symlink_to(outside / "settings")
    before = sorted(outside.rglob("*"))
    bench.repo.git("add", "--all", "--force", "--", ":!out", ":!made")
    bench.repo.git("commit", "--quiet", "-m", "evil")
    bench.repo.gittrack("run", "-n", "a", "--allow-dirty=all", "--", "true")
    done = bench.repo.gittrack("checkout", "a", check=False)
    assert done.returncode == 1, done.stderr
    assert "outside of the worktree" in done.stderr
    assert (outside / "precious").read_text() == "mine"
    assert sorted(outside.rglob("*")) == before


@pytest.mark.parametrize(
    "listing",
    [
        b"[" * 100_000,
        to_list([("x", f"{OID}.dir")]),
        to_list([("x", OID), ("x", "b" * 32)]),
        to_list([("x", OID), ("x/y", OID)]),
        *(
            to_list([(one, OID)])
            for one in ("../x", "/x", "a//b", ".", "a/..", ".git/hooks/x", "sub/.GIT/x", ".g\u200cit/x", "a\0")
        ),
    ],
)
def test_a_list_that_leads_out_is_none(bench: Bench, listing: bytes) -> None:
    with pytest.raises(ValueError, match="it "):
        from_list(listing)
    bench.store._farm.put(folder_oid(listing), listing)
    with pytest.raises(GittrackError):
        bench.store.export(folder_oid(listing), Path("there"))
    assert not Path("there").exists()


def test_what_can_be_stored_can_be_read(bench: Bench) -> None:
    for name in (".gitattributes", "...", ".x", "a b", "é", "git~1", "-rf", "sub/.GIT", "sub/.git /x"):
        bench.repo.write(f"made/{name}", name)
    added = bench.store.add(bench.repo.path / "made")
    assert len(bench.store.members(added.pointer.oid)) == 7
    assert len(added.skipped) == 2


@pytest.mark.parametrize("nested", [b"x: " + b"[" * 100_000, b"x:\n" + b"- " * 100_000 + b"1\n"])
def test_records_nested_without_end_are_damaged_records(bench: Bench, nested: bytes) -> None:
    bench.run("a")
    forge(bench, lambda data: data + nested)
    done = subprocess.run(["python", "-m", "gittrack", "show", "a"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
