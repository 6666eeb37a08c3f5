"""YAML for the plain values that records are made of: byte for byte what the library writes, in a tenth of the time.

`to_yaml` in files.py goes to the library for whatever is not as simple as this.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

# Text that stands as it is, or between single quotes because a reader would take it for a number or a time. What is
# in neither is not wrong, only unusual. Latin letters are as far as it goes: the library escapes some characters.
_BARE = re.compile(
    r"(?:--?)?[A-Za-z_/\u00c0-\u024f](?: ?:?[A-Za-z0-9_\u00c0-\u024f./@+=()\[\]{}<>%~*&!$'\"|;,^-])*"
    r"|[0-9]+(?:\.[0-9]+){2,}(?:[A-Za-z.+][A-Za-z0-9.+]*)?"  # a version
    r"|[0-9]+(?:\.[0-9]+)+[.+]?[a-df-z][A-Za-z0-9.+]*"
    r"|\.\.?(?:/[A-Za-z0-9_./-]*)?"
    r"|(?!0b)[0-9]+[a-f][0-9a-f]*"  # a hash
)
_QUOTED = re.compile(
    r"|[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]+Z)?"
)
_TAKEN = frozenset(("null", "true", "false", "yes", "no", "on", "off"))
# Beyond these the library folds lines, or puts a question mark before a key.
_LONGEST, _LONGEST_KEY, _DEEPEST = 200, 60, 20


class _Unusual(Exception):
    pass


def plain_yaml(value: object) -> str | None:
    """A mapping as a YAML document, or None when something in it is unusual."""
    if type(value) is not dict:
        return None
    if not value:
        return "{}\n"
    lines: list[str] = []
    try:
        _mapping(value, "", "", lines, set())
    except _Unusual:
        return None
    return "".join(lines)


def _mapping(value: dict[Any, Any], first: str, margin: str, lines: list[str], seen: set[int]) -> None:
    """`first` stands before the first key, in a list with its dash; `margin` before the others."""
    _enter(value, margin, seen)
    before = first
    for key, item in value.items():
        if type(key) is not str:
            raise _Unusual
        name = _key(key)
        kind = type(item)
        if kind is dict and item:
            lines.append(f"{before}{name}:\n")
            _mapping(item, f"{margin}  ", f"{margin}  ", lines, seen)
        elif kind is list and item:
            lines.append(f"{before}{name}:\n")
            _sequence(item, margin, margin, lines, seen)
        else:
            lines.append(f"{before}{name}: {_scalar(item, kind, seen)}\n")
        before = margin


def _sequence(value: list[Any], first: str, margin: str, lines: list[str], seen: set[int]) -> None:
    _enter(value, margin, seen)
    before = first
    for item in value:
        kind = type(item)
        if kind is dict and item:
            _mapping(item, f"{before}- ", f"{margin}  ", lines, seen)
        elif kind is list and item:
            _sequence(item, f"{before}- ", f"{margin}  ", lines, seen)
        else:
            lines.append(f"{before}- {_scalar(item, kind, seen)}\n")
        before = margin


def _enter(value: object, margin: str, seen: set[int]) -> None:
    # One that is there twice is written once, with an anchor.
    if id(value) in seen or len(margin) > 2 * _DEEPEST:
        raise _Unusual
    seen.add(id(value))


def _scalar(value: Any, kind: type, seen: set[int]) -> str:
    if kind is float:
        if value - value != 0.0:
            return ".nan" if value != value else ".inf" if value > 0 else "-.inf"
        text = repr(value)
        # YAML 1.1 wants a point in a number with an exponent.
        return text.replace("e", ".0e") if "e" in text and "." not in text else text
    if kind is int:
        return str(value)
    if kind is str:
        return _text(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is dict or kind is list:
        _enter(value, "", seen)
        return "{}" if kind is dict else "[]"
    raise _Unusual


def _text(text: str) -> str:
    if len(text) <= _LONGEST:
        if _BARE.fullmatch(text):
            if len(text) > 5 or text.lower() not in _TAKEN:
                return text
        elif _QUOTED.fullmatch(text):
            return f"'{text}'"
    raise _Unusual


@lru_cache(maxsize=4096)
def _key(text: str) -> str:
    if len(text) > _LONGEST_KEY:
        raise _Unusual
    return _text(text)
