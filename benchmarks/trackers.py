"""One manner of speaking to every tracker, and the workloads: `python -m benchmarks.trackers WORKLOAD TRACKER COUNT ANSWER`.

Runs under any Python that has the tracker, in the folder where it shall keep its data; so it imports nothing at the top
but the standard library.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any, Protocol

# Nobody waits longer for one loop; slow trackers log fewer points.
_LOOP_S = 4.0
_VALUES = {f"layer_{number}/norm": number / 7 for number in range(20)}


class Tracker(Protocol):
    """What the workloads ask of a tracker."""

    def start(self, name: str, params: Mapping[str, Any]) -> None: ...

    def point(self, key: str, value: float, step: int) -> None: ...

    def values(self, values: Mapping[str, float], step: int) -> None: ...

    def finish(self) -> None: ...

    def listed(self) -> int:
        """Read all runs with what a table shows; how many there were."""


class Gittrack:
    def __init__(self) -> None:
        self._api = import_module("gittrack")
        self._api.start_run  # noqa: B018 - what a script needs is imported when it is first named

    def start(self, name: str, params: Mapping[str, Any]) -> None:
        self._run = self._api.start_run(name, params=params)
        self.point = self._run.log_metric
        self.values = self._run.log_metrics

    def finish(self) -> None:
        self._run.finish()

    def listed(self) -> int:
        return len([(run.params, run.metrics) for run in self._api.runs()])


class MLflow:
    def __init__(self) -> None:
        self._api = import_module("mlflow")
        self._api.set_tracking_uri("sqlite:///mlflow.db")

    def start(self, name: str, params: Mapping[str, Any]) -> None:
        self._api.start_run(run_name=name)
        if params:
            self._api.log_params(dict(params))

    def point(self, key: str, value: float, step: int) -> None:
        self._api.log_metric(key, value, step=step)

    def values(self, values: Mapping[str, float], step: int) -> None:
        self._api.log_metrics(dict(values), step=step)

    def finish(self) -> None:
        self._api.end_run()

    def listed(self) -> int:
        return len(self._api.search_runs(max_results=50_000))


class WandB:
    def __init__(self) -> None:
        self._api = import_module("wandb")

    def start(self, name: str, params: Mapping[str, Any]) -> None:
        self._run = self._api.init(project="bench", name=name, config=dict(params), mode="offline")

    def point(self, key: str, value: float, step: int) -> None:
        self._run.log({key: value}, step=step)

    def values(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def finish(self) -> None:
        self._run.finish()

    def listed(self) -> int:
        raise NotImplementedError("offline runs can be listed only on its server")


class TensorBoard:
    def __init__(self) -> None:
        self._writer_class = import_module("tensorboardX").SummaryWriter

    def start(self, name: str, params: Mapping[str, Any]) -> None:
        self._writer = self._writer_class(logdir=f"runs/{name}")

    def point(self, key: str, value: float, step: int) -> None:
        self._writer.add_scalar(key, value, step)

    def values(self, values: Mapping[str, float], step: int) -> None:
        # Its add_scalars makes a file for each, so nobody logs twenty so.
        for key, value in values.items():
            self._writer.add_scalar(key, value, step)

    def finish(self) -> None:
        self._writer.close()

    def listed(self) -> int:
        raise NotImplementedError("it has no list of runs with their params")


class Trackio:
    def __init__(self) -> None:
        self._api = import_module("trackio")

    def start(self, name: str, params: Mapping[str, Any]) -> None:
        self._run = self._api.init(project="bench", name=name, config=dict(params), embed=False)

    def point(self, key: str, value: float, step: int) -> None:
        self._run.log({key: value}, step=step)

    def values(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def finish(self) -> None:
        self._run.finish()

    def listed(self) -> int:
        # Its interface gives names and params; metrics would be one more query for each run.
        return len([run.config for run in self._api.Api().runs("bench")])


class DVCLive:
    """With `save_dvc_exp`, which is its default and what keeps a run."""

    def __init__(self) -> None:
        self._live_class = import_module("dvclive").Live

    def start(self, name: str, params: Mapping[str, Any]) -> None:
        self._live = self._live_class()
        if params:
            self._live.log_params(dict(params))

    def point(self, key: str, value: float, step: int) -> None:
        self._live.log_metric(key, value)
        self._live.next_step()

    def values(self, values: Mapping[str, float], step: int) -> None:
        for key, value in values.items():
            self._live.log_metric(key, value)
        self._live.next_step()

    def finish(self) -> None:
        self._live.end()

    def listed(self) -> int:
        command = [str(Path(sys.executable).with_name("dvc")), "exp", "show", "--csv"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        # A header, the workspace and the branch are no runs.
        return len(done.stdout.splitlines()) - 3


TRACKERS: dict[str, type[Any]] = {
    "gittrack": Gittrack,
    "mlflow": MLflow,
    "wandb": WandB,
    "tensorboardX": TensorBoard,
    "trackio": Trackio,
    "dvclive": DVCLive,
}


# --- workloads; each returns one number


def imported(tracker: str, count: int) -> float:
    """Seconds of the import."""
    began = time.perf_counter()
    TRACKERS[tracker]()
    return time.perf_counter() - began


def points(tracker: str, count: int) -> float:
    """Median seconds of logging one point."""
    one = _warm(tracker)
    one.start("points", {})
    taken = []
    until = time.perf_counter() + _LOOP_S
    for step in range(count):
        began = time.perf_counter()
        one.point("train/loss", 1 / (step + 1), step)
        ended = time.perf_counter()
        taken.append(ended - began)
        if ended > until:
            break
    one.finish()
    return median(taken)


def values(tracker: str, count: int) -> float:
    """Median seconds of logging twenty values at one step."""
    one = _warm(tracker)
    one.start("values", {})
    taken = []
    until = time.perf_counter() + _LOOP_S
    for step in range(count):
        began = time.perf_counter()
        one.values(_VALUES, step)
        ended = time.perf_counter()
        taken.append(ended - began)
        if ended > until:
            break
    one.finish()
    return median(taken)


def cycle(tracker: str, count: int) -> float:
    """Median seconds of starting and finishing an empty run."""
    one = _warm(tracker)
    taken = []
    for number in range(count):
        began = time.perf_counter()
        one.start(f"empty-{number}", {})
        one.finish()
        taken.append(time.perf_counter() - began)
    return median(taken)


def seeded(tracker: str, count: int) -> float:
    """Runs with ten params and ten metrics, to be listed later; seconds for one."""
    dice = random.Random(0)
    one: Tracker = TRACKERS[tracker]()
    began = time.perf_counter()
    for number in range(count):
        one.start(f"run-{number}", {f"param_{place}": dice.random() for place in range(10)})
        one.values({f"metric_{place}": dice.random() for place in range(10)}, 0)
        one.finish()
    return (time.perf_counter() - began) / count


def listed(tracker: str, count: int) -> float:
    """How many runs were listed; the process is timed from outside."""
    one: Tracker = TRACKERS[tracker]()
    return one.listed()


def _warm(tracker: str) -> Tracker:
    """After one small run: what it makes only once (a database, a service) is there."""
    one: Tracker = TRACKERS[tracker]()
    one.start("first", {"a": 1})
    one.point("first", 0.0, 0)
    one.finish()
    return one


WORKLOADS = {one.__name__: one for one in (imported, points, values, cycle, seeded, listed)}


if __name__ == "__main__":
    workload, tracker, count, answer = sys.argv[1:5]
    Path(answer).write_text(json.dumps(WORKLOADS[workload](tracker, int(count))))
