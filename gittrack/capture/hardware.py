"""The machine: processor, memory, limits of the container, GPUs."""

from __future__ import annotations

import functools
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from gittrack.domain.environment import Gpu, Hardware
from gittrack.values import replace


def quick_hardware(root: Path = Path("/")) -> Hardware:
    """What a few small files tell: processor, logical cores, memory and limits.

    `root` is where `proc` and `sys` are mounted.
    """
    cores, memory = os.cpu_count(), _physical_memory()
    cpu_limit, memory_limit = container_limits(root)
    usable = _usable_cores()
    if usable is not None and (cpu_limit is None or usable < cpu_limit):
        cpu_limit = float(usable)
    return Hardware(
        cpu=_cpu_model(root),
        cores_logical=cores,
        memory=memory,
        cpu_limit=cpu_limit if cpu_limit and cores and cpu_limit < cores else None,
        memory_limit=memory_limit if memory_limit and memory and memory_limit < memory else None,
    )


def full_hardware(environ: Mapping[str, str]) -> tuple[Hardware, tuple[str, ...]]:
    """The same with physical cores and GPUs, and sentences on what could not be captured."""
    hardware, notes = _machine()
    visible = visible_devices(environ, [gpu.uuid or "" for gpu in hardware.gpus])
    gpus = tuple(replace(gpu, visible=index in visible) for index, gpu in enumerate(hardware.gpus))
    return replace(hardware, gpus=gpus), notes


@functools.cache
def _machine() -> tuple[Hardware, tuple[str, ...]]:
    """What does not change while this process lives."""
    notes: list[str] = []
    hardware = quick_hardware()
    try:
        import psutil

        hardware = replace(hardware, cores_physical=psutil.cpu_count(logical=False))
    except Exception as error:
        notes.append(f"the number of physical cores is unknown: {error}")
    if has_nvidia():
        gpus, cuda, why_not = _nvidia_gpus()
        hardware = replace(hardware, gpus=gpus, cuda=cuda)
        notes += why_not
    if os.path.exists("/dev/kfd"):
        notes.append("an AMD GPU driver is present, but AMD GPUs are not captured")
    return hardware, tuple(notes)


# --- GPUs


def has_nvidia() -> bool:
    """Whether there may be an NVIDIA GPU: loading its library for nothing costs start-up time."""
    if any(os.path.exists(path) for path in ("/dev/nvidiactl", "/proc/driver/nvidia/version")):
        return True
    if os.path.exists("/dev/dxg"):  # Windows' GPU inside its Linux
        return True
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return any(os.access(os.path.join(folder, "nvidia-smi"), os.X_OK) for folder in folders)


def visible_devices(environ: Mapping[str, str], uuids: Sequence[str]) -> set[int]:
    """The GPUs that CUDA shows to a program, as indices into `uuids` (as NVML orders them).

    As CUDA does it: the list ends at the first entry that names no device. Between GPUs of
    different kinds CUDA may count in another order, unless CUDA_DEVICE_ORDER is PCI_BUS_ID.
    """
    chosen = environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return set(range(len(uuids)))
    visible: set[int] = set()
    for entry in (one.strip() for one in chosen.split(",")):
        if entry.isdecimal() and int(entry) < len(uuids):
            visible.add(int(entry))
            continue
        # A UUID may be cut short; a part of a device (MIG) is named after it, or on its own.
        name = entry.removeprefix("MIG-").partition("/")[0]
        named = [at for at, uuid in enumerate(uuids) if name and uuid.startswith(name)]
        if len(named) == 1:
            visible.add(named[0])
        elif entry.startswith("MIG-"):
            return set(range(len(uuids)))  # no telling which device it is a part of
        else:
            break
    return visible


def _nvidia_gpus() -> tuple[tuple[Gpu, ...], str | None, list[str]]:
    try:
        import pynvml
    except ImportError as error:
        return (), None, [f"a GPU driver is present but nvidia-ml-py cannot be imported: {error}"]
    try:
        pynvml.nvmlInit()
    except Exception as error:
        return (), None, [f"a GPU driver is present but NVML failed: {error}"]
    notes: list[str] = []
    gpus: list[Gpu] = []
    cuda = driver = None
    try:
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        number = pynvml.nvmlSystemGetCudaDriverVersion_v2()
        cuda = f"{number // 1000}.{number % 1000 // 10}"
    except Exception as error:
        notes.append(f"the GPU driver does not tell its version: {error}")
    try:
        for index in range(pynvml.nvmlDeviceGetCount()):
            try:
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                gpus.append(
                    Gpu(
                        name=_text(pynvml.nvmlDeviceGetName(handle)),
                        memory=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
                        uuid=_text(pynvml.nvmlDeviceGetUUID(handle)),
                        driver=driver,
                    )
                )
            except Exception as error:
                notes.append(f"GPU {index} could not be read: {error}")
                gpus.append(Gpu(name="unknown", driver=driver))
    except Exception as error:
        notes.append(f"the GPUs could not be counted: {error}")
    try:
        pynvml.nvmlShutdown()
    except Exception:
        pass  # everything is known by now
    return tuple(gpus), cuda, notes


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


# --- processor and memory


def _cpu_model(root: Path) -> str | None:
    try:
        # The first processor is enough; a large machine lists hundreds.
        with (root / "proc/cpuinfo").open("rb") as file:
            text = file.read(8192).decode("utf-8", "replace")
    except OSError:
        return _cpu_model_elsewhere()
    found = re.search(r"^(?:model name|Model|cpu model|cpu)[ \t]*:[ \t]*(.+)$", text, re.MULTILINE)
    return " ".join(found[1].split()) if found else platform.machine() or None


def _cpu_model_elsewhere() -> str | None:
    if sys.platform == "darwin":
        try:
            return subprocess.run(
                ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"],
                capture_output=True,
                text=True,
                timeout=2,
                check=True,
            ).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            pass
    return platform.machine() or None


def _physical_memory() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return None


def _usable_cores() -> int | None:
    try:
        return len(os.sched_getaffinity(0))
    except (OSError, AttributeError):
        return None


# --- limits of the container or job


def container_limits(root: Path) -> tuple[float | None, int | None]:
    """Cores and bytes that the control groups of this process allow it (versions 1 and 2)."""
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8", "replace").splitlines()
    except OSError:
        return None, None
    cores: list[float] = []
    memory: list[int] = []
    mount = root / "sys/fs/cgroup"
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            for top in (mount, mount / "unified"):
                for group in _upwards(top, path):
                    cores += _quota(_read(group / "cpu.max").split())
                    memory += _number(_read(group / "memory.max"))
        if "cpu" in controllers.split(","):
            for group in _upwards(mount / "cpu", path):
                quota = _read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")
                cores += _quota(quota)
        if "memory" in controllers.split(","):
            for group in _upwards(mount / "memory", path):
                memory += _number(_read(group / "memory.limit_in_bytes"))
    return min(cores, default=None), min(memory, default=None)


def _upwards(mount: Path, path: str) -> list[Path]:
    """The group and all that it is in: each may limit it.

    In a container the path is often the host's and is not there; the mount itself is the group.
    """
    parts = [part for part in path.split("/") if part not in ("", "..")]
    return [mount.joinpath(*parts[:count]) for count in range(len(parts), -1, -1)]


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _quota(values: Sequence[str]) -> list[float]:
    if len(values) != 2 or not all(value.isdecimal() for value in values) or int(values[1]) == 0:
        return []  # "max", or -1: no limit
    return [int(values[0]) / int(values[1])]


def _number(value: str) -> list[int]:
    return [int(value)] if value.isdecimal() else []
