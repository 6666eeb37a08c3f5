"""The runs of pushed commits go along, with their data; or the push says what is missing."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gittrack.errors import GittrackError
from gittrack.hooks.call import PASSED, Call, Verdict
from gittrack.hooks.going import refs_going, remote_of
from gittrack.hooks.trailer import TRAILER

_BRANCHES = "refs/heads/"
# Of a branch that is pushed for the first time to a remote that has nothing of it.
_MOST_COMMITS = 10_000
_ID = re.compile(rf"^{TRAILER}: ([0-9a-f]{{32}})$", re.MULTILINE)


def check(call: Call) -> Verdict:
    wanted = call.settings.guards.push_runs
    remote = remote_of(call)
    if wanted == "none" or call.repository.setting(f"remote.{remote}.url") is None:
        # To an address without a name nobody shares runs.
        return PASSED
    tips = [one.new for one in refs_going(call) if one.new is not None and one.ref.startswith(_BRANCHES)]
    if not tips:
        return PASSED
    trees, named = _pushed(call, remote, tips)
    lacking = call.project.unshared(remote, trees, named) if trees else []
    if not lacking:
        return PASSED
    listing = tuple(f"{run.experiment}/{run.name} ({run.id[:8]})" for run in lacking)
    what = "a run of these commits is" if len(lacking) == 1 else f"{len(lacking):,} runs of these commits are"
    if wanted == "push":
        return _push_along(call, remote, what, listing)
    it, its = ("it", "its") if len(lacking) == 1 else ("them", "their")
    text = f"{what} not on {remote} yet, so that nobody there can see or repeat {it}; 'gittrack push {remote}' sends {it} with {its} data"
    if wanted == "warn":
        return Verdict(notes=(text,), listing=listing)
    return Verdict((text,), listing=listing)


def _push_along(call: Call, remote: str, what: str, listing: tuple[str, ...]) -> Verdict:
    try:
        done = call.project.push(remote)
    except (GittrackError, OSError) as error:
        return Verdict((f"{what} not on {remote} yet, and could not be pushed: {error}; mend that",), listing=listing)
    if not done.complete:
        refused = tuple(f"{name}  {why}" for name, why in {**done.refused, **done.absent}.items())
        text = (
            f"not all of the runs, or not all of their data, could be pushed to {remote}; see 'gittrack push {remote}'"
        )
        return Verdict((text,), listing=refused)
    count = len(done.runs)
    return Verdict(notes=(f"{count:,} {'run' if count == 1 else 'runs'} went along to {remote}",))


def _pushed(call: Call, remote: str, tips: Sequence[str]) -> tuple[set[str], list[str]]:
    """The trees of commits that the remote lacks, as far as it is known here, and the runs that their messages name."""
    out = call.repository.git(
        "log", "-z", "--format=%T%n%B", f"--max-count={_MOST_COMMITS}", *tips, "--not", f"--remotes={remote}"
    ).decode("utf-8", "replace")
    trees, named = set(), []
    for one in filter(None, out.split("\0")):
        tree, _, message = one.partition("\n")
        trees.add(tree)
        named += _ID.findall(message)
    return trees, named
