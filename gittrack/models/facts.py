"""What the rules of a stage ask the world: data on the remote, repeats of a run, signatures, a command."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gittrack.compare.stats import LEVEL
from gittrack.compare.verdict import NAMES, Judgement, choose
from gittrack.data.depot import Depot
from gittrack.data.needed import not_shared
from gittrack.domain.run import RunState
from gittrack.git.repository import Repository
from gittrack.git.tags import Checked, check_signature
from gittrack.models.settings import Authority
from gittrack.registry.state import Model, VersionState
from gittrack.repeats import find_repeats, samples
from gittrack.values import dataclass

if TYPE_CHECKING:
    from gittrack.index.index import Index

_WORDS = 300


@dataclass(frozen=True)
class World:
    """Where the answers come from; `state_of` finds the run of a version."""

    repository: Repository
    depot: Depot
    look: Callable[[], Index]
    authority: Authority
    state_of: Callable[[VersionState], RunState]

    def missing_data(self, run: RunState) -> str:
        """What of a run's data others could not get, as a sentence; empty when they could get all."""
        return not_shared(self.repository, self.depot, [run])

    def compare(self, model: Model, stage: str, version: VersionState, run: RunState, metric: str) -> tuple[bool, str]:
        """Whether a run beats who holds the stage, with as much as the repeats of both can carry."""
        holders = [one for one in model.holders.get(stage, ()) if one != version.version]
        if not holders:
            return True, f"nobody holds {stage} yet"
        goal = self.authority.settings.goal(metric)
        if goal is None:
            return (
                False,
                f"nothing says whether {metric} is better high or low; set metrics.goals on the default branch",
            )
        held = model.versions[holders[-1]]
        other = self.state_of(held)
        called = held.version.short
        for one, lacking in ((run, run.name), (other, f"{other.name} ({called})")):
            if metric not in one.metrics:
                return False, f"run {lacking} has no metric {metric!r}"
        mine, theirs = self._repeats(run), self._repeats(other)
        if any(one.id == other.id for one in mine):
            # Of one configuration: their repeats are the same ones, and only the two themselves can be compared.
            mine, theirs = [run], [other]
        sign = 1.0 if goal.goal == "max" else -1.0
        seeds = self.authority.settings.params.seed_like
        ours, others = (samples(group, seeds)[metric] for group in (mine, theirs))
        counts = len(ours.values), len(others.values)
        words = f"{metric} is {ours.mean:.6g}{_of(counts[0])} against {others.mean:.6g}{_of(counts[1])} of {called}"
        # Not `<=` alone: a NaN is in no order with anything.
        if not sign * (ours.mean - others.mean) > goal.min_change:
            least = f", and {goal.min_change:g} is the least that counts" if goal.min_change else ""
            return False, f"{words}{least}"
        if min(counts) < 2:
            return True, f"{words}; with one run of either that is what was measured, and proves no more"
        found = choose(others, ours)
        if isinstance(found, Judgement):
            return False, f"{words}; {found.reason}"
        tested, _ = found
        # The mean is on the right side; that it is higher is half of what the test of any difference says.
        p = tested.p / 2
        if p > LEVEL:
            return False, f"{words}, which may be chance ({NAMES[tested.test]}, p = {p:.2g}); more repeats would tell"
        return True, f"{words} ({NAMES[tested.test]}, p = {p:.2g})"

    def _repeats(self, run: RunState) -> list[RunState]:
        seeds = self.authority.settings.params.seed_like
        index = self.look()
        return find_repeats(self.repository, index, run, index.select(experiment=run.experiment), seeds)

    def signature(self, object_id: str, kind: str) -> Checked:
        return check_signature(self.repository, object_id, kind, signers=self.authority.signers)

    def run_command(self, command: str, words: Sequence[tuple[str, str]]) -> tuple[int, str]:
        """A command of the policy, in a checkout of the commit that has the policy: exit code and its last words."""
        import tempfile

        with tempfile.TemporaryDirectory(prefix="gittrack-policy-") as folder:
            place = Path(folder) / "tree"
            self.repository.git("worktree", "add", "--quiet", "--detach", "--", str(place), self.authority.commit)
            try:
                done = subprocess.run(
                    command,
                    shell=True,
                    cwd=place,
                    env={**os.environ, **dict(words)},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    check=False,
                )
            finally:
                self.repository.run("worktree", "remove", "--force", "--force", "--", str(place), check=False)
        said = done.stdout.decode("utf-8", "replace").strip().splitlines()
        return done.returncode, said[-1][:_WORDS] if said else ""


def _of(count: int) -> str:
    return "" if count == 1 else f" (mean of {count})"
