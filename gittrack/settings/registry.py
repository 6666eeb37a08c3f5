"""Readers of the registry's settings: stages with what each demands, and what people say of a model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gittrack.domain.names import is_model_name
from gittrack.domain.policy import STAGES, Demand, ModelText, Rule, StagePolicy
from gittrack.domain.version import Version
from gittrack.settings.words import nearest
from gittrack.values import fields

_THRESHOLD = re.compile(r"(?P<metric>.+?)\s*(?P<operator>>=|<=|!=|==?|>|<)\s*(?P<number>\S+)")
_PERIOD = re.compile(r"(\d+(?:\.\d+)?)\s*(m|h|d|w)")
_SECONDS = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_STAGE_KEYS = ("holders", "archive", "override", "policy")
_RULES = ("clean", "pushed", "signed", "better", "from", "people", "approvals", "soak", "run")
_SIGNABLE = ("tags", "commits")


def read_stages(value: object) -> dict[str, StagePolicy]:
    """All stages, those that every project has among them; raises ValueError with the rest of a sentence."""
    if not isinstance(value, dict):
        raise ValueError(f"must be a mapping from stages to what they demand, not {value!r:.80}")
    found = dict(STAGES)
    for name, said in value.items():
        if not isinstance(name, str) or not is_model_name(name) or name in ("none", "latest") or Version.read(name):
            raise ValueError(
                f"has a stage {name!r:.80}; its name must be of letters, digits, '-', '_' and '/', and mean nothing else (none, latest, v3)"
            )
        try:
            found[name] = _stage(said, found.get(name, StagePolicy()))
        except ValueError as error:
            raise ValueError(f"of {name} {error}") from None
    return found


def _stage(said: object, default: StagePolicy) -> StagePolicy:
    if said is None:
        return default
    if not isinstance(said, dict):
        raise ValueError(f"must be like {{holders: 1, policy: [clean]}}, not {said!r:.80}")
    for key in said:
        if key not in _STAGE_KEYS:
            raise ValueError(f"has no {key!r}{nearest(str(key), _STAGE_KEYS)}")
    holders = said.get("holders", default.holders)
    if isinstance(holders, bool) or not isinstance(holders, int) or holders < 0:
        raise ValueError(f"holders must be a number of versions, or 0 for any number, not {holders!r:.80}")
    rules = said.get("policy", [])
    if isinstance(rules, (str, dict)):
        rules = [rules]
    if not isinstance(rules, list):
        raise ValueError(f"policy must be a list of rules, not {rules!r:.80}")
    return StagePolicy(
        holders,
        _truth("archive", said.get("archive", False)),
        _truth("override", said.get("override", False)),
        tuple(rule for one in rules for rule in _rules(one)),
    )


def _truth(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{key} must be true or false, not {value!r:.80}")
    return value


def _rules(said: object) -> list[Rule]:
    if isinstance(said, str):
        return [_word(said.strip())]
    if isinstance(said, dict) and said:
        return [_pair(str(key), value) for key, value in said.items()]
    raise ValueError(f"policy has a rule {said!r:.80}; write one like clean, 'val/acc >= 0.9' or {{approvals: 1}}")


def _word(text: str) -> Rule:
    if text in ("clean", "pushed"):
        return Rule(Demand(text), text)
    if text == "signed":
        return Rule(Demand.SIGNED, text, names=("tags",))
    found = _THRESHOLD.fullmatch(text)
    if found is None:
        hint = f"; {text} needs a value: {{{text}: ...}}" if text in _RULES else nearest(text, _RULES)
        raise ValueError(f"policy has no rule {text!r}{hint}")
    try:
        number = float(found["number"])
    except ValueError:
        raise ValueError(f"policy compares {found['metric']!r} with {found['number']!r}, which is no number") from None
    sign = found["operator"].replace("==", "=")
    return Rule(Demand.METRIC, text, metric=found["metric"].strip("`"), operator=sign, number=number)


def _pair(key: str, value: Any) -> Rule:
    text = f"{key}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
    match key:
        case "approvals":
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"approvals must be a number of people, not {value!r:.80}")
            return Rule(Demand.APPROVALS, text, number=float(value))
        case "better":
            if not isinstance(value, str) or not value:
                raise ValueError(f"better must name a metric, not {value!r:.80}")
            return Rule(Demand.BETTER, text, metric=value)
        case "from":
            return Rule(Demand.FROM, text, names=_texts(key, value))
        case "people":
            return Rule(Demand.PEOPLE, text, names=_texts(key, value))
        case "signed":
            names = _texts(key, value)
            for one in names:
                if one not in _SIGNABLE:
                    raise ValueError(f"signed has no {one!r}{nearest(one, _SIGNABLE)}")
            return Rule(Demand.SIGNED, text, names=names)
        case "soak":
            found = _PERIOD.fullmatch(str(value).strip())
            if found is None:
                raise ValueError(f"soak must be a time like 12h or 7d, not {value!r:.80}")
            return Rule(Demand.SOAK, text, number=float(found[1]) * _SECONDS[found[2]])
        case "run":
            if not isinstance(value, str) or not value.strip():
                raise ValueError(f"run must be a command, not {value!r:.80}")
            return Rule(Demand.RUN, text, command=value)
        case "clean" | "pushed" if value is True:
            return Rule(Demand(key), key)
    raise ValueError(f"policy has no rule {key!r}{nearest(key, _RULES)}")


def _texts(key: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not value or not all(isinstance(one, str) and one for one in value):
        raise ValueError(f"{key} must be a list of texts, not {value!r:.80}")
    return tuple(value)


def read_models(value: object) -> dict[str, ModelText]:
    """What is said of each model; raises ValueError with the rest of a sentence."""
    if not isinstance(value, dict):
        raise ValueError(f"must be a mapping from models to what is said of them, not {value!r:.80}")
    return {str(name): _model(str(name), said) for name, said in value.items()}


def _model(name: str, said: object) -> ModelText:
    known = tuple(one.name for one in fields(ModelText))
    if not isinstance(said, Mapping):
        raise ValueError(f"of {name} must be like {{description: TEXT, owner: NAME}}, not {said!r:.80}")
    for key, value in said.items():
        if key not in known:
            raise ValueError(f"of {name} has no {key!r}{nearest(str(key), known)}")
        if not isinstance(value, str):
            raise ValueError(f"of {name}: {key} must be text, not {value!r:.80}")
    return ModelText(**{str(key): str(value).strip() for key, value in said.items()})
