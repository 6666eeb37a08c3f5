"""`gittrack run --seeds`: one command, once for each seed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence

import pytest

from gittrack.project import Project
from tests.cli.conftest import Desk
from tests.helpers import Repo, wait_until

# Its accuracy is its seed, as an argument gave it; the seeds told by the variable and by set_seeds() are metrics too.
TRAIN = """\
import os, sys
import gittrack

with gittrack.start_run() as run:
    seed = int(sys.argv[1])
    run.log_metrics({"acc": seed / 10, "told": int(os.environ["GITTRACK_SEED"])})
    run.log_metric("set", gittrack.set_seeds()["python"])
sys.exit(3 if seed in map(int, sys.argv[2:]) else 0)
"""


@pytest.fixture
def lab(repo: Repo) -> Repo:
    repo.write("seeded.py", TRAIN)
    repo.write(".gitignore", "*.txt\n")
    repo.commit("A script that takes a seed")
    return repo


def repeat(repo: Repo, seeds: str, *options: str, fails: Sequence[int] = (), code: int = 0) -> list[str]:
    """What is said on stderr."""
    done = repo.gittrack(
        "run", *options, "--seeds", seeds, "--", sys.executable, "seeded.py", "{seed}", *map(str, fails), check=False,
        env={"GITTRACK_RUN_SYSTEM_METRICS": "off"},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr.splitlines()


def test_each_seed_is_a_run_that_knows_it(lab: Repo) -> None:
    said = repeat(lab, "3", "-n", "net", "-p", "lr=0.1", "-e", "digits")
    runs = sorted(lab.gittrack_json("ls"), key=lambda run: run["params"]["seed"])
    assert [run["name"] for run in runs] == ["net-seed0", "net-seed1", "net-seed2"]
    assert [run["params"] for run in runs] == [{"lr": 0.1, "seed": seed} for seed in range(3)]
    assert [run["metrics"] for run in runs] == [{"acc": s / 10, "told": s, "set": s} for s in range(3)]
    assert [run["command"].split()[-1] for run in runs] == ["0", "1", "2"]
    assert said[0] == "gittrack: 3 runs with seeds 0 to 2"
    assert said[-3:] == ["acc   0.1 ± 0.1 (3)", "set   1 ± 1 (3)", "told  1 ± 1 (3)"]
    project = Project.open(lab.path)
    assert [one.id for one in project.repeats(project.get_run("net-seed1"))] == [run["id"] for run in runs]


def test_a_goal_says_which_metrics_count(lab: Repo) -> None:
    lab.write(".gittrack/config.yaml", "metrics: {goals: {acc: max}}\n")
    lab.commit("A goal")
    said = repeat(lab, "2", "-p", "seed=4")
    assert said[0] == "gittrack: 2 runs with seeds 4, 5"
    assert said[-1] == "acc  0.45 ± 0.071 (2)"
    assert not any(line.startswith("told") for line in said)


def test_one_that_fails_keeps_no_other_from_running(lab: Repo) -> None:
    said = repeat(lab, "5,1,9", "-n", "net", fails=[1], code=3)
    assert {run["name"]: run["status"] for run in lab.gittrack_json("ls")} == {
        "net-seed5": "finished",
        "net-seed1": "failed",
        "net-seed9": "finished",
    }
    assert "gittrack: seed 1 failed with exit code 3" in said
    assert "acc   0.7 ± 0.28 (2)" in said


def test_nothing_that_finished_has_no_mean(lab: Repo) -> None:
    said = repeat(lab, "2", fails=[0, 1], code=3)
    assert said[-2:] == [f"gittrack: seed {seed} failed with exit code 3" for seed in (0, 1)]


def test_a_tree_that_became_dirty_is_refused(lab: Repo) -> None:
    done = lab.gittrack("run", "--seeds", "3", "--", "sh", "-c", "echo {seed} >> train.py", check=False)
    assert done.returncode == 4
    assert [run["params"]["seed"] for run in lab.gittrack_json("ls")] == [0]
    assert "gittrack: not started: 2 seeds, 1, 2" in done.stderr
    assert "train.py (modified)" in done.stderr


def test_an_output_of_each_seed(lab: Repo) -> None:
    lab.gittrack(
        "run", "-n", "x", "--seeds", "2", "--output", "{seed}.txt", "--", "sh", "-c", "echo {seed}{other} > {seed}.txt"
    )
    for seed in (0, 1):
        shown = lab.gittrack_json("show", f"x-seed{seed}")
        assert [one["path"] for one in shown["artifacts"]] == [f"{seed}.txt"]
        assert lab.git("show", f"{shown['commit']}:.gittrack/artifacts/{seed}.txt") == f"{seed}{{other}}"


def test_a_command_that_misses_its_seed_is_noticed(lab: Repo) -> None:
    constant = "import gittrack; gittrack.start_run(); gittrack.log_metric('acc', 0.5)"
    done = lab.gittrack("run", "--seeds", "2", "--", sys.executable, "-c", constant)
    assert done.stderr.splitlines()[-1].startswith("gittrack: every seed gave the same")


def test_numbers_that_are_none_and_names_that_are_odd(lab: Repo) -> None:
    odd = """
import os, gittrack
gittrack.start_run()
seed = int(os.environ["GITTRACK_SEED"])
gittrack.log_metrics({"a|b": float("nan"), "<b>": 1e308 * (1 - 2 * seed), "\N{CRAB}": 1e-320 * seed, "near": 1 + seed * 1e-9})
"""
    done = lab.gittrack(
        "run", "--seeds", "2", "--", sys.executable, "-c", odd, env={"GITTRACK_RUN_SYSTEM_METRICS": "off"}
    )
    told = {line.rpartition("  ")[0].strip(): line.rpartition("  ")[2] for line in done.stderr.splitlines()[-4:]}
    assert told["a|b"] == "nan (2)"
    assert told["near"] == "1.0000000005 ± 7.1e-10 (2)"
    assert set(told) == {"a|b", "<b>", "\N{CRAB}", "near"}


def test_a_script_that_seeds_itself_otherwise_is_told(lab: Repo) -> None:
    fixed = "import gittrack; gittrack.start_run(); gittrack.set_seeds(42)"
    done = lab.gittrack("run", "--seeds", "5,42", "--", sys.executable, "-c", fixed)
    assert done.stderr.count("seeded with 42, not with the 5 of") == 1
    assert "not with the 42" not in done.stderr


@pytest.mark.parametrize("answer", ["sys.exit(0)", "sys.exit(130)", "sys.exit(7)"])
def test_an_interrupt_ends_all(lab: Repo, answer: str) -> None:
    patient = f"""
import pathlib, signal, sys, time
signal.signal(signal.SIGINT, lambda *_: {answer})
pathlib.Path("ready.txt").touch()
time.sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-m", "gittrack", "run", "--seeds", "3", "--", sys.executable, "-c", patient],
        cwd=lab.path, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_until((lab.path / "ready.txt").exists, "the command has started")
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (130 if answer == "sys.exit(0)" else int(answer[9:-1]))
    assert "gittrack: not started: 2 seeds, 1, 2" in said
    assert len(lab.gittrack_json("ls")) == 1


def test_wrong_usage(desk: Desk) -> None:
    for text in ("0", "1,1", "", "-2", "x", "1,x"):
        assert "seed" in desk.error("run", "--seeds", text, "true", code=2)
    assert "said twice" in desk.error("run", "--seeds", "1,2", "-p", "seed=3", "true", code=2)
    assert "there is no program" in desk.error("run", "--seeds", "2", "no-such-program", code=127)
    assert "cannot name a run" in desk.error("run", "-n", "x" * 250, "--seeds", "2", "true", code=2)
    assert desk.json("ls") == []
