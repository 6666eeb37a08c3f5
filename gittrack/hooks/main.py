"""`gittrack hooks run NAME`: a guard, or all guards of one of git's hooks; kept apart from the command line, which takes longer to load."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from gittrack.errors import GittrackError
from gittrack.hooks.guards import BY_NAME, GUARDS, Guard, guards_of

if TYPE_CHECKING:
    from gittrack.hooks.call import Call, Verdict

_REFUSED = 1
# The framework does not say in which hook it is, but sets some of these in each.
_TELLING = (
    ("PRE_COMMIT_CHECKOUT_TYPE", "post-checkout"),
    ("PRE_COMMIT_IS_SQUASH_MERGE", "post-merge"),
    ("PRE_COMMIT_PRE_REBASE_UPSTREAM", "pre-rebase"),
    ("PRE_COMMIT_COMMIT_MSG_SOURCE", "prepare-commit-msg"),
    ("PRE_COMMIT_REMOTE_NAME", "pre-push"),
)
# More lines than these nobody reads below a sentence.
_MOST_LINES = 10


def main(arguments: Sequence[str]) -> int:
    """`NAME [ARGUMENT...]` as git passes them to the hook; returns the exit code, 0 to let git go on."""
    name, *words = arguments
    if name.startswith("gittrack-") and name not in BY_NAME:
        # A configuration that others share may be ahead of who has not upgraded yet.
        _say(
            f"gittrack: this version knows no guard {name!r}, so this is let pass; upgrade gittrack, or see 'gittrack hooks ls'"
        )
        return 0
    guards = (BY_NAME[name],) if name in BY_NAME else guards_of(name)
    if not guards:
        _say(f"gittrack: there is no guard or hook {name!r}; there are {', '.join(one.name for one in GUARDS)}")
        return 2
    skipped = {one.strip() for one in os.environ.get("SKIP", "").split(",")}
    asked = [one for one in guards if one.closed or one.name not in skipped]
    if not asked:
        return 0
    hook = _hook_of(name, guards)
    closed = any(one.closed for one in asked)
    try:
        from gittrack.hooks.call import open_call

        call = open_call(hook, tuple(words))
    except Exception as error:
        _say(_at_fault("gittrack", error, closed=closed))
        return _REFUSED if closed else 0
    codes = [_ask(one, call) for one in asked]
    for fault in call.faults:
        _say(f"gittrack: {fault}")
    return max(codes)


def _hook_of(name: str, guards: Sequence[Guard]) -> str:
    """Git's name of the hook that is at work: the one named, else what the variables of the pre-commit framework tell."""
    if name not in BY_NAME:
        return name
    told = next((hook for variable, hook in _TELLING if variable in os.environ), None)
    return told or (guards[0].hooks[0] if guards[0].hooks else "manual")


def _ask(guard: Guard, call: Call) -> int:
    """One guard's exit code; its own faults let pass, but on a server."""
    try:
        verdict: Verdict = import_module(f"gittrack.hooks.{guard.module}").check(call)
    except Exception as error:
        _say(_at_fault(guard.name, error, closed=guard.closed))
        return _REFUSED if guard.closed else 0
    for text in verdict.notes:
        _say(f"{guard.name}: {text}")
    for text in verdict.refusals:
        _say(f"{guard.name}: {text}{_way_past(guard, call.hook)}")
    for line in verdict.listing[:_MOST_LINES]:
        _say(f"  {line}")
    if len(verdict.listing) > _MOST_LINES:
        _say(f"  ... and {len(verdict.listing) - _MOST_LINES:,} more")
    return _REFUSED if verdict.refusals else 0


# The command with which a person meets each hook.
_COMMANDS = {
    "pre-commit": "commit",
    "pre-merge-commit": "merge",
    "pre-push": "push",
    "pre-rebase": "rebase",
    "prepare-commit-msg": "cherry-pick",
}


def _way_past(guard: Guard, hook: str) -> str:
    """How to skip a guard once, where that is the caller's to say."""
    command = None if guard.closed else _COMMANDS.get(hook)
    return "" if command is None else f"; to let this pass once: SKIP={guard.name} git {command}"


def _at_fault(name: str, error: Exception, *, closed: bool) -> str:
    known = isinstance(error, (GittrackError, OSError))
    what = str(error) if known else f"{type(error).__name__}: {error}"
    if os.environ.get("GITTRACK_DEBUG"):
        import traceback

        what += "\n" + "".join(traceback.format_exception(error))
    return f"{name}: could not look, so this is {'refused' if closed else 'let pass'}: {what}"


def _say(text: str) -> None:
    from gittrack.report.text import escape_lines

    # A file may be called by what a terminal obeys; and one that knows no UTF-8 must not make a guard fall.
    text = escape_lines(text)
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    sys.stderr.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
