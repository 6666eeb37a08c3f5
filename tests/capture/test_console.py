from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.capture.console import ConsoleLog, read_console


def disk_use(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


def write_all(directory: Path, pieces: list[bytes], head: int = 100, tail: int = 80) -> None:
    log = ConsoleLog(directory, head, tail)
    for piece in pieces:
        log.write(piece)
    log.close()
    assert log.dropped == 0


def test_little_is_kept_as_it_came(tmp_path: Path) -> None:
    write_all(tmp_path, [b"hello\r\n", b"\x1b[1m\xff\x00", b""])
    assert read_console(tmp_path) == b"hello\r\n\x1b[1m\xff\x00"
    assert [path.name for path in tmp_path.iterdir()] == ["console.log"]


def test_nothing(tmp_path: Path) -> None:
    assert read_console(tmp_path) == b""
    write_all(tmp_path, [])
    assert read_console(tmp_path) == b""


def test_head_and_tail_are_kept_and_the_middle_is_counted(tmp_path: Path) -> None:
    lines = [b"line %06d\n" % number for number in range(1000)]  # 12 bytes each
    write_all(tmp_path, lines, head=120, tail=80)
    text = read_console(tmp_path, 80).splitlines()
    assert text[:10] == [line.strip() for line in lines[:10]]
    assert text[10] == b"... 11,808 bytes left out ..."
    assert text[11:] == [line.strip() for line in lines[-6:]]


def test_up_to_the_caps_nothing_is_left_out(tmp_path: Path) -> None:
    write_all(tmp_path, [b"x" * 180])
    assert read_console(tmp_path, 80) == b"x" * 180


def test_a_huge_write_is_split(tmp_path: Path) -> None:
    write_all(tmp_path, [bytes(range(256)) * 100])
    assert read_console(tmp_path, 80).endswith(bytes(range(256))[-80:])
    assert disk_use(tmp_path) <= 100 + 80 * 1.5


@given(pieces=st.lists(st.binary(max_size=60)), head=st.integers(1, 50), tail=st.integers(1, 50))
def test_whatever_is_written_head_and_tail_are_there(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], head: int, tail: int
) -> None:
    directory = tmp_path_factory.mktemp("log")
    whole = b"".join(pieces).replace(b"\n", b"-")
    log = ConsoleLog(directory, head, tail)
    at = 0
    for piece in pieces:
        log.write(piece.replace(b"\n", b"-"))
        at += len(piece)
        assert disk_use(directory) <= head + tail + 2 * max(1, tail // 4)
        on_disk = read_console(directory, tail)  # at every moment, so a kill loses nothing
        assert on_disk.startswith(whole[: min(at, head)])
        assert on_disk.endswith(whole[max(0, at - tail) : at])
        if at <= head + tail:
            assert on_disk == whole[:at]
    log.close()


def test_a_log_that_is_there_is_continued(tmp_path: Path) -> None:
    for start in range(0, 400, 20):
        write_all(tmp_path, [b"%03d\n" % number for number in range(start, start + 20)])
    text = read_console(tmp_path, 80)
    assert text.startswith(b"000\n001\n")
    assert text.endswith(b"398\n399\n")
    assert b"... 1,420 bytes left out ..." in text
    assert disk_use(tmp_path) <= 100 + 80 * 1.5


def test_a_kill_loses_nothing_that_was_written(tmp_path: Path) -> None:
    code = (
        "import os, sys, signal; from pathlib import Path\n"
        "from gittrack.capture.console import ConsoleLog\n"
        "log = ConsoleLog(Path(sys.argv[1]), 1000, 1000)\n"
        "for n in range(12345): log.write(b'%06d\\n' % n)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=root, check=False)
    assert done.returncode == -signal.SIGKILL
    assert read_console(tmp_path, 1000).endswith(b"012343\n012344\n")


def test_threads(tmp_path: Path) -> None:
    log = ConsoleLog(tmp_path, 1 << 20, 1 << 20)

    def write(letter: bytes) -> None:
        for _ in range(500):
            log.write(letter * 20 + b"\n")

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = read_console(tmp_path).splitlines()
    assert len(lines) == 1500
    assert {line[:1] * 20 for line in lines} == set(lines)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_forked_children_go_on_even_when_a_thread_held_the_lock(tmp_path: Path) -> None:
    log = ConsoleLog(tmp_path, 100, 80)
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with log._lock:
            held.set()
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        for _ in range(50):
            log.write(b"child child\n")
        os._exit(log.dropped)
    assert os.waitpid(pid, 0)[1] == 0
    release.set()
    thread.join()
    for _ in range(50):
        log.write(b"parent\n")
    text = read_console(tmp_path, 80)
    assert text.startswith(b"child child\n")
    assert text.endswith(b"parent\nparent\n")
    assert disk_use(tmp_path) <= 100 + 80 * 2


def test_a_signal_handler_may_print_while_we_write(tmp_path: Path) -> None:
    log = ConsoleLog(tmp_path)
    with log._lock:
        log.write(b"from within\n")
    assert read_console(tmp_path) == b"from within\n"


class TestAHostileWorld:
    def test_no_folder(self, tmp_path: Path) -> None:
        log = ConsoleLog(tmp_path / "gone")
        log.write(b"12345")
        assert log.dropped == 5
        (tmp_path / "gone").mkdir()
        log.write(b"back")
        assert read_console(tmp_path / "gone") == b"back"

    def test_the_folder_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        log = ConsoleLog(tmp_path / "file")
        log.write(b"12345")
        log.close()
        assert log.dropped == 5

    def test_the_folder_vanishes(self, tmp_path: Path) -> None:
        directory = tmp_path / "live"
        directory.mkdir()
        log = ConsoleLog(directory, 100, 80)
        log.write(b"x")
        (directory / "console.log").unlink()
        directory.rmdir()
        for _ in range(100):
            log.write(b"y" * 10)
        assert log.dropped > 0
        log.close()

    def test_a_full_disk(self, tmp_path: Path) -> None:
        """As far as a limit on the size of a file can play one."""
        log = ConsoleLog(tmp_path, 10_000, 10_000)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
            for _ in range(100):
                log.write(b"0123456789" * 3)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)
        assert log.dropped == 2000
        log.write(b"space again")
        assert read_console(tmp_path).endswith(b"space again")

    def test_after_the_close(self, tmp_path: Path) -> None:
        log = ConsoleLog(tmp_path)
        log.close()
        log.close()
        log.write(b"late")
        assert log.dropped == 4
        assert read_console(tmp_path) == b""

    def test_files_that_are_not_ours_are_left_alone(self, tmp_path: Path) -> None:
        for name in ("console.log.bak", "console.log.", "journal", "console.logs.5"):
            (tmp_path / name).write_text("x")
        write_all(tmp_path, [b"y" * 1000])
        assert (tmp_path / "console.log.bak").exists()
        assert read_console(tmp_path, 80).endswith(b"y" * 80)
