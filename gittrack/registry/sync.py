"""The registry and a remote: events go and come by their numbers, and of two with one number the shared one counts."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import groupby

from gittrack.errors import GitFailed, GittrackError, LostRace, RefConflict
from gittrack.git.packs import pack_many_refs
from gittrack.git.refs import RefChange, change_refs
from gittrack.git.remote import create_refs, fetch_refs, list_remote
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.registry.event import Event, read_event
from gittrack.registry.read import read_registry, registry_refs
from gittrack.registry.record import publish_there, refs_of
from gittrack.registry.tagname import LOST, SEQUENCE, SHARED, TAGS, parse_sequence, parse_tag, sequence_ref
from gittrack.values import dataclass, field

_TRIES = 10


@dataclass(slots=True)
class Synced:
    """Events that moved; `lost` are those of this clone that somebody else was faster than; `refused` refs with the reason.

    `there` are the refs that a remote had when it was asked.
    """

    events: list[Event] = field(default_factory=list)
    lost: list[Event] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    there: Mapping[str, str] = field(default_factory=dict)


def there_of(repository: Repository, remote: str) -> dict[str, str]:
    """The registry's refs on a remote."""
    listed = list_remote(repository, remote, f"{SEQUENCE}*", f"{TAGS}*")
    models = {named[0] for ref in listed if (named := parse_sequence(ref))}

    def is_ours(ref: str) -> bool:
        # A tag of somebody's own may look like one of ours.
        tag = parse_tag(ref.removeprefix(TAGS))
        return parse_sequence(ref) is not None or (tag is not None and tag.model in models)

    return {ref: one for ref, one in listed.items() if is_ours(ref)}


def fetch_registry(repository: Repository, remote: str) -> Synced:
    """Take in what a remote has; events of this clone that were never shared and whose number is taken there are set aside.

    Raises GitFailed when it does not answer.
    """
    for tries in range(_TRIES):
        there, here = there_of(repository, remote), registry_refs(repository)
        wanted = {ref: one for ref, one in there.items() if here.get(ref) != one}
        if not wanted:
            _mark_shared(repository, there)
            return Synced(there=there)
        with _brought(repository, remote, wanted):
            try:
                return _take(repository, wanted, there, here)
            except RefConflict:
                # Another process of this clone fetches, or changes a model.
                if tries == _TRIES - 1:
                    raise
    raise AssertionError("unreachable")


def _shared(marks: Iterable[str]) -> dict[str, int]:
    """By model the number of the newest event that any remote is known to have had: up to there nothing is ever taken back."""
    found = {}
    for ref in marks:
        name, _, number = ref.removeprefix(SHARED).rpartition("/")
        if number.isdecimal():
            found[name.replace("=", "/")] = int(number)
    return found


def newest_shared(repository: Repository, model: str) -> int:
    """The number of the newest event of a model that any remote is known to have had; 0 where none is."""
    return _shared(repository.list_refs(f"{SHARED}{model.replace('/', '=')}/")).get(model, 0)


def _mark_shared(repository: Repository, there: Mapping[str, str]) -> None:
    """Remember what a remote has of what is here too."""
    here = repository.list_refs(SEQUENCE)
    newest: dict[str, tuple[int, str]] = {}
    for ref, one in there.items():
        named = parse_sequence(ref)
        if named is not None and here.get(ref) == one:
            newest[named[0]] = max(newest.get(named[0], (0, "")), (named[1], one))
    mark_shared(repository, newest)


def mark_shared(repository: Repository, newest: Mapping[str, tuple[int, str]]) -> None:
    """Remember the newest shared event of models, by number and object; never an earlier one than before."""
    old = repository.list_refs(SHARED)
    known = _shared(old)
    changes = []
    for model, (number, object_id) in newest.items():
        place = f"{SHARED}{model.replace('/', '=')}/"
        if number > known.get(model, 0):
            changes.append(RefChange(f"{place}{number}", object_id, None))
            changes += [RefChange(ref, None, one) for ref, one in old.items() if ref.startswith(place)]
    if changes:
        with suppress(RefConflict):
            # Somebody else remembers the same.
            change_refs(repository, changes, "gittrack: shared")


@contextmanager
def _brought(repository: Repository, remote: str, refs: Iterable[str]) -> Iterator[None]:
    """The objects of a remote's refs, for as long as they are looked at; no ref of ours changes."""
    token = f"{layout.INCOMING}{os.getpid()}-{uuid.uuid4().hex[:8]}/"
    try:
        fetch_refs(repository, remote, {ref: f"{token}{number}" for number, ref in enumerate(refs)})
        yield
    finally:
        left = repository.list_refs(token)
        change_refs(repository, [RefChange(ref, None, tip) for ref, tip in left.items()])


def events_there(repository: Repository, remote: str, model: str, first: int) -> list[Event]:
    """Events of a model that a remote has from a number on, without taking them in; raises GitFailed."""
    listed = list_remote(repository, remote, sequence_ref(model, 0).removesuffix("0") + "*")
    refs = {ref: one for ref, one in listed.items() if (named := parse_sequence(ref)) and named[1] >= first}
    if not refs:
        return []
    with _brought(repository, remote, refs):
        found = _read(repository, refs.values())
    return sorted(found.values(), key=lambda one: one.number)


def _take(
    repository: Repository, wanted: Mapping[str, str], there: Mapping[str, str], here: Mapping[str, str]
) -> Synced:
    done = Synced(there=there)
    changes = {ref: RefChange(ref, one, None) for ref, one in wanted.items() if ref not in here}
    theirs = _read(repository, (one for ref, one in wanted.items() if ref.startswith(SEQUENCE)))
    beaten: dict[str, int] = {}
    shared = _shared(repository.list_refs(SHARED))
    for ref, one in wanted.items():
        number = parse_sequence(ref)
        if ref not in here or number is None:
            continue
        event = theirs.get(one)
        if event is None or (event.model, event.number) != number:
            done.refused[ref] = "what the remote has there is no event of this model; look at it with 'git ls-remote'"
        elif number[1] <= shared.get(number[0], 0):
            done.refused[ref] = (
                f"event {number[1]} of {number[0]} was shared before, and the remote has another one now: somebody rewrote it "
                "there; ask who keeps the host, and take nothing of this model from there until then"
            )
        else:
            beaten[number[0]] = min(number[1], beaten.get(number[0], number[1]))
    for event in _own(repository, beaten):
        # From the first number on that somebody else had before us, nothing of ours follows what is in force.
        done.lost.append(event)
        aside = f"{LOST}{event.model.replace('/', '=')}/{event.number}-{event.object[:12]}"
        changes[aside] = RefChange(aside, event.object, repository.resolve(aside, None))
        for ref, object_id in refs_of([event]).items():
            if here.get(ref) == object_id:
                changes[ref] = RefChange(ref, there.get(ref), object_id)
    for ref, one in wanted.items():
        if ref in here and ref not in changes and ref not in done.refused:
            done.refused[ref] = (
                f"here it is {here[ref][:12]}, there {one[:12]}; one of the two was moved, see 'gittrack fsck'"
            )
    rewritten = {named[0] for ref in done.refused if (named := parse_sequence(ref))}
    for ref in [ref for ref in changes if _model_of(ref) in rewritten]:
        # What follows on what was rewritten follows on nothing that is here.
        del changes[ref]
    change_refs(repository, list(changes.values()), "gittrack: fetch models")
    pack_many_refs(repository, (TAGS, SEQUENCE))
    _mark_shared(repository, there)
    come = (event for event in theirs.values() if sequence_ref(event.model, event.number) in changes)
    done.events = sorted(come, key=lambda one: (one.model, one.number))
    return done


def _model_of(ref: str) -> str:
    numbered, tag = parse_sequence(ref), parse_tag(ref.removeprefix(TAGS))
    return numbered[0] if numbered else tag.model if tag else ""


def _read(repository: Repository, objects: Iterable[str]) -> dict[str, Event]:
    found = {}
    for name, kind, data in repository.read_objects(dict.fromkeys(objects)):
        if kind == "tag":
            try:
                found[name] = read_event(name, data)
            except GittrackError:
                continue
    return found


def _own(repository: Repository, beaten: Mapping[str, int]) -> list[Event]:
    if not beaten:
        return []
    models = read_registry(repository).models
    return [
        event
        for name, number in beaten.items()
        if name in models
        for event in models[name].events
        if event.number >= number
    ]


def push_registry(repository: Repository, remote: str, *, only: str | None = None) -> Synced:
    """Send every event that a remote lacks, or only those of one model, one operation after the other.

    Raises GitFailed when it does not answer.
    """
    done = Synced()
    models = [one for one in read_registry(repository).models.values() if only in (None, one.name)]
    if not models:
        return done
    there = there_of(repository, remote)
    for model in models:
        waiting = [one for one in model.events if any(there.get(ref) != one.object for ref in refs_of([one]))]
        taken = next(
            (one for one in waiting if there.get(sequence_ref(one.model, one.number), one.object) != one.object), None
        )
        if taken is not None:
            done.lost += [one for one in waiting if one.number >= taken.number]
            continue
        for _, operation in groupby(waiting, key=lambda one: one.operation):
            events = list(operation)
            missing = [one for one in events if sequence_ref(one.model, one.number) not in there]
            try:
                # A host tells nobody of tags of which more than three come at once: so each operation by itself.
                if missing:
                    publish_there(repository, remote, missing)
                else:
                    _mend_there(
                        repository, remote, {ref: one for ref, one in refs_of(events).items() if ref not in there}
                    )
            except LostRace:
                done.lost += [one for one in waiting if one.number >= events[0].number]
                break
            except GittrackError as error:
                done.refused[sequence_ref(model.name, events[0].number)] = str(error)
                break
            done.events += events
    mark_shared(repository, {one.model: (one.number, one.object) for one in done.events})
    return done


def _mend_there(repository: Repository, remote: str, refs: Mapping[str, str]) -> None:
    """Tags that went away there while their numbers stayed; raises GitFailed."""
    for ref, why in create_refs(repository, remote, refs).refused.items():
        raise GitFailed(f"{remote} does not take {ref} ({why}); see who may create refs/tags there")
