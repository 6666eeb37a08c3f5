"""Repeats of one configuration: runs that share code, command, params, data and environment, but for what tells repeats apart.

What tells them apart are params like a seed or the number of a fold (`params.seed_like`), known by the last part of their key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from gittrack.compare.align import same
from gittrack.compare.command import shape
from gittrack.compare.verdict import Repeats
from gittrack.domain.metric import FOLD_MAX, SYSTEM, fold_key, fold_of, folds_of
from gittrack.domain.run import RunState, Status
from gittrack.git.repository import Repository
from gittrack.grounds import find_grounds
from gittrack.values import replace

if TYPE_CHECKING:
    from gittrack.index.filter import Filter
    from gittrack.index.index import Index

# Params that the index is asked for; more would hardly leave fewer runs.
_ASKED = 12
# The index keeps no larger integers; a NaN is not below it either.
_ASKABLE = 2**63 - 1
_FOLD = "fold"
_Label = tuple[tuple[str, str], ...]


def find_repeats(
    repository: Repository, index: Index, of: RunState, candidates: Iterable[RunState], seed_like: Collection[str]
) -> list[RunState]:
    """The run itself and its finished repeats, one for each seed, in the order in which they started.

    A run that did not finish has none. Files are read of those alone whose params and commands agree.
    """
    if of.status is not Status.FINISHED or of.commit is None or of.truncated:
        return [of]
    mine, command = configuration(of, seed_like), command_shape(of, seed_like)
    alike = [
        one
        for one in candidates
        if one.id != of.id
        and _may_repeat(one)
        and _agree(mine, configuration(one, seed_like))
        and command_shape(one, seed_like) == command
    ]
    # What ran inside a run is a part of it, and no repeat of it, though it may have the same params.
    ids = {of.id, *(one.id for one in alike)}
    alike = [one for one in alike if (one.parent in ids) == (of.parent in ids)]
    if not alike:
        return [of]
    grounds = find_grounds(repository, index, [of, *alike])
    found = [one for one in alike if grounds[one.id] == grounds[of.id]]
    return distinct([of, *found], seed_like, of)


def narrow(run: RunState, seed_like: Collection[str]) -> Filter:
    """A filter that every repeat of a run passes, so that of ten thousand runs few have to be looked at."""
    from gittrack.index.filter import And, Compare, Field, Filter

    numbers = (
        Compare(Field("params", key), "=", value)
        for key, value in configuration(run, seed_like).items()
        if not isinstance(value, bool) and isinstance(value, int | float) and abs(value) <= _ASKABLE
    )
    return Filter(And((Compare(Field("run", "status"), "=", str(Status.FINISHED)), *islice(numbers, _ASKED))))


def configuration(run: RunState, seed_like: Collection[str]) -> dict[str, Any]:
    """The params of a run that its repeats share."""
    return {key: value for key, value in run.params.items() if not _tells_apart(key, seed_like)}


def command_shape(run: RunState, seed_like: Collection[str]) -> tuple[str, ...]:
    """What its repeats share of the command of a run; imported runs may have none, and then share that."""
    return shape(run.command, seed_like, [value for key, value in run.params.items() if _tells_apart(key, seed_like)])


def samples(runs: Sequence[RunState], seed_like: Collection[str]) -> dict[str, Repeats]:
    """What repeats measured, by metric; a repeat without a metric is left out of it.

    Where runs made folds, each in itself, of a metric, the values are those of the folds, and a run is a round. Beside runs that are
    folds one that is none, as the parent with the mean or a last fit of all data, is no further value.
    """
    found: dict[str, Repeats] = {}
    runs = _made_once(runs, seed_like)
    inside = [folds_of(run.metrics) for run in runs]
    for key in dict.fromkeys(_metric(key) for run in runs for key in run.metrics):
        rounds = [(run, folds[key]) for run, folds in zip(runs, inside, strict=True) if key in folds]
        if len({fold for _, folds in rounds for fold in folds}) > 1:
            found[key] = _of_rounds(rounds, seed_like)
            continue
        having = [run for run in runs if key in run.metrics]
        if not having:
            continue
        labelled = [(run, *_labels(run, seed_like)) for run in having]
        if len({fold for _, _, fold in labelled if fold}) > 1:
            labelled = [one for one in labelled if one[2]]
        having = [run for run, _, _ in labelled]
        _, seeds, folds = zip(*labelled, strict=True)
        if len(set(folds)) < 2:
            # A fold that is always the same one is no cross-validation.
            seeds, folds = tuple(seed + fold for seed, fold in zip(seeds, folds, strict=True)), ()
        found[key] = Repeats(tuple(run.metrics[key] for run in having), seeds if all(seeds) else (), folds)
    return found


def _made_once(runs: Sequence[RunState], seed_like: Collection[str]) -> Sequence[RunState]:
    """Without runs that nothing tells from another and that measured the same: they are that one, made again.

    Where all of them did, nobody knows whether any was made again, or the metrics never vary.
    """
    kept: dict[Any, RunState] = {}
    for run in runs:
        if not any(_labels(run, seed_like)):
            same_metrics = frozenset((key, repr(one)) for key, one in run.metrics.items() if not key.startswith(SYSTEM))
            kept.setdefault(same_metrics, run)
    if len(kept) < 2:
        return runs
    ids = {run.id for run in kept.values()}
    return [run for run in runs if run.id in ids or any(_labels(run, seed_like))]


def _metric(key: str) -> str:
    place = fold_of(key)
    return key if place is None else place[1]


def _of_rounds(rounds: Sequence[tuple[RunState, Mapping[int, float]]], seed_like: Collection[str]) -> Repeats:
    """Rounds without a seed are counted: which of them meets which does not matter, where all have the same folds."""
    labels = [_whole_label(run, seed_like) or (("round", str(at)),) for at, (run, _) in enumerate(rounds)]
    flat = [
        (value, label, fold) for label, (_, folds) in zip(labels, rounds, strict=True) for fold, value in folds.items()
    ]
    return Repeats(*zip(*flat, strict=True))


def _whole_label(run: RunState, seed_like: Collection[str]) -> _Label:
    seeds, folds = _labels(run, seed_like)
    return seeds + folds


def fold_runs(parent: str) -> Filter:
    """A filter that the runs inside another pass which may be folds of its cross-validation."""
    from gittrack.index.filter import And, Compare, Field, Filter

    return Filter(
        And((Compare(Field("run", "parent"), "=", parent), Compare(Field("run", "status"), "=", str(Status.FINISHED))))
    )


def with_folds(run: RunState, inner: Iterable[RunState], seed_like: Collection[str]) -> RunState:
    """A run with what those inside it measured, as if it had logged folds itself, where each has a param `fold`.

    Nothing else but what tells repeats apart may differ between them; of one fold the last run counts. A run that logged folds
    itself stays as it is, and so does one whose inner runs are something else.
    """
    folds = {
        fold: one
        for one in sorted(inner, key=lambda one: (one.started, one.id))
        if _may_repeat(one) and (fold := _fold_param(one)) is not None
    }
    if len(folds) < 2 or folds_of(run.metrics):
        return run
    apart = {*seed_like, _FOLD}
    first, *others = (configuration(one, apart) for one in folds.values())
    if not all(_agree(first, one) for one in others) or len({command_shape(one, apart) for one in folds.values()}) > 1:
        return run
    measured = {
        fold_key(fold, key): value
        for fold, one in sorted(folds.items())
        for key, value in one.metrics.items()
        if not key.startswith(SYSTEM) and fold_of(key) is None
    }
    return replace(run, metrics={**run.metrics, **measured})


def _fold_param(run: RunState) -> int | None:
    found = [value for key, value in run.params.items() if key.rpartition(".")[2] == _FOLD]
    if len(found) != 1 or isinstance(found[0], bool) or not isinstance(found[0], int | float):
        return None
    return int(found[0]) if 0 <= found[0] <= FOLD_MAX and found[0] == int(found[0]) else None


def distinct(runs: Iterable[RunState], seed_like: Collection[str], of: RunState | None = None) -> list[RunState]:
    """One run for each seed: the same thing done again is no second observation.

    `of` stays in any case; else it is the run that has the most metrics, the last of several. Runs without a seed all stay.
    """
    kept: dict[Any, RunState] = {}
    for run in sorted(runs, key=lambda one: (one.started, one.id)):
        label = _labels(run, seed_like)
        key = label if any(label) else run.id
        other = kept.get(key)
        if other is None or run is of or (other is not of and len(run.metrics) >= len(other.metrics)):
            kept[key] = run
    return sorted(kept.values(), key=lambda one: (one.started, one.id))


def _may_repeat(run: RunState) -> bool:
    return run.status is Status.FINISHED and run.commit is not None and not run.deleted and not run.truncated


def _agree(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)


def _tells_apart(key: str, seed_like: Collection[str]) -> bool:
    return key.rpartition(".")[2] in seed_like


def _labels(run: RunState, seed_like: Collection[str]) -> tuple[_Label, _Label]:
    """What tells a run apart from its repeats: its seeds, and its fold."""
    found = sorted((key, _exact(value)) for key, value in run.params.items() if _tells_apart(key, seed_like))
    folds = tuple(one for one in found if one[0].rpartition(".")[2] == _FOLD)
    return tuple(one for one in found if one not in folds), folds


def _exact(value: Any) -> str:
    """1 and 1.0 are one seed."""
    return repr(int(value) if isinstance(value, float) and value.is_integer() else value)
