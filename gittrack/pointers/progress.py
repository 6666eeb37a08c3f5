"""A bar on a terminal while many bytes move."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Below these nobody has time to read a bar.
_MANY_BYTES = 50_000_000
_MANY_FILES = 2_000


@contextmanager
def bar(what: str, total: int, *, count: int = 1, always: bool = False) -> Iterator[Callable[[int], None] | None]:
    """A function to call with the bytes that were moved; None where there is no terminal or little to do.

    `always`: also for little, since a network may be slow.
    """
    terminal = sys.stderr is not None and sys.stderr.isatty()
    if not terminal or not (always or total >= _MANY_BYTES or count >= _MANY_FILES):
        yield None
        return
    from tqdm import tqdm

    with tqdm(
        desc=what, total=total, unit="B", unit_scale=True, unit_divisor=1000, leave=False, delay=1, file=sys.stderr
    ) as shown:

        def moved(count: int) -> None:
            shown.update(count)

        yield moved
