"""Runs through real git hosts: what goes and comes, what they refuse, and what becomes of a connection that breaks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gittrack.project import Project
from tests.helpers import Repo
from tests.ledger.servers import git_daemon, git_http, git_ssh
from tests.pointers.servers import PASSWORD, USER, Server, Wire


@dataclass
class Host:
    """A bare repository behind a server, and two clones of it."""

    bare: Repo
    url: str
    ours: Repo
    theirs: Repo
    server: Server | None = None
    wire: Wire | None = None


def record(repo: Repo, name: str, points: int = 3) -> str:
    with Project.open(repo.path).start_run(name, experiment="e", console=False) as run:
        for step in range(points):
            run.log_metric("loss", 1 / (step + 1), step=step)
    return run.id


def runs(repo: Repo) -> str:
    return repo.gittrack("ls", "--json").stdout


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITTRACK_RUN_SYSTEM_METRICS", "off")
    monkeypatch.setenv("GIT_TERMINAL_PROMPT", "0")
    # All of them listen on this machine only.
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "file:git:http:ssh")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def _clones(repo: Repo, tmp_path: Path, url: str) -> tuple[Repo, Repo]:
    repo.git("remote", "add", "origin", url)
    repo.git("push", "--quiet", "origin", "HEAD:main")
    repo.git("clone", "--quiet", url, str(tmp_path / "theirs"))
    return repo, Repo(tmp_path / "theirs")


def _bare(repo: Repo, tmp_path: Path) -> Repo:
    (tmp_path / "hosted").mkdir()
    repo.git("init", "--quiet", "--bare", "--initial-branch=main", str(tmp_path / "hosted/team.git"))
    return Repo(tmp_path / "hosted/team.git")


@pytest.fixture(params=["daemon", "http", "ssh"])
def host(request: pytest.FixtureRequest, repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    bare = _bare(repo, tmp_path)
    folder = tmp_path / "hosted"
    if request.param == "daemon":
        with git_daemon(folder) as server:
            wire = Wire(server.port)
            url = f"git://127.0.0.1:{wire.port}/team.git"
            yield Host(bare, url, *_clones(repo, tmp_path, url), server, wire)
    elif request.param == "http":
        with git_http(folder) as server:
            wire = Wire(server.port)
            helper = tmp_path / "helper"
            helper.write_text(f'#!/bin/sh\necho username={USER}\necho "password={PASSWORD}"\n')
            helper.chmod(0o755)
            repo.git("config", "--global", "credential.helper", str(helper))
            url = f"http://127.0.0.1:{wire.port}/team.git"
            yield Host(bare, url, *_clones(repo, tmp_path, url), server, wire)
    else:
        if shutil.which("ssh") is None:
            pytest.skip("there is no ssh program here")
        (tmp_path / "keys").mkdir()
        with git_ssh(folder, tmp_path / "keys") as (server, command):
            wire = Wire(server.port)
            monkeypatch.setenv("GIT_SSH_COMMAND", command.replace(f"-p {server.port}", f"-p {wire.port}"))
            url = "somebody@127.0.0.1:/team.git"
            yield Host(bare, url, *_clones(repo, tmp_path, url), server, wire)


def test_there_and_back(host: Host) -> None:
    first = record(host.ours, "first")
    assert "e: 1 run pushed" in host.ours.gittrack("push", "--no-data").stdout
    assert "e: 1 run fetched" in host.theirs.gittrack("fetch", "--no-data").stdout
    host.theirs.gittrack("tag", first[:8], "seen=yes")
    record(host.theirs, "second")
    host.theirs.gittrack("push", "--no-data")
    host.ours.gittrack("fetch", "--no-data")
    assert runs(host.ours) == runs(host.theirs)
    assert "no new runs" in host.ours.gittrack("push", "--no-data").stdout
    for one in (host.ours, host.theirs, host.bare):
        one.git("fsck", "--strict")


def test_a_connection_that_breaks_and_a_repeat(host: Host) -> None:
    for number in range(20):
        record(host.ours, f"run-{number}", points=200)
    assert host.wire is not None
    host.wire.cut_after = 9_000
    broken = host.ours.gittrack("push", "--no-data", check=False)
    assert broken.returncode == 1
    assert "Traceback" not in broken.stderr
    assert len(broken.stderr.strip().splitlines()) <= 3, broken.stderr
    host.wire.cut_after = None
    assert "20 runs pushed" in host.ours.gittrack("push", "--no-data").stdout
    host.wire.cut_after = 9_000
    broken = host.theirs.gittrack("fetch", "--no-data", check=False)
    assert broken.returncode == 1
    assert "Traceback" not in broken.stderr
    host.wire.cut_after = None
    assert "20 runs fetched" in host.theirs.gittrack("fetch", "--no-data").stdout
    assert "incoming" not in host.theirs.git("for-each-ref", "--format=%(refname)")
    assert runs(host.ours) == runs(host.theirs)


def test_a_server_that_is_gone(host: Host) -> None:
    record(host.ours, "a")
    assert host.server is not None
    assert host.wire is not None
    host.wire.cut_after = 0
    for words in (("push", "--no-data"), ("fetch",), ("pull",)):
        said = host.ours.gittrack(*words, check=False)
        assert said.returncode == 1
        assert said.stderr.startswith("gittrack: ")
        assert "Traceback" not in said.stderr
    # Offline is normal.
    assert "a" in host.ours.gittrack("ls").stdout
    host.wire.cut_after = None
    assert "1 run pushed" in host.ours.gittrack("push", "--no-data").stdout


def test_protocol_version_0(host: Host) -> None:
    for one in (host.ours, host.theirs):
        one.git("config", "protocol.version", "0")
    record(host.ours, "a")
    host.ours.gittrack("push", "--no-data")
    assert "1 run fetched" in host.theirs.gittrack("fetch", "--no-data").stdout


def test_a_wrong_password(repo: Repo, tmp_path: Path) -> None:
    _bare(repo, tmp_path)
    with git_http(tmp_path / "hosted") as server:
        repo.git("remote", "add", "origin", f"http://{USER}:wrong@127.0.0.1:{server.port}/team.git")
        record(repo, "a")
        said = repo.gittrack("push", "--no-data", check=False)
    assert said.returncode == 1
    assert "wrong@" not in said.stderr


# --- hosts that refuse


@pytest.fixture
def local(repo: Repo, tmp_path: Path) -> Host:
    bare = _bare(repo, tmp_path)
    return Host(bare, str(bare.path), *_clones(repo, tmp_path, str(bare.path)))


def test_a_host_that_refuses_our_refs(local: Host) -> None:
    hook = local.bare.path / "hooks/pre-receive"
    hook.write_text(
        "#!/bin/sh\ngrep -q refs/experiments && echo 'GL-HOOK-ERR: no such refs here' >&2 && exit 1\nexit 0\n"
    )
    hook.chmod(0o755)
    record(local.ours, "a")
    said = local.ours.gittrack("push", "--no-data", check=False)
    assert said.returncode == 1
    assert "refs/experiments/_ledger/" in said.stderr
    assert "hook declined: GL-HOOK-ERR: no such refs here" in said.stderr
    assert "no new runs" not in said.stdout
    hook.unlink()
    assert "1 run pushed" in local.ours.gittrack("push", "--no-data").stdout


def test_a_host_that_hides_our_refs(local: Host) -> None:
    local.bare.git("config", "receive.hideRefs", "refs/experiments")
    record(local.ours, "a")
    said = local.ours.gittrack("push", "--no-data", check=False)
    assert said.returncode == 1
    assert "hidden" in said.stderr


def test_an_empty_repository(repo: Repo, tmp_path: Path) -> None:
    repo.git("init", "--quiet", "--bare", str(tmp_path / "empty.git"))
    repo.git("remote", "add", "origin", str(tmp_path / "empty.git"))
    assert "no new runs" in repo.gittrack("fetch", "--no-data").stdout
    assert "no new runs" in repo.gittrack("push", "--no-data").stdout
    record(repo, "a")
    assert "1 run pushed" in repo.gittrack("push", "--no-data").stdout


def test_a_shallow_clone_both_ways(local: Host, tmp_path: Path) -> None:
    record(local.ours, "a")
    local.ours.gittrack("push", "--no-data")
    for number in range(3):
        local.ours.write("train.py", str(number))
        local.ours.commit()
    local.ours.git("push", "--quiet", "origin", "HEAD:main")
    local.ours.git("clone", "--quiet", "--depth", "1", f"file://{local.bare.path}", str(tmp_path / "shallow"))
    shallow = Repo(tmp_path / "shallow")
    record(shallow, "b")
    assert "1 run pushed" in shallow.gittrack("push", "--no-data").stdout
    assert "1 run fetched" in shallow.gittrack("fetch", "--no-data").stdout
    local.ours.gittrack("fetch", "--no-data")
    assert runs(shallow) == runs(local.ours)


def test_a_plain_clone_takes_no_runs(local: Host, tmp_path: Path) -> None:
    for number in range(3):
        record(local.ours, f"run-{number}")
    local.ours.gittrack("push", "--no-data")
    local.ours.git("clone", "--quiet", f"file://{local.bare.path}", str(tmp_path / "plain"))
    plain = Repo(tmp_path / "plain")
    assert "experiments" not in plain.git("for-each-ref")
    assert int(plain.git("rev-list", "--all", "--count")) == 1
    assert "in-pack: 3" in plain.git("count-objects", "-v")


def test_a_read_only_host(local: Host) -> None:
    record(local.ours, "a")
    hook = local.bare.path / "hooks/update"
    hook.write_text("#!/bin/sh\necho 'you may only read' >&2\nexit 1\n")
    hook.chmod(0o755)
    said = local.ours.gittrack("push", "--no-data", check=False)
    assert said.returncode == 1
    assert "declined" in said.stderr
    hook.unlink()
    local.bare.git("config", "http.receivepack", "false")
    assert "1 run pushed" in local.ours.gittrack("push", "--no-data").stdout
