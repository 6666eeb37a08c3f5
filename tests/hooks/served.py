"""A bare repository with the update hook, and Jane's clone of it: two versions of `digits`, the first one in production."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from gittrack.git.objects import Signature
from gittrack.git.repository import Repository
from gittrack.models.registrar import Share
from gittrack.project import Project
from gittrack.registry.event import Event
from gittrack.registry.record import Draft, build, publish_here
from gittrack.registry.state import Model
from gittrack.registry.tagname import Action
from tests.helpers import Repo

ROOT = Path(__file__).parents[2]
HERE = Share(push=False)
NAMES = ("linear", "net", "deep")
QUIET = {"GITTRACK_RUN_SYSTEM_METRICS": "off"}


@dataclass(frozen=True)
class Served:
    """`jane` pushes to `bare`."""

    bare: Repo
    jane: Repo

    @property
    def project(self) -> Project:
        return Project.open(self.jane.path, QUIET)

    @property
    def model(self) -> Model:
        return self.project.models.get("digits")

    @property
    def refs(self) -> str:
        return self.bare.git("for-each-ref", "--format=%(objectname) %(refname)")

    def push(self, *words: str) -> subprocess.CompletedProcess[str]:
        """As a person types it."""
        command = ["git", "push", "origin", *words]
        return subprocess.run(command, cwd=self.jane.path, capture_output=True, text=True, check=False)

    def refused(self, *words: str) -> str:
        """What is said of a push of which nothing may arrive."""
        before = self.refs
        done = self.push(*words)
        assert done.returncode != 0, done.stderr
        assert self.refs == before
        return done.stderr

    def passes(self, *words: str) -> None:
        done = self.push(*words)
        assert done.returncode == 0, done.stderr

    def settings(self, text: str) -> str:
        """On the default branch of the server."""
        self.jane.write(".gittrack/config.yaml", text)
        commit = self.jane.commit("Say what a stage demands")
        self.passes("main")
        return commit

    def made(self, *drafts: Draft, after: Sequence[Event] = (), sign: bool = False, time: int = 0) -> tuple[Event, ...]:
        """Tag objects as gittrack would write them, without asking whether they may be."""
        model = self.model
        known = Model("digits", events=(*model.events, *after))
        who = Signature("Jane <jane@example.org>", time or known.events[-1].time + 1)
        return build(Repository.discover(self.jane.path), known, drafts, who, sign=sign)

    def draft(self, action: Action, version: int = 2, place: str | None = None, **details: object) -> Draft:
        held = list(self.model.versions.values())[version - 1].registered
        return Draft(action, held.commit, held.run, held.version, place, "", details)

    def publish(self, *events: Event) -> None:
        publish_here(Repository.discover(self.jane.path), events)

    def no_policy(self) -> dict[str, object]:
        """What a promotion says of a policy that has no rules."""
        return {"policy": {"branch": "origin/main", "commit": self.jane.git("rev-parse", "origin/main")}}


def install(bare: Repo, python: str = sys.executable) -> None:
    """The hook as somebody copies it, with its line at the top set."""
    text = (ROOT / "hooks" / "update").read_text()
    hook = bare.write("hooks/update", text.replace("\npython=\n", f"\npython={python}\n"))
    hook.chmod(0o755)


def _template(folder: Path) -> None:
    jane = Repo.init(folder / "jane")
    jane.git("config", "user.name", "Jane")
    jane.git("config", "user.email", "jane@example.org")
    jane.git("clone", "--quiet", "--bare", ".", str(folder / "team.git"))
    bare = Repo(folder / "team.git")
    install(bare)
    jane.git("remote", "add", "origin", "../team.git")
    jane.git("fetch", "--quiet", "origin")
    project = Project.open(jane.path, QUIET)
    for at, name in enumerate(NAMES):
        with project.start_run(name, console=False) as run:
            run.log_metric("acc", (at + 1) / 10)
            run.log_text(name, "model.txt")
    for name in NAMES[:2]:
        project.models.registrar.register("digits", project.get_run(name))
    project.models.registrar.promote("digits", "v1", "production")


_made: list[Path] = []


@pytest.fixture
def served(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Served:
    """Made once in a process, and copied for each test."""
    monkeypatch.setenv("GITTRACK_RUN_SYSTEM_METRICS", "off")
    if not _made:
        folder = tmp_path_factory.mktemp("served")
        _template(folder)
        _made.append(folder)
    shutil.copytree(_made[0], tmp_path / "team", symlinks=True)
    made = Served(Repo(tmp_path / "team" / "team.git"), Repo(tmp_path / "team" / "jane"))
    monkeypatch.chdir(made.jane.path)
    return made
