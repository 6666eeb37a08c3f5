"""Before a push: tags of models that go out are events in their order, and let in by the policy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gittrack.errors import CorruptRecord, FormatTooNew
from gittrack.hooks.call import Call, Verdict
from gittrack.hooks.going import Going, refs_going, remote_of
from gittrack.registry.tagname import SEQUENCE, TAGS, parse_sequence, parse_tag, sequence_ref

if TYPE_CHECKING:
    from gittrack.git.repository import Repository
    from gittrack.registry.event import Event


def check(call: Call) -> Verdict:
    """Of all refs that git names; in the pre-commit framework of the first one alone, for it tells of no other."""
    by_model: dict[str, list[Going]] = {}
    refusals = []
    for one in refs_going(call):
        model = _model_of(one.ref)
        if model:
            by_model.setdefault(model, []).append(one)
        elif one.ref.startswith(SEQUENCE) and one.new is not None:
            refusals.append(f"{one.ref}: no event of a model has such a number; let 'gittrack push' send them")
    remote = remote_of(call)
    for model, going in by_model.items():
        refusals += [f"{ref}: {why}" for ref, why in _refused(call.repository, remote, model, going)]
    return Verdict(tuple(refusals))


def _model_of(ref: str) -> str:
    """The model to whose events a ref belongs by its name, or nothing."""
    numbered = parse_sequence(ref)
    if numbered is not None:
        return numbered[0]
    tag = parse_tag(ref[len(TAGS) :]) if ref.startswith(TAGS) else None
    return "" if tag is None else tag.model


def _refused(repository: Repository, remote: str, model: str, going: list[Going]) -> Iterable[tuple[str, str]]:
    """Each ref of a model that may not go as it is, and the sentence that says why."""
    from gittrack.registry.read import read_registry
    from gittrack.registry.sequence import event_of
    from gittrack.registry.sync import newest_shared

    registry = read_registry(repository)
    broken = next((one for one in registry.findings if one.model == model and one.ref.startswith(SEQUENCE)), None)
    if broken is not None:
        yield going[0].ref, f"the sequence of {model} is broken here ({broken.ref}: {broken.reason}); {broken.step}"
        return
    here = registry.models[model].events if model in registry.models else ()
    shared = here[: newest_shared(repository, model)]
    events: dict[str, Event] = {}
    for one in going:
        if one.new is None:
            if _counts(repository, one, here):
                yield (
                    one.ref,
                    f"events of models are never deleted; 'gittrack model deprecate {model}@VERSION' says that it is not to be used",
                )
        elif one.old is not None:
            yield (
                one.ref,
                "it is there already, and events of models are never moved; a change is a new event: 'gittrack promote'",
            )
        else:
            try:
                events[one.ref] = event_of(repository, one.ref, one.new)
            except (CorruptRecord, FormatTooNew) as error:
                yield one.ref, f"{error}; let 'gittrack model register' or 'gittrack promote' make it"
    yield from _out_of_order(repository, remote, shared, events)


def _counts(repository: Repository, one: Going, here: tuple[Event, ...]) -> bool:
    """Whether a ref that is to go away holds an event, as far as that is known here; a tag that never got its number does not."""
    from gittrack.registry.sequence import event_of

    if here or one.ref.startswith(SEQUENCE) or one.old is None:
        return one.ref.startswith(SEQUENCE) or one.old is None or one.old in {event.object for event in here}
    try:
        event_of(repository, one.ref, one.old)
    except (CorruptRecord, FormatTooNew) as error:
        return "missing" in str(error)
    return True


def _out_of_order(
    repository: Repository, remote: str, shared: tuple[Event, ...], events: dict[str, Event]
) -> Iterable[tuple[str, str]]:
    """Those that do not follow on what the remote is known to have, and on what else goes along."""
    from gittrack.registry.sequence import pending

    waiting: list[Event] = []
    for ref, event in sorted(events.items(), key=lambda pair: pair[1].number):
        try:
            chain = pending(repository, shared[-1] if shared else None, event)
        except (CorruptRecord, FormatTooNew) as error:
            yield ref, f"{error}; 'gittrack fetch' brings what is missing, and 'gittrack push' sends what is yours"
            continue
        if not chain:
            continue
        left = next((one for one in chain if sequence_ref(one.model, one.number) not in events), None)
        if left is not None:
            missing = "its number" if left is event else f"the number of event {left.number} before it"
            yield (
                ref,
                f"{missing} does not go along ({sequence_ref(left.model, left.number)}); 'gittrack push' sends both",
            )
            continue
        if any(one.object != other.object for one, other in zip(waiting, chain, strict=False)):
            yield ref, f"two events have number {event.number}; 'gittrack fsck' tells which one counts"
            continue
        waiting = max(waiting, chain, key=len)
    if waiting:
        yield from _against_policy(repository, remote, shared, waiting, events)


def _against_policy(
    repository: Repository, remote: str, shared: tuple[Event, ...], waiting: list[Event], events: dict[str, Event]
) -> Iterable[tuple[str, str]]:
    from gittrack.models.admission import Admission
    from gittrack.models.settings import authority

    found = Admission.under(repository, authority(repository, remote or None)).refusal(shared, waiting, lambda: shared)
    if found is None:
        return
    which, why = found
    for ref, event in events.items():
        if event.object == which.object:
            yield ref, f"{why}; mend that, and make the change anew with 'gittrack promote' or 'gittrack model'"
        elif event.number > which.number:
            yield ref, f"it follows on event {which.number}, which is refused; push again when that is mended"
