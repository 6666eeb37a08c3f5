"""The filter language: what a filter says, as values, and how it prints. `syntax` reads it.

A filter is either true or false for a run; there is no third answer:

- A comparison with something that a run lacks is false; so is an order (`<`, `>`) between a number
  and a text. `!=` and `not in` are the plain opposites of `=` and `in`: a run without the key
  passes. Add `and params.x is not null` where it should not.
- `is null` is true for what is missing or null, and for a text of the run itself (`description`,
  `host`) that is empty.
- A number equals an integer or float of the same value, and a text that reads as that number
  (YAML takes `1e-3` for text, and run tags are always text). In quotes it is text and equals text
  only: `params.lr = 0.1` finds 0.1 and "0.1", `params.lr = "0.1"` finds "0.1" alone.
- The words true and false equal a truth value, and a text that spells it. A truth value is no
  number.
- Text compares exactly; `~` looks for a regular expression anywhere in it (numbers: as Python
  prints them). A list or mapping is its compact JSON.
- A metric that is NaN is neither above, below nor equal to any number, and is not null;
  `metrics.loss = nan` finds it. `inf` and `-inf` are numbers.
- A time stands for the whole of what it names: `started = 2026-01-31` is that day,
  `started > 2026-01-31` after it, `started >= 2026-01-31` from its first moment. Without an offset
  a time is UTC. `-7d` is the moment seven days ago.
- `id`, `parent` and `commit` equal a prefix of four digits or more; `commit` is that of the run or
  of its code.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator

from gittrack.values import dataclass, field

# What a field of the run itself holds decides how its value is read.
RUN_FIELDS = {
    "name": "text",
    "experiment": "text",
    "status": "status",
    "started": "time",
    "ended": "time",
    "duration": "duration",
    "author": "text",
    "branch": "text",
    "commit": "hex",
    "host": "text",
    "description": "text",
    "command": "text",
    "dirty": "truth",
    "parent": "hex",
    "id": "hex",
}
KINDS = ("params", "metrics", "tags")

# A word that needs no quotes: everything but white space and the signs of the language.
PLAIN_WORD = re.compile(r"[^\s()=!<>~,\"'`]+")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
INFINITY = re.compile(r"[+-]?inf", re.IGNORECASE)
SPAN = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(s|m|h|d|w)", re.ASCII)
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
RESERVED = frozenset({"and", "or", "not", "in", "is", "null"})


@dataclass(frozen=True, slots=True)
class Moment:
    """A time as written: it stands for the `length` seconds from `start` on (0: one moment)."""

    start: float
    length: float = 0.0

    @property
    def end(self) -> float:
        return self.start + self.length


@dataclass(frozen=True, slots=True)
class Ago:
    """So many seconds before now."""

    seconds: float

    def at(self, now: float) -> Moment:
        return Moment(now - self.seconds)


Value = int | float | str | bool | Moment | Ago


@dataclass(frozen=True, slots=True)
class Field:
    """`params`, `metrics` or `tags` with a key, or `run` with the name of one of its own fields."""

    kind: str
    name: str
    position: int = field(default=0, compare=False)

    def __str__(self) -> str:
        if self.kind == "run":
            return self.name
        return f"{self.kind}.{self.name if PLAIN_WORD.fullmatch(self.name) else f'`{self.name}`'}"


@dataclass(frozen=True, slots=True)
class Compare:
    """One of = != < <= > >= and ~ (whose value is a regular expression)."""

    field: Field
    operator: str
    value: Value

    def __str__(self) -> str:
        pattern = self.operator == "~"
        value = quote(str(self.value)) if pattern else value_to_text(self.value, self.field)
        return f"{self.field} {self.operator} {value}"


@dataclass(frozen=True, slots=True)
class In:
    field: Field
    values: tuple[Value, ...]

    def __str__(self) -> str:
        values = ", ".join(value_to_text(value, self.field) for value in self.values)
        return f"{self.field} in ({values})"


@dataclass(frozen=True, slots=True)
class IsNull:
    field: Field

    def __str__(self) -> str:
        return f"{self.field} is null"


@dataclass(frozen=True, slots=True)
class Not:
    node: Node

    def __str__(self) -> str:
        return f"not ({self.node})"


@dataclass(frozen=True, slots=True)
class And:
    nodes: tuple[Node, ...]

    def __str__(self) -> str:
        return " and ".join(map(_operand, self.nodes))


@dataclass(frozen=True, slots=True)
class Or:
    nodes: tuple[Node, ...]

    def __str__(self) -> str:
        return " or ".join(map(_operand, self.nodes))


Node = Compare | In | IsNull | Not | And | Or


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter, and the expression that it was read from."""

    root: Node
    expression: str = field(default="", compare=False)

    def __str__(self) -> str:
        return str(self.root)

    def fields(self) -> Iterator[Field]:
        """Every field in the filter, in the order of writing."""
        return (field for field, _ in _fields(self.root))

    def compared_fields(self) -> Iterator[Field]:
        """The fields that some run must have for the filter to make sense.

        `tags.reviewed is null` is asked before the first run has that tag.
        """
        return (field for field, compared in _fields(self.root) if compared)


def _fields(node: Node) -> Iterator[tuple[Field, bool]]:
    match node:
        case And(nodes) | Or(nodes):
            for one in nodes:
                yield from _fields(one)
        case Not(inner):
            yield from _fields(inner)
        case _:
            yield node.field, not isinstance(node, IsNull)


def _operand(node: Node) -> str:
    return f"({node})" if isinstance(node, (And, Or)) else str(node)


def value_to_text(value: Value, of: Field) -> str:
    """A value as one would write it next to a field."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case Moment():
            return _moment_to_text(value)
        case Ago(seconds):
            return f"-{seconds:.6f}".rstrip("0").rstrip(".") + "s"
        case _:
            return value if of.kind == "metrics" else quote(value)


def quote(text: str) -> str:
    """Text in quotes; a quote inside is doubled, and everything else is as it is."""
    return '"' + text.replace('"', '""') + '"'


def _moment_to_text(moment: Moment) -> str:
    time = dt.datetime.fromtimestamp(moment.start, dt.UTC).replace(tzinfo=None)
    if moment.length == UNITS["d"]:
        return time.date().isoformat()
    precision = {60.0: "minutes", 1.0: "seconds"}.get(moment.length, "microseconds")
    return time.isoformat(timespec=precision) + "Z"


def point_at(expression: str, position: int) -> str:
    """The expression with a caret below the character at `position`, for a screen."""
    flat = "".join(" " if char.isspace() else char for char in expression)
    position = max(0, min(position, len(flat)))
    start, width = 0, 76
    if len(flat) > width:
        start = max(0, min(position - width // 2, len(flat) - width))
    shown = flat[start : start + width]
    return f"{shown}\n{' ' * (position - start)}^"
