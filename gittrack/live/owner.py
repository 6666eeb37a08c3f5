"""Who writes a run, and whether that process still lives."""

from __future__ import annotations

import os
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

from gittrack.values import dataclass, fields


class Liveness(Enum):
    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"  # another host, or a container of which we cannot see the processes


@dataclass(frozen=True, slots=True)
class Owner:
    """One writing process. `started` tells it from a later process with the same pid; `role` is creator, member or rank.

    A creator's end ends the run; a member (a script inside `gittrack run`) and a rank of a distributed job only leave it.
    """

    pid: int
    started: float
    host: str
    boot: str
    namespace: str
    machine: str = ""
    role: str = "creator"
    attempt: int = 1
    rank: int | None = None

    def to_dict(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Owner:
        known = {one.name: plain[one.name] for one in fields(cls) if one.name in plain}
        return cls(**known)


def this_process(role: str = "creator", attempt: int = 1, rank: int | None = None) -> Owner:
    return Owner(
        pid=os.getpid(),
        started=process_start(os.getpid()) or 0.0,
        host=os.uname().nodename,
        boot=boot_id(),
        namespace=_namespace(),
        machine=machine_id(),
        role=role,
        attempt=attempt,
        rank=rank,
    )


def liveness(owner: Owner) -> Liveness:
    """Whether the process is alive; UNKNOWN when this machine cannot tell, never a guess."""
    if owner.boot != boot_id():
        # After a reboot the same machine has another boot id, and all its former processes are gone. A host's name
        # does not tell machines apart: nodes and containers may share one.
        same = owner.machine and owner.machine == machine_id() and owner.host == os.uname().nodename
        return Liveness.DEAD if same and owner.boot else Liveness.UNKNOWN
    if owner.namespace != _namespace():
        return Liveness.UNKNOWN
    start = process_start(owner.pid)
    if start is None or (owner.started and abs(start - owner.started) > 0.5):
        return Liveness.DEAD
    return Liveness.ALIVE


@lru_cache(maxsize=1)
def boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        import psutil

        return f"boot-{int(psutil.boot_time())}"


@lru_cache(maxsize=1)
def machine_id() -> str:
    """What tells this installation from others for ever (machine-id(5)); empty where nothing does."""
    try:
        return Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def process_start(pid: int) -> float | None:
    """When a process started, in clock ticks since boot where /proc tells it, else in seconds; None when it is gone.

    A zombie counts as gone: it will never write again.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The command's name in parentheses may hold anything, also spaces and parentheses (proc(5)).
            fields = file.read().rpartition(b")")[2].split()
        return None if fields[0] in (b"Z", b"X") else float(fields[19])
    except FileNotFoundError:
        if os.path.isdir("/proc/self"):
            return None
    except (OSError, IndexError, ValueError):
        return None
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None
