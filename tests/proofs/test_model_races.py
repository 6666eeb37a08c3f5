"""Fifty races of two people for one model, over a folder and over smart HTTP: each has one winner, and no half promotion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ledger.servers import git_http
from tests.pointers.servers import PASSWORD, USER
from tests.registry.builders import Team
from tests.registry.races import race, racers

RACES = 25
SAME = (("production", "production"), ("staging", "staging"))
DIFFERENT = (("production", "staging"), ("staging", "production"))


@pytest.fixture(params=["file", "http"])
def team(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    made = racers(tmp_path / "team")
    if request.param == "file":
        yield made
        return
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "file:http")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    helper = tmp_path / "helper"
    helper.write_text(f'#!/bin/sh\necho username={USER}\necho "password={PASSWORD}"\n')
    helper.chmod(0o755)
    made.bare.git("config", "--global", "credential.helper", str(helper))
    with git_http(made.bare.path.parent) as server:
        made.reach_through(f"http://127.0.0.1:{server.port}/{made.bare.path.name}")
        yield made


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("stages", [SAME, DIFFERENT], ids=["one stage", "two stages"])
def test_every_race_has_one_winner_and_leaves_nothing_of_the_loser(
    team: Team, stages: tuple[tuple[str, str], ...]
) -> None:
    for number in range(RACES):
        race(team, number, stages[number % len(stages)])
    assert team.bare.git("fsck", "--strict", "--no-dangling") == ""
