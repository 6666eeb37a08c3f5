"""What a picture may put on an axis: a param or a metric of runs, by its key. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Literal

from gittrack.compare.align import ABSENT, natural, same
from gittrack.domain.run import RunState
from gittrack.errors import UsageError
from gittrack.report.numbers import exact
from gittrack.values import dataclass

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Key:
    """A param or metric; metrics mean their last values."""

    kind: Literal["params", "metrics"]
    name: str

    def of(self, run: RunState) -> Any:
        """What the run has there, or ABSENT."""
        found: Any = run.params if self.kind == "params" else run.metrics
        return found.get(self.name, ABSENT)


def find_key(word: str, runs: Sequence[RunState], kind: Literal["params", "metrics"] | None = None) -> Key:
    """The key that a word means: `lr`, `params.lr`, `metrics.loss`; raises UsageError when no run has it, or both kinds do."""
    known = {
        "params": {key for run in runs for key in run.params},
        "metrics": {key for run in runs for key in run.metrics},
    }
    kinds: tuple[Literal["params", "metrics"], ...] = ("params", "metrics") if kind is None else (kind,)
    found = [Key(one, word) for one in kinds if word in known[one]]
    for one in kinds:
        name = word.removeprefix(f"{one}.")
        if name != word and name in known[one]:
            found = [Key(one, name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{word!r} is both a param and a metric; write params.{word} or metrics.{word}")
    names = sorted({key for one in kinds for key in known[one]}, key=natural)
    near = get_close_matches(word.removeprefix("params.").removeprefix("metrics."), names, n=1)
    what = {None: "param or metric", "params": "param", "metrics": "metric"}[kind]
    hint = f"did you mean {near[0]}?" if near else f"they have {', '.join(names[:10]) or 'none'}"
    raise UsageError(f"none of the runs has a {what} {word!r}; {hint}")


def varying(runs: Sequence[RunState]) -> list[str]:
    """The params that are not the same in all runs, in natural order."""
    names = sorted({key for run in runs for key in run.params}, key=natural)
    return [name for name in names if any(not _same(one.params.get(name, ABSENT), runs[0], name) for one in runs[1:])]


def _same(value: Any, first: RunState, name: str) -> bool:
    other = first.params.get(name, ABSENT)
    return value is other if ABSENT in (value, other) else same(value, other)


def as_number(value: Any) -> float | None:
    """The finite number that a value is, or that its text reads as (YAML takes `1e-3` for text); truth values are none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        value = float(value) if _NUMBER.fullmatch(value) else math.nan
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:  # a whole number beyond all floats
        return None
    return number if math.isfinite(number) else None


def text_of(value: Any) -> str:
    """A value in full, as hovering shows it."""
    return "missing" if value is ABSENT else exact(value)
