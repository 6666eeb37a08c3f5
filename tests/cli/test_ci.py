"""The files that CI and servers are given, run as they are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Desk
from tests.cli.test_report import better, change, repeats, worse
from tests.helpers import Repo
from tests.hosts.stand_in import stand_in

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("gittrack")


@pytest.mark.parametrize(("gate", "code"), [("true", 4), ("false", 0)])
def test_the_action_reports(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: str, code: int) -> None:
    worse(desk)
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    (script,) = [step["run"] for step in action["runs"]["steps"] if step["name"] == "Report"]
    (tmp_path / "gittrack" / "bin").mkdir(parents=True)
    (tmp_path / "gittrack" / "bin" / "gittrack").symlink_to(PROGRAM)
    inputs = {name: one.get("default", "") for name, one in action["inputs"].items()}
    with stand_in("github", ("Authorization", "Bearer secret")) as host:
        env = {
            **os.environ,
            "no_proxy": "127.0.0.1",
            "RUNNER_TEMP": str(tmp_path),
            "GITHUB_API_URL": host.address,
            "GITHUB_REPOSITORY": "octo/digits",
            "GITHUB_REF": "refs/pull/7/merge",
            "GITHUB_TOKEN": "secret",
            "BASE": "main",
            "EXPERIMENT": inputs["experiment"],
            "KEY": inputs["key"],
            "GATE": gate,
        }
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script],
            cwd=desk.repo.path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert "**regressed**" in host.comments[1]
        assert host.broken == []


def test_every_input_of_the_action_reaches_a_step() -> None:
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    for name in yaml.safe_load(text)["inputs"]:
        assert f"${{{{ inputs.{name} }}}}" in text
    scripts = [step["run"] for step in yaml.safe_load(text)["runs"]["steps"]]
    assert not any("${{" in script for script in scripts), "text of a pull request would become part of a script"


def test_a_server_tells_who_pushes(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}")
    Repo(tmp_path).git("init", "--quiet", "--bare", "host.git")
    shutil.copy(ROOT / "examples" / "ci" / "post-receive", tmp_path / "host.git" / "hooks" / "post-receive")
    desk.repo.git("remote", "add", "origin", str(tmp_path / "host.git"))
    better(desk)
    desk.repo.git("push", "--quiet", "origin", "main")
    desk("push")
    said = _push(desk, "idea")
    assert "remote: improved: acc 0.9057 → 0.9527" in said
    change(desk, "again\n")
    repeats(desk, "again", (0.80, 0.81, 0.79))
    desk("push")
    assert "remote: regressed: acc" in _push(desk, "idea")
    desk.repo.git("switch", "--quiet", "main")
    desk.repo.git("merge", "--quiet", "--ff-only", "idea")
    assert "remote: regressed: acc" in _push(desk, "main")


def _push(desk: Desk, branch: str) -> str:
    words = ["git", "push", "origin", branch]
    return subprocess.run(words, cwd=desk.repo.path, capture_output=True, text=True, check=True).stderr


@pytest.mark.parametrize("name", sorted(one.name for one in (ROOT / "examples" / "ci").glob("*.yml")))
def test_examples_are_yaml_and_name_commands_that_there_are(name: str) -> None:
    text = (ROOT / "examples" / "ci" / name).read_text(encoding="utf-8")
    assert isinstance(yaml.safe_load(text), dict)
    from gittrack.cli.main import SECTIONS

    known = {command for section in SECTIONS.values() for command in section}
    lines = [line.strip().removeprefix("- run: ").removeprefix("- ") for line in text.splitlines()]
    called = {line.split()[1] for line in lines if line.startswith("gittrack ")}
    assert called
    assert called <= known
