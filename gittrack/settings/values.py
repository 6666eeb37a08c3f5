"""What the rest of gittrack sees of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Literal

from gittrack.domain.policy import ModelText, StagePolicy
from gittrack.values import dataclass, field


@dataclass(frozen=True, slots=True)
class Goal:
    """What is better for a metric; a change smaller than `min_change` is none."""

    goal: Literal["min", "max"]
    min_change: float = 0.0
    role: Literal["gate", "watch", "ignore"] = "watch"


@dataclass(frozen=True, slots=True)
class RunSettings:
    """`system_metrics` in seconds, None when off; `snapshot_limit` in bytes; `notice_inputs`: undeclared ones.

    `isolated`: in a worktree of its own.
    """

    isolated: bool
    allow_dirty: Literal["none", "tracked", "all"]
    system_metrics: float | None
    console: bool
    snapshot_limit: int
    notice_inputs: bool


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """`large_files`: bytes beyond which a committed file is refused; `notebooks`: bytes of outputs; None: not looked at.
    `ledgers`: what may become of one on a server."""

    large_files: int | None
    notebooks: int | None
    push_runs: Literal["push", "warn", "refuse", "none"]
    ledgers: Literal["grow", "purge", "free"]


@dataclass(frozen=True, slots=True)
class ParamSettings:
    files: tuple[str, ...]
    seed_like: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MetricSettings:
    files: tuple[str, ...]
    goals: Mapping[str, Goal]


@dataclass(frozen=True, slots=True)
class EnvironmentSettings:
    variables: tuple[str, ...]
    mask: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Retention:
    """Which artifacts `gittrack gc` leaves: those that any rule names; without a rule, all.

    `keep_last` counts runs of each experiment, `keep_best` runs by a metric, `keep_days` is their age in days. Only
    artifacts of these `kinds` are ever let go; none named means of every kind.
    """

    keep_last: int | None = None
    keep_best: Mapping[str, int] = field(default_factory=dict)
    keep_days: float | None = None
    kinds: tuple[str, ...] = ()

    @property
    def keeps_all(self) -> bool:
        return self.keep_last is None and not self.keep_best and self.keep_days is None


@dataclass(frozen=True, slots=True)
class ArtifactSettings:
    """`inline`: the largest file, in bytes, that goes into git whole; `remote`: the DVC remote under which run data lies."""

    inline: int
    remote: str | None
    retention: Retention


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """`stages` are all that there are, `signers` addresses or fingerprints of keys."""

    sign: bool
    signers: tuple[str, ...]
    stages: Mapping[str, StagePolicy]
    models: Mapping[str, ModelText]


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """`runs`: which configuration of a side counts; `gate`: metrics by key or pattern; `proof`: undecided is refused too."""

    runs: Literal["latest", "best"]
    gate: tuple[str, ...]
    proof: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one repository, each with its value or its default."""

    experiment: str
    run: RunSettings
    params: ParamSettings
    metrics: MetricSettings
    environment: EnvironmentSettings
    artifacts: ArtifactSettings
    registry: RegistrySettings
    report: ReportSettings
    guards: GuardSettings
    origins: Mapping[str, str] = field(default_factory=dict)

    def origin(self, key: str) -> str:
        """Where a setting was set: file and line, a variable, git's key, or `default`."""
        return self.origins.get(key, "default")

    def goal(self, metric: str) -> Goal | None:
        """The goal of a metric: that of its own key, else of the first pattern that matches it."""
        goals = self.metrics.goals
        if metric in goals:
            return goals[metric]
        return next((goal for glob, goal in goals.items() if fnmatchcase(metric, glob)), None)

    def gates(self, metric: str) -> bool:
        """Whether a report may be refused for a metric: its role is `gate`, or `report.gate` names it."""
        goal = self.goal(metric)
        named = any(fnmatchcase(metric, glob) for glob in self.report.gate)
        return goal is not None and (goal.role == "gate" or named)
