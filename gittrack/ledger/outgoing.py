"""Runs to another repository: this clone's ledger, fast-forward only, so that a push meets nobody."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from gittrack.errors import RefConflict
from gittrack.git.objects import ObjectBatch, Signature, publish
from gittrack.git.refs import RefChange
from gittrack.git.remote import list_remote, push_refs
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.chain import PageContent, ledger_tips, page_ids, read_pages
from gittrack.ledger.fold import fold
from gittrack.ledger.follow import fetched, follow, read_page_members
from gittrack.ledger.page import Member, write_pages
from gittrack.ledger.read import Damage
from gittrack.ledger.writer import Writer, is_writer
from gittrack.values import dataclass, field

_TRIES = 5


@dataclass(slots=True)
class Outgoing:
    """What the remote lacks of this clone's ledger: runs by their commits, in order; `base` is what it has already."""

    remote: str
    writer: Writer
    tip: str | None
    base: str | None
    members: tuple[Member, ...] = ()
    runs: dict[str, list[str]] = field(default_factory=dict)
    damaged: tuple[Damage, ...] = ()
    note: str = ""

    @property
    def ref(self) -> str:
        return layout.LEDGERS + self.writer.name


def prepare(repository: Repository, remote: str, writer: Writer, author: Signature) -> Outgoing:
    """Fold, and see what the remote lacks; raises GitFailed when it does not answer.

    A remote that has more of this ledger than we do, or another one of its name, makes us follow it first: see `follow`.
    """
    note = ""
    for _ in range(_TRIES):
        folded = fold(repository, writer.name, author)
        there = list_remote(repository, remote, folded.ledger).get(folded.ledger)
        if folded.tip is None and there is None:
            return Outgoing(remote, writer, None, None, damaged=folded.damaged)
        if folded.tip is not None:
            pages, found = page_ids(repository, folded.tip, {there} if there else ())
            if there is None or found:
                members = tuple(read_page_members(repository, pages))
                return Outgoing(remote, writer, folded.tip, there, members, _runs(members), folded.damaged, note)
        assert there is not None
        writer, note = _reconcile(repository, remote, writer, author, folded.tip)
    raise RefConflict(
        f"the ledger {writer.name} changes on {remote} faster than it can be followed; let each clone have a writer of its own"
    )


def _runs(members: Iterable[Member]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in members:
        found.setdefault(one.run, []).append(one.commit)
    return found


def _reconcile(
    repository: Repository, remote: str, writer: Writer, author: Signature, tip: str | None
) -> tuple[Writer, str]:
    with fetched(repository, remote, layout.LEDGERS + writer.name) as there:
        return follow(repository, writer, author, tip, there)


# --- sending


@dataclass(frozen=True, slots=True)
class Sent:
    """Runs that arrived, and refs that were refused, each with its words."""

    runs: tuple[str, ...]
    refused: Mapping[str, str]


def send(repository: Repository, outgoing: Outgoing, author: Signature, *, hold: Collection[str] = ()) -> Sent:
    """Push the ledger, without the runs to `hold`, which stay in it here; raises GitFailed when nothing could be said at all."""
    tip = outgoing.tip
    if tip is None or tip == outgoing.base:
        return Sent((), {})
    held = {commit for run in hold for commit in outgoing.runs.get(run, ())}
    if held:
        tip = _put_back(repository, outgoing, held, author)
        if tip is None or tip == outgoing.base:
            return Sent((), {})
    done = push_refs(repository, outgoing.remote, {outgoing.ref: tip})
    arrived = tuple(run for run in outgoing.runs if run not in hold) if outgoing.ref in done.done else ()
    return Sent(arrived, done.refused)


def _put_back(repository: Repository, outgoing: Outgoing, held: Collection[str], author: Signature) -> str | None:
    """Pages that nobody has yet are made anew with the held members last; returns the newest page without any of them."""
    batch = ObjectBatch(repository)
    name = outgoing.writer.name
    going = [one for one in outgoing.members if one.commit not in held]
    ready = write_pages(batch, name, outgoing.base, going, author) if going else outgoing.base
    staying = [one for one in outgoing.members if one.commit in held]
    new = write_pages(batch, name, ready, staying, author)
    publish(repository, batch, [RefChange(outgoing.ref, new, outgoing.tip)], "gittrack: hold runs back")
    return ready


def send_alone(repository: Repository, remote: str, heads: Mapping[str, str]) -> Sent:
    """Single runs, each to a ref of its own: for who shares only a part of what the ledger has. `heads` by ref."""
    done = push_refs(repository, remote, heads)
    named = [layout.parse_run_ref(ref) for ref in done.done]
    return Sent(tuple(one[1] for one in named if one is not None), done.refused)


def send_all_ledgers(repository: Repository, remote: str) -> Sent:
    """Every ledger that is here, for a new host or a mirror; one that is further on there stays."""
    refs = {layout.LEDGERS + writer: tip for writer, tip in ledger_tips(repository).items() if is_writer(writer)}
    pages = {ref: next(iter(read_pages(repository, [tip]))) for ref, tip in refs.items()}
    refs = {ref: tip for ref, tip in refs.items() if isinstance(pages[ref], PageContent)}
    there = list_remote(repository, remote, f"{layout.LEDGERS}*")
    done = push_refs(repository, remote, {ref: tip for ref, tip in refs.items() if there.get(ref) != tip})
    return Sent(done.done, done.refused)
