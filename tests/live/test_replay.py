"""Reading journals back, whatever a crash, a bad disk or a second writer left in them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.domain.metric import History
from gittrack.live.journal import EVENT, KEY, POINT, Journal, frame
from gittrack.live.replay import Replay, first_record, replay, scan, with_attempts


def write(folder: Path, calls: list[Any], name: str = "journal") -> tuple[bytes, list[int]]:
    """A journal of calls, and its size after each."""
    journal = Journal(folder / name, pytest.fail)
    sizes = []
    for call in calls:
        if isinstance(call, dict) and "op" in call:
            journal.event(call)
        elif isinstance(call, dict):
            journal.log_metrics(call)
        else:
            journal.log_metric(call[0], call[1], call[2] if len(call) > 2 else None)
        sizes.append(journal.path.stat().st_size)
    return journal.path.read_bytes(), sizes


SESSION: list[Any] = [
    {"op": "start", "time": 1.0},
    ("loss", 0.5),
    ("loss", 0.4),
    {"loss": 0.3, "acc": 0.9},
    ("acc", 0.95),
    {"op": "note", "text": "\xa7" * 20, "time": 2.0},  # the byte that begins a record, in the middle of one
    ("loss", 0.2),
    *[("loss", 0.1 * number, number) for number in range(10, 14)],
    {"new": 1.0, "loss": 7.0},
    {"op": "end", "time": 3.0},
]


def content(found: Replay) -> tuple[list[Any], dict[str, list[tuple[int, float]]]]:
    return found.events, {
        key: [(step, value) for step, value, _ in one] for key, one in found.histories.items() if len(one)
    }


def test_a_torn_tail_at_every_byte_costs_only_what_was_not_acknowledged(tmp_path: Path) -> None:
    data, sizes = write(tmp_path, SESSION)
    whole = {size: content(scan(data[:size])) for size in [0, *sizes]}
    for cut in range(len(data) + 1):
        acknowledged = max(size for size in [0, *sizes] if size <= cut)
        found = scan(data[:cut])
        events, points = content(found)
        assert events == whole[acknowledged][0]
        assert points == whole[acknowledged][1]
        assert found.skipped == 0


def test_a_writer_that_goes_on_after_a_torn_record(tmp_path: Path) -> None:
    """What a full disk cut off goes in again as a whole; both kinds of readers find everything else."""
    data, sizes = write(tmp_path, SESSION)
    for at in range(2, len(sizes) - 1):
        record = data[sizes[at - 1] : sizes[at]]
        for cut in range(1, len(record)):
            found = scan(data[: sizes[at - 1]] + record[:cut] + data[sizes[at - 1] :])
            assert content(found) == content(scan(data))
            # Where a torn name goes in again, its beginning is a whole record and the rest is skipped.
            assert found.skipped <= len(record)
            assert found.torn == 0


@given(st.binary(min_size=1, max_size=80), st.integers(0, len(SESSION)))
def test_garbage_in_the_middle_hides_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, garbage: bytes, place: int
) -> None:
    data, sizes = write(tmp_path_factory.mktemp("journal"), SESSION)
    at = [0, *sizes][place]
    found = scan(data[:at] + garbage + data[at:])
    assert content(found) == content(scan(data))
    assert found.skipped + found.torn == len(garbage)


def test_one_flipped_bit_costs_one_record(tmp_path: Path) -> None:
    data, _ = write(tmp_path, SESSION)
    whole = content(scan(data))
    count = len(whole[0]) + sum(map(len, whole[1].values()))
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 0x10
        events, points = content(scan(bytes(damaged)))
        # A damaged name keeps its points, under a name that says so; a record of two points loses both.
        assert len(events) + sum(map(len, points.values())) >= count - 2


def test_points_whose_name_is_lost_are_kept(tmp_path: Path) -> None:
    data, _ = write(tmp_path, [("loss", 0.5), ("loss", 0.4), {"loss": 0.3, "acc": 1.0}])
    name = frame(KEY, b"\0\0\0\0loss")
    assert data.startswith(name)
    found = scan(data[len(name) :])
    assert content(found)[1] == {"unnamed/0": [(0, 0.5), (1, 0.4), (2, 0.3)], "acc": [(2, 1.0)]}


@pytest.mark.parametrize("garbage", [b"", b"\0" * 5000, b"\xa7" * 5000, b"\xa7\x01\x01\x00\x1c\x00\x00\x00" * 300])
def test_a_journal_of_nothing_but_garbage(garbage: bytes) -> None:
    found = scan(garbage)
    assert content(found) == ([], {})
    assert found.skipped + found.torn == len(garbage)


def test_kinds_that_a_newer_writer_added_are_passed_over(tmp_path: Path) -> None:
    data, _ = write(tmp_path, SESSION)
    odd = frame(77, b"something new") + frame(POINT, b"of another length") + frame(KEY, b"no")
    found = scan(odd + data + odd)
    assert content(found) == content(scan(data))
    assert (found.skipped, found.torn) == (0, 0)


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b"null", b"\xff"])
def test_an_event_that_is_no_mapping(body: bytes) -> None:
    assert scan(frame(EVENT, body) + frame(EVENT, b'{"op":"x"}')).events == [{"op": "x"}]


# --- several writers


def test_points_of_several_writers_in_the_order_of_their_times(tmp_path: Path) -> None:
    first = Journal(tmp_path / "journal", pytest.fail)
    second = Journal(tmp_path / "journal-2", pytest.fail)
    for value in range(6):
        (first if value % 2 else second).log_metric("shared", value, 0)
        (first if value % 2 else second).log_metric(f"own{value % 2}", value)
    found = replay([first.path.read_bytes(), second.path.read_bytes()])
    assert list(found.histories["shared"].values) == [0, 1, 2, 3, 4, 5]
    assert list(found.histories["own1"].values) == [1, 3, 5]
    assert list(found.histories["own0"].values) == [0, 2, 4]


def test_order_within_one_writer_stands_even_when_its_clock_jumps_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine's clock is set right in the middle of a run; other writers join it later."""
    clock = itertools.chain([100.0, 101.0, 50.0, 51.0, 52.0], itertools.count(60.0))
    monkeypatch.setattr("gittrack.live.journal.time", lambda: next(clock))
    first = Journal(tmp_path / "journal", pytest.fail)
    for value in range(5):
        first.log_metric("loss", value)
    first.event({"op": "start", "time": 100.0})
    first.event({"op": "params", "time": 40.0})
    second = Journal(tmp_path / "journal-2", pytest.fail)
    second.log_metric("loss", 10)
    second.event({"op": "leave", "time": 60.0})
    found = replay([first.path.read_bytes(), second.path.read_bytes()])
    assert [value for value in found.histories["loss"].values if value < 10] == [0, 1, 2, 3, 4]
    assert [event["op"] for event in found.events if event["op"] != "leave"] == ["start", "params"]


@given(st.lists(st.lists(st.tuples(st.sampled_from("ab"), st.floats(allow_nan=False)), max_size=8), max_size=4))
def test_no_point_of_any_writer_is_lost(
    tmp_path_factory: pytest.TempPathFactory, writers: list[list[tuple[str, float]]]
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    data = [write(folder, list(calls), f"j{at}")[0] if calls else b"" for at, calls in enumerate(writers)]
    found = replay(data)
    for key in "ab":
        expected = sorted(value for calls in writers for name, value in calls if name == key)
        assert sorted(found.histories[key].values if key in found.histories else []) == expected


def test_no_journal_at_all() -> None:
    assert content(replay([])) == ([], {})
    assert content(replay([b"", b""])) == ([], {})


# --- small things


def test_the_first_record_of_reserved_room() -> None:
    record = frame(EVENT, b"{}")
    assert first_record(record + bytes(4000)) == record
    assert first_record(bytes(4096)) == b""
    assert first_record(b"") == b""


def test_points_know_their_attempt() -> None:
    history = History("a")
    for time in (1.0, 5.0, 10.0, 11.0):
        history.steps.append(0)
        history.values.append(0.0)
        history.times.append(time)
    assert list(with_attempts(history, [2.0, 10.0]).attempts) == [1, 1, 2, 2]
    assert not with_attempts(History("b"), [1.0]).attempts
