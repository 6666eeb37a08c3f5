from __future__ import annotations

import dataclasses
import random

from hypothesis import given
from hypothesis import strategies as st

from gittrack.domain.amendment import Amendment, fold
from gittrack.domain.run import RunState, Status

RUN = RunState(
    id="a" * 32,
    name="first",
    experiment="digits",
    status=Status.FINISHED,
    started=1.0,
    ended=2.0,
    tags={"kind": "cv"},
    description="as logged",
)

changes = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["x", "y", None]),
        "description": st.sampled_from(["text", "", None]),
        "deleted": st.sampled_from([True, False, None]),
        "tag:kind": st.sampled_from(["a", "b", None]),
        "tag:new": st.sampled_from(["c", None]),
    },
)
continuations = st.one_of(
    st.none(),
    st.integers(2, 3).map(lambda attempt: dataclasses.replace(RUN, attempt=attempt, metrics={"loss": 1.0 / attempt})),
)


@st.composite
def amendments(draw: st.DrawFn) -> list[Amendment]:
    many = draw(st.lists(st.tuples(st.integers(1, 3), changes, continuations), max_size=6))
    return [
        Amendment(RUN.id, clock, f"{number:040x}", changes=change, continuation=continuation)
        for number, (clock, change, continuation) in enumerate(many)
    ]


@given(amendments(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(many, chance: random.Random):
    shuffled = chance.sample(many, len(many))
    assert fold(RUN, shuffled) == fold(RUN, many)


@given(amendments())
def test_what_arrives_twice_counts_once(many):
    assert fold(RUN, many + many) == fold(RUN, many)


def test_without_amendments_nothing_changes():
    assert fold(RUN, []) == RUN


def _after(*changes_made, **continuation):
    return fold(
        RUN, [Amendment(RUN.id, clock, f"{clock:040x}", changes=one) for clock, one in enumerate(changes_made, 1)]
    )


def test_the_last_change_of_a_key_wins():
    assert _after({"tag:kind": "a"}, {"tag:kind": "b", "tag:new": "c"}).tags == {"kind": "b", "new": "c"}
    assert _after({"tag:kind": None}).tags == {}
    assert _after({"tag:kind": None}, {"tag:kind": "again"}).tags == {"kind": "again"}
    assert _after({"name": "x"}, {"name": "y"}).name == "y"
    assert _after({"name": "x"}, {"name": None}).name == "first"
    assert _after({"description": "better"}).description == "better"
    assert _after({"description": None}).description == ""


def test_delete_and_restore():
    assert _after({"deleted": True}).deleted
    assert not _after({"deleted": True}, {"deleted": False}).deleted
    assert not _after({"deleted": True}, {"deleted": None}).deleted


def test_two_at_one_clock_are_ordered_by_commit():
    one = Amendment(RUN.id, 1, "1" * 40, changes={"name": "one"})
    two = Amendment(RUN.id, 1, "2" * 40, changes={"name": "two"})
    assert fold(RUN, [two, one]).name == "two"


def test_a_continuation_replaces_what_was_measured_and_keeps_what_was_said():
    later = dataclasses.replace(RUN, attempt=2, status=Status.FAILED, metrics={"loss": 0.5}, commit="c" * 40)
    found = fold(
        RUN,
        [
            Amendment(RUN.id, 1, "1" * 40, changes={"name": "renamed", "tag:kind": "final"}),
            Amendment(RUN.id, 2, "2" * 40, continuation=later),
        ],
    )
    assert (found.status, found.metrics, found.attempt) == (Status.FAILED, {"loss": 0.5}, 2)
    assert found.commit == "c" * 40
    assert (found.name, found.tags) == ("renamed", {"kind": "final"})


def test_an_older_attempt_does_not_replace_a_newer_one():
    second, third = (dataclasses.replace(RUN, attempt=attempt) for attempt in (2, 3))
    found = fold(
        RUN, [Amendment(RUN.id, 1, "1" * 40, continuation=third), Amendment(RUN.id, 2, "2" * 40, continuation=second)]
    )
    assert found.attempt == 3
