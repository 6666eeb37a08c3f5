"""Races of two people for a model: each is held up by a rule of the stage until the other one is there too."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from gittrack.domain.version import Version
from gittrack.errors import LostRace
from gittrack.git.repository import Repository
from gittrack.models.registrar import Changed
from gittrack.registry.event import subject
from gittrack.registry.read import read_registry
from gittrack.registry.record import refs_of
from gittrack.registry.state import Model
from gittrack.registry.tagname import SEQUENCE, SHARED, TAGS
from tests.helpers import Repo
from tests.registry.builders import PEOPLE, Team, register_runs, team

MODEL = "digits"
# Whoever promotes has fetched and decided when the rule is looked at, and has not pushed yet.
_MEET = (
    "cd $GITTRACK_MODEL_REPOSITORY/../meeting && touch $GITTRACK_MODEL_VERSION && "
    "until [ $(ls | wc -l) -ge 2 ]; do sleep 0.01; done"
)
_SETTINGS = f"""\
registry:
  stages:
    staging: {{policy: {{run: "{_MEET}"}}}}
    production: {{archive: true, policy: {{run: "{_MEET}"}}}}
"""


@dataclass(frozen=True)
class Attempt:
    """`version` into `stage`, by the person of that number; `held` is who held the stage before."""

    who: int
    version: str
    stage: str
    held: str


def racers(folder: Path) -> Team:
    """Two people with four versions; all that is new in one clone is in the other."""
    made = team(folder, runs=2, settings=_SETTINGS)
    (folder / "meeting").mkdir()
    register_runs(made, MODEL, (0, 1))
    made.open(0).fetch(data=False)
    return made


def race(made: Team, number: int, stages: tuple[str, str]) -> None:
    """One race, with all that must be so after it; in the end the loser has had their way too."""
    attempts = _attempts(made, number, stages)
    for path in (made.folder / "meeting").iterdir():
        path.unlink()
    there = refs(made.bare)
    here = [refs(repo) for repo in made.clones]

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda one: _promote(made, one), attempts))

    won = [one for one in results if isinstance(one, Changed)]
    lost = [one for one in results if isinstance(one, LostRace)]
    assert (len(won), len(lost)) == (1, 1), results
    winner, loser = attempts[results.index(won[0])], attempts[results.index(lost[0])]
    assert refs(made.bare) == there | refs_of(won[0].events), "something of the loser is on the remote"
    assert refs(made.clones[loser.who]) == here[loser.who] | registry(there), "the loser's own refs changed"
    assert refs(made.clones[winner.who]) == here[winner.who] | registry(there) | refs_of(won[0].events)
    said = str(lost[0])
    assert PEOPLE[winner.who] in said, said
    change = next(
        one for one in won[0].events if one.version == Version.parse(winner.version) and one.place == winner.stage
    )
    assert subject(change) in said, said
    if loser.stage == winner.stage:
        assert said.endswith(f"with --expect {winner.version}"), said
    else:
        assert "--expect" not in said, said
    _go_on(made, loser)


def _attempts(made: Team, number: int, stages: tuple[str, str]) -> list[Attempt]:
    """Different versions, of which none is where it is to go."""
    newest = read_registry(Repository.discover(made.bare.path)).get(MODEL)
    free = {stage: [one for one in newest.versions if one not in newest.holders.get(stage, ())] for stage in stages}
    first = free[stages[0]][number % len(free[stages[0]])]
    others = [one for one in free[stages[1]] if one != first]
    chosen = (first, others[number % len(others)])
    return [Attempt(who, chosen[who].short, stages[who], _holder(newest, stages[who])) for who in (0, 1)]


def _holder(model: Model, stage: str) -> str:
    return next((one.short for one in model.holders.get(stage, ())), "none")


def _promote(made: Team, one: Attempt) -> Changed | LostRace:
    try:
        return made.open(one.who).models.registrar.promote(MODEL, one.version, one.stage, expect=one.held)
    except LostRace as error:
        return error


def _go_on(made: Team, loser: Attempt) -> None:
    project = made.open(loser.who)
    assert project.fetch(data=False).lost == ()
    held = _holder(read_registry(project.repo).get(MODEL), loser.stage)
    changed = _promote(made, replace(loser, held=held))
    assert isinstance(changed, Changed), changed
    model = read_registry(project.repo).get(MODEL)
    assert model.holders[loser.stage] == (Version.parse(loser.version),)
    assert read_registry(project.repo).findings == ()


def refs(repo: Repo) -> dict[str, str]:
    """All but what a clone remembers of what it saw on the remote."""
    listed = repo.git("for-each-ref", "--format=%(refname) %(objectname)")
    found = dict(line.split(" ") for line in listed.splitlines())
    return {ref: one for ref, one in found.items() if not ref.startswith((SHARED, "refs/gittrack/policy/"))}


def registry(listed: dict[str, str]) -> dict[str, str]:
    return {ref: one for ref, one in listed.items() if ref.startswith((TAGS, SEQUENCE))}
