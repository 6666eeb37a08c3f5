"""How things are measured: on one core, in a sealed home, several times, interleaved with their limits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

GIT_CONFIG = """\
[user]
\tname = Bench Mark
\temail = bench@example.org
[init]
\tdefaultBranch = main
[gc]
\tauto = 0
"""

# What is not named here (GIT_*, GITTRACK_*, SLURM_*, proxies, ...) does not reach what is measured. Above all not
# PYTHONDONTWRITEBYTECODE: with it every import is a compilation, and that is what would be timed.
_KEPT = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV")

Measure = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured; bars hold for the sizes they were set for, which are the defaults."""

    calls: int = 100_000
    kills: int = 10
    files: tuple[int, ...] = (50, 20_000)
    points: int = 1_000_000
    runs: tuple[int, ...] = (1_000, 10_000)
    stored: int = 1_000
    data_bytes: int = 1_000_000_000
    data_files: int = 10_000
    remote_objects: int = 1_000
    remote_bytes: int = 100_000
    repeats: int = 15


@dataclass(frozen=True, slots=True)
class Bench:
    """Where to work and how much to measure."""

    folder: Path
    sizes: Sizes

    def new_folder(self, name: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))


@dataclass(frozen=True, slots=True)
class Sample:
    """Repeated measurements of one thing."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return self.percentile(50)

    def percentile(self, rank: float) -> float:
        """The value that `rank` percent are not above; with two in the middle, their mean is the median."""
        ordered = sorted(self.values)
        if rank == 50 and len(ordered) % 2 == 0:
            return (ordered[len(ordered) // 2 - 1] + ordered[len(ordered) // 2]) / 2
        return ordered[min(len(ordered) - 1, int(len(ordered) * rank / 100))]


# --- the surroundings


def seal(folder: Path) -> None:
    """A home, a git identity and an environment of our own, for this process and all that it starts."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    (home / "gitconfig").write_text(GIT_CONFIG)
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    os.environ.clear()
    os.environ.update(
        kept,
        PATH=os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)]),
        HOME=str(home),
        XDG_CACHE_HOME=str(home / ".cache"),
        XDG_CONFIG_HOME=str(home / ".config"),
        LANG="C.UTF-8",
        LC_ALL="C.UTF-8",
        TZ="UTC",
        TERM="dumb",
        GIT_CONFIG_GLOBAL=str(home / "gitconfig"),
        GIT_CONFIG_NOSYSTEM="1",
        GIT_TERMINAL_PROMPT="0",
    )
    sys.dont_write_bytecode = False


def pin() -> int | None:
    """Keep this process and its children to one core, where the system can; which one."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def unpin() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))


def program() -> list[str]:
    """The command `gittrack` as it was installed beside this Python."""
    installed = Path(sys.executable).with_name("gittrack")
    return [str(installed)] if installed.exists() else [sys.executable, "-m", "gittrack"]


# --- measuring


def interleaved(measures: Mapping[str, Measure], repeats: int, *, warm_up: bool = True) -> dict[str, Sample]:
    """Each measure `repeats` times, in rounds whose order turns: what disturbs the machine disturbs all alike.

    A first round is thrown away: it fills caches and compiles imports.
    """
    found: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(-1 if warm_up else 0, repeats):
        for name in list(measures) if number % 2 == 0 else list(measures)[::-1]:
            seconds = measures[name]()
            if number >= 0:
                found[name].append(seconds)
    return {name: Sample(tuple(values)) for name, values in found.items()}


def process(command: Sequence[str], cwd: Path, stdin: bytes | None = None) -> Measure:
    """Seconds from starting a command to its end; what it prints goes nowhere."""

    def measure() -> float:
        began = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=cwd,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        seconds = time.perf_counter() - began
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} exited with {done.returncode}: {done.stderr.decode()}")
        return seconds

    return measure


_CHILD = """\
import importlib, json, sys
module, name, arguments, answer = sys.argv[1:5]
sys.argv[1:] = []
result = getattr(importlib.import_module(module), name)(*json.loads(arguments))
with open(answer, "w") as file:
    json.dump(result, file)
"""


def in_new_process(function: Callable[..., Any], *arguments: Any, cwd: Path) -> Any:
    """What a function of this package returns (as JSON) when it is called in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [
            *(sys.executable, "-c", _CHILD, function.__module__, function.__name__),
            *(json.dumps(arguments), str(answer)),
        ]
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0 or not answer.exists():
            raise RuntimeError(f"{function.__name__} failed with {done.returncode}:\n{done.stderr}")
        return json.loads(answer.read_text())
