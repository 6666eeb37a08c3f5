"""Folding: runs and amendments move from refs of their own into this clone's ledger, in one ref transaction."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Iterable, Mapping, Sequence

from gittrack.errors import CorruptRecord, RefConflict
from gittrack.git.objects import ObjectBatch, Signature, publish
from gittrack.git.refs import RefChange
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.chain import Purge, all_members, ledger_tips_in, read_pages
from gittrack.ledger.page import Member, write_pages
from gittrack.ledger.purged import purged_runs
from gittrack.ledger.read import Damage, Line, read_lines, run_heads_in
from gittrack.values import dataclass

# Runs that keep a ref of their own, so that plain git finds the newest by name; and how many more may pile up. The user's own
# `git fetch` opens the commit of each ref: a thousand of them more than double the time of one that finds nothing new.
KEEP_REFS, SLACK = 50, 50
_TRIES = 20
_NOTED = 4_000


@dataclass(frozen=True, slots=True)
class Folded:
    """What a fold did: members taken in, refs dropped, and runs that could not be read, which keep their refs."""

    ledger: str
    tip: str | None
    members: int = 0
    dropped: int = 0
    damaged: tuple[Damage, ...] = ()


def fold(
    repository: Repository,
    writer: str,
    author: Signature,
    *,
    extra: Sequence[Member] = (),
    purges: Sequence[Purge] = (),
    drop: bool = False,
) -> Folded:
    """Take every run and amendment that only a ref reaches into the ledger of `writer`.

    `extra` are members that came otherwise, `purges` what others said and nobody says any more; `drop` takes refs away from all
    but the newest runs. Raises RefConflict when others write to this ledger all the time, CorruptRecord when it is none, OSError
    or GitFailed when the world does not allow it.
    """
    ledger = layout.LEDGERS + writer
    for tries in range(_TRIES):
        refs = repository.list_refs(layout.RUNS)
        tip = refs.get(ledger)
        heads = {run: one.head for run, one in run_heads_in(refs).items()}
        known = Known.load(repository, writer, tip)
        fresh = {run: (head,) for run, head in heads.items() if head not in known.commits}
        if fresh:
            # A ref of its own may be left here of a run that somebody else has deleted for good.
            purged = purged_runs(repository, ledger_tips_in(refs))
            fresh = {run: commits for run, commits in fresh.items() if run not in purged}
        members, damaged = _members(repository, fresh, known)
        members += [one for one in extra if one.commit not in known.commits]
        members = list({one.commit: one for one in members}.values())
        dropped = _surplus(repository, known, members) if drop else {}
        if not members and not dropped and not purges:
            return Folded(ledger, tip, 0, 0, damaged)
        batch = ObjectBatch(repository)
        new = tip
        if members or purges:
            new = write_pages(batch, writer, tip, members, author, purges=purges)
        changes = [RefChange(ref, None, head) for ref, head in dropped.items()]
        if new is not None and new != tip:
            changes.insert(0, RefChange(ledger, new, tip))
        try:
            publish(repository, batch, changes, "gittrack: fold")
        except RefConflict:
            # A run was amended, or another process of this clone folded: look again.
            time.sleep(random.uniform(0, 0.02) * (tries + 1))
            continue
        known.commits.update(dict.fromkeys(one.commit for one in members))
        known.save(repository, new, heads.values())
        return Folded(ledger, new, len(members), len(dropped), damaged)
    raise RefConflict(f"{ledger} changes faster than it can be written; try again")


def _members(
    repository: Repository, heads: Mapping[str, Iterable[str]], known: Known
) -> tuple[list[Member], tuple[Damage, ...]]:
    """What the heads lead to and the ledger lacks, each run before its amendments, oldest first."""
    found: list[tuple[object, list[Member]]] = []
    damaged: list[Damage] = []
    for one in read_lines(repository, heads):
        if isinstance(one, Damage):
            damaged.append(one)
            continue
        lines = [one.origin, *sorted(one.amendments, key=lambda line: (line.plain.get("clock", 0), line.commit))]
        new = [_member(line) for line in lines if line.commit not in known.commits]
        found.append(((str(one.origin.plain.get("ended")), one.run), new))
    found.sort(key=lambda pair: str(pair[0]))
    return [member for _, members in found for member in members], tuple(damaged)


def _member(line: Line) -> Member:
    return Member(line.commit, line.raw.replace(b"\n", b" "))


# --- what is folded already


@dataclass(slots=True)
class Known:
    """The commits that need not be folded again, oldest first.

    Of a ledger of a million only those matter that a ref leads to; so they, and what came last, are written down with the
    ledger's tip, and looked up in the ledger itself where that note is of another tip. One that is folded twice does no harm.
    """

    commits: dict[str, None]

    @classmethod
    def load(cls, repository: Repository, writer: str, tip: str | None) -> Known:
        if tip is None:
            return cls({})
        known = cls.noted(repository, tip)
        if known is not None:
            return known
        newest = next(iter(read_pages(repository, [tip])))
        if isinstance(newest, tuple):
            ledger = layout.LEDGERS + writer
            raise CorruptRecord(
                f"{ledger} is no ledger ({newest[1]}); look at it with 'git log {ledger}'; 'git update-ref -d {ledger}' takes it "
                "away, and 'gittrack fetch' brings what the remote has of it"
            )
        return cls(all_members(repository, tip))

    @classmethod
    def noted(cls, repository: Repository, tip: str) -> Known | None:
        """What was written down, if it is of this tip."""
        try:
            first, *commits = (repository.home / "folded").read_text(encoding="ascii").split()
            if first == tip:
                return cls(dict.fromkeys(commits))
        except (OSError, UnicodeDecodeError, ValueError):
            pass
        return None

    def save(self, repository: Repository, tip: str | None, heads: Iterable[str]) -> None:
        """Keep what matters; failing to write costs a look into the ledger next time."""
        if tip is None:
            return
        newest = list(self.commits)[-_NOTED:]
        noted = dict.fromkeys([*(one for one in heads if one in self.commits), *newest])
        with contextlib.suppress(OSError):
            repository.note("folded", "\n".join([tip, *noted]))


def moved(repository: Repository, old: str | None, new: str) -> None:
    """The ledger grew by runs that no ref leads to: what was noted of its old tip holds for the new one."""
    known = Known({}) if old is None else Known.noted(repository, old)
    if known is not None:
        known.save(repository, new, known.commits)


# --- refs that may go


def _surplus(repository: Repository, known: Known, members: Sequence[Member]) -> dict[str, str]:
    """Refs of all but the newest runs, once there are many more than those; only of what the ledger has."""
    out = repository.git(
        "for-each-ref", "--sort=-committerdate", "--format=%(objectname) %(refname)", layout.RUNS
    ).splitlines()
    refs = [(os.fsdecode(name), head.decode("ascii")) for head, _, name in (line.partition(b" ") for line in out)]
    runs = [(ref, head) for ref, head in refs if layout.parse_run_ref(ref) is not None]
    if len(runs) <= KEEP_REFS + SLACK:
        return {}
    taken = known.commits.keys() | {one.commit for one in members}
    return {ref: head for ref, head in runs[KEEP_REFS:] if head in taken}
