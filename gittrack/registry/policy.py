"""Whether a version may enter a stage: each rule looked at, with a sentence for what it found."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from gittrack.domain.policy import Demand, Rule
from gittrack.domain.run import RunState
from gittrack.git.tags import Checked
from gittrack.registry.event import Event, address
from gittrack.registry.state import Model, VersionState
from gittrack.registry.tagname import ARCHIVED
from gittrack.values import dataclass, replace

_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
    "!=": operator.ne,
}
_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Check:
    """A rule as it was written, whether it holds, and why."""

    rule: str
    ok: bool
    said: str
    override: str = ""

    def to_dict(self) -> dict[str, Any]:
        plain: dict[str, Any] = {"rule": self.rule, "ok": self.ok, "said": self.said}
        return plain | {"override": self.override} if self.override else plain


@dataclass(frozen=True)
class Facts:
    """What rules look at. The callables ask the world, and only the rules that need them do.

    `missing_data`: what is not where others can get it, empty when all is. `compare`: whether the run beats the holder in a metric,
    and the sentence. `signature` is of a git object. `run_command`: exit code and last words.
    """

    model: Model
    version: VersionState
    stage: str
    run: RunState
    person: str
    now: int
    missing_data: Callable[[], str]
    compare: Callable[[str], tuple[bool, str]]
    signature: Callable[[str, str], Checked]
    run_command: Callable[[str], tuple[int, str]]
    signers: Sequence[str] = ()
    signs: bool = False

    def by(self, person: str, now: int) -> Facts:
        """The same, as somebody saw it then."""
        return replace(self, person=person, now=now)


def check_rules(rules: Sequence[Rule], facts: Facts) -> tuple[Check, ...]:
    """Every rule, also after one that does not hold: who mends one wants to know of the others."""
    return tuple(check for rule in rules for check in _check(rule, facts))


def _check(rule: Rule, facts: Facts) -> Iterator[Check]:
    ok, said = _RULES[rule.demand](rule, facts)
    yield Check(rule.text, ok, said)


def _clean(rule: Rule, facts: Facts) -> tuple[bool, str]:
    if facts.run.dirty:
        return False, f"run {facts.run.name} ran on a dirty tree, as a snapshot; commit, and record it again"
    return True, f"the code is commit {str(facts.run.code_commit)[:12]}, with nothing uncommitted"


def _pushed(rule: Rule, facts: Facts) -> tuple[bool, str]:
    missing = facts.missing_data()
    if missing:
        return False, missing
    return True, "all of its data are where others can get them"


def _metric(rule: Rule, facts: Facts) -> tuple[bool, str]:
    value = facts.run.metrics.get(rule.metric)
    if value is None:
        return False, f"run {facts.run.name} has no metric {rule.metric!r}"
    # A NaN is in no order with anything, and `!=` would let it through.
    ok = value == value and _OPERATORS[rule.operator](value, rule.number)
    return ok, f"{rule.metric} is {value:.6g}"


def _better(rule: Rule, facts: Facts) -> tuple[bool, str]:
    return facts.compare(rule.metric)


def _from(rule: Rule, facts: Facts) -> tuple[bool, str]:
    held = [one for one in facts.version.stages if one in rule.names]
    if held:
        return True, f"it is in {held[0]}"
    now = ", ".join(facts.version.stages) or "no stage"
    return False, f"it is in {now}, and must be in {' or '.join(rule.names)} before"


def _people(rule: Rule, facts: Facts) -> tuple[bool, str]:
    if any(fnmatchcase(facts.person, one.lower()) for one in rule.names):
        return True, f"{facts.person} may"
    return False, f"{facts.person or 'somebody without an address'} may not; {', '.join(rule.names)} may"


def approvals(version: VersionState, stage: str, author: str) -> dict[str, Event]:
    """Who approved a version for a stage, by address: neither who made the run nor who registered it."""
    found: dict[str, Event] = {}
    for one in version.approvals:
        if one.place in (None, stage) and one.email and one.email not in (author, version.registered.email):
            found.setdefault(one.email, one)
    return found


def _approvals(rule: Rule, facts: Facts) -> tuple[bool, str]:
    found = approvals(facts.version, facts.stage, address(facts.run.author))
    if facts.signs:
        # A name alone can be anybody's.
        found = {email: one for email, one in found.items() if _signed_by(one.object, "tag", facts, one.email)[0]}
    needed = int(rule.number)
    names = f" ({', '.join(found)})" if found else ""
    if len(found) >= needed:
        return True, f"{len(found)} of {needed}{names}"
    called = f"{facts.model.name}@{facts.version.version.short}"
    return (
        False,
        f"{len(found)} of {needed}{names}; others than its author approve with 'gittrack model approve {called}'",
    )


def _signed(rule: Rule, facts: Facts) -> tuple[bool, str]:
    registered = facts.version.registered
    parts = []
    if "tags" in rule.names:
        parts.append(("its registration", registered.object, "tag", registered.email))
    if "commits" in rule.names:
        parts.append(("its code", str(facts.run.code_commit), "commit", ""))
    said = []
    for what, object_id, kind, email in parts:
        ok, why = _signed_by(object_id, kind, facts, email)
        if not ok:
            return False, f"{what}: {why}"
        said.append(f"{what} by {why}")
    return True, "; ".join(said)


def _signed_by(object_id: str, kind: str, facts: Facts, email: str) -> tuple[bool, str]:
    return judge_signature(facts.signature(object_id, kind), facts.signers, email)


def judge_signature(found: Checked, signers: Sequence[str], email: str) -> tuple[bool, str]:
    """Whether a signature counts: it holds, one of the `signers` made it where they are named, and it is who says so (`email`)."""
    if not found.good:
        return False, found.said
    wanted = [one.lower() for one in signers]
    keys = [one.lower() for one in found.keys]
    if wanted and found.email not in wanted and not any(one in wanted for one in keys):
        return False, f"it is signed by {found.signer or found.keys[0]}, who is none of registry.signers"
    if email and found.email and found.email != email:
        return False, f"it says that it is by {email}, and {found.email} signed it"
    return True, found.signer or found.keys[0]


def _soak(rule: Rule, facts: Facts) -> tuple[bool, str]:
    # Nobody tries what is archived.
    tried = [stage for stage in facts.version.stages if stage != ARCHIVED]
    entries = [(facts.model.entry(stage, facts.version.version).time, stage) for stage in tried]
    needed = _duration(rule.number)
    if not entries:
        return False, f"it is in no stage where it could have been tried for {needed}"
    since, stage = max(entries)
    if facts.now - since < rule.number:
        return False, f"it has been in {stage} for {_duration(facts.now - since)} of {needed}"
    return True, f"it has been in {stage} for {_duration(facts.now - since)}"


def _duration(seconds: float) -> str:
    if seconds >= _DAY:
        return f"{seconds / _DAY:.3g} days"
    return f"{seconds / 3600:.3g} hours" if seconds >= 3600 else f"{max(seconds, 0) / 60:.3g} minutes"


def _run(rule: Rule, facts: Facts) -> tuple[bool, str]:
    code, words = facts.run_command(rule.command)
    if code == 0:
        return True, "it exits with 0"
    return False, f"it exits with {code}" + (f": {words}" if words else "")


_RULES: Mapping[Demand, Callable[[Rule, Facts], tuple[bool, str]]] = {
    Demand.CLEAN: _clean,
    Demand.PUSHED: _pushed,
    Demand.METRIC: _metric,
    Demand.BETTER: _better,
    Demand.FROM: _from,
    Demand.PEOPLE: _people,
    Demand.APPROVALS: _approvals,
    Demand.SIGNED: _signed,
    Demand.SOAK: _soak,
    Demand.RUN: _run,
}
