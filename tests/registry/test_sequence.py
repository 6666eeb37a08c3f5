"""What is remembered of a sequence adds up to what all of its events add up to."""

from __future__ import annotations

import random

import pytest

from gittrack.domain.version import Version
from gittrack.registry.event import Event
from gittrack.registry.read import Row
from gittrack.registry.sequence import Known, take
from gittrack.registry.state import fold
from gittrack.registry.tagname import Action
from gittrack.values import replace

STAGES, ALIASES = ("staging", "production", "archived"), ("champion", "challenger")


@pytest.mark.parametrize("seed", range(30))
def test_what_is_kept_says_how_each_version_stands(seed: int) -> None:
    dice = random.Random(seed)
    kept: dict[str, list[Row]] = {}
    events: list[Event] = []
    for number in range(1, 60):
        action = dice.choice([*Action, Action.ASSIGN, Action.UNASSIGN]) if number > 3 else Action.REGISTER
        action = Action.APPROVE if action is Action.RETIRE and number < 50 else action
        version = None if action is Action.RETIRE else Version(dice.randint(1, 6))
        place = None
        if action in (Action.ASSIGN, Action.UNASSIGN):
            place = dice.choice(STAGES)
        elif action in (Action.ALIAS, Action.UNALIAS):
            place = dice.choice(ALIASES)
        event = Event("digits", number, action, "c" * 40, "r" * 32, version, place, number, object=f"{number:040x}")
        take(kept, events[-1] if events else None, [event])
        events.append(event)
        whole = fold("digits", events)
        known = Known(event, kept, {}, lambda: tuple(events))
        for one in whole.versions:
            found = fold("digits", known.about({str(one)}))
            # The order of a version's stages is that in which anybody came to them first.
            mine, theirs = (
                replace(model.versions[one], stages=tuple(sorted(model.versions[one].stages)))
                for model in (found, whole)
            )
            assert mine == theirs
            assert {name: set(held) for name, held in found.holders.items()} == {
                name: set(held) for name, held in whole.holders.items()
            }
            assert found.aliases == whole.aliases
            assert (found.retired is None, found.number) == (whole.retired is None, number)
