from __future__ import annotations

import copy
import dataclasses
import json
import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.domain.amendment import Amendment
from gittrack.domain.artifact import Artifact
from gittrack.domain.codec import (
    amendment_from_line,
    amendment_to_line,
    param_from_json,
    param_to_json,
    record_from_dict,
    record_to_dict,
    state_from_line,
    state_to_json,
    state_to_line,
    time_from_text,
    time_to_text,
)
from gittrack.domain.metric import Summary
from gittrack.domain.run import Attempt, CodeCapture, Failure, RunRecord, RunState, Status
from gittrack.errors import CorruptRecord, FormatTooNew

COMMIT = "c" * 40

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
optional_texts = st.one_of(st.none(), texts)
times = st.integers(0, 4 * 10**15).map(lambda millionths: millionths / 10**6)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["a", "$float", "$int", "$map", "x y"]), inner, max_size=2),
    ),
    max_leaves=5,
)
states = st.builds(
    RunState,
    id=st.just("a" * 32),
    name=texts,
    experiment=texts,
    status=st.sampled_from(Status),
    started=times,
    ended=st.one_of(st.none(), times),
    commit=st.just(COMMIT),
    head=st.just(COMMIT),
    code_commit=optional_texts,
    branch=optional_texts,
    dirty=st.booleans(),
    author=texts,
    host=optional_texts,
    parent=optional_texts,
    params=st.dictionaries(texts, values, max_size=4),
    metrics=st.dictionaries(texts, st.floats(), max_size=4),
    tags=st.dictionaries(texts, texts, max_size=3),
    description=texts,
    command=texts,
    attempt=st.integers(1, 9),
    truncated=st.booleans(),
)

STATE = RunState(
    id="a" * 32,
    name="first",
    experiment="digits",
    status=Status.FINISHED,
    started=1_767_225_600.25,
    ended=1_767_225_661.5,
    commit=COMMIT,
    head=COMMIT,
    code_commit="d" * 40,
    branch="main",
    author="Test Author <author@example.org>",
    params={"lr": 0.1, "decay": math.inf},
    metrics={"loss": math.nan, "acc": 0.9},
    tags={"kind": "cv"},
)
RECORD = RunRecord(
    id="a" * 32,
    name="first",
    experiment="digits",
    status=Status.FAILED,
    started=1_767_225_600.25,
    ended=1_767_225_661.5,
    code=CodeCapture(
        commit="d" * 40,
        branch="main",
        dirty=True,
        snapshot="e" * 40,
        remote="https://example.org/repo.git",
        default_branch="main",
        merge_base="f" * 40,
        commits_since_base=2,
        files_since_base=("a.py", "b.py"),
        files=("a.py",),
        unrecorded=("notes.txt",),
        pushed=False,
    ),
    command=("python", "train.py", "--lr", "0.1"),
    script="train.py",
    cwd="sub",
    author="Test Author <author@example.org>",
    host="box",
    parent="b" * 32,
    params={"lr": 0.1},
    summary={"loss": Summary(math.nan, 0.1, math.inf, 0.5, 7, 6, 1_767_225_660.0, 1)},
    tags={"kind": "cv"},
    description="two\nlines",
    error=Failure("ValueError", "no", "Traceback ...", 1, None),
    inputs=({"path": "data.csv", "md5": "1" * 32},),
    artifacts=(Artifact("model.pkl", 3, "2" * 32, "model", "rf"), Artifact("x.txt", 1, "3" * 32)),
    attempts=(Attempt(1, 1.0, 2.0, Status.LOST, "box"), Attempt(2, 3.0, None, Status.FAILED)),
    job={"scheduler": "slurm", "id": "7"},
    warnings=("slow",),
)


# --- times and params


@given(times)
def test_times_keep_their_microseconds(seconds):
    text = time_to_text(seconds)
    assert text.endswith("Z")
    assert time_from_text(text) == seconds


def test_no_time():
    assert time_to_text(None) is None
    assert time_from_text(None) is None


@given(values)
def test_params_survive_json(value):
    assert repr(param_from_json(orjson.loads(orjson.dumps(param_to_json(value))))) == repr(value)


# --- the record line


@given(states)
def test_a_state_survives_its_line(state):
    line = orjson.loads(orjson.dumps(state_to_line(state)))
    assert repr(state_from_line(line, commit=COMMIT)) == repr(state)


def _line():
    return orjson.loads(orjson.dumps(state_to_line(STATE)))


def test_a_line_of_a_newer_format_is_refused():
    line = _line() | {"format": 2}
    with pytest.raises(FormatTooNew, match="format 2, and this gittrack reads formats up to 1; upgrade gittrack"):
        state_from_line(line, commit=COMMIT)


def _deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


DAMAGES = [
    ("format", None),
    ("format", "1"),
    ("format", 0),
    ("id", 7),
    ("id", ...),
    ("name", None),
    ("name", ["x"]),
    ("experiment", {}),
    ("status", "asleep"),
    ("status", None),
    ("started", None),
    ("started", "yesterday"),
    ("started", 5),
    ("ended", "never"),
    ("code", None),
    ("code", {}),
    ("code", {"commit": 1, "branch": None, "dirty": False}),
    ("code", {"commit": None, "branch": None, "dirty": "no"}),
    ("author", None),
    ("host", 3),
    ("parent", []),
    ("attempt", 0),
    ("attempt", "1"),
    ("attempt", 2**40),
    ("command", None),
    ("description", 5),
    ("tags", ["a"]),
    ("tags", {"a": 1}),
    ("tags", None),
    ("params", []),
    ("params", None),
    ("params", {"a": {"$float": "x"}}),
    ("params", {"a": {"$int": []}}),
    ("params", {"a": {"$map": 5}}),
    ("params", {"a": _deep(2000)}),
    ("metrics", {"a": "high"}),
    ("metrics", {"a": None}),
    ("metrics", {"a": 10**400}),
    ("metrics", 7),
    ("truncated", "no"),
]


@pytest.mark.parametrize(("key", "value"), DAMAGES, ids=[f"{key}-{number}" for number, (key, _) in enumerate(DAMAGES)])
def test_a_damaged_line_is_named(key, value):
    line = _line()
    if value is ...:
        del line[key]
    else:
        line[key] = value
    with pytest.raises(CorruptRecord, match="fsck"):
        state_from_line(line, commit=COMMIT)


@pytest.mark.parametrize("line", [[], 5, None, "text", {}])
def test_what_is_no_line_at_all(line):
    with pytest.raises(CorruptRecord):
        state_from_line(line, commit=COMMIT)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(texts, inner, max_size=2)),
    max_leaves=4,
)


@given(st.sampled_from(sorted(_line())), json_values)
def test_any_value_in_any_place_is_read_or_refused(key, value):
    try:
        state = state_from_line(_line() | {key: value}, commit=COMMIT)
    except (CorruptRecord, FormatTooNew):
        return
    orjson.dumps(state_to_json(state))
    assert repr(state_from_line(orjson.loads(orjson.dumps(state_to_line(state))), commit=COMMIT)) == repr(state)


def test_what_older_writers_left_out_has_a_default():
    line = _line()
    for key in ("host", "parent", "attempt", "command", "tags", "description"):
        del line[key]
    found = state_from_line(line, commit=COMMIT)
    assert (found.host, found.parent, found.attempt, found.command, found.tags, found.description) == (
        None,
        None,
        1,
        "",
        {},
        "",
    )


# --- amendments


@given(
    st.dictionaries(texts, st.one_of(st.none(), st.booleans(), texts), max_size=3),
    st.integers(1, 2**40),
    st.one_of(st.none(), states),
    times,
)
def test_an_amendment_survives_its_line(changes, clock, continuation, time):
    amendment = Amendment("a" * 32, clock, COMMIT, "Test Author <author@example.org>", time, changes, continuation)
    line = orjson.loads(orjson.dumps(amendment_to_line(amendment)))
    assert repr(amendment_from_line(line, commit=COMMIT)) == repr(amendment)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("run", None),
        ("clock", "x"),
        ("clock", None),
        ("clock", math.inf),
        ("changes", None),
        ("changes", ["a"]),
        ("changes", {"name": ["x"]}),
        ("author", 5),
        ("time", "soon"),
        ("continuation", {}),
        ("continuation", []),
        ("format", None),
    ],
)
def test_a_damaged_amendment_is_named(key, value):
    line = amendment_to_line(Amendment("a" * 32, 1, COMMIT, changes={"name": "x"}))
    with pytest.raises(CorruptRecord, match="fsck"):
        amendment_from_line(line | {key: value}, commit=COMMIT)


def test_an_amendment_of_a_newer_format_is_refused():
    line = amendment_to_line(Amendment("a" * 32, 1, COMMIT))
    with pytest.raises(FormatTooNew):
        amendment_from_line(line | {"format": 2}, commit=COMMIT)


# --- the whole record


def test_a_record_survives_its_dictionary():
    plain = record_to_dict(RECORD)
    assert repr(record_from_dict(plain, RECORD.params, RECORD.state().metrics)) == repr(RECORD)
    assert list(plain)[:4] == ["format", "id", "name", "experiment"]
    assert "params" not in plain


def test_the_smallest_record():
    least = RunRecord("a" * 32, "x", "digits", Status.FINISHED, 1.0, 2.0, CodeCapture("d" * 40))
    assert record_from_dict(record_to_dict(least), {}) == least


def test_a_record_and_its_state():
    state = RECORD.state(commit=COMMIT)
    assert (state.commit, state.head, state.code_commit, state.attempt) == (COMMIT, COMMIT, "e" * 40, 2)
    assert state.command == "python train.py --lr 0.1"
    assert math.isnan(state.metrics["loss"])
    assert state.duration == 61.25


@pytest.mark.parametrize("key", ["format", "id", "status", "code"])
def test_a_damaged_record_is_named(key):
    for value in (..., None, [], 5.5):
        plain = copy.deepcopy(record_to_dict(RECORD))
        if value is ...:
            del plain[key]
        elif key != "id":
            plain[key] = value
        else:
            continue
        with pytest.raises(CorruptRecord):
            record_from_dict(plain, {})


def test_a_record_of_a_newer_format_is_refused():
    with pytest.raises(FormatTooNew):
        record_from_dict(record_to_dict(RECORD) | {"format": 2}, {})


# --- printed JSON


def test_printed_json_is_strict():
    odd = dataclasses.replace(STATE, params={"a": math.inf, "list": [math.nan, {"b": -math.inf}]})
    printed = state_to_json(odd)
    text = json.dumps(printed, allow_nan=False)
    assert json.loads(text)["params"] == {"a": None, "list": [None, {"b": None}]}
    assert json.loads(text)["metrics"] == {"loss": None, "acc": 0.9}


def test_printed_json_has_the_fields_of_the_command_contract():
    assert list(state_to_json(STATE)) == [
        "id",
        "name",
        "experiment",
        "status",
        "started",
        "ended",
        "duration",
        "commit",
        "code",
        "author",
        "parent",
        "params",
        "metrics",
        "tags",
        "description",
        "command",
    ]
    assert state_to_json(STATE)["started"] == "2026-01-01T00:00:00.250000Z"
    assert state_to_json(STATE)["duration"] == 61.25
