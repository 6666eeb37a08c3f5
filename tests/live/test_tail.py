"""A look at an active run from outside, however long its journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from gittrack.live.folder import RunFolder
from gittrack.live.journal import Journal
from gittrack.live.tail import peek

RUN = "0123456789abcdef" * 2


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "live", RUN)
    folder.create()
    return folder


def test_a_short_journal_is_read_whole(folder: RunFolder) -> None:
    journal = Journal(folder.journal, pytest.fail)
    journal.event({"op": "start", "time": 1.0})
    journal.log_metric("loss", 0.5)
    journal.log_metrics({"loss": 0.4, "acc": 0.9})
    look = peek(folder)
    assert [event["op"] for event in look.events] == ["start"]
    assert look.newest == {"loss": (1, 0.4), "acc": (1, 0.9)}
    assert look.points == 3


def test_nothing_yet(folder: RunFolder) -> None:
    look = peek(folder)
    assert (look.events, look.newest, look.points, look.rate) == ((), {}, 0, 0.0)
    folder.journal.write_bytes(b"")
    assert peek(folder).points == 0


def test_a_long_journal_is_seen_at_both_ends(folder: RunFolder) -> None:
    journal = Journal(folder.journal, pytest.fail)
    journal.event({"op": "start", "time": 1.0})
    journal.log_metric("once", 1.0)
    for step in range(30_000):
        if step == 15_000:
            # First logged in the middle, which is not read.
            journal.log_metric("val/acc", 0.25)
            journal.event({"op": "note", "time": 2.0})
        journal.log_metric("loss", step, step)
    journal.log_metric("val/acc", 0.75)
    journal.event({"op": "describe", "time": 3.0})
    look = peek(folder)
    assert look.newest == {"once": (0, 1.0), "loss": (29_999, 29_999.0), "val/acc": (1, 0.75)}
    assert [event["op"] for event in look.events][0::2] == ["start", "describe"] or [
        event["op"] for event in look.events
    ] == ["start", "describe"]
    assert 30_000 <= look.points <= 33_000
    assert look.rate > 0


def test_several_writers(folder: RunFolder) -> None:
    first, second = Journal(folder.journal, pytest.fail), Journal(folder.path / "journal-2", pytest.fail)
    first.log_metric("loss", 1)
    second.log_metric("loss", 2)
    first.log_metric("acc", 3)
    assert peek(folder).newest == {"loss": (0, 2.0), "acc": (0, 3.0)}


def test_utilisation_does_not_count_as_rate(folder: RunFolder) -> None:
    journal = Journal(folder.journal, pytest.fail)
    for _ in range(10):
        journal.log_metric("system/cpu", 1)
    assert peek(folder).rate == 0.0


def test_a_folder_that_just_went_away(folder: RunFolder) -> None:
    folder.remove()
    look = peek(folder)
    assert look.events == ()
