from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from types import SimpleNamespace

import pytest

from gittrack.capture import utilisation
from gittrack.capture.utilisation import Machine, Sampler, tree_memory
from gittrack.errors import InvalidValue

Samples = queue.Queue[Mapping[str, float]]


@pytest.fixture
def samples() -> Samples:
    return queue.Queue()


def test_the_first_sample_does_not_wait_for_the_interval(samples: Samples) -> None:
    sampler = Sampler(3600, samples.put)
    sampler.start()
    sample = samples.get(timeout=30)
    sampler.stop()
    assert not sampler.is_alive()
    assert {
        "system/cpu_percent",
        "system/memory_percent",
        "system/memory_rss_mb",
        "system/net_sent_mb",
        "system/net_received_mb",
    } <= sample.keys()
    assert all(type(value) in (int, float) for value in sample.values())
    assert 0 < sample["system/memory_percent"] <= 100
    assert sample["system/memory_rss_mb"] > 1
    assert sampler.errors == 0


def test_it_goes_on(samples: Samples) -> None:
    sampler = Sampler(0.01, samples.put)
    sampler.start()
    for _ in range(3):
        samples.get(timeout=30)
    sampler.stop()
    assert sampler.samples >= 3


def test_a_short_run_has_one_sample(samples: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utilisation, "_PATIENCE", 0)
    sampler = Sampler(3600, samples.put)
    sampler.start()
    while not sampler._stopping.is_set():
        sampler.stop()
    sampler.stop()
    sampler.join(30)
    # None, if the thread had not even begun.
    assert samples.qsize() <= 1


def test_a_run_that_is_over_at_once_pays_nothing(samples: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utilisation, "_PATIENCE", 3600)
    monkeypatch.setitem(sys.modules, "psutil", None)  # an import of it would be an error
    sampler = Sampler(100_000, samples.put)
    sampler.start()
    sampler.stop()
    assert not sampler.is_alive()
    assert (sampler.samples, sampler.errors) == (0, 0)


def test_never_started() -> None:
    Sampler(1, lambda _: None).stop()


@pytest.mark.parametrize("interval", [0, -1, float("nan")])
def test_an_interval_that_makes_no_sense(interval: float) -> None:
    with pytest.raises(InvalidValue, match="interval"):
        Sampler(interval, lambda _: None)


def test_failures_are_swallowed_and_counted() -> None:
    failed = threading.Event()

    def emit(_: Mapping[str, float]) -> None:
        if sampler.errors >= 2:
            failed.set()
        raise OSError(28, "no space left on device")

    sampler = Sampler(0.01, emit)
    sampler.start()
    assert failed.wait(30)
    sampler.stop()
    assert sampler.samples == 0


def test_a_reading_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    machine = Machine(os.getpid())
    monkeypatch.setattr(psutil, "virtual_memory", lambda: 1 / 0)
    sample = machine.sample()
    assert "system/memory_percent" not in sample
    assert "system/cpu_percent" in sample
    assert machine.errors == 1


def test_without_psutil_nothing_happens(monkeypatch: pytest.MonkeyPatch, samples: Samples) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    sampler = Sampler(0.01, samples.put)
    sampler.start()
    sampler.join(30)
    assert sampler.errors == 1
    sampler.stop()


def test_a_stop_out_of_the_thread_itself() -> None:
    stopped = threading.Event()

    def emit(_: Mapping[str, float]) -> None:
        sampler.stop()
        stopped.set()

    sampler = Sampler(0.01, emit)
    sampler.start()
    assert stopped.wait(30)
    sampler.join(30)


def test_an_emitter_that_hangs_does_not_hold_up_the_stop() -> None:
    entered, release = threading.Event(), threading.Event()

    def emit(_: Mapping[str, float]) -> None:
        entered.set()
        release.wait()

    sampler = Sampler(0.01, emit)
    sampler.start()
    assert entered.wait(30)
    sampler.stop()
    assert sampler.is_alive()
    release.set()
    sampler.join(30)
    assert sampler.samples == 1  # and none after


class TestProcessTree:
    def test_children_count(self) -> None:
        code = "import sys; x = bytearray(60_000_000); print(1, flush=True); sys.stdin.read()"
        alone = tree_memory(os.getpid())
        with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            together = tree_memory(os.getpid())
            child_alone = tree_memory(child.pid)
            child.communicate()
        assert alone is not None
        assert together is not None
        assert child_alone is not None
        assert child_alone > 60_000_000
        assert together > alone + 50_000_000

    def test_a_process_that_is_gone(self) -> None:
        child = subprocess.Popen(["true"])
        child.wait()
        assert tree_memory(child.pid) is None
        assert "system/memory_rss_mb" not in Machine(child.pid).sample()


# Forking with threads about is what is tested here; newer Pythons warn of it.
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
class TestFork:
    def test_a_child_has_no_thread_and_need_not_wait(self, samples: Samples) -> None:
        sampler = Sampler(3600, samples.put)
        sampler.start()
        samples.get(timeout=30)
        pid = os.fork()
        if pid == 0:
            sampler.stop()
            os._exit(0 if not sampler.is_alive() else 1)
        assert os.waitpid(pid, 0)[1] == 0
        sampler.stop()

    def test_forks_between_samples_never_leave_a_lock_behind(self, samples: Samples) -> None:
        """Each child takes a sample itself, with the locks it was born with."""
        sampler = Sampler(0.0001, samples.put)
        sampler.start()
        samples.get(timeout=30)
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                signal.alarm(30)
                os._exit(0 if Machine(os.getpid()).sample() else 1)
            assert os.waitpid(pid, 0)[1] == 0
        assert sampler.is_alive()
        sampler.stop()
        assert not utilisation._busy.lock.locked()

    def test_a_child_can_have_a_sampler_of_its_own(self, samples: Samples) -> None:
        with utilisation._busy.lock:  # as if a driver hung during the fork
            pid = os.fork()
            if pid == 0:
                signal.alarm(30)
                own = Sampler(0.01, samples.put)
                own.start()
                own.join(0.5)
                own.stop()
                os._exit(0 if own.samples else 1)
        assert os.waitpid(pid, 0)[1] == 0


def test_signals_are_left_to_the_main_thread(samples: Samples) -> None:
    sampler = Sampler(0.01, samples.put)
    masks: queue.Queue[set[int]] = queue.Queue()

    def emit(_: Mapping[str, float]) -> None:
        masks.put({int(one) for one in signal.pthread_sigmask(signal.SIG_BLOCK, [])})

    sampler = Sampler(0.01, emit)
    sampler.start()
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1} <= masks.get(timeout=30)
    sampler.stop()


def test_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_power(handle: int) -> int:
        if handle == 2:
            raise RuntimeError("not supported")
        return 123_456

    nvml = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: 3,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetUUID=lambda handle: f"GPU-{handle}",
        nvmlDeviceGetUtilizationRates=lambda handle: SimpleNamespace(gpu=10 * handle),
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=2**30),
        nvmlDeviceGetPowerUsage=no_power,
        nvmlDeviceGetTemperature=lambda handle, sensor: 50 + handle,
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(utilisation, "has_nvidia", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2")
    machine = Machine(os.getpid())
    sample = {key: value for key, value in machine.sample().items() if "/gpu" in key}
    machine.close()
    assert sample == {
        "system/gpu1/utilisation_percent": 10.0,
        "system/gpu1/memory_mb": 1024.0,
        "system/gpu1/power_w": 123.456,
        "system/gpu1/temperature_c": 51.0,
        "system/gpu2/utilisation_percent": 20.0,
        "system/gpu2/memory_mb": 1024.0,
        "system/gpu2/temperature_c": 52.0,
    }


def test_a_gpu_driver_that_fails_leaves_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(nvmlInit=lambda: 1 / 0))
    monkeypatch.setattr(utilisation, "has_nvidia", lambda: True)
    machine = Machine(os.getpid())
    assert "system/cpu_percent" in machine.sample()
    machine.close()
