"""Which job of a scheduler, and which rank of a distributed launch, this process is.

A launch is one act of starting N ranks together; its `key` lets them find one another without
talking. It must be equal for all ranks of a launch, and should differ between two launches of
the same job, so it is made of the most specific things that a launcher tells all of its ranks.

Precedence is from the innermost launcher outwards: workers of torchrun inside `srun` inside a
batch job are ranks of torchrun, and the ids of all three are recorded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gittrack.values import dataclass, field


@dataclass(frozen=True, slots=True)
class Job:
    """`scheduler` is the cluster's, or else the launcher; `ids` are as the variables spell them.

    `rank` is None when the process is not one of several; it then works alone. `key` is None when
    nothing is known that all ranks of the launch share.
    """

    scheduler: str
    launcher: str | None = None
    ids: Mapping[str, str] = field(default_factory=dict)
    rank: int | None = None
    world_size: int | None = None
    local_rank: int | None = None
    key: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values; what is unknown is left out."""
        plain = {
            "scheduler": self.scheduler,
            "launcher": self.launcher,
            "rank": self.rank,
            "world_size": self.world_size,
            "local_rank": self.local_rank,
            "ids": dict(self.ids),
        }
        return {key: value for key, value in plain.items() if value is not None and value != {}}


@dataclass(frozen=True, slots=True)
class _Launch:
    launcher: str
    rank: int
    world_size: int
    local_rank: int | None
    key: str | None


# A scheduler is there when its first variable is set.
_SCHEDULERS: Mapping[str, tuple[str, ...]] = {
    "slurm": (
        "SLURM_JOB_ID",
        "SLURM_STEP_ID",
        "SLURM_ARRAY_JOB_ID",
        "SLURM_ARRAY_TASK_ID",
        "SLURM_RESTART_COUNT",
        "SLURM_JOB_NAME",
        "SLURM_JOB_PARTITION",
        "SLURM_JOB_NODELIST",
        "SLURM_CLUSTER_NAME",
    ),
    "lsf": ("LSB_JOBID", "LSB_JOBINDEX", "LSB_JOBNAME", "LSB_QUEUE"),
    "pbs": ("PBS_JOBID", "PBS_ARRAY_INDEX", "PBS_JOBNAME", "PBS_QUEUE"),
    "sge": ("JOB_ID", "SGE_TASK_ID", "JOB_NAME", "QUEUE"),
    "kubernetes": ("KUBERNETES_SERVICE_HOST", "HOSTNAME", "POD_NAME", "JOB_COMPLETION_INDEX"),
}


def detect_job(environ: Mapping[str, str], *, parent: str | None = None) -> Job | None:
    """The job that the variables tell of, or None.

    `parent` (see `parent_identity`) tells two launches apart that share all their variables; it
    is used only where all ranks are children of one process.
    """
    scheduler = next((name for name in _SCHEDULERS if _is_there(name, environ)), None)
    launch = next((found for read in _LAUNCHERS if (found := read(environ, parent))), None)
    if scheduler is None and launch is None:
        return None
    ids: dict[str, str] = {}
    if scheduler is not None:
        ids = {name: environ[name] for name in _SCHEDULERS[scheduler] if environ.get(name)}
        # An address of the cluster says nothing of the job.
        ids.pop("KUBERNETES_SERVICE_HOST", None)
        if ids.get("SGE_TASK_ID") == "undefined":
            del ids["SGE_TASK_ID"]
    if launch is None:
        return Job(scheduler or "", None, ids)
    if launch.launcher == "torchrun":
        ids |= {name: environ[name] for name in _TORCHRUN_IDS if environ.get(name)}
    alone = launch.world_size == 1
    return Job(
        scheduler=scheduler or launch.launcher,
        launcher=launch.launcher,
        ids=ids,
        rank=None if alone else launch.rank,
        world_size=launch.world_size,
        local_rank=None if alone else launch.local_rank,
        key=None if alone else launch.key,
    )


def parent_identity() -> str:
    """The process that started this one: its host, pid and start time, since pids come again."""
    pid = os.getppid()
    host = os.uname().nodename
    try:
        # After the name in brackets, which may hold anything; the 22nd field is the start time.
        started = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19].decode()
    except (OSError, IndexError):
        started = "?"
    return f"{host}:{pid}:{started}"


def _is_there(scheduler: str, environ: Mapping[str, str]) -> bool:
    if not environ.get(_SCHEDULERS[scheduler][0]):
        return False
    # JOB_ID is a name that anyone might choose.
    return scheduler != "sge" or any(environ.get(name) for name in ("SGE_ROOT", "SGE_TASK_ID"))


# --- launchers, from the inside out

_TORCHRUN_IDS = ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT")


def _torchrun(environ: Mapping[str, str], parent: str | None) -> _Launch | None:
    if "TORCHELASTIC_RUN_ID" not in environ:
        return None
    names = ["TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RESTART_COUNT"]
    parts = [environ.get(name, "") for name in names]
    one_node = environ.get("LOCAL_WORLD_SIZE") == environ.get("WORLD_SIZE")
    if one_node and parent:
        # Run id and port have fixed defaults; the agent that started all ranks has not.
        parts.append(parent)
    elif _integer(environ.get("SLURM_STEP_NUM_NODES")) not in (None, 1):
        # Then the agents were started by one srun, and all of them know its step.
        parts.append(_slurm_step(environ))
    return _launch("torchrun", environ, ("RANK", "WORLD_SIZE", "LOCAL_RANK"), ":".join(["torchrun", *parts]))


def _open_mpi(environ: Mapping[str, str], parent: str | None) -> _Launch | None:
    names = ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK")
    job = environ.get("PMIX_NAMESPACE") or environ.get("OMPI_MCA_ess_base_jobid")
    key = f"openmpi:{job}" if job else _key_of_surroundings("openmpi", environ)
    return _launch("openmpi", environ, names, key)


def _jsrun(environ: Mapping[str, str], parent: str | None) -> _Launch | None:
    names = ("JSM_NAMESPACE_RANK", "JSM_NAMESPACE_SIZE", "JSM_NAMESPACE_LOCAL_RANK")
    job = environ.get("PMIX_NAMESPACE") or environ.get("JSM_NAMESPACE_ID")
    key = f"jsrun:{environ.get('LSB_JOBID', '')}:{job}" if job else None
    return _launch("jsrun", environ, names, key)


def _srun(environ: Mapping[str, str], parent: str | None) -> _Launch | None:
    # A batch script has SLURM_PROCID=0 and SLURM_NTASKS=N as well, but is one process: only a step
    # that srun started knows its own id and size.
    if "SLURM_STEP_ID" not in environ:
        return None
    names = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
    return _launch("srun", environ, names, f"slurm:{_slurm_step(environ)}")


def _mpich(environ: Mapping[str, str], parent: str | None) -> _Launch | None:
    names = ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID")
    job = environ.get("PALS_APID") or environ.get("PMI_JOBID") or environ.get("PMI_PORT")
    one_node = environ.get("MPI_LOCALNRANKS") == environ.get("PMI_SIZE")
    if job:
        key: str | None = f"mpich:{job}"
    elif one_node and parent:
        key = f"mpich:{parent}"
    else:
        key = _key_of_surroundings("mpich", environ)
    return _launch("mpich", environ, names, key)


def _by_hand(environ: Mapping[str, str], parent: str | None) -> _Launch | None:
    """The variables that PyTorch itself reads, set by an operator or a script."""
    address, port = environ.get("MASTER_ADDR"), environ.get("MASTER_PORT")
    if not address or not port:
        return None  # RANK alone may be anyone's
    key = f"torch:{address}:{port}"
    if parent and environ.get("WORLD_SIZE") in (
        environ.get("LOCAL_WORLD_SIZE"),
        environ.get("LOCAL_SIZE"),
    ):
        key = f"{key}:{parent}"  # one node: the launcher, whose port has a fixed default
    else:
        key = _key_of_surroundings(key, environ) or key
    return _launch("torch", environ, ("RANK", "WORLD_SIZE", "LOCAL_RANK"), key)


_LAUNCHERS: tuple[Callable[[Mapping[str, str], str | None], _Launch | None], ...] = (
    _torchrun,
    _open_mpi,
    _jsrun,
    _srun,
    _mpich,
    _by_hand,
)


def _launch(launcher: str, environ: Mapping[str, str], names: tuple[str, str, str], key: str | None) -> _Launch | None:
    rank, size, local = (_integer(environ.get(name)) for name in names)
    if rank is None or size is None or not 0 <= rank < size:
        return None
    return _Launch(launcher, rank, size, local, key)


def _slurm_step(environ: Mapping[str, str]) -> str:
    names = ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT")
    return ".".join(environ.get(name, "0") for name in names)


def _key_of_surroundings(launcher: str, environ: Mapping[str, str]) -> str | None:
    """The scheduler's job as a key, where the launcher itself says nothing: one launch a job."""
    for name in ("SLURM_JOB_ID", "LSB_JOBID", "PBS_JOBID"):
        if environ.get(name):
            return f"{launcher}:{environ[name]}:{environ.get('SLURM_RESTART_COUNT', '0')}"
    return None


def _integer(text: str | None) -> int | None:
    try:
        return int(text) if text is not None else None
    except ValueError:
        return None
