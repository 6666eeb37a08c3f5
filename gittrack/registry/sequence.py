"""One model's sequence as it is in force here, read without looking at any other model; and what a new event follows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from gittrack.errors import CorruptRecord, GittrackError
from gittrack.git.repository import Repository
from gittrack.registry.event import Event, read_event
from gittrack.registry.read import Row, from_rows, is_row, to_row
from gittrack.registry.state import fold
from gittrack.registry.tagname import TAGS, Action, has_tag, parse_sequence, sequence_ref

_FORMAT = 1
# Of two pushes at once the later number may come to be there first.
_AHEAD = 5


class Known(NamedTuple):
    """How far a sequence goes, and what of it still says something.

    `kept` are, by version, the events that tell how it stands: thousands of versions came and went, and a new event is about
    one or two. `stray` are refs of numbers after a gap. `whole` reads every event.
    """

    newest: Event | None
    kept: Mapping[str, list[Row]]
    stray: Mapping[int, str]
    whole: Callable[[], tuple[Event, ...]]

    @property
    def number(self) -> int:
        return 0 if self.newest is None else self.newest.number

    def about(self, versions: Collection[str]) -> tuple[Event, ...]:
        """Events that add up to how some versions stand, and who holds a stage or an alias; the newest one is there, too."""
        rows = [row for version, rows in self.kept.items() if version in versions or _is_held(rows) for row in rows]
        events = {one.number: one for one in from_rows(rows)}
        if self.newest is not None:
            events.setdefault(self.newest.number, self.newest)
        return tuple(events[number] for number in sorted(events))


def _is_held(rows: list[Row]) -> bool:
    return any(row[_ACTION] in _HOLDS for row in rows)


# Where they stand in a row.
_ACTION, _VERSION, _PLACE = 2, 5, 6
_HOLDS = frozenset(one.value for one in (Action.ASSIGN, Action.ALIAS, Action.RETIRE))


def take(kept: dict[str, list[Row]], newest: Event | None, found: Sequence[Event]) -> None:
    """Let events that come after the newest take the place of those that say nothing any more.

    What cannot have happened counts for nothing.
    """
    if not found:
        return
    before = Known(newest, kept, {}, tuple).about({str(one.version) for one in found})
    strange = {event.object for event, _ in fold(found[0].model, (*before, *found)).strange}
    for event in found:
        if event.object not in strange:
            _keep(kept, event)


def _keep(kept: dict[str, list[Row]], event: Event) -> None:
    row = to_row(event)
    version, place, action = row[_VERSION] or "", row[_PLACE], event.action
    rows = kept.setdefault(version, [])
    if action is Action.UNASSIGN:
        rows[:] = [one for one in rows if not (one[_ACTION] == Action.ASSIGN and one[_PLACE] == place)]
        return
    if action in (Action.ALIAS, Action.UNALIAS):
        for others in kept.values():
            others[:] = [one for one in others if not (one[_ACTION] == Action.ALIAS and one[_PLACE] == place)]
    if action is not Action.UNALIAS:
        rows.append(row)


def read_sequence(repository: Repository, model: str) -> Known:
    """Raises CorruptRecord where an event does not follow the one before it.

    What was read is remembered beside the repository: an event names the one before, so that the newest stands for all.
    """
    newest, kept = _remembered(repository, model)
    if newest is not None:
        last, *ahead = (sequence_ref(model, newest.number + more) for more in range(_AHEAD))
        there = repository.list_refs(last, *ahead)
        if there.get(last) != newest.object:
            newest, kept = None, {}
        elif len(there) == 1:
            return Known(newest, kept, {}, lambda: _whole(repository, model))
    found, stray = _read(repository, model, newest)
    take(kept, newest, found)
    if found:
        newest = found[-1]
        _remember(repository, model, newest, kept)
    return Known(newest, kept, stray, lambda: _whole(repository, model))


def _whole(repository: Repository, model: str) -> tuple[Event, ...]:
    return tuple(_read(repository, model, None)[0])


def _read(repository: Repository, model: str, known: Event | None) -> tuple[list[Event], Mapping[int, str]]:
    """What the refs have beyond the newest that is known, and what they have after a gap."""
    listed = repository.list_refs(sequence_ref(model, 0).removesuffix("0"))
    numbered = {named[1]: one for ref, one in listed.items() if (named := parse_sequence(ref)) is not None}
    first = end = 1 if known is None else known.number + 1
    while end in numbered:
        end += 1
    left = {number: numbered[number] for number in range(first, end)}
    read = {name: (kind, data) for name, kind, data in repository.read_objects(dict.fromkeys(left.values()))}
    events: list[Event] = []
    before = known
    for number, one in left.items():
        kind, data = read[one]
        ref = sequence_ref(model, number)
        try:
            event = read_event(one, data) if kind == "tag" else None
        except GittrackError as error:
            raise CorruptRecord(
                f"{ref} in this repository cannot be read ({error}); who keeps it can mend it"
            ) from None
        if event is None or (event.model, event.number) != (model, number) or not follows(event, before):
            raise CorruptRecord(
                f"the sequence of {model} is broken: {ref} does not follow event {number - 1}; 'gittrack fsck' tells more, and who "
                "keeps this repository can mend it"
            )
        events.append(event)
        before = event
    return events, {number: one for number, one in numbered.items() if number > end}


def event_of(repository: Repository, ref: str, object_id: str) -> Event:
    """What a ref of the registry would hold; raises CorruptRecord, with a reason, and FormatTooNew."""
    name, kind, data = next(repository.read_objects([object_id]), (object_id, "missing", b""))
    if kind == "commit":
        raise CorruptRecord("it is a lightweight tag, and an event of a model is an annotated one")
    if kind != "tag":
        raise CorruptRecord(f"it is {kind}, not a tag object")
    event = read_event(name, data)
    if ref.startswith(TAGS):
        if ref[len(TAGS) :] != event.tag or not has_tag(event.action):
            raise CorruptRecord(f"it holds the tag {event.tag}")
    elif parse_sequence(ref) != (event.model, event.number):
        raise CorruptRecord(f"it holds event {event.number} of {event.model}")
    return event


def follows(event: Event, before: Event | None) -> bool:
    """Whether an event is the next one after another, and says so; the first after None."""
    if before is None:
        return event.number == 1 and event.previous is None
    return event.number == before.number + 1 and event.previous == before.object


def pending(repository: Repository, newest: Event | None, event: Event) -> list[Event]:
    """The events that are not in force yet up to this one, oldest first; empty where this one is.

    `newest` is in force. What lies between may come in the same push: then the objects are here. Raises CorruptRecord, with
    a reason, when it is no next one.
    """
    known = 0 if newest is None else newest.number
    found = [event]
    while found[-1].number > known:
        last = found[-1]
        if last.previous is None:
            if last.number == 1:
                return found[::-1]
            raise CorruptRecord(f"it does not say which event {last.number - 1} it follows")
        if last.number == known + 1 and newest is not None:
            if last.previous != newest.object:
                raise CorruptRecord(f"event {known} of {event.model} is another one here")
            return found[::-1]
        name, kind, data = next(repository.read_objects([last.previous]), (last.previous, "missing", b""))
        if kind == "missing":
            gap = f"event {last.number - 1} of {event.model} is missing before it"
            raise CorruptRecord(f"{gap}, and {f'the newest here is {known}' if known else 'none is here'}")
        if kind != "tag":
            raise CorruptRecord(f"what it follows is {kind}, not an event")
        before = read_event(name, data)
        if before.model != event.model or before.number != last.number - 1:
            raise CorruptRecord(f"it follows event {before.number} of {before.model}, not event {last.number - 1}")
        found.append(before)
    ref = sequence_ref(event.model, event.number)
    if repository.list_refs(ref).get(ref) != event.object:
        raise CorruptRecord(f"event {event.number} of {event.model} is another one here")
    return []


# --- remembered: all of it may be deleted at any time


def _file(model: str) -> str:
    return f"sequence-{model.replace('/', '=')}.json"


def _remembered(repository: Repository, model: str) -> tuple[Event | None, dict[str, list[Row]]]:
    import orjson

    try:
        plain: dict[str, Any] = orjson.loads((repository.home / _file(model)).read_bytes())
        # The other rows were written with the newest: to look at thousands takes longer than to use the few that are needed.
        if plain["format"] == _FORMAT and plain["model"] == model and is_row(plain["newest"]):
            return from_rows([plain["newest"]])[0], dict(plain["kept"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None, {}


def _remember(repository: Repository, model: str, newest: Event, kept: Mapping[str, list[Row]]) -> None:
    import orjson

    plain = {"format": _FORMAT, "model": model, "newest": to_row(newest), "kept": dict(kept)}
    try:
        repository.note(_file(model), orjson.dumps(plain).decode("utf-8"))
    except (OSError, TypeError):
        # A disk that cannot be written makes reading slow, not impossible.
        pass
