"""The way of a child's output to our own stdout and stderr, past a listener.

The child gets what we have: a terminal (a pty of its own) where ours is one, else a pipe; and one
channel for both streams where both of ours lead to the same place, so that their order is kept.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import signal
import stat
import struct
import termios
import threading
import time
from collections.abc import Callable

from gittrack.values import dataclass

# Once the command has ended, its own children may hold the channel open for ever.
_DRAIN_SECONDS = 0.5
_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Ends:
    """What to start a child with: descriptors for its stdout and stderr, None to inherit ours."""

    stdout: int | None
    stderr: int | None
    channels: tuple[Channel, ...]

    def close_in_parent(self) -> None:
        """Only the child may hold its ends open, or there would be no end of file."""
        for fd in {self.stdout, self.stderr} - {None}:
            assert fd is not None
            os.close(fd)

    def abandon(self) -> None:
        """End all channels: there will be no child."""
        self.close_in_parent()
        for channel in self.channels:
            channel.join()
            channel.release()


def open_channels(listen: Callable[[bytes], object]) -> Ends:
    """Channels that lead to our descriptors 1 and 2, already at work.

    A descriptor that is closed here has none, and will be closed in the child. Raises OSError or
    RuntimeError when the system has no descriptor or thread left.
    """
    out, err = _place(1), _place(2)
    stdout = stderr = None
    channels: list[Channel] = []
    # One listener, though every channel has its thread.
    listener = _Listener(listen)
    try:
        if out is not None:
            stdout, channel = _open(1, listener)
            channels.append(channel)
        if err is not None and err == out:
            stderr = stdout
        elif err is not None:
            stderr, channel = _open(2, listener)
            channels.append(channel)
    except BaseException:
        Ends(stdout, stderr, tuple(channels)).abandon()
        raise
    return Ends(stdout, stderr, tuple(channels))


class _Listener:
    """Calls `listen`, one call at a time, and lets no failure of it out."""

    def __init__(self, listen: Callable[[bytes], object]) -> None:
        self._listen = listen
        self._lock = threading.Lock()

    def hear(self, data: bytes) -> None:
        with self._lock:
            try:
                self._listen(data)
            except Exception:  # what happens to the record must not happen to the command
                pass


class Channel(threading.Thread):
    """Reads from the child, writes to `target` at once and unchanged, then tells the listener."""

    def __init__(self, source: int, target: int, listener: _Listener, *, terminal: bool) -> None:
        super().__init__(name=f"gittrack-output-{target}", daemon=True)
        self._source = source
        self._target = target
        self._listener = listener
        self._terminal = terminal
        self._deaf = False  # our own stream takes nothing any more
        self._wake_read, self._wake_write = os.pipe()
        self._ended = False

    @property
    def is_terminal(self) -> bool:
        """Whether the child sees a terminal here."""
        return self._terminal

    def resize(self) -> None:
        """Give the child's terminal the size of ours."""
        if self._terminal and not self._ended:
            _copy_size(self._target, self._source)

    def child_has_ended(self) -> None:
        """Come to an end: with the last byte, or soon after what was already written."""
        os.write(self._wake_write, b"x")

    def release(self) -> None:
        """Give back what only `child_has_ended` needed; the thread has ended, or never began."""
        os.close(self._wake_read)
        os.close(self._wake_write)

    def run(self) -> None:
        """Pass on until the end."""
        try:
            # Signals are for the main thread.
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            with selectors.DefaultSelector() as selector:
                self._pump(selector)
        finally:
            self._ended = True
            os.close(self._source)  # whoever still writes is told so, as by any closed pipe

    def _pump(self, selector: selectors.BaseSelector) -> None:
        selector.register(self._source, selectors.EVENT_READ)
        selector.register(self._wake_read, selectors.EVENT_READ)
        until: float | None = None  # the child has ended: go on until then ...
        owed = 0  # ... but not before all has come that it wrote
        while True:
            wait = None if until is None else max(0.0, until - time.monotonic())
            ready = [key.fd for key, _ in selector.select(wait)]
            if self._wake_read in ready:
                selector.unregister(self._wake_read)
                until = time.monotonic() + _DRAIN_SECONDS
                owed = _waiting(self._source)
            if self._source in ready:
                data = _read(self._source)
                if not data or not self._pass_on(data):
                    return
                owed -= len(data)
                if until is not None and owed <= 0 and time.monotonic() >= until:
                    return
            elif until is not None and time.monotonic() >= until:
                return

    def _pass_on(self, data: bytes) -> bool:
        """False when nobody reads our stream any more: then the child is to notice that too."""
        rest = memoryview(data)
        while rest and not self._deaf:
            try:
                rest = rest[os.write(self._target, rest) :]
            except BlockingIOError:  # somebody who shares it has set it so
                _wait_until_writable(self._target)
            except BrokenPipeError:
                return False
            except OSError:
                self._deaf = True  # a full disk, a terminal hung up: the command goes on
        self._listener.hear(data)
        return True


# --- ends


def _place(fd: int) -> tuple[int, int, int] | None:
    """What a descriptor leads to; None when it is closed."""
    try:
        state = os.fstat(fd)
    except OSError:
        return None
    return state.st_dev, state.st_ino, state.st_rdev if stat.S_ISCHR(state.st_mode) else 0


def _open(target: int, listener: _Listener) -> tuple[int, Channel]:
    """The child's end, and the channel that leads from it to `target`."""
    source, end, terminal = _pair(target)
    try:
        channel = Channel(source, target, listener, terminal=terminal)
    except OSError:
        os.close(source)
        os.close(end)
        raise
    try:
        channel.start()
    except RuntimeError:
        channel.release()
        os.close(source)
        os.close(end)
        raise
    return end, channel


def _pair(target: int) -> tuple[int, int, bool]:
    if os.isatty(target):
        try:
            return *_terminal_like(target), True
        except (OSError, termios.error):
            pass  # the system has no terminal left: a pipe is better than no run
    source, end = map(_above_standard, os.pipe())
    return source, end, False


def _terminal_like(target: int) -> tuple[int, int]:
    """A pty that is like our terminal, but leaves it to ours to turn `\\n` into `\\r\\n`."""
    source, end = map(_above_standard, os.openpty())
    try:
        attributes = termios.tcgetattr(target)
        attributes[1] &= ~termios.OPOST
        termios.tcsetattr(end, termios.TCSANOW, attributes)
        _copy_size(target, source)
    except (OSError, termios.error):
        os.close(source)
        os.close(end)
        raise
    return source, end


def _above_standard(fd: int) -> int:
    """A descriptor that is none of 0, 1, 2, even if these are closed here."""
    if fd > 2:
        return fd
    higher = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(fd)
    return higher


def _copy_size(of: int, to: int) -> None:
    try:
        size = fcntl.ioctl(of, termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(to, termios.TIOCSWINSZ, size)
    except OSError:
        pass


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _CHUNK)
    except OSError:  # EIO: how a pty says that nobody has the other end
        return b""


def _waiting(fd: int) -> int:
    """How many bytes can be read at once."""
    try:
        answer = fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4)
    except OSError:
        return 0
    number: int = struct.unpack("i", answer)[0]
    return number


def _wait_until_writable(fd: int) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_WRITE)
        selector.select()
