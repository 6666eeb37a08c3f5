"""`gittrack run`: any command as a run."""

from __future__ import annotations

import click

from gittrack.cli.main import App
from gittrack.cli.options import complete_runs, experiment_option_of
from gittrack.domain.param import parse_assignment, parse_scalar
from gittrack.report.numbers import duration


class _Run(click.Command):
    """Everything from the first word that is no option on belongs to the command to run."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # `--allow-dirty` takes a value only after `=`; click would take the next word as well.
        valued = {
            name
            for option in self.params
            if isinstance(option, click.Option) and not option.is_flag
            for name in option.opts
        }
        args = list(args)
        at = 0
        while at < len(args) and args[at].startswith("-") and args[at] not in ("-", "--"):
            if args[at] == "--allow-dirty":
                args[at] = "--allow-dirty=tracked"
            elif args[at] in valued:
                if args[at + 1 : at + 2] == ["--"]:
                    raise click.UsageError(f"option '{args[at]}' needs a value before '--'", ctx)
                at += 1
            at += 1
        return super().parse_args(ctx, args)


@click.command(
    cls=_Run, context_settings={"allow_interspersed_args": False}, short_help="run any command as a tracked run"
)
@experiment_option_of("The experiment that the run belongs to.")
@click.option("-n", "--name", metavar="NAME", help="What to call the run.")
@click.option("-p", "--param", "params", metavar="K=V", multiple=True, help="Record a param.")
@click.option("-t", "--tag", "tags", metavar="K=V", multiple=True, help="Set a run tag.")
@click.option("--parent", metavar="RUN", shell_complete=complete_runs, help="The run it belongs to.")
@click.option("--input", "inputs", metavar="PATH", multiple=True, help="What it reads: a path, NAME:v3, a URI.")
@click.option("--output", "outputs", metavar="PATH", multiple=True, help="A file or folder to keep when it has ended.")
@click.option(
    "--allow-dirty",
    type=click.Choice(["none", "tracked", "all"]),
    metavar="[=tracked|all]",
    help="Record a snapshot of changes that are not committed, with all also of new files.",
)
@click.argument("command", metavar="[--] CMD...", nargs=-1, type=click.UNPROCESSED, required=True)
@click.pass_obj
def run(
    app: App,
    experiment: str | None,
    name: str | None,
    params: tuple[str, ...],
    tags: tuple[str, ...],
    parent: str | None,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    allow_dirty: str | None,
    command: tuple[str, ...],
) -> None:
    """Run a command, in any language, and record it as a run.

    Its console, exit code, params file (params.yaml) and metrics file (metrics.json) become part
    of the run, and so does what it logs itself through gittrack. Returns the exit code of the
    command; 4 when changes are not committed and --allow-dirty is not given.
    """
    assigned = dict(map(parse_assignment, params))
    done = app.project.run_command(
        command,
        name=name,
        experiment=experiment,
        params={key: parse_scalar(value) for key, value in assigned.items()},
        tags=dict(parse_assignment(one, "run tag") for one in tags),
        parent=parent,
        allow_dirty=allow_dirty,
        inputs=inputs,
        outputs=outputs,
    )
    called = f"{done.run.experiment}/{done.run.name} ({done.run.id[:8]})"
    if done.commit is None:
        app.console.error(
            f"run {called} could not be recorded yet, but nothing of it is lost; 'gittrack recover' tries again"
        )
    else:
        app.console.note(f"gittrack: {called} {done.status} after {duration(done.seconds)}")
    raise click.exceptions.Exit(done.exit_code)
