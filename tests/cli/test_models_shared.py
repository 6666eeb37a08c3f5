"""Models travel with runs, and what cannot be trusted is named by `fsck`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gittrack.data.gc import registered_runs
from gittrack.project import Project
from tests.cli.conftest import Desk
from tests.helpers import Repo


@pytest.fixture
def team(desk: Desk, tmp_path: Path) -> tuple[Desk, Repo]:
    """A person with two registered versions that nobody else has, and a second clone."""
    for number in (1, 2):
        made = tmp_path / "model.bin"
        made.write_bytes(b"weights %d" % number)
        with Project.open(desk.repo.path).start_run(f"net-{number}", console=False) as run:
            run.log_artifact(made, name="digits", kind="model")
    desk.repo.git("init", "--quiet", "--bare", str(tmp_path / "host.git"))
    desk.repo.git("remote", "add", "origin", str(tmp_path / "host.git"))
    desk.repo.git("push", "--quiet", "origin", "HEAD:refs/heads/main")
    for number in (1, 2):
        desk("model", "register", "digits", f"net-{number}", "--no-push")
    desk.repo.git("clone", "--quiet", str(tmp_path / "host.git"), str(tmp_path / "second"))
    return desk, Repo(tmp_path / "second")


def stages(repo: Repo) -> dict[str, list[str]]:
    found: dict[str, list[str]] = repo.gittrack_json("model", "show", "digits")["stages"]
    return found


def test_push_and_fetch_carry_what_happened(team: tuple[Desk, Repo]) -> None:
    desk, second = team
    desk("promote", "digits@v1", "production", "--no-push")
    assert desk.repo.git("ls-remote", "origin", "refs/tags/*") == ""
    pushed = desk.json("push")
    assert [(one["number"], one["action"]) for one in pushed["models"]] == [
        (1, "register"), (2, "register"), (3, "assign"),
    ]  # fmt: skip
    assert desk.json("push")["models"] == []
    said = second.gittrack("fetch").stdout
    assert "digits v2: registered, run net-2\ndigits v1 -> production\n" in said
    assert stages(second) == {"production": ["v1.0.0"]}
    assert second.gittrack("model", "verify", "digits@production").returncode == 0
    assert json.loads(second.gittrack("fetch", "--json").stdout)["models"] == []


def test_who_was_slower_is_told_and_can_go_on(team: tuple[Desk, Repo]) -> None:
    desk, second = team
    desk("push")
    second.gittrack("fetch")
    second.gittrack("promote", "digits@v1", "staging", "--no-push")
    desk("promote", "digits@v2", "staging")
    late = second.gittrack("push", check=False)
    assert late.returncode == 1
    assert "digits v1 -> staging: not in force, for somebody else changed digits first" in late.stderr
    aside = second.gittrack("fetch", "--json", check=False)
    assert aside.returncode == 1
    assert [one["place"] for one in json.loads(aside.stdout)["lost"]] == ["staging"]
    assert stages(second) == {"staging": ["v2.0.0"]}
    second.gittrack("promote", "digits@v1", "staging", "--expect", "v2")
    desk("fetch")
    assert stages(desk.repo) == stages(second) == {"staging": ["v1.0.0"]}
    assert second.gittrack("fsck").returncode == 0


def test_fsck_names_what_is_not_to_be_trusted_and_puts_tags_back(team: tuple[Desk, Repo]) -> None:
    desk, _ = team
    desk.repo.git("tag", "somebody-else@v1.0.0")
    assert "lightweight tag" in desk("fsck").stdout
    assert "not to be trusted" not in desk("model", "ls").stderr
    desk.repo.git("tag", "--delete", "digits@v2.0.0")
    assert "the tag of event 2 of digits is gone" in desk("fsck", code=4).stdout
    assert "1 ref of models is not to be trusted" in desk("model", "ls").stderr
    assert "put 1 tag of models back" in desk("fsck", "--repair").stderr
    desk.repo.git("tag", "--force", "digits#production#3", "HEAD")
    problems = desk("fsck", "--json", code=4).stdout
    assert [one["where"] for one in json.loads(problems) if not one["harmless"]] == ["refs/tags/digits#production#3"]
    assert stages(desk.repo) == {}


def test_a_registered_run_keeps_its_bytes(team: tuple[Desk, Repo], tmp_path: Path) -> None:
    desk, _ = team
    # Under another name than the artifact's, so that the tag is on a commit on top of the run's.
    desk("model", "register", "numbers", "net-1", "--no-push")
    project = Project.open(desk.repo.path)
    found = project.models.version("numbers@v1")
    assert found.commit != found.run.commit
    assert registered_runs(project.repo) == {project.get_run("net-1").id, project.get_run("net-2").id}


def test_a_version_is_a_run_and_an_artifact_by_name(team: tuple[Desk, Repo], tmp_path: Path) -> None:
    desk, _ = team
    assert desk.out("show", "digits@v2", "name").strip() == "net-2"
    assert "net-1" in desk.out("diff", "digits@v1", "digits@latest")
    project = Project.open(desk.repo.path)
    assert project.artifact("digits@v1").read_bytes() == b"weights 1"
    assert project.artifact("digits@net-2").read_bytes() == b"weights 2"
    assert "has no version v9; it has v1, v2" in desk.error("show", "digits@v9", code=1)
    with project.start_run("user", console=False) as run:
        assert Path(run.use("digits@v1")).read_bytes() == b"weights 1"
    assert project.get_run("net-1").commit in desk.repo.git("log", "--format=%P", "-1", str(run.commit)).split()
