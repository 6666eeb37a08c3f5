"""`gittrack report`: golden reports of every kind of change, and what becomes of bad input."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from cmarkgfm import github_flavored_markdown_to_html
from cmarkgfm.cmark import Options

from tests.cli.conftest import Desk
from tests.helpers import Repo

GOLDEN = Path(__file__).parent / "reports"
GOALS = """\
metrics:
  goals:
    acc: {goal: max, min_change: 0.002, role: gate}
    loss: min
    "time/*": {goal: min, role: ignore}
"""
BASE = (0.900, 0.912, 0.905)
HOSTILE = "acc|<b>*bold*</b> @octocat #1 🚀 [a](http://example.org) $x$ <!-- -->"


def goals(desk: Desk, text: str = GOALS) -> None:
    desk.repo.write(".gittrack/config.yaml", text)
    desk.repo.commit("Say what is better")


def change(desk: Desk, text: str = "better\n") -> str:
    """A commit of a branch that the default branch does not have."""
    if desk.repo.git("branch", "--show-current") == "main":
        desk.repo.git("switch", "--quiet", "-c", "idea")
    desk.repo.write("train.py", text)
    return desk.repo.commit("An idea")


def repeats(
    desk: Desk, name: str, values: Sequence[float], *, params: Mapping[str, Any] | None = None, **more: Any
) -> None:
    for seed, value in enumerate(values):
        desk.run(
            f"{name}-{seed}",
            params={"lr": 0.1, "seed": seed, **(params or {})},
            metrics={"acc": [value / 2, value * 0.9, value], "loss": [1.0, 0.5, 0.3]},
            **more,
        )


def better(desk: Desk) -> None:
    goals(desk)
    repeats(desk, "old", BASE)
    change(desk)
    repeats(desk, "new", (0.951, 0.958, 0.949), params={"lr": 0.2, "warmup": True})


def worse(desk: Desk) -> None:
    goals(desk)
    repeats(desk, "old", BASE)
    change(desk)
    repeats(desk, "new", (0.801, 0.82, 0.811))


def undecided(desk: Desk) -> None:
    goals(desk)
    repeats(desk, "old", BASE)
    change(desk)
    repeats(desk, "new", (0.903, 0.909, 0.913))


def one_run(desk: Desk) -> None:
    goals(desk)
    repeats(desk, "old", BASE[:1])
    change(desk)
    repeats(desk, "new", (0.951,))


def first_ever(desk: Desk) -> None:
    goals(desk)
    change(desk)
    repeats(desk, "new", BASE)


def dirty(desk: Desk) -> None:
    goals(desk)
    repeats(desk, "old", BASE)
    change(desk)
    desk.repo.write("train.py", "not committed\n")
    repeats(desk, "new", (0.951, 0.958, 0.949), allow_dirty="tracked")
    desk.repo.git("checkout", "--quiet", "train.py")


def thirty_metrics(desk: Desk) -> None:
    goals(desk)
    for at, name in enumerate(("old", "new")):
        if at:
            change(desk)
        for seed in range(3):
            numbers = {f"part{one}/score": [one + seed / 10 + at * (one % 3)] for one in range(30)}
            desk.run(
                f"{name}-{seed}",
                params={"seed": seed},
                metrics={**numbers, "acc": [BASE[seed] + at / 100 + at * seed / 1000]},
            )


def hostile(desk: Desk) -> None:
    goals(desk, f"metrics: {{goals: {{{HOSTILE!r}: {{goal: max, role: gate}}}}}}\n")
    for name, lift in (("old|`a`<i>", 0.0), ("new|`b`", 0.1)):
        if lift:
            change(desk)
            desk.repo.write("a|b`c` <img src=x>.txt", "x")
            desk.repo.commit("Odd")
        for seed, value in enumerate(BASE):
            desk.run(
                f"{name}{seed}",
                params={"seed": seed, "why|@you": f"<script>alert({lift})</script>\n`|` @all"},
                metrics={HOSTILE: [0.1, value + lift + seed * lift / 100]},
            )


SCENES: dict[str, Callable[[Desk], None]] = {
    "better": better,
    "worse": worse,
    "undecided": undecided,
    "one-run": one_run,
    "first-ever": first_ever,
    "dirty": dirty,
    "thirty-metrics": thirty_metrics,
    "hostile": hostile,
}


def steady(text: str) -> str:
    """Ids become words, in the order in which they appear."""
    names: dict[str, str] = {}
    text = re.sub(r"-- python\b.*", "-- COMMAND", text)
    return re.sub(r"\b[0-9a-f]{8,40}\b", lambda found: names.setdefault(found[0], f"ID{len(names)}"), text)


@pytest.mark.parametrize("scene", SCENES)
def test_golden_reports(desk: Desk, scene: str, request: pytest.FixtureRequest) -> None:
    """`pytest --write-golden` writes them anew, to be looked at."""
    SCENES[scene](desk)
    found = steady(desk.out("report", "--md"))
    path = GOLDEN / f"{scene}.md"
    if request.config.getoption("--write-golden"):
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")


class Shown(HTMLParser):
    """What a browser would make of rendered Markdown: its elements, and the texts of code and of cells."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.codes: list[str] = []
        self.rows: list[int] = []
        self._inside = 0
        self.feed(github_flavored_markdown_to_html(markdown, Options.CMARK_OPT_UNSAFE))

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag == "code":
            self._inside += 1
            self.codes.append("")
        elif tag == "tr":
            self.rows.append(0)
        elif tag in ("td", "th"):
            self.rows[-1] += 1

    def handle_endtag(self, tag: str) -> None:
        self._inside -= tag == "code"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.codes[-1] += data


@pytest.mark.parametrize("scene", SCENES)
def test_what_github_makes_of_it(scene: str) -> None:
    """No element but those that a report has, whatever things are called, and tables whose rows are whole."""
    shown = Shown((GOLDEN / f"{scene}.md").read_text(encoding="utf-8"))
    usual = {
        "h3",
        "p",
        "code",
        "strong",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "sub",
        "details",
        "summary",
        "pre",
        "ul",
        "li",
    }
    assert set(shown.tags) <= usual
    assert shown.tags.count("details") >= 3
    assert set(shown.rows) <= {2, 3, 6}


def test_hostile_names_are_shown_as_they_are() -> None:
    codes = Shown((GOLDEN / "hostile.md").read_text(encoding="utf-8")).codes
    assert "old|`a`<i>2" in codes
    assert "why|@you" in codes
    assert "<script>alert(0.1)</script>\\n`|` @all" in codes
    assert "a|b`c` <img src=x>.txt" in codes
    assert any(one.startswith("acc|<b>*bold*</b> @octocat #1") for one in codes)


def test_json_is_the_contract(desk: Desk) -> None:
    worse(desk)
    plain = desk.json("report")
    assert list(plain) == ["base", "head", "verdict", "gate", "code", "experiments"]
    assert plain["head"] == desk.repo.git("rev-parse", "HEAD")
    assert plain["base"] == desk.repo.git("rev-parse", "main")
    assert plain["verdict"] == "regressed"
    assert plain["gate"]["passed"] is False
    (reason,) = plain["gate"]["reasons"]
    assert reason.startswith("acc regressed: paired t, the same seeds on both sides: p = 0.0")
    (one,) = plain["experiments"]
    assert (one["experiment"], len(one["base"]["runs"]), len(one["head"]["runs"])) == ("digits", 3, 3)
    acc = one["metrics"][0]
    assert (acc["key"], acc["verdict"], acc["gate"], acc["a"]["n"]) == ("acc", "regressed", True, 3)


def test_the_gate(desk: Desk) -> None:
    worse(desk)
    assert desk("report").exit_code == 0, "nobody asked for a gate"
    assert "the gate says no: acc regressed" in desk("report", "--gate", code=4).stderr
    goals(desk, GOALS.replace("role: gate", "role: watch"))
    desk("report", "--gate", "main..HEAD~1")
    desk.repo.git("config", "gittrack.report.gate", "a*")
    assert "acc regressed" in desk("report", "--gate", code=4).stderr


def test_what_is_undecided_passes_unless_proof_is_asked_for(desk: Desk) -> None:
    undecided(desk)
    desk("report", "--gate")
    desk.repo.git("config", "gittrack.report.proof", "true")
    assert "acc is undecided, and report.proof asks for proof: paired t" in desk("report", "--gate", code=4).stderr


@pytest.mark.parametrize(
    ("metrics", "words"),
    [({}, "acc is gone: the head did not measure it"), ({"acc": [float("nan")]}, "acc is nan on the head")],
)
def test_a_gate_cannot_be_dodged(desk: Desk, metrics: Mapping[str, Sequence[float]], words: str) -> None:
    goals(desk)
    repeats(desk, "old", BASE)
    change(desk)
    for seed in range(3):
        desk.run(f"new{seed}", params={"lr": 0.1, "seed": seed}, metrics={"loss": [0.1], **metrics})
    assert words in desk("report", "--gate", code=4).stderr


def test_nothing_ran_on_the_change(desk: Desk) -> None:
    goals(desk)
    assert "no run here is of commit" in desk.error("report", code=1)
    repeats(desk, "old", BASE)
    change(desk)
    head = desk.repo.git("rev-parse", "HEAD")
    said = desk.error("report", code=1)
    assert f"none of the 3 finished runs here is of commit {head[:8]}" in said
    assert "make one with 'gittrack run', or bring those of others with 'gittrack fetch'" in said


def test_the_newest_commit_that_ran_speaks_for_a_side(desk: Desk) -> None:
    goals(desk)
    repeats(desk, "old", BASE)
    desk.repo.write("README.md", "later")
    desk.repo.commit("Later on main")
    change(desk, "first\n")
    repeats(desk, "first", (0.80, 0.81, 0.83))
    change(desk, "second\n")
    repeats(desk, "second", (0.95, 0.96, 0.94))
    change(desk, "third\n")
    found = desk.json("report")["experiments"][0]
    assert (found["head"]["name"], found["head"]["behind"], found["base"]["behind"]) == ("second-2", 1, 1)
    assert any("the runs of the head are of" in one and "1 commit before" in one for one in found["warnings"])
    assert desk.json("report", "main..HEAD~2")["experiments"][0]["head"]["name"] == "first-2"


def test_a_rebased_change_keeps_its_runs(desk: Desk) -> None:
    better(desk)
    tree, fork = desk.repo.git("rev-parse", "HEAD^{tree}"), desk.repo.git("rev-parse", "main")
    squashed = desk.repo.git("commit-tree", tree, "-p", fork, "-m", "Squashed")
    desk.repo.git("reset", "--quiet", "--hard", squashed)
    assert desk.json("report")["experiments"][0]["head"]["name"] == "new-2"


def test_after_the_merge_the_newest_commit_is_the_change(desk: Desk) -> None:
    better(desk)
    desk.repo.git("switch", "--quiet", "main")
    desk.repo.git("merge", "--quiet", "--ff-only", "idea")
    found = desk.json("report")
    assert (found["base"], found["verdict"]) == (desk.repo.git("rev-parse", "HEAD~1"), "improved")


def test_of_several_configurations_one_speaks(desk: Desk) -> None:
    goals(desk)
    repeats(desk, "slow", BASE, params={"lr": 0.1})
    repeats(desk, "fast", (0.93, 0.94, 0.935), params={"lr": 0.5})
    change(desk)
    repeats(desk, "best", (0.95, 0.96, 0.94), params={"lr": 0.1})
    repeats(desk, "last", (0.80, 0.81, 0.79), params={"lr": 0.9})
    found = desk.json("report")["experiments"][0]
    assert (found["head"]["name"], found["base"]["name"]) == ("last-2", "fast-2")
    desk.repo.git("config", "gittrack.report.runs", "best")
    found = desk.json("report")["experiments"][0]
    # Of the base the one with the same params, though another is better.
    assert (found["head"]["name"], found["base"]["name"]) == ("best-1", "slow-2")
    assert any("of 2 configurations of the head this is the best" in one for one in found["warnings"])
    assert any(
        "of 2 configurations of the base this is the one with the params of the head" in one
        for one in found["warnings"]
    )


def test_several_experiments_and_one_of_them(desk: Desk) -> None:
    better(desk)
    for seed in range(3):
        desk.run(f"other{seed}", experiment="letters", params={"seed": seed}, metrics={"acc": [seed / 10]})
    found = desk.json("report")
    assert [one["experiment"] for one in found["experiments"]] == ["letters", "digits"]
    assert found["experiments"][0]["base"] is None
    assert "#### `digits`" in desk.out("report", "--md")
    assert [one["experiment"] for one in desk.json("report", "-e", "digits")["experiments"]] == ["digits"]


def test_many_gates_are_corrected_for(desk: Desk) -> None:
    goals(desk, "metrics: {goals: {'m*': {goal: max, role: gate}}}\n")
    for at, name in enumerate(("old", "new")):
        if at:
            change(desk)
        for seed, noise in enumerate((0.0, 0.004, -0.004)):
            value = 0.9 + seed / 100 + at * (0.01 + noise)
            desk.run(f"{name}{seed}", params={"seed": seed}, metrics={f"m{one}": [value] for one in range(4)})
    found = desk.json("report")
    assert {row["verdict"] for row in found["experiments"][0]["metrics"]} == {"undecided"}
    assert "one of 4 that gate" in found["experiments"][0]["metrics"][0]["reason"]
    desk.repo.git("config", "gittrack.metrics.goals", "{m1: max}")
    assert desk.json("report")["verdict"] == "improved"


def test_the_change_changes_what_is_judged(desk: Desk) -> None:
    better(desk)
    goals(desk, GOALS.replace("min_change: 0.002", "min_change: 0.5"))
    repeats(desk, "again", (0.951, 0.958, 0.949))
    assert any("says what is judged" in one for one in desk.json("report")["experiments"][0]["warnings"])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nowhere..HEAD"], 2, "there is no commit 'nowhere' in this clone"),
        (["main..nowhere"], 2, "there is no commit 'nowhere'; name two like main..HEAD"),
        (["--json", "--md"], 2, "choose one of --"),
        (["--images-url", "x"], 2, "--images DIR draws them"),
        (["--pull-request", "7"], 2, "add --comment"),
        (["--experiment", "nothing"], 1, "no run here is of commit"),
    ],
)
def test_wrong_words(desk: Desk, words: Sequence[str], code: int, said: str) -> None:
    better(desk)
    assert said in desk("report", *words, code=code).stderr


def test_histories_without_a_common_commit(desk: Desk) -> None:
    better(desk)
    tree = desk.repo.git("rev-parse", "HEAD^{tree}")
    other = desk.repo.git("commit-tree", tree, "-m", "Elsewhere")
    assert "have no commit in common" in desk.error("report", f"{other}..HEAD", code=2)


def test_curves_as_pictures(desk: Desk, tmp_path: Path) -> None:
    better(desk)
    text = desk.out(
        "report", "--md", "--images", str(tmp_path / "pictures"), "--images-url", "https://pages.example.org/7/"
    )
    assert "![Learning curves](https://pages.example.org/7/curves-0.png)" in text
    assert (tmp_path / "pictures" / "curves-0.png").read_bytes().startswith(b"\x89PNG")


def test_in_a_bare_repository(desk: Desk, tmp_path: Path) -> None:
    """As a hook of a server calls it: runs and settings are in git alone."""
    better(desk)
    desk.repo.git("clone", "--quiet", "--mirror", str(desk.repo.path), str(tmp_path / "host.git"))
    assert "**improved**" in desk.out("-C", str(tmp_path / "host.git"), "report", "main..idea", "--md")


BAD = (0.5, 0.507, 0.498)


def test_a_shallow_clone_is_no_reason_to_pass(desk: Desk, tmp_path: Path) -> None:
    goals(desk)
    repeats(desk, "old", BASE)
    head = change(desk)
    repeats(desk, "new", BAD)
    there = desk.repo.path.as_uri()
    for name, words in (("branch", ("--branch", "idea")), ("both", ("--branch", "idea", "--no-single-branch"))):
        desk.repo.git("clone", "--quiet", "--depth", "1", *words, there, str(tmp_path / name))
        desk("-C", str(tmp_path / name), "fetch", "--no-data")
        assert "git fetch --unshallow" in desk("-C", str(tmp_path / name), "report", "--gate", code=2).stderr
    job = Repo(tmp_path / "job")
    Repo(tmp_path).git("init", "--quiet", "job")
    job.git("remote", "add", "origin", there)
    job.git("fetch", "--quiet", "--depth", "1", "origin", head)
    job.git("checkout", "--quiet", "--detach", head)
    desk("-C", str(job.path), "fetch", "--no-data")
    said = desk("-C", str(job.path), "report", "--gate", code=2, env={"GITHUB_BASE_REF": "main"}).stderr
    assert "the change is to go into origin/main, says CI, and that is not in this clone" in said
    assert "origin/nope" in desk("report", code=2, env={"GITHUB_BASE_REF": "nope"}).stderr


def test_who_tries_a_change_before_committing_it_does_not_move_the_base(desk: Desk) -> None:
    goals(desk)
    repeats(desk, "old", BASE)
    desk.repo.write("train.py", "worse\n")
    repeats(desk, "tried", BAD, allow_dirty="tracked")
    desk.repo.write("train.py", "another try\n")
    repeats(desk, "other", BAD, allow_dirty="tracked")
    change(desk, "worse\n")
    # What was tried with the very code of the change is of the change.
    assert desk.json("report")["experiments"][0]["head"]["name"] == "tried-2"
    repeats(desk, "new", BAD)
    found = desk.json("report")
    (one,) = found["experiments"]
    assert (one["base"]["name"], one["head"]["name"], found["verdict"]) == ("old-2", "new-2", "regressed")
    assert not any("dirty" in text for text in one["warnings"] if "base" in text)


def test_runs_of_one_side_are_not_runs_of_the_other_though_the_code_is_the_same(desk: Desk) -> None:
    goals(desk)
    repeats(desk, "old", BASE)
    desk.repo.git("switch", "--quiet", "-c", "idea")
    desk.repo.commit("Nothing, to run the checks again")
    repeats(desk, "new", BAD)
    found = desk.json("report")
    (one,) = found["experiments"]
    assert (len(one["base"]["runs"]), len(one["head"]["runs"]), found["verdict"]) == (3, 3, "regressed")
    assert one["metrics"][0]["a"]["mean"] == pytest.approx(sum(BASE) / 3)


def test_every_experiment_is_judged_however_many_there_are(desk: Desk) -> None:
    goals(desk)
    names = [f"exp{at}" for at in range(12)]
    for at, side in enumerate(("old", "new")):
        if at:
            change(desk)
        for name in names:
            for seed, value in enumerate(BASE):
                bad = at * 0.4 * (name == "exp0")
                desk.run(
                    f"{side}{seed}",
                    experiment=name,
                    params={"seed": seed},
                    metrics={"acc": [value - bad - bad * seed / 50]},
                )
    assert "acc in exp0 regressed" in desk("report", "--gate", code=4).stderr
    assert len(desk.json("report")["experiments"]) == 12
    text = desk.out("report", "--md")
    assert text.count("\n#### ") == 10
    assert "#### `exp0`" in text, "what regressed comes first"
    assert "2 more experiments ran too" in text


def test_a_try_with_another_word_on_the_command_line_is_not_the_base(desk: Desk) -> None:
    """It logged the same params, so that only its command tells it apart."""
    goals(desk)
    desk.repo.write(
        "t.sh",
        'echo "{\\"acc\\": $(echo "0.9 $1 $2" | awk \'{print $1 + $2 * 0.001 * ($2 % 3) + $3}\')}" > metrics.json\n',
    )
    desk.repo.write(".gitignore", "metrics.json\n")
    desk.repo.commit("A script")

    def ran(name: str, *more: str) -> None:
        desk("run", "-n", name, "-e", "digits", "--seeds", "4", "--", "sh", "t.sh", "{seed}", *more)

    ran("base", "0.0")
    desk.repo.git("switch", "--quiet", "-c", "idea")
    desk.repo.write("t.sh", (desk.repo.path / "t.sh").read_text(encoding="utf-8").replace("0.9 ", "0.8 "))
    desk.repo.commit("Worse")
    ran("new", "0.0")
    desk.repo.git("switch", "--quiet", "main")
    ran("tryout", "-0.1")
    desk.repo.git("switch", "--quiet", "idea")
    found = desk.json("report")
    (one,) = found["experiments"]
    assert (one["base"]["name"], one["head"]["name"], one["params"]) == ("base-seed3", "new-seed3", [])
    assert found["verdict"] != "equal"
    assert one["metrics"][0]["delta"] == pytest.approx(-0.1)
    assert any("of 2 configurations of the base" in text for text in one["warnings"])
    ran("other", "-0.2")
    (row,) = desk.json("report")["experiments"][0]["params"]
    assert row["key"] == "command"


def test_a_quick_trial_of_something_else_speaks_for_nobody(desk: Desk) -> None:
    goals(desk)
    repeats(desk, "old", BASE)
    desk.repo.write("README.md", "later")
    desk.repo.commit("Words")
    desk.run("smoke", params={"lr": 0.1, "seed": 0}, metrics={"smoke/ok": [1.0]})
    change(desk)
    repeats(desk, "new", BAD)
    (one,) = desk.json("report")["experiments"]
    assert (one["base"]["name"], one["base"]["behind"]) == ("old-2", 1)


def test_what_diverged_is_refused_though_the_base_diverged_too(desk: Desk) -> None:
    goals(desk)
    repeats(desk, "old", (0.9, 0.91, float("nan")))
    change(desk)
    repeats(desk, "new", (float("nan"),) * 3)
    assert "acc is nan on the head" in desk("report", "--gate", code=4).stderr


def test_one_run_on_a_side_is_no_proof(desk: Desk) -> None:
    goals(desk)
    repeats(desk, "old", BASE[:1])
    change(desk)
    repeats(desk, "new", BASE[:1])
    desk("report", "--gate")
    assert (
        "acc is equal, and report.proof asks for proof"
        in desk("report", "--gate", code=4, env={"GITTRACK_REPORT_PROOF": "true"}).stderr
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            "metrics: {goals: {acc: max, typo/acc: {goal: max, role: gate}}}",
            "typo/acc gates, and nothing that ran measured it",
        ),
        ("metrics: {goals: {acc: max}}\nreport: {gate: [typo]}", "typo gates, and nothing that ran measured it"),
        ("report: {gate: [acc]}", "acc gates, and no goal says which way it is better"),
    ],
)
def test_a_gate_that_looks_at_nothing_is_shut(desk: Desk, settings: str, words: str) -> None:
    goals(desk, settings + "\n")
    repeats(desk, "old", BASE)
    change(desk)
    repeats(desk, "new", BAD)
    assert words in desk("report", "--gate", code=4).stderr


def test_a_gate_beside_one_that_works_is_only_told(desk: Desk) -> None:
    goals(desk, GOALS.replace("loss: min", "typo: {goal: max, role: gate}"))
    better_runs = (0.951, 0.958, 0.949)
    repeats(desk, "old", BASE)
    change(desk)
    repeats(desk, "new", better_runs)
    desk("report", "--gate")
    assert "typo gates, and nothing that ran measured it" in desk.json("report")["experiments"][0]["warnings"]


def test_named_as_a_gate_a_metric_is_not_ignored(desk: Desk) -> None:
    goals(desk, "metrics: {goals: {acc: {goal: max, role: ignore}}}\nreport: {gate: [acc]}\n")
    repeats(desk, "old", BASE)
    change(desk)
    repeats(desk, "new", BAD)
    assert "acc regressed" in desk("report", "--gate", code=4).stderr


def test_an_experiment_that_did_not_run_on_the_change_is_named(desk: Desk) -> None:
    goals(desk)
    repeats(desk, "old", BASE)
    desk.run("other", experiment="letters", params={"seed": 1}, metrics={"acc": [0.5]})
    change(desk)
    repeats(desk, "new", BASE)
    warnings = desk.json("report")["experiments"][0]["warnings"]
    assert "experiment letters measured what gates before the change, and did not run on it" in warnings


def test_branches_that_merged_each_other(desk: Desk) -> None:
    """There are two forks then; what the base has is no part of the change, whichever is taken."""
    goals(desk)
    repeats(desk, "root", BASE)
    change(desk, "idea\n")
    desk.repo.git("switch", "--quiet", "main")
    desk.repo.write("main.py", "main\n")
    on_main = desk.repo.commit("On main")
    repeats(desk, "main", BAD)
    desk.repo.git("switch", "--quiet", "-c", "helper", "idea")
    desk.repo.git("merge", "--quiet", "-m", "Main into idea", "main")
    desk.repo.git("switch", "--quiet", "main")
    desk.repo.git("merge", "--quiet", "-m", "Idea into main", "idea")
    desk.repo.git("switch", "--quiet", "idea")
    desk.repo.git("merge", "--quiet", "--ff-only", "helper")
    desk.repo.write("more.py", "more\n")
    desk.repo.commit("More")
    repeats(desk, "new", BAD)
    (one,) = desk.json("report", "main..idea")["experiments"]
    assert one["head"]["name"] == "new-2"
    assert one["head"]["commit"] != on_main


def test_a_metric_that_some_runs_of_the_head_did_not_measure(desk: Desk) -> None:
    goals(desk)
    repeats(desk, "old", BASE)
    change(desk)
    desk.run("new-0", params={"lr": 0.1, "seed": 0}, metrics={"acc": [0.9], "loss": [0.3]})
    for seed in (1, 2):
        desk.run(f"new-{seed}", params={"lr": 0.1, "seed": seed}, metrics={"loss": [0.3]})
    assert "acc was measured by 1 of the 3 runs of the head" in desk.json("report")["experiments"][0]["warnings"]


def test_seeds_are_no_change_of_params(desk: Desk) -> None:
    goals(desk)
    repeats(desk, "old", BASE)
    change(desk)
    desk.run("new", params={"lr": 0.1, "seed": 77}, metrics={"acc": [0.9]})
    assert desk.json("report")["experiments"][0]["params"] == []


class Page(HTMLParser):
    """The elements of a page, their attributes, and what stands in them as text and as script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.said = ""
        self.script = ""
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._open.append(tag)
        self.addresses += [str(value) for name, value in attrs if name in ("src", "href", "srcset", "action")]
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("script", "style"):
            self.script += data
        else:
            self.said += data


@pytest.mark.parametrize("scene", SCENES)
def test_pages(desk: Desk, tmp_path: Path, scene: str) -> None:
    """One file that needs nothing else and in which no name is more than text; Chromium shows it, where there is one."""
    SCENES[scene](desk)
    path = tmp_path / "report.html"
    assert desk.out("report", "--html", str(path)) == ""
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.addresses == []
    assert page.tags.count("script") == 1
    assert not {"img", "b", "i", "iframe", "link", "a"} & set(page.tags) - ({"i"} if "shades" in text else set())
    assert "nan" not in page.script.lower().replace("isnan", "")
    plain = desk.json("report")
    if plain["verdict"] != "new":
        assert plain["experiments"][0]["metrics"][0]["reason"] in page.said
    if scene == "hostile":
        for name in (HOSTILE, "old|`a`<i>2", "<script>alert(0.1)</script>\\n`|` @all", "a|b`c` <img src=x>.txt"):
            assert name in page.said
    chromium = shutil.which("chromium")
    if chromium is None:
        return
    words = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"]
    done = subprocess.run(
        [*words, f"--user-data-dir={tmp_path / 'profile'}", path.as_uri()], capture_output=True, text=True, check=True
    )
    assert plain["head"][:8] in Page(done.stdout).said
    assert "Uncaught" not in done.stderr


def test_a_page_beside_another_form(desk: Desk, tmp_path: Path) -> None:
    better(desk)
    assert json.loads(desk.out("report", "--json", "--html", str(tmp_path / "x.html")))["verdict"] == "improved"
    assert (tmp_path / "x.html").exists()
    said = desk("report", "--html", str(tmp_path / "no" / "x.html"), code=1).stderr
    assert "no/x.html" in said
