"""`gittrack artifact`: what runs made, listed, brought here, added later."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gittrack.cli.main import App
from gittrack.cli.options import chosen_form, complete_runs, json_option, run_argument, table_options
from gittrack.domain.codec import time_to_text
from gittrack.errors import UnknownRun
from gittrack.report.numbers import ago, counted, size
from gittrack.report.table import Column
from gittrack.report.text import escape

if TYPE_CHECKING:
    from gittrack.data.artifact import RunArtifact
    from gittrack.data.versions import Version
    from gittrack.project import Project
    from gittrack.run import Run

_DIGITS = 8


@click.group(short_help="files that runs made: list, get, add")
def artifact() -> None:
    """List the files that runs made, get them, or add one to a finished run."""


@artifact.command(short_help="named artifacts, the versions of one, or the files of a run")
@click.argument("what", metavar="[NAME|RUN]", required=False, shell_complete=complete_runs)
@table_options
@click.pass_obj
def ls(app: App, what: str | None) -> None:
    """Show all named artifacts; of one NAME its versions; of a RUN everything that it made.

    A version is a content: two runs that made the same bytes share it. Numbers count the runs
    that this repository has; NAME@RUN names the same bytes everywhere.
    """
    form, project = chosen_form(), app.project
    if what is None:
        _list_names(app, project, form)
    elif what.partition(":")[0] in project.artifact_names():
        _list_versions(app, project.artifact_versions(what.partition(":")[0]), form)
    else:
        _list_run(app, _run_or_name(project, what), form)


def _run_or_name(project: Project, what: str) -> Run:
    try:
        return project.get_run(what)
    except UnknownRun as error:
        known = project.artifact_names()
        if not known:
            raise
        raise UnknownRun(f"{what!r} is neither an artifact ({', '.join(known[:5])}) nor a run: {error}") from None


def _list_names(app: App, project: Project, form: str) -> None:
    rows = [project.artifact_versions(name) for name in project.artifact_names()]
    if form == "json":
        app.console.json([_version_json(versions[-1]) | {"versions": len(versions)} for versions in rows])
        return
    if not rows:
        app.console.note("no run has a named artifact; log_artifact(path, name=...) makes one")
        return
    latest = [versions[-1] for versions in rows]
    app.console.table(
        [
            Column("name", tuple(escape(one.name) for one in latest), shrink=False),
            Column("versions", tuple(str(len(versions)) for versions in rows), align="right"),
            *_about([one.artifact for one in latest]),
            *_of_runs([one.run for one in latest], "newest of run"),
        ],
        form=form,
    )


def _list_versions(app: App, versions: Sequence[Version], form: str) -> None:
    newest_first = list(reversed(versions))
    if form == "json":
        app.console.json([_version_json(one) for one in newest_first])
        return
    app.console.table(
        [
            Column("version", tuple(escape(str(one)) for one in newest_first), shrink=False),
            *_about([one.artifact for one in newest_first]),
            *_of_runs([one.run for one in newest_first], "made by"),
            Column("and by", tuple(_others(one) for one in newest_first), rank=3),
        ],
        form=form,
    )


def _list_run(app: App, run: Run, form: str) -> None:
    found = [run.artifact(one) for one in run.artifacts]
    if form == "json":
        app.console.json([{**one.artifact.to_dict(), "here": one.here} for one in found])
        return
    if not found:
        app.console.note(f"run {run.name} has no artifacts; 'gittrack artifact add {run.id[:8]} PATH' adds one")
        return
    app.console.table(
        [
            Column("path", tuple(escape(one.artifact.path) for one in found), shrink=False),
            Column("name", tuple(escape(one.artifact.name or "") for one in found), rank=1),
            *_about([one.artifact for one in found]),
            Column("where", tuple(_where(one) for one in found), rank=1),
        ],
        form=form,
    )


def _where(one: RunArtifact) -> str:
    if not one.artifact.pointer:
        return "git"
    # Nobody asked the remote.
    return "here" if one.here else "not here"


def _others(version: Version) -> str:
    others = version.runs[1:]
    few = ", ".join(escape(run.name) for run in others[:2])
    return few if len(others) <= 2 else f"{few} and {len(others) - 2} more"


def _about(artifacts: Sequence[Any]) -> list[Column]:
    return [
        Column("kind", tuple(escape(one.kind or "") for one in artifacts), rank=2),
        Column(
            "size", tuple(_size(one) for one in artifacts), tuple(str(one.size) for one in artifacts), align="right"
        ),
        Column("md5", tuple(one.md5[:_DIGITS] for one in artifacts), tuple(one.md5 for one in artifacts), rank=2),
    ]


def _size(one: Any) -> str:
    files = "" if one.nfiles is None else f" in {counted(one.nfiles, 'file')}"
    return size(one.size) + files


def _of_runs(runs: Sequence[Any], title: str) -> list[Column]:
    now = time.time()
    ended = [run.ended or run.started for run in runs]
    return [
        Column(title, tuple(escape(f"{run.experiment}/{run.name}") for run in runs)),
        Column("id", tuple(run.id[:_DIGITS] for run in runs), tuple(run.id for run in runs), rank=1),
        Column(
            "age",
            tuple(ago(now - one) for one in ended),
            tuple(repr(round(now - one)) for one in ended),
            align="right",
            rank=1,
        ),
    ]


def _version_json(one: Version) -> dict[str, Any]:
    return {
        "name": one.name,
        "version": f"v{one.number}",
        "md5": one.artifact.md5,
        "size": one.artifact.size,
        "nfiles": one.artifact.nfiles,
        "kind": one.artifact.kind,
        "path": one.artifact.path,
        "run": one.run.id,
        "commit": one.run.commit,
        "made": time_to_text(one.run.ended),
        "also": [run.id for run in one.runs[1:]],
    }


@artifact.command(short_help="bring an artifact here")
@click.argument("words", metavar="RUN NAME | NAME:VERSION", nargs=-1, required=True)
@click.option("-o", "--output", metavar="DIR", default=".", help="The folder to write into; this one if not given.")
@click.option("--member", metavar="PATH", help="Of a folder only this file or sub-folder.")
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@json_option
@click.pass_obj
def get(app: App, words: tuple[str, ...], output: str, member: str | None, force: bool, as_json: bool) -> None:
    """Write an artifact into a folder, from git, the cache or the remote, and verify it.

    It is named by its run and its name or path, or as NAME:v3, NAME:latest, NAME@RUN.
    """
    if len(words) > 2:
        raise click.UsageError("name an artifact as RUN NAME, or as NAME:VERSION")
    if Path(output).exists() and not Path(output).is_dir():
        raise click.UsageError(f"-o names the folder to write into, and {output!r} is a file; name its folder")
    project = app.project
    found = project.artifact(words[0]) if len(words) == 1 else project.get_run(words[0]).artifact(words[1])
    written = found.save(Path(output), member, overwrite=force)
    if as_json:
        app.console.json(
            {"md5": found.md5, "size": found.size, "run": found.run.id, "files": [str(p) for p in written]}
        )
    elif len(written) == 1:
        app.console.line(escape(str(written[0])))
    else:
        top = Path(output) / found.artifact.path.rpartition("/")[2]
        app.console.line(escape(f"{top}: {len(written):,} files"))


@artifact.command(short_help="add a file or folder to a finished run")
@run_argument
@click.argument("path", metavar="PATH")
@click.option("--name", metavar="NAME", help="What to call it; its path if not given.")
@click.option("--kind", metavar="KIND", help="What it is: model, checkpoint, figure, ...")
@json_option
@click.pass_obj
def add(app: App, run: str, path: str, name: str | None, kind: str | None, as_json: bool) -> None:
    """Add a file or folder to a finished run; the addition is a commit of its own."""
    before = app.project.get_run(run)
    known = {one.path for one in before.artifacts}
    found = app.project.add_artifact(before, path, name=name, kind=kind)
    new = [one for one in found.artifacts if one.path not in known]
    # Somebody else may have added another one meanwhile.
    made = next((one for one in new if one.called == name or one.path.endswith(Path(path).name)), new[-1])
    if as_json:
        app.console.json(made.to_dict())
        return
    here = "in gittrack's own store" if app.project.depot.store.places.cache is None else "in DVC's cache"
    where = here if made.pointer else "in git"
    app.console.line(escape(f"added {made.called} to {found.experiment}/{found.name}: {_size(made)}, {where}"))
