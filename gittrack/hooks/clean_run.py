"""No results of a run on a dirty tree are committed: nobody could get them again from what the commit holds."""

from __future__ import annotations

from gittrack.hooks.call import PASSED, Call, Verdict
from gittrack.hooks.contents import makers_of

_SENTENCE = (
    "what a run on a dirty tree left is about to be committed, and no commit could give it again; commit the code, run it "
    "again and commit what that leaves"
)


def check(call: Call) -> Verdict:
    # What only moves was committed before.
    known = {one.before for one in call.staged}
    fresh = [one for one in call.staged if one.blob not in known]
    # Clean runs come first: one that left the same content vouches for it.
    dirty = [(one, runs[0]) for one, runs in makers_of(call, fresh) if runs[0].dirty]
    if not dirty:
        return PASSED
    return Verdict((_SENTENCE,), listing=tuple(f"{one.name}  from {run.name} ({run.id[:8]})" for one, run in dirty))
