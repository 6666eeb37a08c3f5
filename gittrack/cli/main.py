"""The program: its commands, each loaded when it is called, and what becomes of errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click

from gittrack._version import __version__
from gittrack.cli.console import Console, OutputClosed
from gittrack.errors import AmbiguousRun, DirtyTree, FilterError, GittrackError, PolicyRefused

if TYPE_CHECKING:
    from gittrack.project import Project

DEFECT, INTERRUPTED = 3, 130
# Since click 8.2; before, it printed the help by itself.
_HELP: type[click.UsageError] | tuple[()] = getattr(click.exceptions, "NoArgsIsHelpError", ())

# Command -> module and attribute, in the order in which `gittrack -h` shows them.
SECTIONS: dict[str, dict[str, str]] = {
    "Record": {
        "init": "init:init",
        "run": "run:run",
        "status": "status:status",
        "recover": "recover:recover",
    },
    "Look": {
        "ls": "ls:ls",
        "log": "log:log",
        "show": "show:show",
        "best": "best:best",
        "pareto": "pareto:pareto",
        "importance": "importance:importance",
        "diff": "diff:diff",
        "curve": "curve:curve",
        "report": "report:report",
        "plot": "plot:plot",
    },
    "Change": {
        "tag": "amend:tag",
        "describe": "amend:describe",
        "rm": "amend:rm",
        "restore": "amend:restore",
    },
    "Get and share": {
        "artifact": "artifact:artifact",
        "checkout": "checkout:checkout",
        "push": "share:push",
        "fetch": "share:fetch",
        "pull": "share:pull",
        "bundle": "bundle:bundle",
    },
    "Models": {
        "model": "model:model",
        "promote": "model:promote",
    },
    "Health": {
        "doctor": "health:doctor",
        "fsck": "health:fsck",
        "gc": "gc:gc",
        "pack": "pack:pack",
        "hooks": "hooks:hooks",
    },
}
# What programs call, not people.
_HIDDEN = {"textconv": "textconv:textconv"}
_PLACES = {name: place for section in (*SECTIONS.values(), _HIDDEN) for name, place in section.items()}


class App:
    """What every command gets: a console, and the project around the current folder."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._project: Project | None = None

    @property
    def project(self) -> Project:
        """Opened when a command first needs it; raises NotARepository and its kin, SettingsError."""
        if self._project is None:
            from gittrack.project import Project

            self._project = Project.open()
        return self._project


class Program(click.Group):
    """A group whose commands are imported when they are called, and whose errors are one sentence."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args or ["--help"])

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_PLACES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = _PLACES.get(cmd_name)
        if place is None:
            return None
        from importlib import import_module

        module, _, attribute = place.partition(":")
        command = getattr(import_module(f"gittrack.cli.{module}"), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in _PLACES and not name.startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(name, _PLACES, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else "'gittrack -h' lists the commands"
            raise click.UsageError(f"there is no command {name!r}; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, names in SECTIONS.items():
            rows = []
            for name in names:
                command = self.get_command(ctx, name)
                assert command is not None
                rows.append((name, command.get_short_help_str(formatter.width)))
            with formatter.section(section):
                formatter.write_dl(rows)

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run the program and leave the process with the exit code of the command contract."""
        arguments = list(sys.argv[1:] if args is None else args)
        extra.pop("standalone_mode", None)
        if sys.stdout is None or sys.stderr is None:
            _open_closed_streams()
        try:
            code = super().main(arguments, prog_name or "gittrack", standalone_mode=False, **extra)
        except BaseException as error:
            _flushed(0)
            code = report_error(error, arguments)
        sys.exit(_flushed(code if isinstance(code, int) else 0))


def _open_closed_streams() -> None:
    """Python gives None for a stream that the shell closed (`>&-`); then nobody wants to read it."""
    nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the rest of the process
    sys.stdout = sys.stdout or nowhere
    sys.stderr = sys.stderr or nowhere


def report_error(error: BaseException, arguments: Sequence[str]) -> int:
    """Say on stderr what went wrong; returns the exit code."""
    console = Console()
    match error:
        case OutputClosed():
            return 128 + 13  # as if SIGPIPE had ended us, like git
        case SystemExit():
            return error.code if isinstance(error.code, int) else 1
        case KeyboardInterrupt() | click.Abort():
            return INTERRUPTED
        case click.UsageError() if isinstance(error, _HELP):
            # A group without a command: click's message is the whole help, and no sentence.
            console.note(error.format_message())
            return error.exit_code
        case click.ClickException():
            console.error(_sentence(error))
            return error.exit_code
        case GittrackError():
            console.error(str(error))
            _say_more(console, error)
            return error.exit_code
        case OSError():
            # The world, not us: no space left, no permission, a vanished disk.
            where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
            console.error(f"{where}{error.strerror or error}; mend that and try again")
            _say_more(console, error)
            return GittrackError.exit_code
        case _:
            from gittrack.cli.failure import write_report

            console.error(write_report(error, arguments))
            _say_more(console, error)
            return DEFECT


def _sentence(error: click.ClickException) -> str:
    """click's message, with the next step if it names none."""
    text = error.format_message().rstrip(".")
    text = text[:1].lower() + text[1:]
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None and not text.endswith("?") and "gittrack -h" not in text:
        text += f"; see '{context.command_path} -h'"
    return text


def _say_more(console: Console, error: BaseException) -> None:
    match error:
        case DirtyTree():
            console.listing(error.files)
        case PolicyRefused():
            console.listing(error.checks, most=100)
        case AmbiguousRun():
            console.listing(error.candidates)
        case FilterError() if error.expression and error.position is not None:
            from gittrack.index.filter import point_at

            for line in point_at(error.expression, error.position).split("\n"):
                console.note(f"  {line}")
    if os.environ.get("GITTRACK_DEBUG"):
        import traceback

        console.note("".join(traceback.format_exception(error)))


def _flushed(code: int) -> int:
    """Everything written is out before the interpreter ends, or it would complain on its own."""
    try:
        sys.stdout.flush()
    except OSError as error:
        # What is still in the buffer goes nowhere; else every later touch of stdout would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code if isinstance(error, BrokenPipeError) else code or GittrackError.exit_code
    return code


@click.command(
    "gittrack",
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="A run is named by @ (the newest), @~1, its name, the first digits of its id, or "
    "best:METRIC. Exit codes: 0 ok, 1 failure, 2 wrong usage, 3 a defect of gittrack, 4 refused.",
)
@click.option(
    "-C",
    "folders",
    metavar="FOLDER",
    multiple=True,
    help="Work as if started in FOLDER; several add up.",
)
@click.option("--no-pager", is_flag=True, help="Do not page long output.")
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="When to use colours; NO_COLOR turns them off.",
)
@click.version_option(__version__, prog_name="gittrack", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, folders: tuple[str, ...], no_pager: bool, color: str) -> None:
    """Experiment tracking inside git: a run is a commit."""
    if folders:
        before = os.getcwd()
        ctx.call_on_close(lambda: os.chdir(before))
        for folder in folders:
            _enter(folder)
    ctx.obj = App(Console(color=color, pager=not no_pager))


def _enter(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        raise click.UsageError(f"cannot go to {folder!r}: {error.strerror}") from None
