"""This project as the pre-commit framework gets it from a repository, without a network and once for all tests."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gittrack.hooks.framework import stages
from gittrack.hooks.guards import BY_NAME, GUARDS
from tests.conftest import GIT_CONFIG
from tests.helpers import Repo

ROOT = Path(__file__).parents[2]
ALL = tuple(one.name for one in GUARDS if not one.closed)
PRE_COMMIT = (sys.executable, "-m", "pre_commit")


@dataclass(frozen=True)
class Framework:
    """`source` holds this project as it is now, as commit `rev`; `variables` let the framework find what it would download."""

    source: Path
    rev: str
    variables: dict[str, str]

    def config(self, guards: Iterable[str]) -> str:
        ids = "".join(f"  - id: {one}\n" for one in guards)
        return f"repos:\n- repo: {self.source}\n  rev: {self.rev}\n  hooks:\n{ids}"


@pytest.fixture(scope="session")
def framework_source(tmp_path_factory: pytest.TempPathFactory) -> Framework:
    """The environment of `language: python` takes seconds to make: once, also for parallel workers."""
    base = tmp_path_factory.getbasetemp()
    place = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "framework"
    place.mkdir(exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (place / "gitconfig").write_text(GIT_CONFIG)
        variables = {
            "PRE_COMMIT_HOME": str(place / "home"),
            "PRE_COMMIT_COLOR": "never",
            # No network: the build backend and what we depend on are those of the tests.
            "PIP_NO_INDEX": "1",
            "PIP_NO_DEPS": "1",
            "PIP_NO_BUILD_ISOLATION": "0",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PYTHONPATH": sysconfig.get_path("purelib"),
            "VIRTUALENV_OVERRIDE_APP_DATA": str(place / "virtualenv"),
        }
        env = {
            **{name: os.environ[name] for name in ("PATH", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ},
            **variables,
            "HOME": str(place),
            "GIT_CONFIG_GLOBAL": str(place / "gitconfig"),
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        source = place / "source"
        if not (place / "ready").exists():
            _copy(source)
            user = place / "user"
            for repo in (source, user):
                user.mkdir(exist_ok=True)
                _run(["git", "init", "--quiet"], repo, env)
                _run(["git", "add", "--all"], repo, env)
                _run(["git", "commit", "--quiet", "--allow-empty", "-m", "All of it"], repo, env)
            rev = _run(["git", "rev-parse", "HEAD"], source, env).strip()
            (user / ".pre-commit-config.yaml").write_text(Framework(source, rev, {}).config(ALL))
            _run([*PRE_COMMIT, "install-hooks"], user, env)
            (place / "ready").write_text(rev)
        return Framework(source, (place / "ready").read_text(), variables)


def _copy(source: Path) -> None:
    source.mkdir()
    shutil.copytree(ROOT / "gittrack", source / "gittrack", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml"):
        shutil.copy(ROOT / name, source)


def _run(command: list[str], folder: Path, env: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command} exited with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def framework(
    framework_source: Framework, sealed_home: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Repo, Iterable[str]], None]:
    """`framework(repo, guards)`: the repository calls these guards through the real pre-commit framework from now on.

    Its configuration is committed, and the framework is installed in every hook that these guards want.
    """
    for name, value in framework_source.variables.items():
        monkeypatch.setenv(name, value)

    def set_up(repo: Repo, guards: Iterable[str]) -> None:
        names = list(guards)
        repo.write(".pre-commit-config.yaml", framework_source.config(names))
        repo.git("add", ".pre-commit-config.yaml")
        repo.git("commit", "--quiet", "--no-verify", "-m", "Use the framework")
        types = dict.fromkeys(stage for name in names for stage in stages(BY_NAME[name]) if stage != "manual")
        if types:
            chosen = [word for one in types for word in ("--hook-type", one)]
            subprocess.run([*PRE_COMMIT, "install", *chosen], cwd=repo.path, check=True, capture_output=True)

    return set_up
