"""Many objects at once, each until it is done or cannot be: when to try again, and when to stop trying."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gittrack.pointers.hashing import Progress
from gittrack.pointers.reasons import is_passing, reason_of
from gittrack.pointers.remote import Remote

TRIES = 3
PAUSE = 0.5
# So many objects in a row that find no connection mean that there is none.
_PATIENCE = 6
# So long, in seconds, the event loop may take to put away what was begun.
_FAREWELL = 5.0


class Refused(Exception):
    """An object that another try would not make better; the text is the reason."""


class Spoiled(Refused):
    """The bytes on the remote are not those that the object's name says."""


def patiently(remote: Remote, act: Callable[[], Any]) -> Any:
    """One question to the remote, asked again when the connection breaks."""
    for left in reversed(range(TRIES)):
        generation = remote.generation
        try:
            return act()
        except Exception as error:
            if not left or not is_passing(error):
                raise
        time.sleep(_pause(left))
        remote.renew(generation)
    return None


def _pause(left: int) -> float:
    return PAUSE * 2.0 ** (TRIES - 1 - left)


class Move:
    """One push or pull: the sizes of what is `done`, why the others `failed`, and which of those are `spoiled` there."""

    def __init__(self, remote: Remote, jobs: int | None, progress: Progress | None) -> None:
        self.remote = remote
        self.jobs = remote.jobs(jobs)
        self.failed: dict[str, str] = {}
        self.spoiled: set[str] = set()
        self.done: dict[str, int] = {}
        self._progress = progress
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._stopped = False

    def progress(self, count: int) -> None:
        if self._stopped:
            # The threads of a person who has left.
            raise KeyboardInterrupt
        if self._progress is not None and count:
            with self._lock:
                self._progress(count)

    def all(self, oids: Sequence[str], act: Callable[[str], int] | Callable[[str], Awaitable[int]]) -> None:
        """Each object once, or again after a broken connection; what cannot be moved is noted and the rest goes on.

        `act` returns the object's size. A coroutine function runs in the file system's event loop, another in threads.
        """
        if not oids:
            return
        if inspect.iscoroutinefunction(act):
            self._in_loop(oids, act)
            return
        pool = ThreadPoolExecutor(self.jobs)
        try:
            list(pool.map(lambda oid: self._one(oid, act), oids))
        except BaseException:
            self._stopped = True
            raise
        finally:
            # After ctrl-C nobody waits for what has not begun.
            pool.shutdown(wait=True, cancel_futures=True)

    def _one(self, oid: str, act: Callable[[str], Any]) -> None:
        for left in reversed(range(TRIES)):
            if self._is_hopeless(oid):
                return
            generation = self.remote.generation
            try:
                self._succeeded(oid, act(oid))
                return
            except Exception as error:
                if self._failed_for_good(oid, error, left):
                    return
            time.sleep(_pause(left))
            self.remote.renew(generation)

    # --- in an event loop

    def _in_loop(self, oids: Sequence[str], act: Callable[[str], Awaitable[int]]) -> None:
        ended = threading.Event()

        async def run() -> None:
            left = iter(oids)

            async def work() -> None:
                for oid in left:
                    await self._one_in_loop(oid, act)

            workers = [asyncio.ensure_future(work()) for _ in range(min(self.jobs, len(oids)))]
            try:
                await asyncio.gather(*workers)
            finally:
                for one in workers:
                    one.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
                ended.set()

        future = asyncio.run_coroutine_threadsafe(run(), self.remote.fs.fs.loop)
        try:
            future.result()
        except BaseException:
            # Ctrl-C comes to this thread only; what is under way lets go of its connections and temporary files.
            future.cancel()
            ended.wait(_FAREWELL)
            raise

    async def _one_in_loop(self, oid: str, act: Callable[[str], Awaitable[int]]) -> None:
        for left in reversed(range(TRIES)):
            if self._is_hopeless(oid):
                return
            try:
                self._succeeded(oid, await act(oid))
                return
            except Exception as error:
                if self._failed_for_good(oid, error, left):
                    return
            await asyncio.sleep(_pause(left))

    # --- what came of it

    def _is_hopeless(self, oid: str) -> bool:
        if self._in_a_row >= _PATIENCE:
            self.failed[oid] = f"remote {self.remote.name!r} does not answer any more"
        return self._in_a_row >= _PATIENCE

    def _succeeded(self, oid: str, size: int) -> None:
        self.done[oid] = size
        self._in_a_row = 0

    def _failed_for_good(self, oid: str, error: Exception, left: int) -> bool:
        if isinstance(error, Refused):
            self.failed[oid] = str(error)
            if isinstance(error, Spoiled):
                self.spoiled.add(oid)
            return True
        passing = is_passing(error)
        if passing and left:
            return False
        if passing:
            self._in_a_row += 1
        self.failed[oid] = reason_of(error)
        return True
