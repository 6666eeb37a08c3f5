"""`gittrack pareto`: the front of real runs."""

from __future__ import annotations

import csv
import io

import pytest

from tests.cli.conftest import Desk

RUNS = {"best": (0.9, 10.0), "slower": (0.9, 11.0), "quick": (0.7, 2.0), "worse": (0.6, 3.0), "same": (0.7, 2.0)}


@pytest.fixture
def front(desk: Desk) -> Desk:
    for name, (acc, time) in RUNS.items():
        desk.run(name, params={"name": name}, metrics={"acc": [acc], "time": [time]})
    desk.run("diverged", metrics={"acc": [float("nan")], "time": [1.0]})
    desk.run("incomplete", metrics={"acc": [0.99]})
    desk.run("failed", metrics={"acc": [1.0], "time": [0.0]}, fails=True)
    return desk


def names(found: list[dict[str, object]]) -> list[object]:
    return [one["name"] for one in found]


def test_what_no_other_beats_with_ties(front: Desk) -> None:
    found = front.json("pareto", "acc:max", "time:min")
    assert names(found)[0] == "best"
    assert sorted(map(str, names(found))) == ["best", "quick", "same"]
    assert all(one["front"] for one in found)
    result = front("pareto", "acc:max", "metrics.time:min")
    assert len(result.stdout.splitlines()) == 4
    assert "3 of 5 finished runs on the front: acc max, time min" in result.stderr
    assert "2 finished runs have no finite number" in result.stderr


def test_all_marks_those_on_the_front(front: Desk) -> None:
    rows = list(csv.DictReader(io.StringIO(front.out("pareto", "acc:max", "time:min", "--all", "--csv"))))
    assert [row["front"] for row in rows] == ["yes"] * 3 + [""] * 2
    assert front.out("pareto", "acc:max", "time:min", "--md").startswith("|")


def test_goals_come_from_the_settings(front: Desk) -> None:
    front.repo.write(".gittrack/config.yaml", "metrics: {goals: {acc: max, time: {goal: min}}}\n")
    assert len(front.json("pareto", "acc", "time")) == 3
    assert names(front.json("pareto", "acc:max", "time:max")) == ["slower"]


def test_a_filter_follows_in_one_word_or_in_several(front: Desk) -> None:
    for filter in (("metrics.acc < 0.9",), ("metrics.acc", "<", "0.9"), ("not", "metrics.acc >= 0.9")):
        found = front.json("pareto", "acc:max", "time:min", *filter)
        assert sorted(map(str, names(found))) == ["quick", "same"]
    assert front.json("pareto", "acc:max", "time:min", "-e", "other") == []


def test_means_of_repeats(desk: Desk) -> None:
    for lr, accs in ((1, (0.5, 0.9)), (2, (0.75,))):
        for seed, acc in enumerate(accs):
            desk.run(f"run-{lr}-{seed}", params={"lr": lr, "seed": seed}, metrics={"acc": [acc], "time": [1.0]})
    (found,) = desk.json("pareto", "acc:max", "time:min", "--group")
    assert (found["params"], found["n"], found["front"]) == ({"lr": 2}, 1, True)
    assert "1 of 2 configurations" in desk("pareto", "acc:max", "time:min", "--group").stderr
    assert "front" in desk.out("pareto", "acc:max", "time:min", "--group", "--all").splitlines()[0]


def test_mistakes_name_the_way_out(front: Desk) -> None:
    assert "write time:max or time:min" in front.error("pareto", "acc:max", "time", code=2)
    assert "did you mean time?" in front.error("pareto", "acc:max", "tme:min", code=2)
    assert "two metrics or more" in front.error("pareto", "acc:max", code=2)
    assert "named twice" in front.error("pareto", "acc:max", "acc:min", code=2)
    assert "no finished run" in front.error("pareto", "acc:max", "time:min", "metrics.acc > 5", code=1)


def test_a_metric_whose_name_has_a_space(desk: Desk) -> None:
    for name, acc, time in (("one", 0.5, 1.0), ("two", 0.4, 2.0)):
        desk.run(name, metrics={"val acc": [acc], "time": [time]})
    assert names(desk.json("pareto", "val acc:max", "time:min")) == ["one"]
    assert names(desk.json("pareto", "time:max", "metrics.val acc:min", "metrics.time > 1")) == ["two"]


def test_without_any_run(desk: Desk) -> None:
    assert "no finished run" in desk.error("pareto", "a:max", "b:min", code=1)
    assert desk.json("pareto", "a:max", "b:min") == []
