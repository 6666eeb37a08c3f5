"""`gittrack run`: any command as a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from gittrack.cli.main import INTERRUPTED, App
from gittrack.cli.options import complete_runs, experiment_option_of
from gittrack.domain.param import parse_assignment, parse_scalar
from gittrack.report.numbers import counted, duration, number

if TYPE_CHECKING:
    from gittrack.compare.verdict import Repeats
    from gittrack.repeating import Contest
    from gittrack.run import Run
    from gittrack.tracking.wrap import Wrapped

# More metrics than these without a goal nobody reads below a run.
_SHOWN_METRICS = 20
_MOST_LOOKS = 10


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
@click.option("--seeds", metavar="N|a,b,c", help="One run for each seed: N seeds from 0 on, or these.")
@click.option(
    "--until-decided",
    "base",
    metavar="BASE",
    help="Repeat until the verdict against BASE stands.",
    shell_complete=complete_runs,
)
@click.option("--metric", metavar="KEY", help="The metric that decides; else the one that has a goal.")
@click.option(
    "--max", "most", metavar="N", type=click.IntRange(2, 100), help="At most so many repeats; 10 unless given."
)
@click.option("--parent", metavar="RUN", shell_complete=complete_runs, help="The run it belongs to.")
@click.option("--input", "inputs", metavar="PATH", multiple=True, help="What it reads: a path, NAME:v3, a URI.")
@click.option("--output", "outputs", metavar="PATH", multiple=True, help="A file or folder to keep when it has ended.")
@click.option(
    "--allow-dirty",
    type=click.Choice(["none", "tracked", "all"]),
    metavar="[=tracked|all]",
    help="Record a snapshot of changes that are not committed, with all also of new files.",
)
@click.option(
    "--isolated/--no-isolated", default=None, help="In a worktree of its own, where nothing done here touches it."
)
@click.argument("command", metavar="[--] CMD...", nargs=-1, type=click.UNPROCESSED, required=True)
@click.pass_obj
def run(
    app: App,
    experiment: str | None,
    name: str | None,
    params: tuple[str, ...],
    tags: tuple[str, ...],
    seeds: str | None,
    base: str | None,
    metric: str | None,
    most: int | None,
    parent: str | None,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    allow_dirty: str | None,
    isolated: bool | None,
    command: tuple[str, ...],
) -> None:
    """Run a command, in any language, and record it as a run.

    Its console, exit code, params file (params.yaml) and metrics file (metrics.json) become part
    of the run, and so does what it logs itself through gittrack. Returns the exit code of the
    command; 4 when changes are not committed and --allow-dirty is not given.

    With --seeds the command runs once for each seed, which it finds in GITTRACK_SEED and in place
    of {seed} among its words. One that fails does not keep the others from running.

    With --until-decided it runs with one seed after the other, until its repeats against those of
    BASE carry a verdict; looking after each is accounted for.

    With --isolated it runs in a worktree of its own with the code as it is now and the data of
    its pointers; you may edit, commit and switch branches meanwhile. What it writes there is kept
    where it is logged or named by --output.
    """
    if base is None and (metric is not None or most is not None):
        raise click.UsageError("--metric and --max go with --until-decided", click.get_current_context())
    if base is not None and seeds is not None:
        raise click.UsageError("choose one of --seeds and --until-decided", click.get_current_context())
    given = {key: parse_scalar(value) for key, value in map(parse_assignment, params)}
    once = partial(
        app.project.run_command,
        command,
        name=name,
        experiment=experiment,
        params=given,
        tags=dict(parse_assignment(one, "run tag") for one in tags),
        parent=parent,
        allow_dirty=allow_dirty,
        inputs=inputs,
        outputs=outputs,
        isolated=isolated,
    )
    in_worktree = app.project.is_isolated(isolated)
    if in_worktree and (base is not None or seeds is not None):
        # All of them run what is here now, whatever is edited or committed meanwhile.
        once = partial(once, captured=app.project.capture(allow_dirty))
    if base is not None:
        code = _decide(app, once, app.project.get_run(base), given, metric, most or _MOST_LOOKS)
    elif seeds is None:
        code = _tell(app, once()).exit_code
    else:
        from gittrack.repeating import parse_seeds

        code = _repeat(app, once, parse_seeds(seeds, given, app.project.settings.params.seed_like))
    if in_worktree and outputs and not code:
        app.console.note(
            "gittrack: its outputs lie in the run, not in your tree; 'gittrack artifact get @ PATH' brings one"
        )
    raise click.exceptions.Exit(code)


def _tell(app: App, done: Wrapped) -> Wrapped:
    called = f"{done.run.experiment}/{done.run.name} ({done.run.id[:8]})"
    if done.commit is None:
        app.console.error(
            f"run {called} could not be recorded yet, but nothing of it is lost; 'gittrack recover' tries again"
        )
    else:
        app.console.note(f"gittrack: {called} {done.status} after {duration(done.seconds)}")
    return done


# --- several


def _repeat(app: App, once: Callable[..., Wrapped], seeds: Sequence[int]) -> int:
    """A run for each seed; returns the exit code of the first that failed."""
    app.console.note(f"gittrack: {counted(len(seeds), 'run')} with seeds {_listed(seeds)}")
    done: list[Wrapped] = []
    try:
        for seed in seeds:
            done.append(_tell(app, once(seed=seed)))
            if done[-1].told_to_end:
                break
    finally:
        # Also when the tree became dirty meanwhile, and the next run is refused.
        if done:
            _sum_up(app, seeds, done)
    failed = next((one.exit_code for one in done if one.exit_code), 0)
    return failed or (INTERRUPTED if len(done) < len(seeds) else 0)


def _listed(seeds: Sequence[int]) -> str:
    together = len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds)))
    return f"{seeds[0]} to {seeds[-1]}" if together else ", ".join(map(str, seeds))


def _sum_up(app: App, seeds: Sequence[int], done: Sequence[Wrapped]) -> None:
    from gittrack.repeating import measured

    for seed, one in zip(seeds, done, strict=False):
        if one.exit_code:
            app.console.note(f"gittrack: seed {seed} {one.status} with exit code {one.exit_code}")
    if left := seeds[len(done) :]:
        app.console.note(f"gittrack: not started: {counted(len(left), 'seed')}, {_listed(left)}")
    found = measured(app.project, done)
    for line in _means(app, found):
        app.console.note(line)
    if found and all(one.sd == 0.0 for one in found.values()):
        app.console.note(
            "gittrack: every seed gave the same; the command finds its seed in GITTRACK_SEED, or write {seed} among its words"
        )


def _means(app: App, found: dict[str, Repeats]) -> list[str]:
    """`acc  0.91 ± 0.0034 (5)`, a line for each metric."""
    if not found:
        return []
    from gittrack.report.table import Column, as_text

    keys = list(found)[:_SHOWN_METRICS]
    lines = as_text(
        [
            Column("", tuple(keys)),
            Column("mean ± sd (n)", tuple(_spread(found[key]) for key in keys)),
        ],
        room=app.console.width,
    )
    more = len(found) - len(keys)
    return [*lines, *([f"... and {counted(more, 'more metric')}"] if more else [])]


def _spread(one: Repeats) -> str:
    # Of a deviation over few repeats two digits are more than is known; the mean is said as exactly.
    digits = 2 + _magnitude(one.mean) - _magnitude(one.sd) if one.sd and one.mean else 4
    spread = "" if one.sd is None else f" ± {one.sd:.2g}"
    return f"{number(one.mean, min(max(digits, 4), 15))}{spread} ({len(one.values)})"


def _magnitude(value: float) -> int:
    return math.floor(math.log10(abs(value)))


# --- until decided


def _decide(
    app: App,
    once: Callable[..., Wrapped],
    base: Run,
    given: Mapping[str, Any],
    metric: str | None,
    most: int,
) -> int:
    """Repeats until the verdict stands; returns the exit code of a command that failed, else 0."""
    from gittrack.compare.verdict import Repeats
    from gittrack.repeating import plan_contest

    contest = plan_contest(app.project, base, given, metric=metric, most=most)
    app.console.note(f"gittrack: {_against(contest)}")
    added: dict[Any, float] = {}
    for seed in contest.seeds:
        done = _tell(app, once(seed=seed))
        if done.exit_code or done.told_to_end or done.commit is None:
            app.console.note(
                f"gittrack: nothing is decided; {contest.metric} of {counted(len(added), 'repeat')} is known"
            )
            return done.exit_code or (INTERRUPTED if done.told_to_end else 1)
        added[seed] = contest.value(app.project, done, seed)
        look = contest.looks.look(added)
        if look is None:
            continue
        p = "" if look.judged.tested is None else f"p = {look.judged.tested.p:.2g}, "
        if not look.over:
            app.console.note(
                f"gittrack: {len(added)} of {contest.looks.most}: {p}and below {look.level:.2g} it is decided"
            )
            continue
        app.console.note(
            f"gittrack: {look.judged.verdict} after {counted(len(added), 'repeat')}: {contest.metric} "
            f"{_spread(Repeats(tuple(added.values())))} against {_spread(contest.looks.against(added))} of {base.name}; "
            f"{look.judged.reason}; at this look p < {look.level:.2g} decides"
        )
        break
    return 0


def _against(contest: Contest) -> str:
    most = contest.looks.most
    had = f"{contest.base.name} has {contest.metric} {_spread(contest.looks.base)}"
    if not contest.looks.base.labels:
        return f"{had}, without seeds to pair with; at most {most} repeats"
    return f"{had}; at most {most} pairs, of its seeds {_listed(contest.seeds)}"
