"""Repeats that are made: one command, once for each of several seeds, or until a comparison is decided."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from gittrack.compare.sequential import FIRST, Looks, plan_looks
from gittrack.compare.verdict import Repeats
from gittrack.domain.metric import is_detail
from gittrack.domain.run import Status
from gittrack.errors import GittrackError, UnknownRun, UsageError
from gittrack.repeats import samples
from gittrack.settings import SETTINGS_FILE
from gittrack.tracking.plan import SEED
from gittrack.values import dataclass, replace

if TYPE_CHECKING:
    from gittrack.domain.run import RunState
    from gittrack.project import Project
    from gittrack.run import Run
    from gittrack.tracking.wrap import Wrapped

# Runs of one call: more is a slip of the finger.
_MOST = 1_000
# What numpy's generators take.
_BEYOND = 2**32


def parse_seeds(text: str, params: Mapping[str, Any], seed_like: Collection[str]) -> tuple[int, ...]:
    """`5` is five seeds from 0 on, or from the param `seed` where there is one; `1,7,12` are these. Raises UsageError."""
    _check_seed_like(seed_like)
    if "," not in text:
        first, count = _first(params), _number(text)
        if not 1 <= count <= _MOST:
            raise UsageError(
                f"--seeds makes 1 to {_MOST:,} runs, not {count:,}; for the seed {count} alone write -p seed={count}"
            )
        return _distinct(range(first, first + count))
    if SEED in params:
        raise UsageError("the seeds are said twice, by -p seed and by a list; leave out one of them")
    return _distinct([_number(part) for part in text.split(",")])


def _check_seed_like(seed_like: Collection[str]) -> None:
    if SEED not in seed_like:
        raise UsageError(
            f"params.seed_like in {SETTINGS_FILE} does not name {SEED!r}, so that runs with several seeds would be no repeats; add it"
        )


def _number(text: str) -> int:
    text = text.strip()
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(_BEYOND)):
        raise UsageError(f"--seeds takes a number of runs, like 5, or whole numbers, like 1,7,12, and not {text!r:.60}")
    return int(text)


def _first(params: Mapping[str, Any]) -> int:
    first = params.get(SEED, 0)
    if isinstance(first, bool) or not isinstance(first, int) or first < 0:
        raise UsageError(f"-p seed is the first of several seeds, a whole number of 0 or more, and not {first!r:.60}")
    return first


def _distinct(seeds: Sequence[int]) -> tuple[int, ...]:
    if max(seeds) >= _BEYOND:
        raise UsageError(f"a seed must be below 2**32, and {max(seeds)} is not")
    if len(seeds) > _MOST:
        raise UsageError(
            f"{len(seeds):,} seeds are more than the {_MOST:,} that one call makes; make the others with another"
        )
    doubled = next((one for at, one in enumerate(seeds) if one in seeds[:at]), None)
    if doubled is not None:
        raise UsageError(f"the seed {doubled} is there twice, and the same thing done again is no repeat; name it once")
    return tuple(seeds)


def measured(project: Project, done: Sequence[Wrapped]) -> dict[str, Repeats]:
    """What the runs that finished measured: metrics that have a goal, or all of their own where none has."""
    finished = [one for one in done if one.status is Status.FINISHED and one.commit is not None]
    states = [project.get_run(one.run.id).state for one in finished]
    # Of a run with folds its mean over them: the repeats are what is counted here.
    whole = [replace(one, metrics={k: value for k, value in one.metrics.items() if not is_detail(k)}) for one in states]
    found = samples(whole, project.settings.params.seed_like)
    return {key: one for key, one in found.items() if project.settings.goal(key) is not None} or found


# --- until decided


@dataclass(frozen=True, slots=True)
class Contest:
    """A configuration that is about to be repeated, against the repeats of `base`, by one metric.

    Its seeds are those of the base, with which it is paired; where that has none, they count from 0 on.
    """

    base: Run
    repeats: tuple[RunState, ...]
    metric: str
    looks: Looks
    seeds: tuple[int, ...]

    def value(self, project: Project, done: Wrapped, seed: int) -> float:
        """What a new repeat measured; raises UnknownRun where that is nothing, UsageError where it is a repeat of the base itself.

        Raises GittrackError where it is none with this seed.
        """
        run = project.get_run(done.run.id)
        if (logged := run.params.get(SEED)) != seed or isinstance(logged, bool):
            raise GittrackError(
                f"run {run.name} was given the seed {seed} and logged {logged!r:.60} as its {SEED}, so that it is no repeat of its own; "
                f"let the command take its seed from GITTRACK_SEED, or write {{seed}} among its words"
            )
        if self.metric not in run.metrics:
            raise UnknownRun(
                f"run {run.name} finished without the metric {self.metric!r}, so that nothing can be decided"
            )
        ids = {one.id for one in self.repeats}
        if any(one.id in ids for one in project.repeats(run)):
            raise UsageError(
                f"run {run.name} is a repeat of {self.base.name} itself, of the same code, params, data and environment; "
                "change what is to be compared, commit it, and try again"
            )
        return run.metrics[self.metric]


def plan_contest(
    project: Project, base: Run, params: Mapping[str, Any], *, metric: str | None = None, most: int
) -> Contest:
    """Raises UsageError or UnknownRun where the repeats of `base` cannot decide anything."""
    _check_seed_like(project.settings.params.seed_like)
    if SEED in params:
        raise UsageError(f"the seeds are those of {base.name}; leave out -p seed")
    metric = _metric_of(project, base) if metric is None else metric.removeprefix("metrics.")
    goal = project.settings.goal(metric)
    if goal is None:
        raise UsageError(
            f"nothing says whether {metric!r} is better high or low; set metrics.goals in {SETTINGS_FILE}, or name another --metric"
        )
    repeats = tuple(one for one in project.repeats(base) if metric in one.metrics)
    if not repeats:
        raise UnknownRun(f"run {base.name} has no metric {metric!r}; its metrics: {_some(base.metrics)}")
    if len(repeats) < FIRST:
        raise UnknownRun(
            f"run {base.name} has no repeat, and a verdict needs {FIRST} on each side; make more of it, with its code checked out: "
            f"gittrack run -e {base.experiment} --seeds 5 -- {base.command or 'CMD'}"
        )
    measured = samples(repeats, project.settings.params.seed_like)[metric]
    if measured.folds:
        raise UsageError(
            f"{base.name} is a cross-validation, of which another round is no further evidence; make one run and use 'gittrack diff'"
        )
    if not all(map(isfinite, measured.values)):
        raise UsageError(
            f"a repeat of {base.name} has {metric} NaN or infinite: it diverged, and nothing can be decided"
        )
    seeds = _seeds_of(repeats)
    looks = plan_looks(Repeats(measured.values, seeds), goal, most)
    return Contest(base, repeats, metric, looks, (seeds or tuple(range(most)))[: looks.most])


def _seeds_of(repeats: Sequence[RunState]) -> tuple[int, ...]:
    """The seed of each, or none where not all have one of their own that a command can be given."""
    seeds = [one.params.get(SEED) for one in repeats]
    found = [one for one in seeds if type(one) is int and 0 <= one < _BEYOND]
    return tuple(found) if len(set(found)) == len(seeds) else ()


def _metric_of(project: Project, base: Run) -> str:
    goals = {key: goal for key in base.metrics if not is_detail(key) and (goal := project.settings.goal(key))}
    gates = [key for key, goal in goals.items() if goal.role == "gate"]
    chosen = gates or list(goals)
    if len(chosen) != 1:
        which = "several metrics gate" if gates else "several metrics have a goal" if goals else "no metric has a goal"
        raise UsageError(f"{which}; say which decides with --metric: {_some(chosen or base.metrics)}")
    return chosen[0]


def _some(keys: Iterable[str]) -> str:
    return ", ".join(sorted(key for key in keys if not is_detail(key))[:10]) or "there is none"
