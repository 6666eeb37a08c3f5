"""One line of the result: a figure, what it may be, and a limit measured in the same run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Limit:
    """What the figure is held against, in the same unit."""

    value: float
    name: str


@dataclass(frozen=True, slots=True)
class Row:
    """`bar` is the most that `figure` may be, or, with `times_limit`, the most that figure / limit may be.

    Without a bar the row is there to be known.
    """

    what: str
    figure: float
    unit: str
    bar: float | None = None
    times_limit: bool = False
    limit: Limit | None = None

    @property
    def ratio(self) -> float | None:
        return self.figure / self.limit.value if self.limit and self.limit.value else None

    @property
    def verdict(self) -> str:
        """`ok`, `over`, or nothing where there is no bar."""
        measured = self.ratio if self.times_limit else self.figure
        if self.bar is None or measured is None:
            return ""
        return "ok" if measured <= self.bar else "over"

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": self.ratio, "verdict": self.verdict}

    def cells(self) -> tuple[str, ...]:
        bar = "" if self.bar is None else f"{self.bar:g} x limit" if self.times_limit else f"{self.bar:g} {self.unit}"
        limit = "" if self.limit is None else f"{number(self.limit.value)} {self.unit}  {self.limit.name}"
        ratio = "" if self.ratio is None else f"{number(self.ratio)} x"
        return self.what, f"{number(self.figure)} {self.unit}", bar, self.verdict, ratio, limit


@dataclass(frozen=True, slots=True)
class Note:
    """Something to be said between the rows: why one is missing."""

    text: str
    failed: bool = False

    def to_dict(self) -> dict[str, Any]:
        return {"note": self.text}


HEADER = ("what", "figure", "bar", "", "ratio", "limit, in the same run")
_WIDTHS = (84, 11, 11, 4, 8, 0)


def number(value: float) -> str:
    """Three significant digits, more for large whole numbers."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == 0 else f"{value:.3g}"


def text_line(cells: tuple[str, ...]) -> str:
    aligned = (
        cell.rjust(width) if place in (1, 2, 4) else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(cells, _WIDTHS, strict=True))
    )
    return "  ".join(aligned).rstrip()


def markdown_line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
