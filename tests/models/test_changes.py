"""What people do with models, and what is said to them when it cannot be done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from gittrack.errors import InvalidName, UnknownModel, UsageError
from gittrack.models.registrar import Share
from tests.models.conftest import Shop, become


def stages(shop: Shop) -> dict[str, list[str]]:
    found: dict[str, list[str]] = shop.json("model", "show", "digits")["stages"]
    return found


# --- versions


def test_versions_count_up_unless_somebody_says_otherwise(shop: Shop) -> None:
    for name in "abcdef":
        shop.trained(name)
    said = [
        shop.json("model", "register", "digits", name, *options)["version"]
        for name, options in {
            "a": (),
            "b": ("--version", "2.1.0"),
            "c": ("--bump", "minor"),
            "d": ("--bump", "patch"),
            "e": ("--version", "v9.0.0-rc.1"),
            "f": (),
        }.items()
    ]
    assert said == ["v1.0.0", "v2.1.0", "v2.2.0", "v2.2.1", "v9.0.0-rc.1", "v10.0.0"]
    assert shop.project.models.version("digits@latest").version == "v10.0.0"
    assert "choose one of" in shop.error(
        "model", "register", "digits", "a", "--version", "1", "--bump", "patch", code=2
    )
    for wrong in ("1.2.3.4", "latest", "v01"):
        assert "is no version" in shop.error("model", "register", "digits", "a", "--version", wrong, code=2)


def test_what_was_said_stays_with_the_version(shop: Shop) -> None:
    shop.trained("net", {"acc": 0.9})
    shop(
        "model", "register", "digits", "net", "-m", "Why\n\nGittrack-Registry: {}", "-t", "team=vision", "--tag", "n=1"
    )
    found = shop.project.models.version("digits")
    assert found.description == "Why\n\n Gittrack-Registry: {}"
    assert found.tags == {"team": "vision", "n": "1"}
    assert (found.author, found.metrics["acc"], found.run.name) == ("Test Author <author@example.org>", 0.9, "net")
    assert shop.repo.git("tag", "-n", "--list", "digits@*").split() == [
        "digits@v1.0.0",
        "digits",
        "v1:",
        "registered,",
        "run",
        "net",
    ]


def test_a_version_never_changes(shop: Shop) -> None:
    shop.registered("net", "other")
    said = shop.error("model", "register", "digits", "other", "--version", "1", code=2)
    assert "digits has v1 already (Test Author, " in said
    assert "a version never changes; the next is v3" in said
    assert "is digits@v1 already" in shop.error("model", "register", "digits", "net", code=2)
    assert shop.json("model", "register", "digits", "net", "--version", "1.0.1")["version"] == "v1.0.1"


def test_a_run_that_can_be_no_model(shop: Shop) -> None:
    shop.trained("crashed", status="failed")
    assert "did not finish (it failed)" in shop.error("model", "register", "digits", "crashed", code=2)
    shop.trained("stopped", status="killed")
    assert "did not finish (it was killed)" in shop.error("model", "register", "digits", "stopped", code=2)
    shop.trained("gone")
    shop("rm", "gone")
    assert "is deleted; 'gittrack restore" in shop.error("model", "register", "digits", "gone", code=1)
    shop.run("empty")
    assert "has no artifact" in shop.error("model", "register", "digits", "empty", code=2)
    assert "there is no run 'none'" in shop.error("model", "register", "digits", "none", code=1)
    with shop.project.start_run("busy", console=False):
        assert "is still active" in shop.error("model", "register", "digits", "busy", code=2)
    assert shop.project.models.read().models == {}


def test_which_artifact_is_meant(shop: Shop, tmp_path: Path) -> None:
    with shop.project.start_run("two", console=False) as run:
        for name in ("a", "b"):
            (tmp_path / name).write_text(name)
            run.log_artifact(tmp_path / name, name=name)
    said = shop.error("model", "register", "digits", "two", code=1)
    assert "has 2 artifacts; say which one is the model with --artifact" in said
    assert "has no artifact 'c'; it has a, b" in shop.error(
        "model", "register", "digits", "two", "--artifact", "c", code=1
    )
    shop("model", "register", "digits", "two", "--artifact", "b")
    assert shop.project.models.version("digits").path().read_text() == "b"
    # One of the model's own name needs no word.
    shop("model", "register", "a", "two")
    assert shop.project.models.version("a").commit == shop.project.get_run("two").commit


def test_under_another_name_the_tag_is_on_a_commit_on_top(shop: Shop) -> None:
    shop.repo.write("dvc.yaml", "stages:\n  prepare:\n    cmd: echo  # ours\n")
    shop.repo.commit()
    shop.trained("net", artifact="weights")
    shop("model", "register", "digits", "net")
    run, found = shop.project.get_run("net"), shop.project.models.version("digits")
    assert shop.repo.git("rev-parse", "digits@v1.0.0^{commit}^") == run.commit
    assert shop.repo.git("diff", "--name-only", str(run.commit), found.commit) == "dvc.yaml"
    text = shop.repo.git("show", f"{found.commit}:dvc.yaml")
    assert "# ours" in text
    assert yaml.safe_load(text)["artifacts"]["digits"]["path"] == ".gittrack/artifacts/model.bin"
    assert found.run.id == run.id
    assert shop("model", "verify", "digits@v1").exit_code == 0


def test_bytes_that_nobody_has_make_no_version(shop: Shop) -> None:
    shop("init")
    shop.repo.commit()
    shop.trained("net", data=b"x" * 100_000)
    made = shop.project.get_run("net").artifact("digits")
    for path in shop.repo.path.rglob(made.md5[2:]):
        path.unlink()
    said = shop.error("model", "register", "digits", "net", code=1)
    assert "the bytes of digits of run net are not here, and" in said


def test_a_folder_and_what_was_added_later_become_versions(shop: Shop, tmp_path: Path) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    for name in ("config", "weights"):
        (folder / name).write_text(name)
    with shop.project.start_run("folder", console=False) as run:
        run.log_artifact(folder, name="net", kind="model")
    shop("model", "register", "digits", "folder")
    shop("model", "get", "digits@v1", "-o", str(tmp_path / "out"))
    assert (tmp_path / "out" / "net" / "weights").read_text() == "weights"
    shop.run("bare")
    (tmp_path / "late.bin").write_text("late")
    shop("artifact", "add", "bare", str(tmp_path / "late.bin"))
    shop("model", "register", "digits", "bare")
    assert shop.project.models.version("digits@v2").path().read_text() == "late"
    for version in ("v1", "v2"):
        shop("model", "verify", f"digits@{version}")


def test_one_run_can_be_a_version_of_several_models(shop: Shop) -> None:
    shop.trained("net", artifact="weights")
    for name in ("digits/small", "digits", "small-digits"):
        shop("model", "register", name, "net")
        assert shop("model", "verify", f"{name}@v1").exit_code == 0
    shop("promote", "digits/small@v1", "production")
    stood = {one["name"]: one["stages"] for one in shop.json("model", "ls")}
    assert stood == {"digits/small": {"production": ["v1.0.0"]}, "digits": {}, "small-digits": {}}


def test_a_pipeline_that_is_no_yaml_stands_in_nobodys_way(shop: Shop) -> None:
    shop.repo.write("dvc.yaml", "stages: [\n")
    shop.repo.commit()
    shop.trained("net", artifact="weights")
    shop("model", "register", "digits", "net")
    assert shop.repo.git("show", "digits@v1.0.0^{commit}:dvc.yaml") == "stages: ["
    shop("model", "verify", "digits@v1")


@pytest.mark.parametrize("name", ["", "my model", "a.b", "-a", "a@v1", "a//b", "ä", "x" * 101, "a#b"])
def test_names_that_git_or_gto_would_not_take(shop: Shop, name: str) -> None:
    shop.trained("net")
    with pytest.raises(InvalidName, match="cannot name a model"):
        shop.project.models.registrar.register(name, shop.project.get_run("net"))


# --- stages


def test_who_holds_a_stage_makes_room(shop: Shop) -> None:
    shop.registered("one", "two", "three")
    shop("promote", "digits@v1", "staging")
    shop("promote", "digits@v1", "production")
    assert stages(shop) == {"production": ["v1.0.0"]}
    shop("promote", "digits@v2", "production")
    shop("promote", "digits@v3", "staging")
    assert stages(shop) == {"production": ["v2.0.0"], "staging": ["v3.0.0"]}
    shop("promote", "digits@v3", "production", "--keep")
    assert stages(shop) == {"staging": ["v3.0.0"], "production": ["v3.0.0"]}
    assert "is in production already" in shop.error("promote", "digits@v3", "production", code=2)
    shop("model", "promote", "digits@production", "none")
    assert stages(shop) == {}
    assert "is in no stage; nothing is to be done" in shop.error("promote", "digits@v3", "none", code=2)


def test_several_holders_and_an_archive(shop: Shop) -> None:
    shop.settings("registry: {stages: {production: {archive: true}, shadow: {holders: 2}}}")
    shop.registered("one", "two", "three")
    for version in ("v1", "v2", "v3"):
        shop("promote", f"digits@{version}", "shadow")
    assert stages(shop) == {"shadow": ["v2.0.0", "v3.0.0"]}
    assert "2 versions of digits are in shadow (v2, v3); say which one" in shop.error(
        "model", "get", "digits@shadow", code=1
    )
    for version in ("v1", "v2", "v3"):
        shop("promote", f"digits@{version}", "production")
    assert stages(shop) == {"production": ["v3.0.0"], "archived": ["v1.0.0", "v2.0.0"]}
    shop("model", "rollback", "digits", "production")
    assert stages(shop) == {"production": ["v2.0.0"], "archived": ["v1.0.0"]}


def test_demotion(shop: Shop) -> None:
    shop.registered("one")
    assert "is in no stage" in shop.error("model", "demote", "digits@v1", code=2)
    shop("promote", "digits@v1", "staging")
    shop("promote", "digits@v1", "production", "--keep")
    assert "is not in archived; it is in staging, production" in shop.error(
        "model", "demote", "digits@v1", "archived", code=2
    )
    shop("model", "demote", "digits@production")
    assert stages(shop) == {"staging": ["v1.0.0"]}
    shop("model", "demote", "digits@v1", "-m", "Too slow")
    assert stages(shop) == {}
    assert shop.json("model", "history", "digits")[0]["message"] == "Too slow"


def test_rolling_back_again_goes_further_back(shop: Shop) -> None:
    shop.registered("one", "two", "three")
    assert "nobody was in production of digits before" in shop.error(
        "model", "rollback", "digits", "production", code=2
    )
    for version in ("v1", "v2", "v3"):
        shop("promote", f"digits@{version}", "production")
    for left in ("v2.0.0", "v1.0.0"):
        shop("model", "rollback", "digits", "production")
        assert stages(shop) == {"production": [left]}
    assert shop("model", "rollback", "digits", "production", code=2).stdout == ""


def test_rolling_back_twice_where_the_displaced_are_archived(shop: Shop) -> None:
    shop.settings("registry: {stages: {production: {archive: true}}}")
    shop.registered("one", "two", "three")
    for version in ("v1", "v2", "v3"):
        shop("promote", f"digits@{version}", "production")
    assert shop.out("model", "rollback", "digits", "production", "-m", "Too slow").splitlines() == [
        "digits v3 leaves production",
        "digits v2 leaves archived",
        "digits v2 -> production (rolled back)",
    ]
    shop("model", "rollback", "digits", "production")
    assert stages(shop) == {"production": ["v1.0.0"]}
    shop("model", "verify", "digits@production")


def test_a_rollback_passes_over_the_deprecated_and_fills_an_empty_stage(shop: Shop) -> None:
    shop.registered("one", "two", "three")
    for version in ("v1", "v2", "v3"):
        shop("promote", f"digits@{version}", "production")
    shop("model", "deprecate", "digits@v2")
    shop("model", "rollback", "digits", "production")
    assert stages(shop) == {"production": ["v1.0.0"]}
    shop("model", "demote", "digits@production")
    shop("model", "rollback", "digits", "production")
    assert stages(shop) == {"production": ["v1.0.0"]}


def test_only_if_it_is_as_expected(shop: Shop) -> None:
    shop.registered("one", "two")
    shop("promote", "digits@v1", "production", "--expect", "none")
    said = shop.error("promote", "digits@v2", "production", "--expect", "none", code=1)
    assert "v1 is in production of digits (Test Author, " in said
    assert "'banana' is no version" in shop.error("promote", "digits@v2", "production", "--expect", "banana", code=2)
    shop("promote", "digits@v2", "production", "--expect", "v1")
    assert "v2 is in production" in shop.error("model", "rollback", "digits", "production", "--expect", "1.0.0", code=1)
    shop("model", "rollback", "digits", "production", "--expect", "v2")
    assert stages(shop) == {"production": ["v1.0.0"]}


# --- aliases and ends


def test_aliases_move(shop: Shop) -> None:
    shop.registered("one", "two")
    shop("model", "alias", "set", "digits@v1", "champion")
    shop("model", "alias", "set", "digits@latest", "champion")
    assert shop.json("model", "show", "digits")["aliases"] == {"champion": "v2.0.0"}
    assert "is champion already" in shop.error("model", "alias", "set", "digits@v2", "champion", code=2)
    assert "is a stage" in shop.error("model", "alias", "set", "digits@v2", "staging", code=2)
    assert "means something else already" in shop.error("model", "alias", "set", "digits@v2", "v7", code=2)
    shop("promote", "digits@champion", "staging")
    assert stages(shop) == {"staging": ["v2.0.0"]}
    assert "did you mean champion" in shop.error("model", "alias", "rm", "digits", "champ", code=1)
    shop("model", "alias", "rm", "digits", "champion")
    assert "has no version, stage or alias 'champion'" in shop.error("model", "show", "digits@champion", code=1)


def test_nobody_approves_what_they_made_and_nobody_twice(shop: Shop) -> None:
    become(shop.repo, "Jane")
    shop.trained("net")
    become(shop.repo, "Joe")
    shop("model", "register", "digits", "net")
    own = "and nobody approves their own work; ask somebody else"
    assert f"joe@example.org registered digits@v1, {own}" in shop.error("model", "approve", "digits@v1", code=2)
    become(shop.repo, "Jane")
    assert f"jane@example.org made the run of digits@v1, {own}" in shop.error("model", "approve", "digits@v1", code=2)
    become(shop.repo, "Kim")
    assert "did you mean staging" in shop.error("model", "approve", "digits@v1", "--stage", "stagin", code=1)
    shop("model", "approve", "digits@v1", "--stage", "staging")
    shop("model", "approve", "digits@v1")
    assert "kim@example.org has approved digits@v1 already" in shop.error(
        "model", "approve", "digits@v1", "--stage", "production", code=2
    )
    approved = shop.json("model", "show", "digits@v1")["approvals"]
    assert approved == [{"author": "Kim <kim@example.org>", "stage": one} for one in ("staging", None)]


def test_what_is_deprecated_is_taken_by_no_stage(shop: Shop) -> None:
    shop.registered("one", "two")
    shop("promote", "digits@v1", "staging")
    assert "'gittrack model demote digits@v1' comes first" in shop.error("model", "deprecate", "digits@v1", code=2)
    assert "is still in use (staging: v1)" in shop.error("model", "deprecate", "digits", code=2)
    shop("model", "demote", "digits@v1")
    shop("model", "deprecate", "digits@v1", "-m", "Leaks the label")
    assert "is deprecated (Test Author, " in shop.error("promote", "digits@v1", "staging", code=2)
    assert "deprecated by Test Author" in shop.out("model", "show", "digits@v1")
    shop("model", "deprecate", "digits")
    assert "model digits is deprecated" in shop.error("promote", "digits@v2", "staging", code=2)
    assert "deprecated as a whole" in shop.error("model", "register", "digits", "one", "--version", "7", code=2)
    assert shop.project.models.version("digits@v2").deprecated


def test_what_has_ended_ends_once_and_may_lie_in_the_archive(shop: Shop) -> None:
    shop.registered("one", "two")
    shop("promote", "digits@v1", "archived")
    shop("model", "deprecate", "digits@v1", "-m", "Too old")
    assert "digits@v1 is deprecated (Test Author, " in shop.error("model", "deprecate", "digits@v1", code=2)
    assert shop.project.models.version("digits@latest").version == "v2.0.0"
    shop("model", "deprecate", "digits")
    assert "model digits is deprecated already (Test Author, " in shop.error("model", "deprecate", "digits", code=2)
    assert "digits is deprecated as a whole" in shop("model", "show", "digits").stderr
    # It can still be looked at.
    shop("model", "verify", "digits@v1")


def test_a_clock_that_runs_backwards_changes_no_order(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.registered("one", "two")
    shop("promote", "digits@v1", "production")
    # The clock of this machine, set back by years: nothing else of the product is replaced.
    monkeypatch.setattr("gittrack.capture.identity.time.time", lambda: 1_000_000_000.0)
    shop("promote", "digits@v2", "production")
    events = shop.json("model", "history", "digits")
    assert stages(shop) == {"production": ["v2.0.0"]}
    assert [one["number"] for one in events] == [5, 4, 3, 2, 1]
    assert sorted((one["time"] for one in events), reverse=True) == [one["time"] for one in events]
    assert len({one["time"] for one in events}) == 5


# --- looking


def test_a_version_is_a_run_wherever_runs_are_named(shop: Shop) -> None:
    for name, rate in {"one": 0.1, "two": 0.2}.items():
        shop.trained(name, {"acc": rate}, params={"lr": rate})
        shop("model", "register", "digits", name)
    shop("promote", "digits@v1", "production")
    assert shop.out("show", "digits@v2", "metrics.acc") == "0.2\n"
    assert shop.json("show", "digits@production")["name"] == "one"
    assert shop.json("diff", "digits@v1", "digits@v2") == shop.json("diff", "one", "two")
    assert "model digits has no version v9; it has v1, v2" in shop.error("diff", "digits@v1", "digits@v9", code=1)
    assert "there is no run 'digit@v1'" in shop.error("show", "digit@v1", code=1)


def test_what_is_not_there_is_answered_with_what_is(shop: Shop) -> None:
    assert "register one first" in shop.error("model", "show", "digits", code=1)
    assert "there is no model yet" in shop("model", "ls").stderr
    shop.registered("one")
    assert "there is no model 'digit'; did you mean 'digits'?" in shop.error("model", "show", "digit", code=1)
    assert "digits has no version v7; it has v1" in shop.error("promote", "digits@v7", "staging", code=1)
    assert "did you mean staging" in shop.error("promote", "digits@v1", "stagin", code=1)
    assert "names a model and no version" in shop.error("promote", "digits", "staging", code=2)
    assert "names no model" in shop.error("model", "get", "@v1", code=2)
    assert "choose one of --no-push and --remote" in shop.error(
        "promote", "digits@v1", "staging", "--no-push", "--remote", "origin", code=2
    )


def test_every_json_can_be_read(shop: Shop, tmp_path: Path) -> None:
    shop.registered("one", "two", metrics=[0.5, float("nan")])
    done = shop.json("promote", "digits@v1", "production", "-m", "Why")
    assert (done["version"], done["remote"], done["dry_run"]) == ("v1.0.0", None, False)
    assert [one["tag"] for one in done["events"]] == ["digits#production#3"]
    listed = shop.json("model", "ls")
    assert listed == [done["model"]] == [shop.json("model", "show", "digits")]
    assert set(listed[0]["versions"][0]) >= {
        "version", "run", "commit", "stages", "aliases", "registered", "author", "description", "tags",
    }  # fmt: skip
    shown = shop.json("model", "show", "digits@v2")
    assert shown["metrics"] == {"acc": "nan"} or shown["metrics"] == {"acc": None}
    assert [one["action"] for one in shown["history"]] == ["register"]
    got = shop.json("model", "get", "digits@production", "-o", str(tmp_path / "out"))
    assert got["files"] == [str(tmp_path / "out" / "model.bin")]
    assert Path(got["files"][0]).read_bytes() == b"one"
    stood = shop.json("model", "history", "digits", "--at", "2100-01-01")
    assert [one["version"] for one in stood["stages"]["production"]] == ["v1.0.0"]
    assert stood["stages"]["production"][0]["since"]["message"] == "Why"
    assert shop.json("model", "history", "digits", "--at", "2001-01-01")["versions"] == []
    diff = shop.json("model", "diff", "digits@v1", "digits@v2")
    assert {one["key"] for one in diff["metrics"]} == {"acc"}


def test_tables_and_the_card(shop: Shop, tmp_path: Path) -> None:
    shop.settings("registry: {models: {digits: {description: Reads | digits, limitations: Only small ones}}}")
    shop.registered("one", "two", metrics=[0.5, 0.75])
    shop("promote", "digits@v1", "production")
    assert "digits,v2,2,production v1" in shop.out("model", "ls", "--csv")
    assert shop.out("model", "show", "digits", "--md").count("\n") == 4
    assert len(shop.out("model", "history", "digits", "-n", "1").splitlines()) == 2
    assert "production: v1, since" in shop.out("model", "history", "digits", "--at", "2100-01-01")
    card = shop.out("model", "card", "digits@v1")
    assert card.startswith("# digits v1\n\nReads | digits\n")
    for words in (
        "## Limitations\n\nOnly small ones",
        "| `acc` | 0.5 |",
        "production",
        "gittrack model verify digits@v1",
    ):
        assert words in card
    shop("model", "card", "digits@v1", "-o", str(tmp_path / "card.md"))
    assert (tmp_path / "card.md").read_text() == card


def test_in_python_a_version_is_a_value_that_leads_on(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    import pickle

    import gittrack

    shop.trained("net", {"acc": 0.5}, data=pickle.dumps({"w": [1, 2]}), params={"lr": 0.1})
    shop("model", "register", "digits", "net")
    model = gittrack.model("digits")
    assert model.load() == {"w": [1, 2]}
    assert (model.version, model.stages, model.params["lr"]) == ("v1.0.0", (), 0.1)
    here: dict[str, Any] = {"share": Share(push=False)}
    assert model.promote("staging", **here).stages == ("staging",)
    assert model.stages == ()
    assert gittrack.model("digits@staging").set_alias("champion", **here).aliases == ("champion",)
    assert gittrack.model("digits@champion").demote(**here).stages == ()
    with pytest.raises(UnknownModel):
        gittrack.model("digits@staging")
    with pytest.raises(UsageError, match="nobody approves their own work"):
        model.approve(**here)
    assert model.deprecate(**here).deprecated
    assert json.dumps(model.signature) == "{}"
