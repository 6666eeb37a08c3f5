"""The files that CI and servers are given, run as they are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Desk
from tests.cli.test_report import better, change, repeats, worse
from tests.helpers import Repo
from tests.hosts.stand_in import StandIn, stand_in

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("gittrack")


@pytest.mark.parametrize(("gate", "code"), [("true", 4), ("True", 4), ("TRUE", 4), ("false", 0), ("False", 0)])
def test_the_action_reports(desk: Desk, tmp_path: Path, gate: str, code: int) -> None:
    worse(desk)
    with stand_in("github", ("Authorization", "Bearer secret")) as host:
        done = _act(desk, tmp_path, host, gate)
    assert done.returncode == code, done.stderr
    assert "**regressed**" in host.comments[1]
    assert len(host.states) == (gate.lower() == "true")
    assert host.broken == []


@pytest.mark.parametrize("gate", ["yes", "1", "", "true false", "-n"])
def test_the_action_takes_no_other_word_for_a_gate(desk: Desk, tmp_path: Path, gate: str) -> None:
    with stand_in("github", ("Authorization", "Bearer secret")) as host:
        done = _act(desk, tmp_path, host, gate)
    assert done.returncode == 2
    assert "::error::the input gate of the gittrack action is neither true nor false" in done.stdout
    assert host.asked == []


def _act(desk: Desk, tmp_path: Path, host: StandIn, gate: str) -> subprocess.CompletedProcess[str]:
    """The action's last step, as GitHub would run it."""
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    (script,) = [step["run"] for step in action["runs"]["steps"] if step["name"] == "Report"]
    (tmp_path / "gittrack" / "bin").mkdir(parents=True)
    (tmp_path / "gittrack" / "bin" / "gittrack").symlink_to(PROGRAM)
    inputs = {name: one.get("default", "") for name, one in action["inputs"].items()}
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
    return _bash(script, desk.repo.path, env)


def _bash(script: str, folder: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    words = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script]
    return subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_a_push_that_is_refused_ends_no_job(desk: Desk, tmp_path: Path) -> None:
    better(desk)
    desk.repo.git("remote", "add", "origin", str(tmp_path / "nowhere.git"))
    env = {**os.environ, "PATH": f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"}
    assert _bash("gittrack push", desk.repo.path, env).returncode == 1
    jobs = {
        name: yaml.safe_load((ROOT / "examples" / "ci" / f"{name}-report.yml").read_text(encoding="utf-8"))
        for name in ("github", "gitlab")
    }
    steps = [step.get("run", "") for step in jobs["github"]["jobs"]["report"]["steps"]] + jobs["gitlab"]["metrics"][
        "script"
    ]
    pushes = [step for step in steps if step.startswith("gittrack push")]
    assert len(pushes) == 2
    for step in pushes:
        done = _bash(step, desk.repo.path, env)
        assert done.returncode == 0
        assert "the runs could not be pushed" in done.stdout


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

    # No registry has it; the README installs from where it is kept, and so do these.
    assert "git+https://HOST/OWNER/gittrack" in text

    known = {command for section in SECTIONS.values() for command in section}
    lines = [line.strip().removeprefix("- run: ").removeprefix("- ") for line in text.splitlines()]
    called = {line.split()[1] for line in lines if line.startswith("gittrack ")}
    assert called
    assert called <= known
