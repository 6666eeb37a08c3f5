"""Runs for the tests of the index, and a way to record them in a real repository."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

from hypothesis import strategies as st

from gittrack.domain.metric import Summary
from gittrack.domain.run import CodeCapture, RunRecord, RunState, Status
from gittrack.git.objects import Signature
from gittrack.git.repository import Repository
from gittrack.ledger.write import amend, write_run
from tests.helpers import Repo

BEGINNING = 1_767_225_600.0  # 2026-01-01T00:00:00Z
_numbers = itertools.count(1)

AUTHOR = Signature("Test Author <author@example.org>", int(BEGINNING))


def run_id(number: int) -> str:
    return f"{number:08x}" * 4


def a_run(number: int | None = None, **changes: Any) -> RunState:
    """A finished run; its number gives it an id, a name and a minute of its own."""
    number = next(_numbers) if number is None else number
    state = RunState(
        id=run_id(number),
        name=f"run-{number}",
        experiment="digits",
        status=Status.FINISHED,
        started=BEGINNING + 60 * number,
        ended=BEGINNING + 60 * number + 30.5,
        author="Test Author <author@example.org>",
        branch="main",
        host="box",
        command="python train.py",
    )
    return dataclasses.replace(state, **changes)


def record(repo: Repo, state: RunState) -> RunState:
    """Record a run in git as `finish` does, and return it with its commit."""
    repository = Repository.discover(repo.path)
    head = repo.git("rev-parse", "HEAD")
    assert state.ended is not None
    done = RunRecord(
        id=state.id,
        name=state.name,
        experiment=state.experiment,
        status=state.status,
        started=state.started,
        ended=state.ended,
        code=CodeCapture(commit=head, branch=state.branch, dirty=state.dirty),
        author=state.author,
        host=state.host,
        parent=state.parent,
        params=state.params,
        tags=state.tags,
        description=state.description,
        command=tuple(state.command.split()),
        summary={key: Summary(value, value, value, value, 1, 0, state.started) for key, value in state.metrics.items()},
    )
    commit = write_run(repository, done, {}, author=AUTHOR)
    return dataclasses.replace(state, commit=commit, head=commit, code_commit=head)


def change(repo: Repo, state: RunState, **changes: str | bool | None) -> str:
    """Amend a recorded run and return the amendment; `tag_kind="cv"` sets the run tag `kind`."""
    named = {key.replace("tag_", "tag:"): value for key, value in changes.items()}
    return amend(Repository.discover(repo.path), state, named, author=AUTHOR, now=state.started)


# --- runs by chance: few keys and few values, so that filters often meet them

PARAM_KEYS = ("lr", "opt", "model.deep", "odd key")
METRIC_KEYS = ("val/acc", "loss")
TAG_KEYS = ("kind", "fold")
TEXTS = ("adam", "sgd", "0.1", "1", "-2.50", "1e-3", "true", "True", "false", "nan", "null", "", "ä b", 'say "x"')
NUMBERS = (0, 1, 2, -2, -2.5, 0.1, 1.0, 0.001, 2**63 - 1, 1e300)

texts = st.sampled_from(TEXTS)
numbers = st.sampled_from(NUMBERS)
param_values = st.one_of(
    texts,
    numbers,
    st.booleans(),
    st.none(),
    st.sampled_from([float("nan"), float("inf"), -float("inf"), 2**70, [1, "a"], [], {}, [float("nan")]]),
)
metric_values = st.one_of(numbers.map(float), st.sampled_from([float("nan"), float("inf"), -float("inf")]))


@st.composite
def run_states(draw: st.DrawFn, number: int) -> RunState:
    """A run as it may lie in the index."""
    status = draw(st.sampled_from(list(Status)))
    started = BEGINNING + draw(st.sampled_from([0.0, 0.25, 59.0, 60.0, 3600.0, 86399.5, 86400.0, 90000.0]))
    ended = None if status == Status.RUNNING else started + draw(st.sampled_from([0.0, 30.5, 90.0, 7200.0]))
    commit = None if status == Status.RUNNING else f"{number:04x}abcd" * 5
    return RunState(
        id=run_id(number),
        name=draw(st.sampled_from(["rf", "rf-baseline", "brave-otter-42", "ä b"])),
        experiment=draw(st.sampled_from(["digits", "mnist/cnn"])),
        status=status,
        started=started,
        ended=ended,
        commit=commit,
        head=commit,
        code_commit=draw(st.sampled_from([None, "c0de" * 10, "beef" * 10])),
        branch=draw(st.sampled_from([None, "main", "feature/x"])),
        dirty=draw(st.booleans()),
        author=draw(st.sampled_from(["", "Test Author <author@example.org>"])),
        host=draw(st.sampled_from([None, "", "box"])),
        parent=draw(st.sampled_from([None, run_id(1), run_id(2)])),
        params=draw(st.dictionaries(st.sampled_from(PARAM_KEYS), param_values)),
        metrics=draw(st.dictionaries(st.sampled_from(METRIC_KEYS), metric_values)),
        tags=draw(st.dictionaries(st.sampled_from(TAG_KEYS), texts)),
        description=draw(st.sampled_from(["", "a first try"])),
        command=draw(st.sampled_from(["", "python train.py --lr 0.1"])),
        attempt=draw(st.integers(1, 3)),
        deleted=draw(st.booleans()),
    )
