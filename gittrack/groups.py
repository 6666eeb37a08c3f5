"""Runs by configuration: repeats, or runs that share some keys, as one group each with what they measured.

What makes a repeat, `repeats` says of two runs; here it is asked of all of them at once, so that ten thousand take no
longer than a table of them: files are read once for each content, and what they say is kept in the index.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gittrack import repeats
from gittrack.compare.align import ABSENT, same
from gittrack.compare.verdict import Repeats
from gittrack.domain.codec import strict
from gittrack.domain.run import RunState, Status
from gittrack.errors import FilterError
from gittrack.git.repository import Repository
from gittrack.grounds import find_grounds
from gittrack.index.filter import Field
from gittrack.index.query import Grounds
from gittrack.index.syntax import parse_sort
from gittrack.values import dataclass

if TYPE_CHECKING:
    from gittrack.index.index import Index

_KEYS = re.compile(r"(?:`[^`]*`|[^,`])+")
_COUNT = "n"


@dataclass(frozen=True, slots=True)
class Group:
    """Finished runs that belong together, oldest first; `counted` are those whose numbers count, one for each seed.

    `by` are the keys that were asked for and their values, ABSENT where the runs have none; without such keys the runs are
    repeats, and `grounds` is what they share beside params.
    """

    runs: tuple[RunState, ...]
    counted: tuple[RunState, ...]
    params: Mapping[str, Any]
    by: tuple[tuple[Field, Any], ...] = ()
    grounds: Grounds | None = None

    @property
    def newest(self) -> RunState:
        return self.runs[-1]

    @property
    def n(self) -> int:
        return len(self.counted)

    @property
    def experiment(self) -> str | None:
        """None where there are several."""
        names = {run.experiment for run in self.runs}
        return self.newest.experiment if len(names) == 1 else None

    def metric(self, key: str) -> Repeats:
        """What the runs that have the metric measured."""
        return Repeats(tuple(run.metrics[key] for run in self.counted if key in run.metrics))

    @property
    def metrics(self) -> list[str]:
        return list(dict.fromkeys(key for run in self.counted for key in run.metrics))

    def to_json(self) -> dict[str, Any]:
        samples = {key: self.metric(key) for key in self.metrics}
        shared = self.grounds
        return {
            "experiment": self.experiment,
            "by": {str(field): None if value is ABSENT else strict(value) for field, value in self.by},
            "params": strict(self.params),
            "n": self.n,
            "runs": [run.id for run in self.runs],
            "metrics": {
                key: {"mean": strict(one.mean), "sd": strict(one.sd), "n": len(one.values)}
                for key, one in samples.items()
            },
            "code": None if shared is None else self.newest.code_commit,
            "data": None if shared is None else shared.data or None,
            "environment": None if shared is None else shared.environment or None,
        }


def parse_keys(text: str, known: Callable[[str], Collection[str]]) -> list[Field]:
    """The keys of a list such as `params.lr,stage`; `known` gives all keys of a kind. Raises FilterError for what is none."""
    names = [name.strip().replace("`", "") for name in _KEYS.findall(text)]
    return [_parse_key(name, known) for name in dict.fromkeys(names) if name]


def _parse_key(name: str, known: Callable[[str], Collection[str]]) -> Field:
    try:
        return parse_sort(name)[0]
    except FilterError:
        kinds = [kind for kind in ("params", "metrics", "tags") if name in known(kind)]
        if len(kinds) != 1:
            raise
        return Field(kinds[0], name)


def parse_order(text: str) -> tuple[Field | None, bool]:
    """What groups are sorted by, None for how many runs count, and whether from high to low; raises FilterError."""
    if text.strip().lstrip("+-") == _COUNT:
        return None, text.strip().startswith("-")
    return parse_sort(text)


def find_groups(
    repository: Repository,
    index: Index,
    states: Iterable[RunState],
    seed_like: Collection[str],
    by: Sequence[Field] = (),
) -> list[Group]:
    """The groups of those runs that finished, the one with the newest run first.

    Without `by` they are configurations: of one experiment, with the same command and params but for what is like a seed, the
    same code, data and environment.
    """
    finished = sorted((one for one in states if _is_finished(one)), key=lambda one: (one.started, one.id))
    grounds = find_grounds(repository, index, finished)
    configurations = _Configurations(seed_like)
    groups = [
        Group(
            tuple(runs),
            tuple(repeats.distinct(runs, seed_like) if len(runs) > 1 else runs),
            configurations.params(runs[-1]),
            (),
            grounds[runs[-1].id],
        )
        for several in _gather(finished, lambda run: configurations.key(run, grounds[run.id]))
        for runs in _outer_and_inner(several)
    ]
    if by:
        # Of what was done again the last counts here too; what differs in more than a seed does not replace another.
        counts = {run.id for one in groups for run in one.counted}
        groups = [
            Group(
                tuple(runs),
                tuple(run for run in runs if run.id in counts),
                _shared([configurations.params(run) for run in runs]),
                tuple((field, value_of(runs[-1], field)) for field in by),
            )
            for runs in _gather(finished, lambda run: tuple(_alike(value_of(run, field)) for field in by))
        ]
    return sorted(groups, key=lambda one: (-one.newest.started, one.newest.id))


def ordered(groups: Iterable[Group], field: Field | None, falling: bool) -> list[Group]:
    """By the mean of a metric, by a param or a field of the newest run, or by how many runs count; what has none comes last."""
    keyed = [(_rank(_sorted_by(one, field)), one) for one in groups]
    numbers = [one for one in keyed if one[0][0] == 0]
    texts = [one for one in keyed if one[0][0] == 1]
    rest = [one for one in keyed if one[0][0] == 2]
    for part in (numbers, texts):
        part.sort(key=lambda one: one[0][1], reverse=falling)
    return [one for _, one in (*numbers, *texts, *rest)]


def value_of(run: RunState, field: Field) -> Any:
    """What a run has under a key, or ABSENT."""
    if field.kind == "run":
        value = getattr(run, {"commit": "code_commit"}.get(field.name, field.name))
        return str(value) if isinstance(value, Status) else value
    return getattr(run, field.kind).get(field.name, ABSENT)


def _sorted_by(group: Group, field: Field | None) -> Any:
    if field is None:
        return group.n
    if field.kind == "metrics":
        found = group.metric(field.name)
        return found.mean if found.values else ABSENT
    if field.kind == "params":
        return group.params.get(field.name, dict(_by_name(group)).get(str(field), ABSENT))
    return value_of(group.newest, field)


def _by_name(group: Group) -> Iterator[tuple[str, Any]]:
    return ((str(field), value) for field, value in group.by)


def _rank(value: Any) -> tuple[int, Any]:
    """Numbers before texts, a NaN among them, and both before what is missing."""
    if value is ABSENT or value is None:
        return 2, 0
    if isinstance(value, int | float) and not isinstance(value, bool) and value == value:
        return 0, value
    return 1, value if isinstance(value, str) else json.dumps(value, default=str)


def _is_finished(run: RunState) -> bool:
    return run.status is Status.FINISHED and run.commit is not None


def _gather(runs: Iterable[RunState], key: Callable[[RunState], Hashable]) -> list[list[RunState]]:
    found: dict[Hashable, list[RunState]] = {}
    for run in runs:
        found.setdefault(key(run), []).append(run)
    return list(found.values())


def _outer_and_inner(runs: list[RunState]) -> list[list[RunState]]:
    """What ran inside a run is a part of it, and no repeat of it, though it may have the same params."""
    if not any(run.parent for run in runs):
        return [runs]
    ids = {run.id for run in runs}
    return [part for inner in (False, True) if (part := [run for run in runs if (run.parent in ids) is inner])]


class _Configurations:
    """Params without those like a seed; of runs with the same keys it is asked once which keys these are."""

    def __init__(self, seed_like: Collection[str]) -> None:
        self._seed_like = seed_like
        self._kept: dict[tuple[str, ...], list[str]] = {}

    def params(self, run: RunState) -> dict[str, Any]:
        keys = tuple(run.params)
        if keys not in self._kept:
            self._kept[keys] = list(repeats.configuration(run, self._seed_like))
        return {key: run.params[key] for key in self._kept[keys]}

    def key(self, run: RunState, grounds: Grounds) -> Hashable:
        """Equal for repeats."""
        if run.truncated:
            return run.id  # not all params are known here
        params = frozenset((key, _alike(value)) for key, value in self.params(run).items())
        return run.experiment, params, repeats.command_shape(run, self._seed_like), grounds


def _alike(value: Any) -> Hashable:
    """Equal for what `same` calls the same."""
    kind = type(value)
    if kind is str or kind is int or value is None:
        return value  # type: ignore[no-any-return]
    if kind is float:
        return value if value == value else ("nan",)
    if kind is bool:
        return "bool", value
    if isinstance(value, list | tuple):
        return ("list", *map(_alike, value))
    if isinstance(value, Mapping):
        return "mapping", frozenset((key, _alike(item)) for key, item in value.items())
    return value  # type: ignore[no-any-return]


def _shared(params: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first, *others = params
    return {
        key: value for key, value in first.items() if all(key in other and same(other[key], value) for other in others)
    }
