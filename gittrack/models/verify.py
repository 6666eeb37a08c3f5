"""Whether a version is what it claims: every link from the tag down to the bytes, read again from the objects."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from gittrack.domain.policy import Demand, Rule
from gittrack.domain.run import RunRecord, RunState
from gittrack.errors import GittrackError
from gittrack.git.objects import read_tree
from gittrack.ledger import dvcyaml, layout
from gittrack.ledger.read import parse_line, read_environment, read_file, read_record
from gittrack.models.admission import check_pipelines, check_stands_on, hold_evidence, made_room, run_commit
from gittrack.models.settings import Authority, authority, authority_at
from gittrack.registry.event import Event
from gittrack.registry.policy import Check, check_rules, judge_signature
from gittrack.registry.read import Registry
from gittrack.registry.state import Model, VersionState, fold
from gittrack.registry.tagname import Action
from gittrack.values import dataclass

if TYPE_CHECKING:
    from gittrack.models.models import Models


@dataclass(frozen=True, slots=True)
class Link:
    """One link of the chain: `what` it is, whether it holds, and what was found."""

    what: str
    ok: bool
    said: str


class _Broken(Exception):
    """A link that does not hold, with the reason."""


@dataclass
class Chain:
    """The chain of one version."""

    models: Models
    registry: Registry
    model: Model
    version: VersionState

    def links(self) -> tuple[Link, ...]:
        """Up to the first that does not hold: what hangs on that one says nothing."""
        found: list[Link] = []
        steps: tuple[tuple[str, Callable[[], str]], ...] = (
            ("tag", self._tag),
            ("signer", self._signer),
            ("policy", self._policy),
            ("run", self._run),
            ("code", self._code),
            ("environment", self._environment),
            ("data", self._data),
        )
        for what, step in steps:
            try:
                found.append(Link(what, True, step()))
            except _Broken as broken:
                found.append(Link(what, False, str(broken)))
                break
            except (GittrackError, OSError) as error:
                found.append(Link(what, False, str(error)))
                break
        return tuple(found)

    @property
    def _registered(self) -> Event:
        return self.version.registered

    @cached_property
    def _rules(self) -> Authority:
        return authority(self.models.repository, self.models.registrar.policy_remote())

    # --- the registry

    def _tag(self) -> str:
        for one in self.registry.findings:
            if one.model == self.model.name:
                raise _Broken(f"{one.ref}: {one.reason}")
        count = len(self.model.events)
        return f"{count:,} {'event' if count == 1 else 'events'}, each where it says, in one unbroken sequence"

    def _counting(self) -> Iterator[Event]:
        """What this version stands on: its registration, how it came into the stages that it holds, who approved it."""
        yield self._registered
        for stage in self.version.stages:
            yield self.model.entry(stage, self.version.version)
        yield from self.version.approvals

    def _signer(self) -> str:
        settings = self._rules.settings.registry
        world = self.models.registrar.world(self._rules)
        by = []
        for event in self._counting():
            if not event.signed and not settings.sign:
                continue
            ok, said = judge_signature(world.signature(event.object, "tag"), settings.signers, event.email)
            if not ok:
                raise _Broken(f"event {event.number} ({event.tag}): {said}")
            by.append(said)
        who = self._registered.author
        return (
            f"signed by {', '.join(dict.fromkeys(by))}"
            if by
            else f"by {who}; nothing is signed, and registry.sign does not ask for it"
        )

    def _policy(self) -> str:
        said = []
        for stage in self.version.stages:
            event = self.model.entry(stage, self.version.version)
            if made_room(event):
                continue
            if "rollback" in event.details:
                list(self._rules_of(stage, event, (Demand.PEOPLE,)))
                said.append(f"{stage}: brought back by {event.name}")
                event = self._first_entry(stage, event)
            said += [f"{stage}: {one}" for one in self._rules_of(stage, event)]
        return "; ".join(said) or "it is in no stage that asks for anything"

    def _first_entry(self, stage: str, back: Event) -> Event:
        """How it came there before somebody brought it back."""
        earlier = [
            one
            for one in self.model.events
            if one.number < back.number
            and one.action is Action.ASSIGN
            and one.place == stage
            and one.version == self.version.version
            and "rollback" not in one.details
        ]
        return earlier[-1] if earlier else back

    def _rules_of(self, stage: str, event: Event, demands: Sequence[Demand] = tuple(Demand)) -> Iterator[str]:
        source = event.details.get("policy")
        commit = source.get("commit") if isinstance(source, dict) else None
        if not isinstance(commit, str):
            raise _Broken(f"event {event.number} does not say which policy let it into {stage}")
        rules = authority_at(self.models.repository, commit)
        branch = self._rules
        if self.models.repository.merge_base(commit, branch.commit) != commit:
            if self.models.repository.shallow:
                raise _Broken(
                    f"this clone is shallow, so nobody can tell whether the policy of commit {commit[:12]} was on {branch.branch}; "
                    "'git fetch --unshallow' first"
                )
            raise _Broken(f"the policy that let it into {stage}, of commit {commit[:12]}, was never on {branch.branch}")
        policy = rules.settings.registry.stages.get(stage)
        if policy is None:
            raise _Broken(f"there was no stage {stage} on {branch.branch} at {commit[:12]}")
        yield from hold_evidence(policy, event, lambda wanted: self._again(wanted, stage, event, rules), demands)

    def _again(self, rules: Sequence[Rule], stage: str, event: Event, authority: Authority) -> dict[str, Check]:
        """The lasting rules once more, as things stood before the event."""
        before = fold(self.model.name, [one for one in self.model.events if one.number < event.operation])
        version = before.versions.get(self.version.version)
        if not rules or version is None:
            return {}
        facts = self.models.registrar.facts(before, version, stage, authority).by(event.email, event.time)
        return {one.rule: one for one in check_rules(rules, facts)}

    # --- the run

    @cached_property
    def _commit(self) -> str:
        found = run_commit(self.models.repository, self._registered.commit)
        if found is None:
            raise _Broken(f"commit {self._registered.commit[:12]}, which the tag names, is no run and stands on none")
        return found

    @cached_property
    def _state(self) -> RunState:
        return self.models.state_of(self.version)

    @cached_property
    def _record(self) -> RunRecord:
        return read_record(self.models.repository, self._first)

    @cached_property
    def _first(self) -> str:
        """The run's own commit: the tag may name an amendment, which adds files to it."""
        return self._state.commit or self._commit

    def _run(self) -> str:
        repository, registered = self.models.repository, self._registered
        commit = self._commit
        if commit != registered.commit:
            check_stands_on(repository, commit, registered.commit)
        state = self._state
        line = layout.find_line(repository.read_object(self._first, "commit"))
        if line is None or parse_line(self._first, line[1]).run != registered.run or state.id != registered.run:
            raise _Broken(f"commit {commit[:12]} is not run {registered.run[:8]}, which the tag names")
        if (
            commit not in (state.commit, state.head)
            and repository.merge_base(str(state.commit), commit) != state.commit
        ):
            raise _Broken(
                f"the ledger has run {registered.run[:8]} as commit {str(state.commit)[:12]}, and the tag names {commit[:12]}: one of "
                "the two was rewritten"
            )
        record = self._record
        if record.id != registered.run:
            raise _Broken(f"run.yaml of commit {self._first[:12]} is of another run ({record.id[:8]})")
        claimed = {key: one.last for key, one in record.summary.items()}
        if not state.truncated and repr(sorted(claimed.items())) != repr(sorted(state.metrics.items())):
            raise _Broken(f"metrics.json of commit {self._first[:12]} says something else than its message")
        return f"{record.experiment}/{record.name}, commit {commit[:12]}, by {record.author}"

    def _code(self) -> str:
        repository = self.models.repository
        code = self._record.code.captured
        kept = {layout.FOLDER.encode(), dvcyaml.NAME.encode()}
        trees = [
            {(name, mode, one) for name, mode, one in read_tree(repository, of) if name not in kept}
            for of in (code, self._first)
        ]
        if trees[0] != trees[1]:
            raise _Broken(f"the files of commit {self._first[:12]} are not those of the code that ran, {code[:12]}")
        check_pipelines(repository, code, self._first)
        return f"commit {code[:12]}" + (", a snapshot of a dirty tree" if self._record.code.dirty else "")

    def _environment(self) -> str:
        read_file(self.models.repository, self._first, layout.ENVIRONMENT)
        found = read_environment(self.models.repository, self._first).to_dict()
        packages = found.get("packages")
        count = len(packages) if isinstance(packages, dict) else 0
        python = found.get("python")
        version = python.get("version") if isinstance(python, dict) else python
        return f"Python {version}, {count:,} packages"

    # --- the bytes

    def _data(self) -> str:
        artifact = self.models.artifact_of(self.version)
        made = artifact.artifact
        known = {one.path: one for one in self.models.run_of(self.version).artifacts}
        if made.path not in known or known[made.path].md5 != made.md5:
            raise _Broken(f"the run did not make {made.called} with the md5 {made.md5}, which the tag names")
        if not made.pointer:
            data = artifact.read_bytes()
            if hashlib.md5(data, usedforsecurity=False).hexdigest() != made.md5:
                raise _Broken(f"the bytes of {made.called} in git are not those that were registered")
            return f"{made.called}, {made.size:,} bytes in git, md5 {made.md5}"
        from gittrack.data.health import unwell

        wrong = unwell(self.models.depot(), made.as_pointer())
        if wrong:
            raise _Broken(f"{made.called}: {wrong}")
        return f"{made.called}, {made.size:,} bytes, md5 {made.md5}"
