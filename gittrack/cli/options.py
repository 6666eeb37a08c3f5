"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from gittrack.domain.names import check_experiment
from gittrack.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

_COMPLETED = 200


def complete_runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the newest runs; a shell that completes must never see an error."""
    try:
        from gittrack.project import Project

        runs = Project.open().runs(limit=_COMPLETED)
    except Exception:
        return []
    names = dict.fromkeys(run.name for run in runs if run.name.startswith(incomplete))
    return [CompletionItem(name) for name in names]


def _complete_experiments(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    try:
        from gittrack.project import Project

        names = [name for name, *_ in Project.open().experiments()]
    except Exception:
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _check_experiment(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    return None if value is None else check_experiment(value)


run_argument = click.argument("run", metavar="RUN", shell_complete=complete_runs)
runs_argument = click.argument("runs", metavar="RUN...", nargs=-1, required=True, shell_complete=complete_runs)


def experiment_option_of(text: str) -> Callable[[F], F]:
    return click.option(
        "-e",
        "--experiment",
        metavar="EXP",
        callback=_check_experiment,
        shell_complete=_complete_experiments,
        help=text,
    )


experiment_option = experiment_option_of("Only runs of this experiment.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


_FORM = "gittrack.form"


def _choose_form(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        if _FORM in ctx.meta:
            raise click.UsageError(f"choose one of --{ctx.meta[_FORM]} and --{param.name}", ctx)
        ctx.meta[_FORM] = param.name


_FORMS = {"json": "JSON", "csv": "CSV", "md": "Markdown"}


def form_options(*forms: str) -> Callable[[F], F]:
    """Flags like `--json`, of which one may be given; see `chosen_form`."""

    def add(command: F) -> F:
        for form in reversed(forms):
            command = click.option(
                f"--{form}", is_flag=True, expose_value=False, callback=_choose_form, help=f"Print {_FORMS[form]}."
            )(command)
        return command

    return add


table_options = form_options("json", "csv", "md")


def chosen_form() -> str:
    """`json`, `csv`, `md`, or `text` when nothing was asked for."""
    return str(click.get_current_context().meta.get(_FORM, "text"))


def _check_count(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    if value is not None and not (value.isascii() and value.isdecimal()):
        raise click.BadParameter(f"{value!r} is not a number of 0 or more", ctx, param)
    return None if value is None else int(value)


def limit_option(text: str, default: str | None = None) -> Callable[[F], F]:
    return click.option("-n", "--limit", metavar="N", default=default, callback=_check_count, help=text)


# --- how much params matter

IMPORTANCE_METHODS = ("ped-anova", "fanova", "mdi")
# With fewer, 95% of them are all.
FEWEST_RESAMPLES = 20


def importance_options(command: F) -> F:
    """`method`, `low`, `high` and `bootstrap`; see `check_importance`."""
    for option in (
        click.option(
            "--bootstrap",
            metavar="N",
            type=click.IntRange(0, 10_000),
            help="Judge by N resamples and N shuffles, 20 or more; 0 for none.",
        ),
        click.option("--max", "high", is_flag=True, help="High is better."),
        click.option("--min", "low", is_flag=True, help="Low is better."),
        click.option(
            "--method",
            type=click.Choice(IMPORTANCE_METHODS),
            default=IMPORTANCE_METHODS[0],
            help="How; ped-anova if not given.",
        ),
    ):
        command = option(command)
    return command


def check_importance(*, low: bool, high: bool, bootstrap: int | None) -> None:
    """Raises UsageError for options that contradict each other or tell nothing."""
    if low and high:
        raise UsageError("--min and --max contradict each other; pass one")
    if bootstrap is not None and 0 < bootstrap < FEWEST_RESAMPLES:
        raise UsageError(
            f"--bootstrap {bootstrap} tells nothing of 95%; take {FEWEST_RESAMPLES} or more, or 0 for none"
        )
