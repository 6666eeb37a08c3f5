"""Two people promote at the same moment: one wins, and the other loses nothing but the race."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gittrack.errors import LostRace
from gittrack.models.registrar import Share
from gittrack.registry.event import subject
from tests.helpers import wait_until
from tests.registry.races import MODEL, race, racers


def test_of_two_promotions_at_one_moment_one_wins_and_the_other_goes_on(tmp_path: Path) -> None:
    team = racers(tmp_path / "team")
    for number, stages in enumerate(
        [("production", "production"), ("production", "staging"), ("staging", "production")]
    ):
        race(team, number, stages)


def test_whose_earlier_change_had_waited_is_told_who_won_too(tmp_path: Path) -> None:
    team = racers(tmp_path / "team")
    meeting = team.folder / "meeting"
    jane, joe = team.open(0), team.open(1)
    (waits,) = joe.models.registrar.set_alias(MODEL, "v1", "mine", share=Share(push=False)).events
    with ThreadPoolExecutor(1) as pool:
        losing = pool.submit(lambda: team.open(1).models.registrar.promote(MODEL, "v2", "production"))
        wait_until(lambda: any(meeting.iterdir()), "the rule of the stage is looked at")
        (won,) = jane.models.registrar.set_alias(MODEL, "v3", "champion").events
        (meeting / "now").touch()
        with pytest.raises(LostRace) as told:
            losing.result()
    assert won.number == waits.number
    assert f"{subject(won)}: Jane" in str(told.value)
    assert joe.fetch(data=False).lost == (waits,)
    assert not joe.models.get(MODEL).holders
