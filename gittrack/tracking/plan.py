"""What a caller wants of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gittrack.domain.names import check_experiment, check_run_name
from gittrack.domain.param import flatten
from gittrack.domain.run import RunState
from gittrack.domain.text import check_text, checked_tags
from gittrack.errors import UsageError
from gittrack.values import dataclass, field, replace

SEED = "seed"  # the param that tells repeats apart
_PLACE = "{seed}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the caller asks for; checked when it is made, so that a wrong argument raises before anything is done.

    `command` are the words as they were given, `started` as they are started, where that differs.
    """

    name: str | None = None
    experiment: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, Any] = field(default_factory=dict)
    description: str | None = None
    parent: str | None = None
    nested: bool = False
    allow_dirty: str | None = None
    command: tuple[str, ...] | None = None
    started: tuple[str, ...] | None = None
    resume: RunState | None = None
    console: bool | None = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.name is not None:
            check_run_name(self.name)
        if self.experiment is not None:
            check_experiment(self.experiment)
        if self.description is not None:
            check_text(self.description)
        if self.allow_dirty not in (None, "none", "tracked", "all"):
            raise UsageError(f"allow_dirty is 'none', 'tracked' or 'all', not {self.allow_dirty!r}")
        if self.resume is not None and self.experiment not in (None, self.resume.experiment):
            raise UsageError(
                f"run {self.resume.name} belongs to experiment {self.resume.experiment}; leave the experiment out to resume it"
            )
        flatten(self.params)
        checked_tags(self.tags)


def seeded(plan: Plan, command: Sequence[str], seed: int) -> tuple[Plan, tuple[str, ...]]:
    """The plan and the command of one of several repeats: `{seed}` in words and outputs is replaced, and nothing else is special."""
    words, outputs = (tuple(one.replace(_PLACE, str(seed)) for one in several) for several in (command, plan.outputs))
    name = None if plan.name is None else f"{plan.name}-seed{seed}"
    return replace(plan, name=name, params={**plan.params, SEED: seed}, outputs=outputs, seed=seed), words
