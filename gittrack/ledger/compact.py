"""Few ledgers instead of many: what writers that are gone have left goes into ours, and their refs go away."""

from __future__ import annotations

import time
from collections.abc import Mapping

from gittrack.errors import GitFailed
from gittrack.git.objects import ObjectBatch, Signature, publish
from gittrack.git.refs import RefChange, change_refs
from gittrack.git.remote import list_remote, push_refs
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.chain import Purge, all_members, ledger_tips, page_ids, purges_of, read_pages
from gittrack.ledger.fold import fold
from gittrack.ledger.follow import read_page_members
from gittrack.ledger.page import Member, write_pages
from gittrack.ledger.purged import purged_runs
from gittrack.values import dataclass, field

_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Merged:
    """Ledgers that were taken in, members that came from them, and ledgers that could not be taken away, with the reason."""

    ledgers: tuple[str, ...] = ()
    members: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)


def merge_ledgers(
    repository: Repository,
    writer: str,
    author: Signature,
    *,
    idle_days: float,
    remote: str | None,
    now: float | None = None,
) -> Merged:
    """Take in the ledgers to which nobody has written for so many days; with a remote, there too.

    Ours is pushed in the same transaction that takes the others away there, each only if it is still what it is here; so whoever
    writes to one meanwhile keeps it. Raises OSError, GitFailed, RefConflict.
    """
    own = fold(repository, writer, author)
    limit = (time.time() if now is None else now) - idle_days * _DAY
    tips = {name: tip for name, tip in ledger_tips(repository).items() if name != writer}
    dead = {name: tip for name, tip in tips.items() if _written(repository, tip) < limit}
    contents = {name: next(iter(read_pages(repository, [tip]))) for name, tip in dead.items()}
    refused = {name: str(one[1]) for name, one in contents.items() if isinstance(one, tuple)}
    dead = {name: tip for name, tip in dead.items() if name not in refused}
    there: Mapping[str, str] = {}
    if remote is not None:
        there = list_remote(repository, remote, f"{layout.LEDGERS}*")
        for name in list(dead):
            if there.get(layout.LEDGERS + name, dead[name]) != dead[name]:
                refused[name] = f"{remote} has another version of it; 'gittrack fetch' first"
                del dead[name]
    if not dead:
        return Merged((), 0, refused)
    taken = {} if own.tip is None else all_members(repository, own.tip)
    gone = purged_runs(repository)
    members: dict[str, Member] = {}
    purges: list[Purge] = []
    for tip in dead.values():
        pages = page_ids(repository, tip)[0]
        members.update(
            (one.commit, one)
            for one in read_page_members(repository, pages)
            if one.commit not in taken and one.run not in gone
        )
        purges += purges_of(repository, tip).values()
    new = own.tip
    if members or purges:
        batch = ObjectBatch(repository)
        new = write_pages(batch, writer, own.tip, list(members.values()), author, purges=purges)
        publish(repository, batch, [RefChange(own.ledger, new, own.tip)], "gittrack: merge ledgers")
    if remote is not None and new is not None:
        old = {layout.LEDGERS + name: dead[name] for name in dead if layout.LEDGERS + name in there}
        if old:
            done = push_refs(repository, remote, {own.ledger: new, **dict.fromkeys(old, "")}, leases=old)
            if done.refused:
                reasons = {ref.removeprefix(layout.LEDGERS): reason for ref, reason in done.refused.items()}
                return Merged((), len(members), {**refused, **reasons})
    # Only now: while a ref is here, nothing that it had is out of reach.
    change_refs(repository, [RefChange(layout.LEDGERS + name, None, tip) for name, tip in dead.items()])
    return Merged(tuple(sorted(dead)), len(members), refused)


def _written(repository: Repository, tip: str) -> float:
    """When a ledger was last added to; one that is none was never."""
    try:
        return float(repository.git("log", "-1", "--format=%at", tip))
    except (GitFailed, ValueError):
        return float("inf")
