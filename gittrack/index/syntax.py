"""Reading a filter expression: tokens, then a recursive descent.

    filter     := condition { "or" condition }          "and" binds closer than "or"
    condition  := term { "and" term }
    term       := "not" term | "(" filter ")" | comparison
    comparison := field ("=" | "!=" | "<" | "<=" | ">" | ">=" | "~") value
                | field ["not"] "in" "(" value { "," value } ")"
                | field "is" ["not"] "null"
    field      := ("params" | "metrics" | "tags") "." key | name of a field of the run
    value      := word | 'text' | "text"

Words are read by what the field holds: `5m` is a duration beside `duration`, text beside a param.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from typing import NoReturn

from gittrack.domain.run import Status
from gittrack.errors import FilterError
from gittrack.index.filter import (
    INFINITY,
    KINDS,
    NUMBER,
    RESERVED,
    RUN_FIELDS,
    SPAN,
    UNITS,
    Ago,
    And,
    Compare,
    Field,
    Filter,
    In,
    IsNull,
    Moment,
    Node,
    Not,
    Or,
    Value,
)
from gittrack.values import dataclass

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<open>\()
      | (?P<close>\))
      | (?P<comma>,)
      | (?P<operator>==|!=|<=|>=|=|<|>|~)
      | (?P<text>"(?:[^"]|"")*"|'(?:[^']|'')*')
      | (?P<word>(?:[^\s()=!<>~,"'`]|`[^`]*`)+)
    """,
    re.VERBOSE,
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?P<seconds>:\d\d(?P<fraction>\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?")
_DEEPEST = 50
_LONGEST = 2000  # conditions and listed values: SQLite takes only so many parameters
_ORDERS = ("<", "<=", ">", ">=")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.lower() in words


def parse(expression: str) -> Filter:
    """Read a filter; raises FilterError, which knows the position of the mistake."""
    parser = _Parser(expression)
    root = parser.filter()
    if parser.now.kind != "end":
        hint = "; text with spaces needs quotes" if parser.now.kind == "word" else ""
        parser.fail(_unexpected(parser.now, "'and', 'or' or the end") + hint)
    return Filter(root, expression)


def parse_sort(text: str) -> tuple[Field, bool]:
    """A sort key such as `-metrics.val/acc`, and whether it runs from high to low.

    The key goes to the end of the text, so it needs no back-ticks. Raises FilterError.
    """
    stripped = text.strip()
    falling = stripped.startswith("-")
    name = stripped.lstrip("+-") if falling or stripped.startswith("+") else stripped
    return _field(name, text.find(name), text), falling


class _Parser:
    def __init__(self, expression: str) -> None:
        self.expression = expression
        self.tokens = _tokens(expression)
        self.at = 0
        self.depth = 0
        self.length = 0

    @property
    def now(self) -> _Token:
        return self.tokens[self.at]

    def take(self) -> _Token:
        token = self.now
        if token.kind != "end":
            self.at += 1
        return token

    def fail(self, message: str, token: _Token | None = None) -> NoReturn:
        raise FilterError(message, expression=self.expression, position=(token or self.now).position)

    def grow(self) -> None:
        self.length += 1
        if self.length > _LONGEST:
            self.fail(f"the filter has more than {_LONGEST:,} conditions and values; split it")

    def filter(self) -> Node:
        nodes = [self.condition()]
        while self.now.is_word("or"):
            self.take()
            nodes.append(self.condition())
        return nodes[0] if len(nodes) == 1 else Or(tuple(nodes))

    def condition(self) -> Node:
        nodes = [self.term()]
        while self.now.is_word("and"):
            self.take()
            nodes.append(self.term())
        return nodes[0] if len(nodes) == 1 else And(tuple(nodes))

    def term(self) -> Node:
        token = self.now
        if not token.is_word("not") and token.kind != "open":
            return self.comparison()
        if self.depth == _DEEPEST:
            self.fail(f"the filter is nested more than {_DEEPEST} deep; write it flatter")
        self.take()
        self.depth += 1
        if token.kind == "word":
            node: Node = Not(self.term())
        else:
            node = self.filter()
            if self.now.kind != "close":
                self.fail(_unexpected(self.now, "')' for the '(' before it"))
            self.take()
        self.depth -= 1
        return node

    def comparison(self) -> Node:
        self.grow()
        token = self.take()
        if token.kind != "word":
            self.fail(_unexpected(token, "a field such as metrics.val/acc or status"), token)
        if NUMBER.fullmatch(token.text):
            self.fail("a condition begins with a field; write the value behind it", token)
        where = _field(token.text, token.position, self.expression)
        operator = self.take()
        if operator.kind == "operator":
            return self.compare(where, operator)
        if operator.is_word("in"):
            return In(where, self.values(where))
        if operator.is_word("not"):
            if not self.now.is_word("in"):
                self.fail(_unexpected(self.now, "'in' after 'not'"))
            self.take()
            return Not(In(where, self.values(where)))
        if operator.is_word("is"):
            return self.is_null(where)
        self.fail(_unexpected(operator, "an operator (= != < <= > >= ~, in, is null)"), operator)

    def is_null(self, where: Field) -> Node:
        negated = self.now.is_word("not")
        if negated:
            self.take()
        if not self.now.is_word("null"):
            self.fail(_unexpected(self.now, "'null'; other values are compared with ="))
        self.take()
        return Not(IsNull(where)) if negated else IsNull(where)

    def compare(self, where: Field, operator: _Token) -> Node:
        sign = "=" if operator.text == "==" else operator.text
        if self.now.is_word("null"):
            if sign not in ("=", "!="):
                self.fail("nothing is above, below or like null; use 'is null' or 'is not null'")
            self.take()
            return IsNull(where) if sign == "=" else Not(IsNull(where))
        token = self.value_token()
        if sign == "~":
            return Compare(where, sign, self.pattern(where, token))
        value = self.value(where, token)
        if sign in _ORDERS and (isinstance(value, bool) or _is_kind(where, "status")):
            self.fail(f"{where} has no order; compare it with = or !=", operator)
        return Compare(where, sign, value)

    def values(self, where: Field) -> tuple[Value, ...]:
        if self.now.kind != "open":
            self.fail(_unexpected(self.now, "'(' after 'in', as in: status in (failed, killed)"))
        self.take()
        found: list[Value] = []
        while True:
            if self.now.is_word("null"):
                self.fail("null is in no list; add: or ... is null")
            found.append(self.value(where, self.value_token()))
            self.grow()
            token = self.now
            if token.kind not in ("comma", "close"):
                self.fail(_unexpected(token, "',' or ')'"))
            self.take()
            if token.kind == "close":
                return tuple(found)

    def value_token(self) -> _Token:
        token = self.now
        if token.kind == "text":
            self.take()
            return token
        if token.kind != "word" or token.text.lower() in RESERVED:
            self.fail(_unexpected(token, "a value"))
        if "`" in token.text or token.text.startswith(tuple(f"{kind}." for kind in KINDS)):
            self.fail("a field is compared with a value, not with another field; quote text")
        self.take()
        return token

    # --- values, by what the field holds

    def pattern(self, where: Field, token: _Token) -> str:
        if where.kind == "run" and RUN_FIELDS[where.name] not in ("text", "hex", "status"):
            self.fail(f"{where} is not text; compare it with = != < <= > >=", token)
        text = _text(token)
        try:
            re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            self.fail(f"{text!r} is not a regular expression: {error}", token)
        return text

    def value(self, where: Field, token: _Token) -> Value:
        if where.kind == "metrics":
            return self.metric(where, token)
        if where.kind != "run":
            return _free_value(token)
        match RUN_FIELDS[where.name]:
            case "time":
                return self.time(where, token)
            case "duration":
                return self.duration(token)
            case "truth":
                if token.text.lower() not in ("true", "false"):
                    self.fail(f"{where} is true or false", token)
                return token.text.lower() == "true"
            case "status":
                return self.status(token)
            case _:
                return _text(token)

    def metric(self, where: Field, token: _Token) -> Value:
        number = _number(token.text) if token.kind == "word" else None
        if number is not None:
            return number
        if token.is_word("nan"):
            return "nan"
        self.fail(f"{where} is a number; write one, without quotes", token)

    def status(self, token: _Token) -> str:
        text = _text(token).lower()
        if text not in tuple(Status):
            known = ", ".join(Status)
            self.fail(f"{text!r} is no status; there are {known}{_nearest(text, Status)}", token)
        return text

    def duration(self, token: _Token) -> Value:
        text = _text(token)
        span = SPAN.fullmatch(text)
        if span:
            return float(span[1]) * UNITS[span[2]]
        number = _number(text)
        if number is None:
            self.fail(f"{text!r} is no duration; write it like 90s, 5m, 2h or 1d", token)
        return number

    def time(self, where: Field, token: _Token) -> Value:
        text = _text(token)
        span = SPAN.fullmatch(text.removeprefix("-"))
        if span and text.startswith("-"):
            return Ago(round(float(span[1]) * UNITS[span[2]], 6))
        try:
            if _DATE.fullmatch(text):
                day = dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)
                return Moment(day.timestamp(), UNITS["d"])
            found = _TIME.fullmatch(text)
            if found:
                time = dt.datetime.fromisoformat(text)
                time = time if time.tzinfo else time.replace(tzinfo=dt.UTC)
                length = 0 if found["fraction"] else 1 if found["seconds"] else UNITS["m"]
                return Moment(time.timestamp(), length)
        except (ValueError, OverflowError):
            pass
        self.fail(f"{text!r} is no time for {where}; write -7d, 2026-01-31 or 2026-01-31T12:00", token)


def _tokens(expression: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    try:
        expression.encode()
    except UnicodeEncodeError as error:
        raise FilterError("the filter is not valid Unicode here", expression=expression, position=error.start) from None
    while at < len(expression):
        found = _TOKEN.match(expression, at)
        if found is None:
            raise FilterError(_stray(expression[at:]), expression=expression, position=at)
        if found.lastgroup != "space":
            tokens.append(_Token(str(found.lastgroup), found.group(), at))
        at = found.end()
    if not tokens:
        raise FilterError(
            "the filter is empty; write one like: metrics.val/acc > 0.9",
            expression=expression,
            position=0,
        )
    tokens.append(_Token("end", "", len(expression.rstrip())))
    return tokens


def _stray(rest: str) -> str:
    if rest[0] in "\"'`":
        return f"this {rest[0]} is never closed"
    return "'!' alone means nothing; write != or not"


def _unexpected(token: _Token, expected: str) -> str:
    if token.kind == "end":
        return f"the filter ends too early: expected {expected}"
    return f"expected {expected}, found {token.text!r}"


def _field(text: str, position: int, expression: str) -> Field:
    kind, dot, key = text.partition(".")
    problem = None
    if dot and kind in KINDS:
        # A back-tick quotes the part of the key that holds odd characters, or all of it.
        key = key.replace("`", "")
        if key:
            return Field(kind, key, position)
        problem = f"a key is missing after '{kind}.'"
    elif text in RUN_FIELDS:
        return Field("run", text, position)
    elif dot:
        hint = _nearest(kind, KINDS)
        problem = f"{kind!r} has no fields; keys are written params.K, metrics.K or tags.K{hint}"
    else:
        plain = text.replace("`", "")
        hint = _nearest(plain, RUN_FIELDS) or f"; or is it params.{plain} or metrics.{plain}?"
        problem = f"a run has no field {plain!r}{hint}"
    raise FilterError(problem, expression=expression, position=position)


def _nearest(text: str, known: Iterable[str]) -> str:
    # Only a mistake needs it, and the import takes milliseconds.
    from difflib import get_close_matches

    found = get_close_matches(text, list(map(str, known)), n=1)
    return f"; did you mean {found[0]}?" if found else ""


def _is_kind(where: Field, kind: str) -> bool:
    return where.kind == "run" and RUN_FIELDS[where.name] == kind


def _text(token: _Token) -> str:
    if token.kind != "text":
        return token.text
    mark = token.text[0]
    return token.text[1:-1].replace(mark * 2, mark)


def _free_value(token: _Token) -> Value:
    """A value beside a param or run tag: a bare number or truth word, else text."""
    if token.kind == "text":
        return _text(token)
    if token.text.lower() in ("true", "false"):
        return token.text.lower() == "true"
    number = _number(token.text)
    return token.text if number is None else number


def _number(text: str) -> int | float | None:
    if NUMBER.fullmatch(text):
        try:
            whole = int(text)
        except ValueError:
            return float(text)
        # SQLite compares integers of 64 bits.
        return whole if -(2**63) <= whole < 2**63 else float(text)
    return float(text) if INFINITY.fullmatch(text) else None
