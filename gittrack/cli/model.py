"""`gittrack model`: versions and stages of models, which are annotated git tags."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from gittrack.cli.main import App
from gittrack.cli.options import chosen_form, json_option, run_argument, table_options
from gittrack.domain.param import parse_assignment
from gittrack.errors import GateRefused, GittrackError, UsageError
from gittrack.report.text import escape

if TYPE_CHECKING:
    from gittrack.models.registrar import Changed, Share
    from gittrack.registry.event import Event
    from gittrack.registry.read import Registry

F = TypeVar("F", bound=Callable[..., Any])


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Models with what may follow the `@`; a shell that completes must never see an error."""
    try:
        from gittrack.project import Project

        models = Project.open().models.read().models
    except Exception:
        return []
    names = []
    for name, model in models.items():
        names += [name, *(f"{name}@{one.short}" for one in model.versions)]
        names += [f"{name}@{one}" for one in (*model.holders, *model.aliases)]
    return [CompletionItem(one) for one in names if one.startswith(incomplete)]


_model = click.argument("model", metavar="NAME", shell_complete=_complete)
_version = click.argument("version", metavar="NAME@V", shell_complete=_complete)
_message = click.option("-m", "--message", metavar="TEXT", default="", help="Why, in words; it stays with the change.")
_expect = click.option(
    "--expect", metavar="V", help="Only if this version holds the stage now; 'none': if nobody does."
)


def _sharing(command: F) -> F:
    command = click.option("--remote", metavar="REMOTE", help="The git remote to share it through.")(command)
    return click.option(
        "--push/--no-push",
        default=None,
        help="In force on the remote at once, which is so where there is one; or here alone, for a later push.",
    )(command)


@click.group(short_help="models: register, promote, roll back, look, verify")
def model() -> None:
    """Versions and stages of models. Each change is an annotated git tag, made once and never moved.

    A version is NAME@v3, NAME@production (a stage), NAME@champion (an alias) or NAME@latest.
    """


# --- changes


@model.command(short_help="a new version from an artifact of a run")
@_model
@run_argument
@click.option("--artifact", metavar="A", help="Which artifact of the run, by its name or path.")
@click.option("--version", "number", metavar="V", help="Its number, as 1.2.0; the next major one if not given.")
@click.option("--bump", type=click.Choice(["major", "minor", "patch"]), help="Which part of the number goes up.")
@click.option("--signature", metavar="FILE", help="A JSON or YAML file of what goes in and comes out.")
@_message
@click.option("-t", "--tag", "tags", metavar="K=V", multiple=True, help="Something to remember of it.")
@_sharing
@json_option
@click.pass_obj
def register(
    app: App,
    model: str,
    run: str,
    artifact: str | None,
    number: str | None,
    bump: str | None,
    signature: str | None,
    message: str,
    tags: tuple[str, ...],
    push: bool | None,
    remote: str | None,
    as_json: bool,
) -> None:
    """Make a version of the model NAME from an artifact of RUN, which must be finished and whole."""
    if number is not None and bump is not None:
        raise click.UsageError("choose one of --version and --bump")
    done = app.project.models.registrar.register(
        model,
        app.project.get_run(run),
        artifact=artifact,
        version=number,
        bump=bump,
        message=message,
        tags=dict(parse_assignment(one, "tag") for one in tags),
        details=None if signature is None else {"signature": _signature(signature)},
        share=_share(push, remote),
    )
    _tell(app, done, as_json)


def _signature(path: str) -> dict[str, Any]:
    from gittrack.tracking.signature import read_signature

    try:
        with open(path, "rb") as file:
            return read_signature(file.read(), path)
    except OSError as error:
        raise UsageError(f"the signature {path} cannot be read: {error.strerror}") from None


def _promote(
    app: App,
    version: str,
    stage: str,
    message: str,
    expect: str | None,
    override: str | None,
    keep: bool,
    dry_run: bool,
    push: bool | None,
    remote: str | None,
    as_json: bool,
) -> None:
    """Let a version enter a stage: staging, production, archived, or one of the settings; none: leave all.

    Who held the stage makes room. The rules of the default branch are looked at before. Two people
    cannot both win: who comes second is told who was first.
    """
    name, which = _split(version)
    done = app.project.models.registrar.promote(
        name,
        which,
        stage,
        message=message,
        expect=expect,
        override=override,
        keep=keep,
        dry_run=dry_run,
        share=_share(push, remote),
    )
    going = "leave every stage" if stage == "none" else f"enter {stage}"
    _tell(app, done, as_json, dry_run=f"{name}@{_called(done)} would {going}" if dry_run else "")


_PROMOTING: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    _version,
    click.argument("stage", metavar="STAGE"),
    _message,
    _expect,
    click.option("--override", metavar="REASON", help="Pass over rules that do not hold, where they allow it."),
    click.option("--keep", is_flag=True, help="Stay in the stages that it holds already."),
    click.option("--dry-run", is_flag=True, help="Show what each rule says, and change nothing."),
    _sharing,
    json_option,
    click.pass_obj,
)


# One command under two names: `gittrack promote` is the one that people type most.
promote = click.command("promote", short_help="let a version of a model enter a stage")(
    functools.reduce(lambda command, option: option(command), reversed(_PROMOTING), _promote)
)
model.add_command(promote)


@model.command(short_help="let a version leave a stage")
@_version
@click.argument("stage", metavar="[STAGE]", required=False)
@_message
@_sharing
@json_option
@click.pass_obj
def demote(
    app: App, version: str, stage: str | None, message: str, push: bool | None, remote: str | None, as_json: bool
) -> None:
    """Let a version leave a stage, or all that it holds. Of NAME@production it is that one."""
    name, which = _split(version)
    share = _share(push, remote)
    _tell(app, app.project.models.registrar.demote(name, which, stage, message=message, share=share), as_json)


@model.command(short_help="bring back who was in a stage before")
@_model
@click.argument("stage", metavar="STAGE")
@_message
@_expect
@_sharing
@json_option
@click.pass_obj
def rollback(
    app: App,
    model: str,
    stage: str,
    message: str,
    expect: str | None,
    push: bool | None,
    remote: str | None,
    as_json: bool,
) -> None:
    """Bring back to a stage the version that was there before; again: the one before that."""
    done = app.project.models.registrar.rollback(
        model, stage, message=message, expect=expect, share=_share(push, remote)
    )
    _tell(app, done, as_json)


@model.group(short_help="names that move: champion, challenger")
def alias() -> None:
    """Names for versions, which may move: `gittrack model alias set digits@v3 champion`."""


@alias.command("set", short_help="let an alias mean a version")
@_version
@click.argument("alias", metavar="ALIAS")
@_message
@_sharing
@json_option
@click.pass_obj
def set_alias(
    app: App, version: str, alias: str, message: str, push: bool | None, remote: str | None, as_json: bool
) -> None:
    """Let ALIAS mean this version, and no other one any more."""
    name, which = _split(version)
    share = _share(push, remote)
    _tell(app, app.project.models.registrar.set_alias(name, which, alias, message=message, share=share), as_json)


@alias.command("rm", short_help="take an alias away")
@_model
@click.argument("alias", metavar="ALIAS")
@_message
@_sharing
@json_option
@click.pass_obj
def remove_alias(
    app: App, model: str, alias: str, message: str, push: bool | None, remote: str | None, as_json: bool
) -> None:
    """Let ALIAS mean nothing any more."""
    share = _share(push, remote)
    _tell(app, app.project.models.registrar.remove_alias(model, alias, message=message, share=share), as_json)


@model.command(short_help="say that a version may go on")
@_version
@click.option("--stage", metavar="STAGE", help="Into this stage only.")
@_message
@_sharing
@json_option
@click.pass_obj
def approve(
    app: App, version: str, stage: str | None, message: str, push: bool | None, remote: str | None, as_json: bool
) -> None:
    """Approve a version that somebody else made and registered."""
    name, which = _split(version)
    share = _share(push, remote)
    _tell(app, app.project.models.registrar.approve(name, which, stage, message=message, share=share), as_json)


@model.command(short_help="say that a version, or a model, is not to be used any more")
@click.argument("version", metavar="NAME[@V]", shell_complete=_complete)
@_message
@_sharing
@json_option
@click.pass_obj
def deprecate(app: App, version: str, message: str, push: bool | None, remote: str | None, as_json: bool) -> None:
    """Deprecate a version, or all of a model. Nothing is deleted; no stage takes it any more."""
    from gittrack.models.models import split

    name, which = split(version)
    share = _share(push, remote)
    _tell(app, app.project.models.registrar.deprecate(name, which or None, message=message, share=share), as_json)


def _split(text: str) -> tuple[str, str]:
    from gittrack.models.models import split

    name, which = split(text)
    if not which:
        raise UsageError(
            f"{text!r} names a model and no version; write it as {name}@v3, {name}@staging or {name}@latest"
        )
    return name, which


def _share(push: bool | None, remote: str | None) -> Share:
    from gittrack.models.registrar import Share

    if push is False and remote is not None:
        raise click.UsageError("choose one of --no-push and --remote")
    return Share(push, remote)


def _called(done: Changed) -> str:
    return "" if done.version is None else done.version.version.short


def _tell(app: App, done: Changed, as_json: bool, *, dry_run: str = "") -> None:
    """What is in force now; after a dry run what each rule says."""
    from gittrack.cli.model_views import model_json
    from gittrack.registry.event import event_json, subject

    for note in done.notes:
        app.console.note(note)
    failed = [one for one in done.checks if not one.ok and not one.override]
    if as_json:
        app.console.json(
            {
                "model": model_json(done.model),
                "version": None if done.version is None else str(done.version.version),
                "events": [event_json(one) for one in done.events],
                "checks": [one.to_dict() for one in done.checks],
                "remote": done.remote,
                "dry_run": bool(dry_run),
            }
        )
    else:
        for check in done.checks:
            mark = "ok" if check.ok else "over" if check.override else "no"
            style = "good" if check.ok else "warn" if check.override else "bad"
            app.console.line(f"{app.console.style(mark.ljust(4), style)} {escape(check.rule)}: {escape(check.said)}")
        if dry_run:
            app.console.line(escape(dry_run if not failed else f"{dry_run.replace('would', 'would not')}"))
        for event in done.events:
            app.console.line(escape(subject(event)))
        if done.events:
            _tell_where(app, done)
    if dry_run and failed:
        raise click.exceptions.Exit(GateRefused.exit_code)


def _tell_where(app: App, done: Changed) -> None:
    from gittrack.git.remote import remotes

    if done.remote is not None:
        app.console.note(f"in force on {done.remote}")
    elif remotes(app.project.repo):
        app.console.note("in force in this clone alone; 'gittrack push' shares it, unless somebody else is faster")


# --- looking


@model.command(short_help="all models")
@table_options
@click.pass_obj
def ls(app: App) -> None:
    """Show all models: the newest version, who holds which stage, aliases, when something last happened."""
    from gittrack.cli.model_views import model_json, models_table
    from gittrack.registry.read import read_registry

    # Not through `project.models`, which would import the index and all that changes models.
    registry, form = read_registry(app.project.repo), chosen_form()
    if form == "json":
        app.console.json([model_json(one) for one in registry.models.values()])
    elif registry.models:
        app.console.table(models_table(registry.models.values()), form=form)
    else:
        app.console.note("there is no model yet; 'gittrack model register NAME RUN' makes one")
    _tell_findings(app, registry)


def _tell_findings(app: App, registry: Registry) -> None:
    count = sum(not registry.is_foreign(one) for one in registry.findings)
    if count:
        what = "1 ref of models is" if count == 1 else f"{count:,} refs of models are"
        app.console.note(f"{what} not to be trusted and left out; 'gittrack fsck' tells which, and why")


@model.command(short_help="one model with its versions, or one version")
@click.argument("version", metavar="NAME[@V]", shell_complete=_complete)
@table_options
@click.pass_obj
def show(app: App, version: str) -> None:
    """Show the versions of a model with stages and metrics side by side; of NAME@V one version with all of its lineage."""
    from gittrack.cli.model_views import model_json, version_json, version_lines, versions_table
    from gittrack.models.models import split

    models, form = app.project.models, chosen_form()
    name, which = split(version)
    registry = models.read()
    found = registry.get(name)
    if which:
        one = models.version(version)
        if form not in ("json", "text"):
            raise click.UsageError(f"--{form} is for the table of a model; 'gittrack model card {version}' is Markdown")
        if form == "json":
            app.console.json(version_json(one))
        else:
            app.console.lines(version_lines(app.console, one))
    elif form == "json":
        app.console.json(model_json(found))
    else:
        app.console.table(versions_table(models, found, app.project.settings), form=form)
        if found.retired is not None:
            app.console.note(f"{name} is deprecated as a whole: {found.retired.message or 'no reason given'}")
    _tell_findings(app, registry)


@model.command(short_help="all that happened to a model, or how it stood once")
@_model
@click.option(
    "--at", metavar="DATE", help="How it stood then (2026-03-01, 2026-03-01T12:00, -7d, now), and on what evidence."
)
@click.option("-n", "--limit", type=click.IntRange(0), default=0, help="The newest N events only.")
@table_options
@click.pass_obj
def history(app: App, model: str, at: str | None, limit: int) -> None:
    """Show every change of a model, newest first, by its number: clocks may lie, numbers cannot."""
    from gittrack.cli.model_views import history_table, standing_json, standing_lines
    from gittrack.registry.event import event_json
    from gittrack.registry.read import read_registry
    from gittrack.registry.state import until

    found, form = read_registry(app.project.repo).get(model), chosen_form()
    if at is not None:
        from gittrack.project import moment

        when = moment(at)
        stood = until(found, when)
        if form == "json":
            app.console.json(standing_json(app.project.models, stood, when))
        elif form == "text":
            app.console.lines(standing_lines(app.console, app.project.models, stood, when))
        else:
            raise click.UsageError(f"--{form} is for the table of events, without --at")
        return
    events: list[Event] = list(reversed(found.events))[: limit or None]
    if form == "json":
        app.console.json([event_json(one) for one in events])
    else:
        app.console.table(history_table(events), form=form)


@model.command(short_help="everything that differs between two versions")
@click.argument("a", metavar="NAME@V", shell_complete=_complete)
@click.argument("b", metavar="NAME@V", shell_complete=_complete)
@click.option("--patch", is_flag=True, help="Show the changes of the code line by line.")
@click.option("--all", "everything", is_flag=True, help="Show also what is the same.")
@json_option
@click.pass_context
def diff(ctx: click.Context, a: str, b: str, patch: bool, everything: bool, as_json: bool) -> None:
    """Compare the runs of two versions, as `gittrack diff` does."""
    from gittrack.cli.diff import diff as compare

    for one in (a, b):
        _split(one)
    ctx.invoke(compare, a=a, b=b, patch=patch, everything=everything, as_json=as_json)


@model.command(short_help="bring the bytes of a version here")
@_version
@click.option("-o", "--output", metavar="DIR", default=".", help="The folder to write into; this one if not given.")
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@json_option
@click.pass_obj
def get(app: App, version: str, output: str, force: bool, as_json: bool) -> None:
    """Write the file or folder of a version into a folder, fetched if need be, and verified on the way."""
    _split(version)
    found = app.project.models.version(version)
    written = found.save(output, overwrite=force)
    if as_json:
        made = found.artifact
        plain = {"model": found.name, "version": found.version, "md5": made.md5, "size": made.size}
        app.console.json(plain | {"run": found.registered.run, "files": [str(path) for path in written]})
    else:
        app.console.lines(escape(str(path)) for path in written)


@model.command(short_help="check a version from its tag down to its bytes")
@_version
@json_option
@click.pass_obj
def verify(app: App, version: str, as_json: bool) -> None:
    """Read the whole chain again from the objects: tag, signer, policy, run, code, environment, data.

    The first link that does not hold is named, and the exit code is 1.
    """
    _split(version)
    found = app.project.models.version(version)
    links = found.verify()
    if as_json:
        plain = [{"link": one.what, "ok": one.ok, "said": one.said} for one in links]
        app.console.json({"model": found.name, "version": found.version, "ok": links[-1].ok, "links": plain})
    else:
        for link in links:
            mark = app.console.style("ok" if link.ok else "no", "good" if link.ok else "bad")
            app.console.line(f"{mark} {link.what.ljust(11)} {escape(link.said)}")
    if not links[-1].ok:
        app.console.error(f"{found.name}@{found.state.version.short}: {links[-1].what} does not hold: {links[-1].said}")
        raise click.exceptions.Exit(GittrackError.exit_code)


@model.command(short_help="a version described in Markdown")
@_version
@click.option("-o", "--output", metavar="FILE", help="Write it into a file.")
@click.pass_obj
def card(app: App, version: str, output: str | None) -> None:
    """Print a model card: metrics, data, lineage, and what the settings say of the model's use."""
    from pathlib import Path

    from gittrack.cli.model_views import card_text

    _split(version)
    text = card_text(app.project.models.version(version), app.project)
    if output is None:
        app.console.write(text)
    else:
        Path(output).write_text(text, encoding="utf-8")
        app.console.line(escape(output))
