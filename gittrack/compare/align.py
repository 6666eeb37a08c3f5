"""Two mappings side by side."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

_DIGITS = re.compile(r"(\d+)")


class Absent:
    """Neither null nor empty: the key is not there."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()


def natural(key: str) -> list[tuple[int, int, str]]:
    """A sort key by which `layer2` comes before `layer10`."""
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in _DIGITS.split(key) if part]


def align(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Every key of either with its value in both, or ABSENT, in natural order."""
    for key in sorted({*a, *b}, key=natural):
        yield key, a.get(key, ABSENT), b.get(key, ABSENT)


def same(a: Any, b: Any) -> bool:
    """Equal, and of one type where that matters: `1` is `1.0`, but not true; NaN is NaN."""
    if isinstance(a, bool) is not isinstance(b, bool):
        return False
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b):
        return True
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return bool(a == b)


def flatten(nested: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings and lists to dotted keys; list items are numbered from 0."""
    flat: dict[str, Any] = {}
    items = enumerate(nested) if isinstance(nested, (list, tuple)) else nested.items()
    for key, value in items:
        path = f"{prefix}{key}"
        if isinstance(value, (Mapping, list, tuple)):
            flat.update(flatten(value, path + "."))
        else:
            flat[path] = value
    return flat
