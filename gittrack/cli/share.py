"""`gittrack push`, `fetch` and `pull`: runs and their data through the remotes that a team has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from gittrack.cli.main import App
from gittrack.cli.options import experiment_option_of, json_option
from gittrack.errors import GittrackError
from gittrack.report.numbers import size
from gittrack.report.text import escape

if TYPE_CHECKING:
    from gittrack.registry.event import Event
    from gittrack.share import Shared

_LISTED = 20
_SEEN = "'gittrack model history' tells what is, and then say it again"
_NEXT = {"pushed": "'gittrack fetch' sets it aside and brings what is", "fetched": _SEEN, "pulled": _SEEN}
_no_data = click.option("--no-data", is_flag=True, help="Runs alone: leave their data where they are.")
_since = click.option("--since", metavar="TIME", help="Only runs that started since then, as -7d or 2026-01-31.")
_since_data = click.option("--since", metavar="TIME", help="Data of runs that started since then only; runs come all.")
_remote = click.argument("remote", metavar="[REMOTE]", required=False)


@click.command(short_help="share runs and their data")
@_remote
@_no_data
@click.option("--all-data", is_flag=True, help="Look after the data of all runs, not only of those that are new there.")
@click.option("--all", "everybody", is_flag=True, help="Everybody's runs that are here, without data: for a new host.")
@experiment_option_of("Only runs of this experiment, each with a ref of its own.")
@_since
@json_option
@click.pass_obj
def push(
    app: App,
    remote: str | None,
    no_data: bool,
    all_data: bool,
    everybody: bool,
    experiment: str | None,
    since: str | None,
    as_json: bool,
) -> None:
    """Send runs to a git remote that lacks them, and before that their data to the DVC remote.

    Nothing is ever overwritten there. Safe to repeat: what arrived is not sent again.
    """
    if everybody and (experiment or since or all_data):
        raise click.UsageError(
            "--all sends every ledger whole, without data; it goes with none of -e, --since and --all-data"
        )
    if all_data and no_data:
        raise click.UsageError("choose one of --all-data and --no-data")
    if everybody:
        done = app.project.mirror(remote)
    else:
        done = app.project.push(remote, data=not no_data, all_data=all_data, experiment=experiment, since=since)
    _tell(app, done, "pushed", "to", as_json)


@click.command(short_help="get runs that others shared, with their data")
@_remote
@_no_data
@click.option(
    "--summaries", is_flag=True, help="Only what tables show, where the host can filter; files come when they are read."
)
@experiment_option_of("Data of this experiment only; runs come all.")
@_since_data
@json_option
@click.pass_obj
def fetch(
    app: App,
    remote: str | None,
    no_data: bool,
    summaries: bool,
    experiment: str | None,
    since: str | None,
    as_json: bool,
) -> None:
    """Get the runs of a git remote that are new, and the data of these runs from the DVC remote."""
    if summaries and (experiment or since):
        raise click.UsageError("--experiment and --since choose data, and --summaries takes none")
    done = app.project.fetch(remote, data=not no_data, summaries=summaries, experiment=experiment, since=since)
    _tell(app, done, "fetched", "from", as_json)


@click.command(short_help="as fetch, and what older runs still lack")
@_remote
@_no_data
@experiment_option_of("Data of this experiment only; runs come all.")
@_since_data
@click.option("--released", is_flag=True, help="Also what 'gittrack gc' let go here, where the remote has it.")
@json_option
@click.pass_obj
def pull(
    app: App,
    remote: str | None,
    no_data: bool,
    experiment: str | None,
    since: str | None,
    released: bool,
    as_json: bool,
) -> None:
    """Get new runs as `fetch` does, and the data of all runs that are not here yet.

    What 'gittrack gc' let go here stays away, unless it is asked for.
    """
    if released and no_data:
        raise click.UsageError("choose one of --released and --no-data")
    done = app.project.fetch(
        remote, data=not no_data, everything=True, released=released, experiment=experiment, since=since
    )
    _tell(app, done, "pulled", "from", as_json)


def _subject(event: Event) -> str:
    from gittrack.registry.event import subject

    return subject(event)


def _event_json(event: Event) -> dict[str, Any]:
    from gittrack.registry.event import event_json

    return event_json(event)


def _tell(app: App, done: Shared, verb: str, way: str, as_json: bool) -> None:
    if as_json:
        app.console.json(_json(done))
    else:
        for experiment, count in sorted(Counter(run.experiment for run in done.runs).items()):
            app.console.line(escape(f"{experiment}: {count:,} {'run' if count == 1 else 'runs'} {verb}"))
        for event in done.models:
            app.console.line(escape(_subject(event)))
        if not (done.runs or done.models or done.note or done.refused or done.lost):
            app.console.line(escape(f"no new runs {way} {done.remote}"))
        if done.objects:
            app.console.line(
                f"data: {done.objects:,} {'object' if done.objects == 1 else 'objects'}, {size(done.bytes)}"
            )
    for ref, reason in done.refused.items():
        app.console.error(f"{ref}: {reason}")
    for event in done.lost:
        app.console.error(
            f"{_subject(event)}: not in force, for somebody else changed {event.model} first; {_NEXT[verb]}"
        )
    if done.note:
        app.console.note(done.note)
    _tell_absent(app, done.absent)
    if done.held_back:
        runs = "1 run stays" if done.held_back == 1 else f"{done.held_back:,} runs stay"
        app.console.error(f"{runs} here until the data can go too; repeat the push, or share without data (--no-data)")
    if not done.complete:
        raise click.exceptions.Exit(GittrackError.exit_code)


def _tell_absent(app: App, absent: Mapping[str, str]) -> None:
    """One cause, one line, with what it kept from moving below it."""
    by_reason: dict[str, list[str]] = {}
    for what, reason in absent.items():
        by_reason.setdefault(reason, []).append(what)
    for reason, several in list(by_reason.items())[:_LISTED]:
        if len(several) == 1:
            app.console.error(f"{several[0]}: {reason}")
        else:
            app.console.error(f"{len(several):,} files and folders of runs could not be moved: {reason}")
            app.console.listing(several, most=5)
    if len(by_reason) > _LISTED:
        app.console.error(f"... and {len(by_reason) - _LISTED:,} more")


def _json(done: Shared) -> dict[str, Any]:
    return {
        "remote": done.remote,
        "runs": [run.id for run in done.runs],
        "models": [_event_json(event) for event in done.models],
        "lost": [_event_json(event) for event in done.lost],
        "objects": done.objects,
        "bytes": done.bytes,
        "refused": dict(done.refused),
        "absent": dict(done.absent),
        "held_back": done.held_back,
        "note": done.note,
    }
