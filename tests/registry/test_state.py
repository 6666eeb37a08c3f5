"""What events add up to: by number, whatever order they come in and whatever clocks said."""

from __future__ import annotations

import random
from typing import Any

import pytest

from gittrack.domain.version import Version
from gittrack.errors import UnknownModel
from gittrack.registry.event import Event
from gittrack.registry.state import Model, fold, until
from gittrack.registry.tagname import Action

ONE, TWO, THREE = Version(1), Version(2), Version(3)


class Script:
    """Events one after the other."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def say(self, *steps: tuple[Action, Version | None, str | None], **details: Any) -> Script:
        operation = len(self.events) + 1
        for action, version, place in steps:
            number = len(self.events) + 1
            commit = "" if version is None else f"{version.major}" * 40
            self.events.append(
                Event(
                    "digits", number, action, commit, "r", version, place, operation, time=100 * number, details=details
                )
            )
        return self

    def promote(self, version: Version, out: Version | None = None, **details: Any) -> Script:
        leaving = [] if out is None else [(Action.UNASSIGN, out, "production")]
        return self.say(*leaving, (Action.ASSIGN, version, "production"), **details)

    @property
    def model(self) -> Model:
        return fold("digits", self.events)


@pytest.fixture
def script() -> Script:
    return Script().say(*((Action.REGISTER, version, None) for version in (ONE, TWO, THREE)))


def test_a_promotion_displaces_and_is_found_by_its_stage(script: Script) -> None:
    model = script.promote(ONE).promote(TWO, ONE).model
    assert model.find("production").version == TWO
    assert (model.find("v1").stages, model.find("latest").version, model.number) == ((), THREE, 6)
    assert model.strange == ()


def test_the_order_in_which_they_come_means_nothing(script: Script) -> None:
    events = script.promote(ONE).promote(TWO, ONE).say((Action.ALIAS, ONE, "champion")).events
    shuffled = random.Random(3).sample(events, len(events))
    assert fold("digits", shuffled) == fold("digits", events)


def test_rolling_back_goes_on_to_what_was_before_that(script: Script) -> None:
    script.promote(ONE).promote(TWO, ONE).promote(THREE, TWO)
    assert script.model.before("production") == (TWO,)
    script.promote(TWO, THREE, rollback=True)
    assert script.model.before("production") == (ONE,)
    script.promote(ONE, TWO, rollback=True)
    assert script.model.before("production") == ()
    script.say((Action.UNASSIGN, ONE, "production"))
    assert script.model.before("production") == (ONE,)


def test_a_deprecated_version_is_nothing_to_go_back_to(script: Script) -> None:
    script.promote(ONE).promote(TWO, ONE).promote(THREE, TWO).say((Action.DEPRECATE, TWO, None))
    assert script.model.before("production") == (ONE,)
    assert script.model.find("v2").deprecated is not None


def test_rolling_back_goes_on_where_two_came_back_in_another_order(script: Script) -> None:
    stage = "canary"
    script.say((Action.ASSIGN, ONE, stage)).say((Action.ASSIGN, TWO, stage))
    script.say((Action.UNASSIGN, ONE, stage), (Action.ASSIGN, THREE, stage))
    assert script.model.before(stage) == (ONE, TWO)
    script.say((Action.UNASSIGN, THREE, stage), (Action.ASSIGN, ONE, stage), rollback=True)
    assert script.model.holders[stage] == (TWO, ONE)
    assert script.model.before(stage) == (ONE,)


def test_as_it_was_at_any_moment_and_never_in_the_middle_of_a_promotion(script: Script) -> None:
    model = script.promote(ONE).promote(TWO, ONE).model
    assert [until(model, moment).holders.get("production") for moment in (0, 399, 400, 499, 500, 600, 9999)] == [
        None,
        None,
        (ONE,),
        (ONE,),
        (TWO,),
        (TWO,),
        (TWO,),
    ]


def test_what_cannot_have_happened_counts_for_nothing(script: Script) -> None:
    script.say((Action.REGISTER, ONE, None)).say((Action.UNASSIGN, ONE, "staging")).say(
        (Action.ASSIGN, Version(9), "staging")
    )
    script.say((Action.UNALIAS, ONE, "champion"))
    model = script.model
    assert [event.number for event, _ in model.strange] == [4, 5, 6, 7]
    assert model.holders == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("v9", "no version v9; it has v1, v2, v3"),
        ("productoin", "did you mean 'production'"),
        ("staging", "is in staging now"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is_near(script: Script, text: str, said: str) -> None:
    script.promote(ONE).say((Action.ASSIGN, TWO, "staging")).say((Action.UNASSIGN, TWO, "staging"))
    with pytest.raises(UnknownModel, match=said):
        script.model.find(text)
