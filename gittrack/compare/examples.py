"""What two models said of the same examples, from tables that their runs kept: pairs, and a test over them. Pure.

It speaks of these two models on these data: trained again with another seed, they would be other models.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from gittrack.compare.stats import Tested, bootstrap, mcnemar
from gittrack.errors import InvalidValue
from gittrack.values import dataclass

_IDS = ("id", "example", "example_id", "index")
_CORRECT = ("correct", "right")
_TRUTHS = ("target", "label", "truth", "y_true")
_GUESSES = ("prediction", "predicted", "guess", "y_pred")
_TRUE, _FALSE = ("true", "1", "1.0", "yes"), ("false", "0", "0.0", "no")
Table = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Examples:
    """`what` was compared over the examples, and what a test found; `won` and `lost` count those that b alone, or a alone, had right."""

    what: str
    tested: Tested
    won: int | None = None
    lost: int | None = None

    def to_json(self) -> dict[str, Any]:
        one = self.tested
        return {
            "what": self.what,
            "n": one.n_a,
            "delta": one.delta,
            "ci": None if one.low is None else [one.low, one.high],
            "p": one.p,
            "test": one.test,
            "won": self.won,
            "lost": self.lost,
        }


def read_table(data: bytes, name: str) -> dict[str, list[str]]:
    """Columns of a CSV, TSV or JSON file (a list of mappings, or a mapping of columns); raises InvalidValue."""
    try:
        text = data.decode("utf-8-sig")
        if name.endswith(".json"):
            plain = json.loads(text)
            rows = (
                plain
                if isinstance(plain, list)
                else [dict(zip(plain, one, strict=True)) for one in zip(*plain.values(), strict=True)]
            )
        else:
            rows = list(
                csv.DictReader(io.StringIO(text), delimiter="\t" if name.endswith(".tsv") else ",", strict=True)
            )
        titles = list(rows[0]) if rows else []
        return {title: [_word(row[title]) for row in rows] for title in titles}
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise InvalidValue(f"{name} is no table of examples ({error}); log one with run.log_table") from None


def _word(value: Any) -> str:
    return str(value).strip() if isinstance(value, str | int | float) else json.dumps(value)


def compare_examples(a: Table, b: Table, column: str | None = None) -> Examples:
    """Pair two tables by their ids, else row by row, and test: right or wrong (McNemar), or the numbers of a column (bootstrap).

    Without `column` right and wrong come from a column `correct`, or from a prediction and the truth beside it. Raises
    InvalidValue where the tables are not of the same examples.
    """
    order = _paired_rows(a, b)
    if column is not None:
        sides = [_numbers(table, column, rows) for table, rows in zip((a, b), order, strict=True)]
        return Examples(column, bootstrap(*sides))
    right = [_right(table, rows) for table, rows in zip((a, b), order, strict=True)]
    lost = sum(x and not y for x, y in zip(*right, strict=True))
    won = sum(y and not x for x, y in zip(*right, strict=True))
    return Examples("right", mcnemar(*right), won, lost)


def _paired_rows(a: Table, b: Table) -> tuple[list[int], list[int]]:
    counts = [len(next(iter(table.values()), ())) for table in (a, b)]
    key = next((one for one in _IDS if one in a and one in b), None)
    if key is None:
        if counts[0] != counts[1] or not counts[0]:
            raise InvalidValue(
                f"the tables have {counts[0]:,} and {counts[1]:,} examples and no column {' or '.join(_IDS[:2])} by which to pair them"
            )
        return list(range(counts[0])), list(range(counts[1]))
    places = [{value: at for at, value in enumerate(table[key])} for table in (a, b)]
    if any(len(found) != count for found, count in zip(places, counts, strict=True)):
        raise InvalidValue(f"an example stands twice in column {key!r}, so that examples cannot be paired by it")
    both = [one for one in places[0] if one in places[1]]
    if not both:
        raise InvalidValue(f"no example is in both tables, by column {key!r}")
    return [places[0][one] for one in both], [places[1][one] for one in both]


def _numbers(table: Table, column: str, rows: Sequence[int]) -> list[float]:
    if column not in table:
        raise InvalidValue(f"the table has no column {column!r}; it has {', '.join(table)}")
    try:
        return [float(table[column][at]) for at in rows]
    except ValueError as error:
        raise InvalidValue(f"column {column!r} holds what is no number ({error})") from None


def _right(table: Table, rows: Sequence[int]) -> list[bool]:
    said = next((one for one in _CORRECT if one in table), None)
    if said is not None:
        words = [table[said][at].lower() for at in rows]
        odd = next((one for one in words if one not in (*_TRUE, *_FALSE)), None)
        if odd is not None:
            raise InvalidValue(f"column {said!r} holds {odd!r}, which is neither true nor false")
        return [one in _TRUE for one in words]
    truth, guess = (next((one for one in names if one in table), None) for names in (_TRUTHS, _GUESSES))
    if truth is None or guess is None:
        raise InvalidValue(
            f"the table has neither a column 'correct' nor a prediction beside the truth; it has {', '.join(table) or 'no column'}; "
            "name a column of numbers with --column"
        )
    return [table[truth][at] == table[guess][at] for at in rows]
