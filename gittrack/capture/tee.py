"""Copying what this process prints, while it prints it as ever.

`sys.stdout` and `sys.stderr` are replaced by objects that pass everything on. What goes past
them is not seen: child processes, C libraries that write to the descriptors, and log handlers
that took hold of the real stream before.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Protocol

_NAMES = ("stdout", "stderr")


class Sink(Protocol):
    """What a Tee copies to: a ConsoleLog, or whatever takes bytes."""

    def write(self, data: bytes, /) -> object: ...


class Tee:
    """Copies this process's stdout and stderr to `sink` from `install` to `uninstall`.

    Others may replace the streams in between (a notebook, a test runner, another Tee): then theirs
    stay in place, and ours, where they still hold it, merely passes everything on.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._copies: dict[str, _Stream] = {}

    def install(self) -> None:
        """Begin copying; a second call changes nothing."""
        if self._copies:
            return
        for name in _NAMES:
            stream = getattr(sys, name)
            if stream is not None:  # as without a console
                self._copies[name] = _Stream(stream, self._sink.write)
                setattr(sys, name, self._copies[name])

    def uninstall(self) -> None:
        """End copying, and put the former streams back where ours still stand."""
        for name, copy in self._copies.items():
            copy.stop()
            if getattr(sys, name) is copy:
                setattr(sys, name, copy.former())
        self._copies = {}

    def __enter__(self) -> Tee:
        self.install()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.uninstall()


class _Copy:
    """Something written to, whose writes are copied; in all else it is what it stands for."""

    def __init__(self, stream: Any, copy: Callable[[bytes], object] | None) -> None:
        self._stream = stream
        self._copy = copy

    def stop(self) -> None:
        self._copy = None

    def former(self) -> Any:
        """What we stand before; of several of us that have stopped, what the first stands before."""
        stream = self._stream
        while isinstance(stream, _Copy) and stream._copy is None:
            stream = stream._stream
        return stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._stream)

    def __next__(self) -> Any:
        return next(self._stream)

    def __enter__(self) -> Any:
        self._stream.__enter__()
        return self

    def __exit__(self, *error: Any) -> Any:
        return self._stream.__exit__(*error)

    def __repr__(self) -> str:
        return repr(self._stream)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._stream.__reduce_ex__(protocol)  # which for most streams is a refusal

    def writelines(self, lines: Iterable[Any]) -> None:
        for line in lines:
            self.write(line)

    def write(self, data: Any) -> Any:
        raise NotImplementedError

    def _keep(self, data: bytes) -> None:
        copy = self._copy
        if copy is not None:
            try:
                copy(data)
            except Exception:  # the program prints; that nobody listens is not its affair
                pass


class _Stream(_Copy):
    """A text stream."""

    def write(self, data: Any) -> Any:
        written = self._stream.write(data)
        if self._copy is not None and isinstance(data, str):
            self._keep(_encoded(data))
        return written

    @property
    def buffer(self) -> Any:
        # As an attribute of the stream it may be absent: a StringIO has none.
        return _Buffer(self._stream.buffer, self)


class _Buffer(_Copy):
    """The bytes below a text stream, which some programs write to directly."""

    def __init__(self, stream: Any, text: _Stream) -> None:
        super().__init__(stream, text._keep)

    def write(self, data: Any) -> Any:
        written = self._stream.write(data)
        try:
            self._keep(bytes(memoryview(data).cast("B")[:written]))
        except (TypeError, ValueError):
            pass
        return written


# `isinstance(sys.stdout, io.TextIOBase)` asks for the manner, and that is the same.
io.TextIOBase.register(_Stream)
io.BufferedIOBase.register(_Buffer)


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")
