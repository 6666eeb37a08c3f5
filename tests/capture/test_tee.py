from __future__ import annotations

import array
import contextlib
import copy
import io
import logging
import os
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gittrack.capture.tee import Tee


class Kept:
    """A sink that remembers, and fails when told to."""

    def __init__(self) -> None:
        self.data = b""
        self.broken = False

    def write(self, data: bytes) -> None:
        if self.broken:
            raise OSError(28, "no space left on device")
        self.data += data


@pytest.fixture
def kept() -> Kept:
    return Kept()


Streams = dict[str, "io.TextIOWrapper[Any]"]


@pytest.fixture
def replace_streams(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Streams]:
    """To be called by the test itself, since pytest sets its own streams when a test begins."""

    def replace() -> Streams:
        made: Streams = {}
        for name in ("stdout", "stderr"):
            below = io.BytesIO()
            made[name] = io.TextIOWrapper(below, "utf-8", "surrogateescape", write_through=True)
            monkeypatch.setattr(sys, name, made[name])
        return made

    return replace


def printed(stream: Any) -> bytes:
    stream.flush()
    data: bytes = stream.buffer.getvalue()
    return data


def test_all_is_printed_and_kept(replace_streams: Callable[[], Streams], kept: Kept) -> None:
    streams = replace_streams()
    with Tee(kept):
        print("one")  # noqa: T201
        print("two", file=sys.stderr)  # noqa: T201
        sys.stdout.writelines(["three\n", "four\n"])
        sys.stdout.flush()
        sys.stdout.buffer.write(b"five\xff\n")
        sys.stdout.buffer.write(array.array("H", [0x4141, 0x0A0A]))
        sys.stdout.write("caf\udce9\n")
    print("after")  # noqa: T201
    assert kept.data == b"one\ntwo\nthree\nfour\nfive\xff\nAA\n\ncaf\xe9\n"
    assert printed(streams["stdout"]) == kept.data.replace(b"two\n", b"") + b"after\n"
    assert printed(streams["stderr"]) == b"two\n"


def test_the_former_streams_come_back(replace_streams: Callable[[], Streams], kept: Kept) -> None:
    streams = replace_streams()
    tee = Tee(kept)
    tee.install()
    tee.install()
    assert sys.stdout is not streams["stdout"]
    tee.uninstall()
    tee.uninstall()
    assert (sys.stdout, sys.stderr) == (streams["stdout"], streams["stderr"])


def test_the_copy_behaves_as_the_stream(replace_streams: Callable[[], Streams], kept: Kept) -> None:
    streams = replace_streams()
    with Tee(kept):
        stdout: Any = sys.stdout
        assert stdout.encoding == "utf-8"
        assert stdout.errors == "surrogateescape"
        assert stdout.isatty() is False
        assert stdout.writable()
        assert stdout.closed is False
        assert repr(stdout) == repr(streams["stdout"])
        assert stdout.write("four") == 4
        assert stdout.buffer.write(b"five!") == 5
        with pytest.raises(io.UnsupportedOperation):
            stdout.fileno()
        with pytest.raises(TypeError, match="str"):
            stdout.write(b"bytes")
        with pytest.raises(TypeError):
            stdout.buffer.write("text")
        with pytest.raises(AttributeError):
            stdout.nothing  # noqa: B018
        for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError):
                duplicate(stdout)
        stdout.reconfigure(errors="replace")
        assert streams["stdout"].errors == "replace"
        assert isinstance(stdout.buffer, io.BufferedIOBase)
        assert isinstance(stdout, io.TextIOBase)


def test_a_stream_without_bytes_below(monkeypatch: pytest.MonkeyPatch, kept: Kept) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with Tee(kept):
        assert not hasattr(sys.stdout, "buffer")
        print("text")  # noqa: T201
    assert kept.data == b"text\n"


def test_without_a_console_there_is_nothing_to_copy(monkeypatch: pytest.MonkeyPatch, kept: Kept) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with Tee(kept):
        assert sys.stdout is None
        print("nobody hears this")  # noqa: T201
        print("this", file=sys.stderr)  # noqa: T201
    assert kept.data == b"this\n"
    assert sys.stdout is None


def test_a_failing_sink_does_not_disturb(replace_streams: Callable[[], Streams], kept: Kept) -> None:
    streams = replace_streams()
    kept.broken = True
    with Tee(kept):
        print("one")  # noqa: T201
        sys.stdout.buffer.write(b"two")
    assert printed(streams["stdout"]) == b"one\ntwo"


def test_what_no_encoding_can_hold_is_kept_all_the_same(monkeypatch: pytest.MonkeyPatch, kept: Kept) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with Tee(kept):
        print("\ud800 \U0001f9a6")  # noqa: T201
    assert kept.data == "? \U0001f9a6\n".encode()


def test_an_error_of_the_stream_is_the_programs(replace_streams: Callable[[], Streams], kept: Kept) -> None:
    streams = replace_streams()
    with Tee(kept):
        streams["stdout"].close()
        with pytest.raises(ValueError, match="closed"):
            print("x")  # noqa: T201
    assert kept.data == b""


class TestOthersReplaceTheStreamsToo:
    def test_someone_on_top_of_us_stays(
        self, replace_streams: Callable[[], Streams], kept: Kept, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        streams = replace_streams()
        tee = Tee(kept)
        tee.install()
        ours = sys.stdout

        class Notebook:
            def write(self, text: str) -> int:
                return ours.write(text.upper())

        notebook = Notebook()
        monkeypatch.setattr(sys, "stdout", notebook)
        print("one")  # noqa: T201
        tee.uninstall()
        assert sys.stdout is notebook
        print("two")  # noqa: T201
        assert kept.data == b"ONE\n"
        assert printed(streams["stdout"]) == b"ONE\nTWO\n"

    def test_a_redirection_in_between(self, replace_streams: Callable[[], Streams], kept: Kept) -> None:
        replace_streams()
        with Tee(kept):
            with contextlib.redirect_stdout(io.StringIO()) as inner:
                print("inner")  # noqa: T201
            print("outer")  # noqa: T201
        assert inner.getvalue() == "inner\n"
        assert kept.data == b"outer\n"

    def test_one_inside_another(self, replace_streams: Callable[[], Streams]) -> None:
        streams = replace_streams()
        outer, inner = Kept(), Kept()
        with Tee(outer):
            print("1")  # noqa: T201
            with Tee(inner):
                print("2")  # noqa: T201
            print("3")  # noqa: T201
        assert (outer.data, inner.data) == (b"1\n2\n3\n", b"2\n")
        assert sys.stdout is streams["stdout"]

    def test_two_that_end_in_the_wrong_order(self, replace_streams: Callable[[], Streams]) -> None:
        streams = replace_streams()
        first, second = Tee(one := Kept()), Tee(two := Kept())
        first.install()
        second.install()
        print("1")  # noqa: T201
        first.uninstall()
        print("2")  # noqa: T201
        second.uninstall()
        print("3")  # noqa: T201
        assert (one.data, two.data) == (b"1\n", b"1\n2\n")
        assert sys.stdout is streams["stdout"]
        assert printed(streams["stdout"]) == b"1\n2\n3\n"

    def test_a_log_handler_that_took_our_stream_goes_on(
        self, replace_streams: Callable[[], Streams], kept: Kept
    ) -> None:
        streams = replace_streams()
        with Tee(kept):
            handler = logging.StreamHandler()
            handler.emit(logging.makeLogRecord({"msg": "during"}))
        handler.emit(logging.makeLogRecord({"msg": "after"}))
        assert kept.data == b"during\n"
        assert printed(streams["stderr"]) == b"during\nafter\n"

    def test_pytests_own_capture(self, kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
        with Tee(kept):
            print("seen by both")  # noqa: T201
        assert capsys.readouterr().out == "seen by both\n"
        assert kept.data == b"seen by both\n"


def test_in_a_real_process_with_children_and_a_crash(tmp_path: Path) -> None:
    """Order of both streams, a fork, a traceback on the way out: as a person reads it."""
    code = """
        import os, subprocess, sys
        from pathlib import Path
        from gittrack.capture.console import ConsoleLog
        from gittrack.capture.tee import Tee
        Tee(ConsoleLog(Path(sys.argv[1]))).install()
        print("one")
        print("two", file=sys.stderr)
        sys.stdout.flush()
        if os.fork() == 0:
            print("three")
            sys.stdout.flush()
            os._exit(0)
        os.wait()
        subprocess.run(["echo", "from a child process"], stdout=sys.stdout)
        raise SystemExit("four")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), tmp_path],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == b"one\nthree\nfrom a child process\n"
    assert done.stderr == b"two\nfour\n"
    assert (tmp_path / "console.log").read_bytes() == b"one\ntwo\nthree\nfour\n"


def test_a_broken_pipe_is_the_programs(tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from gittrack.capture.console import ConsoleLog
        from gittrack.capture.tee import Tee
        with Tee(ConsoleLog(Path(sys.argv[1]))):
            try:
                for _ in range(100000):
                    print("x" * 100)
            except BrokenPipeError:
                print("broken", file=sys.stderr)
                sys.stderr.flush()
                import os; os._exit(7)
    """
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), tmp_path],
        cwd=Path(__file__).parents[2],
        stdout=writing,
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    os.close(reading)
    _, err = process.communicate()
    assert (process.returncode, err) == (7, b"broken\n")
