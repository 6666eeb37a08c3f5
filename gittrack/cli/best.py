"""`gittrack best`: the runs that did best by one metric."""

from __future__ import annotations

import time

import click

from gittrack.cli.columns import default_columns
from gittrack.cli.main import App
from gittrack.cli.options import chosen_form, experiment_option, limit_option, table_options
from gittrack.errors import UnknownRun, UsageError


@click.command(short_help="the best runs by a metric")
@click.argument("metric")
@click.argument("words", metavar="[FILTER]", nargs=-1)
@experiment_option
@click.option("--min", "low", is_flag=True, help="Low is better.")
@click.option("--max", "high", is_flag=True, help="High is better.")
@limit_option("Show the best N runs; 0 for all.", default="1")
@table_options
@click.pass_obj
def best(
    app: App,
    metric: str,
    words: tuple[str, ...],
    experiment: str | None,
    low: bool,
    high: bool,
    limit: int,
) -> None:
    """Show the best finished runs by the last value of METRIC, the best first.

    Which way is better comes from the settings (metrics.goals), or from --min or --max.
    """
    form, project = chosen_form(), app.project
    if low and high:
        raise UsageError("--min and --max contradict each other; pass one")
    goal = "min" if low else "max" if high else None
    filter = " ".join(words) or None
    metric = metric.removeprefix("metrics.")
    runs = project.best(metric, goal=goal, filter=filter, experiment=experiment, limit=limit or 1_000_000_000)
    if form == "json":
        app.console.json([run.to_json() for run in runs])
        return
    if not runs:
        where = f" of experiment {experiment}" if experiment else ""
        raise UnknownRun(f"no finished run{where} has a number for the metric {metric!r}")
    states = [run.state for run in runs]
    shown = default_columns(states, time.time(), project.settings, first=(metric,))
    app.console.table(shown, form=form)
    if form == "text":
        count = project.count(_tried(metric, filter), experiment=experiment)
        # The best of many is partly luck: a reader should know of how many.
        app.console.note(f"best of {count:,} finished runs" if count > 1 else "the only finished run")


def _tried(metric: str, filter: str | None) -> str:
    own = f"status = finished and metrics.`{metric}` is not null"
    return f"({filter}) and {own}" if filter and filter.strip() else own
