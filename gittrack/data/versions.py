"""Versions of a named artifact, counted over the runs that are known here (pure)."""

from __future__ import annotations

from collections.abc import Iterable

from gittrack.domain.artifact import Artifact
from gittrack.domain.run import RunState
from gittrack.values import dataclass


@dataclass(frozen=True, slots=True)
class Version:
    """One content of a named artifact: `number` counts from 1 in the order of time, `runs` made it, the first one first."""

    name: str
    number: int
    artifact: Artifact
    runs: tuple[RunState, ...]

    @property
    def run(self) -> RunState:
        return self.runs[0]

    def __str__(self) -> str:
        return f"{self.name}:v{self.number}"


def versions_of(name: str, runs: Iterable[RunState]) -> list[Version]:
    """The versions of a name, oldest first: each content once, in the order in which runs that made it ended.

    Numbers count the runs at hand: a run fetched later that ended earlier moves them. `name@<run>` never moves.
    """
    made: dict[str, list[RunState]] = {}
    for run in sorted(runs, key=lambda one: (one.ended or one.started, one.id)):
        artifact = run.artifacts.get(name)
        if artifact is not None and not run.deleted:
            made.setdefault(artifact.md5, []).append(run)
    return [Version(name, number, runs[0].artifacts[name], tuple(runs)) for number, runs in enumerate(made.values(), 1)]


def newest(versions: Iterable[Version]) -> Version:
    """The version that the newest run made, which may be an old content made again."""
    return max(versions, key=lambda one: (one.runs[-1].ended or one.runs[-1].started, one.number))
