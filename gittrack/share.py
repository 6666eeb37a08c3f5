"""Sharing runs through a git remote, and their data through a DVC remote."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from gittrack.data.depot import Came, Depot
from gittrack.data.needed import Needed, needed_objects
from gittrack.domain.run import RunState
from gittrack.errors import GittrackError, RemoteUnusable
from gittrack.git.objects import Signature
from gittrack.git.remote import choose_remote, list_remote, push_refs
from gittrack.git.repository import Repository
from gittrack.index.index import Index
from gittrack.ledger import layout
from gittrack.ledger.chain import ledger_tips
from gittrack.ledger.incoming import take_in
from gittrack.ledger.notes import Note, Relay
from gittrack.ledger.outgoing import Outgoing, Sent, prepare, send, send_all_ledgers, send_alone
from gittrack.ledger.pack import after_fetch
from gittrack.ledger.purged import purged_runs
from gittrack.ledger.writer import Writer
from gittrack.pointers.released import Released
from gittrack.values import dataclass, field, replace

if TYPE_CHECKING:
    from gittrack.registry.event import Event
    from gittrack.registry.sync import Synced

_RECENT = 200
_LET_GO = "'gittrack gc' let it go here, and the remote does not have it"
_TRIES = 10
_TAGS, _SEQUENCE = "refs/tags/", "refs/gittrack/seq/"


class Named(NamedTuple):
    """A run that moved."""

    id: str
    experiment: str


@dataclass(frozen=True, slots=True)
class Shared:
    """What moved: runs, objects and their bytes, `models`' changes; `refused` refs and `absent` data, each with the reason.

    `lost` are changes of models that this clone made, and somebody else was faster.
    """

    remote: str
    runs: tuple[Named, ...] = ()
    models: tuple[Event, ...] = ()
    lost: tuple[Event, ...] = ()
    objects: int = 0
    bytes: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    held_back: int = 0
    note: str = ""

    @property
    def complete(self) -> bool:
        return not (self.refused or self.absent or self.lost)


@dataclass(frozen=True, slots=True)
class Clone:
    """This clone, as sharing sees it; `look` brings the index up to date."""

    repository: Repository
    depot: Depot
    look: Callable[[], Index]
    writer: Writer
    author: Signature


def push(
    clone: Clone,
    remote: str | None = None,
    *,
    data: bool = True,
    all_data: bool = False,
    only: Callable[[RunState], bool] | None = None,
) -> Shared:
    """Runs that the remote lacks, after their data: who sees a run can have its data.

    A run whose data could not be sent stays back, and the next push tries again. `all_data` looks after the data of all
    runs, not only of these. With `only`, runs go to refs of their own, since the ledger takes all of them. Raises RemoteUnusable
    when there are data and no place for them, GitFailed when the git remote does not answer.
    """
    repository = clone.repository
    name = choose_remote(repository, remote)
    outgoing = prepare(repository, name, clone.writer, clone.author)
    index = clone.look()
    unsent = Unsent(repository)
    ids = [*outgoing.runs, *(run for run in unsent.noted if run not in outgoing.runs)]
    if all_data:
        ids = [state.id for state in index.select(deleted=True)]
    states = {state.id: state for state in index.states(ids) if state.commit is not None}
    if only is not None:
        states = {run: state for run, state in states.items() if only(state)}
    objects = bytes_ = 0
    absent: dict[str, str] = {}
    back: set[str] = set()
    if data:
        needed = _for_push(clone.depot, needed_objects(repository, states.values()), outgoing.runs.keys())
        if needed:
            objects, bytes_, absent, back = _send(clone.depot, needed)
        unsent.note(back, done=states.keys() - back)
    else:
        unsent.note(run for run in states if run in outgoing.runs)
    going = [run for run in states if run in outgoing.runs]
    notes = [outgoing.note]
    if only is None:
        sent, note = _send_ledger(clone, name, outgoing, back)
        notes.append(note)
        passed, refused = _pass_on(repository, name)
        notes.append(passed)
        sent = replace(sent, refused={**sent.refused, **refused})
    else:
        heads = {layout.run_ref(states[run].experiment, run): str(states[run].head) for run in going if run not in back}
        there = list_remote(repository, name, f"{layout.RUNS}*") if heads else {}
        heads = {ref: head for ref, head in heads.items() if there.get(ref) != head}
        sent = send_alone(repository, name, heads)
    arrived = set(sent.runs)
    # After the runs and their data: who sees a version can have all of it.
    models = _push_models(repository, name) if only is None else None
    return Shared(
        name,
        tuple(Named(run, states[run].experiment) for run in going if run in arrived),
        () if models is None else tuple(models.events),
        () if models is None else tuple(models.lost),
        objects,
        bytes_,
        sent.refused if models is None else {**sent.refused, **models.refused},
        absent,
        len(back & outgoing.runs.keys()),
        "; ".join(filter(None, dict.fromkeys(notes))),
    )


def _push_models(repository: Repository, remote: str) -> Synced | None:
    if not any(not ref.startswith(_TAGS) or "@" in ref or "#" in ref for ref in repository.list_refs(_TAGS, _SEQUENCE)):
        # The usual push, and one of eight at once: it need not know what a model is.
        return None
    from gittrack.registry.sync import push_registry

    return push_registry(repository, remote)


def _send_ledger(clone: Clone, remote: str, outgoing: Outgoing, hold: Collection[str]) -> tuple[Sent, str]:
    """Once more where somebody who shares this writer's name came first; with what is to be said of that."""
    ready = outgoing.runs.keys()
    for tries in range(_TRIES):
        sent = send(clone.repository, outgoing, clone.author, hold=hold)
        there = list_remote(clone.repository, remote, outgoing.ref).get(outgoing.ref) if sent.refused else outgoing.base
        if there == outgoing.base:
            break
        time.sleep(random.uniform(0, 0.1) * (tries + 1))
        outgoing = prepare(clone.repository, remote, outgoing.writer, clone.author)
        # What ended meanwhile has its data here alone: the next push takes it.
        hold = {*hold, *(outgoing.runs.keys() - ready)}
    return sent, outgoing.note


def push_all_ledgers(clone: Clone, remote: str | None = None) -> Shared:
    """Every ledger that is here, whoever wrote it: for a new host."""
    name = choose_remote(clone.repository, remote)
    prepare(clone.repository, name, clone.writer, clone.author)
    sent = send_all_ledgers(clone.repository, name)
    count = len(sent.runs)
    note = f"{count:,} {'ledger' if count == 1 else 'ledgers'} went" if count else "every ledger is there already"
    if sent.refused and not count:
        note = ""
    return Shared(name, refused=sent.refused, note=note)


def _send(depot: Depot, needed: Sequence[Needed]) -> tuple[int, int, dict[str, str], set[str]]:
    try:
        remote = depot.remote()
    except RemoteUnusable as error:
        runs = len({one.run.id for one in needed})
        raise RemoteUnusable(
            f"the data of {runs:,} {'run' if runs == 1 else 'runs'} cannot be pushed: {error}; or push without data (--no-data)"
        ) from None
    from gittrack.pointers.transfer import MISSING

    done = depot.send([one.pointer for one in needed], remote)
    released = Released(depot.repository.home).all()
    absent: dict[str, str] = {}
    back: set[str] = set()
    if done.failed:
        for one in needed:
            # Of a folder whose list is not here the list alone: where the remote has that, it has its files.
            objects, _ = depot.objects([one.pointer])
            failed = next((oid for oid in objects if oid in done.failed), None)
            if failed is not None:
                gone = failed in released and done.failed[failed] == MISSING
                absent[str(one)] = _LET_GO if gone else done.failed[failed]
                back.add(one.run.id)
    return done.done, done.bytes, absent, back


def fetch(
    clone: Clone,
    remote: str | None = None,
    *,
    data: bool = True,
    everything: bool = False,
    released: bool = False,
    only: Callable[[RunState], bool] | None = None,
    summaries: bool = False,
) -> Shared:
    """Runs that are new on the remote, and their data; `everything`: the data of all other runs too, where they lack any.

    `released`: also what `gc` let go here, where the DVC remote has it. `only` chooses runs whose data are to come; the runs
    themselves come all, for a ledger is one thing. `summaries`: of the runs only what tables show; the rest comes when it is read.
    """
    from gittrack.registry.sync import fetch_registry

    repository = clone.repository
    name = choose_remote(repository, remote)
    index = clone.look()
    before = index.mark()
    purged = set(purged_runs(repository))
    taken = take_in(repository, name, clone.writer, clone.author, index.known_commits, summaries=summaries)
    models = fetch_registry(repository, name)
    vanished = sum(1 for _ in index.states(purged_runs(repository) - purged))
    after_fetch(repository)
    index = clone.look()
    arrived = [Named(*one) for one in index.since(before)]
    came = Came()
    absent: dict[str, str] = {}
    notes = [taken.note]
    if vanished:
        runs = "1 run is" if vanished == 1 else f"{vanished:,} runs are"
        notes.append(f"{runs} no more here: somebody deleted them for good")
    if data:
        ids = [one.id for one in arrived]
        if everything or released:
            ids = [state.id for state in index.select(deleted=True)]
        states = (state for state in index.states(ids) if state.commit is not None and (only is None or only(state)))
        wanted, let_go = _wanted(clone.depot, needed_objects(repository, states))
        came, absent = _bring(clone.depot, wanted)
        if not (everything or released or only):
            notes.append(_lacking(clone.depot, name, index, {one.id for one in arrived}))
        if released and let_go:
            back, lost, gone = _bring_back(clone.depot, let_go)
            came, absent = came.and_more(back), {**absent, **lost}
            notes.append(gone)
    return Shared(
        name,
        tuple(arrived),
        tuple(models.events),
        tuple(models.lost),
        came.objects,
        came.bytes,
        {**taken.refused, **models.refused},
        absent,
        note="; ".join(filter(None, notes)),
    )


def _bring(depot: Depot, missing: Sequence[Needed]) -> tuple[Came, dict[str, str]]:
    """All at once; only where that fails one by one, to tell whose data could not be had."""
    before = [one for one in missing if not depot.here(one.pointer)]
    try:
        return depot.bring([one.pointer for one in before], what="data of runs"), {}
    except GittrackError:
        pass
    silence = depot.ask(one.pointer.oid for one in before).silence
    if silence:
        # One cause for all, so that nobody is asked for each.
        return Came(), {str(one): silence for one in before}
    came = Came()
    absent: dict[str, str] = {}
    for one in before:
        try:
            came = came.and_more(depot.bring([one.pointer], what=one.called))
        except GittrackError as error:
            absent[str(one)] = str(error)
    return came, absent


def _lacking(depot: Depot, remote: str, index: Index, arrived: Collection[str]) -> str:
    """That older runs lack data, which a fetch does not bring; only the newest are looked at, for there may be many."""
    if depot.repository.setting(f"remote.{remote}.promisor"):
        # The records themselves are not here, and to look into them would fetch them.
        return ""
    older = [one for one in index.select(limit=_RECENT) if one.commit is not None and one.id not in arrived]
    wanted, _ = _wanted(depot, needed_objects(depot.repository, older))
    runs = len({one.run.id for one in wanted if not depot.here(one.pointer)})
    return (
        f"data of {runs:,} older {'run is' if runs == 1 else 'runs are'} not here; 'gittrack pull' gets them"
        if runs
        else ""
    )


def _bring_back(depot: Depot, released: Sequence[Needed]) -> tuple[Came, dict[str, str], str]:
    """What `gc` let go, as far as the remote has it; with what to say of the rest, which nobody can bring."""
    there = depot.ask(one.pointer.oid for one in released)
    if there.silence:
        return Came(), {str(one): there.silence for one in released}, ""
    came, absent = _bring(depot, [one for one in released if one.pointer.oid in there.sizes])
    gone = sum(one.pointer.oid not in there.sizes for one in released)
    note = f"of what 'gittrack gc' let go, {gone:,} {'file or folder is' if gone == 1 else 'files or folders are'} on no remote"
    return came, absent, note if gone else ""


def _for_push(depot: Depot, needed: Iterable[Needed], outgoing: Collection[str]) -> list[Needed]:
    """What is to be on the remote: of runs that nobody has yet everything, also what was let go here."""
    needed = list(needed)
    fresh = [one for one in needed if one.run.id in outgoing]
    return fresh + _wanted(depot, [one for one in needed if one.run.id not in outgoing])[0]


def _wanted(depot: Depot, needed: Iterable[Needed]) -> tuple[list[Needed], list[Needed]]:
    """What is to be here; and what was let go here on purpose and has not come back, which is missing to nobody."""
    released = Released(depot.repository.home).all()
    wanted: list[Needed] = []
    let_go: list[Needed] = []
    for one in needed:
        (let_go if one.pointer.oid in released and not depot.here(one.pointer) else wanted).append(one)
    return wanted, let_go


class Unsent(Note):
    """Runs that were shared, or came, without a push of their data: a later one sends those too."""

    name = "unsent"


def _pass_on(repository: Repository, remote: str) -> tuple[str, dict[str, str]]:
    """Push ledgers that came by hand; returns what to say of it, and what was refused."""
    relay = Relay(repository)
    if not relay.noted:
        return "", {}
    tips = ledger_tips(repository)
    refs = {layout.LEDGERS + writer: tips[writer] for writer in relay.noted if writer in tips}
    there = list_remote(repository, remote, f"{layout.LEDGERS}*")
    done = push_refs(repository, remote, {ref: tip for ref, tip in refs.items() if there.get(ref) != tip})
    # Where the remote has another version, its writer has been there, and a fetch takes in what that lacks.
    refused = {ref: why for ref, why in done.refused.items() if ref not in there}
    relay.note(done=[writer for writer in relay.noted if layout.LEDGERS + writer not in refused])
    passed = len(done.done)
    note = f"passed on {passed:,} {'ledger' if passed == 1 else 'ledgers'} that nobody had pushed" if passed else ""
    return note, refused
