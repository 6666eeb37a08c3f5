"""`gittrack importance`: real runs, with what must be said beside the shares."""

from __future__ import annotations

import csv
import html
import io
import random
import sys
from pathlib import Path

import pytest

from gittrack.project import Project
from tests.cli.conftest import Desk


@pytest.fixture
def sweep(desk: Desk) -> Desk:
    dice = random.Random(0)
    items = []
    for at in range(40):
        lr = dice.choice([0.001, 0.01, 0.1, 1.0])
        params = {"lr": lr, "a|b <c>": dice.choice("xy"), "seed": at, "epochs": 3, "warmup": lr * 2}
        items.append(
            {"name": f"run-{at}", "experiment": "digits", "params": params, "metrics": {"acc": -abs(lr - 0.1)}}
        )
    items.append({"experiment": "digits", "metrics": {"acc": float("nan")}, "name": "diverged"})
    items.append({"experiment": "digits", "metrics": {"acc": 1.0}, "name": "failed", "status": "failed"})
    Project.open(desk.repo.path).ledger.import_runs(items)
    return desk


def test_the_table_and_its_remarks(sweep: Desk) -> None:
    result = sweep("importance", "acc", "--max", "--bootstrap", "20")
    title, *rows = result.stdout.splitlines()
    assert title.split() == ["param", "importance", "low", "high", "chance"]
    assert {rows[0].split()[0], rows[1].split()[0]} == {"lr", "warmup"}
    assert "█" in rows[0]
    for said in (
        "40 finished runs, acc max",
        "lr and warmup say the same",
        "left out, the same in every run: epochs",
        "left out, a seed: seed",
        "left out, no finite acc: 1 finished run",
    ):
        assert said in result.stderr
    assert "fewer than 10" not in result.stderr


def test_json_csv_and_markdown(sweep: Desk) -> None:
    found = sweep.json("importance", "metrics.acc", "--max", "--bootstrap", "20", "-e", "digits")
    assert (found["metric"], found["goal"], found["runs"], found["bootstrap"]) == ("acc", "max", 40, 20)
    assert sum(one["importance"] for one in found["params"]) == pytest.approx(1)
    assert found["confounded"] == [["lr", "warmup"]]
    assert found["constant"] == ["epochs"]
    rows = list(csv.DictReader(io.StringIO(sweep.out("importance", "acc", "--max", "--bootstrap", "0", "--csv"))))
    assert {row["param"] for row in rows} == {"lr", "warmup", "a|b <c>"}
    assert sweep.out("importance", "acc", "--max", "--bootstrap", "0", "--md").startswith("|")


def test_a_filter_a_goal_of_the_settings_and_few_runs(sweep: Desk) -> None:
    sweep.repo.write(".gittrack/config.yaml", "metrics: {goals: {acc: max}}\n")
    found = sweep.json("importance", "acc", "params.lr > 0.05", "--bootstrap", "0")
    assert found["runs"] < 30
    assert any("fewer than 10 for each" in one for one in found["warnings"])
    assert sweep.json("importance", "acc", "--method", "mdi")["params"][0]["low"] is None


def test_runs_of_the_newest_experiment_alone(sweep: Desk) -> None:
    for lr in (1, 2, 3):
        sweep.run(f"other{lr}", experiment="letters", params={"lr": lr}, metrics={"acc": [lr / 10]})
    result = sweep("importance", "acc", "--max", "--bootstrap", "0")
    assert "experiment letters, the newest of 2; -e chooses another" in result.stderr
    assert "3 finished runs" in result.stderr
    assert "the newest of" not in sweep("importance", "acc", "--max", "--bootstrap", "0", "-e", "digits").stderr


def test_nothing_to_tell(desk: Desk) -> None:
    assert "from two finished runs" in desk.error("importance", "acc", "--max", code=1)
    for seed in (1, 2):
        desk.run(f"run-{seed}", params={"lr": 1, "seed": seed}, metrics={"acc": [0.5]})
    result = desk("importance", "acc", "--max")
    assert result.stdout == ""
    assert "no param differs" in result.stderr
    desk.run("other", params={"lr": 2, "seed": 1}, metrics={"acc": [0.5]})
    assert "nothing can have mattered" in desk("importance", "acc", "--max").stderr
    assert desk.json("importance", "acc", "--max")["params"] == []


def test_mistakes_name_the_way_out(sweep: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "pass --max or --min" in sweep.error("importance", "acc", code=2)
    assert "did you mean acc?" in sweep.error("importance", "accc", "--max", code=1)
    assert "contradict" in sweep.error("importance", "acc", "--max", "--min", code=2)
    assert "take 20 or more" in sweep.error("importance", "acc", "--max", "--bootstrap", "19", code=2)
    assert "no experiment 'digit' here; there is digits" in sweep.error(
        "importance", "acc", "-e", "digit", "--max", code=1
    )
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert "pip install 'gittrack[importance]'" in sweep.error("importance", "acc", "--max", code=1)


def test_a_picture_of_it(sweep: Desk, tmp_path: Path) -> None:
    words = ("plot", "importance", "acc", "-e", "digits", "--max", "--bootstrap", "20")
    lines = sweep.out(*words).splitlines()
    assert lines[0] == "importance for acc"
    shares = sweep.json(*words[1:])["params"]
    for line, one in zip(lines[1:], shares, strict=True):
        assert line.startswith(one["key"])
        assert f"{one['importance']:.3f}" in line
    assert "█" in lines[1]
    files = {form: tmp_path / f"x.{form}" for form in ("html", "png", "svg")}
    sweep(*words, *(word for form, path in files.items() for word in (f"--{form}", str(path))))
    page = files["html"].read_text(encoding="utf-8")
    assert page.count("<rect ") == len(shares)
    assert all(html.escape(one["key"]) in page for one in shares)
    assert files["png"].read_bytes().startswith(b"\x89PNG")
    assert "<svg" in files["svg"].read_text(encoding="utf-8")
    assert "contradict" in sweep.error(*words, "--min", code=2)


def test_no_picture_of_nothing(desk: Desk) -> None:
    for name in ("one", "two"):
        desk.run(name, params={"lr": 1}, metrics={"acc": [0.5]})
    assert "there is nothing to draw" in desk.error("plot", "importance", "acc", "--max", code=2)
    assert "pass --max or --min" in desk.error("plot", "importance", "acc", code=2)
