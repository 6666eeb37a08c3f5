"""Ledgers and runs on a server: they only grow, but for what a purge takes where that is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gittrack.errors import CorruptRecord, FormatTooNew, GitFailed
from gittrack.hooks.call import Call
from gittrack.hooks.server import ledger_mode
from gittrack.ledger import layout

if TYPE_CHECKING:
    from gittrack.git.repository import Repository


def ledger_refusal(call: Call, ref: str, old: str | None, new: str | None) -> str:
    """Why a ledger may not become what it is to be; empty where it may."""
    from gittrack.ledger.chain import page_ids, purges_in, purges_of
    from gittrack.ledger.fsck import Problem, page_problems
    from gittrack.ledger.writer import is_writer

    repository = call.repository
    if new is None:
        if ledger_mode(call) == "free":
            return ""
        return "a ledger is never deleted; for 'gittrack gc --merge-ledgers' who keeps the server sets guards.ledgers to free for a moment"
    if not is_writer(ref[len(layout.LEDGERS) :]):
        return "no writer can be called that; see gittrack.writer in git's settings, and push again"
    try:
        pages, grows = page_ids(repository, new, () if old is None else {old})
    except GitFailed:
        return f"{new[:12]} is no ledger; 'gittrack push' sends one"
    if old is not None and not grows:
        if ledger_mode(call) == "grow":
            return (
                "a ledger only grows here; 'gittrack fetch' brings what is here, and 'gittrack push' goes on from there"
            )
        before = set(page_ids(repository, old)[0])
        pages = [one for one in pages if one not in before]
        why = _not_only_purged(repository, old, new)
        if why:
            return f"{why}; 'gittrack fetch' brings what is here, and 'gittrack push' goes on from there"
    elif purges := purges_in(repository, pages):
        # In whosever ledger it stands: every clone that fetches it forgets the run.
        fresh = [run for run in purges if old is None or run not in purges_of(repository, old)]
        if fresh and ledger_mode(call) == "grow":
            return f"it says that run {fresh[0][:8]} was deleted for good, and a ledger only grows here; 'gittrack rm' hides a run"
    for found in page_problems(repository, ref, pages):
        if isinstance(found, Problem):
            return f"{found.reason}; 'gittrack fsck' in the clone that pushes tells more"
    return ""


def _not_only_purged(repository: Repository, old: str, new: str) -> str:
    """A purge writes a ledger anew: only purged runs may be gone then, and each has its note (docs/formats/ledger.md)."""
    from gittrack.ledger.chain import all_members, purges_of
    from gittrack.ledger.read import Damage, read_members

    purged = purges_of(repository, new)
    lost = [run for run in purges_of(repository, old) if run not in purged]
    if lost:
        return f"the note that run {lost[0][:8]} was deleted for good would be gone"
    kept = all_members(repository, new)
    missing = [one for one in all_members(repository, old) if one not in kept]
    for line in read_members(repository, missing):
        if isinstance(line, Damage) or line.run not in purged:
            named = "" if isinstance(line, Damage) else f" (run {line.run[:8]})"
            return f"{len(missing):,} {'commit' if len(missing) == 1 else 'commits'} of the ledger would be gone{named}"
    return "" if missing else "it is not on top of what is here"


def run_refusal(call: Call, ref: str, old: str | None, new: str | None) -> str:
    """The same for the ref of a single run."""
    from gittrack.ledger.read import Damage, read_lines

    repository = call.repository
    named = layout.parse_run_ref(ref)
    assert named is not None
    experiment, run = named
    if new is None:
        from gittrack.ledger.purged import purged_runs

        if ledger_mode(call) != "grow" and run in purged_runs(repository):
            return ""
        return "a run is never deleted but by 'gittrack gc --purge --push'; 'gittrack rm' hides it"
    if old is not None and repository.run("merge-base", "--is-ancestor", old, new, check=False).returncode != 0:
        return "a run only gets amendments, and this is not on top of what is here; 'gittrack push' shares it without a conflict"
    found = next(read_lines(repository, {run: (new,)}))
    if isinstance(found, Damage):
        return f"{found.reason}; 'gittrack fsck' in the clone that pushes tells more"
    try:
        state = found.state
    except (CorruptRecord, FormatTooNew) as error:
        return f"{error}; 'gittrack fsck' in the clone that pushes tells more"
    if state.experiment != experiment:
        return f"its record says experiment {state.experiment!r}; push it to {layout.run_ref(state.experiment, run)}"
    return ""
