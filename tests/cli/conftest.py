"""Commands in this process, in a repository with a few runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gittrack.cli.main import cli
from gittrack.project import Project
from gittrack.run import Run
from tests.helpers import Repo


@dataclass(frozen=True)
class Desk:
    """A person in a repository: what they type, and the runs they make."""

    repo: Repo

    def __call__(self, *args: str, code: int = 0, env: Mapping[str, str] | None = None) -> Result:
        """One command in this process, which must exit with `code`."""
        result = CliRunner().invoke(cli, list(args), env=dict(env or {}))
        said = f"{result.stdout}\n{result.stderr}"
        assert result.exit_code == code, f"gittrack {' '.join(args)} exited with {result.exit_code}:\n{said}"
        return result

    def out(self, *args: str) -> str:
        return self(*args).stdout

    def json(self, *args: str) -> Any:
        return json.loads(self(*args, "--json").stdout)

    def error(self, *args: str, code: int) -> str:
        """The one sentence of a command that fails; nothing may be on stdout."""
        result = self(*args, code=code)
        assert result.stdout == ""
        assert result.stderr.startswith("gittrack: ")
        return result.stderr

    def run(
        self,
        name: str,
        *,
        experiment: str = "digits",
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Sequence[float]] | None = None,
        fails: bool = False,
        **more: Any,
    ) -> Run:
        """A run with histories, ended."""
        project = Project.open(self.repo.path)
        active = project.start_run(name, experiment=experiment, params=params or {}, console=False, **more)
        for key, values in (metrics or {}).items():
            for step, value in enumerate(values):
                active.log_metric(key, value, step)
        active.finish("failed" if fails else "finished")
        return project.get_run(active.id)


@pytest.fixture
def desk(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(repo.path)
    monkeypatch.setenv("GITTRACK_RUN_SYSTEM_METRICS", "off")
    return Desk(repo)


@pytest.fixture
def three(desk: Desk) -> Desk:
    """Three runs of one experiment: `slow`, `fast` and `broken`, the newest last."""
    desk.run(
        "slow",
        params={"lr": 0.01, "model": {"depth": 3}, "seed": 1},
        metrics={"val/acc": [0.1, 0.5, 0.7], "loss": [1.0, 0.6, 0.5]},
        tags={"kind": "cv"},
    )
    desk.run(
        "fast",
        params={"lr": 0.1, "model": {"depth": 3}, "seed": 1},
        metrics={"val/acc": [0.3, 0.8, 0.9], "loss": [0.9, 0.3, 0.2]},
    )
    desk.run("broken", params={"lr": 10, "model": {"depth": 3}}, metrics={"loss": [float("nan")]}, fails=True)
    return desk
