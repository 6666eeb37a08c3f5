"""What the events of a model add up to: a fold by number, never by clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from gittrack.domain.policy import STAGES
from gittrack.domain.version import Version
from gittrack.errors import UnknownModel
from gittrack.registry.event import Event
from gittrack.registry.tagname import LATEST, NONE, Action
from gittrack.values import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class VersionState:
    """A version as it stands: its registration, the stages that it holds, its aliases, who approved it."""

    registered: Event
    stages: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    approvals: tuple[Event, ...] = ()
    deprecated: Event | None = None

    @property
    def version(self) -> Version:
        assert self.registered.version is not None
        return self.registered.version


@dataclass(frozen=True)
class Model:
    """A model as it stands after `events`; `versions` ascend.

    `past` are, by stage, its holders one promotion after the other, without what was rolled back: the last is what is there, or was
    before the stage became empty. `strange` are events that cannot have happened, with the reason; they count for nothing.
    """

    name: str
    versions: Mapping[Version, VersionState] = field(default_factory=dict)
    holders: Mapping[str, tuple[Version, ...]] = field(default_factory=dict)
    aliases: Mapping[str, Version] = field(default_factory=dict)
    past: Mapping[str, tuple[tuple[Version, ...], ...]] = field(default_factory=dict)
    retired: Event | None = None
    events: tuple[Event, ...] = ()
    strange: tuple[tuple[Event, str], ...] = ()

    @property
    def number(self) -> int:
        """Of the newest event."""
        return self.events[-1].number if self.events else 0

    @property
    def newest(self) -> VersionState | None:
        """The highest version that is not deprecated, a pre-release only where there is nothing else."""
        alive = [one for one in self.versions.values() if one.deprecated is None]
        whole = [one for one in alive if not one.version.pre]
        found = whole or alive
        return found[-1] if found else None

    def find(self, text: str) -> VersionState:
        """A version by itself, a stage that one version holds, an alias, or `latest`; raises UnknownModel."""
        version = Version.read(text)
        if version is not None:
            if version in self.versions:
                return self.versions[version]
            raise UnknownModel(f"model {self.name} has no version {version.short}; it has {self._known_versions()}")
        held = self.holders.get(text, ())
        if len(held) == 1:
            return self.versions[held[0]]
        if text == LATEST and self.newest is not None:
            return self.newest
        # Last, so that no alias leads a stage elsewhere.
        if text in self.aliases and text not in self.past:
            return self.versions[self.aliases[text]]
        if held:
            listed = ", ".join(one.short for one in held)
            raise UnknownModel(f"{len(held)} versions of {self.name} are in {text} ({listed}); say which one")
        known = sorted({*self.aliases, *(stage for stage, held in self.holders.items() if held), LATEST})
        from difflib import get_close_matches  # only for a mistake

        near = get_close_matches(text, known, n=1)
        if text in self.past:
            raise UnknownModel(
                f"no version of {self.name} is in {text} now; 'gittrack model history {self.name}' tells what was"
            )
        raise UnknownModel(
            f"model {self.name} has no version, stage or alias {text!r}"
            + (f"; did you mean {near[0]!r}?" if near else f"; it has {self._known_versions()}, {', '.join(known)}")
        )

    def _known_versions(self) -> str:
        names = [one.short for one in self.versions]
        return ", ".join(names[-8:]) + (f" and {len(names) - 8} older ones" if len(names) > 8 else "") or "none"

    def entry(self, stage: str, version: Version) -> Event:
        """The event by which a version that holds a stage entered it."""
        return next(
            one
            for one in reversed(self.events)
            if one.action is Action.ASSIGN and one.place == stage and one.version == version
        )

    def before(self, stage: str) -> tuple[Version, ...]:
        """Who a rollback of a stage would bring back; empty when nobody was there before."""
        now = self.holders.get(stage, ())
        for held in reversed(self.past.get(stage, ())):
            if set(held) != set(now) and all(self.versions[one].deprecated is None for one in held):
                return held
        return ()


def fold(name: str, events: Iterable[Event]) -> Model:
    """The model after all of the events, in the order of their numbers; each number counts once."""
    ordered = sorted(events, key=lambda one: one.number)
    state = _Fold()
    for _, operation in groupby(ordered, key=lambda one: one.operation):
        state.take(list(operation))
    return state.model(name, ordered)


def until(model: Model, moment: float) -> Model:
    """The model as it stood at a moment, by what the events say of their time, which never goes back.

    An operation was made when the first of its events was; the others come a second later each for the order alone.
    """
    began: dict[int, float] = {}
    for one in model.events:
        began.setdefault(one.operation, one.time)
    return fold(model.name, [one for one in model.events if began[one.operation] <= moment])


class _Fold:
    """A model while its events are being counted."""

    def __init__(self) -> None:
        self.versions: dict[Version, VersionState] = {}
        self.holders: dict[str, list[Version]] = {}
        self.aliases: dict[str, Version] = {}
        self.past: dict[str, list[tuple[Version, ...]]] = {}
        self.retired: Event | None = None
        self.strange: list[tuple[Event, str]] = []

    def take(self, operation: Sequence[Event]) -> None:
        moved: dict[str, bool] = {}
        for event in operation:
            reason = self._apply(event)
            if reason:
                self.strange.append((event, reason))
            elif event.action in (Action.ASSIGN, Action.UNASSIGN):
                stage = str(event.place)
                moved[stage] = moved.get(stage, False) or "rollback" in event.details
        for stage, back in moved.items():
            held = tuple(self.holders[stage])
            past = self.past.setdefault(stage, [])
            if back and any(set(one) == set(held) for one in past):
                # They may have come back in another order.
                while set(past[-1]) != set(held):
                    past.pop()
            elif held and (not past or past[-1] != held):
                past.append(held)

    def _apply(self, event: Event) -> str:
        """Returns why the event cannot have happened; empty where it has."""
        if event.action is Action.RETIRE:
            self.retired = event
            return ""
        version = event.version
        if version is None:
            return "it names no version"
        if event.action is Action.REGISTER:
            if version in self.versions:
                return f"version {version} was registered before"
            self.versions[version] = VersionState(event)
            return ""
        if version not in self.versions:
            return f"version {version} was not registered before"
        if event.commit != self.versions[version].registered.commit:
            return f"it is on another commit than version {version}"
        if event.action is Action.DEPRECATE:
            self.versions[version] = replace(self.versions[version], deprecated=event)
        elif event.action is Action.APPROVE:
            approvals = (*self.versions[version].approvals, event)
            self.versions[version] = replace(self.versions[version], approvals=approvals)
        elif event.place is None:
            return "it names no stage or alias"
        elif event.action is Action.ASSIGN:
            held = self.holders.setdefault(event.place, [])
            if version in held:
                return f"version {version} was in {event.place} already"
            held.append(version)
        elif event.action is Action.UNASSIGN:
            if version not in self.holders.get(event.place, ()):
                return f"version {version} was not in {event.place}"
            self.holders[event.place].remove(version)
        elif event.action is Action.ALIAS:
            if event.place in STAGES or event.place in (NONE, LATEST) or Version.read(event.place):
                return f"{event.place} means something else already"
            self.aliases[event.place] = version
        elif self.aliases.pop(event.place, None) is None:
            return f"there was no alias {event.place}"
        return ""

    def model(self, name: str, events: Sequence[Event]) -> Model:
        versions = {}
        for version in sorted(self.versions):
            versions[version] = replace(
                self.versions[version],
                stages=tuple(stage for stage, held in self.holders.items() if version in held),
                aliases=tuple(sorted(alias for alias, one in self.aliases.items() if one == version)),
            )
        return Model(
            name,
            versions,
            {stage: tuple(held) for stage, held in self.holders.items() if held},
            dict(self.aliases),
            {stage: tuple(past) for stage, past in self.past.items()},
            self.retired,
            tuple(events),
            tuple(self.strange),
        )
