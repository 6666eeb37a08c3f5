"""Nothing changes the files of a worktree under a run that is active in it."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gittrack.hooks.call import PASSED, Call, Verdict

if TYPE_CHECKING:
    from gittrack.live.folder import RunFolder

# git asks nobody before it checks out or fast-forwards; what it did can only be told.
_AFTERWARDS = {"post-checkout": "a checkout", "post-merge": "a merge"}
# It has changed the files by the time it asks; they stay so until somebody takes it back.
_IN_BETWEEN = {
    "merge": ("a merge", "git merge --abort"),
    "cherry-pick": ("a cherry-pick", "git cherry-pick --abort"),
    "revert": ("a revert", "git revert --abort"),
}


def check(call: Call) -> Verdict:
    if call.repository.root is None or _changes_nothing(call) or not _may_be_active(call):
        return PASSED
    # Only now: most commits meet no run, and this takes as long to load as all the rest.
    from gittrack.live.owner import Liveness
    from gittrack.tracking.join import first_start
    from gittrack.tracking.places import all_folders

    here = [one for one in all_folders(call.repository) if _is_here(one, call.repository.root)]
    active = [one for one in here if one.liveness() is Liveness.ALIVE and not _is_from_within(one)]
    if not active:
        return PASSED
    runs = tuple(f"{first_start(one).get('name', 'a run')} ({one.run_id[:8]})" for one in active)
    if call.hook in _AFTERWARDS:
        what = _AFTERWARDS[call.hook]
        _record(active, what)
        note = (
            f"{what} has changed files under {_counted(runs, 'that is', 'that are')}, which may have read some of them as they "
            "were and some as they are; do not trust it, and start such runs with 'gittrack run --isolated'"
        )
        return Verdict(notes=(note,), listing=runs)
    # The framework does not say which of the hooks that come before a commit it is in.
    command = _command() if call.hook != "pre-rebase" else ""
    if command in _IN_BETWEEN:
        what, back = _IN_BETWEEN[command]
        _record(active, what)
        text = (
            f"{what} has changed files under {_counted(runs, 'that is', 'that are')}, and is not committed; take it back ({back}), do "
            "not trust the run, and start such runs with 'gittrack run --isolated'"
        )
        return Verdict((text,), listing=runs)
    if call.hook == "prepare-commit-msg":
        # pre-commit was asked before, or somebody said --no-verify.
        return PASSED
    what = "a rebase" if call.hook == "pre-rebase" else "a merge" if call.hook == "pre-merge-commit" else "a commit"
    text = (
        f"{_counted(runs, 'is', 'are')} in this worktree, and {what} could change files that it reads; wait for its end "
        "('gittrack status'), or start such runs with 'gittrack run --isolated'"
    )
    return Verdict((text,), listing=runs)


def _is_from_within(folder: RunFolder) -> bool:
    """Whether we were started by the run itself: what it commits is its own affair."""
    import psutil

    owners = {one.pid for one in folder.owners().values()}
    try:
        return any(one.pid in owners for one in psutil.Process().parents())
    except psutil.Error:
        return False


def _command() -> str:
    """What git was told to do: of several commands only the arguments of its process tell which one called the hook."""
    import psutil

    try:
        for process in psutil.Process().parents():
            program, *words = process.cmdline() or [""]
            if os.path.basename(program) == "git":
                return command_of(words)
    except psutil.Error:
        pass
    return ""


# Options of git itself that take the next word; the others bring their value, or have none (git(1)).
_WITH_VALUE = ("-C", "-c", "--git-dir", "--work-tree", "--namespace", "--config-env")


def command_of(words: Sequence[str]) -> str:
    """The command among git's arguments; what comes after it may be called like another one."""
    rest = iter(words)
    for word in rest:
        if word in _WITH_VALUE:
            next(rest, None)
        elif not word.startswith("-"):
            return word
    return ""


def _record(active: Sequence[RunFolder], what: str) -> None:
    """Into the runs' records, where who trusts them later reads it."""
    from gittrack.live.journal import Journal

    for one in active:
        journal = Journal(one.path / f"journal-hook-{os.getpid()}", lambda _: None)
        text = f"{what} changed files of its worktree while it ran"
        journal.event({"op": "warning", "time": time.time(), "text": text})
        journal.close()


def _may_be_active(call: Call) -> bool:
    """Whether there is anything at all where active runs lie, or in the place for those that found no room there."""
    try:
        if next((call.repository.home / "live").iterdir(), None) is not None:
            return True
    except OSError:
        pass
    return os.path.isdir(os.path.join(tempfile.gettempdir(), f"gittrack-{os.getuid()}"))


def _counted(runs: tuple[str, ...], one: str, several: str) -> str:
    return f"a run {one} active" if len(runs) == 1 else f"{len(runs)} runs {several} active"


def _changes_nothing(call: Call) -> bool:
    """Whether files stay as they are, or have been asked about."""
    if call.hook == "post-checkout":
        before, after, branch = ((*call.words, *_framework_checkout(call), "", "", "")[at] for at in range(3))
        if branch == "0":
            # Single files: those of HEAD are what the run began with, and others show as a change.
            return call.repository.run("diff-index", "--quiet", "HEAD", "--", check=False).returncode == 0
        # A branch that begins where one stands.
        return before == after
    if call.hook == "prepare-commit-msg":
        return any((call.repository.git_dir / name).exists() for name in ("rebase-merge", "rebase-apply"))
    return False


def _framework_checkout(call: Call) -> tuple[str, ...]:
    return tuple(call.environ.get(f"PRE_COMMIT_{name}", "") for name in ("FROM_REF", "TO_REF", "CHECKOUT_TYPE"))


def _is_here(folder: RunFolder, root: Path) -> bool:
    place = folder.place()
    try:
        return place is not None and (place == root or os.path.samefile(place, root))
    except OSError:
        return False
