"""The journal: what returned is on disk, whatever is logged, whoever logs, whatever the disk does."""

from __future__ import annotations

import math
import os
import struct
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.domain.metric import STEP_MAX, STEP_MIN
from gittrack.errors import InvalidName, InvalidValue, RunClosed
from gittrack.live.journal import Journal
from gittrack.live.replay import Replay, replay, scan
from tests.helpers import fill_disk, small_disk


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def journal(tmp_path: Path, warnings: list[str]) -> Journal:
    return Journal(tmp_path / "journal", warnings.append)


def read(journal: Journal) -> Replay:
    return scan(journal.path.read_bytes())


def points(found: Replay, key: str) -> list[tuple[int, float]]:
    return [(step, value) for step, value, _ in found.histories[key]]


def same(a: float, b: float) -> bool:
    return struct.pack("<d", a) == struct.pack("<d", b) or (math.isnan(a) and math.isnan(b))


# --- what goes in comes out

KEYS = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="`"), min_size=1, max_size=12).filter(
    lambda key: key == key.strip() and bool(key)
)
VALUES = st.floats() | st.integers(-(2**70), 2**70) | st.booleans()
STEPS = st.none() | st.integers(STEP_MIN, STEP_MAX - 1_000)
CALLS = st.lists(
    st.tuples(KEYS, VALUES, STEPS) | st.tuples(st.dictionaries(KEYS, VALUES, max_size=5), STEPS), max_size=30
)


@given(CALLS)
def test_any_keys_values_and_steps_come_back(tmp_path_factory: pytest.TempPathFactory, calls: list[Any]) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal"
    journal = Journal(path, pytest.fail)
    expected: dict[str, list[tuple[int, float]]] = {}
    last: dict[str, int] = {}

    def expect(key: str, value: Any, step: int) -> None:
        expected.setdefault(key, []).append((step, float(value)))
        last[key] = step

    for call in calls:
        if len(call) == 3:
            key, value, step = call
            journal.log_metric(key, value, step)
            expect(key, value, last.get(key, -1) + 1 if step is None else step)
        else:
            values, step = call
            journal.log_metrics(values, step)
            at = max((last.get(key, -1) + 1 for key in values), default=0) if step is None else step
            for key, value in values.items():
                expect(key, value, at)
    journal.close()
    found = scan(path.read_bytes()) if path.exists() else Replay()
    assert (found.torn, found.skipped) == (0, 0)
    assert set(found.histories) == set(expected)
    for key, wanted in expected.items():
        got = points(found, key)
        assert [step for step, _ in got] == [step for step, _ in wanted]
        assert all(same(a, b) for (_, a), (_, b) in zip(got, wanted, strict=True))


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers(-(2**63), 2**63), max_size=3)))
def test_events_come_back_in_order(tmp_path_factory: pytest.TempPathFactory, events: list[dict[str, Any]]) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal"
    journal = Journal(path, pytest.fail)
    events = [{**event, "op": "x", "time": 1.5} for event in events]
    for event in events:
        assert journal.event(event)
    found = scan(path.read_bytes()) if path.exists() else Replay()
    assert found.events == events


def test_an_event_with_text_that_is_no_unicode_is_kept_as_well_as_may_be(journal: Journal) -> None:
    """File names and messages of exceptions may hold such bytes; a run must not be lost for them."""
    assert journal.event({"op": "note", "text": os.fsdecode(b"caf\xe9"), "list": [{"a\udce9": "\udce9"}]})
    assert read(journal).events == [{"op": "note", "text": "caf\\xe9", "list": [{"a\\xe9": "\\xe9"}]}]


@pytest.mark.parametrize(
    "value",
    [np.float32(0.5), np.float64(0.5), np.array(0.5), np.array([0.5]), np.array([[0.5]]), np.float16(0.5)],
    ids=repr,
)
def test_scalars_of_numpy_are_numbers(journal: Journal, value: Any) -> None:
    for _ in range(2):  # the first point of a key takes another path than the others
        journal.log_metric("a", value)
        journal.log_metrics({"a": value, "b": value})
    assert [value for _, value in points(read(journal), "a")] == [0.5] * 4


def test_whole_numbers_and_truth_values(journal: Journal) -> None:
    for value in (np.int64(3), np.bool_(True), True, 3, 10**400, -(10**400)):
        journal.log_metric("a", value)
    assert [value for _, value in points(read(journal), "a")] == [3.0, 1.0, 1.0, 3.0, math.inf, -math.inf]


class Tensor:
    """What torch's scalars can do."""

    def item(self) -> float:
        return 0.25

    def __float__(self) -> float:
        return 0.25


def test_scalars_of_torch_are_numbers(journal: Journal) -> None:
    journal.log_metric("a", Tensor())
    journal.log_metric("a", Tensor())
    assert points(read(journal), "a") == [(0, 0.25), (1, 0.25)]


WRONG = ["0.5", b"1", None, [1.0], {"a": 1}, 1j, np.array([1.0, 2.0]), object()]


@pytest.mark.parametrize("value", WRONG, ids=lambda value: type(value).__name__)
def test_what_is_no_number_raises_and_nothing_is_written(journal: Journal, value: Any) -> None:
    with pytest.raises(InvalidValue, match="'a'"):
        journal.log_metric("a", value)
    assert not journal.path.exists()
    journal.log_metrics({"a": 1, "b": 1})
    size = journal.path.stat().st_size
    with pytest.raises(InvalidValue, match="'a'"):
        journal.log_metric("a", value)
    for values in ({"a": value, "b": 1}, {"b": 1, "a": value}, {"new": 1, "a": value}):
        with pytest.raises(InvalidValue, match="'a'"):
            journal.log_metrics(values)
    assert journal.path.stat().st_size == size


@pytest.mark.parametrize("step", ["1", 1.5, math.nan, STEP_MAX + 1, STEP_MIN - 1, True, [1], np.float64(0.5)], ids=repr)
def test_a_wrong_step_raises_the_first_time_and_later(journal: Journal, step: Any) -> None:
    for _ in range(2):
        with pytest.raises(InvalidValue, match="step"):
            journal.log_metric("a", 1, step)
        with pytest.raises(InvalidValue, match="step"):
            journal.log_metrics({"a": 1}, step)
        journal.log_metric("a", 1, 7)
    assert points(read(journal), "a") == [(7, 1.0), (7, 1.0)]


@pytest.mark.parametrize("step", [5.0, np.int32(5), np.float32(5)], ids=repr)
def test_whole_steps_of_any_type(journal: Journal, step: Any) -> None:
    for _ in range(2):
        journal.log_metric("a", 1, step)
        journal.log_metrics({"a": 1}, step)
    journal.log_metric("a", 1)
    assert [step for step, _ in points(read(journal), "a")] == [5, 5, 5, 5, 6]


def test_the_last_step_there_is(journal: Journal) -> None:
    journal.log_metric("a", 1, STEP_MAX)
    journal.log_metric("a", 2)
    journal.log_metrics({"a": 3, "b": 3})
    assert points(read(journal), "a") == [(STEP_MAX, 1.0), (STEP_MAX, 2.0), (STEP_MAX, 3.0)]


@pytest.mark.parametrize("key", ["", " a", "a ", "a\nb", "`a`", "\udce9", "x" * 1001, 7, None], ids=repr)
def test_a_wrong_key_raises(journal: Journal, key: Any) -> None:
    with pytest.raises(InvalidName):
        journal.log_metric(key, 1)
    with pytest.raises(InvalidName):
        journal.log_metrics({"ok": 1, key: 1})
    assert not journal.path.exists()


def test_no_values_are_no_record(journal: Journal) -> None:
    journal.log_metrics({})
    journal.log_metrics({}, 3)
    journal.log_metric("a", 1)
    assert points(read(journal), "a") == [(0, 1.0)]


def test_more_values_than_one_record_holds(journal: Journal) -> None:
    values = {f"m{number}": float(number) for number in range(70_000)}
    journal.log_metrics(values, 3)
    journal.log_metrics(values)
    found = read(journal)
    assert {key: points(found, key) for key in values} == {key: [(3, v), (4, v)] for key, v in values.items()}


def test_a_prefix_tells_ranks_apart(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", pytest.fail, prefix="rank3/")
    journal.log_metric("loss", 1)
    journal.log_metrics({"loss": 2})
    assert points(read(journal), "rank3/loss") == [(0, 1.0), (1, 2.0)]


# --- who logs


def test_eight_threads_and_their_own_steps(journal: Journal) -> None:
    def log(number: int) -> None:
        for step in range(10_000):
            journal.log_metric(f"t{number}", step, step)
            if step % 100 == 0:
                journal.log_metrics({"shared": step, f"t{number}/again": step}, step)

    threads = [threading.Thread(target=log, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read(journal)
    assert (found.torn, found.skipped) == (0, 0)
    for number in range(8):
        assert points(found, f"t{number}") == [(step, float(step)) for step in range(10_000)]
        assert len(found.histories[f"t{number}/again"]) == 100
    assert len(found.histories["shared"]) == 800


def test_threads_that_meet_on_new_keys(journal: Journal) -> None:
    start = threading.Barrier(8)

    def log(number: int) -> None:
        start.wait()
        for key in range(300):
            journal.log_metric(f"k{key}", number)

    threads = [threading.Thread(target=log, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read(journal)
    assert sorted(found.histories) == sorted(f"k{key}" for key in range(300))
    assert all(sorted(one.values) == list(range(8)) for one in found.histories.values())


def test_a_forked_child_continues_in_a_file_of_its_own(journal: Journal, tmp_path: Path) -> None:
    journal.log_metric("a", 1)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            journal.reopen(tmp_path / "journal-child")
            journal.log_metric("a", 2, 7)
            journal.log_metric("child", 3)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    journal.log_metric("a", 4)
    found = replay([journal.path.read_bytes(), (tmp_path / "journal-child").read_bytes()])
    assert points(found, "a") == [(0, 1.0), (7, 2.0), (1, 4.0)]
    assert points(found, "child") == [(0, 3.0)]


# --- the end


def test_a_closed_journal_says_so(journal: Journal) -> None:
    journal.log_metric("a", 1)
    assert journal.close()
    for call in (
        lambda: journal.log_metric("a", 1),
        lambda: journal.log_metrics({"a": 1}),
        lambda: journal.log_metric("new", 1),
        lambda: journal.event({}),
    ):
        with pytest.raises(RunClosed, match="resume"):
            call()
    assert points(read(journal), "a") == [(0, 1.0)]


# --- the disk


def log_until_the_disk_is_full(journal: Journal, warnings: list[str]) -> int:
    count = 0
    while not warnings:
        journal.log_metric("a", count, count)
        count += 1
    return count


def test_a_full_disk_is_told_once_and_nothing_is_lost(tmp_path: Path, warnings: list[str]) -> None:
    with small_disk(tmp_path / "disk") as disk:
        journal = Journal(disk / "journal", warnings.append)
        journal.log_metric("a", -1, -1)
        filler = fill_disk(disk, leave=10_000)
        count = log_until_the_disk_is_full(journal, warnings)
        for step in range(count, count + 1000):
            journal.log_metric("a", step, step)
            journal.log_metrics({"a": step, "new key": step}, step)
        assert not journal.event({"op": "note"})
        assert journal.waiting > 0
        assert len(warnings) == 1
        assert "No space left" in warnings[0]
        filler.unlink()
        journal.log_metric("a", -2, -2)
        assert journal.waiting == 0
        assert journal.close()
        found = read(journal)
        steps = list(found.histories["a"].steps)
        assert [step for step in steps if step < count] == [-1, *range(count), -2]
        assert len([step for step in steps if step >= count]) == 2000
        assert list(found.histories["new key"].steps) == list(range(count, count + 1000))
        assert found.events == [{"op": "note"}]


def test_a_disk_that_stays_full(tmp_path: Path, warnings: list[str]) -> None:
    with small_disk(tmp_path / "disk") as disk:
        journal = Journal(disk / "journal", warnings.append)
        journal.log_metric("a", -1, -1)
        fill_disk(disk, leave=10_000)
        count = log_until_the_disk_is_full(journal, warnings)
        assert not journal.close()
        assert journal.waiting > 0
        found = read(journal)
        assert list(found.histories["a"].steps) == list(range(-1, count - journal.waiting))


def test_what_waits_in_memory_has_a_limit(tmp_path: Path, warnings: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gittrack.live.journal._PENDING_LIMIT", 1000)
    journal = Journal(tmp_path / "nowhere" / "journal", warnings.append)
    for step in range(100):
        journal.log_metric("a", step, step)
    assert len(warnings) == 1
    assert journal.dropped > 0
    (tmp_path / "nowhere").mkdir()
    assert not journal.close()  # some are lost, and that is said
    found = read(journal)
    assert list(found.histories["a"].steps) == list(range(len(found.histories["a"])))


def test_much_that_waited_is_written_in_one_sweep(tmp_path: Path, warnings: list[str]) -> None:
    journal = Journal(tmp_path / "later" / "journal", warnings.append)
    for step in range(200_000):
        journal._keep(struct.pack("<BBHI", 0xA7, 99, 0, step))
    (tmp_path / "later").mkdir()
    assert journal.flush()
    assert journal.path.stat().st_size == 200_000 * 8


@pytest.mark.parametrize("how", ["folder vanishes", "comes back"])
def test_a_folder_that_is_not_there_yet(tmp_path: Path, warnings: list[str], how: str) -> None:
    journal = Journal(tmp_path / "live" / "journal", warnings.append)
    journal.log_metric("a", 1)
    journal.log_metrics({"b": 1})
    assert len(warnings) == 1
    if how == "comes back":
        (tmp_path / "live").mkdir()
        journal.log_metric("a", 2)
        found = read(journal)
        assert points(found, "a") == [(0, 1.0), (1, 2.0)]
        assert points(found, "b") == [(0, 1.0)]
    else:
        assert not journal.close()


def test_threads_on_a_full_disk(tmp_path: Path, warnings: list[str]) -> None:
    with small_disk(tmp_path / "disk") as disk:
        journal = Journal(disk / "journal", warnings.append)
        journal.log_metric("t0", -1, -1)
        filler = fill_disk(disk, leave=20_000)

        def log(number: int) -> None:
            for step in range(500):
                journal.log_metric(f"t{number}", step, step)

        def run() -> None:
            threads = [threading.Thread(target=log, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        run()
        assert journal.waiting > 0
        filler.unlink()
        run()
        assert journal.close()
        found = read(journal)
        for number in range(8):
            steps = [step for step in found.histories[f"t{number}"].steps if step >= 0]
            assert sorted(steps) == sorted([*range(500), *range(500)])


def test_an_error_of_the_warning_itself_does_no_harm(tmp_path: Path) -> None:
    def fail(text: str) -> None:
        raise RuntimeError(text)

    journal = Journal(tmp_path / "nowhere" / "journal", fail)
    journal.log_metric("a", 1)
    assert journal.waiting
