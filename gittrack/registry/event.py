"""One event of a model: how it lies in an annotated git tag, and how it is read back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gittrack.domain.codec import time_to_text
from gittrack.domain.names import is_model_name, is_run_id
from gittrack.domain.version import Version
from gittrack.errors import CorruptRecord, FormatTooNew, UsageError
from gittrack.git.tags import SIGNATURE
from gittrack.registry.tagname import Action, tag_name
from gittrack.values import dataclass, field

FORMAT = 1
_LINE = b"\nGittrack-Registry: {"
_TAGGER = re.compile(rb"tagger (?P<who>.*) (?P<time>\d{1,12}) (?P<zone>[+-]\d{4})")
_LONGEST_TEXT = 100_000
# Of a message that is written: the rest of the object is short, but for a signature.
_LONGEST_MESSAGE = 80_000
_LAST_NUMBER = 999_999_999
# The end of the year 9999.
_LAST_TIME = 253_402_300_799


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to a model, as its `number`-th event; `place` is a stage or an alias.

    `operation` is the number of the first event of those that happened together, `previous` the tag object of the event
    before it. `time` is in seconds since the epoch and later than that of every earlier event, `clock` what the clock said where
    that was not so. `details` hold what the action needs: artifact, checks, override.
    """

    model: str
    number: int
    action: Action
    commit: str
    run: str
    version: Version | None = None
    place: str | None = None
    operation: int = 0
    previous: str | None = None
    author: str = ""
    time: int = 0
    clock: int | None = None
    message: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    object: str = ""
    signed: bool = False

    @property
    def tag(self) -> str:
        return tag_name(self.action, self.model, self.version, self.place, self.number)

    @property
    def email(self) -> str:
        return address(self.author)

    @property
    def name(self) -> str:
        """Who, without the address."""
        return self.author.partition(" <")[0]


def address(identity: str) -> str:
    """The address of `Name <address>`, in small letters; empty where there is none."""
    return identity.rpartition("<")[2].rstrip(">").strip().lower() if "<" in identity else ""


def subject(event: Event) -> str:
    """What happened, in a line for `git tag -n`."""
    called = f"{event.model} {event.version.short}" if event.version else event.model
    match event.action:
        case Action.REGISTER:
            return f"{called}: {event.details.get('subject', 'registered')}"
        case Action.ASSIGN if "rollback" in event.details:
            return f"{called} -> {event.place} (rolled back)"
        case Action.ASSIGN:
            return f"{called} -> {event.place}"
        case Action.UNASSIGN:
            return f"{called} leaves {event.place}"
        case Action.DEPRECATE:
            return f"{called} is deprecated"
        case Action.RETIRE:
            return f"{called} is deprecated as a whole"
        case Action.ALIAS:
            return f"{called} is {event.place}"
        case Action.UNALIAS:
            return f"{called} is {event.place} no more"
        case Action.APPROVE:
            return f"{called} is approved" + (f" for {event.place}" if event.place else "")


def event_json(event: Event) -> dict[str, Any]:
    """As commands print it."""
    return {
        "number": event.number,
        "action": event.action.value,
        "version": None if event.version is None else str(event.version),
        "place": event.place,
        "time": time_to_text(event.time),
        "author": event.author,
        "message": event.message,
        "run": event.run,
        "commit": event.commit,
        "tag": event.tag,
        "object": event.object,
        "signed": event.signed,
        "operation": event.operation,
        "details": dict(event.details),
    }


def to_message(event: Event, nonce: str) -> str:
    """The message of the tag: a line, what a person said, and a line of JSON with all that the name does not say."""
    import orjson

    plain: dict[str, Any] = {
        "format": FORMAT,
        "model": event.model,
        "number": event.number,
        "action": event.action.value,
        "operation": event.operation,
        "previous": event.previous,
        "run": event.run,
        # Else two people who do the same in the same second would make one object, and both would have won.
        "nonce": nonce,
    }
    if event.version is not None:
        plain["version"] = str(event.version)
    if event.place is not None:
        plain["place"] = event.place
    if event.clock is not None:
        plain["clock"] = event.clock
    if event.details:
        plain["details"] = dict(event.details)
    if event.number > _LAST_NUMBER or event.time > _LAST_TIME:
        raise UsageError(f"event {event.number} of {event.model} is out of all bounds; see 'gittrack fsck'")
    text = _own_words(event.message)
    body = f"\n{text}\n" if text else ""
    line = orjson.dumps(plain).decode("utf-8")
    message = f"{subject(event)}\n{body}\nGittrack-Run: {event.run}\nGittrack-Registry: {line}\n"
    if len(message.encode("utf-8", "replace")) > _LONGEST_MESSAGE:
        raise UsageError(
            f"what is said of {event.model} is longer than {_LONGEST_MESSAGE:,} bytes; say it shorter, or in a file"
        )
    return message


def _own_words(text: str) -> str:
    """A text that imitates our last line, or a signature, must not be taken for it."""
    return re.sub(r"(?m)^(Gittrack-|-----BEGIN )", r" \1", text.strip())


def read_event(object_id: str, data: bytes) -> Event:
    """The event that a tag object holds; raises CorruptRecord for what is none of ours, FormatTooNew."""
    import orjson

    head, _, text = data.partition(b"\n\n")
    headers = dict(line.partition(b" ")[::2] for line in head.split(b"\n"))
    tagger = _TAGGER.fullmatch(next((line for line in head.split(b"\n") if line.startswith(b"tagger ")), b""))
    signature = SIGNATURE.search(text)
    end = len(text) if signature is None else signature.start()
    at = text.rfind(_LINE, 0, end)
    if at == -1 or tagger is None or headers.get(b"type") != b"commit" or len(data) > _LONGEST_TEXT:
        raise CorruptRecord("it was not made by gittrack")
    line = text[at + len(_LINE) - 1 : end].partition(b"\n")[0]
    try:
        plain = orjson.loads(line)
        if plain["format"] > FORMAT:
            raise FormatTooNew(
                f"a tag of the model {plain['model']!r} was written by a newer gittrack; upgrade to read it"
            )
        event = Event(
            model=_text(plain, "model"),
            number=_number(plain, "number"),
            action=Action(plain["action"]),
            commit=headers[b"object"].decode("ascii"),
            run=_text(plain, "run"),
            version=None if "version" not in plain else Version.parse(_text(plain, "version")),
            place=None if "place" not in plain else _text(plain, "place"),
            operation=_number(plain, "operation"),
            previous=None if plain["previous"] is None else _text(plain, "previous"),
            author=tagger["who"].decode("utf-8", "replace"),
            time=int(tagger["time"]),
            clock=None if "clock" not in plain else _number(plain, "clock"),
            message=_body(text[:at].decode("utf-8", "replace")),
            details=_mapping(plain.get("details", {})),
            object=object_id,
            signed=signature is not None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptRecord(f"its line of JSON cannot be read ({error})") from None
    wrong = _wrong(event)
    if wrong:
        raise CorruptRecord(f"{wrong} is none that gittrack writes")
    if headers.get(b"tag", b"").decode("utf-8", "replace") != event.tag:
        raise CorruptRecord("its name inside is another one than its content says")
    return event


def _wrong(event: Event) -> str:
    """What of an event nobody's gittrack writes; empty where all is in order. Names become refs, and all of it is shown."""
    details = event.details
    checks, tags = details.get("checks", []), details.get("tags", {})
    artifact, source = details.get("artifact", {}), details.get("policy", {})
    for what, good in (
        ("its model", is_model_name(event.model)),
        ("its place", event.place is None or is_model_name(event.place)),
        ("its run", is_run_id(event.run)),
        ("its number", 0 < event.operation <= event.number <= _LAST_NUMBER),
        ("its time", event.time <= _LAST_TIME),
        ("its list of checks", isinstance(checks, list) and all(map(_is_check, checks))),
        ("its tags", isinstance(tags, dict) and all(isinstance(one, str) for one in tags.values())),
        ("its artifact", isinstance(artifact, dict) and isinstance(artifact.get("size", 0), int)),
        ("its policy", isinstance(source, dict)),
        ("its override", isinstance(details.get("override", ""), str)),
    ):
        if not good:
            return what
    return ""


def _is_check(one: Any) -> bool:
    return isinstance(one, dict) and all(isinstance(one.get(key), str) for key in ("rule", "said"))


def _body(text: str) -> str:
    """What a person said, between the first line and the trailers."""
    return text.partition("\n")[2].rpartition("Gittrack-Run: ")[0].strip()


def _text(plain: Mapping[str, Any], key: str) -> str:
    value = plain[key]
    if not isinstance(value, str):
        raise TypeError(f"{key} is no text")
    return value


def _number(plain: Mapping[str, Any], key: str) -> int:
    value = plain[key]
    if type(value) is not int or value < 0:
        raise TypeError(f"{key} is no number")
    return value


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("details are no mapping")
    return value
