"""SQL says of every run what the words of the filter language say of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from gittrack.domain.run import RunState
from gittrack.index.database import open_memory, transaction
from gittrack.index.filter import And, Compare, Field, Filter, In, Node, Or
from gittrack.index.intake import entry_of
from gittrack.index.query import Selection, select
from gittrack.index.writer import Writer
from tests.index.filters import conditions, holds, nodes
from tests.index.samples import BEGINNING, a_run, run_states

NOW = BEGINNING + 3600.0

runs = st.integers(1, 6).flatmap(lambda count: st.tuples(*(run_states(number) for number in range(count))))


def _index_of(states: tuple[RunState, ...]) -> sqlite3.Connection:
    connection = open_memory(None)
    with transaction(connection):
        writer = Writer(connection)
        writer.add([entry_of(state, ledgered=False) for state in states])
        writer.close()
    return connection


def _passing(connection: sqlite3.Connection, node: Node) -> set[str]:
    return {state.id for state in select(connection, Selection(Filter(node), deleted=True), NOW)}


def _known(node: Node, states: tuple[RunState, ...]) -> bool:
    """A filter over keys that no run has is refused, which is another test's matter."""
    return all(
        field.kind == "run" or any(field.name in getattr(state, field.kind) for state in states)
        for field in Filter(node).compared_fields()
    )


def _check(states: tuple[RunState, ...], node: Node) -> None:
    if not _known(node, states):
        return
    with closing(_index_of(states)) as connection:
        assert _passing(connection, node) == {state.id for state in states if holds(node, state, NOW)}


@given(runs, conditions())
def test_one_condition(states, node):
    _check(states, node)


@given(runs, nodes())
def test_conditions_joined(states, node):
    _check(states, node)


@given(runs, nodes())
def test_a_column_filled_before_a_run_came_is_like_one_filled_after(states, node):
    if not _known(node, states[:1]):
        return
    with closing(_index_of(states[:1])) as connection:
        _passing(connection, node)
        with transaction(connection):
            writer = Writer(connection)
            writer.add([entry_of(state, ledgered=False) for state in states[1:]])
            writer.close()
        assert _passing(connection, node) == {state.id for state in states if holds(node, state, NOW)}


def test_as_many_conditions_as_a_filter_may_have():
    lr = Field("params", "lr")
    states = (a_run(1, params={"lr": 1}), a_run(2, params={"lr": 5000}))
    with closing(_index_of(states)) as connection:
        many = Or(tuple(Compare(lr, "=", number) for number in range(2000)))
        assert _passing(connection, many) == {states[0].id}
        assert _passing(connection, And(tuple(Compare(lr, "!=", number) for number in range(2000)))) == {states[1].id}
        assert _passing(connection, In(lr, tuple(range(2000)))) == {states[0].id}
        names = Or(tuple(Compare(Field("run", "name"), "~", f"^run-{number}$") for number in range(2000)))
        assert _passing(connection, names) == {states[0].id, states[1].id}
