"""Which columns a table of runs has, and what stands in them. Pure: the time is an argument."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gittrack.compare.align import natural, same
from gittrack.domain.codec import time_to_text
from gittrack.domain.metric import is_detail
from gittrack.domain.run import RunState, Status
from gittrack.errors import UsageError
from gittrack.report.numbers import ago, column, duration, exact, param_column
from gittrack.report.table import Column
from gittrack.settings import Settings

SHORT = 8
_NAMES = re.compile(r"(?:`[^`]*`|[^,`])+")

# Fields of a run that can be columns: shown, exact, as a function of the state and of now.
_Field = Callable[[RunState, float], tuple[str, str]]


def _same(text: str | None) -> tuple[str, str]:
    return text or "", text or ""


def _digits(commit: str | None) -> tuple[str, str]:
    return (commit or "")[:SHORT], commit or ""


def _time(seconds: float | None) -> tuple[str, str]:
    text = time_to_text(seconds) or ""
    return text[:19].replace("T", " "), text


def _took(state: RunState, now: float) -> tuple[str, str]:
    seconds = state.duration
    if seconds is None and state.status is Status.RUNNING:
        return duration(now - state.started), ""
    return duration(seconds), "" if seconds is None else repr(round(seconds, 6))


FIELDS: dict[str, _Field] = {
    "id": lambda state, now: _digits(state.id),
    # A star: recorded from a tree with changes that no commit of the user holds.
    "name": lambda state, now: (state.name + "*" * state.dirty, state.name),
    "experiment": lambda state, now: _same(state.experiment),
    "age": lambda state, now: (ago(now - state.started), repr(round(now - state.started))),
    "status": lambda state, now: _same(str(state.status)),
    "started": lambda state, now: _time(state.started),
    "ended": lambda state, now: _time(state.ended),
    "duration": _took,
    "author": lambda state, now: _same(state.author),
    "host": lambda state, now: _same(state.host),
    "branch": lambda state, now: _same(state.branch),
    "code": lambda state, now: _digits(state.code_commit),
    "commit": lambda state, now: _digits(state.commit),
    "dirty": lambda state, now: _same(str(state.dirty).lower()),
    "parent": lambda state, now: _digits(state.parent),
    "command": lambda state, now: _same(state.command),
    "description": lambda state, now: _same(state.description),
}
_RIGHT = ("age", "duration")
KINDS = ("params", "metrics", "tags")


def default_columns(
    states: Sequence[RunState], now: float, settings: Settings, *, first: Sequence[str] = ()
) -> list[Column]:
    """Who and when, then the params that differ and the metrics that most runs have.

    `first` are metrics that must be there, before all others.
    """
    goals = settings.goal
    fields = ["id", "name", "age", "status", "duration"]
    if len({state.experiment for state in states}) > 1:
        fields.insert(2, "experiment")
    # Params that only tell repeats apart come last.
    params = sorted(differing_params(states), key=lambda key: _last_part(key) in settings.params.seed_like)
    metrics = [key for key in common_metrics(states, goals) if key not in first]
    title = titles([*fields, *params, *metrics, *first])
    shown = [_field(name, states, now) for name in fields]
    shown += [value_column("metrics", key, states, title) for key in first]
    rank = {place: at for at, place in enumerate(_ranked(params, metrics, goals), start=1)}
    for kind, keys in (("params", params), ("metrics", metrics)):
        shown += [value_column(kind, key, states, title, rank[kind, key]) for key in keys]
    return shown


def _ranked(params: Sequence[str], metrics: Sequence[str], goals: Callable[[str], object]) -> list[tuple[str, str]]:
    """What a narrow terminal keeps longest comes first."""
    wanted = [("metrics", key) for key in metrics if goals(key)]
    others = [("metrics", key) for key in metrics if not goals(key)]
    chosen = [("params", key) for key in params]
    return [*wanted[:3], *chosen[:6], *wanted[3:], *others, *chosen[6:]]


def all_columns(states: Sequence[RunState], now: float) -> list[Column]:
    """Every field, param, metric and run tag, by its full name."""
    shown = [_field(name, states, now) for name in FIELDS if name != "age"]
    for kind in KINDS:
        keys = {key for state in states for key in getattr(state, kind)}
        shown += [value_column(kind, key, states, _full) for key in sorted(keys, key=natural)]
    return shown


def named_columns(
    text: str, states: Sequence[RunState], now: float, known: Callable[[str], Iterable[str]]
) -> list[Column]:
    """The columns of a list such as `name,params.lr,val/acc`; `known` gives all keys of a kind.

    Raises UsageError for a key that no run has.
    """
    names = [name.strip().replace("`", "") for name in _NAMES.findall(text)]
    places = [("", name) if name in FIELDS else _find_key(name, known) for name in names if name]
    if not places:
        raise UsageError("--columns names no column; write them like: name,params.lr,metrics.loss")
    title = titles(key for _, key in places)
    return [value_column(kind, key, states, title) if kind else _field(key, states, now) for kind, key in places]


def _find_key(name: str, known: Callable[[str], Iterable[str]]) -> tuple[str, str]:
    kind, _, key = name.partition(".")
    if kind in KINDS and key:
        if key in known(kind):
            return kind, key
    else:
        for kind in KINDS:
            if name in known(kind):
                return kind, name
    from difflib import get_close_matches

    written = dict.fromkeys(FIELDS, "")
    for kind in KINDS:
        for key in known(kind):
            written |= {key: f"{kind}.{key}", f"{kind}.{key}": ""}
    near = get_close_matches(name, written, n=1)
    hint = f"did you mean {written[near[0]] or near[0]}?" if near else "'gittrack ls --all' shows all there are"
    raise UsageError(f"no run has {name!r}; {hint}")


def differing_params(states: Sequence[RunState]) -> list[str]:
    """Params that are not the same in all runs, in the order in which runs have them; of one run, all."""
    return differing([state.params for state in states])


def differing(params: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys whose values are not the same everywhere, in the order in which they come; of one mapping, all."""
    keys = dict.fromkeys(key for one in params for key in one)
    if len(params) == 1:
        return list(keys)
    missing = object()
    return [key for key in keys if any(not same(one.get(key, missing), params[0].get(key, missing)) for one in params)]


def common_metrics(states: Sequence[RunState], goals: Callable[[str], object]) -> list[str]:
    """Metrics by how many runs have them, those with a goal first, the machine's own left out."""
    counts = Counter(key for state in states for key in state.metrics)
    keys = [key for key in counts if not is_detail(key)]
    return sorted(keys, key=lambda key: (not goals(key), -counts[key], natural(key)))


def _last_part(key: str) -> str:
    return key.rpartition(".")[2]


# --- one column


def _field(name: str, states: Sequence[RunState], now: float) -> Column:
    cells = [FIELDS[name](state, now) for state in states]
    return Column(
        title=name,
        cells=tuple(cell for cell, _ in cells),
        exact=tuple(whole for _, whole in cells),
        align="right" if name in _RIGHT else "left",
        shrink=name in ("name", "experiment", "command", "description", "author", "host", "branch"),
        styles=_styles(name, states),
    )


def _styles(name: str, states: Sequence[RunState]) -> tuple[str, ...]:
    if name == "status":
        return tuple(str(state.status) for state in states)
    return ("commit",) * len(states) if name == "id" else ()


def _full(kind: str, key: str) -> str:
    return f"{kind}.{key}"


def titles(keys: Iterable[str]) -> Callable[[str, str], str]:
    """The key alone, or with its kind where two columns would be called alike."""
    counts = Counter(keys)
    return lambda kind, key: key if counts[key] < 2 else _full(kind, key)


def value_column(
    kind: str,
    key: str,
    states: Sequence[RunState],
    title: Callable[[str, str], str],
    rank: int = 0,
) -> Column:
    values = [getattr(state, kind).get(key, _MISSING) for state in states]
    whole = tuple("" if value is _MISSING else exact(value) for value in values)
    numeric = all(_is_number(value) for value in values if value is not _MISSING)
    shown = [None if value is _MISSING else value for value in values]
    cells = tuple(column(shown) if kind == "metrics" else param_column(whole, shown))
    return Column(
        title=title(kind, key),
        cells=cells,
        exact=whole,
        align="point" if numeric else "left",
        rank=rank,
        shrink=not numeric,
    )


_MISSING: Any = object()


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
