"""What a run looks like before it is imported: a mapping of plain values, which becomes a record (pure)."""

from __future__ import annotations

import datetime as dt
import re
import shlex
from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from gittrack.capture.secrets import mask_argv, mask_text, mask_value
from gittrack.domain.metric import History, Summary, summarize, to_number, to_step
from gittrack.domain.names import check_experiment, check_key, check_run_name, is_run_id, name_from_id
from gittrack.domain.param import flatten
from gittrack.domain.run import Attempt, CodeCapture, RunRecord, Status
from gittrack.domain.text import check_text, checked_tags
from gittrack.errors import InvalidValue, UsageError
from gittrack.values import dataclass

_TEXTS = ("id", "name", "experiment", "status", "description", "author", "command", "code")
_OTHERS = ("started", "ended", "params", "metrics", "history", "tags")
KEYS = frozenset((*_TEXTS, *_OTHERS))
_ENDS = (Status.FINISHED, Status.FAILED, Status.KILLED, Status.LOST)
_LATEST = 253_402_300_799.0  # the last second of the year 9999
_IDENTITY = re.compile(r"[^<>\n\0]*[^<>\n\0 ] <[^<>\n\0]*>")


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for items that do not say it; `masks` name what to hide, as the setting `environment.mask` does."""

    experiment: str
    author: str
    now: float
    masks: tuple[str, ...] = ()


def to_record(
    item: Mapping[str, Any], run_id: str, code: str, defaults: Defaults
) -> tuple[RunRecord, Mapping[str, History]]:
    """The record of an item and the histories of its metrics, none where every metric has but one point.

    `code` is the commit that the item's code is. Raises UsageError and its kin.
    """
    histories, singles = _histories(item)
    started, ended = _times(item, histories.values(), defaults.now)
    for one in histories.values():
        if not one.times:
            one.times.extend(array("d", [ended]) * len(one))
    summary = {}
    for key in sorted(histories.keys() | singles.keys()):
        if key in histories:
            summary[key] = summarize(histories[key])
        else:
            value = singles[key]
            summary[key] = Summary(value, value, value, value, 1, 0, ended, 0 if value == value else 1)
    status = _status(item.get("status", Status.FINISHED))
    name = item.get("name")
    experiment = item.get("experiment")
    record = RunRecord(
        id=run_id,
        name=name_from_id(run_id) if name is None else check_run_name(name),
        experiment=defaults.experiment if experiment is None else _experiment(experiment),
        status=status,
        started=started,
        ended=ended,
        code=CodeCapture(code),
        command=_command(item.get("command"), defaults.masks),
        author=_author(item.get("author"), defaults.author),
        params=_masked_params(flatten(_mapping(item, "params")), defaults.masks),
        summary=summary,
        tags={key: _masked(key, value, defaults.masks) for key, value in checked_tags(_mapping(item, "tags")).items()},
        description=mask_text(check_text(item.get("description") or "")),
        attempts=(Attempt(1, started, ended, status),),
    )
    if histories:
        # All or none: whether a history is large is counted over every point of a run.
        histories |= {key: _single(key, value, ended) for key, value in singles.items()}
    return record, histories


def check_item(item: object) -> Mapping[str, Any]:
    if not isinstance(item, Mapping):
        raise InvalidValue(f"a run to import is a mapping of fields, not {type(item).__name__}; pass a list of such")
    if not item.keys() <= KEYS:
        odd = next(key for key in item if key not in KEYS)
        raise UsageError(f"{odd!r} is nothing that a run has; there are {', '.join(sorted(KEYS))}")
    return item


def check_id(value: object) -> str:
    if not isinstance(value, str) or not is_run_id(value):
        raise InvalidValue(f"an id is 32 hex digits in lower case, not {value!r:.60}")
    return value


def _mapping(item: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = item.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidValue(f"{key} is a mapping, not {type(value).__name__}")
    return value


@lru_cache(maxsize=1024)
def _experiment(name: str) -> str:
    return check_experiment(name)


@lru_cache(maxsize=4096)
def _metric_key(key: str) -> str:
    return check_key("metric", key)


def _status(value: object) -> Status:
    if value in _ENDS:
        return Status(str(value))
    raise InvalidValue(f"a run that is imported is {', '.join(_ENDS[:-1])} or {_ENDS[-1]}, not {value!r:.60}")


def _author(value: object, default: str) -> str:
    if value is None:
        return default
    if not isinstance(value, str):
        raise InvalidValue(f"an author is text, not {type(value).__name__}")
    text = check_text(value).strip()
    # Other trackers know a login and no address.
    text = text if "<" in text else f"{text} <>"
    if not _IDENTITY.fullmatch(text):
        raise InvalidValue(f"the author {value!r:.80} is not like 'Name <mail@example.org>'")
    return text


def _command(value: object, masks: tuple[str, ...]) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        try:
            words = shlex.split(value)
        except ValueError:
            words = [value]
    elif isinstance(value, Sequence) and all(isinstance(one, str) for one in value):
        words = list(value)
    else:
        raise InvalidValue(f"a command is text or a list of texts, not {value!r:.60}")
    return tuple(mask_argv([check_text(one) for one in words], masks))


# --- secrets


@lru_cache(maxsize=4096)
def _masked(key: str, value: str, masks: tuple[str, ...]) -> str:
    """Values of params and run tags are mostly choices, of which there are few."""
    return mask_value(key, value, masks)


def _masked_params(params: dict[str, Any], masks: tuple[str, ...]) -> dict[str, Any]:
    for key, value in params.items():
        if type(value) in (str, list, dict):
            params[key] = _masked_param(key, value, masks)
    return params


def _masked_param(key: str, value: Any, masks: tuple[str, ...]) -> Any:
    if isinstance(value, str):
        return _masked(key, value, masks)
    if isinstance(value, list):
        return [_masked_param(key, item, masks) for item in value]
    if isinstance(value, dict):
        return {name: _masked_param(name, item, masks) for name, item in value.items()}
    return value


# --- times


def _times(item: Mapping[str, Any], histories: Collection[History], now: float) -> tuple[float, float]:
    """Start and end; what is not said follows from the other, from the points, or is now."""
    started, ended = (None if item.get(key) is None else _time(key, item[key]) for key in ("started", "ended"))
    points = [time for one in histories if one.times for time in (min(one.times), max(one.times))]
    if started is None:
        started = min([*points, now if ended is None else ended])
    if ended is None:
        ended = max([*points, started])
    if ended < started:
        raise UsageError("it ended before it started")
    return started, ended


def _time(what: str, value: object) -> float:
    try:
        if isinstance(value, str):
            value = dt.datetime.fromisoformat(value)
        if isinstance(value, dt.datetime):
            value = (value if value.tzinfo else value.replace(tzinfo=dt.UTC)).timestamp()
    except (ValueError, OverflowError):
        raise InvalidValue(f"{what} {value!r:.60} is no time; write it like 2026-01-31T12:00:00Z") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidValue(f"{what} is seconds since 1970, a text or a datetime, not {value!r:.60}")
    if not 0 <= value <= _LATEST:
        raise InvalidValue(f"{what} {value!r:.60} is not between the years 1970 and 9999")
    return round(float(value), 6)


# --- metrics


def _histories(item: Mapping[str, Any]) -> tuple[dict[str, History], dict[str, float]]:
    """Histories by key, their times empty where none are said, and the metrics that are one number.

    A metric that has a history is what the history ends in.
    """
    histories = {}
    for key, points in _mapping(item, "history").items():
        one = _history(_metric_key(key), points)
        if len(one):
            histories[key] = one
    singles = {
        _metric_key(key): value if type(value) is float else to_number(key, value)
        for key, value in _mapping(item, "metrics").items()
        if key not in histories
    }
    return histories, singles


def _history(key: str, points: Any) -> History:
    if isinstance(points, (str, bytes, Mapping)) or not isinstance(points, Iterable):
        raise InvalidValue(f"the history of {key!r} is a list of values or of (step, value, time), not {points!r:.60}")
    points = list(points)
    history = History(key)
    kinds = set(map(type, points))
    if kinds <= {float}:
        history.steps.extend(range(len(points)))
        history.values.extend(points)
        return history
    if kinds <= {tuple, list} and len(set(map(len, points))) == 1 and len(points[0]) in (2, 3):
        columns: Sequence[Sequence[Any]] = tuple(zip(*points, strict=True))
    else:
        columns = _columns(key, points)
    history.steps.extend(one if type(one) is int and abs(one) < 2**63 else to_step(one) for one in columns[0])
    history.values.extend(one if type(one) is float else to_number(key, one) for one in columns[1])
    if len(columns) == 3:
        what = f"a time of {key!r}"
        history.times.extend(_time(what, one) for one in columns[2])
    return history


def _columns(key: str, points: Sequence[Any]) -> tuple[Sequence[Any], ...]:
    """Steps and values of points that are numbers, numpy's perhaps, or rows of other kinds."""
    steps: list[Any] = []
    values: list[Any] = []
    for at, point in enumerate(points):
        row = isinstance(point, (tuple, list))
        if row and len(point) != 2:
            raise InvalidValue(
                f"point {point!r:.60} of {key!r} is not like the others: (step, value) or (step, value, time)"
            )
        steps.append(point[0] if row else at)
        values.append(point[1] if row else point)
    return steps, values


def _single(key: str, value: float, time: float) -> History:
    return History(key, array("q", [0]), array("d", [value]), array("d", [time]))
