"""Runs from another repository: ledgers and run refs, taken in so that nothing that is here is lost."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from gittrack.domain.names import ID_LENGTH, check_experiment
from gittrack.errors import CorruptRecord, GitFailed, InvalidName, PurgeNotPushed, RefConflict
from gittrack.git.objects import Signature
from gittrack.git.packs import adopt, all_packs
from gittrack.git.refs import RefChange, change_refs
from gittrack.git.remote import fetch_refs, list_remote
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.chain import Purge, all_members, page_ids, purges_of, read_pages
from gittrack.ledger.fold import fold
from gittrack.ledger.follow import follow
from gittrack.ledger.page import Member
from gittrack.ledger.purged import purged_runs
from gittrack.ledger.read import Damage, read_lines, read_members
from gittrack.ledger.summaries import FILTER, filtering, prefetch_lines
from gittrack.ledger.writer import Writer, is_writer
from gittrack.values import dataclass, field

_TRIES = 5

# Of commits those that are known runs or amendments, wherever they came from.
Known = Callable[[Collection[str]], Collection[str]]


class Arrived(NamedTuple):
    """A ref of the remote: what it holds there, what the same ref holds here, and where it was fetched to."""

    ref: str
    there: str
    here: str | None
    place: str


@dataclass(slots=True)
class Taken:
    """What a fetch did: refs that moved, and those that were refused, each with the reason."""

    moved: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)
    note: str = ""


def take_in(
    repository: Repository,
    remote: str,
    writer: Writer,
    author: Signature,
    known: Known,
    *,
    summaries: bool = False,
) -> Taken:
    """Fetch what is new on a remote; raises GitFailed when it does not answer. `summaries`: the lines alone, files later.

    Everything comes to refs of its own first; then the ledgers move on, and what has no ledger here (a run changed on both
    sides, members that a ledger has lost on the remote) goes into our own.
    """
    _clean(repository)
    for tries in range(_TRIES):
        here = repository.list_refs(layout.RUNS)
        there = list_remote(repository, remote, f"{layout.RUNS}*")
        refused = _misplaced(there)
        there = {ref: tip for ref, tip in there.items() if ref not in refused}
        wanted = _wanted(repository, here, there, layout.LEDGERS + writer.name, known)
        if not wanted:
            return Taken(refused=refused)
        token = f"{layout.INCOMING}{os.getpid()}-{uuid.uuid4().hex[:8]}/"
        arrived = [
            Arrived(ref, tip, here.get(ref), f"{token}{number}") for number, (ref, tip) in enumerate(wanted.items())
        ]
        before = all_packs(repository)
        # A pack that git does not count: else its own gc would soon go through all runs.
        refs = {one.ref: one.place for one in arrived}
        if summaries:
            with filtering(repository, remote):
                fetch_refs(repository, remote, refs, "--keep", FILTER)
                ledgers = [one.there for one in arrived if one.ref.startswith(layout.LEDGERS)]
                prefetch_lines(repository, remote, ledgers)
        else:
            fetch_refs(repository, remote, refs, "--keep")
        adopt(repository, before)
        fetched = repository.list_refs(token)
        arrived = [one._replace(there=fetched[one.place]) for one in arrived if one.place in fetched]
        try:
            taken = _merge(repository, writer, author, arrived, known)
            taken.refused.update(refused)
            return taken
        except RefConflict:
            if tries + 1 == _TRIES:
                raise
        finally:
            left = repository.list_refs(token)
            change_refs(repository, [RefChange(ref, None, tip) for ref, tip in left.items()])
    raise RefConflict("refs change faster than they can be fetched; try again")


def _clean(repository: Repository) -> None:
    """Refs that a killed fetch left."""
    stale = [
        RefChange(ref, None, tip) for ref, tip in repository.list_refs(layout.INCOMING).items() if not _is_at_work(ref)
    ]
    if stale:
        change_refs(repository, stale)


def _is_at_work(ref: str) -> bool:
    return process_lives(ref[len(layout.INCOMING) :])


def process_lives(token: str) -> bool:
    """Whether the process whose number a name of ours begins with is there, and is another one than this."""
    pid = token.partition("-")[0]
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return int(pid) != os.getpid()


def _misplaced(there: Iterable[str]) -> dict[str, str]:
    """Refs that nobody's gittrack makes, and that could lie in the way of others here."""
    found = {}
    for ref in there:
        named = layout.parse_run_ref(ref)
        if ref.startswith(layout.LEDGERS):
            if not is_writer(ref[len(layout.LEDGERS) :]) and not ref.startswith(layout.PART):
                found[ref] = "no ledger can have that name; whoever keeps the remote may take it away"
        elif named is not None:
            try:
                check_experiment(named[0])
            except InvalidName as error:
                found[ref] = f"{error}; whoever keeps the remote may take it away"
    return found


def _wanted(
    repository: Repository, here: Mapping[str, str], there: Mapping[str, str], own: str, known: Known
) -> dict[str, str]:
    """Refs of the remote that may bring something."""
    wanted = {}
    runs = {}
    for ref, tip in there.items():
        if here.get(ref) == tip:
            continue
        if ref.startswith(layout.LEDGERS):
            held = here.get(ref)
            # Our own is nearly always behind there, and another's may be, where a remote was restored.
            if ref != own or held is None or not page_ids(repository, held, {tip})[1]:
                wanted[ref] = tip
        elif layout.parse_run_ref(ref) is not None:
            runs[ref] = tip
    familiar = known(set(runs.values()))
    runs = {ref: tip for ref, tip in runs.items() if tip not in familiar}
    if runs:
        # Those that were purged would come again and again.
        gone = purged_runs(repository)
        wanted.update({ref: tip for ref, tip in runs.items() if ref[-ID_LENGTH:] not in gone})
    return wanted


def _merge(
    repository: Repository, writer: Writer, author: Signature, arrived: Sequence[Arrived], known: Known
) -> Taken:
    taken = Taken()
    own = layout.LEDGERS + writer.name
    for one in arrived:
        if one.ref == own:
            # First of all: what others have lost goes on top of it.
            writer, taken.note = _take_own(repository, writer, author, one, taken)
    changes: list[RefChange] = []
    adopted: list[Member] = []
    purges: list[Purge] = []
    gone: set[str] | None = None
    for one in arrived:
        try:
            if one.ref == own:
                continue
            if one.ref.startswith(layout.PART):
                gone = purged_runs(repository) if gone is None else gone
                members = all_members(repository, one.there)
                familiar = known(members)
                adopted += _without(repository, [commit for commit in members if commit not in familiar], gone)
            elif one.ref.startswith(layout.LEDGERS):
                lost, unsaid = _take_ledger(repository, one, changes)
                purges += unsaid
                if lost:
                    gone = purged_runs(repository) if gone is None else gone
                    adopted += _without(repository, lost, gone | purges_of(repository, one.there).keys())
            else:
                gone = purged_runs(repository) if gone is None else gone
                adopted += _take_run(repository, one, changes, gone)
        except (CorruptRecord, GitFailed) as error:
            taken.refused[one.ref] = str(error)
    if adopted or purges:
        # Before the ledgers move: nothing is out of reach at any time.
        fold(repository, writer.name, author, extra=adopted, purges=purges)
    if changes:
        change_refs(repository, changes, "gittrack: fetch")
    taken.moved = (*taken.moved, *(change.name for change in changes))
    return taken


def _take_own(
    repository: Repository, writer: Writer, author: Signature, one: Arrived, taken: Taken
) -> tuple[Writer, str]:
    """Our ledger has pages there that are not here: this clone was restored, or another one writes under its name."""
    first = next(iter(read_pages(repository, [one.there])))
    if isinstance(first, tuple):
        taken.refused[one.ref] = f"it is no ledger ({first[1]})"
        return writer, ""
    try:
        writer, note = follow(repository, writer, author, one.here, one.there)
    except PurgeNotPushed as error:
        return writer, str(error)
    taken.moved = (one.ref,)
    return writer, note


def _take_ledger(repository: Repository, one: Arrived, changes: list[RefChange]) -> tuple[list[str], list[Purge]]:
    """Move a ledger to what the remote has; returns members and purges that would get lost.

    Raises CorruptRecord for what is no ledger.
    """
    first = next(iter(read_pages(repository, [one.there])))
    if isinstance(first, tuple):
        raise CorruptRecord(f"it is no ledger ({first[1]})")
    name = one.ref[len(layout.LEDGERS) :]
    tracked = {
        ref: tip
        for ref, tip in repository.list_refs(layout.TRACKED).items()
        if ref.rpartition("/")[2] == name and not page_ids(repository, one.there, {tip})[1]
    }
    rewritten = [tip for tip in tracked.values() if not page_ids(repository, tip, {one.there})[1]]
    # That it went on is nearly always so, and found at once; the other way round goes through all pages to say no.
    if one.here is not None and not page_ids(repository, one.there, {one.here})[1]:
        if page_ids(repository, one.here, {one.there})[1]:
            return [], []
        rewritten.append(one.here)
    changes.append(RefChange(one.ref, one.there, one.here))
    if not rewritten:
        return [], []
    # It was written anew there: by a purge, or by another clone of the same name. Plain `git fetch` does not replace what it
    # has of the old one, and would complain each time.
    changes += [RefChange(ref, None, tip) for ref, tip in tracked.items()]
    kept = all_members(repository, one.there)
    lost = [commit for tip in rewritten for commit in all_members(repository, tip) if commit not in kept]
    said = purges_of(repository, one.there)
    unsaid = {run: one for tip in rewritten for run, one in purges_of(repository, tip).items() if run not in said}
    return lost, list(unsaid.values())


def _without(repository: Repository, commits: Iterable[str], purged: Collection[str]) -> list[Member]:
    found = []
    for line in read_members(repository, commits):
        if isinstance(line, Damage):
            continue
        if line.run not in purged:
            found.append(Member(line.commit, line.raw))
    return found


def _take_run(repository: Repository, one: Arrived, changes: list[RefChange], purged: Collection[str]) -> list[Member]:
    """Move a run's own ref; returns what has to go into our ledger, since the run was changed on both sides."""
    named = layout.parse_run_ref(one.ref)
    assert named is not None
    if named[1] in purged:
        return []
    if one.here is not None and _is_ancestor(repository, one.there, one.here):
        return []
    found = next(iter(read_lines(repository, {named[1]: [one.there]})))
    if isinstance(found, Damage):
        raise CorruptRecord(found.reason)
    if one.here is None or _is_ancestor(repository, one.here, one.there):
        changes.append(RefChange(one.ref, one.there, one.here))
        return []
    return [Member(line.commit, line.raw) for line in (found.origin, *found.amendments)]


def _is_ancestor(repository: Repository, older: str, newer: str) -> bool:
    return repository.run("merge-base", "--is-ancestor", older, newer, check=False).returncode == 0
