"""Deleting for good: this clone's ledger is written anew without a run, and a note stays so that nobody brings it back."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence

from gittrack.errors import CorruptRecord, GitFailed, PurgeNotPushed
from gittrack.git.objects import ObjectBatch, Signature, publish
from gittrack.git.packs import reached, rewrite_without
from gittrack.git.refs import RefChange
from gittrack.git.remote import list_remote, push_refs
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.chain import PageContent, Purge, page_ids, purges_of, read_pages
from gittrack.ledger.fold import fold
from gittrack.ledger.follow import fetched, only_purged_is_missing
from gittrack.ledger.notes import Note
from gittrack.ledger.page import Member, write_pages
from gittrack.ledger.purged import purged_runs
from gittrack.ledger.read import Damage, page_lines
from gittrack.values import dataclass, field

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge did: the ledger before and after, objects whose bytes are gone, and refs that still reach a run, by its id.

    `waiting`: objects stay until no run is active, and a purge comes again.
    """

    ledger: str
    before: str | None
    after: str
    objects: int
    runs: tuple[str, ...] = ()
    reached: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    waiting: bool = False


class Unfreed(Note):
    """Commits that purges took out of reach, and whose objects nobody has taken away yet."""

    name = "purging"


def purge(
    repository: Repository, writer: str, author: Signature, runs: Collection[str], *, reason: str, free: bool
) -> Purged:
    """Take runs, with all that was said of them, out of this clone's ledger and refs.

    With `free` the objects that nothing reaches any more leave the object store, and nothing else does. Raises OSError,
    GitFailed, RefConflict when another process of this clone writes at the same time.
    """
    folded = fold(repository, writer, author)
    now = time.time()
    purges = [Purge(run, author.identity, now, reason) for run in sorted(runs)]
    new, of = _rewrite(repository, writer, folded.tip, author, purges)
    there = _still_reached(repository, of)
    objects = free_purged(repository) if free else 0
    return Purged(folded.ledger, folded.tip, new, objects, tuple(sorted(runs)), there, waiting=not free)


def _rewrite(
    repository: Repository, writer: str, tip: str | None, author: Signature, purges: Sequence[Purge]
) -> tuple[str, dict[str, str]]:
    """The ledger without the runs of some purges, and with their notes, in the place of what it was; refs of those runs go too.

    Returns its newest page, and the commits that any ledger or ref here had of the runs, each with its run.
    """
    ledger, runs = layout.LEDGERS + writer, {one.run for one in purges}
    of = _commits_of(repository, runs)
    batch = ObjectBatch(repository)
    new, old = _without(repository, batch, writer, tip, author, purges)
    # Where plain `git fetch` put this ledger as it was; one that has more than ours stays.
    refs = {
        ref: held
        for ref, held in repository.list_refs(layout.RUNS, layout.TRACKED).items()
        if _names(ref, runs) or (ref.startswith(layout.TRACKED) and held in old)
    }
    of.update({held: named[1] for ref, held in refs.items() if (named := layout.parse_run_ref(ref)) is not None})
    changes = [RefChange(ledger, new, tip), *(RefChange(ref, None, held) for ref, held in refs.items())]
    # Before: when nothing leads to them any more, who was interrupted would not find them again.
    Unfreed(repository).note([*of, *old])
    publish(repository, batch, changes, "gittrack: purge")
    return new, of


def free_purged(repository: Repository) -> int:
    """Take away the objects that purges have left and nothing reaches; returns how many. Nobody may be recording."""
    unfreed = Unfreed(repository)
    if not unfreed.noted:
        return 0
    started = time.time()
    objects = rewrite_without(repository, _only_of(repository, _present(repository, unfreed.noted)), before=started)
    # What another writer's ledger or a git tag still has stays noted, for the day on which that is gone too.
    here = set(_present(repository, unfreed.noted))
    unfreed.note(done={one for one in unfreed.noted if one not in here})
    return objects


def _present(repository: Repository, commits: Sequence[str]) -> list[str]:
    """Those of the commits whose objects are here."""
    script = "".join(f"{one}\n" for one in commits).encode("ascii")
    listed = repository.git("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=script)
    found = (line.partition(b" ") for line in listed.splitlines())
    return [name.decode("ascii") for name, _, kind in found if kind == b"commit"]


def _without(
    repository: Repository, batch: ObjectBatch, writer: str, tip: str | None, author: Signature, purges: Sequence[Purge]
) -> tuple[str, set[str]]:
    """The ledger anew, without the runs of some purges and with their notes; and the pages that it replaces."""
    runs = {one.run for one in purges}
    pages = [] if tip is None else page_ids(repository, tip)[0]
    contents = [one for one in read_pages(repository, pages) if isinstance(one, PageContent)]
    if len(contents) != len(pages):
        raise CorruptRecord(f"the ledger {writer} cannot be read whole; run 'gittrack fsck' and mend it first")
    first = next((at for at, one in enumerate(contents) if _has(repository, one, runs)), len(contents))
    kept = [member for one in contents[first:] for member, run in _members(repository, one) if run not in runs]
    said = [purge for one in contents[first:] for purge in one.purges]
    base = contents[first - 1].page.commit if first else None
    new = write_pages(batch, writer, base, kept, author, purges=[*said, *purges])
    return new, {one.page.commit for one in contents[first:]}


def still_here(repository: Repository, writer: str, runs: Collection[str]) -> set[str]:
    """Those of some runs that this clone's ledger, or a ref of their own, still has."""
    found = {named[1] for ref in repository.list_refs(layout.RUNS) if (named := layout.parse_run_ref(ref)) is not None}
    found &= set(runs)
    tip = repository.resolve(layout.LEDGERS + writer, None)
    for content in read_pages(repository, [] if tip is None else page_ids(repository, tip)[0]):
        if isinstance(content, PageContent) and _has(repository, content, runs):
            found.update(run for _, run in _members(repository, content) if run in runs)
    return found


def _names(ref: str, runs: Collection[str]) -> bool:
    named = layout.parse_run_ref(ref)
    return named is not None and named[1] in runs


def _has(repository: Repository, content: PageContent, runs: Collection[str]) -> bool:
    if not content.problem and not any(run.encode("ascii") in line for run in runs for line in content.lines):
        return False
    return any(run in runs for _, run in _members(repository, content))


def _members(repository: Repository, content: PageContent) -> list[tuple[Member, str]]:
    """The members of a page with the runs that they are of; a member that cannot be read stays where it is."""
    found = []
    for line in page_lines(repository, content):
        if isinstance(line, Damage):
            found.append((Member(line.where, b"{}"), ""))
        else:
            found.append((Member(line.commit, line.raw), line.run))
    return found


def _commits_of(repository: Repository, runs: Collection[str]) -> dict[str, str]:
    """Every commit that any ledger here has of these runs, and which run it is of."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    for tip in repository.list_refs(layout.LEDGERS, layout.TRACKED).values():
        try:
            pages = [one for one in page_ids(repository, tip)[0] if one not in seen]
        except GitFailed:
            # It is no ledger, whatever it is.
            continue
        seen.update(pages)
        for content in read_pages(repository, pages):
            if isinstance(content, PageContent) and _has(repository, content, runs):
                members = _members(repository, content)
                found.update({member.commit: run for member, run in members if run in runs})
    return found


def _still_reached(repository: Repository, of: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Refs from which a purged run can still be had: a git tag, another writer's ledger, a run that used it."""
    commits: dict[str, list[str]] = {}
    for commit, run in of.items():
        commits.setdefault(run, []).append(f"--contains={commit}")
    found = {}
    for run, words in commits.items():
        listed = repository.git("for-each-ref", *words, "--format=%(refname)")
        refs = tuple(listed.decode("utf-8", "replace").splitlines())
        if refs:
            found[run] = refs
    return found


def _only_of(repository: Repository, commits: Iterable[str]) -> set[str]:
    """Objects that these commits lead to, and that nothing leads to any more which any ref reaches."""
    found: set[str] = set()
    unique = list(dict.fromkeys(commits))
    for at in range(0, len(unique), _AT_ONCE):
        script = "".join(f"{one}\n" for one in unique[at : at + _AT_ONCE]).encode("ascii")
        words = ("rev-list", "--objects", "--missing=allow-any")
        try:
            listed = repository.git(*words, "--stdin", "--not", "--all", stdin=script)
        except GitFailed:
            # Somebody who was interrupted took a part of them away: then each by itself.
            listed = repository.git(*words, "--no-walk", "--stdin", stdin=script)
        found.update(line.split(b" ", 1)[0].decode("ascii") for line in listed.splitlines())
    # What comes after `--not` hides only its own commits and the trees at the edge: a file that another run has too is there still.
    return found - reached(repository, found)


# --- on the remote


@dataclass(frozen=True, slots=True)
class PushedPurge:
    """Whether this clone's ledger was replaced or moved on there, and refs of purged runs that were taken away."""

    replaced: bool
    removed: tuple[str, ...] = ()


def push_purged(repository: Repository, remote: str, writer: str, author: Signature) -> PushedPurge:
    """Put a ledger that was written anew in the place of the one on the remote, and take refs of purged runs away there.

    Raises PurgeNotPushed when the remote has something else that is not here, changed meanwhile, or does not allow it; GitFailed.
    """
    return PushedPurge(_replace_ledger(repository, remote, writer, author), _remove_refs(repository, remote))


def _remove_refs(repository: Repository, remote: str) -> tuple[str, ...]:
    """Runs that were pushed one by one, or by hand: each ref only as it was just seen."""
    gone = purged_runs(repository)
    there = {ref: tip for ref, tip in list_remote(repository, remote, f"{layout.RUNS}*").items() if _names(ref, gone)}
    if not there:
        return ()
    done = push_refs(repository, remote, dict.fromkeys(there, ""), leases=there)
    if done.refused:
        ref, why = next(iter(done.refused.items()))
        raise PurgeNotPushed(
            f"{remote} still has {ref} of a purged run ({why}); allow refs to be deleted there for a moment, then "
            "'gittrack gc --purge --push' again"
        )
    return tuple(there)


def _replace_ledger(repository: Repository, remote: str, writer: str, author: Signature) -> bool:
    """Only if nothing but purged runs goes with that; a purge that added to the ledger alone is pushed as any push is.

    What was purged there and is not known here, as where this clone was restored from a backup, is purged here too.

    False when the remote has it all.
    """
    ledger = layout.LEDGERS + writer
    tip = repository.resolve(ledger, None)
    there = list_remote(repository, remote, ledger).get(ledger)
    if tip is None or there == tip:
        return False
    if there is None or page_ids(repository, tip, {there})[1]:
        sent = push_refs(repository, remote, {ledger: tip})
        if sent.refused:
            raise PurgeNotPushed(f"{remote} did not take the note of the purge ({sent.refused[ledger]}); push again")
        return True
    with fetched(repository, remote, ledger) as theirs:
        known = purges_of(repository, tip)
        unknown = [one for run, one in purges_of(repository, theirs).items() if run not in known]
        if unknown:
            tip, _ = _rewrite(repository, writer, tip, author, unknown)
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
