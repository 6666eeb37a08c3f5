"""Runs to write, made of what matters to a test and plain values for all the rest."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from gittrack.domain.environment import Environment
from gittrack.domain.metric import History, summarize
from gittrack.domain.param import flatten
from gittrack.domain.run import Attempt, CodeCapture, RunRecord, RunState, Status
from gittrack.errors import AlreadyRecorded
from gittrack.git.objects import Signature
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.files import run_files
from gittrack.ledger.read import Chain, read_chain
from gittrack.ledger.write import amend, write_run

SOMEONE = Signature("Somebody <some@example.org>", 0, 3600)
START = 1_700_000_000.25


def history(key: str, values: Iterable[float], steps: Iterable[int] | None = None) -> History:
    made = History(key)
    made.values.extend(values)
    made.steps.extend(range(len(made.values)) if steps is None else steps)
    made.times.extend(START + number / 8 for number in range(len(made.values)))
    return made


def record(
    repository: Repository,
    *,
    histories: Iterable[History] = (),
    params: Mapping[str, Any] | None = None,
    attempts: int = 1,
    **fields: Any,
) -> RunRecord:
    code = CodeCapture(commit=repository.resolve("HEAD") or "", branch="main")
    plain: dict[str, Any] = {
        "id": uuid.uuid4().hex,
        "name": "brave-otter-42",
        "experiment": "digits",
        "status": Status.FINISHED,
        "started": START,
        "ended": START + 60,
        "code": code,
        "command": ("python", "train.py"),
        "author": SOMEONE.identity,
        "host": "here",
        "params": flatten(params or {}),
        "summary": {one.key: summarize(one) for one in histories if len(one)},
        "attempts": tuple(
            Attempt(number, START + number - 1, START + number, Status.FINISHED, "here")
            for number in range(1, attempts + 1)
        ),
    }
    return RunRecord(**{**plain, **fields})


def write(
    repository: Repository,
    one: RunRecord,
    histories: Iterable[History] = (),
    *,
    environment: Environment | None = None,
    artifacts: Mapping[str, bytes] | None = None,
    console: bytes = b"",
) -> str:
    files = run_files(
        one,
        environment or Environment(),
        {history.key: history for history in histories},
        console=console,
        artifacts=artifacts,
    )
    try:
        return write_run(repository, one, files, author=SOMEONE)
    except AlreadyRecorded as there:
        return there.commit


def amend_at(
    repository: Repository, ref: str, changes: Mapping[str, str | bool | None], *, head: str | None = None, **more: Any
) -> str:
    """Amend the run at a ref, of which nothing else is known but perhaps its head: a pack may take the ref away."""
    named = layout.parse_run_ref(ref)
    assert named is not None
    run = RunState(named[1], "", named[0], Status.FINISHED, START, head=head)
    return amend(repository, run, changes, **{"author": SOMEONE, **more})


def chain_at(repository: Repository, ref: str) -> Chain | None:
    named = layout.parse_run_ref(ref)
    assert named is not None
    return read_chain(repository, named[1], [repository.resolve(ref, None)])
