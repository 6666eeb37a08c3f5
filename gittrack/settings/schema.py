"""Every setting with its default and the reader of its value.

A reader takes what YAML gives, or the text of a variable or of git's configuration. It raises
ValueError with the rest of a sentence that begins with the key: "must be true or false, not 7".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from gittrack.domain.names import check_experiment
from gittrack.settings.registry import read_models, read_stages
from gittrack.settings.values import Goal, Retention
from gittrack.settings.words import nearest, said_twice
from gittrack.values import dataclass

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
# From the strictest on.
GUARDED_LEDGERS = ("grow", "purge", "free")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing that may be set; `default` is what one would write in the file."""

    key: str
    default: Any
    parse: Callable[[Any], Any]
    doc: str

    @property
    def variable(self) -> str:
        return "GITTRACK_" + self.key.upper().replace(".", "_")

    @property
    def git_key(self) -> str:
        """git allows no underscore in its keys."""
        return "gittrack." + self.key.replace("_", "-")


# --- readers


def _wrong(expected: str, value: object) -> ValueError:
    return ValueError(f"must be {expected}, not {value!r:.80}")


def _experiment(value: object) -> str:
    try:
        return check_experiment(value if isinstance(value, str) else str(value))
    except ValueError as error:
        raise ValueError(f"is wrong: {error}") from None


def _choice(choices: tuple[str, ...], value: object) -> str:
    if value is False:  # YAML reads `no` and `off` as false.
        value = "none"
    if not isinstance(value, str) or value.lower() not in choices:
        raise _wrong(f"{', '.join(choices[:-1])} or {choices[-1]}", value)
    return value.lower()


def _truth(value: object) -> bool:
    if str(value).lower() not in (*_TRUE, *_FALSE):
        raise _wrong("true or false", value)
    return str(value).lower() in _TRUE


def _interval(value: object) -> float | None:
    text = str(value).strip().lower()
    if text in _FALSE:
        return None
    found = _DURATION.fullmatch(text)
    if found is None or not float(found[1]):
        raise _wrong("a duration like 15s or 1m, or false", value)
    return float(found[1]) * _SECONDS[found[2]]


def _size(value: object) -> int:
    found = _SIZE.fullmatch(str(value).strip())
    if found is None:
        raise _wrong("a size like 64KB or 10MB", value)
    # In units of 1,024, as in git's own settings.
    return int(float(found[1]) * 1024 ** " kmgt".index(found[2].lower() or " "))


def _limit(value: object) -> int | None:
    return None if str(value).strip().lower() in _FALSE else _size(value)


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _wrong("a list of texts", value)
    return tuple(one for one in value if one)


def _goals(value: object) -> dict[str, Goal]:
    if isinstance(value, str):
        value = _from_yaml_text(value)
    if not isinstance(value, dict):
        raise _wrong("a mapping from metrics to goals, like {val/acc: {goal: max}}", value)
    return {str(metric): _goal(str(metric), said) for metric, said in value.items()}


def _from_yaml_text(text: str) -> object:
    """What a variable or git's configuration says as YAML; raises ValueError for a key that stands twice."""
    import yaml

    try:
        twice = next(said_twice(yaml.compose(text, Loader=yaml.SafeLoader)), None)
        plain = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text
    if twice is not None:
        raise ValueError(f"says {twice[0]!r} twice")
    return plain


def _goal(metric: str, said: object) -> Goal:
    if isinstance(said, str):
        said = {"goal": said}
    if not isinstance(said, dict):
        raise ValueError(f"of {metric!r} must be like {{goal: max}}, not {said!r:.80}")
    known = ("goal", "min_change", "role")
    for key in said:
        if key not in known:
            raise ValueError(f"of {metric!r} has no {key!r}{nearest(str(key), known)}")
    goal, change = said.get("goal"), said.get("min_change", 0.0)
    role = said.get("role", "watch")
    if goal not in ("min", "max"):
        raise ValueError(f"of {metric!r} needs 'goal: min' or 'goal: max', not {goal!r:.80}")
    is_number = isinstance(change, (int, float)) and not isinstance(change, bool)
    if not is_number or not 0 <= change < float("inf"):
        raise ValueError(f"of {metric!r}: min_change must be 0 or more, not {change!r:.80}")
    if role not in ("gate", "watch", "ignore"):
        raise ValueError(f"of {metric!r}: role must be gate, watch or ignore, not {role!r:.80}")
    return Goal(goal, float(change), role)


def _name_or_none(value: object) -> str | None:
    if not isinstance(value, str):
        raise _wrong("the name of a DVC remote", value)
    return value.strip() or None


def _retention(value: object) -> Retention:
    if isinstance(value, str):
        value = _from_yaml_text(value)
    if not isinstance(value, dict):
        raise _wrong("a mapping of rules, like {keep_last: 50, keep_days: 90}", value)
    known = ("keep_last", "keep_best", "keep_days", "kinds")
    for key in value:
        if key not in known:
            raise ValueError(f"has no rule {key!r}{nearest(str(key), known)}")
    best = value.get("keep_best", {})
    if not isinstance(best, dict):
        raise ValueError(f"keep_best must be like {{val/acc: 10}}, not {best!r:.80}")
    days = value.get("keep_days")
    if days is not None and (isinstance(days, bool) or not isinstance(days, (int, float)) or not 0 <= days < 1e6):
        raise ValueError(f"keep_days must be a number of days, not {days!r:.80}")
    last = value.get("keep_last")
    kinds = _texts(value.get("kinds", []))
    if kinds and last is None and days is None and not best:
        raise ValueError("has kinds alone, which let nothing go; set keep_last, keep_days or keep_best beside it")
    return Retention(
        None if last is None else _a_count("keep_last", last),
        {str(metric): _a_count(f"keep_best of {metric!r}", count) for metric, count in best.items()},
        None if days is None else float(days),
        kinds,
    )


def _a_count(what: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{what} must be a number of runs, not {value!r:.80}")
    return value


def _of_yaml(read: Callable[[object], Any], value: object) -> Any:
    return read(_from_yaml_text(value) if isinstance(value, str) else value)


def takes_several(setting: Setting) -> bool:
    """Whether several values of one key in git's configuration make one list."""
    return setting.parse is _texts


# --- all of them

SCHEMA: tuple[Setting, ...] = (
    Setting("experiment", "default", _experiment, "The experiment of a run that names none."),
    Setting(
        "run.isolated",
        False,
        _truth,
        "Whether a command runs in a worktree of its own, where nothing that happens in yours\ncan touch its files.",
    ),
    Setting(
        "run.allow_dirty",
        "none",
        partial(_choice, ("none", "tracked", "all")),
        "What happens to changes that no commit holds: none refuses the run, tracked takes\n"
        "a snapshot of changed files with it, all also of new files.",
    ),
    Setting(
        "run.snapshot_limit",
        "10MB",
        _size,
        "The largest new file that a snapshot takes; a larger one is refused.",
    ),
    Setting(
        "run.system_metrics",
        "15s",
        _interval,
        "How often CPU, memory, disk, network and GPU are measured; false turns it off.",
    ),
    Setting("run.console", True, _truth, "Whether what a run prints is kept with it."),
    Setting(
        "run.notice_inputs",
        True,
        _truth,
        "Whether files that Python code opens without declaring them as inputs are noticed.",
    ),
    Setting("params.files", ["params.yaml"], _texts, "Files whose content becomes params."),
    Setting(
        "params.seed_like",
        ["seed", "random_state", "fold"],
        _texts,
        "Params that only tell repeats of one configuration apart.",
    ),
    Setting(
        "metrics.files",
        ["metrics.json"],
        _texts,
        "Files whose numbers become metrics when the command has ended.",
    ),
    Setting(
        "metrics.goals",
        {},
        _goals,
        "Which way a metric is better, by its key or a pattern, for example\n"
        "  val/acc: {goal: max, min_change: 0.002, role: gate}\n"
        '  "loss/*": {goal: min}',
    ),
    Setting(
        "environment.variables",
        [
            "CUDA_VISIBLE_DEVICES",
            "CUBLAS_WORKSPACE_CONFIG",
            "MKL_NUM_THREADS",
            "NCCL_*",
            "OMP_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
            "PYTHONHASHSEED",
            "PYTORCH_CUDA_ALLOC_CONF",
            "TF_DETERMINISTIC_OPS",
            "XLA_FLAGS",
        ],
        _texts,
        "Environment variables that are recorded, by name or pattern; no others are.",
    ),
    Setting(
        "environment.mask",
        ["*KEY*", "*TOKEN*", "*SECRET*", "*PASSWORD*", "*CREDENTIAL*"],
        _texts,
        "Names whose values are never recorded.",
    ),
    Setting(
        "artifacts.inline",
        "64KB",
        _size,
        "The largest artifact that git holds whole; what is larger goes into DVC's cache.",
    ),
    Setting(
        "artifacts.remote",
        "",
        _name_or_none,
        "The DVC remote under which the data of runs lie; empty: the default one of DVC.",
    ),
    Setting(
        "artifacts.retention",
        {},
        _retention,
        "Which runs keep their artifacts when 'gittrack gc' frees room; a run that any rule\n"
        "names keeps them, and without a rule every run does. For example\n"
        "  {keep_last: 50, keep_best: {val/acc: 10}, keep_days: 90, kinds: [checkpoint]}",
    ),
    Setting(
        "registry.sign",
        False,
        _truth,
        "Whether every change of a model is signed, as git's own settings say how.",
    ),
    Setting(
        "registry.signers",
        [],
        _texts,
        "Whose signatures count, by address or fingerprint of the key; empty: all that git\n"
        "finds good. Keys of ssh stand in .gittrack/allowed_signers, beside this file.",
    ),
    Setting(
        "registry.stages",
        {},
        partial(_of_yaml, read_stages),
        "What a stage demands of a version before it lets it in, beside none, staging,\n"
        "production and archived also stages of your own. Only what the default branch says counts.\n"
        "  staging: {holders: 3}\n"
        "  production: {archive: true, override: true, policy: [clean, pushed, val/acc >= 0.9,\n"
        "    {better: val/acc}, {from: [staging]}, {approvals: 1}, {soak: 2d}]}",
    ),
    Setting(
        "registry.models",
        {},
        partial(_of_yaml, read_models),
        "What is said of a model in its card: description, intended_use, limitations, owner.\n"
        "  digits: {description: Reads digits, owner: Vision team}",
    ),
    Setting(
        "report.runs",
        "latest",
        partial(_choice, ("latest", "best")),
        "Which configuration speaks for a side where there are several: the one that ran last,\n"
        "or the best one by the first metric that gates.",
    ),
    Setting(
        "report.gate",
        [],
        _texts,
        "Metrics, or patterns, for which 'gittrack report --gate' says no when they regressed;\n"
        "beside those whose goal has the role gate.",
    ),
    Setting(
        "report.proof",
        False,
        _truth,
        "Whether 'gittrack report --gate' says no to what is undecided, too.",
    ),
    Setting(
        "guards.large_files",
        "5MB",
        _limit,
        "The largest file that a commit may hold without a DVC pointer, where the guard of large\n"
        "files is installed; false turns it off.",
    ),
    Setting(
        "guards.notebooks",
        False,
        _limit,
        "The largest outputs of a notebook that no recorded run wrote, for example 100KB, where\n"
        "its guard is installed; false turns it off.",
    ),
    Setting(
        "guards.push_runs",
        "warn",
        partial(_choice, ("push", "warn", "refuse", "none")),
        "What 'git push' does about runs of the pushed commits that the remote lacks, where its\n"
        "guard is installed: push takes them along, refuse stops, none does not look.",
    ),
    Setting(
        "guards.ledgers",
        "purge",
        partial(_choice, GUARDED_LEDGERS),
        "What may become of a ledger on a server that has the update hook: grow lets it only\n"
        "grow, purge also lets 'gittrack gc --purge --push' replace it, free also lets\n"
        "'gittrack gc --merge-ledgers' take it away.",
    ),
)
