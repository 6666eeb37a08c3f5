"""The right word for a wrong one."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(text: str, known: Iterable[str]) -> str:
    """The end of a sentence about a wrong word: the right one, or all there are."""
    # Only a mistake needs it, and the import takes milliseconds.
    from difflib import get_close_matches

    names = list(known)
    near = get_close_matches(text, names, n=1)
    if not near:
        last = {name.rpartition(".")[2]: name for name in names}
        near = [last[one] for one in get_close_matches(text.rpartition(".")[2], list(last), n=1)]
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(names)}"
