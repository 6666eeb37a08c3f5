"""Which columns a table of groups has: what tells them apart, how many runs count, and what they measured. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gittrack.cli.columns import SHORT, common_metrics, differing, titles, value_column
from gittrack.compare.align import ABSENT, natural
from gittrack.compare.verdict import Repeats
from gittrack.groups import Group
from gittrack.index.query import Grounds
from gittrack.report.numbers import column, exact, param_column
from gittrack.report.table import Column
from gittrack.settings import Settings


def group_columns(
    groups: Sequence[Group], settings: Settings, whole: bool = False, *, first: Sequence[str] = ()
) -> list[Column]:
    """For people: the keys that differ, n, and mean ± standard deviation; with `whole` also what does not
    differ. `first` are metrics that must be there, before all others."""
    by = [field for field, _ in groups[0].by] if groups else []
    params = list(dict.fromkeys(key for one in groups for key in one.params))
    if by:
        params = []
    elif not whole:
        params = differing([one.params for one in groups])
    metrics = common_metrics([run for one in groups for run in one.counted], settings.goal)
    metrics = [*first, *(key for key in metrics if key not in first)]
    title = titles([*(field.name for field in by), *params, *metrics, "n", "experiment", *Grounds._fields])
    shown = []
    if len({one.experiment for one in groups}) > 1:
        shown.append(Column("experiment", tuple(one.experiment or "" for one in groups)))
    for at, field in enumerate(by):
        shown.append(_values(title(field.kind, field.name), [one.by[at][1] for one in groups]))
    ranks = {key: at for at, key in enumerate([*metrics[:3], *params[:6], *metrics[3:], *params[6:]], start=1)}
    newest = [one.newest for one in groups]
    shown += [value_column("params", key, newest, title, ranks[key]) for key in params]
    shown += _ground_columns(groups, whole)
    shown.append(Column("n", tuple(str(one.n) for one in groups), align="right", shrink=False))
    shown += [
        _metric(title("metrics", key), [one.metric(key) for one in groups], groups, 0 if key in first else ranks[key])
        for key in metrics
    ]
    return shown


def plain_group_columns(groups: Sequence[Group]) -> list[Column]:
    """For programs: everything by its full name, mean, sd and n in columns of their own, ids of runs with spaces between."""
    by = [field for field, _ in groups[0].by] if groups else []
    params = sorted(
        {key for one in groups for key in one.params} - {one.name for one in by if one.kind == "params"}, key=natural
    )
    metrics = sorted({key for one in groups for key in one.metrics}, key=natural)
    shown = [Column("experiment", tuple(one.experiment or "" for one in groups))]
    shown += [_values(str(field), [one.by[at][1] for one in groups]) for at, field in enumerate(by)]
    shown += [_values(f"params.{key}", [one.params.get(key, ABSENT) for one in groups]) for key in params]
    shown += _ground_columns(groups, True)
    shown.append(Column("n", tuple(str(one.n) for one in groups)))
    shown.append(Column("runs", tuple(" ".join(run.id for run in one.runs) for one in groups)))
    for key in metrics:
        samples = [one.metric(key) for one in groups]
        means = tuple(repr(one.mean) if one.values else "" for one in samples)
        deviations = tuple("" if one.sd is None else repr(one.sd) for one in samples)
        shown.append(Column(f"metrics.{key}.mean", means))
        shown.append(Column(f"metrics.{key}.sd", deviations))
        shown.append(Column(f"metrics.{key}.n", tuple(str(len(one.values)) for one in samples)))
    return shown


def _ground_columns(groups: Sequence[Group], whole: bool) -> list[Column]:
    """Code, data and environment; in a table for people only what differs."""
    grounds = [one.grounds for one in groups if one.grounds is not None]
    if not grounds:
        return []
    names = [name for name in Grounds._fields if whole or len({getattr(one, name) for one in grounds}) > 1]
    shown = []
    for name in names:
        full = tuple(
            one.newest.code_commit or "" if name == "code" else getattr(one.grounds, name, "") for one in groups
        )
        shown.append(Column(name, tuple(one[:SHORT] for one in full), full, shrink=False))
    return shown


def _values(title: str, values: Sequence[object]) -> Column:
    whole = tuple("" if value is ABSENT else exact(value) for value in values)
    numeric = all(isinstance(one, int | float) and not isinstance(one, bool) for one in values if one is not ABSENT)
    cells = param_column(whole, [None if value is ABSENT else value for value in values])
    return Column(title, tuple(cells), whole, align="point" if numeric else "left", shrink=not numeric)


def _metric(title: str, samples: Sequence[Repeats], groups: Sequence[Group], rank: int) -> Column:
    means = column([one.mean if one.values else None for one in samples])
    cells = tuple(_cell(mean, one, group.n) for mean, one, group in zip(means, samples, groups, strict=True))
    return Column(title, cells, align="left" if any(" " in one for one in cells) else "point", rank=rank, shrink=False)


def _cell(mean: str, sample: Repeats, n: int) -> str:
    # Of a deviation over few repeats two digits are more than is known.
    spread = "" if sample.sd is None else f" ± {sample.sd:.2g}"
    fewer = f" ({len(sample.values)})" if 0 < len(sample.values) < n else ""
    return f"{mean}{spread}{fewer}"
