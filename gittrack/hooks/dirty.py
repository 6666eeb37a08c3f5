"""The tree is as it was committed: for a CI, or by hand; in a hook the pre-commit framework hides what is not staged."""

from __future__ import annotations

from gittrack.git.worktree import worktree_status
from gittrack.hooks.call import PASSED, Call, Verdict
from gittrack.report.text import escape


def check(call: Call) -> Verdict:
    """Refuses every difference from HEAD that `git status` shows, and those that it was told not to show."""
    if call.repository.root is None:
        return PASSED
    changes = worktree_status(call.repository).changes
    if not changes:
        return PASSED
    what = "1 file differs" if len(changes) == 1 else f"{len(changes):,} files differ"
    return Verdict(
        refusals=(f"{what} from the last commit; commit, ignore or remove what is named below",),
        listing=tuple(escape(str(one)) for one in changes),
    )
