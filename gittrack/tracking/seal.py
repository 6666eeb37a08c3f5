"""An active run becomes a commit: the one path of finish, recover and resume."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from gittrack.domain.pointer import Pointer
from gittrack.domain.run import RunRecord, Status
from gittrack.errors import AlreadyRecorded, CorruptRecord, GittrackError, RunBusy
from gittrack.git.objects import Signature
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.files import run_files
from gittrack.ledger.pack import count_up
from gittrack.ledger.read import read_files, read_histories, read_record
from gittrack.ledger.write import write_run
from gittrack.live.folder import RunFolder
from gittrack.live.owner import Liveness
from gittrack.live.replay import Replay
from gittrack.registry.wishes import Wish, Wishes
from gittrack.settings import load_settings
from gittrack.tracking.assemble import Assembled, Base, assemble, base_commit, code_to_event, consumed_commits

_log = logging.getLogger(__name__)

# What a run keeps of its console, in bytes: git hosts advise against larger files. More is cut in the middle.
CONSOLE_LIMIT = 1_000_000
# What a stretch that was recorded late shares with the run it belongs to.
_SAME = ("id", "name", "experiment", "script", "cwd", "author", "host", "parent")


def seal(repository: Repository, folder: RunFolder, *, unless_alive: bool = False) -> str | None:
    """Write the run and clear its folder away; None when another process did so just before.

    `unless_alive`: not when somebody has begun to write it by now, which is RunBusy too.

    Every step can be repeated: until the ref is there nothing is visible, and from then on only the folder is left to remove. Raises
    RunBusy while another process is at it, GittrackError or OSError when the world does not allow it.
    """
    with folder.locked():
        if not folder.exists():
            return None
        if unless_alive and folder.liveness() is Liveness.ALIVE:
            raise RunBusy(f"run {folder.run_id} is active again")
        recorded = folder.marked()
        sizes = folder.sizes()
        replayed = folder.replay()
        run = _understood(repository, folder, replayed)
        # Should we die between making the commit visible and clearing the folder away, this tells what it holds.
        with contextlib.suppress(OSError):
            folder.mark(sizes)
        try:
            commit = _write(repository, folder, run, replayed.events)
        except AlreadyRecorded as there:
            with contextlib.suppress(OSError):
                folder.mark(recorded)
            same = abs(there.ended - run.record.ended) <= 0.001
            commit = there.commit if same and not recorded else _write_rest(repository, folder, there.commit, recorded)
        wishes = _wishes(run.record.id, replayed.events) if run.record.status is Status.FINISHED else []
        if wishes:
            Wishes(repository).add(wishes)
        folder.remove()
        count_up(repository)
        return commit


def _wishes(run: str, events: list[dict[str, Any]]) -> list[Wish]:
    """What the run wants to be registered; of one artifact the last word counts."""
    found = {}
    for event in events:
        if event["op"] == "register":
            details = event.get("details")
            one = Wish(run, str(event["model"]), str(event["artifact"]), details if isinstance(details, dict) else {})
            found[one.model, one.artifact] = one
    return list(found.values())


def seal_left_over(repository: Repository, folder: RunFolder, commit: str) -> str | None:
    """The part of a run's folder that lay elsewhere when the run was recorded as `commit`: what it holds is kept."""
    with folder.locked():
        if not folder.exists():
            return None
        found = _write_rest(repository, folder, commit, folder.marked())
        folder.remove()
        return found


def _understood(repository: Repository, folder: RunFolder, replayed: Replay) -> Assembled:
    try:
        base = _base(repository, base_commit(replayed.events))
        return assemble(replayed, last_write=folder.last_write(), base=base)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptRecord(
            f"the journal of run {folder.run_id} in {folder.path} cannot be understood ({type(error).__name__}: {error}); "
            "a newer gittrack may have written it"
        ) from error


def _write(repository: Repository, folder: RunFolder, run: Assembled, events: list[dict[str, Any]]) -> str:
    with contextlib.ExitStack() as held:
        files = run_files(
            run.record,
            run.environment,
            run.histories,
            console=_console(repository, folder, run.base),
            artifacts=_artifacts(repository, folder, run),
            outside=lambda path, data: _outside(repository, held, path, data),
        )
        return write_run(
            repository,
            run.record,
            files,
            author=_author(run.record.author, events),
            consumed=_consumed(repository, run.record),
            base=run.head,
            said=run.said,
        )


def _outside(repository: Repository, held: contextlib.ExitStack, path: str, data: bytes) -> Pointer | None:
    """Keep a large file in the store, where no gc takes it before the run names it; None where there is no store to write."""
    from gittrack.pointers.lock import naming
    from gittrack.pointers.store import Store

    try:
        store = Store.of(repository.common_dir, repository.root)
        named = held.enter_context(naming(repository.home))
        return store.add_bytes(data, fresh=not named)
    except (GittrackError, OSError) as error:
        _log.debug("%s goes into git whole: %s", path, error)
        return None


def _consumed(repository: Repository, record: RunRecord) -> tuple[str, ...]:
    """The runs whose artifacts were used, as parents; one that has gone since then is named in the record alone."""
    commits = consumed_commits(record)
    if not commits:
        return ()
    return tuple(name for name, kind, _ in repository.read_objects(commits) if kind == "commit")


def _write_rest(repository: Repository, folder: RunFolder, commit: str, recorded: Mapping[str, int]) -> str:
    """What came after the run was recorded (a forked child, a rank that was late) becomes its next attempt."""
    rest = folder.replay(recorded)
    events = [event for event in rest.events if event["op"] not in {"start", "end", "leave", "environment"}]
    if not events and not any(map(len, rest.histories.values())):
        return commit
    base = _base(repository, commit)
    assert base is not None
    times = [event.get("time", 0.0) for event in events] + [one.times[0] for one in rest.histories.values() if len(one)]
    ends = [event.get("time", 0.0) for event in events] + [one.times[-1] for one in rest.histories.values() if len(one)]
    number = len(base.record.attempts) + 1
    before = base.record
    start = {
        "op": "start",
        "time": min(times),
        "attempt": number,
        "base": commit,
        "code": code_to_event(before.code),
        "command": list(before.command),
        "job": dict(before.job),
        **{name: getattr(before, name) for name in _SAME},
    }
    end = {"op": "end", "time": max(ends), "attempt": number, "status": str(before.status), "error": None}
    whole = Replay([start, *events, end], rest.histories)
    return _write(repository, folder, assemble(whole, last_write=max(ends), base=base), whole.events)


def _base(repository: Repository, commit: str | None) -> Base | None:
    if commit is None:
        return None
    record = read_record(repository, commit)
    return Base(record, read_histories(repository, record, commit, fetch=partial(fetch_large, repository)))


def fetch_large(repository: Repository, pointer: Pointer) -> bytes:
    """What a run keeps of itself outside git, from the remote where it is not here; raises GittrackError, OSError."""
    from gittrack.pointers.store import Store

    store = Store.of(repository.common_dir, repository.root)
    if store.find(pointer.oid) is None and repository.root is not None:
        from gittrack.pointers.remote import open_remote
        from gittrack.pointers.transfer import pull

        name = load_settings(repository, os.environ).artifacts.remote
        pull(store, open_remote(repository.root, name, common_dir=repository.common_dir), [pointer.oid])
    return store.read(pointer.oid)


def _author(identity: str, events: list[dict[str, Any]]) -> Signature:
    zone = next((event.get("zone") for event in events if event["op"] == "start"), 0)
    return Signature(identity, 0, zone if isinstance(zone, int) else 0)


def _artifacts(repository: Repository, folder: RunFolder, run: Assembled) -> dict[str, bytes]:
    """The content of every artifact: spooled ones from the folder, older ones from the commit that is continued."""
    found: dict[str, bytes] = {}
    if run.older and run.base is not None:
        names = {path: f"{layout.ARTIFACTS}/{before}" for path, before in run.older.items()}
        there = read_files(repository, run.base, names.values())
        for path, name in names.items():
            data = there.get(name)
            if data is None:
                raise CorruptRecord(f"artifact {path!r} is missing from commit {run.base}; run 'git fsck'")
            found[path] = data
    for path, digest in run.spooled.items():
        try:
            found[path] = (folder.files / digest).read_bytes()
        except FileNotFoundError:
            raise CorruptRecord(
                f"artifact {path!r} is missing from {folder.files}; put it back, then run 'gittrack recover'"
            ) from None
    return found


def _console(repository: Repository, folder: RunFolder, base: str | None) -> bytes:
    from gittrack.capture.console import clean, read_console
    from gittrack.capture.secrets import mask_text

    text = ""
    if base is not None:
        before = read_files(repository, base, [layout.CONSOLE]).get(layout.CONSOLE)
        text = before.decode("utf-8", "replace") if before else ""
    raw = b""
    with contextlib.suppress(OSError):
        raw = read_console(Path(folder.path))
    if raw:
        text += mask_text(clean(raw))
    data = text.encode("utf-8")
    if len(data) <= CONSOLE_LIMIT:
        return data
    half = CONSOLE_LIMIT // 2 - 50
    head, tail = (part.decode("utf-8", "ignore").encode() for part in (data[:half], data[-half:]))
    return b"%s\n... %s bytes left out ...\n%s" % (head, f"{len(data) - len(head) - len(tail):,}".encode(), tail)
