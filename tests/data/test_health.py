"""Damage and loss of data are named, with the place where the bytes can be had, and mended where they can be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gittrack.pointers import census, farm
from gittrack.pointers.farm import Health
from tests.data.conftest import Bench, large


def spoil(path: Path) -> None:
    """Other bytes of the same length, as a bad disk gives them."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(b"\0\0\0")
    path.chmod(0o444)


def object_of(bench: Bench, size: int) -> Path:
    (found,) = [one for one in bench.objects() if one.stat().st_size == size]
    return found


def in_cache(bench: Bench, path: Path) -> Path:
    return bench.repo.path / ".dvc/cache/files/md5" / path.parent.name / path.name


@pytest.fixture
def pushed(bench: Bench, tmp_path: Path) -> Bench:
    bench.dvc("remote", "add", "-d", "store", str(tmp_path / "store"))
    bench.repo.git("init", "--bare", "--quiet", str(tmp_path / "origin.git"))
    bench.repo.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    bench.repo.gittrack("init")
    bench.repo.commit()
    bench.run("a", {"m.bin": large("m")}, model="m.bin")
    bench.repo.gittrack("push")
    return bench


def test_mending_leaves_what_another_process_stores_meanwhile(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    oid = bench.store.add_bytes(large("m")).oid
    spoil(object_of(bench, 70_000))

    def beside(path: Path | str) -> str:
        # After the look, and before the damaged object is moved.
        bench.store.add_bytes(large("m"))
        return farm.beside(path)

    monkeypatch.setattr(census, "beside", beside)
    census.heal(bench.store, oid)
    assert bench.store.check(oid) is Health.OK
    assert [one.name for one in object_of(bench, 70_000).parent.iterdir()] == [oid[2:]]


def test_a_damaged_object_is_named_and_without_another_copy_stays_so(bench: Bench) -> None:
    bench.run("a", {"m.bin": large("m")}, model="m.bin")
    spoil(object_of(bench, 70_000))
    done = bench.repo.gittrack("fsck", check=False)
    assert done.returncode == 4
    assert "artifact 'model' of run a" in done.stdout
    assert "damaged" in done.stdout
    os.unlink(bench.repo.path / "out/m.bin")
    again = bench.repo.gittrack("fsck", "--repair", check=False)
    assert again.returncode == 4
    assert "not here" in again.stdout
    # The damaged bytes are set aside, not thrown away.
    assert [one.stat().st_size for one in (bench.repo.path / ".git/gittrack/odb/damaged").iterdir()] == [70_000]


def test_a_sound_copy_in_the_cache_mends_the_farm_and_the_other_way_round(bench: Bench) -> None:
    run = bench.run("a", {"m.bin": large("m")}, model="m.bin")
    kept = object_of(bench, 70_000)
    cached = in_cache(bench, kept)
    for broken, sound in ((kept, cached), (cached, kept)):
        # Two inodes, as where there are no hard links.
        data = sound.read_bytes()
        broken.unlink()
        broken.write_bytes(data)
        spoil(broken)
        assert bench.repo.gittrack("fsck", check=False).returncode == 4
        assert "repaired 1 object" in bench.repo.gittrack("fsck", "--repair").stderr
        assert kept.read_bytes() == cached.read_bytes() == large("m")
    assert run.artifact("model").read_bytes() == large("m")


def test_the_worktree_mends_too(bench: Bench) -> None:
    bench.track("data.csv", large("d"))
    with bench.project.start_run("a") as run:
        run.use("data.csv")
    spoil(object_of(bench, 70_000))
    bench.repo.gittrack("fsck", "--repair")
    assert object_of(bench, 70_000).read_bytes() == large("d")


def test_the_remote_mends_what_is_damaged_or_gone(pushed: Bench) -> None:
    (pushed.repo.path / "out/m.bin").unlink()
    spoil(object_of(pushed, 70_000))
    done = pushed.repo.gittrack("fsck", check=False)
    assert done.returncode == 4
    assert "on remote 'gittrack'" in done.stdout or "from remote 'gittrack'" in done.stdout
    assert "from the remote" in pushed.repo.gittrack("fsck", "--repair").stderr
    for path in [object_of(pushed, 70_000), in_cache(pushed, object_of(pushed, 70_000))]:
        path.unlink()
    # Not here, and safely there: told, and no damage.
    done = pushed.repo.gittrack("fsck")
    assert "on the remote" in done.stdout
    assert pushed.project.artifact("model").read_bytes() == large("m")


@pytest.mark.parametrize("length", ["the same", "shorter"])
def test_a_copy_on_the_remote_that_is_damaged_too_is_told(pushed: Bench, tmp_path: Path, length: str) -> None:
    (pushed.repo.path / "out/m.bin").unlink()
    spoil(object_of(pushed, 70_000))
    (there,) = [one for one in (tmp_path / "store").rglob("*") if one.is_file()]
    spoil(there)
    if length == "shorter":
        there.chmod(0o644)
        there.write_bytes(b"short")
    done = pushed.repo.gittrack("fsck", "--repair", check=False)
    assert done.returncode == 4
    assert "the copy on remote 'gittrack' is damaged too" in done.stdout
    # Of a size one hears without a repair.
    if length == "shorter":
        assert "damaged too" in pushed.repo.gittrack("fsck", check=False).stdout


def test_a_remote_that_cannot_be_asked_is_no_damage(pushed: Bench, tmp_path: Path) -> None:
    bench = pushed
    bench.run("b", {"n.bin": large("n")}, other="n.bin")
    for path in bench.objects():
        in_cache(bench, path).unlink()
        path.unlink()
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    done = bench.repo.gittrack("fsck", check=False)
    assert done.returncode == 1
    assert done.stdout.count("the remote could not be asked") == 1
    assert "nothing is known to be damaged" in done.stderr
    (tmp_path / "elsewhere").rename(tmp_path / "store")
    # It answers, and does not have one of them.
    assert bench.repo.gittrack("fsck", check=False).returncode == 4


def test_without_any_remote_what_is_not_here_is_lost(bench: Bench) -> None:
    bench.run("a", {"m.bin": large("m")}, model="m.bin")
    path = object_of(bench, 70_000)
    in_cache(bench, path).unlink()
    path.unlink()
    done = bench.repo.gittrack("fsck", check=False)
    assert done.returncode == 4
    assert "on no remote" in done.stdout


@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
def test_what_is_damaged_here_is_got_from_the_remote(pushed: Bench, folder: bool) -> None:
    if folder:
        pushed.repo.write("out/set/1.bin", large("1", 80_000))
        with pushed.project.start_run("b") as run:
            run.log_artifacts("out/set", name="set")
        pushed.repo.gittrack("push")
    for path in pushed.objects():
        spoil(path)
    name = "set" if folder else "model"
    pushed.repo.gittrack("artifact", "get", f"{name}:latest", "-o", "got")
    got = "got/set/1.bin" if folder else "got/m.bin"
    assert (pushed.repo.path / got).read_bytes() == (large("1", 80_000) if folder else large("m"))
    assert len(list((pushed.repo.path / ".git/gittrack/odb/damaged").iterdir())) == (2 if folder else 1)


def test_what_is_damaged_here_and_nowhere_else_says_so(bench: Bench) -> None:
    bench.run("a", {"m.bin": large("m")}, model="m.bin")
    spoil(object_of(bench, 70_000))
    done = bench.repo.gittrack("artifact", "get", "model", "-o", "got", check=False)
    assert done.returncode == 1
    assert "damaged here" in done.stderr
    assert "no remote" in done.stderr


def test_a_list_of_a_folder_that_is_damaged(bench: Bench) -> None:
    bench.repo.write("out/set/1.bin", large("1"))
    with bench.project.start_run("a") as run:
        run.log_artifacts("out/set", name="set")
    (listing,) = [one for one in bench.objects() if one.name.endswith(".dir")]
    spoil(listing)
    assert "damaged" in bench.repo.gittrack("fsck", check=False).stdout
    bench.repo.gittrack("fsck", "--repair", check=False)
    bench.store.add(bench.repo.path / "out/set")
    assert bench.project.fsck() == []


def test_a_missing_file_of_a_folder_is_counted(bench: Bench) -> None:
    for number in range(3):
        bench.repo.write(f"out/set/{number}.bin", large(str(number), 70_000 + number))
    with bench.project.start_run("a") as run:
        run.log_artifacts("out/set", name="set")
    gone = object_of(bench, 70_001)
    in_cache(bench, gone).unlink()
    gone.unlink()
    (problem,) = bench.project.fsck()
    assert "1 missing" in problem.reason
    assert "of 3 + 1 objects" in problem.reason


def test_a_pointer_that_is_not_what_the_record_says(bench: Bench) -> None:
    """As somebody with a history editor makes it."""
    run = bench.run("a", {"m.bin": large("m")}, model="m.bin")
    blob = bench.repo.git("hash-object", "-w", "--stdin", input="outs:\n- md5: ffff\n  path: m.bin\n")
    env = {"GIT_INDEX_FILE": str(bench.repo.path / ".git/other-index")}
    os.environ.update(env)
    try:
        bench.repo.git("read-tree", str(run.commit))
        bench.repo.git("update-index", "--cacheinfo", f"100644,{blob},.gittrack/artifacts/out/m.bin.dvc")
        tree = bench.repo.git("write-tree")
    finally:
        del os.environ["GIT_INDEX_FILE"]
    data = bench.repo.git("cat-file", "commit", str(run.commit)).replace(
        bench.repo.git("rev-parse", f"{run.commit}^{{tree}}"), tree
    )
    forged = bench.repo.git("hash-object", "-t", "commit", "-w", "--stdin", input=data + "\n")
    bench.repo.git("update-ref", f"refs/experiments/default/{run.id}", forged)
    assert any("pointer of artifact" in one.reason for one in bench.project.fsck())
