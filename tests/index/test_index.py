"""The index file may be in any state: the answers are the same."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gittrack.git.repository import Repository
from gittrack.index import Index, database
from gittrack.index.syntax import parse
from tests.index.samples import a_run, change, record

GOOD = parse("params.lr > 0 and name ~ run")


@pytest.fixture
def three(repo):
    """Three recorded runs, in an index that was used before."""
    states = [record(repo, a_run(number, params={"lr": number / 10})) for number in (1, 2, 3)]
    with Index.open(Repository.discover(repo.path)) as index:
        index.update()
        assert _answers(index) == (["run-3", "run-2", "run-1"], ["run-1", "run-2", "run-3"], ["lr"], 3)
    return states


@pytest.fixture
def file(repo) -> Path:
    return repo.path / ".git" / "gittrack" / "index.sqlite"


def _answers(index):
    return (
        [state.name for state in index.select()],
        [state.name for state in index.select(GOOD, sort="params.lr")],
        index.keys("params"),
        index.count(),
    )


def _ask_anew(repo):
    """The answers of a new process, which must be right, and what it says of the file."""
    with Index.open(Repository.discover(repo.path)) as index:
        index.update()
        assert _answers(index) == (["run-3", "run-2", "run-1"], ["run-1", "run-2", "run-3"], ["lr"], 3)
        assert index.update().note == index.note
        return index.note


def _spoil(file, offset, data):
    with file.open("r+b") as opened:
        opened.seek(offset)
        opened.write(data)


@pytest.mark.parametrize("size", [0, 1, 50, 100, 4096, 5000, 8192, 20000])
def test_a_file_cut_short(repo, three, file, size):
    os.truncate(file, size)
    note = _ask_anew(repo)
    assert ("made anew" in note) == (size > 1)
    assert _ask_anew(repo) == ""


@pytest.mark.parametrize("content", [b"not a database at all", b"\0" * 9000, b"SQLite format 3\0" + b"\xff" * 9000])
def test_a_file_of_something_else(repo, three, file, content):
    file.write_bytes(content)
    assert "made anew" in _ask_anew(repo)
    assert _ask_anew(repo) == ""


def test_any_page_of_garbage(repo, three, file):
    whole = file.read_bytes()
    for page in range(len(whole) // 4096):
        for garbage in (b"\0" * 4096, b"\xff" * 4096, bytes(range(256)) * 16):
            file.write_bytes(whole)
            _spoil(file, 4096 * page, garbage)
            _ask_anew(repo)
            assert _ask_anew(repo) == ""


@pytest.mark.parametrize("statement", ["PRAGMA user_version = 0", "PRAGMA user_version = 999"])
def test_another_schema_is_replaced(repo, three, file, statement):
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE of_long_ago (x)")
        connection.execute(statement)
    connection.close()
    assert _ask_anew(repo) == ""
    connection = sqlite3.connect(file)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    assert "of_long_ago" not in tables


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE run",
        "DROP TABLE cell",
        "UPDATE doc SET json = '[{'",
        "UPDATE doc SET json = '[1, 2, 3]'",
        "UPDATE run SET status = 'asleep'",
        "UPDATE meta SET value = 'x'",
        "UPDATE key SET filled = 0",
    ],
)
def test_content_that_makes_no_sense_is_replaced(repo, three, file, statement):
    with sqlite3.connect(file) as connection:
        connection.execute(statement)
    connection.close()
    assert "made anew" in _ask_anew(repo)
    assert _ask_anew(repo) == ""


def test_a_folder_in_its_place(repo, three, file):
    file.unlink()
    file.mkdir()
    assert "in memory" in _ask_anew(repo)


def test_a_file_in_place_of_our_folder(repo, three, file):
    file.unlink()
    file.parent.rmdir()
    file.parent.write_text("")
    assert "in memory" in _ask_anew(repo)


def test_a_file_that_can_only_be_read(repo, three, file, monkeypatch):
    """As root nothing is read-only, so SQLite is told to see it so."""
    record(repo, a_run(4, params={"lr": 0.4}))

    def connect(place):
        uri = place if place == ":memory:" else f"file:{place}?mode=ro"
        return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)

    monkeypatch.setattr(database, "_connect", connect)
    before = file.read_bytes()
    with Index.open(Repository.discover(repo.path)) as index:
        report = index.update()
        assert report.read == 1  # begun from the file, not from nothing
        assert "in memory" in report.note
        assert index.count(GOOD) == 4
    assert file.read_bytes() == before


def test_a_file_that_is_locked(repo, three, file, monkeypatch):
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.01)
    record(repo, a_run(4, params={"lr": 0.4}))
    holder = sqlite3.connect(file, isolation_level=None)
    try:
        for lock in ("IMMEDIATE", "EXCLUSIVE"):
            holder.execute(f"BEGIN {lock}")
            with Index.open(Repository.discover(repo.path)) as index:
                assert "in memory" in index.update().note
                assert index.count(GOOD) == 4
            holder.execute("ROLLBACK")
    finally:
        holder.close()
    with Index.open(Repository.discover(repo.path)) as index:
        assert index.update().note == ""
        assert index.count(GOOD) == 4


def test_a_disk_that_is_full(repo, three, file):
    for number in range(4, 30):
        record(repo, a_run(number, description="x" * 1000))
    with Index.open(Repository.discover(repo.path)) as index:
        pages = index._connection.execute("PRAGMA page_count").fetchone()[0]
        index._connection.execute(f"PRAGMA max_page_count = {pages}")
        report = index.update()
        assert (report.read, "in memory" in report.note) == (26, True)
        assert index.count() == 29


def test_spoiled_while_in_use(repo, three, file):
    with Index.open(Repository.discover(repo.path)) as index:
        index.update()
        file.write_bytes(b"\xff" * file.stat().st_size)
        index._connection.execute("PRAGMA shrink_memory")
        assert index.select(GOOD, sort="params.lr")[0].name == "run-1"
        assert "made anew" in index.note
    assert _ask_anew(repo) == ""


def test_deleted_while_in_use(repo, three, file):
    with Index.open(Repository.discover(repo.path)) as index:
        index.update()
        file.unlink()
        file.parent.rmdir()
        change(repo, three[0], name="renamed")
        index.update()
        assert [state.name for state in index.select(sort="started")] == ["renamed", "run-2", "run-3"]


def test_a_journal_left_beside_a_spoiled_file(repo, three, file):
    file.write_bytes(b"\xff" * 5000)
    file.with_name("index.sqlite-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + b"\0" * 4000)
    _ask_anew(repo)
    assert _ask_anew(repo) == ""


KILLED = """
import os, sqlite3
connection = sqlite3.connect(".git/gittrack/index.sqlite", isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("DELETE FROM run")
connection.execute("CREATE TABLE filler AS SELECT randomblob(100000)")
os._exit(9)
"""


def test_a_process_killed_in_the_middle_of_a_write(repo, three, file):
    subprocess.run([sys.executable, "-c", KILLED], cwd=repo.path, check=False)
    assert file.with_name("index.sqlite-journal").exists()
    assert _ask_anew(repo) == ""


def test_a_mistake_in_a_filter_is_no_damage(repo, three):
    with Index.open(Repository.discover(repo.path)) as index:
        index.update()
        with pytest.raises(ValueError, match="must"):
            index._safely(lambda _: int("must"))
        assert index.note == ""


def test_a_pattern_that_never_ends_its_recursion_is_just_false(repo, three):
    with Index.open(Repository.discover(repo.path)) as index:
        index.update()
        assert index.select(parse('name ~ "x*y"')) == []


def test_several_threads(repo, three):
    with Index.open(Repository.discover(repo.path)) as index:
        index.update()
        answers = []

        def ask():
            for _ in range(10):
                index.update()
                answers.append(_answers(index))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(answers) == 40
    assert len({repr(one) for one in answers}) == 1


def test_a_child_process_opens_the_file_itself(repo, three):
    with Index.open(Repository.discover(repo.path)) as index:
        index.update()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if index.count(GOOD) == 3 and index.update().note == "" else 1
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert index.count(GOOD) == 3
