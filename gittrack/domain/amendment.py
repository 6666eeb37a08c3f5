"""Amendments: later changes to what is known of a finished run, and how they fold."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from gittrack.domain.artifact import Artifact
from gittrack.domain.run import RunState, Status
from gittrack.values import dataclass, field, replace

TAG_PREFIX = "tag:"
ARTIFACT_PREFIX = "artifact:"  # then its path; the value is JSON, as in the record line, with `name` where it has one
CHANGEABLE = ("name", "description", "deleted")


@dataclass(frozen=True, slots=True)
class Amendment:
    """One change: `changes` maps `name`, `description`, `deleted`, `tag:<key>` or `artifact:<path>` to a value, or to
    None for removal.

    `clock` is one more than the highest clock that the writer had seen for the run; `commit` the amendment's own id.
    `continuation` is the record of a resumed run as its newest attempt left it.
    """

    run: str
    clock: int
    commit: str
    author: str = ""
    time: float = 0.0
    changes: Mapping[str, str | bool | None] = field(default_factory=dict)
    continuation: RunState | None = None


def fold(run: RunState, amendments: Iterable[Amendment]) -> RunState:
    """The state of a run after all its amendments, the same in whatever order they arrive.

    They apply in the order of (clock, commit id), so that per key the last one wins everywhere alike. A
    continuation replaces what its attempt measured; what people said about the run before it stays.
    """
    ordered = sorted(amendments, key=lambda one: (one.clock, one.commit))
    said: dict[str, str | bool | None] = {}
    state = run
    for one in ordered:
        said.update(one.changes)
        if one.continuation is not None and one.continuation.attempt >= state.attempt:
            state = one.continuation
    tags = dict(state.tags)
    for key, value in said.items():
        if key.startswith(TAG_PREFIX):
            if value is None:
                tags.pop(key[len(TAG_PREFIX) :], None)
            else:
                tags[key[len(TAG_PREFIX) :]] = str(value)
    added = added_artifacts(said)
    named = {one.name: one for one in added.values() if one.name is not None}
    name, description = said.get("name"), said.get("description")
    return replace(
        state,
        name=str(name) if name else state.name,
        description=state.description if "description" not in said else str(description or ""),
        tags=tags,
        deleted=bool(said.get("deleted", False)),
        status=Status(state.status),
        artifacts={**state.artifacts, **named} if named else state.artifacts,
    )


def added_artifacts(changes: Mapping[str, str | bool | None]) -> dict[str, Artifact]:
    """Artifacts that changes add, by path; what cannot be read is passed over, since other people wrote it."""
    found = {}
    for key, value in changes.items():
        if key.startswith(ARTIFACT_PREFIX) and isinstance(value, str):
            path = key[len(ARTIFACT_PREFIX) :]
            try:
                found[path] = Artifact.from_dict({**json.loads(value), "path": path})
            except (KeyError, TypeError, ValueError, RecursionError):
                continue
    return found


def all_added(amendments: Iterable[Amendment]) -> dict[str, Artifact]:
    """Every artifact that amendments add, by path, in the order in which they fold."""
    said: dict[str, str | bool | None] = {}
    for one in sorted(amendments, key=lambda one: (one.clock, one.commit)):
        said.update(one.changes)
    return added_artifacts(said)
