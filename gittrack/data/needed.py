"""Which objects runs need: what their artifacts and inputs point to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from gittrack.data.depot import Depot
from gittrack.domain.amendment import Amendment, all_added
from gittrack.domain.artifact import Artifact
from gittrack.domain.codec import amendment_from_line, large_from_dict
from gittrack.domain.input import Input
from gittrack.domain.pointer import Pointer
from gittrack.domain.run import RunState
from gittrack.errors import CorruptRecord, FormatTooNew
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.files import from_yaml
from gittrack.ledger.read import RunLines, read_lines
from gittrack.values import dataclass

# Words of `run.yaml` without which it points to nothing: most runs need not be parsed.
_MARKS = (b"pointer: true", b"tracked_by: ", b"\nlarge:")
ARTIFACT, INPUT, FILE = "artifact", "input", "file"


# All amendments of a run, by its id.
FindAmendments = Callable[[str], Iterable[Amendment]]


@dataclass(frozen=True, slots=True)
class Needed:
    """One object that a run needs; `what` is artifact, input, or a file of the run itself.

    `called` is its name or path, `path` where it lies when the run is checked out."""

    run: RunState
    what: str
    called: str
    path: str
    pointer: Pointer
    kind: str | None = None
    tracked_by: str | None = None

    def __str__(self) -> str:
        return f"{self.what} {self.called!r} of run {self.run.name} ({self.run.id[:8]})"


def needed_objects(
    repository: Repository,
    runs: Iterable[RunState],
    *,
    strict: bool = False,
    amendments: FindAmendments | None = None,
) -> Iterator[Needed]:
    """Everything that the runs point to, in their order; active runs have nothing in git yet.

    A run whose record cannot be read is passed over here, since `fsck` names it; with `strict` it raises CorruptRecord.
    `amendments` knows all of a run by its id; without it those count that its head leads to.
    """
    suffix = f":{layout.FOLDER}/{layout.RUN}"
    states = {f"{state.commit}{suffix}": state for state in runs if state.commit is not None}
    added = _added(repository, states.values(), amendments, strict)
    for name, kind, data in repository.read_objects(states):
        state = states[name]
        found: dict[tuple[str, str], Needed] = {}
        if kind != "blob" and strict:
            raise _unreadable(state)
        if kind == "blob" and any(mark in data for mark in _MARKS):
            for one in _of_record(state, data, strict):
                found[one.what, one.path] = one
        # The state knows what was added by its name, and of two with one name only the last.
        for artifact in (*added.get(state.id, {}).values(), *state.artifacts.values()):
            if artifact.pointer:
                one = _of_artifact(state, artifact)
                found[ARTIFACT, one.path] = one
        yield from found.values()


def not_shared(repository: Repository, depot: Depot, runs: Iterable[RunState]) -> str:
    """What of the data of runs others could not get, as a sentence; empty when they could get all. It asks the remote."""
    needed = list(needed_objects(repository, runs))
    if not needed:
        return ""
    oids, absent = depot.objects([one.pointer for one in needed])
    if absent:
        return f"{next(iter(absent.values()))}; 'gittrack pull' first"
    answer = depot.ask(oids)
    if answer.silence:
        return f"nobody can tell whether its data are where others can get them: {answer.silence}"
    missing = [oid for oid in oids if oid not in answer.sizes]
    if not missing:
        return ""
    count = "1 object" if len(missing) == 1 else f"{len(missing):,} objects"
    return (
        f"{count} of its data {'is' if len(missing) == 1 else 'are'} not on {answer.name}; 'gittrack push' sends them"
    )


def _added(
    repository: Repository,
    runs: Iterable[RunState],
    amendments: FindAmendments | None,
    strict: bool,
) -> dict[str, dict[str, Artifact]]:
    """What was added later, of each run by its path."""
    # Whatever is added has a name.
    amended = {one.id: one for one in runs if one.artifacts and one.head not in (None, one.commit)}
    if amendments is not None:
        return {run: all_added(amendments(run)) for run in amended}
    found = {}
    for one in read_lines(repository, {run: [str(state.head)] for run, state in amended.items()}):
        if isinstance(one, RunLines):
            try:
                found[one.run] = all_added(
                    amendment_from_line(line.plain, commit=line.commit) for line in one.amendments
                )
                continue
            except (CorruptRecord, FormatTooNew):
                pass
        if strict:
            raise _unreadable(amended[one.run])
    return found


def _unreadable(state: RunState) -> CorruptRecord:
    return CorruptRecord(
        f"the record of run {state.name} ({state.id[:8]}) cannot be read, so nobody knows which objects it needs; "
        "run 'gittrack fsck' and mend it first"
    )


def _of_record(state: RunState, data: bytes, strict: bool) -> Iterator[Needed]:
    try:
        plain = from_yaml(data, "run.yaml")
        for one in plain.get("artifacts", ()):
            if one.get("pointer"):
                yield _of_artifact(state, Artifact.from_dict(one))
        for path, large in large_from_dict(plain).items():
            yield Needed(state, FILE, path, f"{layout.FOLDER}/{path}", large)
        for one in plain.get("inputs", ()):
            used = Input.from_dict(one)
            pointer = used.as_pointer
            if pointer is not None:
                yield Needed(state, INPUT, used.path, used.path, pointer, tracked_by=used.tracked_by)
    except (CorruptRecord, AttributeError, KeyError, TypeError, ValueError):
        if strict:
            raise _unreadable(state) from None


def _of_artifact(state: RunState, artifact: Artifact) -> Needed:
    path = f"{layout.FOLDER}/{layout.ARTIFACTS}/{artifact.path}"
    return Needed(state, ARTIFACT, artifact.called, path, artifact.as_pointer(), artifact.kind)
