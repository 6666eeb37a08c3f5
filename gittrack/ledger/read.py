"""Runs read back from git: many states at once, or one run whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gittrack.errors import CorruptRecord, FormatTooNew, ObjectMissing, UnknownRun
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.files import from_parquet, from_tsv, from_yaml, read_record_files
from gittrack.model.amendment import Amendment, fold
from gittrack.model.codec import amendment_from_line, state_from_line
from gittrack.model.environment import Environment
from gittrack.model.metric import History
from gittrack.model.pointer import Pointer
from gittrack.model.run import RunRecord, RunState

_WALK = 100


class RunRef(NamedTuple):
    """A run's ref; a plain tuple, since there may be a hundred thousand of them."""

    experiment: str
    ref: str
    head: str


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that should be a run and is not: the ref or commit, the run id that it claims, and why."""

    where: str
    run: str
    reason: str


@dataclass(frozen=True, slots=True)
class Chain:
    """A run with all its amendments: the newest commit, its tree, the folded state and the highest clock."""

    head: str
    tree: str
    state: RunState
    clock: int
    amendments: tuple[Amendment, ...]


def run_heads(repository: Repository) -> dict[str, RunRef]:
    """Every run ref by run id."""
    heads = {}
    for ref, head in repository.list_refs(layout.RUNS).items():
        named = layout.parse_run_ref(ref)
        if named is not None:
            heads[named[1]] = RunRef(named[0], ref, head)
    return heads


def foreign_refs(repository: Repository) -> list[str]:
    """Refs in our place that are none of ours."""
    return [
        ref
        for ref in repository.list_refs(layout.RUNS)
        if layout.parse_run_ref(ref) is None and not ref.startswith(layout.LEDGERS)
    ]


@dataclass(slots=True)
class _Open:
    """A run of which the walk from its head has not reached the run commit yet."""

    run: str
    head: str
    amendments: list[Amendment]


def read_states(repository: Repository, heads: Mapping[str, str]) -> Iterator[RunState | Damage]:
    """The state of each run, given its head commit by run id; amended runs take one more pass per amendment."""
    waiting: dict[str, list[_Open]] = {}
    for run, head in heads.items():
        waiting.setdefault(head, []).append(_Open(run, head, []))
    short: list[tuple[_Open, RunState]] = []
    while waiting:
        following: dict[str, list[_Open]] = {}
        for commit, kind, data in repository.read_objects(waiting):
            for one in waiting[commit]:
                try:
                    state = _step(one, commit, kind, data, following)
                except (CorruptRecord, FormatTooNew) as error:
                    yield Damage(commit, one.run, str(error))
                    continue
                if state is None:
                    continue
                if any(_truncated(state, one.amendments)):
                    short.append((one, state))
                else:
                    yield _folded(one, state)
        waiting = following
    yield from _complete(repository, short)


def _truncated(state: RunState, amendments: Iterable[Amendment]) -> Iterator[str]:
    """The commits of a run whose record line was cut short."""
    attempts = [state, *(one.continuation for one in amendments if one.continuation is not None)]
    return (one.commit or "" for one in attempts if one.truncated)


def _folded(one: _Open, state: RunState) -> RunState:
    if one.amendments:
        state = fold(state, one.amendments)
    return state if state.head == one.head else dataclasses.replace(state, head=one.head)


def _step(one: _Open, commit: str, kind: str, data: bytes, following: dict[str, list[_Open]]) -> RunState | None:
    """What the run's own commit says, None when `commit` is an amendment and the walk goes on."""
    import orjson

    if kind != "commit":
        raise CorruptRecord(f"{commit} is {kind}, not a commit")
    line = layout.find_line(data)
    if line is None:
        raise CorruptRecord(f"commit {commit} is not a run")
    try:
        plain = orjson.loads(line[1])
    except orjson.JSONDecodeError as error:
        raise CorruptRecord(f"the record in commit {commit} is damaged: {error}") from None
    if line[0] == layout.AMENDMENT:
        parents = layout.commit_links(data)[1]
        if not parents:
            raise CorruptRecord(f"amendment {commit} has no parent")
        amendment = amendment_from_line(plain, commit=commit)
        if amendment.run != one.run:
            raise CorruptRecord(f"commit {commit} amends run {amendment.run}, not {one.run}")
        one.amendments.append(amendment)
        following.setdefault(parents[0], []).append(one)
        return None
    state = state_from_line(plain, commit=commit)
    if state.id != one.run:
        raise CorruptRecord(f"commit {commit} is run {state.id}, not {one.run}")
    return state


def _complete(repository: Repository, short: list[tuple[_Open, RunState]]) -> Iterator[RunState | Damage]:
    """Runs with a record line that was cut short, read from the whole lines beside them; only then do they fold."""
    commits = {commit: one.run for one, state in short for commit in _truncated(state, one.amendments)}
    whole: dict[str, RunState] = {}
    damaged: dict[str, Damage] = {}
    suffix = f":{layout.FOLDER}/{layout.WHOLE_LINE}"
    for name, kind, data in repository.read_objects(commit + suffix for commit in commits):
        commit = name.removesuffix(suffix)
        try:
            whole[commit] = _whole_state(commit, kind, data)
        except (CorruptRecord, FormatTooNew) as error:
            damaged[commits[commit]] = Damage(commit, commits[commit], str(error))
    for one, state in short:
        if one.run in damaged:
            yield damaged[one.run]
            continue
        one.amendments = [_with_whole(amendment, whole) for amendment in one.amendments]
        yield _folded(one, whole.get(state.commit or "", state))


def _whole_state(commit: str, kind: str, data: bytes) -> RunState:
    import orjson

    if kind != "blob":
        raise CorruptRecord(f"run commit {commit} lacks its whole record ({layout.WHOLE_LINE}); run 'gittrack fsck'")
    try:
        return state_from_line(orjson.loads(data), commit=commit)
    except orjson.JSONDecodeError as error:
        raise CorruptRecord(f"the whole record of run commit {commit} is damaged: {error}") from None


def _with_whole(amendment: Amendment, whole: Mapping[str, RunState]) -> Amendment:
    found = whole.get(amendment.commit)
    return amendment if found is None else dataclasses.replace(amendment, continuation=found)


def read_chain(repository: Repository, ref: str) -> Chain | None:
    """The run at a ref with its amendments, newest first; None when there is no such ref."""
    import orjson

    head = repository.resolve(ref, None)
    if head is None:
        return None
    head_tree = ""
    amendments: list[Amendment] = []
    for commit, data in _first_parents(repository, head):
        line = layout.find_line(data)
        if line is None:
            raise CorruptRecord(f"{ref} leads to commit {commit}, which is not a run; run 'gittrack fsck'")
        head_tree = head_tree or layout.commit_links(data)[0]
        try:
            plain = orjson.loads(line[1])
        except orjson.JSONDecodeError as error:
            raise CorruptRecord(f"the record in commit {commit} is damaged ({error}); run 'gittrack fsck'") from None
        if line[0] == layout.RECORD:
            break
        amendments.append(amendment_from_line(plain, commit=commit))
    else:
        raise CorruptRecord(f"{ref} leads to amendments of no run; run 'gittrack fsck'")
    state = dataclasses.replace(fold(state_from_line(plain, commit=commit), amendments), head=head)
    clock = max((one.clock for one in amendments), default=0)
    return Chain(head, head_tree, state, clock, tuple(amendments))


def _first_parents(repository: Repository, head: str) -> Iterator[tuple[str, bytes]]:
    """A commit and its first parents with their bytes, in as few processes as may be: most runs have no amendment."""
    commits = [head]
    while commits:
        for commit, kind, data in repository.read_objects(commits):
            if kind != "commit":
                raise CorruptRecord(f"object {commit} is {kind}, not a commit; run 'gittrack fsck'")
            last = commit
            yield commit, data
        commits = repository.git("rev-list", "--first-parent", f"--max-count={_WALK}", last).decode("ascii").split()[1:]


# --- one run whole


def read_files(repository: Repository, commit: str, paths: Iterable[str]) -> dict[str, bytes | None]:
    """Files below `.gittrack/` of a run commit, None for one that is not there; all in one process."""
    prefix = f"{commit}:{layout.FOLDER}/"
    names = [prefix + path for path in paths]
    return {
        name[len(prefix) :]: data if kind == "blob" else None for name, kind, data in repository.read_objects(names)
    }


def read_file(repository: Repository, commit: str, path: str) -> bytes:
    data = read_files(repository, commit, [path]).get(path)
    if data is None:
        raise UnknownRun(
            f"run commit {commit[:12]} has no file {path!r}; 'git ls-tree -r {commit[:12]} {layout.FOLDER}' lists them"
        )
    return data


def read_record(repository: Repository, run: RunState | str) -> RunRecord:
    commit = _commit(run)
    names = (layout.RUN, layout.PARAMS, layout.METRICS)
    files = read_files(repository, commit, names)
    record, params, metrics = (files.get(name) for name in names)
    if record is None or params is None or metrics is None:
        raise CorruptRecord(f"run commit {commit} lacks its record ({', '.join(names)}); run 'gittrack fsck'")
    return read_record_files(record, params, metrics, f"run commit {commit[:12]}")


def read_environment(repository: Repository, run: RunState | str) -> Environment:
    data = read_files(repository, _commit(run), [layout.ENVIRONMENT]).get(layout.ENVIRONMENT)
    plain = from_yaml(data, "environment.yaml") if data else None
    return Environment.from_dict(plain if isinstance(plain, dict) else {})


# Bytes that lie outside git; raises ObjectMissing.
Fetch = Callable[[Pointer], bytes]


def _from_git_alone(pointer: Pointer) -> bytes:
    raise ObjectMissing(f"object {pointer.oid} lies outside git, where nobody looked")


def read_histories(
    repository: Repository,
    record: RunRecord,
    commit: str,
    keys: Iterable[str] | None = None,
    *,
    fetch: Fetch = _from_git_alone,
) -> dict[str, History]:
    """The full histories of all metrics, or of those named; `fetch` is asked for one that is too large for git."""
    wanted = [key for key in (record.summary if keys is None else keys) if key in record.summary]
    if sum(one.count for one in record.summary.values()) > layout.LARGE_HISTORY:
        pointer = record.large.get(layout.HISTORY)
        whole = read_file(repository, commit, layout.HISTORY) if pointer is None else fetch(pointer)
        return from_parquet(whole, wanted)
    files = read_files(
        repository,
        commit,
        [layout.plot_path(key) for key in wanted if record.summary[key].count > 1],
    )
    histories = {}
    for key in wanted:
        one = record.summary[key]
        if one.count == 1:
            history = History(key)
            history.steps.append(one.last_step)
            history.values.append(one.last)
            history.times.append(one.last_time)
        else:
            data = files.get(layout.plot_path(key))
            if data is None:
                raise CorruptRecord(f"run commit {commit} lacks the history of {key!r}; run 'gittrack fsck'")
            history = from_tsv(data, key)
        histories[key] = history
    return histories


def _commit(run: RunState | str) -> str:
    commit = run if isinstance(run, str) else run.commit
    if commit is None:
        raise UnknownRun("an active run has no commit yet; wait until it is finished")
    return commit
