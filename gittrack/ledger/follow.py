"""A ledger of our name on a remote that is not a part of ours: what became of it, and who we are now."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gittrack.errors import CorruptRecord, PurgeNotPushed
from gittrack.git.objects import ObjectBatch, Signature, publish
from gittrack.git.refs import RefChange, change_refs
from gittrack.git.remote import fetch_refs
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.chain import Purge, all_members, page_ids, purges_of, read_pages
from gittrack.ledger.page import Member, write_pages
from gittrack.ledger.purged import purged_runs
from gittrack.ledger.read import Damage, page_lines, read_members
from gittrack.ledger.writer import Writer, renew_writer


def follow(
    repository: Repository, writer: Writer, author: Signature, tip: str | None, there: str
) -> tuple[Writer, str]:
    """Go on from what a remote has of our ledger, which is here by now; returns the writer that we are, and what to say.

    It is further on where this clone was restored from a backup: then we go on from there. A copy of this clone may have
    written to it: then we get a new name, and take what only we have along. Where a person gave the name to several clones,
    what only we have goes on top of what is there. Nothing is lost either way, and nothing there is replaced.
    """
    ledger = layout.LEDGERS + writer.name
    if tip is not None and only_purged_is_missing(repository, tip, there):
        raise PurgeNotPushed(
            f"the remote still has runs of the ledger {writer.name} that were purged here; 'gittrack gc --purge --push' "
            "replaces it there"
        )
    ours, purges = _only_here(repository, tip, there)
    batch = ObjectBatch(repository)
    if not ours or writer.given:
        new = there
        if ours or purges:
            new = write_pages(batch, writer.name, there, ours, author, purges=purges)
        publish(repository, batch, [RefChange(ledger, new, tip)], "gittrack: follow the ledger on the remote")
        return writer, ""
    renewed = renew_writer(repository)
    new = write_pages(batch, renewed.name, None, ours, author, purges=purges)
    changes = [RefChange(layout.LEDGERS + renewed.name, new, None), RefChange(ledger, there, tip)]
    publish(repository, batch, changes, "gittrack: a writer of its own")
    return renewed, (
        f"another clone writes under this one's name, as a copy of it would; this one is {renewed.name} from now on, and "
        "nothing is lost"
    )


def _only_here(repository: Repository, tip: str | None, there: str) -> tuple[list[Member], list[Purge]]:
    """What our ledger has and another version of it lacks, but for runs that were purged by anybody, there too."""
    if tip is None:
        return [], []
    known = purges_of(repository, there)
    purged = purged_runs(repository) | known.keys()
    theirs = all_members(repository, there)
    pages = page_ids(repository, tip)[0]
    ours = [one for one in read_page_members(repository, pages) if one.commit not in theirs and one.run not in purged]
    return ours, [one for run, one in purges_of(repository, tip).items() if run not in known]


def only_purged_is_missing(repository: Repository, tip: str, there: str) -> bool:
    """Whether a ledger has all that another version of it has, but for runs that were purged; and lacks some of those."""
    ours = all_members(repository, tip)
    missing = [commit for commit in all_members(repository, there) if commit not in ours]
    if not missing:
        return False
    purged = purged_runs(repository)
    for line in read_members(repository, missing):
        if isinstance(line, Damage):
            return False
        if line.run not in purged:
            return False
    return True


@contextmanager
def fetched(repository: Repository, remote: str, ref: str) -> Iterator[str]:
    """What a ref of a remote holds, here for as long as it is looked at; raises CorruptRecord when it cannot be had."""
    place = f"{layout.INCOMING}{os.getpid()}-{uuid.uuid4().hex[:8]}/one"
    fetch_refs(repository, remote, {ref: place})
    there = repository.resolve(place, None)
    if there is None:
        raise CorruptRecord(f"{remote} has a {ref} that cannot be fetched; look at 'git ls-remote {remote}'")
    try:
        yield there
    finally:
        change_refs(repository, [RefChange(place, None, there)])


def read_page_members(repository: Repository, pages: Sequence[str]) -> Iterator[Member]:
    """Everything that pages have taken in; raises CorruptRecord for what is no page."""
    for content in read_pages(repository, pages):
        if isinstance(content, tuple):
            raise CorruptRecord(f"{content[1]}; run 'gittrack fsck'")
        for line in page_lines(repository, content):
            if not isinstance(line, Damage):
                yield Member(line.commit, line.raw)
