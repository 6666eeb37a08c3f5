"""`gittrack ls --group`: one row a configuration."""

from __future__ import annotations

import csv
import io

from tests.cli.conftest import Desk


def sweep(desk: Desk) -> None:
    for lr, accs in ((0.1, (0.5, 0.7)), (0.2, (0.9,))):
        for seed, acc in enumerate(accs):
            desk.run(f"run-{lr}-{seed}", params={"lr": lr, "seed": seed, "depth": 3}, metrics={"val/acc": [acc]})


def test_a_row_says_what_differs_and_mean_and_deviation(desk: Desk) -> None:
    sweep(desk)
    title, single, pair = desk.out("ls", "--group").splitlines()
    assert title.split() == ["lr", "n", "val/acc"]
    assert single.split() == ["0.2", "1", "0.9"]
    assert pair.split() == ["0.1", "2", "0.6", "±", "0.14"]
    assert "depth" in desk.out("ls", "--group", "--all").splitlines()[0]
    assert desk.out("ls", "--group", "--sort", "metrics.val/acc").splitlines()[1] == pair


def test_json_has_all_of_it(desk: Desk) -> None:
    sweep(desk)
    single, pair = desk.json("ls", "--group")
    assert pair["params"] == {"lr": 0.1, "depth": 3}
    assert (pair["experiment"], pair["n"], len(pair["runs"])) == ("digits", 2, 2)
    found = pair["metrics"]["val/acc"]
    assert (round(found["mean"], 9), round(found["sd"], 9), found["n"]) == (0.6, 0.141421356, 2)
    assert single["metrics"]["val/acc"] == {"mean": 0.9, "sd": None, "n": 1}
    assert len(pair["code"]) == 40
    assert pair["data"] is None
    assert pair["environment"]


def test_csv_has_numbers_in_columns_of_their_own(desk: Desk) -> None:
    sweep(desk)
    rows = list(csv.DictReader(io.StringIO(desk.out("ls", "--group", "--csv"))))
    assert [row["n"] for row in rows] == ["1", "2"]
    assert float(rows[1]["metrics.val/acc.mean"]) == 0.6
    assert rows[0]["metrics.val/acc.sd"] == ""
    assert len(rows[1]["runs"].split()) == 2
    assert desk.out("ls", "--group", "--md").startswith("|")


def test_other_code_has_a_column_that_tells_rows_apart(desk: Desk) -> None:
    desk.run("before", params={"lr": 1}, metrics={"acc": [0.1]})
    desk.repo.write("train.py", "new\n")
    after = desk.repo.commit("New code")
    desk.run("after", params={"lr": 1}, metrics={"acc": [0.2]})
    title, row, _ = desk.out("ls", "--group").splitlines()
    assert title.split() == ["code", "n", "acc"]
    assert row.split() == [after[:8], "1", "0.2"]


def test_filters_keys_limits_and_what_is_left_out(desk: Desk) -> None:
    sweep(desk)
    desk.run("broken", params={"lr": 0.1}, metrics={"val/acc": [float("nan")]}, fails=True)
    result = desk("ls", "--group", "-n", "1")
    assert "1 of 2 groups" in result.stderr
    assert "1 run that did not finish is left out" in result.stderr
    assert len(desk.json("ls", "--group", "params.lr < 0.2")) == 1
    (whole,) = desk.json("ls", "--group-by", "experiment")
    assert (whole["n"], whole["by"]) == (3, {"experiment": "digits"})
    assert desk.json("ls", "--group", "-e", "other") == []
    assert "--columns goes with single runs" in desk.error("ls", "--group", "--columns", "name", code=2)
    assert "names no key" in desk.error("ls", "--group-by", ",", code=2)
    assert desk.json("ls", "--group-by", "lr") == desk.json("ls", "--group-by", "params.lr")
    desk.run("both", params={"lr": 0.1}, tags={"lr": "high"})
    assert "params.lr" in desk.error("ls", "--group-by", "lr", code=2)


def test_no_run_no_metric_and_odd_values(desk: Desk) -> None:
    assert desk.out("ls", "--group") == ""
    assert desk.json("ls", "--group") == []
    odd = "a|b `c` <b>\n🦦"
    desk.run("odd", params={"text": odd, "none": None}, metrics={"m|x": [float("inf")], "n": [float("nan")]})
    desk.run("bare", params={"text": odd})
    found = desk.json("ls", "--group")
    assert {one["params"]["text"] for one in found} == {odd}
    assert found[1]["metrics"]["m|x"] == {"mean": None, "sd": None, "n": 1}
    for form in ("--csv", "--md"):
        assert desk.out("ls", "--group", form)
    assert len(desk.out("ls", "--group").splitlines()) == 3
