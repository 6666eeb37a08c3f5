"""Names of git tags and refs of the registry: a grammar that GTO reads too (its `constants.py`, version 1.10)."""

from __future__ import annotations

import re
from enum import StrEnum

from gittrack.domain.names import MODEL_NAME, is_model_name
from gittrack.domain.version import Version
from gittrack.errors import InvalidName, InvalidValue
from gittrack.values import dataclass

TAGS = "refs/tags/"
SEQUENCE = "refs/gittrack/seq/"
LOST = "refs/gittrack/lost/"
SHARED = "refs/gittrack/shared/"
NONE, LATEST, ARCHIVED = "none", "latest", "archived"

_TAG = re.compile(
    rf"(?P<model>{MODEL_NAME})(?:@(?:(?P<retired>deprecated)|(?P<version>v[0-9][^!#\s]*))(?P<off>!?)|#(?P<stage>{MODEL_NAME})(?P<away>!?))"
    r"(?:#(?P<number>[1-9][0-9]{0,8}))?",
    re.ASCII,
)
_SEQUENCE = re.compile(rf"{SEQUENCE}(?P<model>[a-zA-Z0-9_=-]+)/(?P<number>[1-9][0-9]{{0,8}})", re.ASCII)


_NEARLY = re.compile(rf"{MODEL_NAME}(?:@(?:v[0-9]|deprecated)|#)", re.ASCII)


class Action(StrEnum):
    """What an event does. The first five have a git tag of their own; the others are known by their number alone."""

    REGISTER = "register"
    ASSIGN = "assign"
    UNASSIGN = "unassign"
    DEPRECATE = "deprecate"
    RETIRE = "retire"
    ALIAS = "alias"
    UNALIAS = "unalias"
    APPROVE = "approve"


@dataclass(frozen=True, slots=True)
class TagName:
    """What the name of a git tag says: `number` is None of a version's own tag, which has none."""

    model: str
    action: Action
    version: Version | None = None
    stage: str | None = None
    number: int | None = None


def parse_tag(name: str) -> TagName | None:
    """What a git tag of that name (without `refs/tags/`) would mean; None when it is none of the registry's."""
    found = _TAG.fullmatch(name)
    if found is None or not is_model_name(found["model"]):
        return None
    number = None if found["number"] is None else int(found["number"])
    if found["stage"] is not None:
        if number is None:
            return None
        return TagName(
            found["model"], Action.UNASSIGN if found["away"] else Action.ASSIGN, None, found["stage"], number
        )
    if found["retired"]:
        return None if found["off"] or number is None else TagName(found["model"], Action.RETIRE, number=number)
    version = Version.read(found["version"])
    if version is None or str(version) != found["version"]:
        return None
    if found["off"]:
        return None if number is None else TagName(found["model"], Action.DEPRECATE, version, number=number)
    return None if number is not None else TagName(found["model"], Action.REGISTER, version)


def looks_like_tag(name: str) -> bool:
    """Whether somebody may have meant a tag of the registry, be it in its grammar or not."""
    return _NEARLY.match(name) is not None


def tag_name(action: Action, model: str, version: Version | None, place: str | None, number: int) -> str:
    """The name that an event bears in its tag object; below `refs/tags/` too, where `has_tag` says so."""
    match action:
        case Action.REGISTER:
            return f"{model}@{version}"
        case Action.ASSIGN:
            return f"{model}#{place}#{number}"
        case Action.UNASSIGN:
            return f"{model}#{place}!#{number}"
        case Action.DEPRECATE:
            return f"{model}@{version}!#{number}"
        case Action.RETIRE:
            return f"{model}@deprecated#{number}"
        case Action.ALIAS | Action.UNALIAS:
            return f"{action}/{model}/{place}#{number}"
        case Action.APPROVE:
            return f"{action}/{model}@{version}#{number}"


def has_tag(action: Action) -> bool:
    """Whether an event is for everybody to see with `git tag`: other tools know no aliases and no approvals."""
    return action not in (Action.ALIAS, Action.UNALIAS, Action.APPROVE)


def sequence_ref(model: str, number: int) -> str:
    """The ref that only one event can ever get; a slash would let the numbers of one model lie in another's way."""
    return f"{SEQUENCE}{model.replace('/', '=')}/{number}"


def parse_sequence(ref: str) -> tuple[str, int] | None:
    found = _SEQUENCE.fullmatch(ref)
    return None if found is None else (found["model"].replace("=", "/"), int(found["number"]))


# --- names that people give


def check_model(name: str) -> str:
    """Raises InvalidName, or InvalidValue, which is a TypeError, for what is no text."""
    return _check("a model", name)


def check_alias(name: str) -> str:
    """As `check_model`; nor may it mean something else already."""
    _check("an alias", name)
    if name in (NONE, LATEST) or Version.read(name) is not None:
        raise InvalidName(f"{name!r} cannot be an alias: it means something else already; choose another word")
    return name


def _check(what: str, name: str) -> str:
    if not isinstance(name, str):
        raise InvalidValue(f"{what}'s name must be text, not {type(name).__name__} {name!r:.60}")
    if not is_model_name(name):
        raise InvalidName(
            f"{name[:80]!r} cannot name {what}: it takes letters, digits, '-', '_' and '/', at most 100, with a letter or "
            "digit at either end of each part"
        )
    return name
