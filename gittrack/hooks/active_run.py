"""Nothing changes the files of a worktree under a run that is active in it."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gittrack.hooks.call import PASSED, Call, Verdict

if TYPE_CHECKING:
    from gittrack.live.folder import RunFolder

# git asks nobody before it checks out or fast-forwards; what it did can only be told.
_AFTERWARDS = ("post-checkout", "post-merge")
_WHATS = {
    "pre-merge-commit": "a merge",
    "pre-rebase": "a rebase",
    "prepare-commit-msg": "a cherry-pick or a revert",
    "post-checkout": "a checkout",
    "post-merge": "a merge",
}


def check(call: Call) -> Verdict:
    if call.repository.root is None or _changes_nothing(call) or not _may_be_active(call):
        return PASSED
    # Only now: most commits meet no run, and this takes as long to load as all the rest.
    from gittrack.live.owner import Liveness
    from gittrack.tracking.join import first_start
    from gittrack.tracking.places import all_folders
    from gittrack.tracking.protocol import inherited_run

    mine = inherited_run(call.environ)
    here = [one for one in all_folders(call.repository) if _is_here(one, call.repository.root)]
    # What a run commits itself is its own affair.
    active = [one for one in here if (mine is None or mine[0] != one.run_id) and one.liveness() is Liveness.ALIVE]
    if not active:
        return PASSED
    what = _WHATS.get(call.hook, "a commit")
    runs = tuple(f"{first_start(one).get('name', 'a run')} ({one.run_id[:8]})" for one in active)
    if call.hook in _AFTERWARDS:
        for one in active:
            _tell(one, f"{what} changed files of its worktree while it ran")
        note = (
            f"{what} has changed files under {_counted(runs, 'that is', 'that are')}, which may have read some of them as they "
            "were and some as they are; do not trust it, and start such runs with 'gittrack run --isolated'"
        )
        return Verdict(notes=(note,), listing=runs)
    text = (
        f"{_counted(runs, 'is', 'are')} in this worktree, and {what} could change files that it reads; wait for its end "
        "('gittrack status'), or start such runs with 'gittrack run --isolated'"
    )
    return Verdict((text,), listing=runs)


def _tell(folder: RunFolder, text: str) -> None:
    """Into the run's record, where who trusts it later reads it."""
    from gittrack.live.journal import Journal

    journal = Journal(folder.path / f"journal-hook-{os.getpid()}", lambda _: None)
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
    """Whether another hook has been asked about it, or files stay as they are."""
    if call.hook == "post-checkout":
        before, after, *_ = (*call.words, *_framework_checkout(call), "", "")
        # A branch that begins where one stands; single files may differ all the same.
        return before == after and (*call.words, "1")[2:3] == ("1",)
    if call.hook == "prepare-commit-msg":
        folder = call.repository.git_dir
        return not any((folder / name).exists() for name in ("CHERRY_PICK_HEAD", "REVERT_HEAD")) or any(
            (folder / name).exists() for name in ("rebase-merge", "rebase-apply")
        )
    return False


def _framework_checkout(call: Call) -> tuple[str, ...]:
    return tuple(call.environ.get(f"PRE_COMMIT_{name}", "") for name in ("FROM_REF", "TO_REF"))


def _is_here(folder: RunFolder, root: Path) -> bool:
    place = folder.place()
    try:
        return place is not None and (place == root or os.path.samefile(place, root))
    except OSError:
        return False
