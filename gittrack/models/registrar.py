"""Changes of models: each decided on the newest state that can be had, and in force for everybody at once or for nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gittrack.domain.policy import Demand, StagePolicy
from gittrack.domain.run import RunState
from gittrack.domain.text import check_text, checked_tags
from gittrack.domain.version import Version
from gittrack.errors import (
    CorruptRecord,
    GitFailed,
    LostRace,
    NotSigned,
    ObjectMissing,
    RepositoryError,
    UnknownModel,
    UsageError,
)
from gittrack.git.objects import Signature
from gittrack.git.remote import choose_remote, remotes
from gittrack.git.repository import Repository
from gittrack.models.judgement import (
    alive,
    check_deprecatable,
    check_expected,
    check_retirable,
    check_run,
    choose_artifact,
    displaced,
    draft_of,
    evidence,
    is_of,
    next_version,
    pass_gate,
    shown_metrics,
    stage_policy,
    version_in,
    who_and_when,
    without_empty,
)
from gittrack.models.settings import Authority, authority
from gittrack.registry.event import Event, address, subject
from gittrack.registry.policy import Check, Facts, check_rules, judge_signature
from gittrack.registry.read import Registry, read_registry
from gittrack.registry.record import Draft, build, publish_here, publish_there, refs_of
from gittrack.registry.state import Model, VersionState, fold
from gittrack.registry.sync import events_there, fetch_registry, mark_shared, push_registry
from gittrack.registry.tagname import ARCHIVED, NONE, SEQUENCE, Action, check_alias, check_model, sequence_ref
from gittrack.settings.words import nearest
from gittrack.values import dataclass, replace

if TYPE_CHECKING:
    # What most changes do without: the index, data, and what rules ask.
    from gittrack.data.depot import Depot
    from gittrack.domain.artifact import Artifact
    from gittrack.index.index import Index
    from gittrack.models.facts import World
    from gittrack.run import Run


@dataclass(frozen=True, slots=True)
class Share:
    """Whether a change is to be in force on the remote at once; `push` None: where there is a remote."""

    push: bool | None = None
    remote: str | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of a change: the events that are in force now, on which remote (None: in this clone alone)."""

    model: Model
    version: VersionState | None
    events: tuple[Event, ...]
    remote: str | None = None
    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Plan:
    drafts: Sequence[Draft]
    version: Version | None = None
    checks: tuple[Check, ...] = ()
    # What is to be done before anybody may see the change.
    before: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Registrar:
    """`state_of` finds the run of a version; `look` brings the index up to date."""

    repository: Repository
    depot: Callable[[], Depot]
    look: Callable[[], Index]
    state_of: Callable[[VersionState], RunState]
    author: Signature

    # --- versions

    def register(
        self,
        name: str,
        run: Run,
        *,
        artifact: str | None = None,
        version: str | None = None,
        bump: str | None = None,
        message: str = "",
        tags: Mapping[str, Any] | None = None,
        details: Mapping[str, Any] | None = None,
        share: Share = Share(),
    ) -> Changed:
        """A new version of a model: an artifact of a finished run whose bytes are there.

        `version` or `bump` (major, minor, patch) choose its number; the next major one if neither is given. Raises UsageError for a
        version that exists and for a run that cannot be one, ObjectMissing, LostRace, NotSigned, GitFailed.
        """
        check_model(name)
        check_run(run.state)
        made = choose_artifact(run, name, artifact)
        chosen = None if version is None else Version.parse(version)
        said = {"artifact": made.to_dict(), "tags": checked_tags(tags or {}), **(details or {})}

        def decide(model: Model, rules: Authority) -> _Plan:
            if model.retired is not None:
                raise UsageError(
                    f"model {name} is deprecated as a whole ({who_and_when(model.retired)}); choose another name"
                )
            number = chosen or next_version(model, bump)
            if number in model.versions:
                there = model.versions[number].registered
                raise UsageError(
                    f"{name} has {number.short} already ({who_and_when(there)}), and a version never changes; the next is "
                    f"{next_version(model).short}"
                )
            same = [one for one in model.versions.values() if is_of(one, run.id, made)]
            if same and version is None and bump is None:
                raise UsageError(
                    f"{made.called} of run {run.name} is {name}@{same[0].version.short} already; name a --version to register it again"
                )
            self._check_bytes(run, made)
            commit = self._commit(model, number, run, made)
            shown = shown_metrics(run.state, rules)
            details = {"subject": f"registered, run {run.name}" + (f", {shown}" if shown else ""), **said}
            draft = Draft(Action.REGISTER, commit, run.id, number, None, check_text(message), without_empty(details))
            return _Plan([draft], number, before=lambda: self._send(run, made))

        return self._change(name, decide, share, new=True)

    def _commit(self, model: Model, version: Version, run: Run, made: Artifact) -> str:
        """The run's own commit, where it says under this name where the bytes are; else one on top of it.

        GTO knows one version for a commit.
        """
        from gittrack.models.declare import declares, declaring_commit

        own = any(one.path == made.path for one in run.record.artifacts)
        commit = run.commit if own else run.head
        assert commit is not None
        taken = {one.registered.commit for one in model.versions.values()}
        if commit not in taken and declares(self.repository, commit, model.name, made):
            return commit
        return declaring_commit(self.repository, commit, model.name, version, made, self.author)

    def _check_bytes(self, run: Run, made: Artifact) -> None:
        if not made.pointer or run.artifact(made).here:
            return
        answer = self.depot().ask([made.md5])
        if made.md5 not in answer.sizes:
            why = answer.silence or f"{answer.name} does not have them"
            raise ObjectMissing(
                f"the bytes of {made.called} of run {run.name} are not here, and {why}; 'gittrack fsck' tells more"
            )

    def _send(self, run: Run, made: Artifact) -> None:
        """Who sees a version can have its bytes, where a DVC remote is set up."""
        if not made.pointer or not run.artifact(made).here or not self.depot().ask([]).configured:
            return
        done = self.depot().send([made.as_pointer()], self.depot().remote())
        for oid, reason in done.failed.items():
            raise ObjectMissing(
                f"the bytes of {made.called} cannot be sent to the DVC remote ({oid[:8]}: {reason}); mend that, or register "
                "with --no-push"
            )

    # --- stages

    def promote(
        self,
        name: str,
        which: str,
        stage: str,
        *,
        message: str = "",
        expect: str | None = None,
        override: str | None = None,
        keep: bool = False,
        dry_run: bool = False,
        share: Share = Share(),
    ) -> Changed:
        """Let a version enter a stage: it leaves the one that it held (unless `keep`), and who held that one makes room.

        `expect` is the version that must hold the stage now, or `none`. Raises PolicyRefused when a rule does not hold, LostRace when
        somebody else was faster or the stage is not as expected.
        """

        def decide(model: Model, rules: Authority) -> _Plan:
            policy = stage_policy(rules, stage)
            version = alive(model, model.find(which))
            called = f"{name}@{version.version.short}"
            if stage in model.aliases:
                raise UsageError(f"{stage} is an alias of {name}; 'gittrack model alias rm {name} {stage}' comes first")
            if stage in version.stages:
                raise UsageError(f"{called} is in {stage} already; nothing is to be done")
            check_expected(model, stage, expect)
            checks = self._checks(policy, model, version, stage, rules)
            if not dry_run or override is not None:
                checks = pass_gate(checks, policy, override, f"{called} into {stage}")
            details = evidence(rules, checks)
            if override is not None and any(one.override for one in checks):
                details["override"] = check_text(override)
            leaving = displaced(model, policy, stage)
            moved = [] if keep else list(version.stages)
            drafts = [draft_of(Action.UNASSIGN, model.versions[one], stage) for one in leaving]
            drafts += [draft_of(Action.UNASSIGN, version, one) for one in moved]
            drafts.append(draft_of(Action.ASSIGN, version, stage, check_text(message), details))
            if policy.archive:
                drafts += [
                    draft_of(Action.ASSIGN, model.versions[one], ARCHIVED)
                    for one in leaving
                    if ARCHIVED not in model.versions[one].stages
                ]
            return _Plan([] if dry_run else drafts, version.version, checks)

        def leave(model: Model, rules: Authority) -> _Plan:
            version = model.find(which)
            if not version.stages:
                raise UsageError(f"{name}@{version.version.short} is in no stage; nothing is to be done")
            drafts = [draft_of(Action.UNASSIGN, version, one, check_text(message)) for one in version.stages]
            return _Plan([] if dry_run else drafts, version.version)

        return self._change(name, leave if stage == NONE else decide, share, dry_run=dry_run)

    def demote(
        self, name: str, which: str, stage: str | None = None, *, message: str = "", share: Share = Share()
    ) -> Changed:
        """Let a version leave a stage, or all of its stages."""

        def decide(model: Model, rules: Authority) -> _Plan:
            version = model.find(which)
            leaving = (
                [which] if stage is None and which in version.stages else [stage] if stage else list(version.stages)
            )
            for one in leaving:
                if one not in version.stages:
                    held = ", ".join(version.stages) or "no stage"
                    raise UsageError(f"{name}@{version.version.short} is not in {one}; it is in {held}")
            if not leaving:
                raise UsageError(f"{name}@{version.version.short} is in no stage; nothing is to be done")
            drafts = [draft_of(Action.UNASSIGN, version, one, check_text(message)) for one in leaving]
            return _Plan(drafts, version.version)

        return self._change(name, decide, share)

    def rollback(
        self, name: str, stage: str, *, message: str = "", expect: str | None = None, share: Share = Share()
    ) -> Changed:
        """Bring back to a stage who was there before; of the rules only that about people counts, for the rest held once."""

        def decide(model: Model, rules: Authority) -> _Plan:
            policy = stage_policy(rules, stage)
            back = model.before(stage)
            if not back:
                raise UsageError(
                    f"nobody was in {stage} of {name} before; 'gittrack model history {name}' tells what was"
                )
            check_expected(model, stage, expect)
            now = model.holders.get(stage, ())
            version = alive(model, model.versions[back[-1]])
            asked = tuple(one for one in policy.rules if one.demand is Demand.PEOPLE)
            people = replace(policy, override=False, rules=asked)
            checks = pass_gate(
                self._checks(people, model, version, stage, rules), people, None, f"a rollback of {stage}"
            )
            mark = {"rollback": [str(one) for one in now]}
            drafts = [draft_of(Action.UNASSIGN, model.versions[one], stage, "", mark) for one in now if one not in back]
            for one in back:
                held = model.versions[one]
                if ARCHIVED in held.stages and stage != ARCHIVED:
                    drafts.append(draft_of(Action.UNASSIGN, held, ARCHIVED))
                if one not in now:
                    drafts.append(
                        draft_of(Action.ASSIGN, held, stage, check_text(message), mark | evidence(rules, checks))
                    )
            return _Plan(drafts, version.version, checks)

        return self._change(name, decide, share)

    # --- aliases, approvals, ends

    def set_alias(self, name: str, which: str, alias: str, *, message: str = "", share: Share = Share()) -> Changed:
        check_alias(alias)

        def decide(model: Model, rules: Authority) -> _Plan:
            if alias in rules.settings.registry.stages:
                raise UsageError(f"{alias} is a stage, and no alias can be called that; choose another word")
            version = alive(model, model.find(which))
            if model.aliases.get(alias) == version.version:
                raise UsageError(f"{name}@{version.version.short} is {alias} already; nothing is to be done")
            return _Plan([draft_of(Action.ALIAS, version, alias, check_text(message))], version.version)

        return self._change(name, decide, share)

    def remove_alias(self, name: str, alias: str, *, message: str = "", share: Share = Share()) -> Changed:
        def decide(model: Model, rules: Authority) -> _Plan:
            if alias not in model.aliases:
                raise UnknownModel(
                    f"model {name} has no alias {alias!r}{nearest(alias, model.aliases) if model.aliases else ''}"
                )
            version = model.versions[model.aliases[alias]]
            return _Plan([draft_of(Action.UNALIAS, version, alias, check_text(message))], version.version)

        return self._change(name, decide, share)

    def approve(
        self, name: str, which: str, stage: str | None = None, *, message: str = "", share: Share = Share()
    ) -> Changed:
        """Say that a version may go on, into one stage or into any; not of one's own work."""
        who = address(self.author.identity)

        def decide(model: Model, rules: Authority) -> _Plan:
            if stage is not None:
                stage_policy(rules, stage)
            version = alive(model, model.find(which))
            called = f"{name}@{version.version.short}"
            if not who:
                raise UsageError("an approval needs a name and an address; set git's user.name and user.email")
            if who == version.registered.email:
                raise UsageError(f"{who} registered {called}, and nobody approves their own work; ask somebody else")
            if who == address(self.state_of(version).author):
                raise UsageError(
                    f"{who} made the run of {called}, and nobody approves their own work; ask somebody else"
                )
            if any(one.email == who and one.place in (None, stage) for one in version.approvals):
                raise UsageError(f"{who} has approved {called} already; nothing is to be done")
            return _Plan([draft_of(Action.APPROVE, version, stage, check_text(message))], version.version)

        return self._change(name, decide, share)

    def deprecate(self, name: str, which: str | None = None, *, message: str = "", share: Share = Share()) -> Changed:
        """Say that a version, or a whole model, is not to be used any more; it stays, and can be looked at."""

        def decide(model: Model, rules: Authority) -> _Plan:
            if which is None:
                check_retirable(model)
                newest = list(model.versions.values())[-1]
                draft = draft_of(Action.RETIRE, newest, None, check_text(message))
                return _Plan([replace(draft, version=None)])
            version = model.find(which)
            check_deprecatable(model, version)
            return _Plan([draft_of(Action.DEPRECATE, version, None, check_text(message))], version.version)

        return self._change(name, decide, share)

    # --- what all changes have in common

    def _change(
        self,
        name: str,
        decide: Callable[[Model, Authority], _Plan],
        share: Share,
        *,
        new: bool = False,
        dry_run: bool = False,
    ) -> Changed:
        remote = self._remote(share)
        notes: list[str] = []
        there: Mapping[str, str] = {}
        if remote is not None:
            came = fetch_registry(self.repository, remote)
            there = came.there
            notes += [f"{subject(one)}: set aside, for somebody else was faster" for one in came.lost]
            notes += [f"{ref}: {why}" for ref, why in came.refused.items()]
        registry = read_registry(self.repository)
        model = registry.models.get(name, Model(name)) if new else registry.get(name)
        if not new and not model.versions:
            raise UnknownModel(f"nothing of the model {name!r} can be trusted; 'gittrack fsck' tells why")
        self._check_whole(registry, model)
        rules = authority(self.repository, remote or self.policy_remote(), ask=remote is not None)
        plan = decide(model, rules)
        if dry_run:
            return Changed(model, version_in(model, plan.version), (), None, plan.checks, tuple(notes))
        events = build(
            self.repository, model, plan.drafts, self.author, sign=rules.settings.registry.sign or self._signs()
        )
        if rules.settings.registry.sign:
            self._check_signed(events, rules)
        if remote is not None:
            plan.before()
            self._publish(remote, model, events, there)
        publish_here(self.repository, events)
        if remote is not None:
            mark_shared(self.repository, {name: (events[-1].number, events[-1].object)})
        after = fold(name, (*model.events, *events))
        return Changed(after, version_in(after, plan.version), events, remote, plan.checks, tuple(notes))

    def _check_whole(self, registry: Registry, model: Model) -> None:
        """Nothing can follow on a sequence that is broken, or is not here."""
        for one in registry.findings:
            if one.model == model.name and one.ref.startswith(SEQUENCE):
                raise CorruptRecord(
                    f"the sequence of {model.name} is broken, so nothing can follow: {one.ref}: {one.reason}; {one.step}"
                )
        if model.events and self.repository.resolve(sequence_ref(model.name, model.number), None) is None:
            raise CorruptRecord(f"only the tags of {model.name} are here, and not its sequence; 'gittrack fetch' first")

    def policy_remote(self) -> str | None:
        """The remote whose default branch decides, also where a change stays here for now."""
        return choose_remote(self.repository) if remotes(self.repository) else None

    def _remote(self, share: Share) -> str | None:
        if share.push is False:
            return None
        if share.push is None and share.remote is None and not remotes(self.repository):
            return None
        return choose_remote(self.repository, share.remote)

    def _signs(self) -> bool:
        """Who signs all of their tags signs these too (git-config(1), tag.gpgSign)."""
        return str(self.repository.setting("tag.gpgsign")).lower() in ("true", "yes", "on", "1")

    def _check_signed(self, events: Sequence[Event], rules: Authority) -> None:
        """Where all are to sign, a signature that would not count makes nothing."""
        world = self.world(rules)
        for event in events:
            ok, said = judge_signature(
                world.signature(event.object, "tag"), rules.settings.registry.signers, event.email
            )
            if not ok:
                raise NotSigned(
                    f"your signature would not count: {said}; see registry.signers on {rules.branch}, and git's "
                    "user.email and user.signingKey"
                )

    def _publish(self, remote: str, model: Model, events: Sequence[Event], there: Mapping[str, str]) -> None:
        """`there` is what the remote had a moment ago: what was changed in this clone alone goes first."""
        first = events[0].number
        try:
            if any(there.get(ref) != one for ref, one in refs_of(model.events).items()):
                earlier = push_registry(self.repository, remote, only=model.name)
                if earlier.lost:
                    first = earlier.lost[0].number
                    raise LostRace(f"somebody else changed the model {model.name} on {remote} at this moment")
                for ref, why in earlier.refused.items():
                    raise GitFailed(f"an earlier change of {model.name} cannot be shared: {ref}: {why}")
            publish_there(self.repository, remote, events)
        except LostRace:
            raise LostRace(self._lost(remote, model, events, first)) from None

    def _lost(self, remote: str, model: Model, events: Sequence[Event], number: int) -> str:
        """Who won, with what, and how to go on."""
        try:
            won = events_there(self.repository, remote, model.name, number)
        except RepositoryError:
            won = []
        first = [one for one in won if one.operation == won[0].operation] if won else []
        by = f" ({'; '.join(subject(one) for one in first)}: {who_and_when(first[0])})" if first else ""
        mine = [one.place for one in events if one.action is Action.ASSIGN and one.place != ARCHIVED]
        placed = next((one for one in first if one.action is Action.ASSIGN and one.place in mine), None)
        again = f" with --expect {placed.version.short}" if placed is not None and placed.version is not None else ""
        return (
            f"somebody else changed the model {model.name} on {remote} first{by}, so nothing of this is in force; look with "
            f"'gittrack fetch' and 'gittrack model show {model.name}', then say it again{again}"
        )

    def _checks(
        self, policy: StagePolicy, model: Model, version: VersionState, stage: str, rules: Authority
    ) -> tuple[Check, ...]:
        if not policy.rules:
            return ()
        return check_rules(policy.rules, self.facts(model, version, stage, rules))

    def world(self, rules: Authority) -> World:
        from gittrack.models.facts import World

        return World(self.repository, self.depot(), self.look, rules, self.state_of)

    def facts(self, model: Model, version: VersionState, stage: str, rules: Authority) -> Facts:
        """What the rules of a stage look at."""
        run, world = self.state_of(version), self.world(rules)
        words = {
            "GITTRACK_MODEL": model.name,
            "GITTRACK_MODEL_VERSION": str(version.version),
            "GITTRACK_MODEL_STAGE": stage,
            "GITTRACK_MODEL_RUN": run.id,
            "GITTRACK_MODEL_REPOSITORY": str(self.repository.root or self.repository.git_dir),
        }
        return Facts(
            model,
            version,
            stage,
            run,
            address(self.author.identity),
            self.author.time,
            missing_data=lambda: world.missing_data(run),
            compare=lambda metric: world.compare(model, stage, version, run, metric),
            signature=world.signature,
            run_command=lambda command: world.run_command(command, tuple(words.items())),
            signers=rules.settings.registry.signers,
            signs=rules.settings.registry.sign,
        )
