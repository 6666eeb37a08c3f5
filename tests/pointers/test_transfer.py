"""Objects to a remote and back, over real protocols: a folder, ssh, S3."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gittrack.errors import MissingExtra, RemoteUnusable
from gittrack.pointers import moving, transfer
from gittrack.pointers.dvcfile import pointer_file
from gittrack.pointers.remote import Remote, base_remote, open_remote, set_up_remote
from gittrack.pointers.setup import set_up_dvc
from gittrack.pointers.store import Health, Store
from gittrack.pointers.transfer import present, pull, push
from tests.helpers import Repo
from tests.pointers.servers import KEYS, PASSWORD, USER, Server, Wire, free_port, make_bucket, s3_server, ssh_server

KINDS = ["local", "ssh", "s3"]


@pytest.fixture(scope="module")
def s3() -> Iterator[Server]:
    with s3_server() as server:
        yield server


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    folder = tmp_path_factory.mktemp("ssh")
    with ssh_server(folder, tmp_path_factory.mktemp("key")) as server:
        yield server, folder


@dataclass
class Place:
    """A DVC project with a remote, and a store beside it."""

    repo: Repo
    kind: str
    wire: Wire | None
    # Where its files lie, if they do so on this machine.
    folder: Path | None

    @property
    def root(self) -> Path:
        return self.repo.path

    def store(self, name: str = "here") -> Store:
        """A store of its own, in another clone as it were."""
        other = self.root.parent / name
        if not other.exists():
            Repo.init(other)
            set_up_dvc(other)
        return Store.of(other / ".git", other)

    def open(self) -> Remote:
        return open_remote(self.root)

    def fill(self, store: Store, count: int = 20, size: int = 2_000) -> list[str]:
        """Files and a folder of files; returns all their objects."""
        oids = [store.add_bytes(f"{self.kind} {number}".encode() * (size // 10)).oid for number in range(count)]
        folder = self.root.parent / "folder"
        folder.mkdir(exist_ok=True)
        for number in range(3):
            (folder / f"{number}.bin").write_bytes(f"in the folder {number}".encode() * 100)
        return [*oids, *store.objects(store.add(folder).pointer.oid)]

    def objects_there(self) -> list[str]:
        return [] if self.folder is None else [one.name for one in self.folder.rglob("files/md5/*/*")]


@pytest.fixture(params=KINDS)
def place(
    request: pytest.FixtureRequest, repo: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Place]:
    kind: str = request.param
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    set_up_dvc(repo.path)
    folder: Path | None = None
    wire: Wire | None = None
    private = ""
    if kind == "local":
        folder = tmp_path / "remote"
        public = f"url = {folder}"
    elif kind == "ssh":
        server, shared = request.getfixturevalue("ssh")
        wire = Wire(server.port)
        folder = shared / tmp_path.name
        public = f"url = ssh://{USER}@127.0.0.1:{wire.port}/{tmp_path.name}"
        private = f"['remote \"store\"']\n    password = {PASSWORD}\n"
    else:
        server = request.getfixturevalue("s3")
        wire = Wire(server.port)
        bucket = "".join(one if one.isalnum() else "-" for one in f"b{tmp_path.name}{os.getpid()}".lower())[:60].strip(
            "-"
        )
        make_bucket(server.port, bucket)
        public = f"url = s3://{bucket}/data\n    endpointurl = http://127.0.0.1:{wire.port}"
    repo.write(".dvc/config", f"[core]\n    remote = store\n['remote \"store\"']\n    {public}\n")
    if private:
        repo.write(".dvc/config.local", private)
    monkeypatch.setattr(moving, "PAUSE", 0.02)
    yield Place(repo, kind, wire, folder)
    if wire is not None:
        wire.close()


def test_there_and_back(place: Place) -> None:
    here, remote = place.store(), place.open()
    oids = place.fill(here)
    done = push(here, remote, oids)
    assert (done.done, done.already, done.failed) == (len(oids), 0, {})
    assert present(remote, oids).keys() == set(oids)
    assert all((place.folder or Path()).exists() for _ in "x")
    again = push(here, place.open(), oids)
    assert (again.done, again.already, again.failed) == (0, len(oids), {})
    other = place.store("other")
    back = pull(other, place.open(), oids)
    assert (back.done, back.bytes, back.failed) == (len(oids), done.bytes, {})
    assert all(other.check(oid) is Health.OK for oid in oids)
    assert pull(other, place.open(), oids).already == len(oids)


def test_exactly_what_was_asked_for(place: Place) -> None:
    here = place.store()
    oids = place.fill(here)
    push(here, place.open(), oids[:3])
    assert present(place.open(), oids).keys() == set(oids[:3])
    other = place.store("other")
    done = pull(other, place.open(), oids[2:4])
    assert done.done == 1
    assert list(done.failed) == [oids[3]]
    assert "does not have it" in done.failed[oids[3]]
    assert other.find(oids[0]) is None


def test_a_list_is_there_only_when_its_files_are(place: Place) -> None:
    here = place.store()
    oids = place.fill(here, count=0)
    listing = next(oid for oid in oids if oid.endswith(".dir"))
    path = here.find(oids[1])
    assert path is not None
    os.unlink(path)
    os.unlink(place.store().places.cache / "files/md5" / oids[1][:2] / oids[1][2:])  # type: ignore[operator]
    done = push(here, place.open(), oids)
    assert done.failed.keys() == {oids[1], listing}
    assert listing not in present(place.open(), oids)


def test_a_list_waits_for_a_file_that_is_broken_there_and_here(place: Place) -> None:
    here = place.store()
    oids = place.fill(here, count=0)
    listing = next(oid for oid in oids if oid.endswith(".dir"))
    member = next(oid for oid in oids if oid != listing)
    remote = place.open()
    remote.fs.makedirs(str(remote.fs.parent(remote.place(member))), exist_ok=True)
    remote.fs.fs.pipe_file(remote.place(member), b"half")
    path = here.find(member)
    assert path is not None
    path.chmod(0o644)
    path.write_bytes(b"y" * path.stat().st_size)
    done = push(here, place.open(), oids)
    assert {member, listing} <= done.failed.keys()
    assert listing not in present(place.open(), oids)


def test_damaged_bytes_do_not_travel(place: Place) -> None:
    here = place.store()
    oid = here.add_bytes(b"x" * 5000).oid
    path = here.find(oid)
    assert path is not None
    path.chmod(0o644)
    path.write_bytes(b"y" * 5000)
    done = push(here, place.open(), [oid])
    assert "damaged here" in done.failed[oid]
    assert present(place.open(), [oid]) == {}


def test_a_damaged_object_of_the_remote_is_refused(place: Place) -> None:
    here, remote = place.store(), place.open()
    oid = here.add_bytes(b"x" * 5000).oid
    push(here, remote, [oid])
    remote.fs.fs.rm_file(remote.place(oid))
    remote.fs.fs.pipe_file(remote.place(oid), b"z" * 5000)
    other = place.store("other")
    done = pull(other, place.open(), [oid])
    assert "are damaged" in done.failed[oid]
    assert other.find(oid) is None
    assert not list(other.places.keep.glob("tmp/*"))


def test_a_truncated_object_of_the_remote_is_sent_again(place: Place) -> None:
    here, remote = place.store(), place.open()
    oid = here.add_bytes(b"x" * 5000).oid
    push(here, remote, [oid])
    remote.fs.fs.rm_file(remote.place(oid))
    remote.fs.fs.pipe_file(remote.place(oid), b"x" * 100)
    assert push(here, place.open(), [oid]).done == 1
    assert pull(place.store("other"), place.open(), [oid]).failed == {}


def test_plain_dvc_reads_what_we_pushed_and_we_what_it_pushed(place: Place) -> None:
    here = place.store()
    pointer = here.add_bytes(b"model" * 1000)
    push(here, place.open(), [pointer.oid])
    set_up_remote(place.root, "store", here.places.keep)
    place.repo.write("model.dvc", pointer_file(pointer, "model"))
    dvc(place, "pull", "-r", "gittrack", "model.dvc")
    assert (place.root / "model").read_bytes() == b"model" * 1000
    place.repo.write("other", b"other" * 1000)
    dvc(place, "add", "--quiet", "other")
    dvc(place, "push", "-r", "gittrack", "other.dvc")
    oid = hashlib.md5(b"other" * 1000).hexdigest()
    assert pull(place.store("third"), place.open(), [oid]).failed == {}


def dvc(place: Place, *args: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *args], cwd=place.root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("place", ["ssh", "s3"], indirect=True)
def test_a_wire_that_is_cut_in_the_middle_of_a_push(place: Place) -> None:
    here, wire = place.store(), place.wire
    assert wire is not None
    oids = place.fill(here, count=30, size=20_000)
    remote = place.open()
    wire.cut_after = 300_000
    done = push(here, remote, oids)
    assert 0 < len(done.failed) <= len(oids)
    assert any("connection" in one or "answer" in one for one in done.failed.values())
    wire.cut_after = None
    again = push(here, place.open(), oids)
    assert again.failed == {}
    assert again.done + again.already == len(oids)
    assert all(pull(place.store("other"), place.open(), [oid]).failed == {} for oid in oids[:2])
    assert pull(place.store("other"), place.open(), oids).failed == {}
    assert all(place.store("other").check(oid) is Health.OK for oid in oids)


# sshfs leaves the file open into which it was writing.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("place", ["ssh", "s3"], indirect=True)
def test_a_wire_that_is_cut_in_the_middle_of_a_pull(place: Place) -> None:
    here, wire = place.store(), place.wire
    assert wire is not None
    oids = place.fill(here, count=30, size=20_000)
    push(here, place.open(), oids)
    other, remote = place.store("other"), place.open()
    wire.cut_after = 300_000
    done = pull(other, remote, oids)
    assert done.failed
    assert all(other.check(oid) is not Health.DAMAGED for oid in oids)
    wire.cut_after = None
    again = pull(other, place.open(), oids)
    assert again.failed == {}
    assert all(other.check(oid) is Health.OK for oid in oids)


def test_a_large_object_goes_on_where_it_broke_off(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "LARGE", 400_000)
    monkeypatch.setattr(transfer, "_PIECE", 100_000)
    here = place.store()
    oid = here.add_bytes(os.urandom(2_000_000)).oid
    push(here, place.open(), [oid])
    other = place.store("other")
    if place.wire is None:
        # Nothing can be cut here: as much as an earlier process had fetched.
        (other.places.keep / "tmp").mkdir(parents=True)
        path = here.find(oid)
        assert path is not None
        other.scratch().with_name(f"part-{oid}").write_bytes(path.read_bytes()[:1_200_000])
        assert pull(other, place.open(), [oid]).failed == {}
        return
    remote = place.open()
    place.wire.cut_after = 1_200_000
    assert pull(other, remote, [oid]).failed
    (part,) = (other.places.keep / "tmp").glob("part-*")
    got = part.stat().st_size
    assert 300_000 <= got < 1_300_000
    place.wire.cut_after = None
    before = place.wire.received
    assert pull(other, place.open(), [oid]).failed == {}
    assert place.wire.received - before < 2_000_000 - got + 200_000
    assert other.check(oid) is Health.OK
    assert not part.exists()


def test_a_spoiled_part_is_not_kept(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "LARGE", 1000)
    here = place.store()
    oid = here.add_bytes(b"x" * 5000).oid
    push(here, place.open(), [oid])
    other = place.store("other")
    part = other.scratch().with_name(f"part-{oid}")
    part.write_bytes(b"spoiled")
    assert "damaged" in pull(other, place.open(), [oid]).failed[oid]
    assert pull(other, place.open(), [oid]).failed == {}
    assert other.check(oid) is Health.OK


# --- what is wrong with a remote


def configured(repo: Repo, text: str, local: str = "") -> Path:
    set_up_dvc(repo.path)
    repo.write(".dvc/config", text)
    if local:
        repo.write(".dvc/config.local", local)
    return repo.path


STORE = "['remote \"store\"']\n    url = {}\n"


def test_no_remote_several_remotes_and_a_wrong_name(repo: Repo) -> None:
    with pytest.raises(RemoteUnusable, match="gittrack init"):
        open_remote(repo.path)
    root = configured(repo, "")
    assert base_remote(root) is None
    with pytest.raises(RemoteUnusable, match="dvc remote add -d store URL"):
        open_remote(root)
    configured(repo, STORE.format("/one"))
    assert base_remote(root) == "store"
    configured(repo, STORE.format("/one") + STORE.format("/two").replace("store", "other"))
    assert base_remote(root) is None
    assert base_remote(root, "other") == "other"
    with pytest.raises(RemoteUnusable, match="several remotes"):
        open_remote(root)
    with pytest.raises(RemoteUnusable, match="no remote 'third'"):
        open_remote(root, "third")


def test_a_configuration_that_cannot_be_read(repo: Repo) -> None:
    with pytest.raises(RemoteUnusable, match="cannot be read"):
        open_remote(configured(repo, "[core\nremote = x\n"))


def test_a_plug_in_that_is_missing_is_named(repo: Repo) -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'dvc\[gdrive\]'"):
        open_remote(configured(repo, STORE.format("gdrive://folder/x")))


def test_a_server_that_does_not_answer(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    port = free_port()
    local = f"['remote \"store\"']\n    password = {PASSWORD}\n"
    with pytest.raises(RemoteUnusable, match="cannot be reached"):
        open_remote(configured(repo, STORE.format(f"ssh://x@127.0.0.1:{port}/x"), local))
    configured(repo, STORE.format("s3://bucket/x") + f"    endpointurl = http://127.0.0.1:{port}\n")
    (repo.path / ".dvc/config.local").unlink()
    store = Store.of(repo.path / ".git", repo.path)
    oid = store.add_bytes(b"x").oid
    done = push(store, open_remote(repo.path), [oid])
    assert "no connection" in done.failed[oid]
    assert "no connection" in pull(Store.of(repo.path, None), open_remote(repo.path), [oid]).failed[oid]


def silent_s3(repo: Repo, monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    configured(repo, STORE.format("s3://bucket/x") + f"    endpointurl = http://127.0.0.1:{port}\n")


def test_asking_a_server_that_is_down_is_one_sentence(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    silent_s3(repo, monkeypatch, free_port())
    with pytest.raises(RemoteUnusable, match="'gittrack' at s3://bucket/x/gittrack cannot be asked"):
        present(open_remote(repo.path), ["0" * 32])


def test_ctrl_c_does_not_wait_for_a_server_that_is_silent(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent_s3(repo, monkeypatch, listener.getsockname()[1])
        store = Store.of(repo.path / ".git", repo.path)
        oids = [store.add_bytes(bytes([number])).oid for number in range(40)]
        code = (
            "import sys\nfrom pathlib import Path\nfrom gittrack.pointers import transfer\n"
            "from gittrack.pointers.remote import open_remote\nfrom gittrack.pointers.store import Store\n"
            "root = Path.cwd()\ntransfer.look = lambda remote, oids: {}\n"
            "transfer.push(Store.of(root / '.git', root), open_remote(root), sys.argv[1:])\n"
        )
        command = [sys.executable, "-c", code, *oids]
        with subprocess.Popen(command, cwd=repo.path, stderr=subprocess.PIPE, text=True) as process:
            # Sockets that nobody accepts stay queued: the first one tells that the upload has begun.
            near, _ = listener.accept()
            process.send_signal(signal.SIGINT)
            try:
                assert "KeyboardInterrupt" in process.communicate(timeout=20)[1]
            finally:
                process.kill()
                near.close()


def test_a_login_that_is_refused(repo: Repo, ssh: tuple[Server, Path]) -> None:
    """In a process of its own: asyncssh asks once more, on a terminal if there is one."""
    url = f"ssh://{USER}@127.0.0.1:{ssh[0].port}/x"
    configured(repo, STORE.format(url), "['remote \"store\"']\n    password = wrong horse\n")
    done = repo.python(
        "from pathlib import Path\n"
        "from gittrack.errors import RemoteUnusable\n"
        "from gittrack.pointers.remote import open_remote\n"
        "try:\n    open_remote(Path('.').absolute())\n"
        "except RemoteUnusable as error:\n    print(error)\n"
    )
    assert "cannot be reached" in done.stdout
    assert "wrong horse" not in done.stdout + done.stderr


def test_a_bucket_that_is_not_there(repo: Repo, s3: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    configured(repo, STORE.format("s3://nowhere/x") + f"    endpointurl = http://127.0.0.1:{s3.port}\n")
    store = Store.of(repo.path / ".git", repo.path)
    oid = store.add_bytes(b"x").oid
    assert "no such bucket" in push(store, open_remote(repo.path), [oid]).failed[oid]


def test_a_remote_that_is_full(repo: Repo, tmp_path: Path) -> None:
    from tests.helpers import fill_disk, small_disk

    with small_disk(tmp_path / "full", "1m") as folder:
        configured(repo, STORE.format(folder))
        store = Store.of(repo.path / ".git", repo.path)
        oid = store.add_bytes(b"x" * 500_000).oid
        filler = fill_disk(folder)
        filler.unlink()
        push(store, open_remote(repo.path), [store.add_bytes(b"small").oid])
        filler = fill_disk(folder)
        done = push(store, open_remote(repo.path), [oid])
        assert "no space is left" in done.failed[oid]
        assert not list(folder.rglob("tmp/*"))
        filler.unlink()
        assert push(store, open_remote(repo.path), [oid]).failed == {}


# --- setting up


def test_setting_up_appends_and_changes_nothing_else(repo: Repo) -> None:
    before = "# ours\n[core]\n    remote = store   # the default\n['remote \"store\"']\n    url = s3://bucket/x"
    root = configured(repo, before)
    (root / ".dvc/config.local").write_text("['remote \"store\"']\n    access_key_id = secret\n")
    (root / ".dvc/config.local").chmod(0o600)
    assert set_up_remote(root, "store", Path("/the/farm")) == [".dvc/config", ".dvc/config.local"]
    assert (
        root / ".dvc/config"
    ).read_text() == f"{before}\n['remote \"gittrack\"']\n    url = remote://store/gittrack\n"
    local = (root / ".dvc/config.local").read_text()
    assert local.endswith("access_key_id = secret\n['remote \"keep\"']\n    url = /the/farm\n")
    assert (root / ".dvc/config.local").stat().st_mode & 0o777 == 0o600
    assert "secret" not in (root / ".dvc/config").read_text()
    assert set_up_remote(root, "store", Path("/the/farm")) == []
    assert base_remote(root) == "store"


def test_without_a_remote_only_the_farm_is_named(repo: Repo) -> None:
    root = configured(repo, "")
    assert set_up_remote(root, None, Path("/the/farm")) == [".dvc/config.local"]
    assert (root / ".dvc/config").read_text() == ""
    assert base_remote(root) is None


def test_credentials_in_a_url_are_not_shown(repo: Repo, tmp_path: Path) -> None:
    remote = open_remote(configured(repo, STORE.format(tmp_path)))
    assert remote.url == f"{tmp_path}/gittrack"
    with contextlib.suppress(RemoteUnusable), pytest.raises(RemoteUnusable) as caught:
        open_remote(configured(repo, STORE.format(f"ssh://me:hunter2@127.0.0.1:{free_port()}/x")))
    assert "hunter2" not in str(caught.value)


# --- a server that dies


# asyncssh leaves the local file of a broken download to the collector: its close of the remote one fails first.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore:Exception ignored in. <_io:pytest.PytestUnraisableExceptionWarning")
def test_an_ssh_server_that_is_killed_in_the_middle_and_comes_back(repo: Repo, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    with ssh_server(shared, tmp_path) as server:
        url = f"ssh://{USER}@127.0.0.1:{server.port}/x"
        root = configured(repo, STORE.format(url), f"['remote \"store\"']\n    password = {PASSWORD}\n")
        here = Store.of(root / ".git", root)
        oids = [here.add_bytes(os.urandom(200_000)).oid for _ in range(30)]
        moved = [0]

        def kill_soon(count: int) -> None:
            moved[0] += count
            if moved[0] > 1_000_000:
                server.kill()

        remote = open_remote(root)
        assert push(here, remote, oids, progress=kill_soon).failed
        whole = list(shared.rglob("files/md5/*/*"))
        assert all(hashlib.md5(one.read_bytes()).hexdigest() == one.parent.name + one.name for one in whole)
        server.start()
        assert push(here, open_remote(root), oids).failed == {}
        Repo.init(tmp_path / "other")
        other = Store.of(tmp_path / "other" / ".git", None)
        moved[0] = 0
        assert pull(other, open_remote(root), oids, progress=kill_soon).failed
        gc.collect()
        assert all(other.check(oid) is not Health.DAMAGED for oid in oids)
        server.start()
        assert pull(other, open_remote(root), oids).failed == {}
        assert all(other.check(oid) is Health.OK for oid in oids)


def test_an_s3_server_that_is_killed_in_the_middle_of_a_pull(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What moto holds dies with it, so the bucket is filled anew before the second try."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with s3_server() as server:
        make_bucket(server.port, "bucket")
        root = configured(repo, STORE.format("s3://bucket/x") + f"    endpointurl = http://127.0.0.1:{server.port}\n")
        here = Store.of(root / ".git", root)
        oids = [here.add_bytes(os.urandom(50_000)).oid for _ in range(40)]
        assert push(here, open_remote(root), oids).failed == {}
        Repo.init(tmp_path / "other")
        other = Store.of(tmp_path / "other" / ".git", None)
        moved = [0]

        def kill_soon(count: int) -> None:
            moved[0] += count
            if moved[0] > 500_000:
                server.kill()

        done = pull(other, open_remote(root), oids, progress=kill_soon)
        assert 0 < len(done.failed) < len(oids)
        assert all(other.check(oid) is not Health.DAMAGED for oid in oids)
        server.start()
        make_bucket(server.port, "bucket")
        assert push(here, open_remote(root), oids).done == len(oids)
        again = pull(other, open_remote(root), oids)
        assert (again.failed, again.done) == ({}, len(done.failed))
        assert all(other.check(oid) is Health.OK for oid in oids)
