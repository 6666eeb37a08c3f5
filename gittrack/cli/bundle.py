"""`gittrack bundle`: runs in one file, for machines without network."""

from __future__ import annotations

from pathlib import Path

import click

from gittrack.cli.main import App
from gittrack.cli.options import experiment_option, json_option
from gittrack.errors import GittrackError
from gittrack.report.numbers import counted, size
from gittrack.report.text import escape


@click.group(short_help="runs in one file, for machines without network")
def bundle() -> None:
    """Write runs into one file, or take in those of a file that somebody brought."""


@bundle.command(short_help="write runs into a file")
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("filter", metavar="[FILTER]", required=False)
@experiment_option
@click.option("--with-data", is_flag=True, help="Their artifacts and tracked inputs too.")
@click.option(
    "--after",
    metavar="FILE",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Leave out what this earlier bundle has; several add up.",
)
@json_option
@click.pass_obj
def create(
    app: App,
    file: Path,
    filter: str | None,
    experiment: str | None,
    with_data: bool,
    after: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Write the runs that pass a filter (all, if there is none) and their code into one file.

    Without data it is a bundle of git, which plain `git fetch FILE` reads too.
    """
    done = app.project.create_bundle(file, filter, experiment=experiment, data=with_data, after=after)
    if as_json:
        app.console.json(
            {
                "file": str(file),
                "runs": done.runs,
                "objects": done.objects,
                "bytes": done.bytes,
                "absent": dict(done.absent),
            }
        )
    else:
        objects = f", {counted(done.objects, 'object')} of data, {size(done.bytes)}" if with_data else ""
        app.console.line(escape(f"{file}: {counted(done.runs, 'run')}{objects}"))
    for what, reason in done.absent.items():
        app.console.error(f"{what}: {reason}")
    if done.absent:
        raise click.exceptions.Exit(GittrackError.exit_code)


@bundle.command(short_help="take in the runs of a file")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def apply(app: App, file: Path, as_json: bool) -> None:
    """Take in the runs of a bundle, and the data in it, verified. Safe to repeat; the next push passes them on."""
    done = app.project.apply_bundle(file)
    if as_json:
        app.console.json(
            {"runs": [run.id for run in done.runs], "objects": done.objects, "refused": dict(done.refused)}
        )
    else:
        objects = f", {counted(done.objects, 'object')} of data" if done.objects else ""
        app.console.line(f"{counted(len(done.runs), 'run')} came in{objects}")
    if done.note:
        app.console.note(done.note)
    for ref, reason in done.refused.items():
        app.console.error(f"{ref}: {reason}")
    if done.refused:
        raise click.exceptions.Exit(GittrackError.exit_code)
