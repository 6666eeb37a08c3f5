"""`gittrack ls`: a table of runs."""

from __future__ import annotations

import time

import click

from gittrack.cli.columns import all_columns, default_columns, named_columns
from gittrack.cli.main import App
from gittrack.cli.options import chosen_form, experiment_option, limit_option, table_options
from gittrack.report.numbers import counted

_NEWEST = 50


@click.command(short_help="a table of runs")
@click.argument("words", metavar="[FILTER]", nargs=-1)
@experiment_option
@click.option("--sort", metavar="[-]KEY", help="Order by a field, params.K or metrics.K; with - high to low.")
@click.option("--columns", metavar="K,...", help="Show these: name,params.lr,metrics.loss")
@limit_option(f"Show at most N runs; 0 for all. In a table, the newest {_NEWEST} unless given.")
@click.option("--all", "whole", is_flag=True, help="All runs, and all that is known of them.")
@click.option("--deleted", is_flag=True, help="The deleted runs, which can be restored.")
@click.option("--group", is_flag=True, help="One row for each configuration: mean ± sd of its repeats.")
@click.option("--group-by", "by", metavar="K,...", help="One row for each value of these: lr,tags.stage")
@table_options
@click.pass_obj
def ls(
    app: App,
    words: tuple[str, ...],
    experiment: str | None,
    sort: str | None,
    columns: str | None,
    limit: int | None,
    whole: bool,
    deleted: bool,
    group: bool,
    by: str | None,
) -> None:
    """Show runs as a table, newest first.

    FILTER is an expression such as: metrics.val/acc > 0.9 and params.lr <= 1e-3 and status = finished
    """
    form, project = chosen_form(), app.project
    filter = " ".join(words) or None
    if group or by is not None:
        if columns is not None or deleted:
            odd = "--columns" if columns is not None else "--deleted"
            raise click.UsageError(f"{odd} goes with single runs, not with --group")
        if limit is None and form in ("text", "md") and not whole:
            limit = _NEWEST
        _groups(app, form, filter, experiment, by, sort, limit or None, whole)
        return
    if limit is None and form in ("text", "md") and not whole:
        limit = _NEWEST
    # Deleted runs are told from others only afterwards, so that no limit may come before.
    found = project.runs(
        filter,
        experiment=experiment,
        sort=sort,
        limit=None if deleted else limit or None,
        deleted=deleted,
    )
    states = [run.state for run in found]
    if deleted:
        states = [state for state in states if state.deleted][: limit or None]
    if form == "json":
        from gittrack.domain.codec import state_to_json

        app.console.json([state_to_json(state) for state in states])
        return
    _note_skipped(app, form)
    if not states and form == "text":
        app.console.note(_nothing(app, filter, experiment, deleted))
        return
    now = time.time()
    if columns is not None:
        shown = named_columns(columns, states, now, project.keys)
    elif whole or form == "csv":
        shown = all_columns(states, now)
    else:
        shown = default_columns(states, now, project.settings)
    app.console.table(shown, form=form, whole=whole)
    if form == "text" and not deleted and found.total > len(states):
        app.console.note(f"{len(states)} of {found.total:,} runs; -n 0 shows all")
    if form == "text" and any(state.dirty for state in states) and columns is None and not whole:
        app.console.note("* with changes that were not committed")


def _groups(
    app: App,
    form: str,
    filter: str | None,
    experiment: str | None,
    by: str | None,
    sort: str | None,
    limit: int | None,
    whole: bool,
) -> None:
    found, others = app.project.groups(filter, experiment=experiment, by=by, sort=sort)
    shown = found[:limit]
    if form == "json":
        app.console.json([one.to_json() for one in shown])
        return
    _note_skipped(app, form)
    if not shown and form == "text" and not others:
        app.console.note(_nothing(app, filter, experiment, False))
        return
    if shown or form != "text":
        from gittrack.cli.group_columns import group_columns, plain_group_columns

        columns = plain_group_columns(shown) if form == "csv" else group_columns(shown, app.project.settings, whole)
        app.console.table(columns, form=form, whole=whole)
    if form == "text" and len(shown) < len(found):
        app.console.note(f"{len(shown)} of {len(found):,} groups; -n 0 shows all")
    if form == "text" and others:
        app.console.note(f"{counted(others, 'run')} that did not finish {'is' if others == 1 else 'are'} left out")


def _note_skipped(app: App, form: str) -> None:
    count = len(app.project.skipped)
    if count and form == "text":
        said = "1 run cannot be read and is" if count == 1 else f"{count:,} runs cannot be read and are"
        app.console.note(f"gittrack: {said} left out; 'gittrack fsck' names the damage")


def _nothing(app: App, filter: str | None, experiment: str | None, deleted: bool) -> str:
    if deleted:
        return "no run is deleted"
    count = app.project.count()
    if not count:
        gone = app.project.count(deleted=True)
        if gone:
            return f"all {gone:,} runs are deleted; 'gittrack ls --deleted' shows them"
        return "no runs yet; 'gittrack run -- COMMAND' records one"
    where = f" of experiment {experiment}" if experiment else ""
    return f"none of the {count:,} runs{where} passes" if filter else f"no runs{where}"
