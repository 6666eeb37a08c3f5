"""The quick writer of YAML and the library agree to the byte, or the quick one leaves it to the library."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gittrack.domain.codec import record_to_dict, time_to_text
from gittrack.domain.environment import Environment
from gittrack.domain.metric import summarize
from gittrack.domain.param import unflatten
from gittrack.ledger.files import library_yaml, to_yaml
from gittrack.ledger.plain_yaml import plain_yaml
from tests.ledger.builders import history

ODD = [
    "",
    "-",
    "--",
    "---",
    "---a",
    "y",
    "No",
    "~",
    "<<",
    "=",
    "0x1f",
    "0b01",
    "1_0",
    "1e5",
    "1.5e3",
    "1.5e+3",
    "12:30",
    ".5",
    "5.",
]
ODD += [
    "a: b",
    "a #b",
    "a:",
    "a :b",
    "#a",
    "a\nb",
    " a",
    "a ",
    "a  b",
    "é",
    "\u2028",
    "\U0001f600",
    "'",
    "a'b",
    "[a]",
    "a, b",
    "?a",
]
ODD += [
    "2026-11-21",
    "2026-11-21T10:13:06.067247Z",
    "2026-1-2",
    "1.2.3",
    "1.2",
    "1.2.3e+4",
    ".",
    "..",
    "...",
    "./a",
    "../../b.c",
    "....",
    "1.5rc1",
    "2.0.post1",
    "1.2e5",
    "1.2f5",
    "1.0+cu12",
    "12b3",
    "0b1",
    "00b1",
    "0123",
    "-3",
    "+1.",
    "nan",
    "a\\b",
    "x" * 300,
]
# Near what is written without the library: the seams are what may break.
NEAR = st.text(alphabet="aeby0159.:-+_ /'\"#{}[],?&*!|>%@~=é\n", max_size=12)
TEXT = st.one_of(st.sampled_from(ODD), NEAR, st.text(max_size=20), st.from_regex(r"[0-9a-f]{32}", fullmatch=True))
SCALAR = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT)
VALUE = st.recursive(
    SCALAR,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=12,
)


@given(st.dictionaries(TEXT, VALUE, max_size=6))
def test_it_is_what_the_library_writes(plain: dict[str, Any]) -> None:
    assert to_yaml(plain) == library_yaml(plain)


@given(TEXT)
@example("e" * 60)
@example("é" * 60)
@example("word " * 39 + "word")
def test_every_text_by_itself_as_value_item_and_key(text: str) -> None:
    for plain in ({"a": text}, {"a": [text, [text]]}, {text: 1}, {"a": {"b": {text: text}}}):
        quick = plain_yaml(plain)
        assert quick is None or quick.encode("utf-8") == library_yaml(plain)


@pytest.mark.parametrize("text", ODD)
def test_odd_texts(text: str) -> None:
    assert to_yaml({text: [text, {text: text}]}) == library_yaml({text: [text, {text: text}]})


def test_deep_nesting_and_values_that_are_there_twice() -> None:
    deep: Any = 1
    for level in range(60):
        deep = {f"key {level}": deep} if level % 2 else [deep]
    assert to_yaml({"deep": deep}) == library_yaml({"deep": deep})
    empty: list[int] = []
    for twice in ([1], {"a": 1}, empty):
        assert to_yaml({"one": twice, "other": twice}) == library_yaml({"one": twice, "other": twice})


def test_an_ordinary_run_is_written_without_the_library() -> None:
    from gittrack.domain.run import Attempt, CodeCapture, RunRecord, Status

    curves = [history("val/acc", [0.5]), history("loss", [1.0, 1e-7, float("inf")])]
    record = RunRecord(
        id="0" + "1f" * 15 + "2",
        name="brave-otter-42",
        experiment="digits/small",
        status=Status.FINISHED,
        started=1_700_000_000.25,
        ended=1_700_000_060.5,
        code=CodeCapture("9" * 39 + "a", branch="main", remote="https://example.org/team/digits.git"),
        command=("python", "train.py", "--lr", "0.1", "-x", "size=3"),
        author="Jane Doé <jane@example.org>",
        params={"lr": 1e-5, "model.name": "forest", "model.depth": 3, "layers": [1, 2], "none": None, "flag": True},
        summary={one.key: summarize(one) for one in curves},
        attempts=(Attempt(1, 1_700_000_000.25, 1_700_000_060.5, Status.FINISHED),),
    )
    environment = Environment(packages={"numpy": "1.26.4", "pip": "24.0", "odd": "2.0.post1"})
    for plain in (record_to_dict(record), unflatten(record.params), environment.to_dict(), {"t": time_to_text(0.0)}):
        quick = plain_yaml(plain)
        assert quick is not None
        assert quick.encode("utf-8") == library_yaml(plain)
