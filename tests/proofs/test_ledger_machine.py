"""Chance works in three clones and a remote: it records, amends, resumes, shares, packs, purges, merges, copies, restores.

A model knows every run and all that was said of it. At every step a clone still has what it had, and an index that followed
is what a new one would be; in the end all clones are alike, byte for byte, and they are what the model says.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

import gittrack.ledger.fold
import gittrack.ledger.writer
from gittrack.domain.amendment import Amendment
from gittrack.domain.amendment import fold as fold_amendments
from gittrack.domain.codec import amendment_from_line, amendment_to_line, state_from_line, state_to_json, state_to_line
from gittrack.domain.environment import Environment
from gittrack.domain.run import RunRecord, RunState
from gittrack.errors import AlreadyRecorded, PurgeNotPushed, UnknownRun
from gittrack.git.repository import Repository
from gittrack.index.index import Index
from gittrack.ledger import layout
from gittrack.ledger.files import run_files
from gittrack.ledger.fold import fold
from gittrack.ledger.fsck import fsck
from gittrack.ledger.write import amend, write_run
from gittrack.project import Project
from tests.conftest import ONE_IDENTITY_DATE
from tests.helpers import Repo
from tests.ledger.builders import SOMEONE, START, history, record

CLONES = st.integers(0, 2)
RUNS = st.integers(0, 7)
EXPERIMENTS = st.sampled_from(["digits", "digits/ünï", "other"])
TRACKED = "refs/experiments/_ledger/*:refs/gittrack/remotes/origin/*"
CHANGES = st.sampled_from(
    [
        {"tag:kind": "a"},
        {"tag:kind": "b", "tag:new": "Gittrack-Record: {}"},
        {"tag:kind": None},
        {"description": "Why\n\nnot"},
        {"description": ""},
        {"name": "ünï"},
        {"name": "other", "tag:new": None},
        {"deleted": True},
        {"deleted": False},
    ]
)


@dataclass
class Truth:
    """A run as the model knows it: what was recorded, and what was said of it, by commit."""

    origin: RunState
    said: dict[str, Amendment] = field(default_factory=dict)

    @property
    def state(self) -> RunState:
        if not self.said:
            return self.origin
        newest = max(self.said.values(), key=lambda one: (one.clock, one.commit))
        return RunState(
            **{
                **{name: getattr(fold_amendments(self.origin, self.said.values()), name) for name in FIELDS},
                "head": newest.commit,
            }
        )


FIELDS = tuple(RunState.__dataclass_fields__)


@dataclass
class Seen:
    """What a clone had at its last step, by run: it must not get less; and what it saw go, which must not come back."""

    runs: dict[str, set[str]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)


class Team(RuleBasedStateMachine):
    """Three clones by number; a run is chosen among those that a clone sees."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gittrack-team-"))
        self.remote = self.folder / "remote.git"
        first = Repo.init(self.folder / "0")
        first.git("clone", "--quiet", "--bare", str(first.path), str(self.remote))
        first.git("remote", "add", "origin", str(self.remote))
        for number in (1, 2):
            first.git("clone", "--quiet", str(self.remote), str(self.folder / str(number)))
        self.truth: dict[str, Truth] = {}
        self.purged: set[str] = set()
        self.seen = [Seen() for _ in range(3)]
        self.count = itertools.count(1)
        self.record(0, "digits", False)

    def teardown(self) -> None:
        try:
            # Not after a failure, which it would hide.
            if hasattr(self, "truth") and sys.exc_info()[0] is None:
                self.all_come_together()
        finally:
            if hasattr(self, "folder"):
                shutil.rmtree(self.folder, ignore_errors=True)

    # --- what people do

    @rule(clone=CLONES, experiment=EXPERIMENTS, packed=st.booleans())
    def record(self, clone: int, experiment: str, packed: bool) -> None:
        number = next(self.count)
        with self.opened(clone) as project:
            one = record(
                project.repo,
                id=hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest(),
                name=f"run-{number}",
                experiment=experiment,
                params={"lr": number},
                histories=[history("acc", [0.5, number])],
                started=START + number,
                ended=START + number + 60,
            )
            commit = write(project.repo, one, None)
            if packed:
                project.pack()
        self.truth[one.id] = Truth(_as_read(one.state(), commit))
        self.look(clone)

    @rule(clone=CLONES, run=RUNS, changes=CHANGES)
    def amend(self, clone: int, run: int, changes: dict[str, Any]) -> None:
        with self.opened(clone) as project:
            state = self.choose(project, run)
            if state is None:
                return
            known = project._current().amendments(state.id)
            commit = amend(project.repo, state, changes, author=SOMEONE, now=START + next(self.count))
            self.say(project.repo, commit, state.id, changes, known)
        self.look(clone)

    @rule(clone=CLONES, run=RUNS)
    def resume(self, clone: int, run: int) -> None:
        number = next(self.count)
        with self.opened(clone) as project:
            state = self.choose(project, run)
            if state is None:
                return
            known = project._current().amendments(state.id)
            one = record(
                project.repo,
                id=state.id,
                name=state.name,
                experiment=state.experiment,
                params={"lr": number},
                histories=[history("acc", [0.25, number])],
                started=state.started,
                ended=START + number + 60,
                attempts=state.attempt + 1,
            )
            commit = write(project.repo, one, state.head)
            self.say(project.repo, commit, state.id, {}, known, one.state())
        self.look(clone)

    @rule(clone=CLONES, experiment=st.none() | EXPERIMENTS)
    def push(self, clone: int, experiment: str | None) -> None:
        with self.opened(clone) as project:
            known = experiment is None or project._current().count(experiment=experiment, deleted=True)
            with contextlib.suppress(PurgeNotPushed) if known else pytest.raises(UnknownRun):
                project.push(data=False, experiment=experiment)
        self.look(clone)

    @rule(clone=CLONES)
    def fetch(self, clone: int) -> None:
        with self.opened(clone) as project:
            done = project.fetch(data=False)
            assert done.refused == {}
        self.look(clone)

    @rule(clone=CLONES)
    def both(self, clone: int) -> None:
        self.push(clone, None)
        self.fetch(clone)

    @rule(clone=CLONES, run=RUNS, how=st.sampled_from(["run", "all"]))
    def push_by_hand(self, clone: int, run: int, how: str) -> None:
        with self.opened(clone) as project:
            refs = [ref for ref in project.repo.list_refs(layout.RUNS) if layout.parse_run_ref(ref)]
            what = "refs/experiments/*" if how == "all" else refs[run % len(refs)] if refs else None
            if what is not None:
                # Refused where it would not be a fast-forward, as git does.
                project.repo.run("push", "--quiet", "origin", f"{what}:{what}", check=False)
        self.look(clone)

    @rule(clone=CLONES, forced=st.sampled_from(["", "+"]))
    def fetch_by_hand(self, clone: int, forced: str) -> None:
        with self.opened(clone) as project:
            project.repo.run("fetch", "--quiet", "origin", forced + TRACKED, check=False)
        self.look(clone)

    # --- what they do now and then

    @rule(clone=CLONES, how=st.sampled_from(["fold", "pack", "gc", "index"]))
    def tidy(self, clone: int, how: str) -> None:
        with self.opened(clone) as project:
            if how == "fold":
                clone_ = project._clone()
                assert fold(project.repo, clone_.writer.name, clone_.author).damaged == ()
            elif how == "pack":
                project.pack()
            elif how == "gc":
                project.repo.git("gc", "--quiet", "--prune=now")
            else:
                for path in project.repo.home.glob("index*"):
                    path.unlink()
        self.look(clone)

    @rule(clone=CLONES, run=RUNS, pushed=st.booleans())
    def purge(self, clone: int, run: int, pushed: bool) -> None:
        with self.opened(clone) as project:
            state = self.choose(project, run)
            if state is None:
                return
            done = project.purge([state.id], reason="it is secret")
            self.purged.add(state.id)
            holders = self.holders(project.repo, state.id)
            assert set(done.reached.get(state.id, ())) == holders
            if pushed:
                with contextlib.suppress(PurgeNotPushed):
                    project.push_purged()
        self.look(clone)

    @rule(clone=CLONES, local=st.booleans())
    def merge(self, clone: int, local: bool) -> None:
        with self.opened(clone) as project:
            project.merge_ledgers(idle_days=-1, local=local)
        self.look(clone)

    @rule(clone=CLONES, other=st.integers(1, 2), image=st.booleans(), go_on=st.booleans())
    def replace_by_copy(self, clone: int, other: int, image: bool, go_on: bool) -> None:
        """`cp -r`; with `image` like that of a whole disk, where the copy cannot be told from the original.

        Often both go on at once: that is where a name with two writers is noticed.
        """
        source = (clone + other) % 3
        self.replace(clone, self.folder / str(source), image)
        self.seen[clone] = copy.deepcopy(self.seen[source])
        self.look(clone)
        if go_on:
            for one in (source, clone):
                self.record(one, "digits", True)
                self.push(one, None)

    @rule(clone=CLONES)
    def restore(self, clone: int) -> None:
        """The backup of last time takes its place; where there is none, one is made."""
        place = self.folder / f"backup-{clone}"
        if place.exists():
            self.replace(clone, place, image=True)
            self.seen[clone] = Seen()
            self.look(clone)
            shutil.rmtree(place)
        else:
            shutil.copytree(self.folder / str(clone), place, symlinks=True)

    def replace(self, target: int, source: Path, image: bool) -> None:
        # What only the clone that goes away has would be lost, and rightly so.
        self.share_all(target)
        path = self.folder / str(target)
        shutil.rmtree(path)
        shutil.copytree(source, path, symlinks=True)
        writer = path / ".git" / "gittrack" / "writer"
        if image and writer.exists():
            name = writer.read_text().split()[0]
            writer.write_text(f"{name} {os.stat(path / '.git').st_ino:x}\n")

    # --- how it is written down

    @contextlib.contextmanager
    def opened(self, clone: int) -> Iterator[Project]:
        project = Project.open(self.folder / str(clone), {})
        try:
            yield project
        finally:
            project._index.close()

    def choose(self, project: Project, number: int) -> RunState | None:
        states = sorted(project._current().select(deleted=True), key=lambda one: one.id)
        return states[number % len(states)] if states else None

    def say(
        self,
        repository: Repository,
        commit: str,
        run: str,
        changes: dict[str, Any],
        known: list[Amendment],
        continuation: RunState | None = None,
    ) -> None:
        found = layout.find_line(repository.read_object(commit, "commit"))
        assert found is not None
        clock = int(orjson.loads(found[1])["clock"])
        assert clock > max((one.clock for one in known), default=0)
        one = Amendment(run, clock, commit, changes=changes, continuation=continuation)
        self.truth[run].said[commit] = amendment_from_line(
            orjson.loads(orjson.dumps(amendment_to_line(one))), commit=commit
        )

    def holders(self, repository: Repository, run: str) -> set[str]:
        """Refs that lead to a run or to what was said of it, asked of git without any help of ours."""
        truth = self.truth[run]
        found: set[str] = set()
        for commit in (truth.origin.commit, *truth.said):
            listed = repository.run("for-each-ref", f"--contains={commit}", "--format=%(refname)", check=False)
            found.update(listed.stdout.decode().split())
        return found

    # --- what must hold

    def look(self, clone: int) -> None:
        """A clone has what it had, but for what was purged; and the index that followed is what a new one would be."""
        with self.opened(clone) as project:
            index = project._current()
            assert project.skipped == []
            states = index.select(deleted=True)
            said = {one.id: {a.commit for a in index.amendments(one.id)} for one in states}
            with Index(project.repo, None) as fresh:
                assert fresh.update().damaged == ()
                assert repr(fresh.select(deleted=True)) == repr(states)
                assert {one.id: {a.commit for a in fresh.amendments(one.id)} for one in states} == said
        before = self.seen[clone].runs
        for run, commits in before.items():
            if run in said:
                assert commits <= said[run], f"clone {clone} lost what was said of {run}"
            else:
                assert run in self.purged, f"clone {clone} lost {run}"
                self.seen[clone].gone.add(run)
        for run, commits in said.items():
            assert run not in self.seen[clone].gone, f"{run} was purged and is back in clone {clone}"
            assert commits <= self.truth[run].said.keys()
        self.seen[clone].runs = said

    def share_all(self, clone: int) -> None:
        with self.opened(clone) as project:
            try:
                done = project.push(data=False)
            except PurgeNotPushed:
                assert project.push_purged().replaced
                done = project.push(data=False)
            assert done.refused == {}

    def all_come_together(self) -> None:
        for _ in range(2):
            for clone in range(3):
                self.share_all(clone)
            for clone in range(3):
                self.fetch(clone)
        expected = {run: truth for run, truth in self.truth.items() if run not in self.purged}
        for clone in range(3):
            with self.opened(clone) as project:
                index = project._current()
                assert project.skipped == []
                states = {one.id: one for one in index.select(deleted=True)}
                assert states.keys() == expected.keys()
                for run, truth in expected.items():
                    assert {one.commit for one in index.amendments(run)} == (truth.said.keys())
                    assert _json(states[run]) == _json(truth.state)
                project.repo.git("gc", "--quiet", "--prune=now")
                assert project.repo.git("fsck", "--strict", "--no-dangling", "--no-progress") == b""
                assert [one for one in fsck(project.repo) if not one.harmless] == []
        if next(self.count) % 4 == 0:
            said = {self.said_by_the_command(clone) for clone in range(3)}
            assert len(said) == 1

    def said_by_the_command(self, clone: int) -> bytes:
        command = [sys.executable, "-m", "gittrack", "ls", "--json"]
        return subprocess.run(command, cwd=self.folder / str(clone), check=True, capture_output=True).stdout


def write(repository: Repository, one: RunRecord, base: str | None) -> str:
    number = one.params["lr"]
    files = run_files(one, Environment(), {"acc": history("acc", [0.5 if base is None else 0.25, float(str(number))])})
    with contextlib.suppress(AlreadyRecorded):
        return write_run(repository, one, files, author=SOMEONE, base=base)
    raise AssertionError("a new run, or a new attempt, was there already")


def _as_read(state: RunState, commit: str) -> RunState:
    return state_from_line(orjson.loads(orjson.dumps(state_to_line(state))), commit=commit)


def _json(state: RunState) -> bytes:
    return orjson.dumps(state_to_json(state))


@pytest.fixture(autouse=True)
def small_and_repeatable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A single run keeps a ref of its own, pages hold three, and what is at random elsewhere repeats."""
    monkeypatch.setattr(gittrack.ledger.fold, "KEEP_REFS", 1)
    monkeypatch.setattr(gittrack.ledger.fold, "SLACK", 0)
    monkeypatch.setattr(layout, "PAGE_MEMBERS", 3)
    monkeypatch.setattr(layout, "TIP_MEMBERS", 2)
    count = itertools.count()

    def name(size: int) -> str:
        return hashlib.md5(str(next(count)).encode(), usedforsecurity=False).hexdigest()[: 2 * size]

    monkeypatch.setattr(gittrack.ledger.writer.secrets, "token_hex", name)
    monkeypatch.setenv("GIT_AUTHOR_DATE", ONE_IDENTITY_DATE)
    monkeypatch.setenv("GIT_COMMITTER_DATE", ONE_IDENTITY_DATE)


CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def walk(examples: int, steps: int, **more: Any) -> None:
    # A step takes a tenth of a second: the steps of a failure are read sooner than they are made fewer.
    limits = {"deadline": None, "suppress_health_check": CHECKS, "phases": [Phase.generate], **more}
    run_state_machine_as_test(Team, settings=settings(max_examples=examples, stateful_step_count=steps, **limits))


def test_chance_finds_nothing_in_a_few_walks() -> None:
    walk(2, 12, derandomize=True)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_chance_finds_nothing_in_long_walks() -> None:
    walk(150, 40)
