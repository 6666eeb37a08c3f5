"""The verdict in a line, in parts that each form dresses its own way; pure."""

from __future__ import annotations

from collections.abc import Callable

from gittrack.compare.diff import MetricRow
from gittrack.compare.verdict import p_text
from gittrack.report.numbers import column
from gittrack.review.review import Review
from gittrack.values import dataclass

_NAMED = 3


@dataclass(frozen=True, slots=True)
class Told:
    """A metric: its name, which anybody may have chosen, and what became of it in numbers, empty where that goes without saying."""

    name: str
    numbers: str


@dataclass(frozen=True, slots=True)
class Part:
    """One verdict, with the metrics of which it is true, `more` that are not named, or else why there are none."""

    verdict: str
    metrics: tuple[Told, ...] = ()
    more: int = 0
    why: str = ""


def headline(review: Review) -> tuple[Part, ...]:
    """What improved and regressed, and by how much."""
    if review.word == "new":
        return (Part("new", why="nothing ran before this change to compare it with"),)
    rows = review.judged
    if not rows:
        why = "no goal says which way a metric is better; see metrics.goals in the settings"
        return (Part("undecided", why=why),)
    parts: list[Part] = []
    for verdict in ("regressed", "improved", "undecided", "equal"):
        found = [row for row in rows if row.judged.verdict == verdict]
        if found and not (verdict == "equal" and parts):
            told = tuple(Told(row.key, _numbers(row)) for row in found[:_NAMED])
            parts.append(Part(verdict, told, len(found) - len(told)))
    return tuple(parts)


def _numbers(row: MetricRow) -> str:
    if row.a is None or row.b is None or row.judged.verdict == "equal":
        return ""
    a, b = column([row.a.mean, row.b.mean])
    percent = [] if row.delta_pct is None else [f"{row.delta_pct:+.1f} %"]
    chance = [] if row.judged.tested is None else [f"p = {p_text(row.judged.tested.p)}"]
    told = ", ".join(percent + chance)
    return f"{a} → {b}" + (f" ({told})" if told else "")


def in_a_line(
    parts: tuple[Part, ...],
    verdict: Callable[[str], str] = lambda word: word,
    name: Callable[[str], str] = lambda text: text,
) -> str:
    """The parts as a sentence, their verdicts and names dressed; all else in it are words of ours and numbers."""
    return "; ".join(f"{verdict(part.verdict)}: {_rest(part, name)}" for part in parts)


def _rest(part: Part, name: Callable[[str], str]) -> str:
    if not part.metrics:
        return part.why
    told = ", ".join(f"{name(one.name)} {one.numbers}".rstrip() for one in part.metrics)
    return f"{told} and {part.more} more" if part.more else told
