"""Running a command as if we were not there, while listening to what it prints.

Signals. The command stays in our session and process group, so what the terminal sends (ctrl-C,
ctrl-\\, ctrl-Z, a hang-up) reaches it without us, and we only have to survive it. What somebody
sends to our process alone (`kill -INT <our pid>`, a scheduler's SIGTERM or SIGUSR1) must be
forwarded. Which of both it was, Linux tells: a signal that is waited for, not handled, comes with
its origin (`si_code`), the kernel or a process. Where it is handled after all (before the command
has started, or on a system without `sigtimedwait`), it counts as the terminal's if the terminal's
foreground group is ours. A signal that a process sends to our whole group reaches the command
twice, since nobody can tell it from the other kind; it is forwarded at once, so that as a rule
both fall together. A signal that was ignored when we started (nohup) is ignored by both.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from gittrack.capture.channel import Channel, Ends, open_channels
from gittrack.values import dataclass

_FORWARDED = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
# How long the end of the command may go unnoticed, should another thread swallow the signal of it.
_GLANCE_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended: `exit_code` as a shell would give it, `signal` by name (`SIGTERM`).

    `told_to_end`: somebody asked for that (ctrl-C, SIGTERM), however the command took it.
    """

    exit_code: int
    signal: str | None = None
    told_to_end: bool = False


def run_command(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    sink: Callable[[bytes], object] | None = None,
    on_start: Callable[[int], object] | None = None,
) -> CommandResult:
    """Run a command to its end, and pass to `sink` a copy of what it prints.

    Its stdin is ours; its stdout and stderr come out of ours at once and unchanged, and are of
    the same kind (terminal or not). `on_start` gets the pid. Neither callback can disturb the
    command: what they raise is dropped. Without `sink` the command has our streams themselves.
    Raises OSError when the command cannot be started. From a thread other than the main one
    signals are not looked after.
    """
    _flush()
    ends = _INHERIT if sink is None else _listened_to(sink)
    with _Signals(ends.channels) as signals:
        try:
            process = subprocess.Popen(
                argv,
                env=env,
                cwd=cwd,
                stdout=ends.stdout,
                stderr=ends.stderr,
                # Whatever was left open for the command (a make's jobs, a shell's <(...)) stays so.
                close_fds=False,
            )
        except BaseException:
            ends.abandon()
            raise
        ends.close_in_parent()
        signals.attach(process)
        if on_start is not None:
            try:
                on_start(process.pid)
            except Exception:
                pass
        signals.wait()
        for channel in ends.channels:
            channel.child_has_ended()
        for channel in ends.channels:
            # A reader of ours (a pager) may take its time, unless we are told to end.
            while channel.is_alive() and not signals.told_to_end:
                channel.join(0.1)
            if not channel.is_alive():
                channel.release()
    return _result(process.returncode, signals.was_told_to_end)


_INHERIT = Ends(None, None, ())


def _flush() -> None:
    """What we have printed comes before what the command prints."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # none, closed, or broken: the next one who prints will hear of it
            pass


def _listened_to(sink: Callable[[bytes], object]) -> Ends:
    try:
        return open_channels(sink)
    except (OSError, RuntimeError) as error:
        # Out of descriptors, terminals or threads: the command runs all the same.
        try:
            sink(f"gittrack could not listen to this command: {error}\n".encode())
        except Exception:
            pass
        return _INHERIT


def _result(returncode: int, told_to_end: bool) -> CommandResult:
    if returncode >= 0:
        return CommandResult(returncode, None, told_to_end)
    try:
        name = signal.Signals(-returncode).name
    except ValueError:  # a real-time signal
        name = f"signal {-returncode}"
    return CommandResult(128 - returncode, name, told_to_end)


class _Signals:
    """What happens to signals while a command runs; the former state comes back afterwards."""

    def __init__(self, channels: Sequence[Channel]) -> None:
        self.told_to_end = False
        self.was_told_to_end = False
        self._has_ended = False
        self._terminals = [channel for channel in channels if channel.is_terminal]
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []
        self._former: dict[int, Any] = {}
        self._main = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> _Signals:
        if not self._main:
            return self
        for number in _FORWARDED:
            self._handle(number, self._on_signal)
        if self._terminals:
            for number in (signal.SIGWINCH, signal.SIGCONT):
                self._handle(number, self._on_resize)
        # Ignored, it would take the command's exit code along; as it may be in the child of a daemon.
        if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
            self._former[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # A reader that goes away must be an error for us, not the end.
        if signal.getsignal(signal.SIGPIPE) is signal.SIG_DFL:
            self._former[signal.SIGPIPE] = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def attach(self, process: subprocess.Popen[bytes]) -> None:
        """From now on the command can be sent what comes; it gets what came too early for it."""
        self._process = process
        while self._early:
            self._send(self._early.pop(0))

    def wait(self) -> None:
        """Return when the command has ended."""
        assert self._process is not None
        if self._main and hasattr(signal, "sigtimedwait"):
            self._wait_for_signals(self._process)
        else:
            self._process.wait()
        self._has_ended = True

    def _wait_for_signals(self, process: subprocess.Popen[bytes]) -> None:
        awaited = {number for number in self._former if number != signal.SIGPIPE} | {signal.SIGCHLD}
        # Only now: the command would have inherited it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
        try:
            while process.poll() is None:
                told = signal.sigtimedwait(awaited, _GLANCE_SECONDS)
                if told is None or told.si_signo == signal.SIGCHLD:
                    continue
                self._note(told.si_signo)
                if told.si_signo in (signal.SIGWINCH, signal.SIGCONT):
                    self._on_resize(told.si_signo, None)
                # Those of a process are not positive, those of the kernel are. The kernel tells the
                # leader of a session alone that the terminal has hung up.
                elif told.si_code <= 0 or (told.si_signo == signal.SIGHUP and _is_session_leader()):
                    self._send(told.si_signo)
            while (late := signal.sigtimedwait(awaited, 0)) is not None:
                self._note(late.si_signo)  # what was for the command, but came too late
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _handle(self, number: int, handler: Callable[[int, FrameType | None], None]) -> None:
        former = signal.getsignal(number)
        # Ignored, it stays so for both of us; one that is not Python's could not be put back.
        if former is not None and former is not signal.SIG_IGN:
            self._former[number] = signal.signal(number, handler)

    def _note(self, number: int) -> None:
        self.was_told_to_end |= number in _ENDING

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._note(number)
        if self._process is None:
            self._early.append(number)
        elif self._has_ended:
            self.told_to_end = number not in (signal.SIGUSR1, signal.SIGUSR2)
        elif not _in_foreground():
            self._send(number)

    def _on_resize(self, number: int, _: FrameType | None) -> None:
        for channel in self._terminals:
            channel.resize()
        # It may have looked before the size was there.
        self._send(signal.SIGWINCH)

    def _send(self, number: int) -> None:
        if self._process is not None:
            try:
                self._process.send_signal(number)
            except OSError:
                pass  # it is gone, or has become somebody else's


def _is_session_leader() -> bool:
    return os.getsid(0) == os.getpid()


def _in_foreground() -> bool:
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
