"""Which runs keep their artifacts when room is needed (pure)."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence

from gittrack.domain.run import RunState
from gittrack.errors import SettingsError
from gittrack.settings import Retention

_DAY = 86_400.0


def kept_runs(
    runs: Sequence[RunState],
    retention: Retention,
    *,
    registered: Collection[str],
    direction: Callable[[str], str | None],
    now: float,
) -> set[str]:
    """Ids of the runs whose artifacts stay: what any rule names, and whatever the registry names.

    Without a rule all stay, deleted ones too; with one, a deleted run stays only for the registry's sake. `direction`
    gives "min" or "max" for a metric; raises SettingsError where nobody has said.
    """
    if retention.keeps_all:
        return {run.id for run in runs}
    kept = {run.id for run in runs if run.id in registered}
    living = sorted((run for run in runs if not run.deleted), key=lambda run: (-run.started, run.id))
    kept |= {run.id for run in living if run.commit is None}
    if retention.keep_last is not None:
        kept |= _last(living, retention.keep_last)
    if retention.keep_days is not None:
        kept |= {run.id for run in living if (run.ended or run.started) >= now - retention.keep_days * _DAY}
    for metric, count in retention.keep_best.items():
        goal = direction(metric)
        if goal is None:
            raise SettingsError(
                f"artifacts.retention keeps the best by {metric!r}, and nothing says whether it is better high or low; "
                f"set metrics.goals for it"
            )
        kept |= _best(living, metric, goal, count)
    return kept


def _last(newest_first: Iterable[RunState], count: int) -> set[str]:
    seen: dict[str, int] = {}
    kept = set()
    for run in newest_first:
        seen[run.experiment] = seen.get(run.experiment, 0) + 1
        if seen[run.experiment] <= count:
            kept.add(run.id)
    return kept


def _best(runs: Iterable[RunState], metric: str, goal: str, count: int) -> set[str]:
    """Of all experiments together, as `gittrack best` counts: finished runs with a finite last value."""
    sign = -1 if goal == "max" else 1
    measured = [
        run for run in runs if str(run.status) == "finished" and math.isfinite(run.metrics.get(metric, math.nan))
    ]
    ordered = sorted(measured, key=lambda run: (sign * run.metrics[metric], -run.started, run.id))
    return {run.id for run in ordered[:count]}
