from __future__ import annotations

import csv
import io

import pytest

from gittrack.cli import ls as ls_module
from tests.cli.conftest import Desk


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_nothing_yet(desk: Desk) -> None:
    result = desk("ls")
    assert result.stdout == ""
    assert "no runs yet; 'gittrack run -- COMMAND' records one" in result.stderr
    assert desk.json("ls") == []


def test_newest_first_with_what_differs_and_what_was_measured(three: Desk) -> None:
    heading, *runs = rows(three.out("ls"))
    assert heading == ["id", "name", "age", "status", "duration", "lr", "seed", "loss", "val/acc"]
    assert [run[1] for run in runs] == ["broken", "fast", "slow"]
    assert "model.depth" not in heading, "it is the same in all"
    assert runs[0][-1] == "nan"
    assert runs[1][-4:] == ["0.1", "1", "0.2", "0.9"]


def test_metrics_with_a_goal_come_first(three: Desk) -> None:
    three.repo.git("config", "gittrack.metrics.goals", "{val/acc: max}")
    assert rows(three.out("ls"))[0][-2:] == ["val/acc", "loss"]


def test_the_experiment_where_there_are_several(three: Desk) -> None:
    three.run("other", experiment="toy")
    assert "experiment" in rows(three.out("ls"))[0]
    assert "experiment" not in rows(three.out("ls", "-e", "toy"))[0]
    assert len(rows(three.out("ls", "-e", "toy"))) == 2
    assert "cannot name an experiment" in three.error("ls", "-e", "a b", code=2)


def test_filter_and_sort(three: Desk) -> None:
    assert [run["name"] for run in three.json("ls", "metrics.val/acc > 0.6", "--sort", "metrics.val/acc")] == [
        "slow",
        "fast",
    ]
    assert [run["name"] for run in three.json("ls", "--sort", "-params.lr")] == ["broken", "fast", "slow"]
    result = three("ls", "params.lr > 100")
    assert result.stdout == ""
    assert "none of the 3 runs passes" in result.stderr


def test_only_the_newest_and_how_many_there_are(three: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ls_module, "_NEWEST", 2)
    result = three("ls")
    assert len(rows(result.stdout)) == 3
    assert result.stderr == "2 of 3 runs; -n 0 shows all\n"
    assert len(rows(three.out("ls", "-n", "0"))) == 4
    assert len(rows(three.out("ls", "--all"))) == 4
    assert len(three.json("ls")) == 3, "a program gets all unless it asks for fewer"
    assert len(three.json("ls", "-n", "1")) == 1


def test_columns_by_name(three: Desk) -> None:
    shown = rows(three.out("ls", "--columns", "name, lr,metrics.loss,tags.kind,`val/acc`"))
    assert shown[0] == ["name", "lr", "loss", "kind", "val/acc"]
    assert shown[3] == ["slow", "0.01", "0.5", "cv", "0.7"]
    assert "no run has 'val/ac'; did you mean" in three.error("ls", "--columns", "val/ac", code=2)
    assert "names no column" in three.error("ls", "--columns", ",", code=2)


def test_a_param_and_a_metric_of_one_name(desk: Desk) -> None:
    desk.run("a", params={"size": 1}, metrics={"size": [2.0]})
    assert rows(desk.out("ls"))[0][-2:] == ["params.size", "metrics.size"]


def test_csv_has_everything_in_full(three: Desk) -> None:
    found = list(csv.DictReader(io.StringIO(three.out("ls", "--csv"))))
    assert [row["name"] for row in found] == ["broken", "fast", "slow"]
    assert len(found[0]["id"]) == 32
    assert found[1]["params.lr"] == "0.1"
    assert found[0]["metrics.loss"] == "nan"
    assert found[0]["metrics.val/acc"] == ""
    assert found[2]["tags.kind"] == "cv"
    assert found[0]["started"].endswith("Z")


def test_markdown(three: Desk) -> None:
    lines = three.out("ls", "--md").splitlines()
    assert lines[0].split()[:6] == ["|", "id", "|", "name", "|", "age"]
    assert lines[1].split("|")[3].endswith("-:"), "numbers are at the right"
    assert len(lines) == 5


def test_json_is_the_contract(three: Desk) -> None:
    one = three.json("ls")[0]
    assert set(one) == {
        "id",
        "name",
        "experiment",
        "status",
        "started",
        "ended",
        "duration",
        "commit",
        "code",
        "author",
        "parent",
        "params",
        "metrics",
        "tags",
        "description",
        "command",
    }
    assert one["metrics"] == {"loss": None}, "JSON has no NaN"
    assert one["params"] == {"lr": 10, "model.depth": 3}


def test_a_dirty_run_has_a_star(desk: Desk) -> None:
    desk.repo.write("train.py", "changed\n")
    desk.run("quick", allow_dirty="tracked")
    result = desk("ls")
    assert "quick*" in result.stdout
    assert "* with changes that were not committed" in result.stderr


def test_an_active_run_is_there(desk: Desk) -> None:
    from gittrack.project import Project

    active = Project.open().start_run("now", console=False)
    active.log_metric("loss", 0.5, 0)
    shown = rows(desk.out("ls"))
    assert shown[1][1] == "now"
    assert "running" in shown[1]
    assert desk.json("ls")[0]["ended"] is None
    active.finish()


def test_hostile_text_in_a_table(desk: Desk) -> None:
    desk.run("x", params={"note": "\x1b[2J\nsecond", "pipe": "a|b"})
    desk.run("y", params={"note": "plain", "pipe": ""})
    assert "\x1b" not in desk.out("ls")
    assert len(desk.out("ls").splitlines()) == 3
    assert "a\\|b" in desk.out("ls", "--md")


# --- best


def test_best(three: Desk) -> None:
    assert "nothing says whether 'loss'" in three.error("best", "loss", code=2)
    result = three("best", "loss", "--min")
    assert rows(result.stdout)[1][1] == "fast"
    assert rows(result.stdout)[0][5] == "loss"
    assert result.stderr == "best of 2 finished runs\n"
    three.repo.git("config", "gittrack.metrics.goals", "{val/acc: max}")
    assert [run["name"] for run in three.json("best", "val/acc", "-n", "0")] == ["fast", "slow"]
    assert [run["name"] for run in three.json("best", "val/acc", "params.lr < 0.1")] == ["slow"]


def test_best_of_nothing(three: Desk) -> None:
    assert "no finished run of experiment nope" in three.error("best", "loss", "--min", "-e", "nope", code=1)
    assert "contradict" in three.error("best", "loss", "--min", "--max", code=2)
