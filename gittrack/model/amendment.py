"""Amendments: later changes to what is known of a finished run, and how they fold."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gittrack.model.run import RunState, Status

TAG_PREFIX = "tag:"
CHANGEABLE = ("name", "description", "deleted")


@dataclass(frozen=True, slots=True)
class Amendment:
    """One change: `changes` maps `name`, `description`, `deleted` or `tag:<key>` to a value, or to None for removal.

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
    name, description = said.get("name"), said.get("description")
    return dataclasses.replace(
        state,
        name=str(name) if name else state.name,
        description=state.description if "description" not in said else str(description or ""),
        tags=tags,
        deleted=bool(said.get("deleted", False)),
        status=Status(state.status),
    )
