"""The few lines of shell that git finds as its hook: the hook that was there before, then our guards."""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from pathlib import Path

import gittrack
from gittrack.hooks.guards import CLIENT_HOOKS
from gittrack.hooks.trailer import TRAILER

# A hook that was in the folder before lies beside its shim under this name.
KEPT = ".before-gittrack"
_MARK = b"# Put here by 'gittrack hooks install'; 'gittrack hooks uninstall' takes it away again.\n"
_SUM = b"# unchanged: "

# githooks(5). Beyond what we guard, a folder of ours passes on what clients call once for a command.
PASSED_ON = (
    "applypatch-msg",
    "post-applypatch",
    "post-commit",
    "post-rewrite",
    "pre-applypatch",
    "pre-auto-gc",
    "sendemail-validate",
)
# With these it matters to git whether there is one, or they are called many times: passed on only when they are there.
PASSED_ON_IF_THERE = (
    "p4-changelist",
    "p4-post-changelist",
    "p4-pre-submit",
    "p4-prepare-changelist",
    "post-index-change",
    "post-receive",
    "post-update",
    "pre-receive",
    "proc-receive",
    "push-to-checkout",
    "reference-transaction",
    "update",
)
# The only one of ours to which git writes something.
_WITH_STDIN = ("pre-push",)


def shim(hook: str, former: str | None = None) -> bytes:
    """What to write as this hook; `former` is the folder of the one before, "" if there was none, None: beside the shim.

    The shim needs neither the repository nor its own name, and starts no process but those hooks: it may be moved and renamed.
    """
    # ${0%/*}: git always calls with a folder; whoever calls without one has to be in it.
    before = f"${{0%/*}}/{hook}{KEPT}" if former is None else shlex.quote(former and os.path.join(former, hook))
    if hook not in CLIENT_HOOKS:
        return _signed(f'before={before}\n[ ! -x "$before" ] || exec "$before" "$@"\n')
    if hook in _WITH_STDIN:
        # The dot keeps the last line end, which the shell would cut off.
        first = (
            "said=\n"
            'if [ -x "$before" ]; then\n'
            "\tsaid=$(cat && echo .)\n"
            '\tprintf %s "${said%.}" 2>/dev/null | "$before" "$@" || exit\n'
            "fi\n"
            "ask() {\n"
            '\tif [ -n "$said" ]; then\n'
            '\t\tprintf %s "${said%.}" 2>/dev/null | "$@"\n'
            "\telse\n"
            '\t\t"$@"\n'
            "\tfi\n"
            "}\n"
        )
        ask = "ask "
    else:
        first = '[ ! -x "$before" ] || "$before" "$@" || exit\n'
        if hook == "prepare-commit-msg":
            # A rebase calls this for every commit that it copies, message and all, and has asked before it began; Python
            # would make it ten times as slow. Where it stopped (stopped-sha), people commit.
            first += 'rebase=${1%/*}/rebase-merge\n[ ! -d "$rebase" ] || [ -e "$rebase/stopped-sha" ] || exit 0\n'
        elif hook == "commit-msg":
            # The one guard that is asked here takes back what it wrote; most messages are none of its matter.
            first += f"grep -q '^{TRAILER}: ' \"$1\" 2>/dev/null || exit 0\n"
        ask = ""
    return _signed(
        f"before={before}\n{first}"
        f"python={shlex.quote(sys.executable)}\n"
        # An environment that was made anew may lack us or hold us as we were before the guards, and Python would fail with
        # the code of a refusal.
        f'if [ -x "$python" ] && [ -f {shlex.quote(_module())} ]; then\n'
        f'\t{ask}"$python" -P -m gittrack hooks run {hook} "$@"\n'
        "elif command -v gittrack >/dev/null; then\n"
        f'\t{ask}gittrack hooks run {hook} "$@"\n'
        "else\n"
        f'\techo "gittrack: nothing guards {hook}, for gittrack is not found; install it, or run '
        f"'gittrack hooks install' where it is\" >&2\n"
        "\texit 0\n"
        "fi\n"
        "code=$?\n"
        # Only a guard's refusal is 1: an older gittrack that knows no guards, or a Python that fails, stops nobody.
        '[ "$code" -gt 1 ] || exit "$code"\n'
        f'echo "gittrack: nothing guards {hook}, for gittrack ended with code $code; update it, or run '
        f"'gittrack hooks install' where it is newer\" >&2\n"
        "exit 0\n"
    )


def _module() -> str:
    return str(Path(gittrack.__file__).parent / "hooks" / "main.py")


def _signed(body: str) -> bytes:
    text = b"#!/bin/sh\n" + _MARK + os.fsencode(body)
    return text + _SUM + _digest(text) + b"\n"


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:16].encode("ascii")


def is_ours(content: bytes) -> bool:
    """Whether this is a shim of ours, of whatever version, as it was written."""
    text, found, digest = content.rpartition(_SUM)
    return bool(found) and digest == _digest(text) + b"\n" and _MARK in text


def was_ours(content: bytes) -> bool:
    """Whether this is a shim of ours that somebody has changed."""
    return _MARK in content and not is_ours(content)
