"""Rules of a stage: read from the settings, each with a version that it lets in and one that it does not."""

from __future__ import annotations

from typing import Any

import pytest

from gittrack.domain.policy import StagePolicy
from gittrack.domain.run import RunState, Status
from gittrack.domain.version import Version
from gittrack.git.tags import Checked
from gittrack.registry.event import Event
from gittrack.registry.policy import Facts, check_rules
from gittrack.registry.state import fold
from gittrack.registry.tagname import Action
from gittrack.settings.registry import read_models, read_stages

ONE = Version(1)
JANE, JOE, KIM = (f"{name} <{name.lower()}@example.org>" for name in ("Jane", "Joe", "Kim"))
DAY = 86_400


def event(number: int, action: Action, place: str | None = None, author: str = JANE) -> Event:
    return Event(
        "digits",
        number,
        action,
        "c" * 40,
        "r",
        ONE,
        place,
        number,
        author=author,
        time=number * DAY,
        object=f"o{number}",
    )


def facts(*events: Event, **changes: Any) -> Facts:
    model = fold("digits", [event(1, Action.REGISTER), *events])
    run = RunState(
        "r",
        "net",
        "digits",
        Status.FINISHED,
        0.0,
        author=JANE,
        code_commit="c" * 40,
        metrics={"acc": 0.95, "nan": float("nan")},
    )
    fields: dict[str, Any] = {
        "model": model,
        "version": model.versions[ONE],
        "stage": "production",
        "run": run,
        "person": "jane@example.org",
        "now": 10 * DAY,
        "missing_data": lambda: "",
        "compare": lambda metric: (True, f"{metric} is better"),
        "signature": lambda object_id, kind: Checked(True, "jane@example.org", ("SHA256:abc",)),
        "run_command": lambda command: (0, ""),
    }
    return Facts(**{**fields, **changes})


STAGED = event(2, Action.ASSIGN, "staging")
DIRTY = RunState("r", "net", "digits", Status.FINISHED, 0.0, dirty=True)
UNSIGNED = Checked(False, said="it is not signed")

CASES: list[tuple[Any, Facts, Facts, str]] = [
    ("clean", facts(), facts(run=DIRTY), "dirty tree"),
    ("pushed", facts(), facts(missing_data=lambda: "model.pkl is on no remote"), "on no remote"),
    ("acc >= 0.9", facts(), facts(run=DIRTY), "no metric 'acc'"),
    ("acc != 0.9", facts(), facts(run=DIRTY), "no metric 'acc'"),
    ({"better": "acc"}, facts(), facts(compare=lambda metric: (False, "0.95 against 0.96")), "against"),
    ({"from": "staging"}, facts(STAGED), facts(), "must be in staging"),
    ({"people": ["*@example.org"]}, facts(), facts(person="eve@example.com"), "eve@example.com may not"),
    ({"approvals": 1}, facts(event(2, Action.APPROVE, author=JOE)), facts(event(2, Action.APPROVE)), "0 of 1"),
    ("signed", facts(), facts(signature=lambda *_: UNSIGNED), "its registration: it is not signed"),
    ({"signed": ["tags", "commits"]}, facts(), facts(signers=("joe@example.org",)), "none of registry.signers"),
    ({"soak": "7d"}, facts(STAGED), facts(STAGED, now=3 * DAY), "1 days of 7 days"),
    ({"run": "true"}, facts(), facts(run_command=lambda _: (3, "no GPU")), "exits with 3: no GPU"),
]


@pytest.mark.parametrize(("rule", "good", "bad", "said"), CASES, ids=[str(one[0]) for one in CASES])
def test_every_rule_lets_in_and_refuses(rule: Any, good: Facts, bad: Facts, said: str) -> None:
    rules = read_stages({"production": {"policy": [rule]}})["production"].rules
    (held,) = check_rules(rules, good)
    assert held.ok, held
    (refused,) = check_rules(rules, bad)
    assert not refused.ok
    assert said in refused.said


def test_a_metric_that_is_no_number_passes_no_threshold() -> None:
    for rule in ("nan >= 0", "nan != 0", "nan < 1"):
        (check,) = check_rules(read_stages({"production": {"policy": rule}})["production"].rules, facts())
        assert not check.ok


def test_who_approves_twice_or_for_another_stage_counts_once_or_not() -> None:
    rules = read_stages({"production": {"policy": {"approvals": 2}}})["production"].rules
    again = [
        event(2, Action.APPROVE, author=JOE),
        event(3, Action.APPROVE, "production", JOE),
        event(4, Action.APPROVE, "staging", KIM),
    ]
    assert "1 of 2 (joe@example.org)" in check_rules(rules, facts(*again))[0].said
    assert check_rules(rules, facts(*again, event(5, Action.APPROVE, "production", KIM)))[0].ok


def test_a_name_is_no_approval_where_signatures_are_asked_for() -> None:
    rules = read_stages({"production": {"policy": {"approvals": 1}}})["production"].rules
    # Jane's key signed what says that it is Joe's.
    assert not check_rules(rules, facts(event(2, Action.APPROVE, author=JOE), signs=True))[0].ok


def test_stages_that_every_project_has() -> None:
    stages = read_stages({"canary": {"holders": 3}, "production": {"archive": True, "override": True}})
    assert stages["canary"] == StagePolicy(holders=3)
    assert (stages["archived"].holders, stages["production"].archive, stages["staging"].holders) == (0, True, 1)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (7, "must be a mapping"),
        ({"a b": {}}, "has a stage 'a b'"),
        ({"production": {"holder": 1}}, "did you mean holders"),
        ({"production": {"holders": True}}, "number of versions"),
        ({"production": {"policy": ["claen"]}}, "did you mean clean"),
        ({"production": {"policy": ["soak"]}}, "soak needs a value"),
        ({"production": {"policy": ["acc >= high"]}}, "is no number"),
        ({"production": {"policy": [{"soak": "7 fortnights"}]}}, "a time like 12h"),
        ({"production": {"policy": [{"approvals": 0}]}}, "number of people"),
        ({"production": {"policy": [{"signed": ["tag"]}]}}, "did you mean tags"),
    ],
)
def test_what_is_wrong_in_the_settings_is_named(said: Any, answer: str) -> None:
    with pytest.raises(ValueError, match=answer):
        read_stages(said)


def test_what_is_said_of_a_model() -> None:
    assert read_models({"digits": {"owner": " Jane "}})["digits"].owner == "Jane"
    with pytest.raises(ValueError, match="did you mean owner"):
        read_models({"digits": {"ownr": "Jane"}})
