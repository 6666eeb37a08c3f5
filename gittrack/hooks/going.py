"""What a push is about to change on the other side, as git or the pre-commit framework tells it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from gittrack.git.repository import id_or_none
from gittrack.hooks.call import Call


class Going(NamedTuple):
    """A ref of the other side, what it is to become (None: it goes away), and what it is there, as far as git says it."""

    ref: str
    new: str | None
    old: str | None


def refs_going(call: Call) -> Iterator[Going]:
    """Every ref that git names; the framework reads that itself, and tells of the first one alone."""
    there = call.environ.get("PRE_COMMIT_REMOTE_BRANCH")
    if there is not None:
        # Of a branch that is new on the other side it tells no commit.
        new = call.environ.get("PRE_COMMIT_TO_REF") or call.environ.get("PRE_COMMIT_LOCAL_BRANCH", "")
        yield Going(there, call.repository.resolve(new, None), None)
        return
    for line in call.said.splitlines():
        words = line.split(b" ")
        if len(words) == 4:
            _, new, ref, old = (os.fsdecode(one) for one in words)
            yield Going(ref, id_or_none(new), id_or_none(old))


def remote_of(call: Call) -> str:
    """The remote's name, or its address where it has none."""
    return call.words[0] if call.words else call.environ.get("PRE_COMMIT_REMOTE_NAME", "")
