"""Repeats of one configuration: runs that share code, params, data and environment, but for what tells repeats apart.

What tells them apart are params like a seed or the number of a fold (`params.seed_like`), known by the last part of their key.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from gittrack.compare.align import same
from gittrack.compare.verdict import Repeats
from gittrack.domain.run import RunState, Status
from gittrack.errors import CorruptRecord
from gittrack.git.repository import Repository
from gittrack.ledger import layout

if TYPE_CHECKING:
    from gittrack.index.filter import Filter

# Params that the index is asked for; more would hardly leave fewer runs.
_ASKED = 12
_FOLD = "fold"
# Of an environment what may make a number differ; which machine it was, and which seeds, is another matter.
_MADE_WITH = ("python", "packages", "editable", "vcs", "lock_files", "container", "conda")


def find_repeats(
    repository: Repository, of: RunState, candidates: Iterable[RunState], seed_like: Collection[str]
) -> list[RunState]:
    """The run itself and its finished repeats, in the order in which they started.

    A run that is still active has none: its environment is not known yet. Files are read of those alone whose params agree.
    """
    if of.commit is None or of.truncated:
        return [of]
    mine = configuration(of, seed_like)
    alike = [
        one
        for one in candidates
        if one.id != of.id and _may_repeat(one) and _agree(mine, configuration(one, seed_like))
    ]
    if not alike:
        return [of]
    (ours, *theirs) = _grounds(repository, [of, *alike])
    found = [one for one, ground in zip(alike, theirs, strict=True) if ground == ours]
    return sorted([of, *found], key=lambda one: (one.started, one.id))


def narrow(run: RunState, seed_like: Collection[str]) -> Filter:
    """A filter that every repeat of a run passes, so that of ten thousand runs few have to be looked at."""
    from gittrack.index.filter import And, Compare, Field, Filter

    numbers = (
        Compare(Field("params", key), "=", value)
        for key, value in configuration(run, seed_like).items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    )
    return Filter(And((Compare(Field("run", "status"), "=", str(Status.FINISHED)), *islice(numbers, _ASKED))))


def configuration(run: RunState, seed_like: Collection[str]) -> dict[str, Any]:
    """The params of a run that its repeats share."""
    return {key: value for key, value in run.params.items() if not _tells_apart(key, seed_like)}


def samples(runs: Sequence[RunState], seed_like: Collection[str]) -> dict[str, Repeats]:
    """What repeats measured, by metric; a repeat without a metric is left out of it.

    Of several runs of one seed the last counts: the same thing done again is no second observation.
    """
    labelled = {_label(run, seed_like): run for run in runs}
    if () not in labelled:
        runs = list(labelled.values())
    folds = _folds(runs, seed_like)
    found: dict[str, Repeats] = {}
    for key in dict.fromkeys(key for run in runs for key in run.metrics):
        having = [run for run in runs if key in run.metrics]
        labels = tuple(_label(run, seed_like) for run in having)
        found[key] = Repeats(tuple(run.metrics[key] for run in having), labels if all(labels) else (), folds)
    return found


def _may_repeat(run: RunState) -> bool:
    return run.status is Status.FINISHED and run.commit is not None and not run.deleted and not run.truncated


def _agree(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)


def _tells_apart(key: str, seed_like: Collection[str]) -> bool:
    return key.rpartition(".")[2] in seed_like


def _label(run: RunState, seed_like: Collection[str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key, repr(value)) for key, value in run.params.items() if _tells_apart(key, seed_like)))


def _folds(runs: Sequence[RunState], seed_like: Collection[str]) -> int | None:
    """Of how many folds a cross-validation these runs are, where they are one."""
    if _FOLD not in seed_like:
        return None
    numbers = {repr(value) for run in runs for key, value in run.params.items() if key.rpartition(".")[2] == _FOLD}
    return len(numbers) if len(numbers) > 1 else None


def _grounds(repository: Repository, runs: Sequence[RunState]) -> Iterator[tuple[Any, ...]]:
    """Of each run the tree of its code, the data that it read, and what it was made with; one process asks git for all of it.

    Equal bytes are read once: repeats mostly have the same environment, and a file of it takes 10 ms to understand.
    """
    from gittrack.ledger.files import from_yaml

    names = [
        name
        for run in runs
        for name in (
            f"{run.code_commit}^{{tree}}",
            f"{run.commit}:{layout.FOLDER}/{layout.RUN}",
            f"{run.commit}:{layout.FOLDER}/{layout.ENVIRONMENT}",
        )
    ]
    answers = repository.read_objects(names)
    known: dict[bytes, Any] = {}
    for run, (_, kind, tree) in zip(runs, answers, strict=False):
        _, _, record = next(answers)
        _, _, environment = next(answers)
        # A commit that this clone lacks is known by its name alone; a run without one is like no other.
        code = tree if kind == "tree" else run.code_commit or run.id
        try:
            if environment not in known:
                plain = from_yaml(environment, "environment.yaml") if environment else None
                known[environment] = {key: plain.get(key) for key in _MADE_WITH} if isinstance(plain, dict) else None
            yield code, _inputs(record), known[environment]
        except CorruptRecord:
            yield run.id, None, None


def _inputs(record: bytes) -> dict[str, Any]:
    """Data by path; a record that names none is not read any further."""
    if b"\ninputs:" not in record:
        return {}
    from gittrack.ledger.files import from_yaml

    plain = from_yaml(record, "run.yaml")
    inputs = plain.get("inputs", ()) if isinstance(plain, dict) else ()
    rest = ({key: value for key, value in one.items() if key != "path"} for one in inputs)
    return {str(one.get("path", "?")): left.get("md5") or left for one, left in zip(inputs, rest, strict=True)}
