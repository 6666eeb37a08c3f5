"""The forms of a report beside each other: names that look like marks, records that are odd, and a gate that speaks once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Desk
from tests.cli.test_report import BASE, Page, better, change, goals, worse
from tests.helpers import Repo


def forge(desk: Desk, place: Path, file: str, text: str) -> None:
    """The head's run says this at the end of a file of its record, under the same message."""
    run = desk.json("report")["experiments"][0]["head"]["run"]
    (ref,) = desk.repo.git("for-each-ref", "--format=%(refname)", f"refs/experiments/**/{run}").split()
    desk.repo.git("worktree", "add", "--quiet", "--detach", str(place), ref)
    forged = Repo(place)
    kept = [
        line
        for line in (place / ".gittrack" / file).read_text(encoding="utf-8").splitlines()
        if not line.startswith(text.partition(":")[0])
    ]
    forged.write(f".gittrack/{file}", "\n".join([*kept, text, ""]))
    forged.git("add", "--all")
    message = desk.repo.git("log", "-1", "--format=%B", ref)
    parents = [word for one in desk.repo.git("log", "-1", "--format=%P", ref).split() for word in ("-p", one)]
    commit = desk.repo.git("commit-tree", forged.git("write-tree"), *parents, input=message)
    desk.repo.git("update-ref", ref, commit)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("run.yaml", "inputs: 5", "The record does not say what it read: "),
        ("run.yaml", "inputs: [5]", "The record does not say what it read: "),
        ("run.yaml", "inputs: [{path: a, md5: '<b>', tracked_by: [1]}]", "The record does not say what it read: "),
        ("environment.yaml", "packages: 5", "The record does not say in what it ran: "),
    ],
)
def test_a_part_that_cannot_be_read_is_left_out(desk: Desk, tmp_path: Path, file: str, text: str, said: str) -> None:
    better(desk)
    forge(desk, tmp_path / "forged", file, text)
    path = tmp_path / "report.html"
    desk("report", "--html", str(path))
    page = Page(path.read_text(encoding="utf-8"))
    assert said in page.said
    # All else is there, before it and after it.
    assert "acc 0.9057 → 0.9490" in page.said
    assert "gittrack checkout" in page.said
    assert "An idea" in page.said
    assert "b" not in page.tags


def test_stars_and_marks_in_a_name_are_stars_and_marks_in_every_form(desk: Desk, tmp_path: Path) -> None:
    name = "a**b**improved**"
    goals(desk, f"metrics: {{goals: {{{name!r}: max}}}}\n")
    for called, lift in (("old", 0.0), ("new", 0.1)):
        if lift:
            change(desk)
        for seed, value in enumerate(BASE):
            metrics = {name: [value + lift + seed * lift / 100]}
            desk.run(f"{called}{seed}", params={"seed": seed}, metrics=metrics)
    told = "0.906 → 1.007 (+11.2 %, p = 0.0001 or less)"
    path = tmp_path / "report.html"
    assert desk.out("report").startswith(f"improved: {name} {told}\n")
    assert f" **improved**: `{name}` {told}\n" in desk.out("report", "--md")
    desk("report", "--html", str(path))
    text = path.read_text(encoding="utf-8")
    assert f'<p class="headline"><strong class="improved">improved</strong>: <code>{name}</code> {told}</p>' in text


def test_a_page_says_whether_a_gate_was_asked_for(desk: Desk, tmp_path: Path) -> None:
    worse(desk)
    path = tmp_path / "report.html"
    desk("report", "--html", str(path))
    assert "A gate would say no: acc regressed" in path.read_text(encoding="utf-8")
    desk("report", "--html", str(path), "--gate", code=4)
    assert "The gate says no: acc regressed" in path.read_text(encoding="utf-8")


def test_the_gate_speaks_once_and_only_where_it_was_asked(desk: Desk) -> None:
    worse(desk)
    alone = desk("report")
    assert alone.stdout.count("a gate would say no: acc regressed") == 1
    assert "the gate says no" not in alone.stdout + alone.stderr
    asked = desk("report", "--gate", code=4)
    assert (asked.stdout + asked.stderr).count("say") == asked.stderr.count("the gate says no: acc regressed") == 1
