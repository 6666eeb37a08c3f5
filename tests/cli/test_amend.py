from __future__ import annotations

from tests.cli.conftest import Desk


def test_run_tags(three: Desk) -> None:
    assert three.out("tag", "slow") == "kind=cv\n"
    assert three.out("tag", "slow", "stage=a=b", "by=me") == "by=me\nkind=cv\nstage=a=b\n"
    assert three.out("tag", "slow", "-d", "by", "-d", "kind") == "stage=a=b\n"
    assert three.json("tag", "slow", "x=1")["tags"] == {"stage": "a=b", "x": "1"}
    assert "has no run tag 'nope'" in three.error("tag", "slow", "-d", "nope", code=2)
    assert "'nope' is not KEY=VALUE" in three.error("tag", "slow", "nope", code=2)


def test_describing_and_renaming(three: Desk) -> None:
    three("describe", "slow", "-m", "Too slow.")
    assert three.json("show", "slow")["description"] == "Too slow."
    assert three.out("describe", "slow", "--name", "snail").startswith("described digits/snail (")
    assert three.json("show", "snail")["description"] == "Too slow."
    three("describe", "snail", "-m", "")
    assert three.json("show", "snail")["description"] == ""
    assert "-m TEXT or --name NEW" in three.error("describe", "snail", code=2)
    assert "cannot name a run" in three.error("describe", "snail", "--name", "@", code=2)


def test_deleting_and_restoring(three: Desk) -> None:
    run = three.json("show", "slow")
    said = three.out("rm", "slow", "broken", "slow")
    assert len(said.splitlines()) == 2
    assert f"'gittrack restore {run['id'][:8]}' brings it back" in said
    assert [one["name"] for one in three.json("ls")] == ["fast"]
    assert [one["name"] for one in three.json("ls", "--deleted")] == ["broken", "slow"]
    assert "is deleted already" in three.error("rm", run["id"], code=2)
    three("restore", "slow")
    assert [one["name"] for one in three.json("ls")] == ["fast", "slow"]
    assert "is not deleted" in three.error("restore", "slow", code=2)


def test_one_wrong_name_changes_nothing(three: Desk) -> None:
    three.error("rm", "slow", "nope", code=1)
    assert len(three.json("ls")) == 3


def test_nothing_of_the_user_is_touched(three: Desk) -> None:
    before = three.repo.status_fingerprint()
    three("tag", "slow", "a=b")
    three("describe", "slow", "-m", "x")
    three("rm", "slow")
    three("restore", "slow")
    assert three.repo.status_fingerprint() == before


def test_an_active_run_is_not_changed(desk: Desk) -> None:
    from gittrack.project import Project

    active = Project.open().start_run("now", console=False)
    assert "not recorded yet" in desk.error("tag", "now", "a=b", code=1)
    active.finish()
