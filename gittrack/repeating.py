"""Repeats that are made: one command, once for each of several seeds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gittrack.domain.metric import is_detail
from gittrack.domain.run import Status
from gittrack.errors import UsageError
from gittrack.repeats import samples
from gittrack.settings import SETTINGS_FILE
from gittrack.tracking.plan import SEED
from gittrack.values import replace

if TYPE_CHECKING:
    from gittrack.compare.verdict import Repeats
    from gittrack.project import Project
    from gittrack.tracking.wrap import Wrapped

# As many as are looked for when repeats are compared.
_MOST = 1_000
# What numpy's generators take.
_BEYOND = 2**32


def parse_seeds(text: str, params: Mapping[str, Any], seed_like: Collection[str]) -> tuple[int, ...]:
    """`5` is five seeds from 0 on, or from the param `seed` where there is one; `1,7,12` are these. Raises UsageError."""
    if SEED not in seed_like:
        raise UsageError(
            f"params.seed_like in {SETTINGS_FILE} does not name {SEED!r}, so that runs with several seeds would be no repeats; add it"
        )
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
        raise UsageError(f"{len(seeds):,} seeds are more than the {_MOST:,} that are ever compared")
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
