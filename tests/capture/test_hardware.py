from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gittrack.capture import hardware
from gittrack.capture.hardware import (
    container_limits,
    full_hardware,
    has_nvidia,
    quick_hardware,
    visible_devices,
)
from gittrack.domain.environment import Gpu

UUIDS = ["GPU-aaaa1111", "GPU-bbbb2222", "GPU-bbbb3333"]
GIGABYTE = 2**30


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_this_machine() -> None:
    machine = quick_hardware()
    assert machine.cores_logical == os.cpu_count()
    assert machine.memory is not None
    assert machine.memory > 2**20
    assert machine.cpu


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("processor\t: 0\nmodel name\t: A  Fast   CPU @ 2GHz\nflags: x\n", "A Fast CPU @ 2GHz"),
        ("processor\t: 0\ncpu\t\t: POWER9\n", "POWER9"),
        ("processor : 0\nBogoMIPS : 50.00\n", os.uname().machine),
    ],
)
def test_the_processor(tmp_path: Path, text: str, model: str) -> None:
    assert quick_hardware(write(tmp_path, {"proc/cpuinfo": text})).cpu == model


class TestContainerLimits:
    def test_none(self, tmp_path: Path) -> None:
        assert container_limits(tmp_path) == (None, None)

    def test_version_2_in_a_container(self, tmp_path: Path) -> None:
        files = {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/memory.max": f"{GIGABYTE}\n",
        }
        assert container_limits(write(tmp_path, files)) == (1.5, GIGABYTE)

    def test_version_2_without_limits(self, tmp_path: Path) -> None:
        files = {
            "proc/self/cgroup": "0::/a\n",
            "sys/fs/cgroup/a/cpu.max": "max 100000\n",
            "sys/fs/cgroup/a/memory.max": "max\n",
        }
        assert container_limits(write(tmp_path, files)) == (None, None)

    def test_version_2_the_lowest_of_all_groups_above_counts(self, tmp_path: Path) -> None:
        files = {
            "proc/self/cgroup": "0::/job/step/task\n",
            "sys/fs/cgroup/job/cpu.max": "400000 100000",
            "sys/fs/cgroup/job/step/cpu.max": "200000 100000",
            "sys/fs/cgroup/job/step/task/cpu.max": "max 100000",
            "sys/fs/cgroup/job/memory.max": str(4 * GIGABYTE),
        }
        assert container_limits(write(tmp_path, files)) == (2.0, 4 * GIGABYTE)

    def test_version_1(self, tmp_path: Path) -> None:
        files = {
            "proc/self/cgroup": "4:memory:/job\n3:cpu,cpuacct:/job\n2:cpuset:/\n",
            "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "50000",
            "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/job/memory.limit_in_bytes": str(GIGABYTE),
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        }
        assert container_limits(write(tmp_path, files)) == (0.5, GIGABYTE)

    def test_version_1_without_limits(self, tmp_path: Path) -> None:
        files = {
            "proc/self/cgroup": "3:cpu:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        }
        assert container_limits(write(tmp_path, files)) == (None, None)

    def test_a_group_of_the_host_that_is_not_mounted_here(self, tmp_path: Path) -> None:
        files = {
            "proc/self/cgroup": "4:memory:/docker/0123\n0::/docker/0123\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": str(GIGABYTE),
        }
        assert container_limits(write(tmp_path, files)) == (None, GIGABYTE)

    @pytest.mark.parametrize("text", ["", "\n", "x", ":::", "0::", "a:cpu", "0::/../../.."])
    def test_nonsense(self, tmp_path: Path, text: str) -> None:
        container_limits(write(tmp_path, {"proc/self/cgroup": text}))

    def test_a_limit_is_recorded_only_below_the_machine(self, tmp_path: Path) -> None:
        wide = {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/cpu.max": "100000000 100000\n",
            "sys/fs/cgroup/memory.max": "9223372036854771712\n",
        }
        machine = quick_hardware(write(tmp_path, wide))
        assert machine.memory_limit is None
        assert machine.cpu_limit is None or machine.cpu_limit < (machine.cores_logical or 0)
        narrow = {"sys/fs/cgroup/cpu.max": "10000 100000\n", "sys/fs/cgroup/memory.max": "4096\n"}
        machine = quick_hardware(write(tmp_path, narrow))
        assert (machine.cpu_limit, machine.memory_limit) == (0.1, 4096)


@pytest.mark.parametrize(
    ("chosen", "visible"),
    [
        (None, {0, 1, 2}),
        ("", set()),
        ("-1", set()),
        ("0", {0}),
        ("2, 0", {0, 2}),
        ("0,7,1", {0}),
        ("0,-1,1", {0}),
        ("GPU-aaaa1111", {0}),
        ("GPU-a,GPU-bbbb3", {0, 2}),
        ("GPU-bbbb", set()),
        ("NoDevFiles", set()),
        ("MIG-GPU-aaaa1111/1/0", {0}),
        ("MIG-0123", {0, 1, 2}),
    ],
)
def test_visible_devices(chosen: str | None, visible: set[int]) -> None:
    environ = {} if chosen is None else {"CUDA_VISIBLE_DEVICES": chosen}
    assert visible_devices(environ, UUIDS) == visible


class Nvml(SimpleNamespace):
    """A library with two GPUs, whose second one has fallen off the bus."""

    def __init__(self) -> None:
        super().__init__(closed=0)

    def nvmlInit(self) -> None:  # noqa: N802
        pass

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.closed += 1

    def nvmlSystemGetDriverVersion(self) -> bytes:  # noqa: N802
        return b"550.54.15"

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:  # noqa: N802
        return 12040

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        if index == 1:
            raise RuntimeError("GPU is lost")
        return index

    def nvmlDeviceGetName(self, handle: int) -> str:  # noqa: N802
        return "A GPU"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802
        return SimpleNamespace(total=80 * GIGABYTE)

    def nvmlDeviceGetUUID(self, handle: int) -> str:  # noqa: N802
        return "GPU-aaaa1111"


class TestGpus:
    @pytest.fixture(autouse=True)
    def asked_anew(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr(hardware, "has_nvidia", lambda: True)
        hardware._machine.cache_clear()
        yield
        hardware._machine.cache_clear()

    def test_they_are_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        nvml = Nvml()
        monkeypatch.setitem(sys.modules, "pynvml", nvml)
        machine, notes = full_hardware({"CUDA_VISIBLE_DEVICES": "1"})
        assert machine.gpus == (
            Gpu("A GPU", 80 * GIGABYTE, "GPU-aaaa1111", "550.54.15", visible=False),
            Gpu("unknown", driver="550.54.15"),
        )
        assert machine.cuda == "12.4"
        assert [note for note in notes if "GPU" in note] == ["GPU 1 could not be read: GPU is lost"]
        assert nvml.closed == 1

    def test_a_driver_that_fails_is_said_aloud(self, monkeypatch: pytest.MonkeyPatch) -> None:
        nvml = Nvml()
        monkeypatch.setattr(nvml, "nvmlInit", lambda: 1 / 0, raising=False)
        monkeypatch.setitem(sys.modules, "pynvml", nvml)
        machine, notes = full_hardware({})
        assert machine.gpus == ()
        assert "a GPU driver is present but NVML failed: division by zero" in notes

    def test_a_missing_library_is_said_aloud(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pynvml", None)
        _, notes = full_hardware({})
        assert any("nvidia-ml-py cannot be imported" in note for note in notes)


def test_the_library_is_left_alone_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    if has_nvidia():
        pytest.skip("there is one")
    monkeypatch.setitem(sys.modules, "pynvml", None)
    hardware._machine.cache_clear()
    machine, notes = full_hardware({})
    assert machine.gpus == ()
    assert not any("nvidia" in note for note in notes)


def test_a_driver_is_noticed_by_its_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nvidia-smi").write_text("")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert has_nvidia()
