"""A team of two with runs to make models of: Jane and Joe have a clone each, and one remote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gittrack.project import Project
from tests.helpers import Repo

QUIET = {"GITTRACK_RUN_SYSTEM_METRICS": "off"}
PEOPLE = ("Jane", "Joe")
WEIGHTS = "weights.txt"


@dataclass(frozen=True)
class Team:
    """Everything in one folder, which may be copied."""

    folder: Path

    @property
    def bare(self) -> Repo:
        return Repo(self.folder / "hosted" / "team.git")

    @property
    def clones(self) -> tuple[Repo, Repo]:
        return Repo(self.folder / PEOPLE[0]), Repo(self.folder / PEOPLE[1])

    def reach_through(self, url: str) -> None:
        for repo in self.clones:
            repo.git("remote", "set-url", "origin", url)

    def open(self, who: int) -> Project:
        return Project.open(self.clones[who].path, QUIET)


def team(folder: Path, *, runs: int, settings: str = "", files: Mapping[str, str] = {}) -> Team:
    """Both clones have everybody's runs; `settings` and `files` are on the default branch."""
    made = Team(folder)
    first, second = made.clones
    made.bare.path.parent.mkdir(parents=True)
    Repo.init(first.path)
    first.write(".gittrack/config.yaml", settings)
    for name, content in files.items():
        first.write(name, content)
    first.commit("Say what a stage demands")
    first.git("clone", "--quiet", "--bare", str(first.path), str(made.bare.path))
    first.git("clone", "--quiet", str(made.bare.path), str(second.path))
    first.git("remote", "add", "origin", "to be set")
    made.reach_through(made.bare.path.as_uri())
    first.git("fetch", "--quiet")
    for who, repo in enumerate(made.clones):
        repo.git("config", "user.name", PEOPLE[who])
        repo.git("config", "user.email", f"{PEOPLE[who].lower()}@example.org")
        for number in range(runs):
            with made.open(who).start_run(f"{PEOPLE[who]}-{number}".lower(), console=False) as run:
                run.log_metric("acc", number / 10)
                run.log_text(f"weights {number} of {PEOPLE[who]}\n", WEIGHTS)
    for how in ("push", "fetch"):
        for who in (0, 1):
            project = made.open(who)
            assert (project.push if how == "push" else project.fetch)(data=False).refused == {}
    return made


def register_runs(made: Team, model: str, who: Sequence[int]) -> None:
    """A version of a model from each run, in force on the remote; v1 is the first one's first run."""
    for one in who:
        project = made.open(one)
        for run in sorted(project.runs(), key=lambda each: each.name):
            if run.name.startswith(PEOPLE[one].lower()):
                project.models.registrar.register(model, run, artifact=WEIGHTS)
