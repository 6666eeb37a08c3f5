"""`gittrack importance`: which params may have mattered for a metric."""

from __future__ import annotations

import math
from collections.abc import Sequence

import click

from gittrack.cli.main import App
from gittrack.cli.options import (
    FEWEST_RESAMPLES,
    check_importance,
    chosen_form,
    experiment_option,
    importance_options,
    table_options,
)
from gittrack.compare.importance import Design, Importance, design, importances, warnings
from gittrack.errors import UnknownRun, UsageError
from gittrack.ledger import layout
from gittrack.repeats import configuration
from gittrack.report.numbers import counted
from gittrack.report.table import Column

_BAR = 20
# So many resamples by default; of very many runs fewer, lest it take minutes.
_RESAMPLES, _RUNS_IN_ALL = 100, 200_000


@click.command(short_help="which params mattered for a metric")
@click.argument("metric")
@click.argument("words", metavar="[FILTER]", nargs=-1)
@experiment_option
@importance_options
@table_options
@click.pass_obj
def importance(
    app: App,
    metric: str,
    words: tuple[str, ...],
    experiment: str | None,
    method: str,
    low: bool,
    high: bool,
    bootstrap: int | None,
) -> None:
    """Show how much each param seems to matter for METRIC among the finished runs.

    The shares are of 1 for all params together. They say what went with good values in these runs,
    not what caused them: read the remarks below the table.
    """
    form, project = chosen_form(), app.project
    check_importance(low=low, high=high, bootstrap=bootstrap)
    goal = "min" if low else "max" if high else None
    metric = metric.removeprefix("metrics.")
    experiment = _experiment(app, experiment)
    found = project.runs(" ".join(words) or None, experiment=experiment)
    finished = [run.state for run in found if run.status == "finished"]
    states = [one for one in finished if math.isfinite(one.metrics.get(metric, math.nan))]
    if len(states) < 2:
        raise UnknownRun(_too_few(app, metric, len(states)))
    way = goal or _direction(app, metric, method)
    seeds = project.settings.params.seed_like
    shared = [configuration(one, seeds) for one in states]
    plan = design(shared)
    values = [one.metrics[metric] for one in states]
    left_out = {key for one, rest in zip(states, shared, strict=True) for key in one.params.keys() - rest.keys()}
    said = warnings(plan, len(states), min(values) == max(values), left_out)
    if len(finished) > len(states):
        said.append(f"left out, no finite {metric}: {counted(len(finished) - len(states), 'finished run')}")
    resamples = _resamples(method, len(states)) if bootstrap is None else bootstrap
    shares = weigh(plan, values, method, way, resamples)
    if shares and not any(one.share for one in shares):
        said.insert(0, f"{method} sees no difference in these runs")
    kinds = {one.key: one.kind for one in plan.varied}
    if form == "json":
        app.console.json(
            {
                "metric": metric,
                "goal": way,
                "method": method,
                "runs": len(states),
                "bootstrap": resamples,
                "params": [
                    {
                        "key": one.key,
                        "kind": kinds[one.key],
                        "importance": one.share,
                        "low": one.low,
                        "high": one.high,
                        "chance": one.chance,
                    }
                    for one in shares
                ],
                "constant": list(plan.constant),
                "scattered": list(plan.scattered),
                "seeds": sorted(left_out),
                "confounded": [list(pair) for pair in plan.confounded],
                "warnings": said,
            }
        )
        return
    if shares:
        app.console.table(_columns(shares, bars=form != "csv"), form=form)
    elif form == "text" and not plan.varied:
        app.console.note(f"no param differs among {counted(len(states), 'run')}")
    if form == "text":
        app.console.note(f"{method}, {counted(len(states), 'finished run')}, {metric}" + (f" {way}" if way else ""))
        if resamples and shares:
            app.console.note("low and high: 95% of resamples; chance: how often shuffled values make it matter as much")
        for one in said:
            app.console.note(one)


def _experiment(app: App, named: str | None) -> str | None:
    """The one that was named, else that of the newest run; raises UnknownRun where no run is of it."""
    known = [one.name for one in app.project.experiments()]
    if named is not None and named not in known:
        raise UnknownRun(f"there is no experiment {named!r} here; there is {', '.join(known[:5]) or 'none'}")
    if named is not None or not known:
        return named
    newest = app.project.get_run("@").experiment
    if len(known) > 1:
        app.console.note(f"experiment {newest}, the newest of {len(known)}; -e chooses another")
    return newest


def weigh(
    plan: Design, values: Sequence[float], method: str, way: str | None, resamples: int | None = None
) -> list[Importance]:
    """The share of each param that varies, the most first; none where nothing varies."""
    if not plan.varied or min(values) == max(values):
        return []
    from gittrack.compare.evaluators import evaluator

    count = _resamples(method, len(values)) if resamples is None else resamples
    evaluate = evaluator(method, plan.varied, values, "max" if way == "max" else "min")
    return importances(evaluate, [one.key for one in plan.varied], len(values), resamples=count)


def _columns(shares: Sequence[Importance], *, bars: bool) -> list[Column]:
    columns = [
        Column("param", tuple(one.key for one in shares)),
        Column("importance", tuple(f"{one.share:.3f}" for one in shares), tuple(repr(one.share) for one in shares)),
    ]
    if bars:
        columns.append(Column("", tuple("█" * round(_BAR * one.share) for one in shares), shrink=False))
    for name in ("low", "high", "chance"):
        ends = [getattr(one, name) for one in shares]
        if any(end is not None for end in ends):
            columns.append(Column(name, tuple(f"{end:.3f}" for end in ends), tuple(map(repr, ends))))
    return columns


def _resamples(method: str, runs: int) -> int:
    # A forest takes from a tenth of a second to many seconds; some hundred of them are for who asks.
    return 0 if method != "ped-anova" else min(_RESAMPLES, max(FEWEST_RESAMPLES, _RUNS_IN_ALL // runs))


def _direction(app: App, metric: str, method: str) -> str | None:
    goal = app.project.settings.goal(metric)
    if goal is None and method == "ped-anova":
        raise UsageError(
            f"nothing says whether {metric!r} is better high or low, and ped-anova asks what the best runs share; pass "
            f"--max or --min, or set metrics.goals in {layout.FOLDER}/{layout.CONFIG}"
        )
    return None if goal is None else goal.goal


def _too_few(app: App, metric: str, count: int) -> str:
    known = app.project.keys("metrics")
    if metric not in known and known:
        from difflib import get_close_matches

        near = get_close_matches(metric, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "'gittrack ls --all' shows all there are"
        return f"no run has the metric {metric!r}; {hint}"
    return f"importance is told from two finished runs with a finite {metric!r} or more, and there {_are(count)}; see 'gittrack ls'"


def _are(count: int) -> str:
    return "is one" if count else "is none"
