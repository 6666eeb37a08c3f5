"""What a stage demands of a version before it lets it in, as the settings say it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from gittrack.values import dataclass


class Demand(StrEnum):
    CLEAN = "clean"
    PUSHED = "pushed"
    METRIC = "metric"
    BETTER = "better"
    FROM = "from"
    PEOPLE = "people"
    APPROVALS = "approvals"
    SIGNED = "signed"
    SOAK = "soak"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class Rule:
    """One demand, as it was written in `text`; which of the other fields mean something depends on it.

    `number` is a threshold, a number of approvals, or seconds; `names` are stages, people, or what must be signed.
    """

    demand: Demand
    text: str
    metric: str = ""
    operator: str = ""
    number: float = 0.0
    names: tuple[str, ...] = ()
    command: str = ""


@dataclass(frozen=True, slots=True)
class StagePolicy:
    """`holders`: how many versions a stage has at most, 0 for any number; `archive`: whether the displaced one is archived;
    `override`: whether somebody may pass over a rule, with a reason."""

    holders: int = 1
    archive: bool = False
    override: bool = False
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelText:
    """What people say of a model beside its numbers: for `model show` and its card."""

    description: str = ""
    intended_use: str = ""
    limitations: str = ""
    owner: str = ""


STAGES: Mapping[str, StagePolicy] = {
    "staging": StagePolicy(),
    "production": StagePolicy(),
    "archived": StagePolicy(holders=0),
}
