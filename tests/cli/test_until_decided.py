"""`gittrack run --until-decided`: repeats against those of another configuration, until a verdict stands."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence

import pytest

from tests.cli.conftest import Desk
from tests.helpers import wait_until

# Its accuracy is the number given for its seed; what is no number fails.
TRAIN = """\
import json, os, sys
json.dump({"acc": float(sys.argv[1:][int(os.environ["GITTRACK_SEED"])])}, open("metrics.json", "w"))
"""
BASE = (0.90, 0.92, 0.91, 0.89, 0.93)


@pytest.fixture
def lab(desk: Desk) -> Desk:
    desk.repo.write("score.py", TRAIN)
    desk.repo.write(".gitignore", "metrics.json\n")
    desk.repo.commit("A script that scores")
    desk.repo.git("config", "gittrack.metrics.goals", "{acc: max}")
    for seed, acc in enumerate(BASE):
        desk.run(f"base{seed}", params={"lr": 0.1, "seed": seed}, metrics={"acc": [acc]})
    return desk


def challenge(lab: Desk, scores: Sequence[object], *options: str, base: str = "base0", code: int = 0) -> list[str]:
    """What is said on stderr."""
    words = ["run", "-e", "digits", "-p", "lr=0.2", "-n", "new", "--until-decided", base, *options, "--"]
    return lab(*words, sys.executable, "score.py", *map(str, scores), code=code).stderr.splitlines()


def made(lab: Desk) -> list[int]:
    """The seeds of the new runs, in order."""
    return [run["params"]["seed"] for run in reversed(lab.json("ls", "params.lr = 0.2"))]


def test_it_ends_when_the_verdict_stands(lab: Desk) -> None:
    said = challenge(lab, (0.950, 0.965, 0.962, 0.9399, 0.98))
    assert said[0] == "gittrack: base0 has acc 0.91 ± 0.016 (5); at most 5 pairs, of its seeds 0 to 4"
    assert said[-1].startswith(
        "gittrack: improved after 3 repeats: acc 0.959 ± 0.0079 (3) against 0.91 ± 0.01 (3) of base0; paired t"
    )
    assert made(lab) == [0, 1, 2]
    assert lab.json("show", "new-seed2")["params"] == {"lr": 0.2, "seed": 2}


def test_it_ends_undecided_when_there_is_no_more_to_compare_with(lab: Desk) -> None:
    said = challenge(lab, (0.91, 0.91, 0.91, 0.90, 0.92))
    assert said[-1].startswith("gittrack: undecided after 5 repeats: acc")
    assert [line.split(":")[1].strip() for line in said if " of 5:" in line] == ["2 of 5", "3 of 5", "4 of 5"]
    assert made(lab) == [0, 1, 2, 3, 4]


def test_at_most_so_many(lab: Desk) -> None:
    said = challenge(lab, (0.91, 0.91, 0.91, 0.90, 0.92), "--max", "2")
    assert said[-1].startswith("gittrack: undecided after 2 repeats")


def test_seeds_are_those_of_the_base_in_its_order(lab: Desk) -> None:
    for seed in (3, 1):
        lab.run(f"other{seed}", params={"lr": 0.3, "seed": seed}, metrics={"acc": [0.5]})
    assert "of its seeds 3, 1" in challenge(lab, (0.9, 0.9, 0.9, 0.91), base="other1")[0]
    assert made(lab) == [3, 1]


def test_a_base_without_seeds_is_not_paired(lab: Desk) -> None:
    for acc in BASE:
        lab.run("unseeded", params={"lr": 0.3}, metrics={"acc": [acc]})
    said = challenge(lab, (1.5, 1.52, 1.51, 1.53, 1.49, 1.5), "--max", "6", base="@")
    assert said[0].endswith("without seeds to pair with; at most 6 repeats")
    assert "improved after" in said[-1]
    assert "Welch" in said[-1]


def test_a_command_that_fails_ends_it_with_its_code(lab: Desk) -> None:
    said = challenge(lab, (0.95, "broken"), code=1)
    assert said[-1] == "gittrack: nothing is decided; acc of 1 repeat is known"
    assert made(lab) == [0, 1]


def test_a_repeat_that_diverged_ends_it(lab: Desk) -> None:
    said = challenge(lab, (0.95, "nan", 0.95))
    assert "undecided after 2 repeats" in said[-1]
    assert "diverged" in said[-1]


def test_an_interrupt_ends_it_undecided(lab: Desk) -> None:
    patient = """
import pathlib, signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
pathlib.Path(".git/ready").touch()
time.sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-m", "gittrack", "run", "--until-decided", "base0", "--", sys.executable, "-c", patient],
        cwd=lab.repo.path, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_until((lab.repo.path / ".git" / "ready").exists, "the command has started")
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "gittrack: nothing is decided; acc of 0 repeats is known"


def refused(lab: Desk, *words: str, code: int) -> str:
    return lab.error("run", "-e", "digits", *words, "--", "true", code=code)


def test_what_cannot_decide_is_refused_before_anything_runs(lab: Desk) -> None:
    lab.run("alone", params={"lr": 7}, metrics={"acc": [0.5], "loss": [1.0]})
    for seed, acc in enumerate((0.5, float("nan"))):
        lab.run(f"nan{seed}", params={"lr": 8, "seed": seed}, metrics={"acc": [acc]})
    for fold, acc in enumerate((0.5, 0.6)):
        lab.run(f"fold{fold}", params={"lr": 9, "fold": fold}, metrics={"acc": [acc]})
    lab.run("nothing")
    before = lab.json("ls")
    assert "gittrack run -e digits --seeds 5 --" in refused(lab, "--until-decided", "alone", code=1)
    assert "it diverged" in refused(lab, "--until-decided", "nan0", code=2)
    assert "is a cross-validation" in refused(lab, "--until-decided", "fold0", code=2)
    assert "no metric has a goal; say which" in refused(lab, "--until-decided", "nothing", code=2)
    assert "has no metric 'acc'" in refused(lab, "--until-decided", "nothing", "--metric", "acc", code=1)
    assert "high or low" in refused(lab, "--until-decided", "alone", "--metric", "loss", code=2)
    assert "leave out -p seed" in refused(lab, "--until-decided", "base0", "-p", "seed=1", code=2)
    assert "there is no run 'nope'" in refused(lab, "--until-decided", "nope", code=1)
    assert "choose one of --seeds" in refused(lab, "--until-decided", "base0", "--seeds", "2", code=2)
    assert "go with --until-decided" in refused(lab, "--max", "3", code=2)
    assert "--max" in refused(lab, "--until-decided", "base0", "--max", "1", code=2)
    lab.repo.git("config", "gittrack.metrics.goals", "{acc: max, loss: min}")
    assert "several metrics have a goal; say which decides with --metric: acc, loss" in refused(
        lab, "--until-decided", "alone", code=2
    )
    assert lab.json("ls") == before


def test_a_gate_decides_among_several_goals(lab: Desk) -> None:
    lab.repo.git("config", "gittrack.metrics.goals", "{acc: {goal: max, role: gate}, loss: min}")
    for seed, acc in enumerate(BASE):
        lab.run("both", params={"lr": 0.3, "seed": seed}, metrics={"acc": [acc], "loss": [0.5]})
    assert "improved" in challenge(lab, (0.950, 0.965, 0.962, 0.9399, 0.98), base="@")[-1]


def test_the_base_itself_is_noticed_after_the_first_run(lab: Desk) -> None:
    command = ("--", "sh", "-c", "echo '{\"acc\": 1}' > metrics.json")
    lab("run", "-e", "digits", "-n", "old", "-p", "lr=0.5", "--seeds", "3,4,5", *command)
    said = lab.error("run", "-e", "digits", "-p", "lr=0.5", "--until-decided", "old-seed4", *command, code=2)
    assert "is a repeat of old-seed4 itself" in said
    assert len(lab.json("ls", "params.lr = 0.5")) == 4


def test_a_run_without_the_metric_is_noticed(lab: Desk) -> None:
    assert "finished without the metric 'acc'" in refused(lab, "--until-decided", "base0", "-p", "lr=0.2", code=1)


def test_a_command_that_takes_no_seed_ends_it(lab: Desk) -> None:
    fixed = "import gittrack; gittrack.start_run(params={'seed': 0}); gittrack.log_metric('acc', 0.99)"
    said = lab(
        "run", "-e", "digits", "-n", "new", "--until-decided", "base0", "--", sys.executable, "-c", fixed, code=1
    ).stderr
    assert "run new-seed1 was given the seed 1 and logged 0 as its seed" in said.splitlines()[-1]
    assert "improved" not in said
    assert len(lab.json("ls", "name ~ new")) == 2
