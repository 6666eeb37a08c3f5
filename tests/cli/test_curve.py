from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Desk


def test_runs_and_metrics_in_any_order(three: Desk) -> None:
    text = three.out("curve", "val/acc", "slow", "fast")
    assert text.splitlines()[0] == "val/acc"
    assert text.splitlines()[-2:] == ["● slow", "▲ fast"]


def test_without_words_the_newest_run(three: Desk) -> None:
    three.run("latest", metrics={"a": [1, 2], "b": [2, 1]})
    lines = three.out("curve").splitlines()
    assert lines[0] == "a"
    assert lines.count("latest") == 2
    three.repo.git("config", "gittrack.metrics.goals", "{b: min}")
    assert three.out("curve").splitlines()[0] == "b"


def test_patterns(three: Desk) -> None:
    assert {one["key"] for one in three.json("curve", "slow", "*")} == {"val/acc", "loss"}
    assert {one["key"] for one in three.json("curve", "slow", "val/*")} == {"val/acc"}
    assert {one["key"] for one in three.json("curve", "slow", "metrics.loss")} == {"loss"}


def test_points_as_json(three: Desk) -> None:
    slow, broken = three.json("curve", "slow", "broken", "loss")
    assert (slow["name"], slow["key"], len(slow["run"])) == ("slow", "loss", 32)
    assert [(point["step"], point["value"]) for point in slow["points"]] == [(0, 1.0), (1, 0.6), (2, 0.5)]
    assert slow["points"][0]["time"].endswith("Z")
    assert broken["points"][0]["value"] is None


def test_points_as_csv(three: Desk) -> None:
    rows = list(csv.DictReader(io.StringIO(three.out("curve", "slow", "broken", "loss", "--csv"))))
    assert [row["value"] for row in rows] == ["1.0", "0.6", "0.5", "nan"]
    assert rows[0]["name"] == "slow"


def test_pictures(three: Desk, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    page, picture = tmp_path / "curves.html", tmp_path / "curves.png"
    assert three.out("curve", "slow", "fast", "*", "--html", str(page), "--png", str(picture)) == ""
    assert page.read_text().count('<svg class="chart"') == 2
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_picture_without_matplotlib(three: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = three.error("curve", "slow", "loss", "--png", str(tmp_path / "x.png"), code=1)
    assert "pip install matplotlib" in said


def test_without_plotext_there_is_still_a_page(three: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotext", None)
    assert "pip install --force-reinstall plotext" in three.error("curve", "slow", "loss", code=1)
    assert three.out("curve", "slow", "loss", "--html", str(tmp_path / "x.html")) == ""


def test_a_file_that_cannot_be_written(three: Desk, tmp_path: Path) -> None:
    assert "No such file or directory" in three.error(
        "curve", "slow", "loss", "--html", str(tmp_path / "no" / "x.html"), code=1
    )


def test_wrong_words(three: Desk) -> None:
    assert "neither a run nor a metric of slow; did you mean val/acc?" in three.error("curve", "slow", "val/ac", code=2)
    assert "there is neither a run nor a metric 'slo'" in three.error("curve", "slo", code=1)


def test_a_name_that_is_a_metric_and_two_runs(desk: Desk) -> None:
    desk.run("loss")
    desk.run("loss")
    desk.run("other", metrics={"loss": [1, 2]})
    assert desk.json("curve", "other", "loss")[0]["key"] == "loss"


def test_nothing_to_draw(desk: Desk) -> None:
    assert "there are no runs yet" in desk.error("curve", code=1)
    desk.run("empty")
    assert "has no metric of its own" in desk.error("curve", "empty", code=2)


def test_a_resumed_run_is_drawn_once(desk: Desk) -> None:
    from gittrack.project import Project

    desk.run("long", metrics={"loss": [5, 4, 3]})
    active = Project.open().start_run(resume="long", console=False)
    for step, value in ((2, 30.0), (3, 20.0)):
        active.log_metric("loss", value, step)
    active.finish()
    points = desk.json("curve", "long", "loss")[0]["points"]
    assert [(point["step"], point["value"]) for point in points] == [(0, 5), (1, 4), (2, 30), (3, 20)]
    assert len(desk.json("curve", "long", "loss", "--all-attempts")[0]["points"]) == 5
