"""Chance works on two models in two clones with one remote: it registers, promotes, rolls back, names, approves, ends, shares.

A model knows what each clone and the remote were told, and how things stood after each step. At every step all three say the
same as it does; in the end GTO and DVC, which know nothing of us, say the same too.
"""

from __future__ import annotations

import copy
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gto.api
import pytest
from dvc.repo import Repo as DvcRepo
from dvc.repo.artifacts import Artifacts
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from gittrack.domain.version import Version
from gittrack.errors import GittrackError
from gittrack.git.repository import Repository
from gittrack.models.registrar import Changed, Registrar, Share
from gittrack.project import Project
from gittrack.registry.event import Event
from gittrack.registry.read import Registry, read_registry
from gittrack.registry.record import refs_of
from gittrack.registry.tagname import ARCHIVED, LOST, NONE, Action, has_tag
from tests.helpers import Repo
from tests.registry.builders import PEOPLE, WEIGHTS, Team, register_runs, team
from tests.registry.races import refs, registry

RUNS_EACH = 2
SETTINGS = """\
registry:
  stages:
    canary: {holders: 2}
    gated: {policy: {approvals: 1}}
    production: {archive: true}
"""
HOLDERS = {"staging": 1, "production": 1, "canary": 2, "gated": 1, ARCHIVED: 0}

CLONES = st.integers(0, 1)
# Mostly the first: what is rare needs many changes of one model.
MODELS = st.sampled_from(["digits", "digits", "digits", "team/ocr"])
ANY = 7
VERSIONS = st.integers(0, ANY)
STAGES = st.sampled_from(["production"] * 3 + ["canary"] * 2 + ["staging", "gated", ARCHIVED])
ALIASES = st.sampled_from(["champion", "a/b"])
PUSH = st.booleans()


@dataclass
class Entry:
    """A version as the model knows it; people are numbers."""

    registrar: int
    run: int
    deprecated: bool = False
    approvals: list[tuple[int, str | None]] = field(default_factory=list)

    @property
    def author(self) -> int:
        return self.run // RUNS_EACH


@dataclass
class Standing:
    """How a model stands; `past` holds, by stage, who was in it, as often as that changed and was not rolled back."""

    versions: dict[Version, Entry] = field(default_factory=dict)
    holders: dict[str, list[Version]] = field(default_factory=dict)
    aliases: dict[str, Version] = field(default_factory=dict)
    past: dict[str, list[set[Version]]] = field(default_factory=dict)
    retired: bool = False

    def stages_of(self, version: Version) -> list[str]:
        return [stage for stage, held in self.holders.items() if version in held]

    def alive(self, version: Version) -> bool:
        return not (self.retired or self.versions[version].deprecated)

    def leave(self, version: Version, stage: str) -> None:
        self.holders[stage].remove(version)

    def enter(self, version: Version, stage: str) -> None:
        self.holders.setdefault(stage, []).append(version)

    def moved(self) -> None:
        """An operation is over: what is new in a stage becomes part of its past."""
        for stage, held in self.holders.items():
            past = self.past.setdefault(stage, [])
            if held and (not past or past[-1] != set(held)):
                past.append(set(held))

    def before(self, stage: str) -> int | None:
        """The place in the past of a stage to which a rollback leads."""
        past = self.past.get(stage, [])
        now = set(self.holders.get(stage, []))
        places = [
            at for at, held in enumerate(past) if held != now and not any(self.versions[one].deprecated for one in held)
        ]
        return places[-1] if places else None


@dataclass
class Step:
    """One change, as all who know of it know it."""

    events: tuple[Event, ...]
    after: Standing


Told = dict[str, list[Step]]
Decide = Callable[[Standing], Standing | None]


class Registries(RuleBasedStateMachine):
    """Two clones by number; a version is chosen among those that a clone sees."""

    template: Team

    @initialize()
    def begin(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="gittrack-models-"))
        shutil.copytree(self.template.folder, folder / "team", symlinks=True)
        self.team = Team(folder / "team")
        self.team.reach_through(self.team.bare.path.as_uri())
        self.there: Told = {}
        self.here: list[Told] = [{}, {}]
        self.aside: list[set[str]] = [set(), set()]
        projects = [self.team.open(who) for who in (0, 1)]
        runs = [project.get_run(f"{PEOPLE[who]}-{at}".lower()) for who, project in enumerate(projects) for at in (0, 1)]
        self.runs = [one.id for one in runs]
        versions: dict[Version, Entry] = {}
        for number, event in enumerate(read_registry(projects[0].repo).get("digits").events):
            versions[Version(number + 1)] = Entry(number // RUNS_EACH, number)
            self.there.setdefault("digits", []).append(Step((event,), Standing(dict(versions))))
        self.took(0)
        self.took(1)

    def teardown(self) -> None:
        try:
            # Not after a failure, which it would hide.
            if hasattr(self, "runs") and sys.exc_info()[0] is None:
                self.others_agree()
        finally:
            if hasattr(self, "team"):
                shutil.rmtree(self.team.folder.parent, ignore_errors=True)

    # --- what people do

    @rule(
        clone=CLONES,
        name=MODELS,
        run=st.integers(0, 2 * RUNS_EACH - 1),
        number=st.sampled_from([None, None, None, None, "minor", "patch", "7.0.0-rc.1", "2.5.0"]),
        push=PUSH,
    )
    def register(self, clone: int, name: str, run: int, number: str | None, push: bool) -> None:
        bump = number if number in ("minor", "patch") else None
        version = number if number != bump else None

        def decide(now: Standing) -> Standing | None:
            newest = max(now.versions, default=None)
            made = Version(1) if newest is None else newest.bump(bump or "major")
            made = made if version is None else Version.parse(version)
            again = any(one.run == run for one in now.versions.values()) and number is None
            if now.retired or made in now.versions or again:
                return None
            now.versions[made] = Entry(clone, run)
            return now

        def call(project: Project, registrar: Registrar, share: Share) -> Changed:
            found = project.get_run(self.runs[run])
            return registrar.register(name, found, artifact=WEIGHTS, version=version, bump=bump, share=share)

        self.change(clone, name, push, decide, call)

    @rule(clone=CLONES, version=VERSIONS, stage=STAGES, push=PUSH)
    def promote(self, clone: int, version: int, stage: str, push: bool) -> None:
        self.promote_so(clone, "digits", version, stage, push, False, None)

    @rule(
        clone=CLONES,
        name=MODELS,
        version=VERSIONS,
        stage=STAGES | st.just(NONE),
        push=PUSH,
        keep=st.booleans(),
        expect=st.none() | VERSIONS | st.just(NONE),
    )
    def promote_so(
        self, clone: int, name: str, version: int, stage: str, push: bool, keep: bool, expect: int | str | None
    ) -> None:
        which = self.choose(
            clone, name, version, push, lambda now, one: now.alive(one) and one not in now.holders.get(stage, [])
        )
        expected = None
        if expect is not None:
            expected = (
                expect
                if isinstance(expect, str)
                else str(self.choose(clone, name, expect, push, lambda now, one: one in now.holders.get(stage, [])))
            )

        def decide(now: Standing) -> Standing | None:
            held = now.holders.get(stage, [])
            as_expected = expected is None or [str(one) for one in held] == ([] if expected == NONE else [expected])
            if which not in now.versions:
                return None
            if stage == NONE:
                return self.left(now, which, now.stages_of(which))
            approved = any(place in (None, stage) for _, place in now.versions[which].approvals)
            if which in held or not now.alive(which) or not as_expected or (stage == "gated" and not approved):
                return None
            room = HOLDERS[stage]
            leaving = held[: len(held) - room + 1] if room and len(held) >= room else []
            for moved in [] if keep else now.stages_of(which):
                now.leave(which, moved)
            for one in leaving:
                now.leave(one, stage)
            now.enter(which, stage)
            for one in leaving:
                if stage == "production" and one not in now.holders.get(ARCHIVED, []):
                    now.enter(one, ARCHIVED)
            return now

        self.change(
            clone,
            name,
            push,
            decide,
            lambda _, registrar, share: registrar.promote(
                name, str(which), stage, keep=keep, expect=expected, share=share
            ),
        )

    @rule(clone=CLONES, name=MODELS, version=VERSIONS, stage=st.none() | STAGES, push=PUSH)
    def demote(self, clone: int, name: str, version: int, stage: str | None, push: bool) -> None:
        which = self.choose(clone, name, version, push, lambda now, one: bool(now.stages_of(one)))

        def decide(now: Standing) -> Standing | None:
            held = now.stages_of(which)
            return self.left(now, which, held if stage is None else [stage] if stage in held else [])

        self.change(
            clone,
            name,
            push,
            decide,
            lambda _, registrar, share: registrar.demote(name, str(which), stage, share=share),
        )

    def left(self, now: Standing, version: Version, stages: Iterable[str]) -> Standing | None:
        for stage in stages:
            now.leave(version, stage)
        return now if stages else None

    @rule(clone=CLONES, name=MODELS, stage=STAGES, push=PUSH)
    def rollback(self, clone: int, name: str, stage: str, push: bool) -> None:
        def decide(now: Standing) -> Standing | None:
            place = now.before(stage)
            if place is None:
                return None
            back, held = now.past[stage][place], now.holders.setdefault(stage, [])
            del now.past[stage][place + 1 :]
            for one in set(held) - back:
                now.leave(one, stage)
            # In the order in which they are in the past, which a set does not have; so it is not compared.
            for one in back:
                if stage != ARCHIVED and one in now.holders.get(ARCHIVED, []):
                    now.leave(one, ARCHIVED)
                if one not in held:
                    now.enter(one, stage)
            return now

        self.change(clone, name, push, decide, lambda _, registrar, share: registrar.rollback(name, stage, share=share))

    @rule(clone=CLONES, name=MODELS, version=st.none() | VERSIONS, alias=ALIASES, push=PUSH)
    def name_it(self, clone: int, name: str, version: int | None, alias: str, push: bool) -> None:
        """Let an alias mean a version, or nothing any more."""
        which = None if version is None else self.choose(clone, name, version, push, Standing.alive)

        def decide(now: Standing) -> Standing | None:
            if which is None:
                return None if now.aliases.pop(alias, None) is None else now
            if which not in now.versions or not now.alive(which) or now.aliases.get(alias) == which:
                return None
            now.aliases[alias] = which
            return now

        def call(_: Project, registrar: Registrar, share: Share) -> Changed:
            if which is None:
                return registrar.remove_alias(name, alias, share=share)
            return registrar.set_alias(name, str(which), alias, share=share)

        self.change(clone, name, push, decide, call)

    @rule(clone=CLONES, name=MODELS, version=VERSIONS, stage=st.sampled_from([None, "gated"]), push=PUSH)
    def approve(self, clone: int, name: str, version: int, stage: str | None, push: bool) -> None:
        which = self.choose(
            clone,
            name,
            version,
            push,
            lambda now, one: clone not in (now.versions[one].registrar, now.versions[one].author),
        )

        def decide(now: Standing) -> Standing | None:
            if which not in now.versions or not now.alive(which):
                return None
            one = now.versions[which]
            if clone in (one.registrar, one.author):
                return None
            if any(who == clone and place in (None, stage) for who, place in one.approvals):
                return None
            one.approvals.append((clone, stage))
            return now

        self.change(
            clone,
            name,
            push,
            decide,
            lambda _, registrar, share: registrar.approve(name, str(which), stage, share=share),
        )

    @rule(clone=CLONES, name=MODELS, version=VERSIONS, push=PUSH, rarely=st.integers(0, 3))
    def end(self, clone: int, name: str, version: int, push: bool, rarely: int) -> None:
        """Deprecate a version or, of the model that less is done with, all; rarely, for soon nothing would be left."""
        if rarely:
            self.rollback(clone, name, "production", push)
            return
        whole = name != "digits" and version > ANY // 2
        which = self.choose(clone, name, version, push, lambda now, one: not now.stages_of(one))

        def decide(now: Standing) -> Standing | None:
            used = {stage for stage, held in now.holders.items() if held and (whole or which in held)}
            if which not in now.versions or now.retired or used - {ARCHIVED}:
                return None
            if not whole and now.versions[which].deprecated:
                return None
            if whole:
                now.retired = True
            else:
                now.versions[which].deprecated = True
            return now

        self.change(
            clone,
            name,
            push,
            decide,
            lambda _, registrar, share: registrar.deprecate(name, None if whole else str(which), share=share),
        )

    @rule(clone=CLONES)
    def push(self, clone: int) -> None:
        done = self.team.open(clone).push(data=False)
        assert done.refused == {}
        lost: list[Step] = []
        for name, mine in self.here[clone].items():
            theirs = self.there.get(name, [])
            common = _common(mine, theirs)
            if len(theirs) == common:
                self.there[name] = list(mine)
            else:
                lost += mine[common:]
        assert _objects(done.lost) == _objects(event for step in lost for event in step.events)
        self.look()

    @rule(clone=CLONES)
    def fetch(self, clone: int) -> None:
        done = self.team.open(clone).fetch(data=False)
        assert done.refused == {}
        assert _objects(done.lost) == self.took(clone)
        self.look()

    # --- how it is written down

    def choose(
        self,
        clone: int,
        name: str,
        number: int,
        push: bool,
        likely: Callable[[Standing, Version], bool] = lambda now, version: True,
    ) -> Version:
        """A version of those that there will be when the change is decided on, mostly a likely one."""
        mine, theirs = self.steps(clone, name), self.there.get(name, [])
        now = _standing(theirs if push and len(theirs) > _common(mine, theirs) else mine)
        versions = sorted(now.versions)
        if number != ANY:
            versions = [one for one in versions if likely(now, one)] or versions
        return versions[number % len(versions)] if versions else Version(1)

    def steps(self, clone: int, name: str) -> list[Step]:
        return self.here[clone].get(name, [])

    def took(self, clone: int) -> set[str]:
        """What the remote has comes; what is of this clone alone, and second, goes: returned are its objects."""
        lost: set[str] = set()
        for name, theirs in self.there.items():
            mine = self.steps(clone, name)
            common = _common(mine, theirs)
            if len(theirs) > common:
                lost |= _objects(event for step in mine[common:] for event in step.events)
                self.here[clone][name] = list(theirs)
        self.aside[clone] |= lost
        return lost

    def change(
        self,
        clone: int,
        name: str,
        push: bool,
        decide: Decide,
        call: Callable[[Project, Registrar, Share], Changed],
    ) -> None:
        if push:
            self.took(clone)
        after = decide(copy.deepcopy(_standing(self.steps(clone, name))))
        project = self.team.open(clone)
        if after is None:
            with pytest.raises(GittrackError):
                call(project, project.models.registrar, Share(push))
        else:
            after.moved()
            done = call(project, project.models.registrar, Share(push))
            assert done.notes == () or push
            self.here[clone].setdefault(name, []).append(Step(done.events, after))
            if push:
                self.there[name] = list(self.here[clone][name])
        self.look()

    # --- what must hold

    def look(self) -> None:
        for clone, repo in enumerate(self.team.clones):
            _agree(read_registry(Repository.discover(repo.path)), self.here[clone])
            listed = refs(repo)
            assert registry(listed) == _refs(self.here[clone])
            assert {one for ref, one in listed.items() if ref.startswith(LOST)} == self.aside[clone]
        assert registry(refs(self.team.bare)) == _refs(self.there)

    def others_agree(self) -> None:
        _agree(read_registry(Repository.discover(self.team.bare.path)), self.there)
        for clone, repo in enumerate(self.team.clones):
            for name, steps in self.here[clone].items():
                if steps:
                    _gto_agrees(repo, name, steps)
                    _dvc_agrees(repo, name, steps)
            repo.git("fsck", "--strict", "--no-dangling")
        # A plain clone has the tags alone, which know nothing of aliases and approvals.
        plain = self.team.folder / "plain"
        self.team.bare.git("clone", "--quiet", str(self.team.bare.path), str(plain))
        found = read_registry(Repository.discover(plain))
        assert found.findings == ()
        for name, steps in self.there.items():
            after = _standing(steps)
            assert set(found.models[name].versions) == set(after.versions)
            assert _holders(found.models[name].holders) == _holders(after.holders)


def _standing(steps: list[Step]) -> Standing:
    return steps[-1].after if steps else Standing()


def _common(mine: list[Step], theirs: list[Step]) -> int:
    """How many steps both have."""
    pairs = zip(mine, theirs, strict=False)
    return next((at for at, (one, other) in enumerate(pairs) if one is not other), min(len(mine), len(theirs)))


def _objects(events: Iterable[Event]) -> set[str]:
    return {one.object for one in events}


def _refs(told: Told) -> dict[str, str]:
    found: dict[str, str] = {}
    for steps in told.values():
        found |= refs_of([event for step in steps for event in step.events])
    return found


def _holders(holders: Any) -> dict[str, set[Version]]:
    return {stage: set(held) for stage, held in holders.items() if held}


def _agree(found: Registry, told: Told) -> None:
    assert found.findings == ()
    assert {*found.models} == {name for name, steps in told.items() if steps}
    for name, model in found.models.items():
        after = _standing(told[name])
        assert [one.object for one in model.events] == [one.object for step in told[name] for one in step.events]
        assert [*model.versions] == sorted(after.versions)
        assert _holders(model.holders) == _holders(after.holders)
        assert model.aliases == after.aliases
        assert (model.retired is not None) == after.retired
        for version, state in model.versions.items():
            entry = after.versions[version]
            assert set(state.stages) == set(after.stages_of(version))
            assert [*state.aliases] == sorted(alias for alias, one in after.aliases.items() if one == version)
            assert [(one.email, one.place) for one in state.approvals] == [
                (f"{PEOPLE[who].lower()}@example.org", place) for who, place in entry.approvals
            ]
            assert (state.deprecated is not None) == entry.deprecated


# --- what others say


def _gto_agrees(repo: Repo, name: str, steps: list[Step]) -> None:
    after = _standing(steps)
    listed = gto.api.show(str(repo.path), name, deprecated=True, versions_per_stage=-1)
    assert {one["version"]: one["is_active"] for one in listed} == {
        str(version): not entry.deprecated for version, entry in after.versions.items()
    }
    assert {one["version"]: {each["stage"] for each in one["stages"]} for one in listed if one["is_active"]} == {
        str(version): set(after.stages_of(version)) for version, entry in after.versions.items() if not entry.deprecated
    }
    tags = [one["ref"] for one in gto.api.history(str(repo.path), name, ascending=True) if one["event"] != "commit"]
    assert tags == [one.tag for step in steps for one in step.events if has_tag(one.action)]


def _dvc_agrees(repo: Repo, name: str, steps: list[Step]) -> None:
    after, events = _standing(steps), [event for step in steps for event in step.events]
    commits = {one.version: one.commit for one in events if one.action is Action.REGISTER}
    with DvcRepo(str(repo.path)) as theirs:
        for version in after.versions:
            assert theirs.artifacts.get_rev(name, version=str(version)) == commits[version]
        for stage, held in after.holders.items():
            last = next(one for one in reversed(events) if one.place == stage)
            # DVC counts the tag that says that a version leaves as one of the stage; only where none follows it, it is right.
            if held and last.action is Action.ASSIGN:
                assert theirs.artifacts.get_rev(name, stage=stage) == commits[held[-1]]
    version, entry = max(after.versions.items())
    target = repo.path.parent / f"{repo.path.name}-{name.replace('/', '-')}"
    Artifacts.get(str(repo.path), name, version=str(version), out=str(target))
    who, number = divmod(entry.run, RUNS_EACH)
    assert target.read_text() == f"weights {number} of {PEOPLE[who]}\n"


CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@pytest.fixture
def template(tmp_path: Path) -> Team:
    made = team(tmp_path / "template", runs=RUNS_EACH, settings=SETTINGS, files={".dvc/config": ""})
    register_runs(made, "digits", (0, 1))
    made.open(0).fetch(data=False)
    Registries.template = made
    return made


def walk(examples: int, steps: int, **more: Any) -> None:
    # A step takes a tenth of a second: the steps of a failure are read sooner than they are made fewer.
    limits = {"deadline": None, "suppress_health_check": CHECKS, "phases": [Phase.generate], **more}
    run_state_machine_as_test(Registries, settings=settings(max_examples=examples, stateful_step_count=steps, **limits))


@pytest.mark.usefixtures("template")
def test_chance_finds_nothing_in_a_few_walks() -> None:
    walk(2, 25, derandomize=True)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.usefixtures("template")
def test_chance_finds_nothing_in_long_walks() -> None:
    walk(150, 50)
