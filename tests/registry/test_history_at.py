"""How a model stood at any moment, where the clocks of those who changed it lied."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.models.registrar import Share
from gittrack.registry.read import read_registry
from gittrack.registry.state import Model, until
from tests.registry.builders import Team, team

MODEL = "digits"
NOON = 1_772_366_400
HOUR = 3600
# What the clock said, from noon on, and who is brought where; without a version it is a rollback.
SCRIPT = (
    (0, "v1", "staging"),
    (HOUR, "v1", "production"),
    (2 * HOUR, "v2", "production"),
    (-5 * HOUR, "v3", "production"),
    (30 * HOUR, None, "production"),
    (3 * HOUR, None, "production"),
    (29 * HOUR, "v3", "staging"),
    (31 * HOUR, "v3", "production"),
    (32 * HOUR, None, "production"),
    (32 * HOUR, "v2", "staging"),
)
SETTINGS = "registry: {stages: {production: {archive: true}}}\n"

Held = dict[str, list[str]]


@dataclass(frozen=True)
class Story:
    """`moments` are those at which each of the changes was made, `stood` who held what after each of them."""

    team: Team
    model: Model
    moments: tuple[int, ...]
    stood: tuple[Held, ...]

    def at(self, moment: float) -> Held:
        return self.stood[sum(1 for one in self.moments if one <= moment) - 1] if moment >= self.moments[0] else {}


@pytest.fixture
def story(tmp_path: Path) -> Story:
    made = team(tmp_path / "team", runs=2, settings=SETTINGS)
    moments, stood = [], []
    for number in range(3):
        models = made.open(0).models
        run = made.open(0).get_run(("jane-0", "jane-1", "joe-0")[number])
        registrar = replace(models.registrar, author=replace(models.registrar.author, time=NOON - 10))
        done = registrar.register(MODEL, run, artifact="weights.txt", share=Share(push=False))
        moments.append(done.events[0].time)
        stood.append(_held(done.model))
    for clock, version, stage in SCRIPT:
        models = made.open(0).models
        registrar = replace(models.registrar, author=replace(models.registrar.author, time=NOON + clock))
        if version is None:
            done = registrar.rollback(MODEL, stage, share=Share(push=False))
        else:
            done = registrar.promote(MODEL, version, stage, share=Share(push=False))
        moments.append(done.events[0].time)
        stood.append(_held(done.model))
    return Story(made, read_registry(made.open(0).repo).get(MODEL), tuple(moments), tuple(stood))


def test_time_goes_on_whatever_clocks_say(story: Story) -> None:
    times = [one.time for one in story.model.events]
    assert all(a < b for a, b in itertools.pairwise(times))
    told = [one.clock for one in story.model.events if one.clock is not None]
    assert NOON - 5 * HOUR in told
    assert NOON + 3 * HOUR in told
    assert story.stood[-1] == {"production": ["v1"], "staging": ["v2"]}


def test_any_moment_shows_who_was_there_and_never_half_a_change(story: Story) -> None:
    last = story.model.events[-1].time
    near = st.sampled_from([one.time for one in story.model.events])
    moments = (
        st.integers(NOON - 60, last + 60)
        | st.floats(NOON - 60, last + 60)
        | st.builds(lambda a, b: a + b, near, st.integers(-2, 2))
    )

    @given(moments)
    def stands(moment: float) -> None:
        assert _held(until(story.model, moment)) == story.at(moment)

    stands()


def test_the_command_says_the_same(story: Story) -> None:
    for at in (2, 4, 7, 12):
        moment = story.moments[at]
        when = dt.datetime.fromtimestamp(moment, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
        said = story.team.clones[0].gittrack("model", "history", MODEL, "--at", when, "--json").stdout
        stages = orjson.loads(said)["stages"]
        held = {stage: [one["version"] for one in versions] for stage, versions in stages.items()}
        assert held == {stage: [f"{one}.0.0" for one in versions] for stage, versions in story.at(moment).items()}


def _held(model: Model) -> Held:
    return {stage: [one.short for one in held] for stage, held in model.holders.items()}
