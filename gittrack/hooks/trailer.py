"""A commit that holds what runs left names them: `Gittrack-Run: <id>` in its message."""

from __future__ import annotations

import os

from gittrack.hooks.call import PASSED, Call, Staged, Verdict
from gittrack.hooks.contents import makers_of
from gittrack.hooks.staged import staged_against

TRAILER = "Gittrack-Run"
# What git prepared by itself: a merge brings what was committed before, a squash the messages of those commits.
_PREPARED = ("merge", "squash")
_MOST = 20


def check(call: Call) -> Verdict:
    file, source = _told(call)
    if file is None or source in _PREPARED:
        return PASSED
    runs = {runs[0].id: None for _, runs in makers_of(call, _held(call, source))}
    if not runs:
        return PASSED
    options = ["--in-place", "--if-exists", "addIfDifferent", "--if-missing", "add"]
    # The commands that the user's own settings attach to trailers are for those he writes.
    trailers = [word for run in list(runs)[:_MOST] for word in ("--trailer", f"{TRAILER}: {run}")]
    call.repository.git("interpret-trailers", *options, *trailers, "--", file)
    return PASSED


def _told(call: Call) -> tuple[str | None, str]:
    """The message's file, and where its text comes from; in the framework variables tell the second."""
    if not call.words:
        return None, ""
    source = call.words[1] if len(call.words) > 1 else call.environ.get("PRE_COMMIT_COMMIT_MSG_SOURCE", "")
    # Relative to where git calls the hook, and we start git at the top of the worktree.
    return os.path.abspath(call.words[0]), source


def _held(call: Call, source: str) -> tuple[Staged, ...]:
    """What the commit will hold; one that is amended also what it held before."""
    if source != "commit":
        return call.staged
    return tuple(staged_against(call.repository, "HEAD^"))
