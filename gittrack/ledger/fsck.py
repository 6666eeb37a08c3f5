"""Looking for damage: every run read back whole and held against what its record claims."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from gittrack.domain.metric import summarize
from gittrack.domain.run import RunRecord, RunState
from gittrack.errors import CorruptRecord, FormatTooNew, GitFailed, GittrackError, RemoteUnusable
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.chain import all_purges, page_ids, read_pages
from gittrack.ledger.read import (
    Damage,
    foreign_refs,
    read_files,
    read_histories,
    read_lines,
    read_members,
    read_record,
    run_heads,
)
from gittrack.values import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, what, and what a person can do; `harmless`: only to be known."""

    where: str
    reason: str
    next_step: str
    harmless: bool = False


@dataclass(frozen=True, slots=True)
class Unasked(Problem):
    """Nothing that is known to be wrong: something is not here, and the remote could not be asked for it."""


_FETCH = "fetch the run again from a clone that has it ('git fetch <remote> <ref>')"


def fsck(repository: Repository) -> Iterator[Problem]:
    """Every problem of the runs in git; nothing is changed."""
    yield from _objects(repository)
    for ref in foreign_refs(repository):
        yield Problem(
            ref, "is no run of ours", f"look at it with 'git log {ref}', and remove it with 'git update-ref -d {ref}'"
        )
    heads: dict[str, list[str]] = {}
    places: dict[str, str] = {}
    experiments: dict[str, str] = {}
    for run, one in run_heads(repository).items():
        heads[run], places[run], experiments[run] = [one.head], one.ref, one.experiment
    purged = all_purges(repository)
    for ref, tip in repository.list_refs(layout.LEDGERS, layout.TRACKED).items():
        for found in _ledger(repository, ref, tip):
            if isinstance(found, Problem):
                yield found
            elif found[0] not in purged:
                heads.setdefault(found[0], []).append(found[1])
                places.setdefault(found[0], f"{ref} (run {found[0]})")
    left_out: list[str] = []
    for one_run in read_lines(repository, heads):
        place = places[one_run.run]
        if isinstance(one_run, Damage):
            yield Problem(place, one_run.reason, _FETCH)
            continue
        try:
            state = one_run.state
        except (CorruptRecord, FormatTooNew) as error:
            yield Problem(place, str(error), _FETCH)
            continue
        experiment = experiments.get(state.id)
        if experiment is not None and state.experiment != experiment:
            yield Problem(place, f"its record says experiment {state.experiment!r}", "name the ref as the record says")
        try:
            yield from _run(repository, state, place)
        except RemoteUnusable as error:
            left_out.append(str(error))
    if left_out:
        runs = f"{len(left_out):,} {'run is' if len(left_out) == 1 else 'runs are'} not here whole"
        yield Unasked(layout.RUNS, runs, left_out[0])


def _ledger(repository: Repository, ref: str, tip: str) -> Iterator[Problem | tuple[str, str]]:
    """What is wrong with a ledger, and its members as run and commit: each line must be what its commit says."""
    try:
        pages, _ = page_ids(repository, tip)
    except GitFailed as error:
        yield Problem(ref, str(error), _FETCH)
        return
    yield from page_problems(repository, ref, pages)


def page_problems(repository: Repository, ref: str, pages: Sequence[str]) -> Iterator[Problem | tuple[str, str]]:
    """The same of some pages of a ledger."""
    for content in read_pages(repository, pages):
        if isinstance(content, tuple):
            yield Problem(ref, str(content[1]), _FETCH)
            continue
        if content.problem:
            yield Problem(ref, f"page {content.page.commit}: {content.problem}", _FETCH)
        if len(set(zip(content.page.members, content.lines, strict=False))) > len(set(content.page.members)):
            reason = f"page {content.page.commit} has two different lines of one member, so one is of a run that is not there"
            yield Problem(ref, reason, _FETCH)
        said = dict(zip(content.page.members, content.lines, strict=False))
        for line in read_members(repository, content.page.members):
            if isinstance(line, Damage):
                yield Problem(ref, line.reason, _FETCH)
                continue
            if line.commit in said and said[line.commit] != line.raw:
                yield Problem(
                    ref,
                    f"page {content.page.commit} says something else of {line.commit} than that commit itself",
                    "whoever wrote it may want to fool you; ask its author, and take the ref away if in doubt",
                )
            yield line.run, line.commit


def _objects(repository: Repository) -> Iterator[Problem]:
    """What git itself finds missing or broken below our refs."""
    done = repository.run("fsck", "--connectivity-only", "--no-dangling", "--no-progress", check=False)
    for line in (done.stdout + done.stderr).decode("utf-8", "replace").splitlines():
        if line.startswith(("missing", "broken", "error", "fatal", "corrupt", "bad")):
            yield Problem("git", line, "see 'git fsck --full', and fetch from a clone that is whole")


def _run(repository: Repository, state: RunState, place: str) -> Iterator[Problem]:
    assert state.commit is not None
    try:
        record = read_record(repository, state)
        yield from _record(record, state, place)
        yield from _histories(repository, record, state.commit, place)
    except RemoteUnusable:
        raise
    except GittrackError as error:
        yield Problem(place, str(error), _FETCH)
        return
    yield from _artifacts(repository, record, state.commit, place)


def _histories(repository: Repository, record: RunRecord, commit: str, place: str) -> Iterator[Problem]:
    if record.large:
        # Its bytes are checked with those of artifacts, where it lies.
        return
    histories = read_histories(repository, record, commit)
    for key, claimed in record.summary.items():
        history = histories.get(key)
        if history is None or len(history) != claimed.count:
            there = 0 if history is None else len(history)
            yield Problem(place, f"metric {key!r} has {there} points, and its record says {claimed.count}", _FETCH)
        elif repr(summarize(history).last) != repr(claimed.last):
            yield Problem(place, f"metric {key!r} ends in another value than its record says", _FETCH)


def _record(record: RunRecord, state: RunState, place: str) -> Iterator[Problem]:
    if record.id != state.id:
        yield Problem(place, f"run.yaml is of another run ({record.id})", _FETCH)
    if not state.truncated and dict(record.params).keys() != dict(state.params).keys():
        yield Problem(place, "params.yaml and the commit message disagree", _FETCH)


def _artifacts(repository: Repository, record: RunRecord, commit: str, place: str) -> Iterator[Problem]:
    paths = {
        f"{layout.ARTIFACTS}/{one.path}{layout.POINTER_SUFFIX if one.pointer else ''}": one for one in record.artifacts
    }
    for path, data in read_files(repository, commit, paths).items():
        one = paths[path]
        if data is None:
            yield Problem(place, f"artifact {one.path!r} is missing", _FETCH)
        elif one.pointer:
            if not data.startswith(b"outs:") or one.md5.encode() not in data:
                yield Problem(place, f"the pointer of artifact {one.path!r} is not what its record says", _FETCH)
        elif hashlib.md5(data, usedforsecurity=False).hexdigest() != one.md5:
            yield Problem(place, f"artifact {one.path!r} has other bytes than its record says", _FETCH)
