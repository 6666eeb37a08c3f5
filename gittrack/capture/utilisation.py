"""How busy the machine is: processor, memory, disk, network and GPUs, sampled by a thread.

The thread is a guest in somebody's training: it wakes rarely, swallows every failure of its own
(`errors` counts them), takes no signals, and a fork waits until it holds no lock that the child
would find held for ever.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping
from typing import Any

from gittrack.capture.hardware import has_nvidia, visible_devices
from gittrack.errors import InvalidValue

MEGABYTE = 1024 * 1024
_PATIENCE = 0.2

Sample = Mapping[str, float]


class _Busy:
    """Held while a sample is taken, and while psutil is imported for it.

    A fork in between would leave the locks inside these libraries, and Python's import lock, held
    for ever in the child; so it waits, but not long: a driver that hangs must not hang the program.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._forking = threading.local()
        os.register_at_fork(before=self._before, after_in_parent=self._after, after_in_child=self._in_child)

    def _before(self) -> None:
        self._forking.held = self.lock.acquire(timeout=0.5)

    def _after(self) -> None:
        if self._forking.held:
            self.lock.release()

    def _in_child(self) -> None:
        self.lock = threading.Lock()


_busy = _Busy()


class Sampler(threading.Thread):
    """Samples utilisation every `interval_s` seconds and hands it to `emit`.

    The first sample comes after a second (or half the interval, if that is shorter); if there was
    none yet, there is one at `stop`, but for a run of less than a fifth of a second. Memory is that
    of process `pid` (default: this one) with all its children; all else is the machine's, disk and
    network in megabytes since the start.
    """

    def __init__(
        self,
        interval_s: float,
        emit: Callable[[Sample], None],
        *,
        pid: int | None = None,
    ) -> None:
        super().__init__(name="gittrack-utilisation", daemon=True)
        if not interval_s > 0:
            raise InvalidValue(f"the interval must be a number of seconds above 0, not {interval_s}")
        self.errors = 0
        self.samples = 0
        self._interval = interval_s
        self._emit = emit
        self._pid = pid
        self._stopping = threading.Event()
        self._abandoned = False
        self._process = os.getpid()

    def stop(self) -> None:
        """Ask the thread to end, and wait for it at most a second. May be called twice."""
        if os.getpid() != self._process:
            return  # a forked child has the object, but not the thread
        self._stopping.set()
        if self.is_alive() and threading.current_thread() is not self:
            self.join(timeout=1)
            self._abandoned = self.is_alive()  # what it still finds comes too late

    def run(self) -> None:
        """Sample until stopped."""
        # A signal for the program is for its main thread.
        try:
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        except (AttributeError, OSError, ValueError):
            pass
        # A run that is over by now pays nothing: reading the machine begins with importing what can.
        if self._stopping.wait(min(_PATIENCE, self._interval / 4)):
            return
        try:
            with _busy.lock:
                machine = Machine(self._pid or os.getpid())
        except Exception:
            self.errors += 1
            return
        wait = min(1.0, self._interval / 2)
        while not self._stopping.wait(wait):
            self._sample(machine)
            wait = self._interval
        if self.samples == 0:
            self._sample(machine)
        machine.close()

    def _sample(self, machine: Machine) -> None:
        try:
            with _busy.lock:
                sample = machine.sample()
            self.errors += machine.errors
            if sample and not self._abandoned:
                self._emit(sample)
                self.samples += 1
        except Exception:
            self.errors += 1


class Machine:
    """Readings of this machine; what it cannot tell is left out of a sample."""

    def __init__(self, pid: int) -> None:
        import psutil  # here: it takes a hundredth of a second, which the thread has

        self.errors = 0
        self._psutil = psutil
        self._pid = pid
        self._gpus = _Gpus() if has_nvidia() else None
        psutil.cpu_percent()  # the first call has nothing to compare with
        self._start = self._counters()

    def sample(self) -> dict[str, float]:
        """The readings of now, by metric key."""
        self.errors = 0
        sample: dict[str, float] = {}
        for read in (self._cpu, self._memory, self._process_memory, self._traffic):
            try:
                sample |= read()
            except Exception:
                self.errors += 1
        if self._gpus is not None:
            sample |= self._gpus.sample()
        return sample

    def close(self) -> None:
        """Let go of the GPU library."""
        if self._gpus is not None:
            self._gpus.close()

    def _cpu(self) -> dict[str, float]:
        return {"system/cpu_percent": self._psutil.cpu_percent()}

    def _memory(self) -> dict[str, float]:
        return {"system/memory_percent": self._psutil.virtual_memory().percent}

    def _process_memory(self) -> dict[str, float]:
        size = tree_memory(self._pid)
        return {} if size is None else {"system/memory_rss_mb": size / MEGABYTE}

    def _traffic(self) -> dict[str, float]:
        now = self._counters()
        return {key: (value - self._start[key]) / MEGABYTE for key, value in now.items() if key in self._start}

    def _counters(self) -> dict[str, int]:
        counters: dict[str, int] = {}
        try:
            disk = self._psutil.disk_io_counters()
            if disk is not None:
                counters["system/disk_read_mb"] = disk.read_bytes
                counters["system/disk_write_mb"] = disk.write_bytes
        except Exception:
            self.errors += 1
        try:
            cards = self._psutil.net_io_counters(pernic=True)
            # What the machine says to itself crosses no network.
            outside = [card for name, card in cards.items() if not name.startswith("lo")]
            counters["system/net_sent_mb"] = sum(card.bytes_sent for card in outside)
            counters["system/net_received_mb"] = sum(card.bytes_recv for card in outside)
        except Exception:
            self.errors += 1
        return counters


def tree_memory(pid: int) -> int | None:
    """Bytes of memory that a process and all its descendants hold; None when it is gone.

    Pages that they share are counted once for each (they are few, but for forked data loaders).
    """
    import psutil

    try:
        top = psutil.Process(pid)
        family = [top, *top.children(recursive=True)]
        total = top.memory_info().rss
    except psutil.Error:
        return None
    for process in family[1:]:
        try:
            total += process.memory_info().rss
        except psutil.Error:
            pass  # it ended while we counted
    return int(total)


class _Gpus:
    """The GPUs that this program may use, by their number in NVML."""

    def __init__(self) -> None:
        self._nvml: Any = None
        self._handles: dict[int, Any] = {}
        try:
            import pynvml

            pynvml.nvmlInit()
            self._nvml = pynvml
            handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
            uuids = [_text(pynvml.nvmlDeviceGetUUID(handle)) for handle in handles]
            chosen = visible_devices(os.environ, uuids)
            self._handles = {index: handles[index] for index in sorted(chosen)}
        except Exception:
            self._handles = {}  # the environment's notes say why

    def sample(self) -> dict[str, float]:
        sample: dict[str, float] = {}
        readings: dict[str, Callable[[Any], float]] = {
            "utilisation_percent": lambda gpu: self._nvml.nvmlDeviceGetUtilizationRates(gpu).gpu,
            "memory_mb": lambda gpu: self._nvml.nvmlDeviceGetMemoryInfo(gpu).used / MEGABYTE,
            "power_w": lambda gpu: self._nvml.nvmlDeviceGetPowerUsage(gpu) / 1000,
            "temperature_c": lambda gpu: self._nvml.nvmlDeviceGetTemperature(gpu, 0),
        }
        for index, handle in self._handles.items():
            for name, read in readings.items():
                try:
                    sample[f"system/gpu{index}/{name}"] = float(read(handle))
                except Exception:
                    pass  # not every device knows every reading
        return sample

    def close(self) -> None:
        if self._nvml is not None:
            try:
                self._nvml.nvmlShutdown()
            except Exception:
                pass


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
