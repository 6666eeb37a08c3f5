"""Deleting for good: this clone's ledger is written anew without a run, and a note stays so that nobody brings it back."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from gittrack.errors import CorruptRecord, PurgeNotPushed
from gittrack.git.objects import ObjectBatch, Signature, publish
from gittrack.git.packs import rewrite_without
from gittrack.git.refs import RefChange
from gittrack.git.remote import list_remote, push_refs
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.chain import PageContent, Purge, page_ids, read_pages
from gittrack.ledger.fold import Known, Member, fold, write_pages
from gittrack.ledger.follow import fetched, only_purged_is_missing
from gittrack.ledger.read import Damage, read_members

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge did: the ledger before and after, objects whose bytes are gone, and refs that still reach a run, by its id."""

    ledger: str
    before: str | None
    after: str
    objects: int
    reached: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def purge(
    repository: Repository, writer: str, author: Signature, runs: Collection[str], *, reason: str, free: bool
) -> Purged:
    """Take runs, with all that was said of them, out of this clone's ledger and refs.

    With `free` the objects that nothing reaches any more leave the object store, and nothing else does. Raises OSError,
    GitFailed, RefConflict when another process of this clone writes at the same time.
    """
    folded = fold(repository, writer, author)
    ledger = folded.ledger
    pages = [] if folded.tip is None else page_ids(repository, folded.tip)[0]
    contents = [one for one in read_pages(repository, pages) if isinstance(one, PageContent)]
    if len(contents) != len(pages):
        raise CorruptRecord(f"{ledger} cannot be read whole; run 'gittrack fsck' and mend it first")
    first = next((at for at, one in enumerate(contents) if _has(repository, one, runs)), len(contents))
    kept: list[Member] = []
    gone: list[str] = []
    purges = [purge for one in contents[first:] for purge in one.purges]
    for one in contents[first:]:
        for member, run in _members(repository, one):
            if run in runs:
                gone.append(member.commit)
            else:
                kept.append(member)
    now = time.time()
    purges += [Purge(run, author.identity, now, reason) for run in sorted(runs)]
    batch = ObjectBatch(repository)
    base = contents[first - 1].page.commit if first else None
    new = write_pages(repository, batch, writer, base, kept, author, purges=purges)
    refs = {
        ref: tip
        for ref, tip in repository.list_refs(layout.RUNS, layout.TRACKED).items()
        if _names(ref, runs) or (ref.startswith(layout.TRACKED) and ref.endswith(f"/{writer}"))
    }
    gone += [tip for ref, tip in refs.items() if layout.parse_run_ref(ref) is not None]
    changes = [RefChange(ledger, new, folded.tip), *(RefChange(ref, None, tip) for ref, tip in refs.items())]
    publish(repository, batch, changes, "gittrack: purge")
    known = Known({one.commit: None for one in kept})
    known.save(repository, new, repository.list_refs(layout.RUNS).values())
    there = _still_reached(repository, runs, contents[first:], gone)
    objects = 0
    if free:
        old = [one.page.commit for one in contents[first:]]
        objects = rewrite_without(repository, _unreachable(repository, [*gone, *old]))
    return Purged(ledger, folded.tip, new, objects, there)


def _names(ref: str, runs: Collection[str]) -> bool:
    named = layout.parse_run_ref(ref)
    return named is not None and named[1] in runs


def _has(repository: Repository, content: PageContent, runs: Collection[str]) -> bool:
    if not content.problem and not any(run.encode("ascii") in line for run in runs for line in content.lines):
        return False
    return any(run in runs for _, run in _members(repository, content))


def _members(repository: Repository, content: PageContent) -> list[tuple[Member, str]]:
    """The members of a page with the runs that they are of; a member that cannot be read stays where it is."""
    from gittrack.ledger.read import parse_line

    found = []
    if content.problem:
        lines = [one for one in read_members(repository, content.page.members) if not isinstance(one, Damage)]
    else:
        lines = [parse_line(commit, raw) for commit, raw in zip(content.page.members, content.lines, strict=True)]
    for line in lines:
        run = line.plain.get("run") if "changes" in line.plain else line.plain.get("id")
        found.append((Member(line.commit, line.raw), str(run)))
    return found


def _still_reached(
    repository: Repository, runs: Collection[str], contents: Sequence[PageContent], gone: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Refs from which a purged run can still be had: a git tag, another writer's ledger, a run that used it."""
    of: dict[str, str] = {}
    for one in contents:
        of.update({member.commit: run for member, run in _members(repository, one) if run in runs})
    found: dict[str, dict[str, None]] = {}
    for commit in dict.fromkeys(gone):
        listed = repository.git("for-each-ref", f"--contains={commit}", "--format=%(refname)")
        refs = listed.decode("utf-8", "replace").splitlines()
        if refs:
            found.setdefault(of.get(commit, commit), {}).update(dict.fromkeys(refs))
    return {run: tuple(refs) for run, refs in found.items()}


def _unreachable(repository: Repository, commits: Sequence[str]) -> set[str]:
    """Objects that only these commits, no more reached by any ref, lead to."""
    found: set[str] = set()
    unique = list(dict.fromkeys(commits))
    for at in range(0, len(unique), _AT_ONCE):
        script = "".join(f"{one}\n" for one in unique[at : at + _AT_ONCE]).encode("ascii")
        # Whatever a reflog, an index or another worktree still needs stays.
        words = ("rev-list", "--objects", "--stdin", "--not", "--all", "--reflog", "--indexed-objects")
        listed = repository.git(*words, stdin=script)
        found.update(line.split(b" ", 1)[0].decode("ascii") for line in listed.splitlines())
    return found


# --- on the remote


def replace_ledger(repository: Repository, remote: str, writer: str) -> bool:
    """Put a ledger that was written anew in the place of the one on the remote, if only purged runs go with that.

    False when there is nothing to replace. Raises PurgeNotPushed when the remote has something else that is not here, or changed
    meanwhile; GitFailed.
    """
    ledger = layout.LEDGERS + writer
    tip = repository.resolve(ledger, None)
    there = list_remote(repository, remote, ledger).get(ledger)
    if tip is None or there is None or there == tip or page_ids(repository, tip, {there})[1]:
        return False
    with fetched(repository, remote, ledger) as theirs:
        if not only_purged_is_missing(repository, tip, theirs):
            raise PurgeNotPushed(
                f"{remote} has more of the ledger {writer} than was purged here; 'gittrack push' first, then again"
            )
        done = push_refs(repository, remote, {ledger: tip}, leases={ledger: theirs})
    if done.refused:
        raise PurgeNotPushed(
            f"{remote} does not let the ledger be replaced ({done.refused[ledger]}); allow it there for a moment, then again"
        )
    return True
