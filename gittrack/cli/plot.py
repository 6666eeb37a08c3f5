"""`gittrack plot`: pictures of runs, in the terminal, as a page, or for a paper.

Each kind is a command that turns runs into values, and a function of one name in `report.page` and in `report.picture` that draws them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import click

from gittrack.cli.main import App
from gittrack.cli.options import check_importance, complete_runs, experiment_option, importance_options
from gittrack.domain.metric import is_detail
from gittrack.errors import UnknownRun, UsageError
from gittrack.report.keys import Key, find_key, varying

if TYPE_CHECKING:
    from gittrack.domain.metric import History
    from gittrack.domain.run import RunState
    from gittrack.report.front import Goal
    from gittrack.report.lanes import Scatter
    from gittrack.report.series import Curve, Series
    from gittrack.run import Run

F = TypeVar("F", bound=Callable[..., Any])

_MOST_RUNS = 200
_MOST_LANES = 12
_MOST_GROUPS = 60
_TALLEST = 24
_LABEL_PARAMS = 4


@click.group(short_help="pictures: curves, scatter, front, boxes, contours, parallel coordinates")
def plot() -> None:
    """Draw runs: in the terminal, as a page (--html) or for a paper (--png, --svg).

    Without a run: the finished runs of the newest experiment, or of the one that -e names, that pass --filter.
    """


# --- which runs, and where to


def _kind(command: F) -> F:
    """What all kinds take: runs, or how to find them, and the files to draw into."""
    for form, text in (("html", "a page that needs nothing else"), ("svg", "an SVG"), ("png", "a PNG")):
        command = click.option(f"--{form}", metavar="FILE", type=click.Path(dir_okay=False), help=f"Draw into {text}.")(
            command
        )
    command = click.option("--filter", metavar="FILTER", help="Only finished runs that pass it; see 'gittrack ls'.")(
        command
    )
    command = experiment_option(command)
    return click.argument("words", metavar="[RUN]...", nargs=-1, shell_complete=complete_runs)(command)


_log = click.option(
    "--log", type=click.Choice(["x", "y"]), multiple=True, help="A logarithmic axis; may be given for each."
)


def _chosen(app: App, words: Sequence[str], experiment: str | None, filter: str | None) -> list[Run]:
    """The runs that were named, or the newest finished ones, oldest first; at least one."""
    project = app.project
    if words:
        if filter is not None:
            raise UsageError(
                "--filter chooses among finished runs and says nothing of those named; leave one of both out"
            )
        named = [project.get_run(word, experiment=experiment) for word in words]
        return list({run.id: run for run in named}.values())
    if experiment is None:
        experiment = project.get_run("@").experiment
    said = f"({filter}) and status = finished" if filter and filter.strip() else "status = finished"
    found = project.runs(said, experiment=experiment, limit=_MOST_RUNS)
    if not found:
        raise UnknownRun(
            f"experiment {experiment} has no finished run{' that passes' if filter else ''}; see 'gittrack ls -e {experiment}'"
        )
    if found.total > len(found):
        app.console.note(f"the newest {len(found)} of {found.total:,} runs; --filter chooses others")
    return list(reversed(found))


def _show(
    app: App,
    title: str,
    draw: Callable[[Any], Any],
    lines: Callable[[], Sequence[str]] | None,
    *,
    png: str | None,
    svg: str | None,
    html: str | None,
) -> None:
    """Into files, or without any as lines to the terminal; `draw` is given the module that draws."""
    for file, ending in ((png, ".png"), (svg, ".svg"), (html, ".html")):
        written = "" if file is None else Path(file).suffix.lower()
        if written and written != ending and not (ending == ".html" and written == ".htm"):
            raise UsageError(
                f"--{ending[1:]} writes a file that ends in {ending}, and {file!r} ends in {written}; choose one of both"
            )
    if png is None and svg is None and html is None:
        if lines is None:
            raise UsageError(f"{title} cannot be drawn in a terminal; pass --html, --png or --svg with a file")
        app.console.lines(lines())
        return
    forms: tuple[tuple[str | None, Literal["png", "svg"]], ...] = ((png, "png"), (svg, "svg"))
    for path, form in forms:
        if path is not None:
            from gittrack.report import picture

            picture.save(draw(picture), path, form)
    if html is not None:
        from gittrack.report import page

        Path(html).write_text(page.page(f"gittrack: {title}", draw(page)), encoding="utf-8", errors="replace")


def _metric(app: App, runs: Sequence[RunState], word: str | None) -> Key:
    """The metric that is asked for, else the first that gates, else the first with a goal, else the only one."""
    if word is not None:
        return find_key(word, runs, "metrics")
    known = _ours(app, runs)
    wanted = _with_goal(app, known) or known
    if not wanted:
        raise UsageError("none of the runs has a metric; log one, or choose other runs")
    if len(known) > 1 and wanted is known:
        raise UsageError(f"say which metric with --metric; the runs have {', '.join(known[:10])}")
    return Key("metrics", wanted[0])


def _ours(app: App, runs: Sequence[RunState]) -> list[str]:
    """The metrics that are worth a look unasked."""
    known = [key for key in dict.fromkeys(key for run in runs for key in run.metrics) if not is_detail(key)]
    goals = {key: app.project.settings.goal(key) for key in known}
    return [key for key, goal in goals.items() if goal is None or goal.role != "ignore"]


def _with_goal(app: App, keys: Sequence[str]) -> list[str]:
    """Those that gate first."""
    settings = app.project.settings
    return sorted((key for key in keys if settings.goal(key)), key=lambda key: not settings.gates(key))


def _high(app: App) -> int:
    return min(_TALLEST, max(12, app.console.height - 2))


def _wide(app: App) -> int:
    return min(app.console.width, 160)


# --- curves


@plot.command(short_help="learning curves; repeats as one line with a band")
@_kind
@click.option("-m", "--metric", "metrics", metavar="KEY", multiple=True, help="A metric or a pattern; may be repeated.")
@click.option("--alone", is_flag=True, help="Draw each repeat on its own.")
@click.option(
    "--band",
    type=click.Choice(["range", "sd"]),
    default="range",
    help="Around a mean: from lowest to highest, or ± standard deviation.",
)
@click.option(
    "--smooth", metavar="W", type=click.FloatRange(0, 1), default=0.0, help="Moving average; 0 none, 0.9 strong, 1 all."
)
@click.option("--x", "across", type=click.Choice(["step", "time", "epoch"]), default="step", help="What lies across.")
@_log
@click.pass_obj
def curves(
    app: App,
    /,
    words: tuple[str, ...],
    experiment: str | None,
    filter: str | None,
    metrics: tuple[str, ...],
    alone: bool,
    band: Literal["range", "sd"],
    smooth: float,
    across: Literal["step", "time", "epoch"],
    log: tuple[str, ...],
    **files: str | None,
) -> None:
    """Draw metrics over steps, one chart a metric.

    Runs that differ in a seed or a fold alone are drawn as their mean with a band. Without --metric: the metrics that have a
    goal, or else all but system/.
    """
    runs = _chosen(app, words, experiment, filter)
    keys = _keys(app, [run.state for run in runs], metrics)
    if across == "epoch" and not metrics:
        keys = [key for key in keys if key != "epoch"] or keys
    groups = [[run] for run in runs] if alone else app.project.group_repeats(runs)
    from gittrack.run import histories_of

    histories = histories_of(runs, [*keys, "epoch"] if across == "epoch" else keys)
    lines = {run.id: _lines(run, keys, histories[run.id], across) for run in runs}
    if not any(lines.values()):
        raise UsageError(
            "no point has an epoch: log the metric 'epoch' at the same steps, or leave --x epoch out"
            if across == "epoch"
            else f"none of the runs has a point of {', '.join(keys[:5])}; choose other runs or metrics"
        )
    _left_out(app, sum(not found for found in lines.values()), " or ".join(keys[:3]) if across != "epoch" else "epoch")
    charts = _charts(lines, groups, keys, band, smooth)
    name = {"step": "step", "time": "seconds since the start", "epoch": "epoch"}[across]

    def in_terminal() -> list[str]:
        from gittrack.report.terminal import draw

        drawn: list[str] = []
        for key, some in charts.items():
            title = key if across == "step" else f"{key} over {name}"
            drawn += [""] if drawn else []
            drawn += draw(some, columns=_wide(app), rows=_high(app), title=title, paint=app.console.paint, log=log)
        return drawn

    _show(app, _titled("curves", runs), lambda to: to.curves(charts, x=name, log=log), in_terminal, **files)


def _titled(kind: str, runs: Sequence[Run]) -> str:
    names = ", ".join(run.name for run in runs[:5])
    return f"{kind} of {names}" if len(runs) <= 5 else f"{kind} of {len(runs)} runs of {runs[-1].experiment}"


def _keys(app: App, runs: Sequence[RunState], patterns: Sequence[str]) -> list[str]:
    known = list(dict.fromkeys(key for run in runs for key in run.metrics))
    if not patterns:
        ours = _ours(app, runs)
        if not ours:
            raise UsageError("none of the runs has a metric of its own to draw; name one, like --metric 'system/*'")
        return _with_goal(app, ours) or ours
    found: dict[str, None] = {}
    for pattern in patterns:
        # A key may itself have the signs of a pattern.
        alike = [] if pattern in known else [key for key in known if fnmatchcase(key, pattern.removeprefix("metrics."))]
        found |= dict.fromkeys(alike or [find_key(pattern, runs, "metrics").name])
    return list(found)


def _charts(
    lines: Mapping[str, Mapping[str, Series]],
    groups: Sequence[Sequence[Run]],
    keys: Sequence[str],
    band: Literal["range", "sd"],
    smooth: float,
) -> dict[str, list[Curve]]:
    """The curves of each metric; `lines` are by run and metric."""
    from gittrack.report.series import Curve
    from gittrack.report.smooth import mean_of, smoothed
    from gittrack.values import replace

    charts: dict[str, list[Curve]] = {}
    for key in keys:
        for group, label in zip(groups, _labels(groups), strict=True):
            found = [lines[run.id][key] for run in group if key in lines[run.id]]
            if found:
                curve = mean_of(found, label, band) if len(found) > 1 else Curve(replace(found[0], label=label))
                charts.setdefault(key, []).append(smoothed(curve, smooth))
    return charts


def _lines(run: Run, keys: Sequence[str], histories: dict[str, History], across: str) -> dict[str, Series]:
    from gittrack.report.series import series

    found = {key: series(run.name, one, across=_places(run, one, histories, across)) for key, one in histories.items()}
    return {key: line for key, line in found.items() if key in keys and line.xs}


def _places(run: Run, history: History, histories: dict[str, History], across: str) -> Sequence[float] | None:
    if across == "time":
        return [time - run.state.started for time in history.times]
    if across == "step":
        return None
    logged = histories.get("epoch")
    epochs: dict[int, float] = {} if logged is None else dict(zip(logged.steps, logged.values, strict=True))
    return [epochs.get(step, float("nan")) for step in history.steps]


def _labels(groups: Sequence[Sequence[Run]]) -> list[str]:
    """A name for each line: that of its run, or the params that tell a group from the others; no two are the same."""
    from gittrack.report.numbers import exact

    heads = [group[0] for group in groups]
    names = _telling([head.state for head in heads])
    labels = []
    for group, head in zip(groups, heads, strict=True):
        params = " ".join(f"{name}={exact(head.params[name])}" for name in names if name in head.params)
        labels.append(head.name if len(group) == 1 else params or head.name)
    return [
        label if labels.count(label) < 2 else f"{label} ({head.id[:8]})"
        for label, head in zip(labels, heads, strict=True)
    ]


def _telling(runs: Sequence[RunState]) -> list[str]:
    """Few params that tell the runs apart, in natural order: again and again the one that leaves the fewest alike."""
    from gittrack.report.keys import text_of

    texts = {name: [text_of(Key("params", name).of(run)) for run in runs] for name in varying(runs)}
    apart: list[tuple[str, ...]] = [() for _ in runs]
    chosen: set[str] = set()
    while len(chosen) < _LABEL_PARAMS:
        tried = {name: [(*before, text) for before, text in zip(apart, texts[name], strict=True)] for name in texts}
        best = max(tried, key=lambda name: len(set(tried[name])), default=None)
        if best is None or len(set(tried[best])) == len(set(apart)):
            break
        chosen.add(best)
        apart = tried[best]
    return [name for name in texts if name in chosen]


# --- points


@plot.command(short_help="runs as points over two params or metrics")
@_kind
@click.option("--x", metavar="KEY", required=True, help="A param or metric; params.K or metrics.K where both have it.")
@click.option("--y", metavar="KEY", required=True, help="Another.")
@click.option("--color", metavar="KEY", help="A third, which colours the points.")
@_log
@click.pass_obj
def scatter(
    app: App,
    /,
    words: tuple[str, ...],
    experiment: str | None,
    filter: str | None,
    x: str,
    y: str,
    color: str | None,
    log: tuple[str, ...],
    **files: str | None,
) -> None:
    """Draw a point for each run. Params that span more than two decades get a logarithmic axis unasked."""
    from gittrack.report.lanes import scatter

    runs = _chosen(app, words, experiment, filter)
    states = [run.state for run in runs]
    across, up, third = (None if one is None else find_key(one, states) for one in (x, y, color))
    assert across is not None
    assert up is not None
    points = scatter(states, across, up, third, log=log)
    _left_out(app, len(runs) - len(points.kept()), f"{across.name} or {up.name}")
    _show_points(app, _titled("scatter", runs), points, files)


@plot.command(short_help="two metrics, with the runs that none is better than")
@click.argument("first", metavar="METRIC")
@click.argument("second", metavar="METRIC", required=False)
@_kind
@click.option(
    "--min", "low", metavar="METRIC", multiple=True, help="Of this one low is better, whatever the settings say."
)
@click.option("--max", "high", metavar="METRIC", multiple=True, help="Of this one high is better.")
@_log
@click.pass_obj
def pareto(
    app: App,
    /,
    first: str,
    second: str | None,
    words: tuple[str, ...],
    experiment: str | None,
    filter: str | None,
    low: tuple[str, ...],
    high: tuple[str, ...],
    log: tuple[str, ...],
    **files: str | None,
) -> None:
    """Draw a point for each run over two metrics, and mark the front: the runs that none is better than in both.

    Which way is better comes from the settings (metrics.goals), or from --min and --max.
    """
    from gittrack.report.front import pareto

    if second is None:
        raise UsageError(f"a front is of two metrics, and {first} is one; name another")
    runs = _chosen(app, words, experiment, filter)
    states = [run.state for run in runs]
    x, y = (find_key(one, states, "metrics") for one in (first, second))
    said: dict[str, Goal] = {}
    for goal, names in (("min", low), ("max", high)):
        said |= {find_key(one, states, "metrics").name: cast("Goal", goal) for one in names}
    points = pareto(states, x, y, (_goal(app, x, said), _goal(app, y, said)), log=log)
    _left_out(app, len(runs) - len(points.kept()), f"{x.name} or {y.name}")
    _show_points(app, _titled("pareto", runs), points, files)


@plot.command(short_help="how much params seem to matter for a metric")
@click.argument("metric")
@_kind
@importance_options
@click.pass_obj
def importance(
    app: App,
    /,
    metric: str,
    words: tuple[str, ...],
    experiment: str | None,
    filter: str | None,
    method: str,
    low: bool,
    high: bool,
    bootstrap: int | None,
    **files: str | None,
) -> None:
    """Draw how much each param seems to matter for METRIC; 'gittrack importance' says what cannot be told."""
    from gittrack.cli.importance import weigh
    from gittrack.compare.importance import design
    from gittrack.repeats import configuration
    from gittrack.report.bars import Bars, bar_lines

    check_importance(low=low, high=high, bootstrap=bootstrap)
    runs = _chosen(app, words, experiment, filter)
    key = find_key(metric, [run.state for run in runs], "metrics")
    said: dict[str, Goal] = {key.name: "min" if low else "max"} if low or high else {}
    way = _goal(app, key, said)
    states = [run.state for run in runs if isfinite(run.metrics.get(key.name, float("nan")))]
    _left_out(app, len(runs) - len(states), f"a finite {key.name}")
    seeds = app.project.settings.params.seed_like
    shares = (
        weigh(
            design([configuration(one, seeds) for one in states]),
            [one.metrics[key.name] for one in states],
            method,
            way,
            bootstrap,
        )
        if len(states) > 1
        else []
    )
    if not shares:
        raise UsageError(
            f"there is nothing to draw: no param varies, or {key.name} does not; see 'gittrack importance {key.name}'"
        )
    found = Bars(key.name, tuple(shares))
    _show(
        app, _titled("importance", runs), lambda to: to.importance(found), lambda: bar_lines(found, _wide(app)), **files
    )


def _goal(app: App, key: Key, said: Mapping[str, Goal]) -> Goal:
    found = app.project.settings.goal(key.name)
    if key.name in said:
        return said[key.name]
    if found is None:
        raise UsageError(f"nothing says whether {key.name!r} is better high or low; pass --max or --min with it")
    return found.goal


def _show_points(app: App, title: str, points: Scatter, files: dict[str, str | None]) -> None:
    def lines() -> list[str]:
        from gittrack.report.terminal import draw_scatter

        return draw_scatter(points, columns=_wide(app), rows=_high(app), paint=app.console.paint)

    _show(app, title, lambda to: to.scatter(points), lines, **files)


def _left_out(app: App, count: int, what: str) -> None:
    if count:
        app.console.note(f"{count} {'run' if count == 1 else 'runs'} without a value for {what} left out")


_one_metric = click.option(
    "-m", "--metric", metavar="KEY", help="The metric; unless given, the first that has a goal, or the only one."
)


@plot.command(short_help="a metric's distribution by the values of a param")
@_kind
@_one_metric
@click.option("--by", metavar="PARAM", required=True, help="The param whose values make the groups.")
@click.option("--log", is_flag=True, help="A logarithmic axis of the metric.")
@click.pass_obj
def box(
    app: App,
    /,
    words: tuple[str, ...],
    experiment: str | None,
    filter: str | None,
    metric: str | None,
    by: str,
    log: bool,
    **files: str | None,
) -> None:
    """Draw how a metric is distributed for each value of a param: every run as a dot, a box from four runs on."""
    from gittrack.report.boxes import boxes

    runs = _chosen(app, words, experiment, filter)
    states = [run.state for run in runs]
    key = _metric(app, states, metric)
    found = boxes(states, key, find_key(by, states, "params"), log=log)
    if found is None:
        raise UnknownRun(
            f"none of the runs has a number for the metric {key.name!r} that can be drawn; see 'gittrack ls'"
        )
    if len(found.groups) > _MOST_GROUPS:
        raise UsageError(
            f"{found.by} has {len(found.groups)} values, which are too many boxes; 'gittrack plot scatter' draws them"
        )
    _left_out(app, len(runs) - sum(len(group.values) for group in found.groups), key.name)

    def lines() -> list[str]:
        from gittrack.report.terminal import draw_boxes

        return draw_boxes(found, columns=_wide(app))

    _show(app, _titled("box", runs), lambda to: to.box(found), lines, **files)


@plot.command(short_help="a metric over two numeric params")
@_kind
@_one_metric
@click.option("--x", metavar="PARAM", required=True, help="A numeric param.")
@click.option("--y", metavar="PARAM", required=True, help="Another.")
@_log
@click.pass_obj
def contour(
    app: App,
    /,
    words: tuple[str, ...],
    experiment: str | None,
    filter: str | None,
    metric: str | None,
    x: str,
    y: str,
    log: tuple[str, ...],
    **files: str | None,
) -> None:
    """Draw a metric as a surface over two params, and the runs as points on it. Needs a file."""
    from gittrack.report.surface import surface

    runs = _chosen(app, words, experiment, filter)
    states = [run.state for run in runs]
    across, up = find_key(x, states, "params"), find_key(y, states, "params")
    found = surface(states, across, up, _metric(app, states, metric), log=log)
    _left_out(app, len(runs) - len(found.points.names), f"{across.name}, {up.name} or the metric")
    _show(app, _titled("contour", runs), lambda to: to.contour(found), None, **files)


@plot.command(short_help="parallel coordinates: params that vary, and a metric")
@_kind
@_one_metric
@click.option("--param", "params", metavar="KEY", multiple=True, help="Draw these params; may be repeated.")
@click.pass_obj
def parallel(
    app: App,
    /,
    words: tuple[str, ...],
    experiment: str | None,
    filter: str | None,
    metric: str | None,
    params: tuple[str, ...],
    **files: str | None,
) -> None:
    """Draw each run as a line through its params and a metric. Needs a file.

    Without --param: those that vary, but for seeds and folds.
    """
    from gittrack.report.lanes import parallel

    runs = _chosen(app, words, experiment, filter)
    states = [run.state for run in runs]
    key = _metric(app, states, metric)
    names = [find_key(one, states, "params").name for one in params] or list(_lanes(app, states))
    found = parallel(states, [Key("params", name) for name in dict.fromkeys(names)], key)
    _show(app, _titled("parallel coordinates", runs), lambda to: to.parallel(found), None, **files)


def _lanes(app: App, runs: Sequence[RunState]) -> Iterator[str]:
    seeds = app.project.settings.params.seed_like
    found = [name for name in varying(runs) if name.rpartition(".")[2] not in seeds]
    if not found:
        raise UsageError("no param varies among the runs; name some with --param, or choose other runs")
    if len(found) > _MOST_LANES:
        app.console.note(f"the first {_MOST_LANES} of {len(found)} params that vary; --param chooses others")
    yield from found[:_MOST_LANES]
