"""What was compared, as cells of a table: the same words for a terminal and for a pull request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gittrack.compare.align import ABSENT
from gittrack.compare.diff import Row, Sample
from gittrack.report.numbers import exact
from gittrack.report.table import Column, as_text

VERDICT_STYLES = {"improved": "good", "regressed": "bad", "mixed": "warn", "equal": "", "undecided": "dim", "new": ""}


def sample_text(sample: Sample | None, mean: str, absent: str = "-") -> str:
    """The mean, written as `mean`, with its deviation and number where there are several values."""
    if sample is None:
        return absent
    if sample.n == 1:
        return mean
    # Of a deviation over few repeats two digits are more than is known.
    spread = "" if sample.sd is None else f" ± {sample.sd:.2g}"
    return f"{mean}{spread} ({sample.n})"


def row_lines(rows: Sequence[Row], room: int, titles: tuple[str, str] = ("a", "b")) -> list[str]:
    """Keys with their values on both sides, as a table of so many columns of text; no lines for no rows."""
    if not rows:
        return []
    columns = [
        Column("", tuple(row.key for row in rows), shrink=False),
        Column(titles[0], tuple(_shown(row.a) for row in rows)),
        Column(titles[1], tuple(_shown(row.b) for row in rows)),
    ]
    return as_text(columns, room=room)


def _shown(value: Any) -> str:
    return "-" if value is ABSENT else exact(value)
