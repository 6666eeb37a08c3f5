"""Reading the registry: from refs to models, with everything that cannot be trusted named and left out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from gittrack.domain.version import Version
from gittrack.errors import CorruptRecord, FormatTooNew, UnknownModel
from gittrack.git.repository import Repository
from gittrack.registry.event import Event, read_event
from gittrack.registry.state import Model, fold
from gittrack.registry.tagname import SEQUENCE, TAGS, Action, has_tag, parse_sequence, parse_tag, sequence_ref
from gittrack.values import dataclass, field, fields

_CACHE = "registry.json"
_CACHE_FORMAT = 3


_FETCH = "'gittrack fetch' may bring what is missing"


class Finding(NamedTuple):
    """A ref of the registry that cannot be trusted, why, and what to do."""

    ref: str
    reason: str
    step: str = "nothing of it counts; look at it with 'git cat-file -p', and take it away if nobody needs it"

    @property
    def model(self) -> str:
        numbered = parse_sequence(self.ref)
        if numbered is not None:
            return numbered[0]
        found = parse_tag(self.ref.removeprefix(TAGS))
        return "" if found is None else found.model


@dataclass(frozen=True)
class Registry:
    """All models by name, and what was left out of them."""

    models: Mapping[str, Model] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def is_foreign(self, finding: Finding) -> bool:
        """Whether it may just be a tag of somebody's that looks like one of ours: of no model that is here."""
        return finding.model not in self.models

    def get(self, name: str) -> Model:
        """Raises UnknownModel, with the nearest name."""
        if name in self.models:
            return self.models[name]
        from difflib import get_close_matches  # only for a mistake

        near = get_close_matches(name, self.models, n=1)
        known = ", ".join(sorted(self.models)[:8])
        hint = f"did you mean {near[0]!r}?" if near else f"there is {known}" if known else ""
        raise UnknownModel(
            f"there is no model {name!r}; {hint or 'register one first: gittrack model register NAME RUN'}"
        )


class _Folded(Mapping[str, Model]):
    """Models by name, each added up when somebody looks at it: most commands look at one."""

    def __init__(self, events: Mapping[str, Callable[[], Sequence[Event]]]) -> None:
        self._events = events
        self._models: dict[str, Model] = {}

    def __getitem__(self, name: str) -> Model:
        if name not in self._models:
            self._models[name] = fold(name, self._events[name]())
        return self._models[name]

    def __contains__(self, name: object) -> bool:
        return name in self._events

    def __iter__(self) -> Iterator[str]:
        return iter(self._events)

    def __len__(self) -> int:
        return len(self._events)


def read_registry(repository: Repository) -> Registry:
    """Every model of this repository."""
    listed = repository.list_refs(TAGS, SEQUENCE)
    if not listed:
        return Registry()
    import hashlib  # the update hook reads one model, and does without

    # Of all tags, for to tell which are ours takes longer than everything else.
    text = "".join([f"{ref} {object_id}\n" for ref, object_id in listed.items()])
    key = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    rows, findings = _remembered(repository, key)
    if findings is not None:
        return Registry(_Folded({name: partial(from_rows, rows[name]) for name in rows}), findings)
    known = {event.object: event for name in rows for event in from_rows(rows[name])}
    events, found = _read(repository, _ours(listed), known)
    models = {name: fold(name, events[name]) for name in sorted(events)}
    found += [
        Finding(_ref_of(event), f"it cannot have happened: {reason}")
        for model in models.values()
        for event, reason in model.strange
    ]
    _remember(repository, key, models, found)
    return Registry(models, tuple(found))


def registry_refs(repository: Repository) -> dict[str, str]:
    """The registry's refs and the objects that they hold, of whatever kind."""
    return _ours(repository.list_refs(TAGS, SEQUENCE))


def _ours(listed: Mapping[str, str]) -> dict[str, str]:
    return {ref: one for ref, one in listed.items() if ref.startswith(SEQUENCE) or parse_tag(ref[len(TAGS) :])}


def _ref_of(event: Event) -> str:
    return f"{TAGS}{event.tag}" if has_tag(event.action) else sequence_ref(event.model, event.number)


# --- from objects


def _read(
    repository: Repository, refs: Mapping[str, str], known: Mapping[str, Event]
) -> tuple[dict[str, list[Event]], list[Finding]]:
    """Events by model. Objects never change: what is `known` by its id is not read again."""
    read: dict[str, Event | str] = {one: known[one] for one in refs.values() if one in known}
    for name, kind, data in repository.read_objects(dict.fromkeys(one for one in refs.values() if one not in known)):
        read[name] = _event(name, kind, data)
    return _judge(refs, read)


def _event(object_id: str, kind: str, data: bytes) -> Event | str:
    if kind != "tag":
        return (
            "it is a lightweight tag, or points to no tag at all"
            if kind in ("commit", "tree", "blob")
            else f"it is {kind}"
        )
    try:
        return read_event(object_id, data)
    except (CorruptRecord, FormatTooNew) as error:
        return str(error)


def _judge(refs: Mapping[str, str], read: Mapping[str, Event | str]) -> tuple[dict[str, list[Event]], list[Finding]]:
    """Which events count: those whose ref is the one that they say, in the order of their numbers."""
    findings: list[Finding] = []
    numbered: dict[str, dict[int, Event]] = {}
    tagged: dict[str, Event] = {}
    for ref, object_id in refs.items():
        event = read[object_id]
        if isinstance(event, str):
            findings.append(Finding(ref, event))
        elif ref.startswith(SEQUENCE):
            if parse_sequence(ref) == (event.model, event.number):
                numbered.setdefault(event.model, {})[event.number] = event
            else:
                findings.append(Finding(ref, f"it holds event {event.number} of {event.model}: somebody moved it"))
        elif ref[len(TAGS) :] == event.tag and has_tag(event.action):
            tagged[ref] = event
        else:
            findings.append(Finding(ref, f"it holds the tag {event.tag}: somebody moved it"))
    complete = set(numbered)
    for ref, event in tagged.items():
        if event.model not in complete:
            # A plain clone has the tags alone; then they are all that there is to go by.
            other = numbered.setdefault(event.model, {}).setdefault(event.number, event)
            if other.object != event.object:
                findings.append(Finding(ref, f"it has the number of {other.tag}: one of the two never counted", _FETCH))
        elif event.number not in numbered[event.model]:
            findings.append(Finding(ref, f"event {event.number} of {event.model} is not in its sequence", _FETCH))
        elif numbered[event.model][event.number].object != event.object:
            findings.append(
                Finding(ref, f"event {event.number} of {event.model} is another one: somebody made this tag anew")
            )
    for model, sequence in numbered.items():
        findings += _broken(model, sequence, refs, model in complete)
    return {model: list(sequence.values()) for model, sequence in numbered.items()}, findings


def _broken(model: str, sequence: Mapping[int, Event], refs: Mapping[str, str], complete: bool) -> Iterable[Finding]:
    """Links of the chain that do not hold; without refs of the sequence only times can be compared."""
    before: Event | None = None
    for number in sorted(sequence):
        event = sequence[number]
        ref = sequence_ref(model, number)
        tag = f"{TAGS}{event.tag}"
        if complete:
            if number != (before.number if before else 0) + 1:
                yield Finding(ref, f"event {number - 1} of {model} is missing before it", _FETCH)
            elif event.previous != (before.object if before else None):
                yield Finding(ref, f"it does not follow event {number - 1} that is here: one of the two was made anew")
            if has_tag(event.action) and tag not in refs:
                yield Finding(
                    tag, f"the tag of event {number} of {model} is gone", "'gittrack fsck --repair' puts it back"
                )
        if before is not None and event.time <= before.time:
            yield Finding(ref if complete else tag, f"its time is not after that of event {before.number}")
        before = event


# --- remembered: all of it may be deleted at any time


Row = list[Any]


def _remembered(repository: Repository, key: str) -> tuple[Mapping[str, list[Row]], tuple[Finding, ...] | None]:
    """Events by model as they were when somebody last looked; and what was found then, None where the refs were others."""
    import orjson

    try:
        plain = orjson.loads((repository.home / _CACHE).read_bytes())
        if plain["format"] != _CACHE_FORMAT:
            return {}, None
        findings = tuple(Finding(*one) for one in plain["findings"])
        if not all(is_row(row) for rows in plain["models"].values() for row in rows):
            return {}, None
        return dict(plain["models"]), findings if plain["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return {}, None


def _remember(repository: Repository, key: str, models: Mapping[str, Model], findings: Iterable[Finding]) -> None:
    import orjson

    plain: dict[str, Any] = {
        "format": _CACHE_FORMAT,
        "key": key,
        "models": {name: [to_row(one) for one in model.events] for name, model in models.items()},
        "findings": list(findings),
    }
    try:
        repository.note(_CACHE, orjson.dumps(plain).decode("utf-8"))
    except (OSError, TypeError):
        # A disk that cannot be written makes reading slow, not impossible.
        pass


def is_row(row: Row) -> bool:
    """Whether it may be one that this version wrote."""
    return len(row) == _FIELDS and row[2] in _ACTIONS


def to_row(event: Event) -> Row:
    """An event as JSON holds it."""
    return [
        event.model, event.number, event.action.value, event.commit, event.run,
        None if event.version is None else str(event.version),
        event.place, event.operation, event.previous, event.author, event.time, event.clock, event.message,
        dict(event.details), event.object, event.signed,
    ]  # fmt: skip


def from_rows(rows: list[Row]) -> list[Event]:
    """What `to_row` wrote; raises KeyError, TypeError or ValueError for anything else."""
    return [_from_row(list(row)) for row in rows]


def _from_row(row: Row) -> Event:
    row[2] = _ACTIONS[row[2]]
    row[5] = None if row[5] is None else _version(row[5])
    return Event(*row)


_FIELDS = len(fields(Event))
_ACTIONS = {one.value: one for one in Action}
# Many events name few versions.
_version = functools.cache(Version.parse)
