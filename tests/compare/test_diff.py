from __future__ import annotations

import json
import math
from collections.abc import Mapping

import pytest

from gittrack.compare.align import ABSENT
from gittrack.compare.diff import (
    MetricRow,
    Row,
    diff_artifacts,
    diff_environment,
    diff_inputs,
    diff_metrics,
    diff_params,
    one_run,
)
from gittrack.domain.artifact import Artifact
from gittrack.domain.environment import Environment, Gpu, Hardware, Python
from gittrack.settings import Goal


def metrics(a: Mapping[str, float], b: Mapping[str, float], *, all: bool = False) -> dict[str, MetricRow]:
    goals = {"acc": Goal("max"), "loss": Goal("min")}
    return {row.key: row for row in diff_metrics(one_run(a), one_run(b), goals.get, all=all)}


def test_params_that_differ() -> None:
    a = {"lr": 0.1, "depth": 3, "name": "x", "flag": True}
    b = {"lr": 0.1, "depth": 4, "flag": 1, "seed": None}
    assert diff_params(a, b) == [
        Row("depth", 3, 4),
        Row("flag", True, 1),
        Row("name", "x", ABSENT),
        Row("seed", ABSENT, None),
    ]
    assert len(diff_params(a, b, all=True)) == 5


def test_rows_as_json() -> None:
    assert Row("k", ABSENT, math.nan).to_json() == {"key": "k", "a": None, "b": None}


def test_the_environment_by_dotted_keys() -> None:
    a = Environment(python=Python(version="3.11"), packages={"numpy": "1.26"}, notes=("no GPU",))
    b = Environment(
        python=Python(version="3.11"),
        packages={"numpy": "2.0", "ruamel.yaml": "0.18"},
        hardware=Hardware(gpus=(Gpu("H200"),)),
    )
    assert diff_environment(a, b) == [
        Row("hardware.gpus.0.name", ABSENT, "H200"),
        Row("packages.numpy", "1.26", "2.0"),
        Row("packages.ruamel.yaml", ABSENT, "0.18"),
    ]


def test_inputs_and_artifacts_by_content() -> None:
    data = diff_inputs([{"path": "a.csv", "md5": "1"}, {"path": "b.csv", "md5": "2"}], [{"path": "a.csv", "md5": "9"}])
    assert data == [Row("a.csv", "1", "9"), Row("b.csv", "2", ABSENT)]
    same, old, new = Artifact("m", 1, "x"), Artifact("n", 1, "y"), Artifact("n", 2, "z")
    assert diff_artifacts([same, old], [same, new]) == [Row("n", {"size": 1, "md5": "y"}, {"size": 2, "md5": "z"})]
    assert len(diff_artifacts([same, old], [same], all=True)) == 2


def test_one_run_each_proves_nothing() -> None:
    rows = metrics({"acc": 0.9, "loss": 0.5, "same": 1.0}, {"acc": 0.95, "loss": 0.6, "same": 1.0}, all=True)
    assert rows["acc"].delta == pytest.approx(0.05)
    assert rows["acc"].delta_pct == pytest.approx(100 * 0.05 / 0.9)
    assert rows["acc"].direction == "towards"
    assert rows["loss"].direction == "away"
    assert rows["same"].direction is None
    assert {key: row.judged.verdict for key, row in rows.items()} == {
        "acc": "undecided",
        "loss": "undecided",
        "same": "equal",
    }


def test_only_metrics_that_differ() -> None:
    assert list(metrics({"x": 1.0, "y": math.nan}, {"x": 1.0, "y": math.nan, "z": 0.0})) == ["z"]


@pytest.mark.parametrize(
    ("a", "b", "delta", "percent"),
    [
        (0.0, 1.0, 1.0, None),
        (-2.0, -1.0, 1.0, 50.0),
        (math.nan, 1.0, None, None),
        (math.inf, math.inf, None, None),
        (1.0, math.inf, None, None),
        (-1.7e308, 1.7e308, None, None),
        (5e-324, 1.0, 1.0, None),
    ],
)
def test_deltas_that_have_no_number(a: float, b: float, delta: float | None, percent: float | None) -> None:
    row = metrics({"m": a}, {"m": b}, all=True)["m"]
    assert row.delta == delta
    assert row.delta_pct == percent
    json.dumps(row.to_json(), allow_nan=False)


def test_metrics_as_json() -> None:
    row = metrics({"acc": 0.5}, {})["acc"]
    assert row.to_json() == {
        "key": "acc",
        "goal": "max",
        "a": {"mean": 0.5, "sd": None, "n": 1},
        "b": None,
        "delta": None,
        "delta_pct": None,
        "ci": None,
        "p": None,
        "test": None,
        "verdict": "undecided",
        "reason": "one side has no value",
    }
