"""Looking for damage: every run read back whole and held against what its record claims."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from gittrack.errors import GittrackError
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.read import (
    Damage,
    RunRef,
    foreign_refs,
    read_files,
    read_histories,
    read_record,
    read_states,
    run_heads,
)
from gittrack.model.metric import summarize
from gittrack.model.run import RunRecord, RunState


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, what, and what a person can do; `harmless`: only to be known."""

    where: str
    reason: str
    next_step: str
    harmless: bool = False


_FETCH = "fetch the run again from a clone that has it ('git fetch <remote> <ref>')"


def fsck(repository: Repository) -> Iterator[Problem]:
    """Every problem of the runs in git; nothing is changed."""
    yield from _objects(repository)
    heads = run_heads(repository)
    for ref in foreign_refs(repository):
        yield Problem(
            ref, "is no run of ours", f"look at it with 'git log {ref}', and remove it with 'git update-ref -d {ref}'"
        )
    for found in read_states(repository, {run: one.head for run, one in heads.items()}):
        if isinstance(found, Damage):
            yield Problem(heads[found.run].ref, found.reason, _FETCH)
        else:
            yield from _run(repository, found, heads[found.id])


def _objects(repository: Repository) -> Iterator[Problem]:
    """What git itself finds missing or broken below our refs."""
    done = repository.run("fsck", "--connectivity-only", "--no-dangling", "--no-progress", check=False)
    for line in (done.stdout + done.stderr).decode("utf-8", "replace").splitlines():
        if line.startswith(("missing", "broken", "error", "fatal", "corrupt", "bad")):
            yield Problem("git", line, "see 'git fsck --full', and fetch from a clone that is whole")


def _run(repository: Repository, state: RunState, ref: RunRef) -> Iterator[Problem]:
    assert state.commit is not None
    if state.experiment != ref.experiment:
        yield Problem(ref.ref, f"its record says experiment {state.experiment!r}", "name the ref as the record says")
    try:
        record = read_record(repository, state)
        yield from _record(record, state, ref)
        yield from _histories(repository, record, state.commit, ref)
    except GittrackError as error:
        yield Problem(ref.ref, str(error), _FETCH)
        return
    yield from _artifacts(repository, record, state.commit, ref)


def _histories(repository: Repository, record: RunRecord, commit: str, ref: RunRef) -> Iterator[Problem]:
    if record.large:
        # Its bytes are checked with those of artifacts, where it lies.
        return
    histories = read_histories(repository, record, commit)
    for key, claimed in record.summary.items():
        history = histories.get(key)
        if history is None or len(history) != claimed.count:
            there = 0 if history is None else len(history)
            yield Problem(ref.ref, f"metric {key!r} has {there} points, and its record says {claimed.count}", _FETCH)
        elif repr(summarize(history).last) != repr(claimed.last):
            yield Problem(ref.ref, f"metric {key!r} ends in another value than its record says", _FETCH)


def _record(record: RunRecord, state: RunState, ref: RunRef) -> Iterator[Problem]:
    if record.id != state.id:
        yield Problem(ref.ref, f"run.yaml is of another run ({record.id})", _FETCH)
    if not state.truncated and dict(record.params).keys() != dict(state.params).keys():
        yield Problem(ref.ref, "params.yaml and the commit message disagree", _FETCH)


def _artifacts(repository: Repository, record: RunRecord, commit: str, ref: RunRef) -> Iterator[Problem]:
    paths = {
        f"{layout.ARTIFACTS}/{one.path}{layout.POINTER_SUFFIX if one.pointer else ''}": one for one in record.artifacts
    }
    for path, data in read_files(repository, commit, paths).items():
        one = paths[path]
        if data is None:
            yield Problem(ref.ref, f"artifact {one.path!r} is missing", _FETCH)
        elif one.pointer:
            if not data.startswith(b"outs:") or one.md5.encode() not in data:
                yield Problem(ref.ref, f"the pointer of artifact {one.path!r} is not what its record says", _FETCH)
        elif hashlib.md5(data, usedforsecurity=False).hexdigest() != one.md5:
            yield Problem(ref.ref, f"artifact {one.path!r} has other bytes than its record says", _FETCH)
