"""Params: typed, nested values chosen before or at the start, addressed by a dotted key."""

from __future__ import annotations

import datetime as dt
import enum
import math
from collections.abc import Mapping, Sequence
from typing import Any

from gittrack.domain.names import check_key
from gittrack.errors import InvalidName, InvalidValue

# A leaf; a list holds leaves, lists and mappings as they came.
ParamValue = bool | int | float | str | None | list[Any] | dict[str, Any]

_MAX_ARRAY = 1000
_MAX_DEPTH = 64  # JSON and YAML readers give up on deep nesting; a mapping may even hold itself
_MAX_BITS = 10_000  # Python itself refuses to print integers of more than 4,300 digits


def flatten(params: Mapping[Any, Any], prefix: str = "", depth: int = 0) -> dict[str, ParamValue]:
    """Nested mappings to dotted keys, values to plain types; an empty mapping stays as a leaf.

    Raises InvalidName for a key, InvalidValue for a value that has no plain form.
    """
    _check_depth(prefix, depth)
    flat: dict[str, ParamValue] = {}
    for name, value in params.items():
        key = f"{prefix}{check_key('param', name if isinstance(name, str) else str(name))}"
        nested = _as_mapping(value)
        if nested:
            found = flatten(nested, key + ".", depth + 1)
        else:
            found = {key: {} if nested is not None else plain(key, value, depth)}
        if not flat.keys().isdisjoint(found):
            twice = next(one for one in found if one in flat)
            raise InvalidValue(
                f"param {twice!r} is there twice, by its dotted name and inside a mapping; keep one of them"
            )
        flat |= found
    return flat


def _as_mapping(value: object) -> Mapping[Any, Any] | None:
    if isinstance(value, Mapping):
        return value
    if hasattr(type(value), "__dataclass_fields__"):
        from dataclasses import fields

        return {field.name: getattr(value, field.name) for field in fields(value)}  # type: ignore[arg-type]
    # argparse.Namespace, without importing argparse; OmegaConf's DictConfig is a mapping in all but name.
    if type(value).__name__ in {"Namespace", "SimpleNamespace"}:
        return vars(value)
    if type(value).__name__ == "DictConfig" and hasattr(value, "items"):
        return dict(value.items())
    return None


def _check_depth(key: str, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise InvalidValue(f"param {key[:80]!r} is nested more than {_MAX_DEPTH} deep; log it as a file instead")


def plain(key: str, value: object, depth: int = 0) -> ParamValue:
    """One value as plain Python: numpy and torch scalars become numbers, paths text, tuples lists."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):
        return plain(key, value.value, depth)
    if isinstance(value, str):
        return _unicode(value)
    if isinstance(value, int):
        if value.bit_length() > _MAX_BITS:
            raise InvalidValue(f"param {key!r} is an integer of {value.bit_length():,} bits; pass it as text")
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    if hasattr(value, "__fspath__"):
        path: str | bytes = value.__fspath__()
        return _unicode(path) if isinstance(path, str) else path.decode("utf-8", "backslashreplace")
    depth += 1
    _check_depth(key, depth)
    nested = _as_mapping(value)
    if nested is not None:
        return {_unicode(str(name)): plain(f"{key}.{name}", item, depth) for name, item in nested.items()}
    if isinstance(value, (set, frozenset)):
        return [plain(key, item, depth) for item in sorted(value, key=repr)]
    if isinstance(value, (list, tuple)) or (isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray))):
        return [plain(key, item, depth) for item in value]
    return _plain_array(key, value)


def _unicode(text: str) -> str:
    """Text of the built-in type that can be stored: half a surrogate pair is spelled out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _plain_array(key: str, value: object) -> ParamValue:
    size = getattr(value, "size", None)
    if callable(size):  # torch: a method
        size = math.prod(size())
    item, tolist = getattr(value, "item", None), getattr(value, "tolist", None)
    if callable(item) and (size is None or size == 1) and not getattr(value, "shape", ()):
        return plain(key, item())
    if callable(tolist) and isinstance(size, int):
        if size > _MAX_ARRAY:
            raise InvalidValue(
                f"param {key!r} is an array of {size:,} values, more than {_MAX_ARRAY:,}; log it as a file instead"
            )
        return plain(key, tolist())
    if isinstance(value, type) or callable(value):
        return f"{getattr(value, '__module__', '?')}.{getattr(value, '__qualname__', repr(value))}"
    raise InvalidValue(
        f"param {key!r} is a {type(value).__name__}, which has no plain form; pass a number, text, list or mapping"
    )


def unflatten(flat: Mapping[str, Any], separator: str = ".") -> dict[str, Any]:
    """Keys with separators to nested mappings.

    Below a key that is itself a value, a longer key stays flat; so does one with a part that `flatten` would not
    take for a name, such as `a..b`, and one too deep for readers of YAML and JSON.
    """
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        parts = key.split(separator)
        if len(parts) > _MAX_DEPTH // 2 or any(not part or part != part.strip() for part in parts):
            parts = [key]
        place = nested
        for depth in range(1, len(parts)):
            if separator.join(parts[:depth]) in flat:
                place[separator.join(parts[depth - 1 :])] = value
                break
            place = place.setdefault(parts[depth - 1], {})
        else:
            place[parts[-1]] = value
    return nested


def parse_assignment(text: str, kind: str = "param") -> tuple[str, str]:
    """`K=V` from a command line, for a param or a run tag."""
    key, equals, value = text.partition("=")
    if not equals:
        raise InvalidName(f"{text!r} is not KEY=VALUE; write it like lr=0.1")
    return check_key(kind, key.strip()), value


def parse_scalar(text: str) -> ParamValue:
    """A command line's text as number, truth value, null or text, as a reader of YAML would take it."""
    simple = {"true": True, "false": False, "null": None, "none": None, "~": None}
    if text.lower() in simple:
        return simple[text.lower()]
    for convert in (int, float):
        try:
            return convert(text) if "_" not in text else text
        except ValueError:
            continue
    return text
