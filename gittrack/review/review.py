"""The two sides of a change beside each other, judged: what a report tells, whatever its form."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from gittrack.compare.align import ABSENT
from gittrack.compare.code import CodeDiff, diff_code
from gittrack.compare.diff import (
    MetricRow,
    Row,
    align_metrics,
    diff_environment,
    diff_inputs,
    diff_params,
    metric_row,
)
from gittrack.compare.verdict import Repeats, judge_all
from gittrack.data.needed import not_shared
from gittrack.domain.input import Input
from gittrack.domain.metric import is_detail
from gittrack.errors import CorruptRecord, GittrackError
from gittrack.repeats import command_shape, configuration, samples
from gittrack.report.numbers import counted
from gittrack.review.sides import Pair, Range, Side, find_pairs, find_range
from gittrack.run import look_ahead
from gittrack.settings import SETTINGS_FILE
from gittrack.values import dataclass, replace

if TYPE_CHECKING:
    from gittrack.project import Project

Word = Literal["improved", "regressed", "mixed", "equal", "undecided", "new"]
_SHOWN = 3
_SECTIONS = 10


@dataclass(frozen=True, slots=True)
class Section:
    """One experiment: what differs between its sides, and what a reader should mind."""

    pair: Pair
    metrics: tuple[MetricRow, ...]
    gates: frozenset[str]
    params: tuple[Row, ...] = ()
    environment: tuple[Row, ...] = ()
    data: tuple[Row, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "experiment": self.pair.experiment,
            "base": None if self.pair.a is None else _side_to_json(self.pair.a),
            "head": _side_to_json(self.pair.b),
            "metrics": [{**row.to_json(), "gate": row.key in self.gates} for row in self.metrics],
            "params": [row.to_json() for row in self.params],
            "environment": [row.to_json() for row in self.environment],
            "data": [row.to_json() for row in self.data],
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True)
class Review:
    """What a change did. `refused` are the reasons for which a gate would say no, empty when it would not."""

    span: Range
    sections: tuple[Section, ...]
    code: CodeDiff
    refused: tuple[str, ...]

    @property
    def word(self) -> Word:
        """All of it in one word; of metrics that gate, where there are any, else of all that have a goal."""
        if all(one.pair.a is None for one in self.sections):
            return "new"
        rows = self.judged
        found = {row.judged.verdict for row in rows}
        if {"improved", "regressed"} <= found:
            return "mixed"
        for verdict in ("regressed", "improved"):
            if verdict in found:
                return verdict
        return "equal" if found == {"equal"} else "undecided"

    @property
    def judged(self) -> list[MetricRow]:
        """The rows that count for the word."""
        gated = [row for one in self.sections for row in one.metrics if row.key in one.gates]
        return gated or [row for one in self.sections for row in one.metrics if row.goal is not None]

    @property
    def shown(self) -> list[Section]:
        """As many sections as people read, those with a regression first; all are judged."""
        return sorted(self.sections, key=lambda one: all(row.judged.verdict != "regressed" for row in one.metrics))[
            :_SECTIONS
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "base": self.span.fork,
            "head": self.span.tip,
            "verdict": self.word,
            "gate": {"passed": not self.refused, "reasons": list(self.refused)},
            "code": self.code.to_json(),
            "experiments": [one.to_json() for one in self.sections],
        }


def review(project: Project, span: str | None, environ: Mapping[str, str], *, experiment: str | None = None) -> Review:
    """Find the runs of both sides and judge them; raises UnknownRun when nothing finished on the change, UsageError."""
    places = find_range(project.repo, span, environ)
    with project.standing_still():
        pairs, behind = find_pairs(project, places, experiment)
        look_ahead(*(side.run for pair in pairs for side in (pair.a, pair.b) if side is not None))
        code = diff_code(project.repo, places.fork, places.tip)
        judged = _judged(project, pairs)
        moved = any(file.path == SETTINGS_FILE or file.old == SETTINGS_FILE for file in code.files)
        sections = [_section(project, places, pair, judged[at], moved) for at, pair in enumerate(pairs)]
        notes = list(_notes(project, sections, behind))
    sections[0] = replace(sections[0], warnings=(*sections[0].warnings, *notes))
    return Review(places, tuple(sections), code, tuple(_refused(project, sections)))


def _notes(project: Project, sections: Sequence[Section], behind: Sequence[str]) -> Iterator[str]:
    """What a gate would have looked at and did not meet."""
    for name in behind:
        yield f"experiment {name} measured what gates before the change, and did not run on it"
    if any(section.gates for section in sections):
        yield from _idle(project, sections)


def _idle(project: Project, sections: Sequence[Section]) -> Iterator[str]:
    """Settings that name a gate which no metric of these runs is."""
    settings = project.settings
    measured = {row.key for section in sections for row in section.metrics}
    named = [*settings.report.gate, *(key for key, goal in settings.metrics.goals.items() if goal.role == "gate")]
    for name in dict.fromkeys(named):
        met = [key for key in measured if key == name or fnmatchcase(key, name)]
        if not met:
            yield f"{name} gates, and nothing that ran measured it"
        elif not any(map(settings.gates, met)):
            yield f"{name} gates, and no goal says which way it is better; set it in metrics.goals"


def _judged(project: Project, pairs: Sequence[Pair]) -> list[tuple[MetricRow, ...]]:
    """Rows for each pair; the metrics that gate are corrected for being several, in all experiments together."""
    settings = project.settings
    seeds = settings.params.seed_like
    both: dict[tuple[int, str], tuple[Repeats, Repeats]] = {}
    for at, pair in enumerate(pairs):
        a = {} if pair.a is None else samples(pair.a.runs, seeds)
        for key, x, y in align_metrics(a, samples(pair.b.runs, seeds)):
            goal = settings.goal(key)
            if not is_detail(key) and (goal is None or goal.role != "ignore" or settings.gates(key)):
                both[at, key] = x, y
    gates = {one for one in both if settings.gates(one[1])}
    verdicts = judge_all(both, lambda one: settings.goal(one[1]), gates=gates)
    rows: list[list[MetricRow]] = [[] for _ in pairs]
    for (at, key), (x, y) in both.items():
        rows[at].append(metric_row(key, settings.goal(key), x, y, verdicts[at, key]))
    # What gates first, then what has a goal: that is what somebody asked for.
    order = {key: (not settings.gates(key), settings.goal(key) is None) for _, key in both}
    return [tuple(sorted(one, key=lambda row: order[row.key])) for one in rows]


def _section(project: Project, span: Range, pair: Pair, metrics: tuple[MetricRow, ...], moved: bool) -> Section:
    gates = frozenset(row.key for row in metrics if project.settings.gates(row.key))
    a, b = pair.a, pair.b
    warnings = list(_warnings(project, span, pair))
    warnings += [
        f"{row.key} was measured by {row.b.n} of the {len(b.runs)} runs of the head"
        for row in metrics
        if row.key in gates and row.b is not None and row.b.n < len(b.runs)
    ]
    if moved:
        warnings.append(f"{SETTINGS_FILE} changes too, which says what is judged and how")
    if a is None:
        return Section(pair, metrics, gates, warnings=tuple(warnings))
    try:
        same = a.run.same_environment(b.run)
        environment = [] if same else diff_environment(a.run.environment, b.run.environment)
        data = diff_inputs(a.run.record.inputs, b.run.record.inputs)
    except CorruptRecord as error:
        environment, data = [], []
        warnings.append(str(error))
    seeds = project.settings.params.seed_like
    params = diff_params(configuration(a.run.state, seeds), configuration(b.run.state, seeds))
    if command_shape(a.run.state, seeds) != command_shape(b.run.state, seeds):
        params.insert(0, Row("command", a.run.command or ABSENT, b.run.command or ABSENT))
    return Section(pair, metrics, gates, tuple(params), tuple(environment), tuple(data), tuple(warnings))


def _warnings(project: Project, span: Range, pair: Pair) -> Iterator[str]:
    sides = ([] if pair.a is None else [("base", pair.a)]) + [("head", pair.b)]
    for called, side in sides:
        if side.distance:
            yield (
                f"the runs of the {called} are of {side.commit[:8]}, {counted(side.distance, 'commit')} before "
                f"{(span.tip if called == 'head' else span.fork)[:8]}"
            )
        if any(run.dirty for run in side.runs):
            yield f"the {called} ran with changes that no commit of the branch holds (dirty)"
        if side.others:
            yield (
                f"of {side.others + 1} configurations of the {called} this is the {side.why}; the best of "
                "several looks better than it is"
            )
        yield from _of_data(called, side)
    alone = [called for called, side in sides if len(side.runs) == 1]
    if alone:
        yield (
            f"the {' and the '.join(alone)} {'has' if len(alone) == 1 else 'have'} one run{'' if len(alone) == 1 else ' each'}, "
            "which cannot tell a change from chance; 'gittrack run --seeds 5 -- ...' makes repeats"
        )
    failed = project.count(f"status in (failed, killed) and commit = {pair.b.commit}", experiment=pair.experiment)
    if failed:
        yield f"{failed:,} {'run' if failed == 1 else 'runs'} of the head failed or {'was' if failed == 1 else 'were'} killed"
    try:
        missing = not_shared(project.repo, project.depot, pair.b.runs)
    except GittrackError as error:
        missing = f"whether its data are shared is not known: {error}"
    if missing:
        yield f"head: {missing}"


def _of_data(called: str, side: Side) -> Iterator[str]:
    try:
        inputs = [Input.from_dict(one) for one in side.run.record.inputs]
    except (CorruptRecord, TypeError, ValueError):
        return
    loose = [one.path for one in inputs if one.tracked_by is None or one.changed]
    if loose:
        more = f" and {len(loose) - _SHOWN:,} more" if len(loose) > _SHOWN else ""
        yield f"the {called} read data of which nobody keeps the version: {', '.join(loose[:_SHOWN])}{more}"


def _refused(project: Project, sections: Sequence[Section]) -> Iterator[str]:
    """Why a gate says no: a metric that gates regressed, was lost, or is undecided where proof is asked for."""
    proof = project.settings.report.proof
    for section in sections:
        where = f" in {section.pair.experiment}" if len(sections) > 1 else ""
        for row in section.metrics:
            if row.key not in section.gates:
                continue
            verdict = row.judged.verdict
            if row.b is None:
                yield f"{row.key}{where} is gone: the head did not measure it"
            elif not math.isfinite(row.b.mean):
                yield f"{row.key}{where} is {row.b.mean} on the head"
            elif verdict == "regressed":
                yield f"{row.key}{where} regressed: {row.judged.reason}"
            elif proof and (verdict == "undecided" or row.a is None or min(row.a.n, row.b.n) < 2):
                yield f"{row.key}{where} is {verdict}, and report.proof asks for proof: {row.judged.reason}"
    if not any(section.gates for section in sections):
        # A gate that looks at nothing would let everything pass.
        idle = list(_idle(project, sections))
        yield from idle
        if proof and not idle:
            yield "report.proof asks for proof, and no metric of the head gates; see metrics.goals"


def _side_to_json(side: Side) -> dict[str, Any]:
    return {
        "run": side.run.id,
        "name": side.run.name,
        "commit": side.commit,
        "behind": side.distance,
        "runs": [one.id for one in side.runs],
        "configurations": side.others + 1,
    }
