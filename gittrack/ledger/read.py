"""Runs read back from git: many states at once, or one run whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack.domain.amendment import Amendment, fold
from gittrack.domain.codec import amendment_from_line, state_from_line
from gittrack.domain.metric import History
from gittrack.domain.pointer import Pointer
from gittrack.domain.run import RunRecord, RunState
from gittrack.errors import CorruptRecord, FormatTooNew, ObjectMissing, RemoteUnusable, UnknownRun
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.chain import PageContent
from gittrack.ledger.files import from_parquet, from_tsv, from_yaml, read_record_files
from gittrack.values import dataclass, field, replace

if TYPE_CHECKING:
    from gittrack.domain.environment import Environment


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
    """A run with its amendments, newest first: the folded state and the highest clock."""

    state: RunState
    clock: int
    amendments: tuple[Amendment, ...]

    @property
    def head(self) -> str:
        """The run commit or its newest amendment."""
        assert self.state.head is not None
        return self.state.head


def run_heads(repository: Repository) -> dict[str, RunRef]:
    """Every run ref by run id."""
    return run_heads_in(repository.list_refs(layout.RUNS))


def run_heads_in(refs: Mapping[str, str]) -> dict[str, RunRef]:
    """Those among refs, by run id."""
    heads = {}
    for ref, head in refs.items():
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


class Line(NamedTuple):
    """The record line of a run or an amendment, whole, as bytes and as JSON."""

    commit: str
    raw: bytes
    plain: dict[str, Any]

    @property
    def run(self) -> str:
        """The id of the run that it is of, empty where none is named."""
        named = self.plain.get("run" if "changes" in self.plain else "id")
        return named if type(named) is str else ""


class RunLines(NamedTuple):
    """All that commits say of one run, from the heads that were asked for back to the run commit."""

    run: str
    origin: Line
    amendments: tuple[Line, ...]

    @property
    def state(self) -> RunState:
        """Raises CorruptRecord, FormatTooNew."""
        state = state_from_line(self.origin.plain, commit=self.origin.commit)
        if not self.amendments:
            return state
        amendments = [amendment_from_line(one.plain, commit=one.commit) for one in self.amendments]
        newest = max(amendments, key=lambda one: (one.clock, one.commit))
        return replace(fold(state, amendments), head=newest.commit)


@dataclass(slots=True)
class _Open:
    """A run of which the walk from its heads has not ended yet."""

    run: str
    origin: Line | None = None
    amendments: dict[str, Line] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    pending: int = 0
    failed: Damage | None = None


def read_states(repository: Repository, heads: Mapping[str, str]) -> Iterator[RunState | Damage]:
    """The state of each run, given its head commit by run id."""
    for found in read_lines(repository, {run: (head,) for run, head in heads.items()}):
        if isinstance(found, Damage):
            yield found
            continue
        try:
            yield found.state
        except (CorruptRecord, FormatTooNew) as error:
            yield Damage(found.origin.commit, found.run, str(error))


def read_lines(repository: Repository, heads: Mapping[str, Iterable[str]]) -> Iterator[RunLines | Damage]:
    """What commits say of each run, given its heads by run id; amended runs take one more pass per amendment."""
    waiting: dict[str, list[tuple[_Open, bool]]] = {}
    for run, commits in heads.items():
        one = _Open(run)
        for head in commits:
            waiting.setdefault(head, []).append((one, True))
            one.pending += 1
    short: list[RunLines] = []
    while waiting:
        following: dict[str, list[tuple[_Open, bool]]] = {}
        for commit, kind, data in repository.read_objects(waiting):
            for one, must in waiting[commit]:
                one.pending -= 1
                try:
                    _step(one, commit, kind, data, following, must)
                except (CorruptRecord, FormatTooNew) as error:
                    one.failed = one.failed or Damage(commit, one.run, str(error))
                if one.pending:
                    continue
                if one.failed is not None:
                    yield one.failed
                elif one.origin is None:
                    yield Damage(commit, one.run, f"commit {commit} leads to amendments of no run")
                else:
                    found = RunLines(one.run, one.origin, tuple(one.amendments.values()))
                    if any(_is_short(line) for line in (found.origin, *found.amendments)):
                        short.append(found)
                    else:
                        yield found
        waiting = following
    yield from _complete(repository, short)


def _step(
    one: _Open, commit: str, kind: str, data: bytes, following: dict[str, list[tuple[_Open, bool]]], must: bool
) -> None:
    """Take in what a commit says; of a parent that need not be of this run nothing is wrong when it is not."""
    line = None
    if kind == "commit":
        found = layout.find_line(data)
        line = None if found is None else (found[0], parse_line(commit, found[1]))
    elif must:
        raise CorruptRecord(f"{commit} is {kind}, not a commit")
    if line is None:
        if must:
            raise CorruptRecord(f"commit {commit} is not a run")
        return
    key, read = line
    amends = key == layout.AMENDMENT
    owner = read.plain.get("run" if amends else "id")
    if owner != one.run:
        if must:
            raise CorruptRecord(f"commit {commit} {'amends' if amends else 'is'} run {owner}, not {one.run}")
        return
    if not amends:
        one.origin = read if one.origin is None or commit < one.origin.commit else one.origin
        return
    one.amendments[commit] = read
    parents = layout.commit_links(data)[1]
    if not parents:
        raise CorruptRecord(f"amendment {commit} has no parent")
    for at, parent in enumerate(parents):
        if parent not in one.seen:
            one.seen.add(parent)
            one.pending += 1
            following.setdefault(parent, []).append((one, at == 0))


def read_members(repository: Repository, commits: Iterable[str]) -> Iterator[Line | Damage]:
    """The lines of runs and amendments from the commits themselves, each for itself; where a ledger's own are of no use."""
    short: dict[str, Line] = {}
    for commit, kind, data in repository.read_objects(commits):
        found = layout.find_line(data) if kind == "commit" else None
        try:
            if found is None:
                raise CorruptRecord(f"{commit} is {kind}, not a run or an amendment")
            line = parse_line(commit, found[1])
        except CorruptRecord as error:
            yield Damage(commit, commit, str(error))
            continue
        if _is_short(line):
            short[commit] = line
        else:
            yield line
    suffix = f":{layout.FOLDER}/{layout.WHOLE_LINE}"
    for name, kind, data in repository.read_objects(commit + suffix for commit in short):
        commit = name.removesuffix(suffix)
        try:
            yield _whole_line(short[commit], kind, data)
        except CorruptRecord as error:
            yield Damage(commit, commit, str(error))


def page_lines(repository: Repository, content: PageContent) -> Iterator[Line | Damage]:
    """A line for each member of a page; what the page does not say, or says so that it cannot be read, the member says."""
    silent = list(content.page.members) if content.problem else []
    for member, raw in zip(content.page.members, content.lines, strict=False):
        try:
            line = parse_line(member, raw)
        except CorruptRecord:
            silent.append(member)
            continue
        if line.run:
            yield line
        else:
            silent.append(member)
    if silent:
        yield from read_members(repository, silent)


def parse_line(commit: str, raw: bytes) -> Line:
    import orjson

    try:
        plain = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise CorruptRecord(f"the record in commit {commit} is damaged: {error}") from None
    if not isinstance(plain, dict):
        raise CorruptRecord(f"the record in commit {commit} is no mapping")
    return Line(commit, raw, plain)


def _is_short(line: Line) -> bool:
    """Whether a record line was cut to fit into the message."""
    return b'"truncated":true' in line.raw


def _complete(repository: Repository, short: list[RunLines]) -> Iterator[RunLines | Damage]:
    """Runs with a record line that was cut short, read from the whole lines beside them."""
    lines = {line.commit: line for one in short for line in (one.origin, *one.amendments) if _is_short(line)}
    whole: dict[str, Line] = {}
    reasons: dict[str, str] = {}
    suffix = f":{layout.FOLDER}/{layout.WHOLE_LINE}"
    for name, kind, data in repository.read_objects(commit + suffix for commit in lines):
        commit = name.removesuffix(suffix)
        try:
            whole[commit] = _whole_line(lines[commit], kind, data)
        except CorruptRecord as error:
            reasons[commit] = str(error)
    for one in short:
        bad = next((line.commit for line in (one.origin, *one.amendments) if line.commit in reasons), None)
        if bad is not None:
            yield Damage(bad, one.run, reasons[bad])
            continue
        origin = whole.get(one.origin.commit, one.origin)
        yield RunLines(one.run, origin, tuple(whole.get(line.commit, line) for line in one.amendments))


def _whole_line(line: Line, kind: str, data: bytes) -> Line:
    import orjson

    if kind != "blob":
        raise CorruptRecord(
            f"run commit {line.commit} lacks its whole record ({layout.WHOLE_LINE}); run 'gittrack fsck'"
        )
    state = parse_line(line.commit, data)
    if "continuation" not in line.plain:
        return state
    plain = {**line.plain, "continuation": state.plain}
    return Line(line.commit, orjson.dumps(plain), plain)


def read_chain(repository: Repository, run: str, heads: Iterable[str | None]) -> Chain | None:
    """A run with the amendments that its heads lead to, newest first; None without any head. Raises CorruptRecord."""
    commits = [one for one in dict.fromkeys(heads) if one is not None]
    if not commits:
        return None
    found = next(read_lines(repository, {run: commits}))
    if isinstance(found, Damage):
        raise CorruptRecord(f"{found.reason}; run 'gittrack fsck'")
    amendments = sorted(
        (amendment_from_line(one.plain, commit=one.commit) for one in found.amendments),
        key=lambda one: (one.clock, one.commit),
        reverse=True,
    )
    clock = amendments[0].clock if amendments else 0
    return Chain(found.state, clock, tuple(amendments))


# --- one run whole


def read_files(repository: Repository, commit: str, paths: Iterable[str]) -> dict[str, bytes | None]:
    """Files below `.gittrack/` of a run commit, None for one that is not there; all in one process.

    Raises RemoteUnusable for those that a filtered fetch left out and the remote does not give.
    """
    prefix = f"{commit}:{layout.FOLDER}/"
    names = [prefix + path for path in paths]
    found: dict[str, bytes | None] = {}
    for name, kind, data in repository.read_objects(names):
        if kind == "damaged":
            _check_left_out(repository)
        found[name[len(prefix) :]] = data if kind == "blob" else None
    return found


def _check_left_out(repository: Repository) -> None:
    """Before something that is not here is called damage: a filtered fetch left it out, and the remote should have given it.

    Raises RemoteUnusable if so.
    """
    promised = [key.split(".", 1)[1].rpartition(".")[0] for key in repository.config if key.endswith(".promisor")]
    if promised:
        raise RemoteUnusable(
            f"the files of runs were left out by 'gittrack fetch --summaries', and {' or '.join(promised)} does not give them "
            "now; try again when it answers"
        )


def read_file(repository: Repository, commit: str, path: str) -> bytes:
    data = read_files(repository, commit, [path]).get(path)
    if data is None:
        raise UnknownRun(
            f"run commit {commit[:12]} has no file {path!r}; 'git ls-tree -r {commit[:12]} {layout.FOLDER}' lists them"
        )
    return data


_RECORD = (layout.RUN, layout.PARAMS, layout.METRICS)


def read_record(repository: Repository, run: RunState | str) -> RunRecord:
    commit = _commit(run)
    return record_of(commit, read_files(repository, commit, _RECORD))


def read_ahead(
    repository: Repository, wanted: Mapping[str, Sequence[str]] | Sequence[str]
) -> dict[str, dict[str, bytes | None]]:
    """Files of several run commits, by commit, all in one process; of commits alone what `record_of` and `environment_of` take."""
    if not isinstance(wanted, Mapping):
        wanted = dict.fromkeys(wanted, (*_RECORD, layout.ENVIRONMENT))
    names = [f"{commit}:{layout.FOLDER}/{path}" for commit, paths in wanted.items() for path in paths]
    found: dict[str, dict[str, bytes | None]] = {commit: {} for commit in wanted}
    for name, kind, data in repository.read_objects(names):
        commit, _, path = name.partition(":")
        found[commit][path.removeprefix(f"{layout.FOLDER}/")] = data if kind == "blob" else None
    return found


def record_of(commit: str, files: Mapping[str, bytes | None]) -> RunRecord:
    """The record that the files of a run commit hold; raises CorruptRecord."""
    record, params, metrics = (files.get(name) for name in _RECORD)
    if record is None or params is None or metrics is None:
        raise CorruptRecord(f"run commit {commit} lacks its record ({', '.join(_RECORD)}); run 'gittrack fsck'")
    return read_record_files(record, params, metrics, f"run commit {commit[:12]}")


def read_environment(repository: Repository, run: RunState | str) -> Environment:
    return environment_of(read_files(repository, _commit(run), [layout.ENVIRONMENT]))


def environment_of(files: Mapping[str, bytes | None]) -> Environment:
    """What a run was made with, as the files of its commit say; empty where they do not."""
    from gittrack.domain.environment import Environment

    data = files.get(layout.ENVIRONMENT)
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
    paths = history_files(record, keys)
    if paths is None:
        pointer = record.large.get(layout.HISTORY)
        whole = read_file(repository, commit, layout.HISTORY) if pointer is None else fetch(pointer)
        return from_parquet(whole, _known(record, keys))
    return histories_in(record, keys, read_files(repository, commit, paths), commit)


def history_files(record: RunRecord, keys: Iterable[str] | None) -> list[str] | None:
    """The files of a run's folder that hold the histories of these metrics; None where one file holds those of all."""
    if sum(one.count for one in record.summary.values()) > layout.LARGE_HISTORY:
        return None
    return [layout.plot_path(key) for key in _known(record, keys) if record.summary[key].count > 1]


def histories_in(
    record: RunRecord, keys: Iterable[str] | None, files: Mapping[str, bytes | None], commit: str
) -> dict[str, History]:
    """What those files hold, and the metrics of one point, which have none; raises CorruptRecord."""
    histories = {}
    for key in _known(record, keys):
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


def _known(record: RunRecord, keys: Iterable[str] | None) -> list[str]:
    return [key for key in (record.summary if keys is None else keys) if key in record.summary]


def _commit(run: RunState | str) -> str:
    commit = run if isinstance(run, str) else run.commit
    if commit is None:
        raise UnknownRun("an active run has no commit yet; wait until it is finished")
    return commit
