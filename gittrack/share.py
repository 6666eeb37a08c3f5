"""Sharing runs through a git remote, and their data through a DVC remote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gittrack.data.depot import Came, Depot
from gittrack.data.gc import released_objects
from gittrack.data.needed import Needed, needed_objects
from gittrack.errors import GittrackError, RemoteUnusable
from gittrack.git.remote import choose_remote
from gittrack.git.repository import Repository
from gittrack.ledger.sync import fetch_runs, push_runs, unshared
from gittrack.model.run import RunState


@dataclass(frozen=True, slots=True)
class Shared:
    """What moved: runs, objects and their bytes; `refused` refs and `absent` data, each with the reason."""

    remote: str
    runs: tuple[RunState, ...] = ()
    objects: int = 0
    bytes: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    held_back: int = 0

    @property
    def complete(self) -> bool:
        return not (self.refused or self.absent)


def push(
    repository: Repository, depot: Depot, runs: Sequence[RunState], remote: str | None = None, *, data: bool = True
) -> Shared:
    """Runs that the remote lacks, after the data of all: who sees a run can have its data.

    A run whose data could not be sent stays back, and the next push tries again. Raises RemoteUnusable when there are data and
    no place for them, GitFailed when the git remote does not answer.
    """
    name = choose_remote(repository, remote)
    recorded = [run for run in runs if run.commit is not None]
    wanted = unshared(repository, name)
    objects = bytes_ = 0
    absent: dict[str, str] = {}
    back: set[str] = set()
    if data:
        needed = _wanted(depot, needed_objects(repository, recorded))
        if needed:
            objects, bytes_, absent, back = _send(depot, needed)
    ids = {run.id for run in recorded}
    moved = push_runs(repository, name, [ref for run, ref in wanted.items() if run in ids and run not in back])
    arrived = set(moved.runs)
    return Shared(
        name,
        tuple(run for run in recorded if run.id in arrived),
        objects,
        bytes_,
        moved.refused,
        absent,
        len(back & wanted.keys()),
    )


def _send(depot: Depot, needed: Sequence[Needed]) -> tuple[int, int, dict[str, str], set[str]]:
    try:
        remote = depot.remote()
    except RemoteUnusable as error:
        runs = len({one.run.id for one in needed})
        raise RemoteUnusable(
            f"the data of {runs:,} {'run' if runs == 1 else 'runs'} cannot be pushed: {error}; or push without data (--no-data)"
        ) from None
    done = depot.send([one.pointer for one in needed], remote)
    absent: dict[str, str] = {}
    back: set[str] = set()
    if done.failed:
        for one in needed:
            objects, lists = depot.objects([one.pointer])
            reason = next((done.failed[oid] for oid in objects if oid in done.failed), None)
            if one.pointer.oid in lists:
                reason = reason or lists[one.pointer.oid]
            if reason is not None:
                absent[str(one)] = reason
                back.add(one.run.id)
    return done.done, done.bytes, absent, back


def fetch(
    repository: Repository,
    depot: Depot,
    states: Callable[[], Sequence[RunState]],
    remote: str | None = None,
    *,
    data: bool = True,
    everything: bool = False,
) -> Shared:
    """Runs that are new on the remote, and their data; `everything`: the data of all other runs too, where they lack any."""
    name = choose_remote(repository, remote)
    moved = fetch_runs(repository, name)
    new = set(moved.runs)
    known = [run for run in states() if run.commit is not None]
    arrived = tuple(run for run in known if run.id in new)
    came = Came()
    absent: dict[str, str] = {}
    if data:
        needed = _wanted(depot, needed_objects(repository, known if everything else arrived))
        came, absent = _bring(depot, needed)
    return Shared(name, arrived, came.objects, came.bytes, moved.refused, absent)


def _bring(depot: Depot, missing: Sequence[Needed]) -> tuple[Came, dict[str, str]]:
    """All at once; only where that fails one by one, to tell whose data could not be had."""
    before = [one for one in missing if not depot.here(one.pointer)]
    try:
        return depot.bring([one.pointer for one in before], what="data of runs"), {}
    except GittrackError:
        pass
    came = Came()
    absent: dict[str, str] = {}
    for one in before:
        try:
            came = came.and_more(depot.bring([one.pointer], what=one.called))
        except GittrackError as error:
            absent[str(one)] = str(error)
    return came, absent


def _wanted(depot: Depot, needed: Iterable[Needed]) -> list[Needed]:
    """Without what was let go here on purpose and has not come back: that is missing to nobody."""
    released = released_objects(depot.repository)
    return [one for one in needed if one.pointer.oid not in released or depot.here(one.pointer)]
