from __future__ import annotations

import pytest

from gittrack.cli.show import look_up
from tests.cli.conftest import Desk


def test_all_of_a_run(three: Desk) -> None:
    run = three.run("whole", params={"b10": 1, "b9": 2}, tags={"k": "v"}, description="Two\nlines.")
    text = three.out("show", "whole")
    lines = [line.rstrip() for line in text.splitlines()]
    assert lines[0] == f"run {run.id} whole"
    assert "experiment  digits" in lines
    assert any(line.startswith("status      finished after ") for line in lines)
    assert f"commit      {run.commit}" in lines
    assert "tags        k=v" in lines
    assert lines[lines.index("    Two") + 1] == "    lines."
    assert lines.index("  b9   2") < lines.index("  b10  1")
    assert any("python 3" in line for line in lines)
    shown = three.out("show", "fast")
    assert "  val/acc   0.9  0.3  0.9       3     2" in shown.splitlines()


def test_a_run_that_failed(desk: Desk) -> None:
    code = "import gittrack\nwith gittrack.start_run('bad'):\n    raise ValueError('so \\x1b[31mred')\n"
    desk.repo.python(code, check=False)
    text = desk.out("show", "bad")
    assert "status      failed after" in text
    assert "Traceback (most recent call last):" in text
    assert "ValueError: so \\x1b[31mred" in text


def test_json_is_the_contract(three: Desk) -> None:
    plain = three.json("show", "fast")
    added = {"summary", "environment", "inputs", "artifacts", "error", "amendments"}
    assert added <= set(plain)
    assert plain["summary"]["loss"]["min"] == 0.2
    assert plain["summary"]["loss"]["last_step"] == 2


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("status", "finished"),
        ("name", "fast"),
        ("params.lr", "0.1"),
        ("params.model.depth", "3"),
        ("params.model", "depth  3"),
        ("metrics.val/acc", "0.9"),
        ("summary.val/acc.min", "0.3"),
        ("code.branch", "main"),
        ("parent", "null"),
        ("console", ""),
    ],
)
def test_one_value(three: Desk, key: str, shown: str) -> None:
    assert three.out("show", "fast", key) == f"{shown}\n"


def test_values_as_they_are(three: Desk) -> None:
    assert three.out("show", "broken", "metrics.loss") == "nan\n"
    assert three.json("show", "broken", "metrics.loss") is None
    assert three.out("show", "slow", "params.lr", "params.model") == "params.lr  0.01\nparams.model.depth  3\n"
    assert three.json("show", "slow", "params.lr", "status") == {"params.lr": 0.01, "status": "finished"}
    assert "numpy" in three.json("show", "slow", "environment.packages")


def test_a_wrong_key_names_the_nearest(three: Desk) -> None:
    assert "run fast has no 'params.lrr'; did you mean params.lr?" in three.error("show", "fast", "params.lrr", code=2)
    assert "did you mean metrics.val/acc?" in three.error("show", "fast", "metrics.val/ac", code=2)


def test_an_unknown_run(three: Desk) -> None:
    assert "there is no run 'fasst'" in three.error("show", "fasst", code=1)


def test_an_active_run(desk: Desk) -> None:
    from gittrack.project import Project

    active = Project.open().start_run("now", params={"lr": 1}, console=False)
    active.log_metric("loss", 0.5, 3)
    text = desk.out("show", "now")
    assert "status      running since" in text
    assert "  loss   0.5  0.5  0.5       1     3" in text.splitlines()
    assert desk.out("show", "now", "metrics.loss") == "0.5\n"
    active.finish()


def test_the_console_of_a_run(desk: Desk) -> None:
    desk.repo.gittrack("run", "-n", "talk", "--", "sh", "-c", "echo one; echo two >&2")
    assert sorted(desk.out("show", "talk", "console").split()) == ["one", "two"]


def test_paths_through_keys_with_dots() -> None:
    plain = {
        "packages": {"ruamel.yaml": "1", "ruamel": {"yaml": "2"}},
        "params": {"a.b": 1, "a.c.d": 2},
        "list": [{"x": 5}],
    }
    assert look_up(plain, "packages.ruamel.yaml") == "1"
    assert look_up(plain, "params.a") == {"b": 1, "c.d": 2}
    assert look_up(plain, "params.a.c") == {"d": 2}
    assert look_up(plain, "list.0.x") == 5
