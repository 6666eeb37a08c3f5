from __future__ import annotations

from gittrack.settings import SETTINGS_FILE
from tests.cli.conftest import Desk


def test_init_says_what_it_did_and_keeps_what_is_there(desk: Desk) -> None:
    first = desk.out("init")
    assert f"wrote {SETTINGS_FILE}" in first
    assert desk.out("ls") == ""
    desk.repo.write(SETTINGS_FILE, "experiment: mine\n")
    assert "stays as it is" in desk.out("init")
    assert (desk.repo.path / SETTINGS_FILE).read_text() == "experiment: mine\n"


def test_doctor(three: Desk) -> None:
    assert "ok" in three.out("doctor")
    assert {one["name"] for one in three.json("doctor")} >= {"git", "HEAD", "worktree"}
    three.repo.git("checkout", "--quiet", "--orphan", "empty")
    result = three("doctor", code=1)
    assert "wrong" in result.stdout
    assert "-> " in result.stdout


def test_fsck(three: Desk) -> None:
    assert three.out("fsck") == "3 runs, nothing is damaged\n"
    assert three.json("fsck") == []


def test_fsck_finds_damage(three: Desk) -> None:
    run = three.json("show", "slow")
    tree = three.repo.git("rev-parse", f"{run['commit']}:.gittrack")
    (three.repo.path / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    result = three("fsck", code=4)
    assert run["id"] in result.stdout or run["commit"][:8] in result.stdout
    assert three("fsck", "--json", code=4).stdout.startswith("[\n")
