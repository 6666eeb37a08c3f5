"""Telling a living writer from a dead one, and from one that cannot be seen from here."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys

import pytest

from gittrack.live.owner import Liveness, Owner, boot_id, liveness, process_start, this_process
from tests.helpers import wait_until


def test_this_process_lives() -> None:
    me = this_process(attempt=3, rank=2)
    assert (me.pid, me.host, me.attempt, me.rank) == (os.getpid(), socket.gethostname(), 3, 2)
    assert liveness(me) is Liveness.ALIVE


def test_owners_survive_json() -> None:
    me = this_process("rank", 2, 5)
    assert Owner.from_dict(me.to_dict()) == me
    assert Owner.from_dict({**me.to_dict(), "added later": 1}) == me
    with pytest.raises(TypeError):
        Owner.from_dict({"pid": 1})


def test_a_process_that_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        owner = dataclasses.replace(this_process(), pid=child.pid, started=process_start(child.pid) or 0.0)
        assert liveness(owner) is Liveness.ALIVE
        child.kill()
        child.communicate()
    assert liveness(owner) is Liveness.DEAD


def test_a_zombie_will_never_write_again() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    try:
        owner = dataclasses.replace(this_process(), pid=pid, started=0.0)
        wait_until(lambda: liveness(owner) is Liveness.DEAD, "the child is a zombie")
    finally:
        os.waitpid(pid, 0)


def test_another_process_with_the_same_pid() -> None:
    assert liveness(dataclasses.replace(this_process(), started=this_process().started - 500)) is Liveness.DEAD


def test_a_command_with_spaces_and_brackets_in_its_name(tmp_path: os.PathLike[str]) -> None:
    program = os.path.join(tmp_path, ") R 1 (x")
    os.symlink("/bin/sleep", program)
    with subprocess.Popen([program, "60"]) as child:
        start = process_start(child.pid)
        assert start is not None
        assert abs(start - (process_start(os.getpid()) or 0)) < 1e7
        child.kill()


def test_after_a_reboot_all_are_dead() -> None:
    assert liveness(dataclasses.replace(this_process(), boot="another boot")) is Liveness.DEAD


def test_another_machine_cannot_be_seen() -> None:
    owner = dataclasses.replace(this_process(), host="elsewhere", boot="its boot")
    assert liveness(owner) is Liveness.UNKNOWN
    assert liveness(dataclasses.replace(owner, pid=2**22 + 1)) is Liveness.UNKNOWN


def test_an_owner_that_does_not_know_its_boot_is_not_declared_dead() -> None:
    assert liveness(dataclasses.replace(this_process(), boot="")) is Liveness.UNKNOWN


def test_another_container_of_this_machine_cannot_be_seen() -> None:
    owner = dataclasses.replace(this_process(), host="container", namespace="pid:[1]", pid=1)
    assert liveness(owner) is Liveness.UNKNOWN


def test_a_process_in_a_namespace_of_its_own() -> None:
    code = "import json; from gittrack.live.owner import this_process; print(json.dumps(this_process().to_dict()))"
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"no new pid namespace here: {done.stderr.strip()[:80]}")
    import json

    inside = Owner.from_dict(json.loads(done.stdout))
    assert inside.boot == boot_id()
    assert liveness(inside) is Liveness.UNKNOWN


def test_a_pid_that_never_was() -> None:
    assert process_start(2**22 + 5) is None
