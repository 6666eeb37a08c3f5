"""Joining: a script inside `gittrack run` logs into the run that is active there."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gittrack.capture.job import Job, detect_job, parent_identity
from gittrack.domain.names import name_from_id
from gittrack.live.folder import RunFolder
from gittrack.live.journal import Journal
from gittrack.live.owner import this_process
from gittrack.tracking.active import ActiveRun
from gittrack.tracking.ground import Ground
from gittrack.tracking.guard import guard_exit
from gittrack.tracking.places import make_spare, run_folder
from gittrack.tracking.plan import Plan
from gittrack.tracking.protocol import inherited_run

_log = logging.getLogger("gittrack")
_joined: set[str] = set()


def join_outer(plan: Plan, environ: Mapping[str, str] | None = None) -> ActiveRun | None:
    """Join the run that an enclosing `gittrack run` started; None when there is none, or this process joined it before."""
    environ = os.environ if environ is None else environ
    outer = inherited_run(environ)
    if outer is None or plan.nested or plan.resume is not None or plan.command is not None:
        return None
    run_id, live = outer
    folder = run_folder(live, run_id)
    if run_id in _joined or not folder.exists():
        return None
    _joined.add(run_id)
    return _join(folder, plan, detect_job(environ, parent=parent_identity()))


def _join(folder: RunFolder, plan: Plan, job: Job | None) -> ActiveRun:
    """A script inside `gittrack run` logs into that run, in a journal of its own."""
    rank = job.rank if job is not None else None
    suffix = f"-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    owner: Path | None = None
    started: dict[str, Any] = {}
    try:
        started = first_start(folder)
        owner = folder.claim(this_process("member", started.get("attempt", 1), rank), suffix)
    except OSError as error:
        warn(f"{folder.path} cannot be written ({error.strerror}); training goes on")
    run = ActiveRun(
        run_id=folder.run_id,
        name=started.get("name") or name_from_id(folder.run_id),
        experiment=started.get("experiment", ""),
        folder=folder,
        journal=journal_of(folder, suffix, rank),
        role="member",
        seal=_leave,
        parent=started.get("parent"),
        attempt=started.get("attempt", 1),
        owner=owner,
        ground=Ground.from_event(started),
    )
    if plan.name is not None and not started.get("named") and not rank:
        run.rename(plan.name)
    if plan.experiment is not None and not started.get("filed") and not rank:
        run.file_under(plan.experiment)
    elif plan.experiment is not None and plan.experiment != run.experiment:
        _log.warning(
            "gittrack: the run belongs to experiment %r, as 'gittrack run' started it; %r is not used",
            run.experiment,
            plan.experiment,
        )
    log_plan(run, plan)
    guard_exit()
    return run


def first_start(folder: RunFolder) -> dict[str, Any]:
    """The newest start event of a folder whose journal somebody else writes."""
    from gittrack.live.tail import peek

    return next((event for event in reversed(peek(folder).events) if event["op"] == "start"), {})


def _leave(run: ActiveRun) -> str | None:
    if run.owner is not None:
        run.owner.unlink(missing_ok=True)
    # The creator may be gone: then nobody else will turn the run into a commit but `recover`.
    return None


def journal_of(folder: RunFolder, suffix: str, rank: int | None) -> Journal:
    overflow = folder.overflow
    return Journal(
        folder.path / f"journal{suffix}",
        warn,
        prefix=f"rank{rank}/" if rank else "",
        spare=None if overflow is None else lambda: make_spare(overflow),
    )


def log_plan(run: ActiveRun, plan: Plan) -> None:
    if plan.params:
        run.log_params(plan.params)
    if plan.tags:
        run.set_tags(plan.tags)
    if plan.description is not None:
        run.describe(plan.description)


def warn(text: str) -> None:
    _log.warning("gittrack: %s", text)
