"""Small judgements over models (pure): may it be done, by what number, who makes room, and the sentence when it may not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gittrack.domain.policy import StagePolicy
from gittrack.domain.run import RunState, Status
from gittrack.domain.version import Version
from gittrack.errors import AmbiguousRun, LostRace, PolicyRefused, UnknownModel, UsageError
from gittrack.models.settings import Authority
from gittrack.registry.event import Event
from gittrack.registry.policy import Check
from gittrack.registry.record import Draft
from gittrack.registry.state import Model, VersionState
from gittrack.registry.tagname import ARCHIVED, NONE, Action
from gittrack.settings.words import nearest
from gittrack.values import replace

if TYPE_CHECKING:
    from gittrack.domain.artifact import Artifact
    from gittrack.run import Run


def check_run(run: RunState) -> None:
    if run.commit is None:
        raise UsageError(f"run {run.name} is still active; register it when it is finished")
    if run.deleted:
        raise UsageError(f"run {run.name} is deleted; 'gittrack restore {run.id[:8]}' brings it back first")
    if run.status is not Status.FINISHED:
        raise UsageError(f"run {run.name} did not finish (it {_HOW[run.status]}), and a model comes from one that did")


_HOW = {Status.FAILED: "failed", Status.KILLED: "was killed", Status.LOST: "was lost", Status.RUNNING: "is running"}


def choose_artifact(run: Run, model: str, artifact: str | None) -> Artifact:
    """The artifact that is meant: the one named, that of the model's name, the only model, or the only one at all."""
    if artifact is not None:
        return run.artifact(artifact).artifact
    found = run.artifacts
    for alike in (
        [one for one in found if one.name == model],
        [one for one in found if one.kind == "model"],
        list(found),
    ):
        if len({one.md5 for one in alike}) == 1:
            return alike[-1]
    if not found:
        raise UsageError(f"run {run.name} has no artifact; 'gittrack artifact add {run.id[:8]} PATH' adds one")
    raise AmbiguousRun(
        f"run {run.name} has {len(found):,} artifacts; say which one is the model with --artifact",
        [f"{one.called}  {one.kind or ''}  {one.md5[:12]}" for one in found],
    )


def is_of(version: VersionState, run: str, made: Artifact) -> bool:
    said = version.registered.details.get("artifact")
    return version.registered.run == run and isinstance(said, dict) and said.get("path") == made.path


def next_version(model: Model, bump: str | None = None) -> Version:
    """The number after the highest one, whatever has become of that."""
    return max(model.versions).bump(bump or "major") if model.versions else Version(1)


def shown_metrics(run: RunState, rules: Authority) -> str:
    """The metrics that somebody has set a goal for, as far as they fit into a line."""
    chosen = [key for key in run.metrics if rules.settings.goal(key) is not None]
    return ", ".join(f"{key} {run.metrics[key]:.6g}" for key in sorted(chosen)[:3])


def without_empty(details: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in details.items() if value not in ({}, None, [])}


def stage_policy(rules: Authority, stage: str) -> StagePolicy:
    stages = rules.settings.registry.stages
    if stage not in stages:
        raise UnknownModel(
            f"there is no stage {stage!r}{nearest(stage, stages)} (registry.stages in .gittrack/config.yaml on {rules.branch} makes a "
            "new one)"
        )
    return stages[stage]


def alive(model: Model, version: VersionState) -> VersionState:
    ended = version.deprecated or model.retired
    if ended is not None:
        what = f"{model.name}@{version.version.short}" if version.deprecated else f"model {model.name}"
        raise UsageError(f"{what} is deprecated ({who_and_when(ended)}); choose another version")
    return version


def check_deprecatable(model: Model, version: VersionState) -> None:
    alive(model, version)
    live = [one for one in version.stages if one != ARCHIVED]
    if live:
        called = f"{model.name}@{version.version.short}"
        raise UsageError(f"{called} is in {', '.join(live)}; 'gittrack model demote {called}' comes first")


def check_retirable(model: Model) -> None:
    held = [f"{stage}: {', '.join(one.short for one in held)}" for stage, held in model.holders.items()]
    if model.retired is not None:
        raise UsageError(
            f"model {model.name} is deprecated already ({who_and_when(model.retired)}); nothing is to be done"
        )
    if [one for one in held if not one.startswith(f"{ARCHIVED}:")]:
        raise UsageError(f"model {model.name} is still in use ({'; '.join(held)}); 'gittrack model demote' comes first")


def check_expected(model: Model, stage: str, expect: str | None) -> None:
    if expect is None:
        return
    now = model.holders.get(stage, ())
    wanted = () if expect == NONE else (Version.parse(expect),)
    if tuple(now) != wanted:
        held = ", ".join(one.short for one in now) or "nobody"
        last = next((one for one in reversed(model.events) if one.place == stage), None)
        by = f" ({who_and_when(last)})" if last is not None else ""
        raise LostRace(
            f"{held} is in {stage} of {model.name}{by}, not {expect}; nothing was changed; look before you go on"
        )


def evidence(rules: Authority, checks: Sequence[Check]) -> dict[str, Any]:
    """Which policy was looked at, and what each of its rules said."""
    plain: dict[str, Any] = {"policy": {"branch": rules.branch, "commit": rules.commit}}
    return plain | ({"checks": [one.to_dict() for one in checks]} if checks else {})


def displaced(model: Model, policy: StagePolicy, stage: str) -> list[Version]:
    """Who makes room: as many as must, those that entered first."""
    held = model.holders.get(stage, ())
    return list(held[: len(held) - policy.holders + 1]) if policy.holders and len(held) >= policy.holders else []


def pass_gate(checks: tuple[Check, ...], policy: StagePolicy, override: str | None, what: str) -> tuple[Check, ...]:
    failed = [one for one in checks if not one.ok]
    if override is not None and not override.strip():
        raise UsageError("an override needs a reason in words; it is for ever visible")
    if override is not None and not policy.override:
        raise PolicyRefused(
            "this stage lets nobody pass over its rules; 'override: true' beside its policy on the default branch would",
            check_lines(checks),
        )
    if not failed:
        return checks
    if override is None:
        others = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        also = "; --override REASON passes over it, for everybody to see" if policy.override else ""
        raise PolicyRefused(
            f"the policy does not let {what}: {failed[0].rule}: {failed[0].said}{others}{also}", check_lines(checks)
        )
    return tuple(one if one.ok else replace(one, override=override.strip()) for one in checks)


def check_lines(checks: Sequence[Check]) -> list[str]:
    return [
        f"{'ok' if one.ok else 'passed over' if one.override else 'no':11} {one.rule}: {one.said}" for one in checks
    ]


def draft_of(
    action: Action,
    version: VersionState,
    place: str | None,
    message: str = "",
    details: Mapping[str, Any] | None = None,
) -> Draft:
    registered = version.registered
    return Draft(action, registered.commit, registered.run, version.version, place, message, details or {})


def version_in(model: Model, version: Version | None) -> VersionState | None:
    return None if version is None else model.versions.get(version)


def who_and_when(event: Event) -> str:
    """Who did it and when, for a sentence."""
    when = dt.datetime.fromtimestamp(event.time, dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{event.name}, {when}"
