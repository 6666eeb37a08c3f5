from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest

from gittrack.project import Project
from tests.cli.conftest import Desk


def squeezed(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_two_runs(three: Desk) -> None:
    three.repo.git("config", "gittrack.metrics.goals", "{val/acc: max, loss: min}")
    three.repo.write("train.py", "better\n")
    commit = three.repo.commit("Train better")
    three.run("new", params={"lr": 0.1, "extra": [1]}, metrics={"val/acc": [0.8], "loss": [0.1]})
    lines = squeezed(three.out("diff", "fast", "new"))
    assert lines[0].endswith("digits/fast finished")
    assert lines[1].endswith("digits/new finished")
    assert "extra - [1]" in lines
    assert "seed 1 -" in lines
    assert f"only b {commit[:8]} Train better" in lines
    assert "M train.py" in lines
    assert "val/acc 0.9 0.8 ↓ -0.1 (-11.1 %) away from max" in lines
    assert "loss 0.2 0.1 ↓ -0.1 (-50.0 %) towards min" in lines
    assert "lr 0.1 0.1" not in lines
    assert lines[-1] == "one run on each side: a difference in a metric may be chance"
    assert "lr 0.1 0.1" in squeezed(three.out("diff", "fast", "new", "--all"))
    assert "+better" in three.out("diff", "fast", "new", "--patch").splitlines()


def test_json_is_the_contract(three: Desk) -> None:
    plain = three.json("diff", "slow", "fast")
    assert list(plain) == [
        "a",
        "b",
        "code",
        "params",
        "environment",
        "data",
        "metrics",
        "artifacts",
        "repeats",
        "console",
        "command",
    ]
    assert plain["code"] == {"commits": [], "files": [], "patch": None}
    assert plain["params"] == [{"key": "lr", "a": 0.01, "b": 0.1}]
    assert plain["environment"] == []
    row = next(row for row in plain["metrics"] if row["key"] == "val/acc")
    assert row["a"] == {"mean": 0.7, "sd": None, "n": 1}
    assert (row["verdict"], row["ci"], row["p"], row["test"]) == ("undecided", None, None, None)
    assert three.json("diff", "slow", "fast", "--patch")["code"]["patch"] == ""


def test_nothing_differs(desk: Desk) -> None:
    for name in ("one", "two"):
        desk.run(name, params={"lr": 1}, metrics={"loss": [0.5]})
    assert desk.out("diff", "one", "two").splitlines()[-1] == "nothing differs"
    assert desk.json("diff", "one", "two", "--all")["metrics"][0]["verdict"] == "equal"


def test_against_the_baseline(three: Desk) -> None:
    three.repo.git("switch", "--quiet", "-c", "idea")
    three.repo.write("train.py", "idea\n")
    three.repo.commit("An idea")
    three.run("first-try")
    three.run("second-try")
    result = three("diff", "second-try")
    base = three.repo.git("rev-parse", "main")[:8]
    assert "compared with fast" in result.stderr
    assert f"the newest run on the merge base {base}" in result.stderr
    assert "digits/fast" in result.stdout.splitlines()[0]
    assert "digits/second-try" in result.stdout.splitlines()[1]


def test_no_baseline(three: Desk) -> None:
    assert "run slow has no baseline" in three.error("diff", "slow", code=1)


def test_an_active_run(three: Desk) -> None:
    from gittrack.project import Project

    active = Project.open().start_run("now", params={"lr": 5}, console=False)
    result = three("diff", "slow", "now")
    assert "run now is still active" in result.stderr
    assert "lr 0.01 5" in squeezed(result.stdout)
    active.finish()


def test_code_that_is_not_here(three: Desk) -> None:
    run = three.json("show", "slow")
    tree = three.repo.git("rev-parse", "HEAD^{tree}")
    other = three.repo.git("commit-tree", tree, "-m", "Elsewhere")
    three.repo.git("switch", "--quiet", "--detach", other)
    three.run("elsewhere")
    three.repo.git("switch", "--quiet", "main")
    lines = squeezed(three.out("diff", run["id"], "elsewhere"))
    assert any(line.startswith("only b") and line.endswith("Elsewhere") for line in lines)


def test_repeats_carry_a_verdict(desk: Desk) -> None:
    desk.repo.git("config", "gittrack.metrics.goals", "{acc: max, loss: min}")
    for name, lr, values in (("low", 0.1, (0.90, 0.91, 0.92)), ("high", 0.2, (0.95, 0.962, 0.969))):
        for seed, acc in enumerate(values):
            desk.run(f"{name}{seed}", params={"lr": lr, "seed": seed}, metrics={"acc": [acc], "loss": [0.5]})
    lines = squeezed(desk.out("diff", "low0", "high2"))
    assert "acc 0.9100 ± 0.01 (3) 0.9603 ± 0.0096 (3) ↑ +0.05033 (+5.5 %) improved" in lines
    assert any(line.startswith("acc: paired t, the same seeds on both sides: p = 0.00") for line in lines)
    assert lines[-1] == "mean ± standard deviation of 3 and 3 repeats; --alone compares the two runs"
    plain = desk.json("diff", "high0", "low0", "--all")
    assert [len(side) for side in plain["repeats"].values()] == [3, 3]
    acc, loss = plain["metrics"]
    assert (acc["verdict"], acc["test"], acc["a"]["n"]) == ("regressed", "paired-t", 3)
    assert acc["ci"][0] < acc["delta"] < acc["ci"][1] < 0
    assert (loss["verdict"], loss["reason"]) == ("equal", "every value is the same, n = 3")
    alone = desk.json("diff", "high0", "low0", "--alone")
    assert (alone["metrics"][0]["verdict"], alone["metrics"][0]["a"]["n"]) == ("undecided", 1)


def cross_validate(desk: Desk, name: str, values: Sequence[float], inside: bool) -> None:
    """Ten folds in one run, or each in a run of its own inside it."""
    project = Project.open(desk.repo.path)
    outer = project.start_run(name, params={"model": name}, console=False)
    for fold, value in enumerate(values):
        if inside:
            outer.log_fold(fold, {"acc": value}, of=len(values))
        else:
            inner = project.start_run(params={"fold": fold}, parent_id=outer.id, nested=True, console=False)
            inner.log_metric("acc", value)
            inner.finish()
    outer.finish()


@pytest.mark.parametrize("inside", [True, False])
def test_folds_of_one_run_are_compared_fold_by_fold(desk: Desk, inside: bool) -> None:
    desk.repo.git("config", "gittrack.metrics.goals", "{acc: max}")
    low = [0.80, 0.83, 0.79, 0.85, 0.81, 0.80, 0.82, 0.84, 0.78, 0.81]
    high = [one + 0.05 + 0.01 * (at % 3) for at, one in enumerate(low)]
    for name, values in (("low", low), ("high", high)):
        cross_validate(desk, name, values, inside)
    lines = squeezed(desk.out("diff", "low", "high"))
    assert lines[-1] == "mean ± standard deviation of 10 and 10 folds, which one run on each side made"
    assert "acc 0.813 ± 0.022 (10) 0.872 ± 0.019 (10) ↑ +0.059 (+7.3 %) improved" in lines
    assert any(line.startswith("acc: t corrected for overlapping folds, the same 10 folds, which") for line in lines)
    assert not any("fold/" in line for line in lines)
    (acc,) = desk.json("diff", "low", "high", "--alone")["metrics"]
    assert (acc["test"], acc["verdict"], acc["a"]["n"]) == ("corrected-t", "improved", 10)
    assert "fold/" not in desk.out("ls")
    assert desk.out("show", "low", "metrics.fold/3/acc" if inside else "params.model") == (
        "0.85\n" if inside else "low\n"
    )


def test_what_only_the_command_says_is_shown(desk: Desk) -> None:
    for name, rate in (("low", "0.05"), ("high", "0.1")):
        desk("run", "-e", "digits", "-n", name, "--seeds", "2", "--", "sh", "-c", f"echo {rate} {{seed}} > /dev/null")
    lines = squeezed(desk.out("diff", "low-seed0", "high-seed1"))
    assert lines[lines.index("params") + 2] == (
        "command sh -c 'echo 0.05 0 > /dev/null' sh -c 'echo 0.1 1 > /dev/null'"
    )
    assert desk.json("diff", "low-seed0", "high-seed1")["command"]["b"] == "sh -c 'echo 0.1 1 > /dev/null'"
    same = desk("diff", "low-seed0", "low-seed1")
    assert "both are repeats of one configuration" in same.stderr
    assert "command" not in same.stdout
    assert desk.json("diff", "low-seed0", "low-seed1")["command"] is None


def test_two_repeats_of_one_configuration_are_two_runs(desk: Desk) -> None:
    for seed in range(3):
        desk.run(f"run{seed}", params={"seed": seed}, metrics={"acc": [seed / 10]})
    done = desk("diff", "run0", "run2")
    assert "both are repeats of one configuration" in done.stderr
    assert "one run on each side" in done.stdout


def test_branches_commits_and_what_else_git_names(three: Desk) -> None:
    three.repo.git("switch", "--quiet", "-c", "idea")
    three.repo.write("train.py", "idea\n")
    tried = three.repo.commit("An idea")
    three.run("tried", params={"lr": 0.5, "seed": 1}, metrics={"val/acc": [0.95]})
    three.run("elsewhere", experiment="other")
    three.repo.write("README.md", "later\n")
    three.repo.commit("Later")
    done = three("diff", "main", "idea")
    assert "main is digits/fast" in done.stderr
    assert (
        f"idea is digits/tried ({three.json('show', 'tried')['id'][:8]}) on {tried[:8]}, 1 commit before it"
        in done.stderr
    )
    lines = squeezed(done.stdout)
    assert lines.index("code") < lines.index("params") < lines.index("metrics"), "causes first"
    names = {side: three.json("show", one)["id"] for side, one in (("a", "fast"), ("b", "tried"))}
    plain = three.json("diff", "HEAD~2", tried[:10])
    assert {side: plain[side] for side in "ab"} == names
    assert "there is no run 'nowhere'" in three("diff", "main", "nowhere", code=1).stderr


def test_two_words_for_one_run(three: Desk) -> None:
    three.repo.git("switch", "--quiet", "-c", "idea")
    three.repo.write("train.py", "idea\n")
    three.repo.commit("An idea, which never ran")
    said = three("diff", "main", "idea", code=2).stderr
    assert "'main' and 'idea' are one run, digits/fast" in said


def test_a_run_that_is_called_like_a_branch(three: Desk) -> None:
    three.run("main")
    three.repo.git("tag", "slow")
    said = three("diff", "main", "slow").stderr.splitlines()
    assert "main is a run here; refs/heads/main is the branch" in said
    assert "slow is a run here; refs/tags/slow is the tag" in said
    assert "refs/heads/main is digits/fast" in three("diff", "slow", "refs/heads/main").stderr
    assert "is a run here" not in three("diff", "fast", "broken").stderr


def test_repeats_without_a_test_say_why(desk: Desk) -> None:
    for seed, acc in enumerate((0.5, 0.6)):
        desk.run(f"many{seed}", params={"lr": 1, "seed": seed}, metrics={"acc": [acc]})
    desk.run("alone", params={"lr": 2, "seed": 7}, metrics={"acc": [0.9]})
    said = "acc: n = 2 and 1: one run cannot tell a change from chance"
    assert said in squeezed(desk.out("diff", "many0", "alone"))
    assert "acc: n = 1 and 1: one run cannot tell a change from chance" in squeezed(
        desk.out("diff", "many0", "alone", "--alone", "--test", "wilcoxon")
    )
    assert "undecided" not in desk.out("diff", "many0", "alone", "--alone")


def test_a_failed_run_shows_its_last_words(desk: Desk) -> None:
    desk.run("good")
    desk("run", "-n", "bad", "-e", "digits", "--", "sh", "-c", "seq 30; echo 'no space left'; exit 3", code=3)
    text = desk.out("diff", "good", "bad")
    assert "console of b, its last lines" in text
    assert "  no space left" in text.splitlines()
    assert desk.json("diff", "good", "bad")["console"]["b"][-1] == "no space left"
    assert len(desk.json("diff", "good", "bad")["console"]["b"]) == 20
    assert desk.json("diff", "bad", "good")["console"] == {"a": desk.json("diff", "good", "bad")["console"]["b"]}


def test_data_of_a_folder_are_told_by_file(desk: Desk) -> None:
    runs = []
    for change in ("same", "other"):
        desk.repo.write("data/kept.csv", "kept")
        desk.repo.write("data/deep/part.csv", change)
        if change == "other":
            desk.repo.write("data/new.csv", "new")
        for words in (["init"] if not runs else [], ["add", "data"]):
            if words:
                subprocess.run([sys.executable, "-m", "dvc", *words, "--quiet"], cwd=desk.repo.path, check=True)
        desk.repo.commit("Data")
        project = Project.open(desk.repo.path)
        active = project.start_run(change, experiment="digits", console=False)
        active.use("data")
        active.finish()
        runs.append(active)
    rows = {row["key"]: row for row in desk.json("diff", "same", "other")["data"]}
    assert sorted(rows) == ["data/deep/part.csv", "data/new.csv"]
    assert (rows["data/new.csv"]["a"], bool(rows["data/new.csv"]["b"])) == (None, True)


def test_the_same_examples(desk: Desk) -> None:
    project = Project.open(desk.repo.path)
    for name, wrong in (("old", {1, 2, 3, 4, 5, 6, 7}), ("new", {7})):
        active = project.start_run(name, experiment="digits", console=False)
        active.log_table([{"id": at, "correct": at not in wrong} for at in range(40)], "examples.csv")
        active.finish()
    lines = squeezed(desk.out("diff", "old", "new", "--examples", "examples.csv"))
    assert "b alone is right in 6, a alone in 0; McNemar: p = 0.031, n = 40" in lines
    assert "of these two models on these data; trained again, they would be others" in lines
    plain = desk.json("diff", "old", "new", "--examples", "examples.csv")["examples"]
    assert (plain["won"], plain["lost"], plain["test"]) == (6, 0, "mcnemar")
    assert "has no artifact 'none.csv'" in desk("diff", "old", "new", "--examples", "none.csv", code=1).stderr
    assert (
        "has no column 'loss'"
        in desk("diff", "old", "new", "--examples", "examples.csv", "--column", "loss", code=2).stderr
    )
    assert "name the table with --examples" in desk.error("diff", "old", "new", "--column", "loss", code=2)
