"""New events: built, signed where that is asked for, and put in force here or on a remote, all or none."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gittrack.domain.version import Version
from gittrack.errors import GitFailed, LostRace, RefConflict
from gittrack.git.objects import ObjectBatch, Signature
from gittrack.git.packs import pack_many_refs
from gittrack.git.refs import RefChange, change_refs
from gittrack.git.remote import create_refs, list_remote
from gittrack.git.repository import Repository
from gittrack.git.tags import sign_tag
from gittrack.registry.event import Event, to_message
from gittrack.registry.state import Model
from gittrack.registry.tagname import SEQUENCE, TAGS, Action, has_tag, sequence_ref
from gittrack.values import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Draft:
    """An event before it has a number."""

    action: Action
    commit: str
    run: str
    version: Version | None = None
    place: str | None = None
    message: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


def build(
    repository: Repository, model: Model, drafts: Sequence[Draft], author: Signature, *, sign: bool = False
) -> tuple[Event, ...]:
    """Tag objects for the drafts, as the next events of the model; nobody sees them before they are published.

    Each is at least a second later than the one before, whatever the clock says: others order by that.
    Raises NotSigned, OSError, GitFailed.
    """
    batch = ObjectBatch(repository)
    found: list[Event] = []
    number = model.number + 1
    previous = model.events[-1] if model.events else None
    for at, draft in enumerate(drafts):
        moment = author.time if previous is None else max(author.time, previous.time + 1)
        event = Event(
            model.name,
            number + at,
            draft.action,
            draft.commit,
            draft.run,
            draft.version,
            draft.place,
            operation=number,
            previous=None if previous is None else previous.object,
            author=author.identity,
            time=moment,
            clock=None if moment == author.time else author.time,
            message=draft.message,
            details=draft.details,
            signed=sign,
        )
        message = to_message(event, secrets.token_hex(8))
        tagger = replace(author, time=moment)
        if sign:
            object_id = sign_tag(repository, target=event.commit, name=event.tag, tagger=tagger, message=message)
        else:
            object_id = batch.tag(target=event.commit, name=event.tag, tagger=tagger, message=message)
        previous = replace(event, object=object_id)
        found.append(previous)
    batch.write()
    return tuple(found)


def refs_of(events: Sequence[Event]) -> dict[str, str]:
    """Every ref that the events get, with its object: the number first, for it decides who wins."""
    refs = {sequence_ref(one.model, one.number): one.object for one in events}
    return refs | {f"{TAGS}{one.tag}": one.object for one in events if has_tag(one.action)}


def publish_here(repository: Repository, events: Sequence[Event]) -> None:
    """Put events in force in this clone; raises LostRace when another process was first."""
    changes = [RefChange(ref, object_id, None) for ref, object_id in refs_of(events).items()]
    try:
        change_refs(repository, changes, "gittrack: model")
    except RefConflict as error:
        raise LostRace(f"somebody else changed the model {events[0].model} at this moment ({error})") from None
    pack_many_refs(repository, (TAGS, SEQUENCE))


def restore_tags(repository: Repository, models: Iterable[Model]) -> int:
    """Put tags back that went away beside their numbers, as a pruning fetch or a hand may do; returns how many."""
    there = repository.list_refs(TAGS)
    gone = {
        ref: one.object
        for model in models
        for one in model.events
        if has_tag(one.action) and (ref := f"{TAGS}{one.tag}") not in there
    }
    if gone:
        change_refs(repository, [RefChange(ref, one, None) for ref, one in gone.items()], "gittrack: model tags")
    return len(gone)


def publish_there(repository: Repository, remote: str, events: Sequence[Event]) -> None:
    """Put events in force on a remote, all or none; raises LostRace when it has other ones of these numbers, GitFailed."""
    refs = refs_of(events)
    missing = refs
    while True:
        try:
            refused = create_refs(repository, remote, missing).refused
        except GitFailed:
            # Perhaps all arrived and only the answer got lost.
            first = next(iter(refs))
            if list_remote(repository, remote, first).get(first) != refs[first]:
                raise
            return
        if not refused:
            return
        there = list_remote(repository, remote, *refs)
        taken = [ref for ref, object_id in refs.items() if there.get(ref, object_id) != object_id]
        if any(ref.startswith(SEQUENCE) for ref in taken):
            raise LostRace(f"somebody else changed the model {events[0].model} on {remote} first")
        if taken:
            tag = taken[0].removeprefix(TAGS)
            raise GitFailed(
                f"{remote} has a tag {tag!r} already that is no event of {events[0].model}: somebody pushed it with git, before "
                f"'gittrack push' or by hand; let them say 'gittrack push', or take it away with 'git push {remote} --delete {taken[0]}'"
            )
        left = {ref: object_id for ref, object_id in refs.items() if ref not in there}
        if not left:
            return
        if left.keys() == missing.keys():
            break
        # Somebody pushed our tags with `git push --tags`, without the numbers that make them count.
        missing = left
    ref, why = next(((ref, why) for ref, why in refused.items() if "atomic" not in why), next(iter(refused.items())))
    raise GitFailed(f"{remote} does not take {ref} ({why}); see who may create refs/tags and refs/gittrack there")
