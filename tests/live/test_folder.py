"""The folder of an active run."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gittrack.errors import CorruptRecord, RunBusy
from gittrack.live.folder import RESERVE, RunFolder, run_folders
from gittrack.live.journal import EVENT, Journal, frame
from gittrack.live.owner import Liveness, this_process
from tests.helpers import fill_disk, read_only, small_disk

RUN = "0123456789abcdef" * 2


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "live", RUN)
    folder.create()
    return folder


def test_create_twice_keeps_what_is_there(folder: RunFolder) -> None:
    assert folder.write_last_word(frame(EVENT, b'{"op":"end"}'))
    folder.create()
    assert folder.exists()
    assert folder.replay().events == [{"op": "end"}]


def test_owners_and_their_liveness(folder: RunFolder) -> None:
    me = this_process()
    dead = dataclasses.replace(me, started=me.started - 500)
    afar = dataclasses.replace(me, host="elsewhere", boot="its")
    assert folder.liveness() is Liveness.DEAD
    mine = folder.claim(me)
    assert folder.owners() == {mine: me}
    assert folder.liveness() is Liveness.ALIVE
    assert folder.liveness(but=mine) is Liveness.DEAD
    folder.claim(dead, "-rank1")
    assert folder.liveness() is Liveness.ALIVE
    folder.claim(afar, "-rank2")
    assert folder.liveness() is Liveness.ALIVE
    assert folder.liveness(but=mine) is Liveness.UNKNOWN
    folder.claim(dead)
    assert folder.liveness() is Liveness.UNKNOWN


def test_a_run_says_in_which_worktree_it_works(folder: RunFolder, tmp_path: Path) -> None:
    assert folder.place() is None
    for name in ("one", os.fsdecode(b"a\nname of \xff\xfe bytes ")):
        folder.stand(tmp_path / name)
        assert folder.place() == tmp_path / name
    assert not list(folder.path.glob(".place*"))


def test_that_it_cannot_say_where_harms_no_run(folder: RunFolder, tmp_path: Path) -> None:
    folder.remove()
    folder.stand(tmp_path)
    assert folder.place() is None
    folder.create()
    with read_only(folder.path):
        folder.stand(tmp_path)
    assert folder.place() is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"pid": 1}', b"\xff"])
def test_an_unreadable_owner_counts_as_nobody(folder: RunFolder, content: bytes) -> None:
    (folder.path / "owner").write_bytes(content)
    assert folder.owners() == {}
    assert folder.liveness() is Liveness.DEAD


def test_journals_in_the_order_of_their_writers(folder: RunFolder) -> None:
    for name in ("journal-rank1-7", "journal-12-abc", "journal"):
        Journal(folder.path / name, pytest.fail).event({"op": name})
    assert [path.name for path in folder.journals()] == ["journal", "journal-12-abc", "journal-rank1-7"]
    assert {event["op"] for event in folder.replay().events} == {"journal", "journal-12-abc", "journal-rank1-7"}


def test_the_last_write_is_that_of_the_writers_not_of_those_who_look(folder: RunFolder) -> None:
    folder.journal.write_bytes(b"")
    folder.claim(this_process())
    for path in folder.path.iterdir():
        os.utime(path, (1000, 1000))
    os.utime(folder.journal, (2000, 2000))
    with folder.locked():
        assert folder.last_write() == 2000


def test_the_last_word_on_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        folder = RunFolder(disk, RUN)
        folder.create()
        fill_disk(disk)
        word = frame(EVENT, b'{"op":"end","text":"%s"}' % (b"x" * 3000))
        assert folder.write_last_word(word)
        assert folder.replay().events[0]["op"] == "end"
        assert not folder.write_last_word(bytes(RESERVE + 1))
        assert folder.replay().events[0]["op"] == "end"


def test_no_room_for_the_last_word(folder: RunFolder) -> None:
    (folder.path / "end").unlink()
    assert not folder.write_last_word(frame(EVENT, b"{}"))
    assert folder.replay().events == []


def test_a_journal_that_cannot_be_read_is_told(folder: RunFolder) -> None:
    folder.journal.mkdir()
    with pytest.raises(CorruptRecord, match="gittrack recover"):
        folder.replay()


# --- one at a time


def test_the_lock_holds_against_another_process(folder: RunFolder) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom gittrack.live.folder import RunFolder\n"
        "with RunFolder(Path(sys.argv[1]), sys.argv[2]).locked():\n    print(flush=True)\n    input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder.path.parent), RUN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(RunBusy, match="try again"), folder.locked():
            pass
        other.kill()
    with folder.locked():
        pass


def test_the_lock_holds_against_another_thread_and_is_given_back_on_error(folder: RunFolder) -> None:
    told = []

    def other() -> None:
        try:
            with folder.locked():
                told.append("entered")
        except RunBusy:
            told.append("busy")

    with pytest.raises(ZeroDivisionError), folder.locked():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        raise ZeroDivisionError
    with folder.locked():
        pass
    assert told == ["busy"]


def test_a_folder_that_is_gone_or_read_only_can_be_locked_all_the_same(folder: RunFolder) -> None:
    with read_only(folder.path), folder.locked():
        assert folder.replay().events == []
    folder.remove()
    with folder.locked():
        assert not folder.exists()


# --- the end


def test_remove_takes_everything_and_may_be_repeated(folder: RunFolder) -> None:
    folder.files.mkdir()
    (folder.files / "x").write_bytes(b"1")
    folder.remove()
    folder.remove()
    assert list(folder.path.parent.iterdir()) == []


def test_what_an_interrupted_removal_left_is_no_run_and_is_swept(tmp_path: Path) -> None:
    left = tmp_path / "live" / f".gone-{RUN}-12345678"
    left.mkdir(parents=True)
    (left / "journal").write_bytes(b"")
    (tmp_path / "live" / "something else").mkdir()
    (tmp_path / "live" / RUN).mkdir()
    assert [found.run_id for found in run_folders(tmp_path / "live")] == [RUN]
    assert not left.exists()
    assert (tmp_path / "live" / "something else").exists()


def test_no_live_folder_no_runs(tmp_path: Path) -> None:
    assert run_folders(tmp_path / "nowhere") == []
    (tmp_path / "file").write_bytes(b"")
    assert run_folders(tmp_path / "file") == []
