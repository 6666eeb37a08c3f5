"""Numbers, times and sizes as people read them. Pure: who calls says what time it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

_FEWEST, _MOST = 4, 9


def number(value: float, digits: int = 6) -> str:
    """One number on its own, to so many significant digits and without trailing zeros."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) or (math.isfinite(value) and value == int(value) and abs(value) < 1e7):
        return str(int(value))
    return f"{value:.{digits}g}"


def column(values: Sequence[float | None]) -> list[str]:
    """The numbers of one column, with the fewest digits that still show how they differ.

    All get the same number of decimals, so that their points can be aligned. None becomes "".
    """
    finite = [float(value) for value in values if value is not None and math.isfinite(value)]
    texts = _column(finite)
    return ["" if value is None else texts.get(float(value)) or str(float(value)) for value in values]


def _column(finite: list[float]) -> dict[float, str]:
    sizes = sorted(abs(value) for value in finite if value)
    if not sizes or (sizes[-1] < 1e15 and all(value == int(value) for value in finite)):
        return {value: str(int(value)) for value in finite}
    middle = sizes[len(sizes) // 2]
    if middle < 1e-4 or sizes[-1] >= 1e9:
        return _scientific(finite)
    whole = -1 - math.floor(math.log10(middle))
    fewest, most = max(0, _FEWEST + whole), max(0, _MOST + whole)
    # Differences beyond the last of these digits are noise more often than not.
    apart = sorted({round(value, most) for value in finite})
    gap = min((high - low for low, high in pairwise(apart)), default=1.0)
    decimals = next((one for one in range(fewest, most) if 10.0**-one <= gap * 1.0001), most)
    return _without_common_zeros({value: _fixed(value, decimals) for value in finite})


def _scientific(finite: list[float]) -> dict[float, str]:
    tried = [{value: f"{value:.{digits - 1}e}" for value in finite} for digits in range(_FEWEST, _MOST + 1)]
    most = len(set(tried[-1].values()))
    return next(one for one in tried if len(set(one.values())) == most)


def _fixed(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}"
    # What would look like zero and is not, or keep a single digit, says its size instead.
    return f"{value:.2e}" if value and abs(value) < 10.0 ** (1 - decimals) else text


def _without_common_zeros(texts: dict[float, str]) -> dict[float, str]:
    fixed = [text for text in texts.values() if "e" not in text]
    if not all("." in text for text in fixed):
        return texts
    cut = min((len(text) - len(text.rstrip("0")) for text in fixed), default=0)
    return {value: text if "e" in text else text[: len(text) - cut].rstrip(".") for value, text in texts.items()}


def exact(value: Any) -> str:
    """A param as it is: numbers in full, text bare, lists and mappings as compact JSON."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    if isinstance(value, (list, dict)):
        import json  # tables of numbers do without it

        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return repr(value)


def param_column(texts: Sequence[str], values: Sequence[Any]) -> list[str]:
    """Params of one column, given as `exact` has them: digits of floats that tell nothing apart are left out."""
    floats = {value for value in values if isinstance(value, float) and math.isfinite(value)}
    for digits in range(6, 17):
        shown = {value: f"{value:.{digits}g}" for value in floats}
        if len(set(shown.values())) == len(floats):
            # Never longer than it was, as 100000.0 would be with few digits.
            return [
                min(shown.get(value, text), text, key=len) if isinstance(value, float) else text
                for value, text in zip(values, texts, strict=True)
            ]
    return list(texts)


def change(delta: float, percent: float | None) -> str:
    """A difference with its sign, and what it is in percent of the first value."""
    text = f"{delta:+.4g}"
    return text if percent is None else f"{text} ({percent:+.1f} %)"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{minutes:02d}m"
    days, hours = divmod(hours, 24)
    return f"{days}d{hours:02d}h"


def ago(seconds: float) -> str:
    """How long ago, in the largest unit that says it; a clock that runs ahead counts as now."""
    if seconds < 1.5:
        return "now"
    for unit, length, until in (("s", 1, 90), ("m", 60, 90), ("h", 3600, 36), ("d", 86400, 60)):
        if seconds / length < until:
            return f"{round(seconds / length)}{unit} ago"
    days = seconds / 86400
    return f"{round(days / 30.44)} months ago" if days < 700 else f"{round(days / 365.25)} years ago"


def size(count: float) -> str:
    """Bytes in units of 1,024."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TB"


def counted(count: int, one: str, several: str | None = None) -> str:
    """`1 object`, `1,200 objects`."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"
