"""The store: DVC's own layout, nothing lost, nothing half-written."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gittrack.domain.pointer import Pointer
from gittrack.errors import CorruptRecord, ObjectMissing, SourceChanged
from gittrack.pointers.dvcfile import pointer_file
from gittrack.pointers.farm import Health
from gittrack.pointers.places import Places
from gittrack.pointers.setup import set_up_dvc
from gittrack.pointers.store import Store
from tests.helpers import Repo, fill_disk, read_only, small_disk, wait_until

ROOT = Path(__file__).parents[2]
LARGE = 3_000_000


@pytest.fixture
def project(repo: Repo) -> Repo:
    set_up_dvc(repo.path)
    return repo


@pytest.fixture
def store(project: Repo) -> Store:
    return open_store(project)


def open_store(project: Repo) -> Store:
    return Store.of(project.path / ".git", project.path)


def kept(project: Repo, oid: str) -> Path:
    return project.path / ".git/gittrack/odb/files/md5" / oid[:2] / oid[2:]


def cached(project: Repo, oid: str) -> Path:
    return project.path / ".dvc/cache/files/md5" / oid[:2] / oid[2:]


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def objects(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if not name.startswith("tmp/")}


def assert_sound(folder: Path) -> None:
    """Every object below is what its name says, and cannot be written by accident."""
    for path in folder.glob("files/md5/??/[!.]*"):
        assert (path.parent.name + path.name).removesuffix(".dir") == md5(path.read_bytes())
        assert path.stat().st_mode & 0o777 == 0o444


def age(*paths: Path) -> None:
    """Times so old that what is hashed now can be remembered; the change time needs a moment."""
    for path in paths:
        os.utime(path, (1_700_000_000.123456789, 1_700_000_000.123456789))
    time.sleep(0.15)


@pytest.fixture
def dvc(project: Repo) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *arguments], cwd=project.path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


# --- putting in


@pytest.mark.parametrize("size", [0, 5, LARGE, 20_000_000])
def test_a_file_is_in_the_farm_and_in_the_cache_under_one_inode(project: Repo, store: Store, size: int) -> None:
    data = random.Random(size).randbytes(size)
    source = project.write("model.bin", data)
    added = store.add(source)
    oid = added.pointer.oid
    assert (added.pointer, added.skipped, added.cache_problem) == (Pointer(md5(data), size), (), None)
    assert kept(project, oid).samefile(cached(project, oid))
    assert kept(project, oid).read_bytes() == data
    assert not kept(project, oid).samefile(source)
    assert source.stat().st_nlink == 1
    assert_sound(project.path / ".dvc/cache")
    with source.open("ab") as file:
        file.write(b"more")
    assert store.check(oid) is Health.OK
    assert not list((project.path / ".git/gittrack/odb/tmp").iterdir())


def test_dvc_takes_what_we_stored_for_its_own(project: Repo, store: Store, dvc: Callable[..., str]) -> None:
    project.write("data/a", "1")
    project.write("data/sub/b", "2")
    project.write("model.bin", "weights")
    for name in ("data", "model.bin"):
        pointer = store.add(project.path / name).pointer
        (project.path / f"{name}.dvc").write_bytes(pointer_file(pointer, name))
    shutil.rmtree(project.path / "data")
    (project.path / "model.bin").unlink()
    dvc("checkout", "--quiet")
    assert (project.path / "data/sub/b").read_text() == "2"
    assert (project.path / "model.bin").read_text() == "weights"
    assert dvc("status") == "Data and pipelines are up to date.\n"


def test_measure_stores_nothing(project: Repo, store: Store) -> None:
    source = project.write("x", "content")
    assert store.measure(source).pointer == Pointer(md5(b"content"), 7)
    assert store.measure(source.parent, ignore_root=source.parent).pointer.nfiles
    assert not (project.path / ".dvc/cache").exists()
    assert not (project.path / ".git/gittrack/odb").exists()


def test_bytes_and_what_is_neither_file_nor_folder(project: Repo, store: Store) -> None:
    assert store.add_bytes(b"abc") == Pointer(md5(b"abc"), 3)
    assert store.add_bytes(b"abc") == Pointer(md5(b"abc"), 3)
    os.mkfifo(project.path / "fifo")
    with pytest.raises(OSError, match="neither a file nor a folder"):
        store.add(project.path / "fifo")
    with pytest.raises(FileNotFoundError):
        store.add(project.path / "nowhere")


def test_progress_counts_every_byte(project: Repo, store: Store) -> None:
    for number, size in enumerate((10, LARGE, LARGE + 1, 20_000_000)):
        project.write(f"data/{number}", random.Random(number).randbytes(size))
    moved: list[int] = []
    added = store.add(project.path / "data", progress=moved.append)
    assert sum(moved) == added.pointer.size


@pytest.mark.parametrize("size", [5, LARGE])
def test_a_damaged_object_is_replaced_by_the_good_bytes(project: Repo, store: Store, size: int) -> None:
    source = project.write("x", random.Random(0).randbytes(size))
    oid = store.add(source).pointer.oid
    for path in (kept(project, oid), cached(project, oid)):
        path.unlink()
        path.write_bytes(b"bad")
    assert store.check(oid) is Health.DAMAGED
    assert store.add(source).pointer.oid == oid
    assert store.check(oid) is Health.OK
    assert kept(project, oid).samefile(cached(project, oid))


def spoil(path: Path) -> None:
    """Other bytes, as many as before, as a bad disk or an editor leaves them."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(b"BAD!")
    path.chmod(0o444)


def apart(project: Repo, oid: str) -> None:
    """As `dvc gc` and then `dvc pull` leave it: the cache has an inode of its own."""
    path = cached(project, oid)
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)
    path.chmod(0o444)


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("size", [500, LARGE])
@pytest.mark.parametrize("where", ["both", "farm", "cache"])
def test_the_sound_one_wins(project: Repo, store: Store, where: str, size: int, linked: bool) -> None:
    data = random.Random(0).randbytes(size)
    oid = store.add(project.write("x", data)).pointer.oid
    if where != "both":
        apart(project, oid)
    if linked:
        os.link(kept(project, oid), project.path / "link")
    spoil(cached(project, oid) if where == "cache" else kept(project, oid))
    store.add(project.write("again", data))
    assert store.check(oid) is Health.OK
    assert kept(project, oid).samefile(cached(project, oid))


@pytest.mark.parametrize("how", ["remembered", "exposed"])
def test_a_spoiled_object_never_replaces_a_sound_one(project: Repo, store: Store, how: str) -> None:
    source = project.write("x", b"good" * 100)
    age(source)
    oid = store.add(source).pointer.oid
    apart(project, oid)
    spoil(kept(project, oid))
    if how == "exposed":
        assert store.expose(oid)
    else:
        assert store.add(source).pointer.oid == oid
    assert cached(project, oid).read_bytes() == b"good" * 100
    assert store.check(oid) is Health.OK


def test_what_a_worktree_shares_is_not_stored_twice(project: Repo, store: Store) -> None:
    source = project.write("x", b"x" * LARGE)
    oid = store.add(source).pointer.oid
    os.link(kept(project, oid), project.path / "link")
    before = kept(project, oid).stat().st_ino
    store.add(project.write("y", b"x" * LARGE))
    assert kept(project, oid).stat().st_ino == before


def test_what_dvc_stored_before_shares_its_inode_with_the_farm_after(project: Repo, store: Store) -> None:
    data = b"already there"
    path = cached(project, md5(data))
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    path.chmod(0o444)
    store.add(project.write("x", data))
    assert kept(project, md5(data)).samefile(path)


# --- what was hashed before


def test_nothing_is_read_again_when_nothing_changed(project: Repo, store: Store) -> None:
    files = [project.write(f"data/{number}", f"{number}") for number in range(5)]
    one = project.write("one", "1")
    age(one, *files)
    pointers = [store.add(one).pointer, store.add(project.path / "data").pointer]
    moved: list[int] = []
    assert [
        open_store(project).add(path, progress=moved.append).pointer for path in (one, project.path / "data")
    ] == pointers
    assert moved == []
    # Same size, and the old time put back: the change time tells.
    files[2].write_text("X")
    os.utime(files[2], (1_700_000_000.123456789, 1_700_000_000.123456789))
    assert store.add(project.path / "data", progress=moved.append).pointer != pointers[1]
    assert moved == [1]


def test_what_has_just_changed_is_not_trusted(project: Repo, store: Store) -> None:
    source = project.write("x", "one")
    for text in ("two", "six", "ten", "one", "two") * 20:
        # Within one tick of the clock, with equal sizes.
        source.write_text(text)
        assert store.measure(source).pointer.oid == md5(text.encode())


def test_a_folder_is_not_what_it_was_before_a_young_file_went(project: Repo, store: Store) -> None:
    """A checkpoint is written beside its final name first: that file goes within one tick of the clock."""
    age(project.write("ckpt/a", "a"), project.write("ckpt/b", "b"))
    half = project.write("ckpt/half", "unfinished")
    assert store.add(half.parent).pointer.nfiles == 3
    half.unlink()
    pointer = store.add(half.parent).pointer
    assert [one.relpath for one in store.members(pointer.oid)] == ["a", "b"]


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"format": 99}', b'{"format": 1, "files": [1], "folder": null}', None]
)
def test_a_lost_memory_costs_time_only(project: Repo, store: Store, damage: bytes | None) -> None:
    source = project.write("data/x", "content")
    age(source)
    pointer = store.add(project.path / "data").pointer
    for file in (project.path / ".git/gittrack/hashed").iterdir():
        file.unlink() if damage is None else file.write_bytes(damage)
    assert store.add(project.path / "data").pointer == pointer


def test_an_object_that_went_missing_is_stored_again(project: Repo, store: Store) -> None:
    source = project.write("data/x", "content")
    age(source)
    pointer = store.add(project.path / "data").pointer
    for oid in store.objects(pointer.oid):
        kept(project, oid).unlink()
        cached(project, oid).unlink()
    assert store.find(pointer.oid) is None
    store.add(project.path / "data")
    assert {store.check(oid) for oid in store.objects(pointer.oid)} == {Health.OK}
    for oid in store.objects(pointer.oid):
        cached(project, oid).unlink()
    store.add(project.path / "data")
    assert all(cached(project, oid).exists() for oid in store.objects(pointer.oid))


# --- a source that moves


def test_a_file_that_keeps_changing_is_refused(project: Repo, store: Store) -> None:
    source = project.write("log", b"x" * LARGE)

    def grow(count: int) -> None:
        # Not after every byte that it grew by, or it would have no end.
        if count > 1:
            with source.open("ab", buffering=0) as file:
                file.write(b"y")

    with pytest.raises(SourceChanged, match="changes while it is read"):
        store.add(source, progress=grow)
    with pytest.raises(SourceChanged):
        store.measure(source, progress=grow)
    assert objects(project.path / ".git/gittrack/odb") == {}
    assert not list((project.path / ".git/gittrack/odb/tmp").iterdir())
    assert store.add(source).pointer.oid == md5(source.read_bytes())


def test_a_file_that_changes_once_is_read_again(project: Repo, store: Store) -> None:
    source = project.write("x", b"x" * 20_000_000)
    changes = [b"z"]
    moved = []

    def progress(count: int) -> None:
        moved.append(count)
        if changes:
            with source.open("r+b") as file:
                file.write(changes.pop())

    added = store.add(source, progress=progress)
    assert added.pointer.oid == md5(source.read_bytes())
    assert sum(moved) == 20_000_000


# --- when the world does not allow it


def test_a_read_only_cache_is_a_warning(project: Repo, store: Store) -> None:
    (project.path / ".dvc/cache").mkdir()
    source = project.write("data/x", "content")
    with read_only(project.path / ".dvc"):
        added = store.add(project.path / "data")
        assert added.cache_problem == f"Read-only file system: {project.path}/.dvc/cache/files/md5"
        assert store.export(added.pointer.oid, project.path / "out")
    assert (project.path / "out/x").read_text() == "content"
    # The next time it gets them.
    assert store.add(source.parent).cache_problem is None
    assert all(cached(project, oid).exists() for oid in store.objects(added.pointer.oid))


@pytest.mark.parametrize("size", [500_000, LARGE])
def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, size: int) -> None:
    source = tmp_path / "source"
    source.write_bytes(random.Random(1).randbytes(size))
    with small_disk(tmp_path / "disk") as disk:
        store = Store(Places(disk / "cache", (disk / "keep",)), memory=disk / "hashed")
        store.add_bytes(b"first")
        filler = fill_disk(disk, leave=size // 2)
        with pytest.raises(OSError) as caught:
            store.add(source)
        assert caught.value.errno == errno.ENOSPC
        assert not list((disk / "keep/tmp").iterdir())
        assert len(objects(disk / "keep")) == 1
        filler.unlink()
        assert store.check(store.add(source).pointer.oid) is Health.OK
        assert_sound(disk / "cache")


@pytest.mark.parametrize("size", [500_000, LARGE])
def test_a_full_disk_is_named_and_the_other_one_takes_it(tmp_path: Path, size: int) -> None:
    source = tmp_path / "source"
    source.write_bytes(random.Random(1).randbytes(size))
    with small_disk(tmp_path / "disk") as disk:
        store = Store(Places(disk / "cache", (disk / "cache/gittrack/1", tmp_path / "home")))
        fill_disk(disk, leave=size // 2)
        added = store.add(source)
        oid = added.pointer.oid
        assert store.find(oid) == tmp_path / f"home/files/md5/{oid[:2]}/{oid[2:]}"
        assert added.cache_problem == f"No space left on device: {disk}/cache/files/md5"
        assert store.check(oid) is Health.OK
        alone = Store(Places(None, (disk / "keep",)))
        with pytest.raises(OSError, match=f"No space left on device: '{disk}/keep'"):
            alone.add(source)


def test_a_read_only_farm_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "keep").mkdir()
    store = Store(Places(tmp_path / "cache", (tmp_path / "keep",)), memory=None)
    with read_only(tmp_path / "keep"), pytest.raises(OSError) as caught:
        store.add_bytes(b"x")
    assert caught.value.errno == errno.EROFS


def test_a_cache_on_another_file_system(project: Repo, tmp_path: Path) -> None:
    early = open_store(project).add_bytes(b"before")
    with small_disk(tmp_path / "disk", "20m") as disk:
        (project.path / ".dvc/config").write_text(f"[cache]\ndir = {disk}/cache\n")
        store = open_store(project)
        added = store.add(project.write("x", b"x" * LARGE))
        oid = added.pointer.oid
        assert added.cache_problem is None
        assert (disk / f"cache/files/md5/{oid[:2]}/{oid[2:]}").stat().st_nlink == 2
        assert store.find(early.oid) == kept(project, early.oid)
        assert store.check(early.oid) is Health.OK
        # What lies in the old farm reaches the new cache as a copy.
        assert store.expose(early.oid)
        assert (disk / f"cache/files/md5/{early.oid[:2]}/{early.oid[2:]}").read_bytes() == b"before"
        assert_sound(disk / "cache")


def test_a_cache_that_moved_is_filled_again(project: Repo, store: Store, tmp_path: Path) -> None:
    source = project.write("data/x", "1")
    age(source)
    oid = store.add(source.parent).pointer.oid
    (project.path / ".dvc/config").write_text(f"[cache]\ndir = {tmp_path}/moved\n")
    open_store(project).add(source.parent)
    for one in store.objects(oid):
        assert kept(project, one).samefile(tmp_path / "moved/files/md5" / one[:2] / one[2:])


def test_without_hard_links_the_cache_gets_a_copy(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        store = Store(Places(tmp_path / "cache", (disk / "keep",)))
        pointer = store.add_bytes(b"content")
        assert store.add_bytes(b"content") == pointer
        assert len(objects(tmp_path / "cache")) == 1
        assert_sound(tmp_path / "cache")
        (disk / f"keep/files/md5/{pointer.oid[:2]}/{pointer.oid[2:]}").unlink()
        assert store.protect(pointer.oid)
        assert_sound(disk / "keep")


_ADD = """\
import sys
from pathlib import Path
from gittrack.pointers.store import Store
here = Path.cwd()
store = Store.of(here / ".git", here)
store.add_bytes(b"started")
while True:
    store.add(here / "data")
    for path in (here / ".git/gittrack").rglob("*"):
        if path.is_file() and "tmp" not in path.parts and path.stat().st_size != 7:
            path.unlink()
"""


def test_kill_leaves_no_damaged_object(project: Repo) -> None:
    for number in range(200):
        project.write(f"data/{number}", random.Random(number).randbytes(3000))
    project.write("data/large", b"x" * 20_000_000)
    started = kept(project, md5(b"started"))
    dice = random.Random(5)
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", _ADD], cwd=project.path, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        wait_until(started.exists, "the first object is there")
        time.sleep(dice.uniform(0.01, 0.15))
        process.send_signal(signal.SIGKILL)
        process.wait()
        started.unlink()
        assert_sound(project.path / ".git/gittrack/odb")
        assert_sound(project.path / ".dvc/cache")
    store = open_store(project)
    store.sweep()
    assert not list((project.path / ".git/gittrack/odb/tmp").iterdir())
    assert not list(project.path.rglob("files/md5/??/.*"))
    assert store.objects(store.add(project.path / "data").pointer.oid)


# --- dvc gc


def test_no_dvc_gc_touches_the_farm(project: Repo, dvc: Callable[..., str], tmp_path: Path) -> None:
    dvc("remote", "add", "--quiet", "--default", "there", str(tmp_path / "remote"))
    project.write("used", "used")
    dvc("add", "--quiet", "used")
    project.commit("used")
    dvc("push", "--quiet")
    project.write("data/x", "1")
    store = open_store(project)
    pointers = [store.add(project.path / "data").pointer, store.add_bytes(b"2")]
    with small_disk(tmp_path / "disk") as disk:
        for cache in (None, disk / "cache"):
            if cache is not None:
                # With the farm inside of the cache.
                (project.path / ".dvc/config.local").write_text(f"[cache]\ndir = {cache}\n")
                shutil.rmtree(project.path / ".git/gittrack/odb")
                store = open_store(project)
                store.add(project.path / "data")
                store.add_bytes(b"2")
                store.add(project.path / "used")
            before = objects(store.places.keep)
            assert len(before) >= 3
            for options in (["-w"], ["-aATf", "--all-experiments"], ["-w", "-c"]):
                dvc("gc", "--quiet", "--force", *options)
                assert objects(store.places.keep) == before
                for pointer in pointers:
                    assert {store.check(oid) for oid in store.objects(pointer.oid)} == {Health.OK}
                    assert (
                        not (cache or project.path / ".dvc/cache")
                        .joinpath("files/md5", pointer.oid[:2], pointer.oid[2:])
                        .exists()
                    )
                    assert store.expose(pointer.oid)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [["-w"], ["-a"], ["-A"], ["-T"], ["--all-experiments"], ["-w", "-c"], ["-A", "-c"], ["-w", "--not-in-remote"]],
)
def test_each_dvc_gc_leaves_the_farm(
    project: Repo, dvc: Callable[..., str], tmp_path: Path, options: list[str]
) -> None:
    dvc("remote", "add", "--quiet", "--default", "there", str(tmp_path / "remote"))
    project.commit("dvc")
    with small_disk(tmp_path / "disk") as disk:
        for cache in (project.path / ".dvc/cache", disk / "cache"):
            (project.path / ".dvc/config.local").write_text(f"[cache]\ndir = {cache}\n")
            store = open_store(project)
            pointer = store.add_bytes(b"content")
            dvc("gc", "--quiet", "--force", *options)
            assert store.check(pointer.oid) is Health.OK


# --- protect and expose


def test_what_only_the_cache_has_can_be_protected(project: Repo, store: Store) -> None:
    project.write("data/x", "1")
    project.write("data/y", "2")
    pointer = store.add(project.path / "data").pointer
    shutil.rmtree(project.path / ".git/gittrack/odb")
    assert store.protect(pointer.oid)
    assert all(kept(project, oid).samefile(cached(project, oid)) for oid in store.objects(pointer.oid))
    shutil.rmtree(project.path / ".dvc/cache")
    assert store.expose(pointer.oid)
    assert all(kept(project, oid).samefile(cached(project, oid)) for oid in store.objects(pointer.oid))
    for folder in (kept, cached):
        folder(project, md5(b"2")).unlink()
    assert not store.protect(pointer.oid)
    assert not store.expose(pointer.oid)
    assert not store.protect("0" * 32)
    assert not store.expose("0" * 32)


# --- taking out


def test_a_folder_goes_out_whole_or_in_part(project: Repo, store: Store) -> None:
    for name in ("a", "sub/b", "sub/deep/c", "subway"):
        project.write(f"data/{name}", name)
    oid = store.add(project.path / "data").pointer.oid
    out = project.path / "out"
    assert len(store.export(oid, out / "all")) == 4
    assert (out / "all/sub/deep/c").read_text() == "sub/deep/c"
    assert store.export(oid, out / "one", member="sub/b") == [out / "one"]
    assert (out / "one").read_text() == "sub/b"
    assert sorted(store.export(oid, out / "part", member="sub")) == [out / "part/b", out / "part/deep/c"]
    with pytest.raises(ObjectMissing, match="nothing"):
        store.export(oid, out / "x", member="nothing")
    with pytest.raises(ObjectMissing, match="is a file"):
        store.export(md5(b"a"), out / "x", member="a")
    status = (out / "one").stat()
    assert (status.st_mode & 0o777, status.st_nlink) == (0o666 & ~umask(), 1)
    (project.path / "none").mkdir()
    assert store.export(store.add(project.path / "none").pointer.oid, out / "none") == []
    assert (out / "none").is_dir()


def umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


def test_what_is_there_stays_unless_told(project: Repo, store: Store) -> None:
    project.write("data/a", "1")
    project.write("data/b", "2")
    oid = store.add(project.path / "data").pointer.oid
    out = project.path / "out"
    store.export(oid, out)
    before = {path: path.stat().st_ino for path in out.iterdir()}
    assert sorted(store.export(oid, out)) == sorted(before)
    assert {path: path.stat().st_ino for path in out.iterdir()} == before
    (out / "a").unlink()
    (out / "b").write_text("X")
    with pytest.raises(FileExistsError, match="b is there already"):
        store.export(oid, out)
    assert not (out / "a").exists()
    store.export(oid, out, overwrite=True)
    assert (out / "b").read_text() == "2"
    (out / "a").unlink()
    (out / "a").mkdir()
    with pytest.raises(FileExistsError):
        store.export(oid, out, overwrite=True)


def test_damaged_content_never_goes_out(project: Repo, store: Store) -> None:
    oid = store.add_bytes(b"good").oid
    out = project.path / "out"
    kept(project, oid).unlink()
    kept(project, oid).write_bytes(b"evil")
    # The cache has a sound copy.
    store.export(oid, out / "x")
    assert (out / "x").read_bytes() == b"good"
    cached(project, oid).unlink()
    with pytest.raises(CorruptRecord, match="is damaged"):
        store.export(oid, out / "y")
    assert os.listdir(out) == ["x"]
    with pytest.raises(ObjectMissing):
        store.export("0" * 32, out / "z")


def test_lists_are_read_with_care(project: Repo, store: Store) -> None:
    with pytest.raises(ObjectMissing):
        store.members("0" * 32 + ".dir")
    project.write("data/x", "1")
    oid = store.add(project.path / "data").pointer.oid
    assert store.objects(oid) == (oid, md5(b"1"))
    assert store.objects(md5(b"1")) == (md5(b"1"),)
    for path in (kept(project, oid), cached(project, oid)):
        path.unlink()
        path.write_bytes(b"[]")
    with pytest.raises(CorruptRecord, match="damaged"):
        store.members(oid)


# --- objects from elsewhere


def test_a_download_becomes_an_object(project: Repo, store: Store) -> None:
    for _ in range(2):
        temporary = store.scratch()
        temporary.write_bytes(b"downloaded")
        store.install(md5(b"downloaded"), temporary)
        assert not temporary.exists()
    assert kept(project, md5(b"downloaded")).samefile(cached(project, md5(b"downloaded")))
    assert_sound(project.path / ".dvc/cache")


def test_sweep_takes_what_dead_processes_left(project: Repo, store: Store) -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    mine = store.scratch()
    dead = mine.with_name(mine.name.replace(str(os.getpid()), str(done.pid), 1))
    elsewhere = mine.with_name(f"{done.pid}-00000000-ffff")
    part, old_part = mine.with_name("part-" + "a" * 32), mine.with_name("part-" + "b" * 32)
    for path in (mine, dead, elsewhere, part, old_part):
        path.write_bytes(b"12345")
    os.utime(old_part, (time.time() - 15 * 24 * 3600,) * 2)
    assert store.sweep() == (2, 10)
    assert sorted(mine.parent.iterdir()) == sorted([mine, elsewhere, part])


_KILLED = """\
import os, sys
from pathlib import Path
from gittrack.pointers.store import Store
os.rename = lambda old, new: os.kill(os.getpid(), 9)
here = Path.cwd()
Store.of(here / ".git", here).protect(sys.argv[1])
"""


def test_sweep_takes_the_names_that_killed_processes_left_beside_objects(project: Repo, store: Store) -> None:
    oid = store.add_bytes(b"12345").oid
    kept(project, oid).unlink()
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, oid], cwd=project.path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert len(os.listdir(kept(project, oid).parent)) == 1
    assert store.sweep() == (1, 0)
    assert os.listdir(kept(project, oid).parent) == []
    assert cached(project, oid).exists()


def test_importing_the_store_imports_nothing_large(tmp_path: Path) -> None:
    code = (
        "import sys, gittrack.pointers.store, gittrack.pointers.tracked\n"
        "print([one for one in ('dvc', 'dvc_data', 'dulwich', 'yaml', 'ruamel', 'tqdm', 'orjson') if one in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
