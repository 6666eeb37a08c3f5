"""Runs whose process vanished become commits, with all that they had logged."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Collection
from pathlib import Path

from gittrack.domain.codec import param_from_json
from gittrack.domain.run import RunState, Status
from gittrack.errors import CorruptRecord, GittrackError, RunBusy
from gittrack.git.refs import RefChange, change_refs
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.find import find_chain
from gittrack.live.folder import RunFolder
from gittrack.live.owner import Liveness
from gittrack.live.tail import peek
from gittrack.tracking.assemble import code_from_event
from gittrack.tracking.places import all_folders
from gittrack.tracking.seal import seal, seal_left_over
from gittrack.tracking.slots import sweep_slots
from gittrack.values import dataclass

# A run that is just starting has no owner yet for a moment.
_STARTING = 30.0


@dataclass(frozen=True, slots=True)
class Recovered:
    """What became of one run folder: its commit, or the problem that keeps it from becoming one."""

    run_id: str
    folder: Path
    commit: str | None = None
    problem: str | None = None


def recover(repository: Repository, force: Collection[str] = ()) -> list[Recovered]:
    """Record every run whose writers are dead; `force` names ids whose writers cannot be seen from here.

    Quick when there is nothing to do, and safe to repeat and to run at the same time as others.
    """
    found = []
    for folder in all_folders(repository):
        try:
            state = folder.liveness()
            if state is Liveness.ALIVE or (state is Liveness.UNKNOWN and folder.run_id not in force):
                continue
            if not folder.owners() and _just_starting(folder):
                continue
            found.append(Recovered(folder.run_id, folder.path, commit=_recover_one(repository, folder)))
        except RunBusy:
            continue
        except FileNotFoundError:
            continue
        except OSError as error:
            reason = f"{error.filename or folder.path} cannot be written or read ({error.strerror}); mend that"
            found.append(Recovered(folder.run_id, folder.path, problem=f"{reason}, then run 'gittrack recover'"))
        except GittrackError as error:
            found.append(Recovered(folder.run_id, folder.path, problem=str(error)))
        except Exception as error:
            # Whatever is wrong with one folder, the others are still to be recorded, and reading goes on.
            problem = f"{folder.path} cannot be recorded ({type(error).__name__}: {error}); it is kept as it is"
            found.append(Recovered(folder.run_id, folder.path, problem=problem))
    _release_kept(repository)
    sweep_slots(repository, os.environ)
    return [one for one in found if one.commit or one.problem]


def _recover_one(repository: Repository, folder: RunFolder) -> str | None:
    try:
        return seal(repository, folder, unless_alive=True)
    except CorruptRecord:
        if _is_empty(folder):
            folder.remove()
            return None
        chain = None if _says_what_it_is(folder) else find_chain(repository, folder.run_id)
        if chain is None or chain.state.commit is None:
            raise
        return seal_left_over(repository, folder, chain.state.commit)


def _is_empty(folder: RunFolder) -> bool:
    """It died before it wrote a single record: nothing was acknowledged, nothing is lost."""
    return all(path.stat().st_size == 0 for path in folder.journals()) and not folder.replay().events


def _says_what_it_is(folder: RunFolder) -> bool:
    """False for the spare part of a run of which a crash, or a late writer, left only that."""
    return any(event["op"] == "start" for event in folder.replay().events)


def _just_starting(folder: RunFolder) -> bool:
    # The folder's own time too: its first file may not be there yet.
    young = time.time() - max(folder.last_write(), folder.path.stat().st_mtime) < _STARTING
    return young and not folder.last_word() and not any(event["op"] == "end" for event in peek(folder).events)


def _release_kept(repository: Repository) -> None:
    """Keep refs whose run is no longer active: a crash between two steps of starting left them."""
    kept_folder = repository.common_dir / layout.KEPT
    if not kept_folder.is_dir():
        return
    active = {folder.run_id for folder in all_folders(repository)}
    try:
        stale = [
            RefChange(ref, None, target)
            for ref, target in repository.list_refs(layout.KEPT).items()
            if ref.removeprefix(layout.KEPT) not in active and _is_old(kept_folder / ref.removeprefix(layout.KEPT))
        ]
        if stale:
            change_refs(repository, stale)
    except GittrackError:
        # The next command tries again; a ref too many harms nobody.
        return


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _STARTING
    except OSError:
        return True


@dataclass(frozen=True, slots=True)
class LiveView:
    """An active run as seen from outside; `lost` when its writers are dead, `unknown` when they cannot be seen from here."""

    state: RunState
    pid: int | None
    host: str | None
    lost: bool
    unknown: bool
    last_write: float
    points: int
    rate: float
    newest: dict[str, tuple[int, float]]


def live_views(repository: Repository) -> list[LiveView]:
    """All active and lost runs, newest first."""
    views = []
    for folder in all_folders(repository):
        try:
            view = _view(folder)
        except (OSError, GittrackError, KeyError, TypeError, ValueError, AttributeError):
            # Gone just now, or not to be understood; `recover` says which.
            continue
        if view is not None:
            views.append(view)
    return sorted(views, key=lambda view: (-view.state.started, view.state.id))


def _view(folder: RunFolder) -> LiveView | None:
    look = peek(folder)
    starts = [event for event in look.events if event["op"] == "start"]
    if not starts:
        return None
    start = starts[-1]
    params: dict[str, object] = {}
    tags: dict[str, str] = {}
    name, experiment, description = start["name"], start["experiment"], ""
    for event in look.events:
        if event["op"] == "params":
            params.update({key: param_from_json(value) for key, value in event["values"].items()})
        elif event["op"] == "tags":
            tags.update(event["values"])
        elif event["op"] == "name":
            name = event["name"]
        elif event["op"] == "experiment":
            experiment = event["experiment"]
        elif event["op"] == "describe":
            description = event["text"]
    liveness = folder.liveness()
    owner = next(iter(folder.owners().values()), None)
    code = code_from_event(start["code"])
    state = RunState(
        id=folder.run_id,
        name=name,
        experiment=experiment,
        status=Status.LOST if liveness is Liveness.DEAD else Status.RUNNING,
        started=starts[0]["time"],
        code_commit=code.captured,
        branch=code.branch,
        dirty=code.dirty,
        author=start["author"],
        host=start.get("host"),
        parent=start.get("parent"),
        params=params,  # type: ignore[arg-type]
        metrics={key: value for key, (_, value) in look.newest.items()},
        tags=tags,
        description=description,
        command=shlex.join(start["command"]),
        attempt=start["attempt"],
    )
    return LiveView(
        state=state,
        pid=None if owner is None else owner.pid,
        host=None if owner is None else owner.host,
        lost=liveness is Liveness.DEAD,
        unknown=liveness is Liveness.UNKNOWN,
        last_write=max(0.0, time.time() - folder.last_write()),
        points=look.points,
        rate=look.rate,
        newest=look.newest,
    )
