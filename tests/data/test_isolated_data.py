"""Data in an isolated run: linked from the cache, never damaged there, and what is absent is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gittrack.pointers import placing
from gittrack.pointers.placing import look_after, place_data
from tests.data.conftest import Bench, large
from tests.helpers import Repo


def run(bench: Bench, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = bench.repo.gittrack("run", "--isolated", *words, check=False)
    assert done.returncode == code, done.stderr
    return done


READ = "import sys, hashlib; [print(hashlib.md5(open(one,'rb').read()).hexdigest()) for one in sys.argv[1:]]"


def test_pointers_are_filled_and_outputs_go_to_the_same_cache(bench: Bench) -> None:
    bench.track("data.csv", large("d"))
    bench.track("sub/images", {"a/1.png": large("1"), "2.png": b"small"})
    bench.track("absent.csv", large("x"))
    oid = bench.store.add(bench.repo.path / "absent.csv").pointer.oid
    for top in (bench.store.places.cache, bench.store.places.keep):
        assert top is not None
        (top / "files/md5" / oid[:2] / oid[2:]).unlink()
    before = bench.repo.status_fingerprint()
    write = "open('model.bin','wb').write(b'm' * 100_000)"
    code = f"{READ}; {write}; import subprocess; print(subprocess.check_output(['git','status','--porcelain']))"
    done = run(
        bench, "--input", "data.csv", "--input", "sub/images", "--output", "model.bin", "--",
        sys.executable, "-c", code, "data.csv", "sub/images/a/1.png", "sub/images/2.png",
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        bench.store.add(bench.repo.path / one).pointer.oid for one in ("data.csv", "sub/images/a/1.png", "sub/images/2.png")
    ] + ["b'?? model.bin\\n'"]  # fmt: skip
    assert "the cache does not have absent.csv" in done.stderr
    (found,) = bench.project.runs()
    assert {one["path"]: one["tracked_by"] for one in found.record.inputs} == {"data.csv": "dvc", "sub/images": "dvc"}
    (model,) = found.record.artifacts
    cache = bench.store.places.cache
    assert cache is not None
    assert (cache / "files/md5" / model.md5[:2] / model.md5[2:]).exists()
    assert bench.repo.status_fingerprint() == before
    place = bench.repo.path / ".git/gittrack/isolated/0" / bench.repo.path.name
    assert not (place / "data.csv").exists()
    assert not (place / ".dvc/config.local").exists()


def test_what_it_will_write_is_not_put_in_place(bench: Bench) -> None:
    bench.track("model.bin", large("old"))
    bench.track("models", {"a.bin": large("a"), "b.bin": large("b")})
    code = """
import os
print(os.path.exists("model.bin"), os.listdir("models"))
open("model.bin", "w").write("x"), open("models/a.bin", "w").write("y")
"""
    done = run(bench, "--output", "model.bin", "--output", "models/a.bin", "--", sys.executable, "-c", code)
    assert done.stdout == "False ['b.bin']\n"
    (found,) = bench.project.runs()
    assert sorted(one.path for one in found.record.artifacts) == ["model.bin", "models/a.bin"]


def test_a_pointer_that_leads_out_puts_nothing_there(bench: Bench, tmp_path: Path) -> None:
    bench.track("data.csv", large("d"))
    pointer = (bench.repo.path / "data.csv.dvc").read_text()
    bench.repo.write("up.dvc", pointer.replace("path: data.csv", "path: ../up.csv"))
    bench.repo.write("deep/x.dvc", pointer.replace("path: data.csv", "path: x"))
    (bench.repo.path / "elsewhere").symlink_to(tmp_path)
    bench.repo.write("link.dvc", pointer.replace("path: data.csv", "path: elsewhere/x"))
    bench.repo.write("no.dvc", "outs: 1")
    bench.repo.commit()
    done = run(bench, "--", "true")
    assert "no.dvc is no pointer of DVC" in done.stderr
    assert "leads out of the worktree" in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["repo"]
    assert not (bench.repo.path / ".git/gittrack/isolated/0/up.csv").exists()


@pytest.fixture
def tree(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another worktree, with a large file; nothing is small enough to be copied."""
    bench.track("data.csv", large("d"))
    bench.repo.git("worktree", "add", "-q", "--detach", str(tmp_path / "tree"))
    # Root gets copies of the first 256 MB, and no test writes as much.
    monkeypatch.setattr(placing, "_MOST_COPIED", 0)
    return tmp_path / "tree"


def test_large_data_are_linked(bench: Bench, tree: Path) -> None:
    placed = place_data(bench.store, tree, ["data.csv.dvc"])
    assert placed.paths == {"data.csv"}
    oid = bench.store.add(bench.repo.path / "data.csv").pointer.oid
    there = bench.store.find(oid)
    assert there is not None
    if placed.watched:  # no reflinks on this file system
        assert (tree / "data.csv").samefile(there)
    assert Repo(tree).git("status", "--porcelain") == ""
    assert look_after(bench.store, placed) == []
    os.utime(tree / "data.csv")
    assert look_after(bench.store, placed) == []


def test_who_may_write_to_everything_gets_a_copy(bench: Bench, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("anybody but root is kept out by the mode")
    # The fixture lets nothing be copied.
    monkeypatch.setattr(placing, "_MOST_COPIED", 1 << 20)
    placed = place_data(bench.store, tree, ["data.csv.dvc"])
    assert placed.watched == []
    (tree / "data.csv").write_text("changed")
    oid = bench.store.add(bench.repo.path / "data.csv").pointer.oid
    assert bench.store.read(oid) == large("d")


def test_an_object_that_was_written_to_through_a_link_is_nobodys_data(bench: Bench, tree: Path) -> None:
    placed = place_data(bench.store, tree, ["data.csv.dvc"])
    if not placed.watched:
        pytest.skip("this file system has reflinks, and nothing is shared")
    oid = placed.watched[0].oid
    (tree / "data.csv").chmod(0o644)
    with (tree / "data.csv").open("ab") as file:
        file.write(b"x")
    assert look_after(bench.store, placed) == ["data.csv"]
    assert bench.store.find(oid) is None
    assert (bench.store.places.keep / "damaged" / oid).exists()


def test_a_cache_elsewhere_by_a_relative_path(bench: Bench, tmp_path: Path) -> None:
    bench.repo.git("rm", "-q", "--cached", "-r", "--ignore-unmatch", ".dvc/config.local")
    bench.repo.write(".dvc/config", "[cache]\n    dir = ../../shared\n")
    bench.repo.commit()
    bench.track("data.csv", large("d"))
    done = run(
        bench,
        "--output",
        "m.bin",
        "--",
        sys.executable,
        "-c",
        f"{READ}; open('m.bin','wb').write(b'm' * 100_000)",
        "data.csv",
    )
    assert len(done.stdout.split()) == 1
    (found,) = bench.project.runs()
    (model,) = found.record.artifacts
    assert (tmp_path / "shared/files/md5" / model.md5[:2] / model.md5[2:]).exists()
