"""`gittrack model` as programs and people read it: JSON of every command, tables, sentences, exit codes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.models.conftest import Shop, become

CHANGED = {"model", "version", "events", "checks", "remote", "dry_run"}
MODEL = {"name", "versions", "stages", "aliases", "deprecated", "events"}
VERSION = {
    "version", "run", "commit", "stages", "aliases", "registered", "author", "description", "tags", "deprecated", "approvals",
    "artifact", "signature",
}  # fmt: skip
EVENT = {
    "number", "action", "version", "place", "time", "author", "message", "run", "commit", "tag", "object", "signed", "operation",
    "details",
}  # fmt: skip


def changed(shop: Shop, *command: str) -> list[tuple[int, str, str | None, str | None]]:
    """The events of a command that changes something, of which every part is there."""
    done = shop.json(*command)
    assert set(done) == CHANGED
    assert set(done["model"]) == MODEL
    assert {frozenset(one) for one in done["model"]["versions"]} == {frozenset(VERSION)}
    assert all(set(one) == EVENT for one in done["events"])
    assert {one["operation"] for one in done["events"]} == {done["events"][0]["number"]}
    assert (done["remote"], done["dry_run"]) == (None, False)
    return [(one["number"], one["action"], one["version"], one["place"]) for one in done["events"]]


def test_what_every_change_tells_a_program(shop: Shop) -> None:
    for name in ("one", "two"):
        shop.trained(name)
    one, two = "v1.0.0", "v2.0.0"
    assert changed(shop, "model", "register", "digits", "one") == [(1, "register", one, None)]
    assert changed(shop, "model", "register", "digits", "two") == [(2, "register", two, None)]
    assert changed(shop, "promote", "digits@v1", "production") == [(3, "assign", one, "production")]
    assert changed(shop, "model", "promote", "digits@v2", "production") == [
        (4, "unassign", one, "production"),
        (5, "assign", two, "production"),
    ]
    assert changed(shop, "model", "rollback", "digits", "production") == [
        (6, "unassign", two, "production"),
        (7, "assign", one, "production"),
    ]
    assert changed(shop, "model", "demote", "digits@v1") == [(8, "unassign", one, "production")]
    assert changed(shop, "model", "alias", "set", "digits@v1", "champion") == [(9, "alias", one, "champion")]
    assert changed(shop, "model", "alias", "rm", "digits", "champion") == [(10, "unalias", one, "champion")]
    become(shop.repo, "Joe")
    assert changed(shop, "model", "approve", "digits@v1", "--stage", "staging") == [(11, "approve", one, "staging")]
    assert changed(shop, "model", "deprecate", "digits@v1") == [(12, "deprecate", one, None)]
    assert changed(shop, "model", "deprecate", "digits") == [(13, "retire", None, None)]
    listed = shop.json("model", "history", "digits")
    assert [each["number"] for each in listed] == [*range(13, 0, -1)]
    assert listed[:2] == shop.json("model", "history", "digits", "--limit", "2")
    assert shop.json("model", "ls") == [shop.json("model", "show", "digits")]


def test_what_looking_tells_a_program(shop: Shop, tmp_path: Path) -> None:
    assert shop.json("model", "ls") == []
    run = shop.trained("net", {"acc": 0.5}, params={"lr": 0.1})
    shop.repo.write("signature.yaml", "inputs: [{name: pixels, dtype: float64}]\n")
    shop("model", "register", "digits", "net", "-m", "Why", "-t", "team=vision", "--signature", "signature.yaml")
    assert shop.json("model", "show", "digits@v1")["signature"] == {"inputs": [{"name": "pixels", "dtype": "float64"}]}
    shown = shop.json("model", "show", "digits@v1")
    assert set(shown) == VERSION | {"name", "metrics", "run_details", "inputs", "history"}
    assert (shown["run"], shown["run_details"]["id"], shown["description"]) == (run, run, "Why")
    assert (shown["tags"], shown["metrics"], shown["run_details"]["params"]) == (
        {"team": "vision"},
        {"acc": 0.5},
        {"lr": 0.1},
    )
    assert shown["artifact"] == {
        "path": "model.bin",
        "size": 3,
        "md5": "40fa73c9d0083043c6576dd2b40511e4",
        "kind": "model",
        "name": "digits",
    }
    got = shop.json("model", "get", "digits@v1", "-o", str(tmp_path / "out"))
    assert set(got) == {"model", "version", "md5", "size", "run", "files"}
    checked = shop.json("model", "verify", "digits@v1")
    assert set(checked) == {"model", "version", "ok", "links"}
    assert all(set(one) == {"link", "ok", "said"} for one in checked["links"])


def test_a_dry_run_tells_a_program_and_its_exit_code(shop: Shop) -> None:
    shop.policy("[acc >= 0.9]")
    shop.registered("good", "bad", metrics=[0.95, 0.5])
    tried = shop.json("promote", "digits@v1", "production", "--dry-run")
    assert (tried["dry_run"], tried["events"]) == (True, [])
    assert tried["checks"] == [{"rule": "acc >= 0.9", "ok": True, "said": "acc is 0.95"}]
    assert '"ok": false' in shop("promote", "digits@v2", "production", "--dry-run", "--json", code=4).stdout
    shop("promote", "digits@v1", "staging")
    assert shop.out("promote", "digits@v1", "none", "--dry-run") == "digits@v1 would leave every stage\n"
    assert shop.json("model", "show", "digits")["stages"] == {"staging": ["v1.0.0"]}


def test_how_it_stood(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1_772_366_400.0]
    # So that what was true on a day can be asked for without waiting for days.
    monkeypatch.setattr("gittrack.capture.identity.time.time", lambda: clock[0])
    shop.trained("net", {"acc": 0.5})

    def later(*command: str) -> None:
        clock[0] += 86_400
        shop(*command)

    later("model", "register", "digits", "net")
    later("promote", "digits@v1", "staging", "-m", "Try it")
    later("model", "alias", "set", "digits@v1", "champion")
    assert shop.out("model", "history", "digits", "--at", "2026-03-02") == (
        "digits at 2026-03-02 00:00 UTC, after 0 events\nit did not exist\n"
    )
    assert shop.out("model", "history", "digits", "--at", "2026-03-03") == (
        "digits at 2026-03-03 00:00 UTC, after 1 event\nnothing was in any stage\n"
    )
    assert shop.out("model", "history", "digits", "--at", "2026-03-04T12:30") == (
        "digits at 2026-03-04 12:30 UTC, after 3 events\n"
        "staging: v1, since 2026-03-03 12:00 UTC, by Test Author: Try it\n    acc 0.5\nchampion: v1\n"
    )
    stood = shop.json("model", "history", "digits", "--at", "2026-03-03T12:00:00")
    assert set(stood) == {"name", "at", "events", "stages", "aliases", "versions"}
    (held,) = stood["stages"]["staging"]
    assert set(held) == {"version", "run", "since", "metrics"}
    assert (held["metrics"], set(held["since"])) == ({"acc": 0.5}, EVENT)
    assert "'soon' is no time; write one as" in shop.error("model", "history", "digits", "--at", "soon", code=2)
    assert "is for the table of events" in shop.error("model", "history", "digits", "--at", "-7d", "--csv", code=2)


def test_tables_for_other_programs(shop: Shop) -> None:
    shop.registered("one", "two", metrics=[0.5, 0.123456789012])
    shop("promote", "digits@v1", "production")
    shop("model", "alias", "set", "digits@v1", "champion", "-m", "Best, so far")
    shop("model", "register", "other", "two")
    assert [line.split(",")[:5] for line in shop.out("model", "ls", "--csv").splitlines()] == [
        ["model", "latest", "versions", "stages", "aliases"],
        ["digits", "v2", "2", "production v1", "champion v1"],
        ["other", "v1", "1", "", ""],
    ]
    assert [line.split(",")[:6] for line in shop.out("model", "show", "digits", "--csv").splitlines()] == [
        ["version", "stage", "alias", "acc", "run", "registered by"],
        ["v2", "", "", "0.123456789012", "two", "Test Author"],
        ["v1", "production", "champion", "0.5", "one", "Test Author"],
    ]
    newest = shop.out("model", "history", "digits", "--csv", "-n", "1").splitlines()[1]
    assert newest.startswith("4,20")
    assert newest.endswith('Z,digits v1 is champion,Test Author,,"Best, so far"')
    shop.settings("metrics: {goals: {loss: min}}")
    assert "acc" in shop.out("model", "show", "digits"), "a goal for what no run has hides nothing"


def test_metrics_with_a_goal_come_first(shop: Shop) -> None:
    shop.trained("net", {"acc": 0.5, "loss": 0.25, "other": 1.0})
    shop.settings("metrics: {goals: {loss: min}}")
    assert shop.out("model", "register", "digits", "net") == "digits v1: registered, run net, loss 0.25\n"
    assert shop.out("model", "show", "digits", "--csv").splitlines()[0].split(",")[3:5] == ["loss", "run"]


def test_one_version_for_a_reader(shop: Shop) -> None:
    shop.trained("net", {"acc": 0.5}, params={"lr": 0.1})
    shop("model", "register", "digits", "net", "-m", "First\n\nsecond paragraph", "-t", "team=vision")
    shop("promote", "digits@v1", "production", "-m", "Go")
    shop("model", "alias", "set", "digits@v1", "champion")
    lines = shop.out("model", "show", "digits@champion").splitlines()
    assert lines[0] == "digits@v1  (production, champion)"
    for start in (
        "registered  ",
        "artifact    digits, 3 B, md5 ",
        "tag         team=vision",
        "run         default/net (",
    ):
        assert any(line.startswith(start) for line in lines), start
    assert "metric      acc 0.5" in lines
    assert "    second paragraph" in lines
    assert [line.split()[0] for line in lines if line.startswith("#")] == ["#3", "#2", "#1"]
    assert "digits v1 -> production, by Test Author: Go" in "\n".join(lines)
    said = shop.error("model", "show", "digits@v1", "--csv", code=2)
    assert "'gittrack model card digits@v1' is Markdown" in said


def test_bytes_are_brought_and_nothing_is_overwritten_unasked(shop: Shop, tmp_path: Path) -> None:
    shop.registered("net")
    there = shop.repo.write("out/model.bin", "mine")
    said = shop.error("model", "get", "digits@v1", "-o", "out", code=2)
    assert "move it away, or allow to overwrite it (--force)" in said
    assert there.read_text() == "mine"
    assert shop.out("model", "get", "digits@v1", "--output", "out", "--force").rstrip().endswith("out/model.bin")
    assert there.read_text() == "net"
    # The same bytes again are nothing to lose.
    shop("model", "get", "digits@v1", "-o", "out")
    assert "'digits' names a model and no version" in shop.error("model", "get", "digits", code=2)


def test_a_card_holds_what_is_known(shop: Shop, tmp_path: Path) -> None:
    shop.settings(
        "registry: {models: {digits: {description: Reads digits, owner: Vision team, intended_use: Cheques, "
        "limitations: No letters}}}"
    )
    shop.trained("net", {"acc": 0.5}, params={"a|b": "c|d"})
    shop("model", "register", "digits", "net", "-m", "Trained twice")
    card = shop.out("model", "card", "digits@v1")
    titles = [line for line in card.splitlines() if line.startswith("#")]
    assert titles == [
        "# digits v1", "## Intended use", "## Limitations", "## Notes", "## Metrics", "## Params", "## Data", "## Lineage",
    ]  # fmt: skip
    for words in ("| Owner | Vision team |", "in no stage", "| `a\\|b` | `c\\|d` |", "The run declared no input."):
        assert words in card
    assert "No such file or directory" in shop.error("model", "card", "digits@v1", "-o", "none/card.md", code=1)
    shop("model", "deprecate", "digits@v1")
    assert "| Stands | deprecated |" in shop.out("model", "card", "digits@v1")


WRONG: list[tuple[int, str, tuple[str, ...]]] = [
    (2, "no such command 'nope'", ("model", "nope")),
    (2, "missing argument 'RUN'", ("model", "register", "digits")),
    (2, "'huge' is not one of 'major', 'minor', 'patch'", ("model", "register", "digits", "net", "--bump", "huge")),
    (2, "'word' is not KEY=VALUE", ("model", "register", "digits", "net", "--version", "9", "-t", "word")),
    (2, "cannot name a model", ("model", "register", "my model", "net")),
    (2, "'x' is no version", ("promote", "digits@v1", "staging", "--expect", "x")),
    (2, "names a model and no version", ("model", "card", "digits")),
    (2, "names a model and no version", ("model", "diff", "digits", "digits@v1")),
    (2, "cannot be an alias", ("model", "alias", "set", "digits@v1", "latest")),
    (2, "cannot name an alias", ("model", "alias", "set", "digits@v1", "a b")),
    (1, "there is no run 'nett'", ("model", "register", "digits", "nett")),
    (1, "there is no model 'digit'; did you mean 'digits'?", ("model", "history", "digit")),
    (1, "there is no model 'digit'; did you mean 'digits'?", ("model", "rollback", "digit", "production")),
    (1, "did you mean production? (registry.stages in", ("model", "rollback", "digits", "prodction")),
    (1, "there are staging, production, archived (registry.stages in", ("promote", "digits@v1", "xyz")),
    (1, "model digits has no version v7; it has v1", ("model", "get", "digits@v7")),
    (1, "did you mean 'champion'?", ("model", "show", "digits@champ")),
    (1, "no version of digits is in staging now", ("model", "show", "digits@staging")),
    (1, "there is no git remote 'nowhere'", ("promote", "digits@v1", "staging", "--remote", "nowhere")),
    (4, "the policy does not let digits@v1 into production: acc >= 0.9: ", ("promote", "digits@v1", "production")),
]  # fmt: skip


def test_every_mistake_has_its_sentence_and_its_exit_code(shop: Shop) -> None:
    shop.policy("[acc >= 0.9]")
    shop.registered("net")
    shop("model", "alias", "set", "digits@v1", "champion")
    shop("promote", "digits@v1", "staging")
    shop("model", "demote", "digits@v1")
    before = shop.repo.git("for-each-ref")
    for code, sentence, command in WRONG:
        said = shop.error(*command, code=code)
        assert sentence in said, (command, said)
    assert shop.repo.git("for-each-ref") == before


def test_names_are_completed_with_what_may_follow(shop: Shop) -> None:
    from gittrack.cli.model import _complete

    shop.registered("net")
    shop("promote", "digits@v1", "staging")
    shop("model", "alias", "set", "digits@v1", "champion")
    nothing: Any = None
    found = [one.value for one in _complete(nothing, nothing, "dig")]
    assert found == ["digits", "digits@v1", "digits@staging", "digits@champion"]
    assert [one.value for one in _complete(nothing, nothing, "digits@s")] == ["digits@staging"]


def test_an_age_is_that_of_the_last_change(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.registered("net")
    later = time.time() + 3 * 86_400
    # Three days pass.
    monkeypatch.setattr("gittrack.cli.model_views.time.time", lambda: later)
    assert "3d ago" in shop.out("model", "ls")
