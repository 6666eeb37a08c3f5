"""Chance starts, logs, crashes, recovers, amends, deletes, restores and collects garbage; a simple model must agree.

After every step: the index is the fold of what git holds, both are what the model says, `git fsck` finds nothing, and
the user's own things are untouched.
"""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from gittrack.domain.run import RunState
from gittrack.ledger.read import read_states, run_heads
from gittrack.live.owner import this_process
from gittrack.project import Project
from gittrack.tracking.active import ActiveRun
from tests.helpers import Repo

KEYS = st.sampled_from(["loss", "val/acc", "a b", "ünï"])
VALUES = st.floats(allow_nan=False)
WORDS = st.sampled_from(["x", "why not", "Gittrack-Record: {}", "☃\n\nmore"])
NAMES = st.sampled_from(["brave", "same name", "ünï"])


@dataclass
class Expected:
    """What must be known of one run."""

    status: str
    points: dict[str, list[float]] = field(default_factory=dict)
    own_tags: dict[str, str] = field(default_factory=dict)
    said_tags: dict[str, str | None] = field(default_factory=dict)
    description: str | None = None
    name: str | None = None
    deleted: bool = False
    attempt: int = 1

    @property
    def tags(self) -> dict[str, str]:
        tags = {**self.own_tags, **self.said_tags}
        return {key: value for key, value in tags.items() if value is not None}


class Tracking(RuleBasedStateMachine):
    """Runs by id: `active` ones have a handle, `ended` ones only their id.

    Few rules with a choice inside: hypothesis would else spend most of its steps on those without arguments.
    """

    active = Bundle("active")
    ended = Bundle("ended")

    @initialize(target=active)
    def begin(self) -> str:
        self.folder = tempfile.mkdtemp(prefix="gittrack-machine-")
        self.repo = Repo.init(Path(self.folder) / "repo")
        self.project = Project.open(self.repo.path)
        self.expected: dict[str, Expected] = {}
        self.handles: dict[str, ActiveRun] = {}
        self.fingerprint = self.repo.status_fingerprint()
        return self.start("first", "x")

    def teardown(self) -> None:
        for handle in getattr(self, "handles", {}).values():
            handle.abandon()
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- active runs

    @rule(target=active, name=NAMES, tag=WORDS)
    def another(self, name: str, tag: str) -> str:
        return self.start(name, tag)

    def start(self, name: str, tag: str) -> str:
        handle = self.project.start_run(name, params={"lr": 0.1}, tags={"kind": tag}, console=False)
        self.handles[handle.id] = handle
        self.expected[handle.id] = Expected("running", own_tags={"kind": tag}, name=name)
        return handle.id

    @rule(
        run=active, points=st.lists(st.tuples(KEYS, VALUES), max_size=5), together=st.booleans(), tag=st.none() | WORDS
    )
    def log(self, run: str, points: list[tuple[str, float]], together: bool, tag: str | None) -> None:
        handle, expected = self.handles[run], self.expected[run]
        if together:
            points = list(dict(points).items())
            handle.log_metrics(dict(points))
        for key, value in points:
            if not together:
                handle.log_metric(key, value)
            expected.points.setdefault(key, []).append(value)
        if tag is not None:
            handle.set_tag("during", tag)
            expected.own_tags["during"] = tag

    @rule(target=ended, run=consumes(active), how=st.sampled_from(["finished", "failed", "killed", "lost"]))
    def end(self, run: str, how: str) -> str:
        handle = self.handles.pop(run)
        if how == "lost":
            crash(handle)
        else:
            assert handle.finish(how) is not None
        self.expected[run].status = how
        return run

    # --- finished and lost ones

    @rule(
        run=ended,
        tags=st.dictionaries(st.sampled_from(["kind", "new"]), WORDS | st.none(), max_size=2),
        said=st.none() | st.tuples(WORDS, NAMES),
        deleted=st.none() | st.booleans(),
    )
    def amend(self, run: str, tags: dict[str, str | None], said: tuple[str, str] | None, deleted: bool | None) -> None:
        expected = self.expected[run]
        tags = {key: value for key, value in tags.items() if value is not None or key in expected.tags}
        if not tags and said is None and deleted is None:
            return
        self.project.amend(
            run,
            tags={key: value for key, value in tags.items() if value is not None},
            untag=[key for key, value in tags.items() if value is None],
            description=None if said is None else said[0],
            name=None if said is None else said[1],
            deleted=deleted,
        )
        expected.said_tags |= tags
        if said is not None:
            expected.description, expected.name = said
        if deleted is not None:
            expected.deleted = deleted

    @rule(target=active, run=consumes(ended))
    def resume(self, run: str) -> str:
        expected = self.expected[run]
        if expected.deleted:
            self.project.amend(run, deleted=False)
            expected.deleted = False
        handle = self.project.start_run(resume=run, console=False)
        assert handle.id == run
        self.handles[run] = handle
        expected.status = "running"
        expected.attempt += 1
        return run

    # --- the repository meanwhile

    @rule(
        what=st.sampled_from(
            ["gc --quiet --prune=now", "pack-refs --all", "repack -adq", "commit", "rewrite", "index", "recover"]
        )
    )
    def meanwhile(self, what: str) -> None:
        if what in {"commit", "rewrite"}:
            self.repo.write("train.py", f"print({self.repo.git('rev-parse', 'HEAD')!r})\n")
            if what == "commit":
                self.repo.commit()
            else:
                # The code of earlier runs is on no branch any more, and in no reflog.
                self.repo.git("commit", "--quiet", "--all", "--amend", "-m", "rewritten")
                self.repo.git("reflog", "expire", "--expire=now", "--all")
            self.fingerprint = self.repo.status_fingerprint()
        elif what == "index":
            self.project = Project.open(self.repo.path)
            for path in (self.repo.path / ".git" / "gittrack").glob("index*"):
                path.unlink()
        elif what == "recover":
            assert [one.problem for one in self.project.recover() if one.problem] == []
        else:
            self.repo.git(*what.split())
            if what.startswith("repack"):
                # git's own `gc` does this too; else its commit-graph names what was just dropped, and `git fsck` says so.
                self.repo.git("commit-graph", "write", "--reachable")

    # --- what must hold

    @invariant()
    def git_finds_no_fault(self) -> None:
        assert self.repo.git("fsck", "--strict", "--no-dangling") == ""

    @invariant()
    def the_users_own_things_are_untouched(self) -> None:
        assert self.repo.status_fingerprint() == self.fingerprint

    @invariant()
    def no_run_is_lost_and_all_agree(self) -> None:
        runs = {run.id: run for run in self.project.runs(deleted=True)}
        assert runs.keys() == self.expected.keys()
        heads = {run: one.head for run, one in run_heads(self.project.repo).items()}
        ledger = {}
        for state in read_states(self.project.repo, heads):
            assert isinstance(state, RunState), state
            ledger[state.id] = state
        for run_id, expected in self.expected.items():
            run = runs[run_id]
            assert run.status == expected.status
            assert run.state.attempt == expected.attempt
            if expected.status == "running":
                continue
            assert run.state == ledger[run_id]
            assert run.name == expected.name
            assert run.tags == expected.tags
            assert run.description == (expected.description or "")
            assert run.state.deleted == expected.deleted
            assert {key: list(one.values) for key, one in run.histories().items()} == expected.points


def crash(handle: ActiveRun) -> None:
    """As if the process had died: its owner is dead, its journal as it was."""
    journals = {path: path.read_bytes() for path in handle.folder.journals()}
    handle.abandon()
    for path, data in journals.items():
        path.write_bytes(data)
    me = this_process(attempt=handle.attempt)
    handle.folder.claim(dataclasses.replace(me, started=me.started - 500))


KILLED = """
import gittrack, sys
run = gittrack.start_run(sys.argv[1], console=False)
for step in range(int(sys.argv[2])):
    run.log_metric("loss", step)
print(run.id, flush=True)
sys.stdin.readline()
"""


class TrackingWithProcesses(Tracking):
    """The same, with runs of other processes that are killed."""

    @rule(target=Tracking.ended, points=st.integers(0, 5), name=NAMES)
    def a_killed_process(self, points: int, name: str) -> str:
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, name, str(points)], cwd=self.repo.path, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        ) as child:  # fmt: skip
            assert child.stdout is not None
            run = child.stdout.readline().strip()
            child.kill()
            child.communicate()
        self.expected[run] = Expected("lost", name=name)
        if points:
            self.expected[run].points["loss"] = [float(step) for step in range(points)]
        return run


CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITTRACK_RUN_SYSTEM_METRICS", "off")


def test_chance_finds_nothing_in_a_few_walks() -> None:
    run_state_machine_as_test(
        Tracking, settings=settings(max_examples=5, stateful_step_count=12, deadline=None, suppress_health_check=CHECKS)
    )


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_chance_finds_nothing_in_long_walks() -> None:
    run_state_machine_as_test(
        TrackingWithProcesses,
        settings=settings(max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=CHECKS),
    )
