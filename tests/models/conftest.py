"""A person with models, in this process."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from gittrack.models.registrar import Share
from gittrack.project import Project
from tests.cli.conftest import Desk
from tests.helpers import Repo

HERE = Share(push=False)


@dataclass(frozen=True)
class Shop(Desk):
    """Runs with a model each; what production demands stands on the branch."""

    folder: Path = Path()

    @property
    def project(self) -> Project:
        return Project.open(self.repo.path)

    def settings(self, text: str) -> str:
        """Commit settings on the default branch; returns that commit."""
        self.repo.write(".gittrack/config.yaml", text)
        return self.repo.commit("Say what a stage demands")

    def policy(self, rules: str, more: str = "") -> str:
        return self.settings(f"registry: {{stages: {{production: {{policy: {rules}}}}}}}\n{more}")

    def trained(
        self,
        name: str,
        metrics: Mapping[str, float] | None = None,
        *,
        data: bytes | None = None,
        artifact: str | None = "digits",
        params: Mapping[str, object] | None = None,
        allow_dirty: str | None = None,
        status: str = "finished",
    ) -> str:
        """The id of a run that made a model of these bytes."""
        made = self.folder / "model.bin"
        made.write_bytes(name.encode() if data is None else data)
        run = self.project.start_run(name, params=params or {}, console=False, allow_dirty=allow_dirty)
        for key, value in (metrics or {}).items():
            run.log_metric(key, value)
        run.log_artifact(made, name=artifact, kind="model")
        run.finish(status)
        return run.id

    def registered(self, *names: str, metrics: Sequence[float] = ()) -> None:
        """Runs of these names and a version of `digits` from each, in their order."""
        for at, name in enumerate(names):
            self.trained(name, {"acc": metrics[at]} if metrics else {})
            self.project.models.registrar.register("digits", self.project.get_run(name))


@pytest.fixture
def shop(repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.chdir(repo.path)
    monkeypatch.setenv("GITTRACK_RUN_SYSTEM_METRICS", "off")
    return Shop(repo, tmp_path)


def ssh_key(folder: Path, name: str) -> Path:
    key = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key)], check=True)
    return key


def sign_with_ssh(repo: Repo, key: Path) -> None:
    repo.git("config", "gpg.format", "ssh")
    repo.git("config", "user.signingKey", str(key))


def become(repo: Repo, name: str) -> None:
    repo.git("config", "user.name", name)
    repo.git("config", "user.email", f"{name.lower()}@example.org")
