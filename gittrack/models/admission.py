"""Whether an event may follow on what is in force: by the repository's own objects, and the settings that count there.

The same sentences for who pushes and for who is pushed to. What only a clone can know is not asked again: it was looked at
when the change was made, and the tag says what was found.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NoReturn

from gittrack.domain.codec import state_from_line
from gittrack.domain.policy import Demand, Rule, StagePolicy
from gittrack.domain.run import RunState
from gittrack.errors import CorruptRecord, GitFailed, GittrackError, PolicyRefused, UsageError
from gittrack.git.repository import Repository
from gittrack.git.tags import Checked, check_signature
from gittrack.ledger import dvcyaml, layout
from gittrack.models.judgement import alive, check_deprecatable, check_retirable, check_run, stage_policy
from gittrack.models.settings import Authority
from gittrack.registry.event import Event
from gittrack.registry.policy import Check, Facts, check_rules, judge_signature
from gittrack.registry.sequence import follows
from gittrack.registry.state import Model, VersionState, fold
from gittrack.registry.tagname import ARCHIVED, Action
from gittrack.values import dataclass

# Rules whose answer lies in git for ever; of the others there is what was found when the version was let in.
LASTING = (Demand.CLEAN, Demand.METRIC, Demand.FROM, Demand.PEOPLE, Demand.APPROVALS, Demand.SIGNED, Demand.SOAK)
# A clock may be wrong by so many seconds; what comes later would date everything after it, too.
_LATEST = 86_400


# --- what the tag says of the rules


def hold_evidence(
    policy: StagePolicy,
    event: Event,
    again: Callable[[Sequence[Rule]], Mapping[str, Check]],
    demands: Sequence[Demand] = tuple(Demand),
) -> Iterator[str]:
    """Every rule of a stage against what the event says was found, and the lasting ones looked at once more (`again`).

    Yields a sentence for each that somebody passed over, and one for the rest; raises PolicyRefused at the first that does not hold.
    """
    recorded = {one["rule"]: one for one in event.details.get("checks", []) if isinstance(one, dict) and "rule" in one}
    wanted = [one for one in policy.rules if one.demand in demands]
    found_again = again([one for one in wanted if one.demand in LASTING])
    passed = []
    for rule in wanted:
        found = found_again.get(rule.text)
        then = recorded.get(rule.text)
        if then is None:
            raise PolicyRefused(f"nobody looked at the rule {rule.text!r} when it was let into {event.place}")
        overridden = bool(then.get("override"))
        if overridden and not policy.override:
            raise PolicyRefused(f"{event.author} passed over {rule.text!r}, which that policy lets nobody do")
        if not overridden and (then.get("ok") is not True or (found is not None and not found.ok)):
            raise PolicyRefused(f"{rule.text}: {found.said if found is not None else then.get('said')}")
        if overridden:
            passed.append(f"{rule.text} passed over by {event.name}: {then['override']}")
    held = len(wanted) - len(passed)
    yield from passed
    if held:
        yield f"{held} {'rule holds' if held == 1 else 'rules hold'}"


def made_room(event: Event) -> bool:
    """Whether a version was only put away for another one, which no rule judges."""
    return event.place == ARCHIVED and "checks" not in event.details and "policy" not in event.details


# --- what the commit of a version is


def run_commit(repository: Repository, commit: str) -> str | None:
    """The run's commit that a version's commit is or stands on; None where it is neither."""
    for _ in range(2):
        for _, kind, data in repository.read_objects([commit]):
            if kind != "commit":
                return None
            if layout.find_line(data) is not None:
                return commit
            parents = layout.commit_links(data)[1]
            if not parents:
                return None
            commit = parents[0]
    return None


def read_plainly(repository: Repository, commit: str) -> RunState | None:
    """The run that a commit records whole, without what it takes to read files of runs; None for any other."""
    import orjson

    for _, kind, data in repository.read_objects([commit]):
        found = layout.find_line(data) if kind == "commit" else None
        if found is not None and found[0] == layout.RECORD and b'"truncated":true' not in found[1]:
            try:
                return state_from_line(orjson.loads(found[1]), commit=commit)
            except ValueError:
                return None
    return None


def check_stands_on(repository: Repository, run: str, commit: str) -> None:
    """A commit on top of a run's may say in `dvc.yaml` where the model is, and change nothing else; raises CorruptRecord."""
    name = dvcyaml.NAME
    changed = repository.git("diff-tree", "-r", "-z", "--name-only", "--no-renames", run, commit)
    if [one for one in changed.split(b"\0") if one and one != name.encode("ascii")]:
        raise CorruptRecord(f"commit {commit[:12]} changes other files of the run than {name}")
    check_pipelines(repository, run, commit)


def check_pipelines(repository: Repository, one: str, other: str) -> None:
    """DVC runs what stands in that file; nobody may have changed more of it than where the model is. Raises CorruptRecord."""
    names = [f"{of}:{dvcyaml.NAME}" for of in (one, other)]
    found = {name: data for name, kind, data in repository.read_objects(names) if kind == "blob"}
    if not dvcyaml.same_but_artifacts(found.get(names[0], b""), found.get(names[1], b"")):
        raise CorruptRecord(f"{dvcyaml.NAME} of commit {other[:12]} says something else than that of {one[:12]}")


# --- new events


@dataclass(frozen=True)
class Admission:
    """`rules` are the settings that count; `now` in seconds since the epoch, by the clock of who judges."""

    repository: Repository
    rules: Authority
    now: float

    @classmethod
    def under(cls, repository: Repository, rules: Authority) -> Admission:
        return cls(repository, rules, time.time())

    def refusal(
        self, known: Sequence[Event], new: Sequence[Event], whole: Callable[[], Sequence[Event]]
    ) -> tuple[Event, str] | None:
        """The first of the new events that may not follow on those known, and the reason; raises GitFailed, OSError.

        `known` are the events that say how the versions stand that the new ones name, and the newest; `whole` gives all.
        """
        if new[0].operation < new[0].number or any("rollback" in one.details for one in new):
            # What was before: a part of what happened together is here, or somebody is brought back.
            known = whole()
        events = (*known, *new)
        name = new[0].model
        strange = {event.object: reason for event, reason in fold(name, events).strange}
        first = {one.operation for one in new}
        before = {number: fold(name, [one for one in events if one.number < number]) for number in first}
        last = known[-1] if known else None
        for event in new:
            try:
                self._check_place(event, last)
                if event.object in strange:
                    raise CorruptRecord(f"it cannot have happened: {strange[event.object]}")
                self._check_signed(event)
                self._check_action(event, before[event.operation], events)
            except GitFailed:
                raise
            except GittrackError as error:
                return event, str(error)
            last = event
        return None

    def _check_place(self, event: Event, last: Event | None) -> None:
        if not follows(event, last):
            raise CorruptRecord(f"it does not follow event {event.number - 1} that is here")
        if last is not None and event.time <= last.time:
            raise CorruptRecord(f"its time is not after that of event {last.number}")
        if event.time > max(self.now, last.time if last else 0) + _LATEST:
            raise CorruptRecord("its time is more than a day ahead; set the clock, and make it anew")
        joined = last is not None and event.operation == last.operation and event.author == last.author
        if event.operation != event.number and not joined:
            raise CorruptRecord(f"it says that it happened together with event {event.operation}, and it did not")

    def _check_signed(self, event: Event) -> None:
        settings = self.rules.settings.registry
        if settings.sign:
            ok, said = judge_signature(self._signature(event.object, "tag"), settings.signers, event.email)
            if not ok:
                raise PolicyRefused(
                    f"{said}, and registry.sign on {self.rules.branch} asks for a signature that counts"
                )

    def _check_action(self, event: Event, before: Model, events: Sequence[Event]) -> None:
        """What the commands of models look at before they make such an event."""
        if event.action is Action.REGISTER:
            self._check_registered(event, before)
            return
        if event.action is Action.RETIRE:
            check_retirable(before)
            return
        registered = next(one for one in events if one.action is Action.REGISTER and one.version == event.version)
        if event.run != registered.run:
            raise CorruptRecord(f"it names another run than the registration of {event.version}")
        version = (
            before.versions.get(registered.version) if registered.version else None
        )  # None: in this very operation
        place = str(event.place)
        match event.action:
            case Action.ASSIGN:
                self._check_assigned(event, before, version or VersionState(registered), events)
            case Action.ALIAS:
                alive(before, version or VersionState(registered))
                if place in self.rules.settings.registry.stages:
                    raise UsageError(f"{place} is a stage, and no alias can be called that; choose another word")
            case Action.DEPRECATE:
                check_deprecatable(before, version or VersionState(registered))
            case Action.APPROVE:
                alive(before, version or VersionState(registered))

    def _check_registered(self, event: Event, before: Model) -> None:
        if before.retired is not None:
            raise UsageError(f"model {event.model} is deprecated as a whole; choose another name")
        if not isinstance(event.details.get("artifact"), dict):
            raise CorruptRecord("it does not say which file the model is")
        commit, state = self._run_of(event)
        check_run(state)
        if commit != event.commit:
            check_stands_on(self.repository, commit, event.commit)

    def _check_assigned(self, event: Event, before: Model, version: VersionState, events: Sequence[Event]) -> None:
        if made_room(event):
            return
        stage = str(event.place)
        policy = stage_policy(self.rules, stage)
        alive(before, version)
        if stage in before.aliases:
            raise UsageError(f"{stage} is an alias of {event.model}, and cannot be a stage")
        if "rollback" in event.details:
            if event.version not in before.before(stage):
                raise PolicyRefused(
                    f"it says that {version.version.short} is brought back to {stage}, where it was not"
                )
            # The others held when it was let in.
            self._hold(policy, event, before, version, (Demand.PEOPLE,))
            return
        held = fold(event.model, [one for one in events if one.number <= event.number]).holders.get(stage, ())
        if policy.holders and len(held) > policy.holders:
            raise PolicyRefused(f"{len(held)} versions would be in {stage}, which has room for {policy.holders}")
        self._hold(policy, event, before, version, tuple(Demand))

    def _hold(
        self, policy: StagePolicy, event: Event, before: Model, version: VersionState, demands: Sequence[Demand]
    ) -> None:
        rules = self.rules
        source = event.details.get("policy")
        commit = source.get("commit") if isinstance(source, dict) else None
        if not isinstance(commit, str):
            raise PolicyRefused(f"it does not say which policy let it into {event.place}")
        if rules.commit and commit != rules.commit and self.repository.merge_base(commit, rules.commit) != commit:
            raise PolicyRefused(
                f"the policy that it was let in by, of commit {commit[:12]}, is none of {rules.branch}; 'gittrack fetch', then say it again"
            )

        def again(wanted: Sequence[Rule]) -> Mapping[str, Check]:
            if not wanted:
                return {}
            checks = check_rules(wanted, self._facts(event, before, version, thorough=False))
            if not all(one.ok for one in checks):
                # What was said of the run later, as by another attempt, may lie in a ledger alone.
                checks = check_rules(wanted, self._facts(event, before, version, thorough=True))
            return {one.rule: one for one in checks}

        for _ in hold_evidence(policy, event, again, demands):
            pass

    def _facts(self, event: Event, before: Model, version: VersionState, *, thorough: bool) -> Facts:
        settings = self.rules.settings.registry
        state = self._run_of(version.registered, thorough=thorough)[1]
        # Who dates a tag ahead has waited no longer for that.
        now = min(event.time, int(self.now))
        return Facts(
            before,
            version,
            str(event.place),
            state,
            event.email,
            now,
            missing_data=_not_here,
            compare=_not_here,
            signature=self._signature,
            run_command=_not_here,
            signers=settings.signers,
            signs=settings.sign,
        )

    def _signature(self, object_id: str, kind: str) -> Checked:
        return check_signature(self.repository, object_id, kind, signers=self.rules.signers)

    def _run_of(self, registered: Event, *, thorough: bool = False) -> tuple[str, RunState]:
        """The commit of the run that a registration names, and the run as far as it is known here; raises CorruptRecord."""
        commit = run_commit(self.repository, registered.commit)
        if commit is None:
            raise CorruptRecord(f"commit {registered.commit[:12]}, which the tag names, is no run and stands on none")
        state = read_plainly(self.repository, commit)
        if state is None or thorough or state.id != registered.run:
            state = self._read_run(registered.run, commit, thorough)
        if state is None or state.id != registered.run:
            raise CorruptRecord(f"commit {commit[:12]} is not run {registered.run[:8]}, which the tag names")
        return commit, state

    def _read_run(self, run: str, commit: str, thorough: bool) -> RunState | None:
        """With amendments: those that the commit is or stands on; `thorough`: and all that anybody has pushed."""
        from gittrack.ledger.mentions import mentions
        from gittrack.ledger.read import read_chain

        chain = read_chain(self.repository, run, [commit])
        if chain is not None and thorough:
            tip = self.repository.resolve(layout.run_ref(chain.state.experiment, run), None)
            heads = [commit, *([tip] if tip else []), *mentions(self.repository, run)]
            chain = read_chain(self.repository, run, heads) or chain
        return None if chain is None else chain.state


def _not_here(*_: object) -> NoReturn:
    raise GittrackError("this can only be known where the change is made")
