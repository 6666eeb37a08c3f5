"""The run that another is compared with when nobody names one. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from gittrack.domain.run import RunState, Status
from gittrack.values import dataclass


@dataclass(frozen=True, slots=True)
class Baseline:
    """A run, and why it is the baseline, as the end of a sentence."""

    run: RunState
    reason: str


def find_baseline(of: RunState, merge_base: str | None, candidates: Iterable[RunState]) -> Baseline | None:
    """The newest finished run of the experiment on the merge base, else the finished run before this one.

    `merge_base` is the commit where the run's branch left the default branch.
    """
    earlier = sorted(
        (
            one
            for one in candidates
            if one.experiment == of.experiment
            and one.status is Status.FINISHED
            and not one.deleted
            and one.id != of.id
            and (one.started, one.id) < (of.started, of.id)
        ),
        key=lambda one: (one.started, one.id),
        reverse=True,
    )
    for one in earlier:
        if merge_base is not None and one.code_commit == merge_base:
            return Baseline(one, f"the newest run on the merge base {merge_base[:8]}")
    if earlier:
        return Baseline(earlier[0], f"the run before it in experiment {of.experiment}")
    return None
