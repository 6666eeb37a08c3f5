"""Models on a server: their events only grow, in their order, and within the policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gittrack.errors import CorruptRecord, FormatTooNew
from gittrack.hooks.call import Call
from gittrack.hooks.server import PUSH, authority
from gittrack.registry.tagname import TAGS, parse_sequence, parse_tag, sequence_ref

if TYPE_CHECKING:
    from gittrack.git.repository import Repository
    from gittrack.registry.event import Event

# What was let in by the push that is at work.
_ADMITTED = "admitted"


def refusal(call: Call, ref: str, old: str | None, new: str | None) -> str:
    """Why a tag or a number of a model may not become what it is to be; empty where it may."""
    from gittrack.registry.sequence import event_of, pending, read_sequence

    repository = call.repository
    numbered, tag = parse_sequence(ref), parse_tag(ref[len(TAGS) :]) if ref.startswith(TAGS) else None
    if numbered is None and tag is None:
        return _no_grammar(repository, ref)
    model = numbered[0] if numbered is not None else tag.model if tag is not None else ""
    if old is not None:
        if new is not None:
            return (
                "events of models are never moved; 'git fetch origin "
                f"{ref}' shows what it is here, and a change is a new event: 'gittrack promote', 'gittrack model rollback'"
            )
        return _deleted(repository, ref, model, old)
    if new is None:
        return ""
    try:
        event = event_of(repository, ref, new)
        known = read_sequence(repository, model)
        waiting = pending(repository, known.newest, event)
    except (CorruptRecord, FormatTooNew) as error:
        return f"{error}; {_next_step(str(error))}"
    if not waiting:
        return ""
    follower = known.stray.get(event.number + 1)
    if follower is not None and event_of(repository, sequence_ref(model, event.number + 1), follower).previous != new:
        return (
            f"event {event.number + 1} of {model} is here and follows another one; push that one, which has its number"
        )
    from gittrack.models.admission import Admission

    found = Admission.under(repository, authority(call)).refusal(
        known.about({str(one.version) for one in waiting}), waiting, known.whole
    )
    if found is None:
        _note_admitted(call, waiting)
        return ""
    which, why = found
    said = "" if which is event else f"event {which.number} before it: "
    return f"{said}{why}; nothing of it is in force here: {_SET_ASIDE}"


_SET_ASIDE = "mend that, and make the change anew with 'gittrack promote' or 'gittrack model'"


def _next_step(why: str) -> str:
    if "missing before it" in why:
        return "'gittrack push' sends all events in their order"
    if "is another one here" in why:
        return "somebody else was faster: 'gittrack fetch', and say yours again"
    if "upgrade" in why or "who keeps" in why:
        return "tell who keeps this server"
    return "let 'gittrack model register' or 'gittrack promote' make it, and 'gittrack push' send it"


def _no_grammar(repository: Repository, ref: str) -> str:
    """A name that is nearly one of the registry's; of a model that nobody has here it may be anything."""
    if ref.startswith(TAGS):
        model = ref[len(TAGS) :].partition("@")[0].partition("#")[0]
        if not repository.list_refs(sequence_ref(model, 0).removesuffix("0")):
            return ""
        return f"{model} is a model, and no event of it has such a tag; let 'gittrack model' make it, or name yours otherwise"
    return "no event of a model has such a number; let 'gittrack push' send them"


def _deleted(repository: Repository, ref: str, model: str, old: str) -> str:
    """Nothing that counts is ever taken away; a tag that never got its number, as `git push --tags` leaves it, may be."""
    if ref.startswith(TAGS):
        from gittrack.registry.sequence import event_of

        numbers = repository.list_refs(sequence_ref(model, 0).removesuffix("0"))
        try:
            number = sequence_ref(model, event_of(repository, ref, old).number)
        except (CorruptRecord, FormatTooNew):
            return ""
        if numbers and numbers.get(number) != old:
            return ""
    return (
        "events of models are never deleted; 'gittrack model deprecate' says that nobody should use a version any more"
    )


def _note_admitted(call: Call, events: Sequence[Event]) -> None:
    """For `hooks/update`, which then lets the other refs of these events pass by itself."""
    from gittrack.registry.record import refs_of

    push = call.environ.get(PUSH)
    if not push:
        return
    lines = "".join(f"{one} {ref}\n" for ref, one in refs_of(events).items())
    try:
        call.repository.note(_ADMITTED, f"{push}\n{lines}")
    except OSError:
        # Then each ref is looked at by itself.
        return
