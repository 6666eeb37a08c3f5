from __future__ import annotations

import contextlib
import fcntl
import gc
import hashlib
import json
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from gittrack.capture import channel
from gittrack.capture.command import CommandResult, run_command

ROOT = Path(__file__).parents[2]

# A process that does nothing but run a command: what `gittrack run` is to its command.
WRAPPER = """
import json, sys
from pathlib import Path
from gittrack.capture import channel, command
channel._DRAIN_SECONDS = 0.1
place = Path(sys.argv[1])
log = open(place / "log", "ab", buffering=0)
result = command.run_command(
    sys.argv[2:], sink=log.write, on_start=lambda pid: (place / "pid").write_text(str(pid))
)
(place / "result").write_text(json.dumps([result.exit_code, result.signal]))
"""

# A command that says which signals it gets, and ends with the first SIGTERM or the end of its input.
LISTENER = """
import os, signal, sys
def say(number, frame):
    os.write(1, f"got {signal.Signals(number).name}\\n".encode())
    if number == signal.SIGTERM:
        os._exit(5)
for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"):
    signal.signal(getattr(signal, name), say)
os.write(1, b"ready\\n")
while True:
    signal.pause()
"""


def wrapped(place: Path, command: Sequence[str]) -> list[str]:
    return [sys.executable, "-c", WRAPPER, str(place), *command]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def run(place: Path, command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | options
    done = cast(
        "subprocess.CompletedProcess[bytes]",
        subprocess.run(wrapped(place, command), cwd=ROOT, check=False, **options),
    )
    assert done.returncode == 0, done.stderr
    return done


def log(place: Path) -> bytes:
    return (place / "log").read_bytes()


def result(place: Path) -> CommandResult:
    return CommandResult(*json.loads((place / "result").read_text()))


class TestOutput:
    def test_it_comes_out_unchanged_and_is_heard(self, tmp_path: Path) -> None:
        code = """
import os
os.write(1, bytes(range(256)) * 3)
os.write(2, b"err\\r\\n\\xff")
raise SystemExit(3)
"""
        done = run(tmp_path, python(code))
        assert done.stdout == bytes(range(256)) * 3
        assert done.stderr == b"err\r\n\xff"
        assert sorted(log(tmp_path)) == sorted(done.stdout + done.stderr)
        assert result(tmp_path) == CommandResult(3)

    def test_much_of_it(self, tmp_path: Path) -> None:
        code = """
import os
for n in range(800):
    os.write(1, n.to_bytes(2, "big") * 32768)
"""
        done = run(tmp_path, python(code))
        assert len(done.stdout) == 800 * 65536
        assert hashlib.sha256(log(tmp_path)).digest() == hashlib.sha256(done.stdout).digest()

    def test_both_streams_into_one_place_keep_their_order(self, tmp_path: Path) -> None:
        code = """
import os
for n in range(1000):
    os.write(1 + n % 2, b"%d\\n" % n)
"""
        done = run(tmp_path, python(code), stderr=subprocess.STDOUT)
        assert done.stdout == b"".join(b"%d\n" % n for n in range(1000))
        assert log(tmp_path) == done.stdout

    def test_it_comes_at_once(self, tmp_path: Path) -> None:
        """The command waits for an answer to what it printed."""
        process = subprocess.Popen(
            wrapped(tmp_path, ["sh", "-c", "printf question; read answer; echo $answer"]),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.read(8) == b"question"
        assert process.communicate(b"answer\n")[0] == b"answer\n"

    def test_the_command_sees_pipes_where_we_have_them(self, tmp_path: Path) -> None:
        run(tmp_path, python("import os; print(os.isatty(1), os.isatty(2))"))
        assert log(tmp_path) == b"False False\n"

    def test_to_a_file(self, tmp_path: Path) -> None:
        with (tmp_path / "file").open("wb") as file:
            run(tmp_path, ["sh", "-c", "echo one; echo two >&2"], stdout=file, stderr=file)
        assert (tmp_path / "file").read_bytes() == log(tmp_path) == b"one\ntwo\n"

    def test_to_nowhere(self, tmp_path: Path) -> None:
        with open("/dev/null", "wb") as null:
            run(tmp_path, ["sh", "-c", "echo one; echo two >&2"], stdout=null, stderr=null)
        assert log(tmp_path) == b"one\ntwo\n"

    def test_to_a_full_disk(self, tmp_path: Path) -> None:
        if not os.path.exists("/dev/full"):
            pytest.skip("no /dev/full")
        with open("/dev/full", "wb") as full:
            run(tmp_path, ["sh", "-c", "echo one; echo two"], stdout=full)
        assert log(tmp_path) == b"one\ntwo\n"
        assert result(tmp_path) == CommandResult(0)

    def test_a_stream_that_is_closed_here_is_closed_there(self, tmp_path: Path) -> None:
        shell = ["sh", "-c", '"$@" >&-', "sh", *wrapped(tmp_path, ["sh", "-c", "echo x; echo y >&2"])]
        done = subprocess.run(shell, cwd=ROOT, capture_output=True, check=False)
        assert done.stdout == b""
        assert b"y\n" in done.stderr
        assert b"y\n" in log(tmp_path)

    def test_with_all_three_closed(self, tmp_path: Path) -> None:
        shell = ["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *wrapped(tmp_path, ["sh", "-c", "exit 4"])]
        subprocess.run(shell, cwd=ROOT, check=False)
        assert result(tmp_path) == CommandResult(4)

    def test_a_reader_that_goes_away_is_noticed_by_the_command(self, tmp_path: Path) -> None:
        process = subprocess.Popen(wrapped(tmp_path, ["yes"]), cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.read(2) == b"y\n"
        process.stdout.close()
        assert process.wait() == 0
        assert result(tmp_path) == CommandResult(141, "SIGPIPE")

    def test_a_slow_reader_gets_everything(self, tmp_path: Path) -> None:
        """Although the command is long gone when it begins to read."""
        code = "import os, sys; os.write(1, b'x' * 100_000); os.write(1, b'end')"
        process = subprocess.Popen(wrapped(tmp_path, python(code)), cwd=ROOT, stdout=subprocess.PIPE)
        wait_for(lambda: (tmp_path / "pid").exists() and gone(int((tmp_path / "pid").read_text() or 0)))
        assert process.stdout is not None
        assert process.stdout.read() == b"x" * 100_000 + b"end"
        process.stdout.close()
        assert process.wait() == 0

    def test_a_reader_that_never_reads_does_not_keep_us_from_being_ended(self, tmp_path: Path) -> None:
        # The wrapper itself shrugs at SIGTERM, so that only the waiting for the reader can end by it.
        code = "import signal\nsignal.signal(signal.SIGTERM, lambda *_: None)\n" + WRAPPER
        command = python("import os; os.write(1, b'x' * 100_000)")
        process = subprocess.Popen([sys.executable, "-c", code, tmp_path, *command], cwd=ROOT, stdout=subprocess.PIPE)
        wait_for(lambda: (tmp_path / "pid").exists() and gone(int((tmp_path / "pid").read_text() or 0)))
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        process.stdout.close()
        # One may have come when even the wrapper's handlers were gone.
        assert process.returncode in (0, -signal.SIGTERM)
        assert result(tmp_path) == CommandResult(0)

    def test_a_stream_set_not_to_block(self, tmp_path: Path) -> None:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        process = subprocess.Popen(
            wrapped(tmp_path, python("import os; os.write(1, b'x' * 300_000)")), cwd=ROOT, stdout=writing
        )
        os.close(writing)
        with os.fdopen(reading, "rb") as file:
            assert len(file.read()) == 300_000
        assert process.wait() == 0

    def test_a_background_process_that_holds_the_stream_does_not_hold_us(self, tmp_path: Path) -> None:
        done = run(tmp_path, ["sh", "-c", "sleep 300 & echo $!"])
        background = int(done.stdout)
        os.kill(background, signal.SIGKILL)  # it is there: nobody waited for it

    def test_a_background_process_that_never_stops_printing_does_not_hold_us(self, tmp_path: Path) -> None:
        done = run(tmp_path, ["sh", "-c", "yes & echo pid $! >&2"])
        background = int(done.stderr.split()[1])
        wait_for(lambda: gone(background))  # its pipe was closed
        assert result(tmp_path) == CommandResult(0)


class TestTheCommandsSurroundings:
    def test_input_is_ours(self, tmp_path: Path) -> None:
        done = run(tmp_path, ["cat"], stdin=None, input=b"from outside")
        assert done.stdout == b"from outside"

    def test_open_descriptors_are_passed_on(self, tmp_path: Path) -> None:
        shell = 'exec 7<<EOF\nhello\nEOF\n"$@"'
        command = ["sh", "-c", shell, "sh", *wrapped(tmp_path, ["cat", "/dev/fd/7"])]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        assert done.stdout == b"hello\n"

    def test_nothing_else_is_open_and_no_signal_blocked_or_ignored(self, tmp_path: Path) -> None:
        if not os.path.exists("/proc/self/status"):
            pytest.skip("no /proc")
        alone = subprocess.run(["cat", "/proc/self/status"], capture_output=True, check=True).stdout
        done = run(tmp_path, ["cat", "/proc/self/status"])
        for line in (b"SigBlk", b"SigIgn", b"SigCgt"):
            (expected,) = [one for one in alone.splitlines() if one.startswith(line)]
            assert expected in done.stdout
        assert run(tmp_path, ["ls", "/proc/self/fd"]).stdout == b"0\n1\n2\n3\n"

    def test_session_and_process_group_are_ours(self, tmp_path: Path) -> None:
        code = "import os; print(os.getsid(0) == os.getsid(os.getppid()), os.getpgrp() == os.getpgid(os.getppid()))"
        assert run(tmp_path, python(code)).stdout == b"True True\n"

    def test_environment_and_folder(self, tmp_path: Path) -> None:
        heard: list[bytes] = []
        run_command(["sh", "-c", "echo $X; pwd"], env={"X": "y", "PATH": os.defpath}, cwd=tmp_path, sink=heard.append)
        assert b"".join(heard).decode() == f"y\n{tmp_path}\n"


class TestCallbacks:
    def test_a_failing_listener_does_not_disturb(self, capfd: pytest.CaptureFixture[str]) -> None:
        def listen(data: bytes) -> None:
            raise OSError(28, "no space left on device")

        assert run_command(["sh", "-c", "echo x; exit 2"], sink=listen) == CommandResult(2)
        assert capfd.readouterr().out == "x\n"

    def test_a_failing_start_does_not_disturb(self) -> None:
        def start(pid: int) -> None:
            raise ZeroDivisionError

        assert run_command(["true"], sink=bytes, on_start=start) == CommandResult(0)

    def test_without_a_listener_the_streams_are_ours(self, capfd: pytest.CaptureFixture[str]) -> None:
        print("before", end=" ")  # noqa: T201
        assert run_command(["sh", "-c", "echo x; echo y >&2"]) == CommandResult(0)
        assert capfd.readouterr() == ("before x\n", "y\n")

    def test_both_streams_never_call_the_listener_at_once(self) -> None:
        inside = threading.Lock()
        clashes = 0

        def listen(data: bytes) -> None:
            nonlocal clashes
            if not inside.acquire(blocking=False):
                clashes += 1
            else:
                inside.release()

        run_command(["sh", "-c", "yes | head -c 300000 & yes | head -c 300000 >&2; wait"], sink=listen)
        assert clashes == 0

    def test_when_the_system_has_no_more_to_give_the_command_runs_all_the_same(
        self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        def none_left(target: int) -> None:
            raise OSError(24, "too many open files")

        monkeypatch.setattr(channel, "_pair", none_left)
        heard: list[bytes] = []
        assert run_command(["sh", "-c", "echo x"], sink=heard.append) == CommandResult(0)
        assert capfd.readouterr().out == "x\n"
        assert b"could not listen" in b"".join(heard)

    def test_when_no_thread_can_start(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        def none_left(_: object) -> None:
            raise RuntimeError("can't start new thread")

        before = open_descriptors()
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", none_left)
            assert run_command(["sh", "-c", "echo x"], sink=bytes) == CommandResult(0)
        assert capfd.readouterr().out == "x\n"
        assert open_descriptors() <= before


class TestEnds:
    @pytest.mark.parametrize(
        ("shell", "ended"),
        [
            ("exit 0", CommandResult(0)),
            ("exit 255", CommandResult(255)),
            ("kill -TERM $$", CommandResult(143, "SIGTERM")),
            ("kill -KILL $$", CommandResult(137, "SIGKILL")),
            ("kill -INT $$", CommandResult(130, "SIGINT")),
            ("kill -SEGV $$", CommandResult(139, "SIGSEGV")),
        ],
    )
    def test_how_it_ended(self, shell: str, ended: CommandResult) -> None:
        assert run_command(["sh", "-c", f"ulimit -c 0; {shell}"], sink=bytes) == ended
        assert run_command(["sh", "-c", f"ulimit -c 0; {shell}"]) == ended

    @pytest.mark.parametrize("command", ["/not/there", "not-there", "/"])
    def test_one_that_cannot_be_started(self, command: str) -> None:
        before = threading.active_count(), signal.getsignal(signal.SIGINT)
        opened = open_descriptors()
        with pytest.raises(OSError):
            run_command([command], sink=bytes)
        assert (threading.active_count(), signal.getsignal(signal.SIGINT)) == before
        assert open_descriptors() <= opened

    def test_nothing_is_left_behind(self) -> None:
        numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD, signal.SIGPIPE]

        def state() -> object:
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
            return threading.active_count(), mask, [signal.getsignal(n) for n in numbers]

        before, opened = state(), open_descriptors()
        for _ in range(5):
            run_command(["sh", "-c", "echo x >&2"], sink=bytes)
        assert state() == before
        assert open_descriptors() <= opened

    def test_in_a_thread(self) -> None:
        ended: list[CommandResult] = []
        heard: list[bytes] = []
        thread = threading.Thread(
            target=lambda: ended.append(run_command(["sh", "-c", "echo x; exit 3"], sink=heard.append))
        )
        thread.start()
        thread.join()
        assert (ended, heard) == ([CommandResult(3)], [b"x\n"])

    def test_where_children_are_ignored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The system reaps them then, and nobody learns their exit code."""
        before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            assert run_command(["sh", "-c", "exit 3"], sink=bytes) == CommandResult(3)
            assert signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN
        finally:
            signal.signal(signal.SIGCHLD, before)

    def test_where_a_broken_pipe_would_kill_us(self, tmp_path: Path) -> None:
        code = "import signal\nsignal.signal(signal.SIGPIPE, signal.SIG_DFL)\n" + WRAPPER
        process = subprocess.Popen([sys.executable, "-c", code, tmp_path, "yes"], cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.read(2)
        process.stdout.close()
        assert process.wait() == 0
        assert result(tmp_path) == CommandResult(141, "SIGPIPE")


FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"]


class TestSignals:
    @pytest.mark.parametrize("name", FORWARDED)
    def test_what_is_sent_to_us_reaches_the_command_once(self, tmp_path: Path, name: str) -> None:
        with start(tmp_path, python(LISTENER)) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(getattr(signal, name))
            assert process.stdout.readline() == f"got {name}\n".encode()
            # A second one could come when the command is gone and our own handlers with it.
            if name != "SIGTERM":
                process.send_signal(signal.SIGTERM)
                assert process.stdout.readline() == b"got SIGTERM\n"
            assert process.stdout.read() == b""
            assert process.wait() == 0
        assert result(tmp_path) == CommandResult(5)

    def test_a_command_that_a_signal_kills(self, tmp_path: Path) -> None:
        with start(tmp_path, ["sh", "-c", "echo ready; exec sleep 300"]) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            assert process.wait() == 0
        assert result(tmp_path) == CommandResult(143, "SIGTERM")

    def test_a_group_that_is_sent_one_as_timeout_does(self, tmp_path: Path) -> None:
        """Default action: the command dies of its own copy, whatever we forward."""
        with start(tmp_path, ["sh", "-c", "echo ready; exec sleep 300"], process_group=0) as process:
            assert process.stdout is not None
            process.stdout.readline()
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait() == 0
        assert result(tmp_path) == CommandResult(130, "SIGINT")

    def test_one_that_comes_before_the_command_is_there(self, tmp_path: Path) -> None:
        code = (
            """
import os, signal, subprocess, sys
real = subprocess.Popen
def late(*args, **options):
    os.kill(os.getpid(), signal.SIGUSR1)
    return real(*args, **options)
subprocess.Popen = late
"""
            + WRAPPER
        )
        done = subprocess.run([sys.executable, "-c", code, tmp_path, "sleep", "300"], cwd=ROOT, check=False)
        assert done.returncode == 0
        assert result(tmp_path) == CommandResult(128 + signal.SIGUSR1, "SIGUSR1")

    def test_what_was_ignored_stays_so_for_both(self, tmp_path: Path) -> None:
        code = "import signal, sys; print(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN, flush=True); input()"
        process = subprocess.Popen(
            ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *wrapped(tmp_path, python(code))],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with process:
            assert process.stdout is not None
            assert process.stdin is not None
            assert process.stdout.readline() == b"True\n"
            process.send_signal(signal.SIGHUP)
            process.stdin.write(b"\n")
            process.stdin.close()
            assert process.wait() == 0
        assert result(tmp_path) == CommandResult(0)

    def test_with_other_threads_about_that_take_signals(self, tmp_path: Path) -> None:
        """The system may hand a signal to any thread that does not block it."""
        code = (
            """
import threading
for _ in range(3):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
"""
            + WRAPPER
        )
        for name in ("SIGUSR1", "SIGINT"):
            process = subprocess.Popen(
                [sys.executable, "-c", code, tmp_path, *python(LISTENER)], cwd=ROOT, stdout=subprocess.PIPE
            )
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(getattr(signal, name))
            assert process.stdout.readline() == f"got {name}\n".encode()
            process.send_signal(signal.SIGTERM)
            assert process.stdout.read() == b"got SIGTERM\n"
            process.stdout.close()
            assert process.wait() == 0


class Terminal:
    """A terminal with a person at it, whose foreground process runs in a session of its own."""

    def __init__(self, command: Sequence[str]) -> None:
        self.fd, end = os.openpty()
        self.resize(24, 80)
        login = "import os, sys; os.login_tty(int(sys.argv[1])); os.execvp(sys.argv[2], sys.argv[2:])"
        self.process = subprocess.Popen([*python(login), str(end), *command], cwd=ROOT, pass_fds=[end])
        os.close(end)
        self.seen = b""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def read_until(self, text: bytes) -> bytes:
        """What the screen has shown since the last time, up to `text`."""
        while text not in self.seen:
            data = self._read()
            assert data, self.seen
            self.seen += data
        shown, _, self.seen = self.seen.partition(text)
        return shown + text

    def read_to_end(self) -> bytes:
        while data := self._read():
            self.seen += data
        return self.seen

    def _read(self) -> bytes:
        ready, _, _ = select.select([self.fd], [], [], 60)
        assert ready, f"nothing comes any more after {self.seen!r}"
        try:
            return os.read(self.fd, 65536)
        except OSError:
            return b""


@contextlib.contextmanager
def terminal(place: Path, command: Sequence[str]) -> Iterator[Terminal]:
    window = Terminal(wrapped(place, command))
    try:
        yield window
        assert window.process.wait() == 0
    finally:
        window.process.kill()
        window.process.wait()
        os.close(window.fd)


LOOK = """
import os
print(*(os.isatty(fd) for fd in (0, 1, 2)), *os.get_terminal_size(1), *os.get_terminal_size(2))
"""


class TestTerminal:
    def test_the_command_sees_a_terminal_of_the_same_size(self, tmp_path: Path) -> None:
        with terminal(tmp_path, python(LOOK)) as window:
            shown = window.read_to_end()
        assert shown == b"True True True 80 24 80 24\r\n"
        assert log(tmp_path) == b"True True True 80 24 80 24\n"  # and no line end was doubled

    def test_order_of_both_streams(self, tmp_path: Path) -> None:
        with terminal(tmp_path, ["sh", "-c", "echo 1; echo 2 >&2; echo 3; echo 4 >&2"]) as window:
            assert window.read_to_end() == b"1\r\n2\r\n3\r\n4\r\n"

    def test_nothing_is_lost_at_the_end(self, tmp_path: Path) -> None:
        code = "import os\nfor n in range(3000): os.write(1, b'%04d\\n' % n)"
        for number in range(5):
            place = tmp_path / str(number)
            place.mkdir()
            with terminal(place, python(code)) as window:
                assert window.read_to_end() == b"".join(b"%04d\r\n" % n for n in range(3000))
            assert log(place) == b"".join(b"%04d\n" % n for n in range(3000))

    def test_control_c_reaches_the_command_once(self, tmp_path: Path) -> None:
        with terminal(tmp_path, python(LISTENER)) as window:
            window.read_until(b"ready\r\n")
            window.type(b"\x03")
            window.read_until(b"got SIGINT\r\n")
            window.type(b"\x1c")  # ctrl-\
            assert b"SIGINT" not in window.read_until(b"got SIGQUIT\r\n")
            window.process.send_signal(signal.SIGTERM)
            assert window.read_until(b"got SIGTERM\r\n").count(b"got") == 1
        assert result(tmp_path) == CommandResult(5)

    def test_a_command_that_control_c_ends_says_its_last_words(self, tmp_path: Path) -> None:
        code = """
import signal, time
try:
    print("ready", flush=True)
    time.sleep(300)
finally:
    print("checkpoint written")
"""
        with terminal(tmp_path, python(code)) as window:
            window.read_until(b"ready\r\n")
            window.type(b"\x03")
            shown = window.read_to_end()
        assert b"checkpoint written" in shown
        assert shown.count(b"KeyboardInterrupt") == 1
        assert b"checkpoint written" in log(tmp_path)
        assert result(tmp_path) == CommandResult(130, "SIGINT")

    def test_a_kill_of_us_alone_is_forwarded_though_we_have_the_terminal(self, tmp_path: Path) -> None:
        with terminal(tmp_path, python(LISTENER)) as window:
            window.read_until(b"ready\r\n")
            for _ in range(3):
                window.process.send_signal(signal.SIGINT)
                window.read_until(b"got SIGINT\r\n")
            window.process.send_signal(signal.SIGTERM)
            window.read_until(b"got SIGTERM\r\n")

    # On a busy machine the signal may come later than this waits: not a matter for every run of the tests.
    @pytest.mark.slow
    def test_a_window_that_changes_its_size(self, tmp_path: Path) -> None:
        code = """
import os, signal
def look(*_):
    os.write(1, b"%d %d\\n" % tuple(os.get_terminal_size(1)))  # print may not be called while it is at work
signal.signal(signal.SIGWINCH, look)
look()
input()
"""
        with terminal(tmp_path, python(code)) as window:
            window.read_until(b"80 24\r\n")
            window.resize(50, 132)
            window.read_until(b"132 50\r\n")
            window.type(b"\n")

    def test_a_question_on_the_terminal(self, tmp_path: Path) -> None:
        code = "name = input('name? '); print('hello', name)"
        with terminal(tmp_path, python(code)) as window:
            window.read_until(b"name? ")
            window.type(b"bob\n")
            assert b"hello bob\r\n" in window.read_to_end()

    @pytest.mark.parametrize(("redirection", "seen"), [("2>file", b"True False"), (">file", b"False True")])
    def test_only_one_of_the_streams_is_a_terminal(self, tmp_path: Path, redirection: str, seen: bytes) -> None:
        code = f"import os; open({str(tmp_path / 'seen')!r}, 'w').write(f'{{os.isatty(1)}} {{os.isatty(2)}}')"
        shell = f'"$@" {redirection.replace("file", str(tmp_path / "file"))}'
        window = Terminal(["sh", "-c", shell, "sh", *wrapped(tmp_path, python(code))])
        window.read_to_end()
        assert window.process.wait() == 0
        os.close(window.fd)
        assert (tmp_path / "seen").read_bytes() == seen

    def test_control_z_stops_both_and_both_go_on(self, tmp_path: Path) -> None:
        """As a shell does it: the job is a group of its own in front of the terminal."""
        shell = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = subprocess.Popen(sys.argv[1:], process_group=0)
os.tcsetpgrp(0, job.pid)
_, status = os.waitpid(job.pid, os.WUNTRACED)
assert os.WIFSTOPPED(status), status
os.tcsetpgrp(0, os.getpgrp())
os.write(1, b"job stopped\\n")
assert input() == "fg"
os.tcsetpgrp(0, job.pid)
os.killpg(job.pid, signal.SIGCONT)
_, status = os.waitpid(job.pid, os.WUNTRACED)
sys.exit(os.waitstatus_to_exitcode(status))
"""
        code = "print('ready', flush=True); print('said', input(), flush=True)"
        window = Terminal([*python(shell), *wrapped(tmp_path, python(code))])
        window.read_until(b"ready\r\n")
        window.type(b"\x1a")
        window.read_until(b"job stopped\r\n")
        child = int((tmp_path / "pid").read_text())
        wait_for(lambda: "T (stopped)" in Path(f"/proc/{child}/status").read_text())
        window.resize(50, 132)
        window.type(b"fg\n")
        window.type(b"something\n")
        assert b"said something\r\n" in window.read_to_end()
        assert window.process.wait() == 0
        os.close(window.fd)
        assert result(tmp_path) == CommandResult(0)

    def test_a_terminal_that_hangs_up(self, tmp_path: Path) -> None:
        with terminal(tmp_path, python(LISTENER)) as window:
            window.read_until(b"ready\r\n")
            child = int((tmp_path / "pid").read_text())
            os.close(window.fd)
            wait_for(lambda: b"SIGHUP" in log(tmp_path))
            os.kill(child, signal.SIGTERM)
            window.process.wait()
            window.fd = os.open(os.devnull, os.O_RDONLY)
        assert result(tmp_path) == CommandResult(5)

    def test_without_a_terminal_left_the_command_gets_a_pipe(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        code = "import os\ndef no(): raise OSError(2, 'out of pty devices')\nos.openpty = no\n" + WRAPPER
        look = python("import os; print(os.isatty(1))")
        window = Terminal([sys.executable, "-c", code, str(tmp_path), *look])
        assert window.read_to_end() == b"False\r\n"
        assert window.process.wait() == 0
        os.close(window.fd)


# --- helpers


@contextlib.contextmanager
def start(place: Path, command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(wrapped(place, command), cwd=ROOT, stdout=subprocess.PIPE, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def wait_for(condition: Any) -> None:
    """For what another process does; pytest's own limit ends it if that never happens."""
    pause = threading.Event()
    while not condition():
        pause.wait(0.01)


def open_descriptors() -> set[tuple[str, str]]:
    """Each open descriptor and what it leads to; what earlier tests left open may be closed at any time."""
    gc.collect()
    found = set()
    for number in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError):  # the one that lists the folder is closed again
            found.add((number, os.readlink(f"/dev/fd/{number}")))
    return found
