"""Everything that differs between two runs, their repeats with them, in the order in which it may be the cause."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gittrack.compare.align import ABSENT
from gittrack.compare.baseline import find_baseline
from gittrack.compare.code import CodeDiff, diff_code
from gittrack.compare.diff import (
    MetricRow,
    Row,
    diff_artifacts,
    diff_environment,
    diff_inputs,
    diff_metrics,
    diff_params,
)
from gittrack.domain.artifact import Artifact
from gittrack.domain.metric import is_detail
from gittrack.domain.run import Status
from gittrack.errors import GittrackError, UnknownRun
from gittrack.repeats import samples
from gittrack.report.numbers import counted
from gittrack.run import Run, look_ahead
from gittrack.values import dataclass

if TYPE_CHECKING:
    from gittrack.compare.examples import Examples
    from gittrack.compare.stats import Name
    from gittrack.domain.run import RunState
    from gittrack.project import Project

_LAST_LINES = 20
_FAILED = (Status.FAILED, Status.KILLED, Status.LOST)


@dataclass(frozen=True, slots=True)
class Difference:
    """`a` and `b` with what differs; `consoles` are the last lines of those that failed, by side."""

    a: Run
    b: Run
    code: CodeDiff
    params: list[Row]
    environment: list[Row]
    data: list[Row]
    metrics: list[MetricRow]
    artifacts: list[Row]
    repeats_a: list[RunState]
    repeats_b: list[RunState]
    consoles: Mapping[str, tuple[str, ...]]
    examples: Examples | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "a": self.a.id,
            "b": self.b.id,
            "code": self.code.to_json(),
            "params": [row.to_json() for row in self.params],
            "environment": [row.to_json() for row in self.environment],
            "data": [row.to_json() for row in self.data],
            "metrics": [row.to_json() for row in self.metrics],
            "artifacts": [row.to_json() for row in self.artifacts],
            "repeats": {"a": [one.id for one in self.repeats_a], "b": [one.id for one in self.repeats_b]},
            "console": {side: list(lines) for side, lines in self.consoles.items()},
            **({} if self.examples is None else {"examples": self.examples.to_json()}),
        }


def find_run(project: Project, text: str, note: Callable[[str], object], experiment: str | None = None) -> Run:
    """A run by its name, or the one that speaks for a branch, tag or commit: of its newest commit on which any finished.

    `experiment` goes first there. Raises UnknownRun.
    """
    try:
        run = project.get_run(text)
        if text == run.name:
            # Somebody who typed the name of a branch may mean that.
            refs = {f"refs/heads/{text}": "branch", f"refs/tags/{text}": "tag"}
            for ref in project.repo.list_refs(*refs).keys() & refs.keys():
                note(f"{text} is a run here; {ref} is the {refs[ref]}")
        return run
    except UnknownRun as error:
        from gittrack.review.sides import find_speaker

        found = find_speaker(project, text, experiment)
        if found is None:
            raise error from None
        behind = f", {counted(found.distance, 'commit')} before it" if found.distance else ""
        note(f"{text} is {found.run.experiment}/{found.run.name} ({found.run.id[:8]}) on {found.commit[:8]}{behind}")
        return found.run


def baseline(project: Project, run: Run, note: Callable[[str], object]) -> Run:
    """What a run is compared with when nobody says; raises UnknownRun."""
    merge_base = run.record.code.merge_base if run.commit is not None else None
    candidates = project.runs("status = finished", experiment=run.experiment)
    found = find_baseline(run.state, merge_base, (one.state for one in candidates))
    if found is None:
        raise UnknownRun(
            f"run {run.name} has no baseline: no run of experiment {run.experiment} finished before it; name two runs"
        )
    note(f"compared with {found.run.name} ({found.run.id[:8]}), {found.reason}")
    return next(one for one in candidates if one.id == found.run.id)


def difference(
    project: Project,
    a: Run,
    b: Run,
    note: Callable[[str], object],
    *,
    patch: bool = False,
    alone: bool = False,
    everything: bool = False,
    asked: Name | None = None,
    examples: str | None = None,
    column: str | None = None,
) -> Difference:
    """Compare two runs; `note` is told what a reader should know beside it.

    `examples` names a table that both kept, of which `column` holds numbers; raises UsageError where they cannot be paired.
    """
    for run in (a, b):
        if run.commit is None:
            note(f"run {run.name} is still active: its environment and artifacts are not known yet")
    repeats_a, repeats_b = _alone(project, a, b) if alone else _repeats(project, a, b, note)
    seeds = project.settings.params.seed_like
    metrics = diff_metrics(
        samples(repeats_a, seeds), samples(repeats_b, seeds), project.settings.goal, all=everything, asked=asked
    )
    if not everything:
        metrics = [row for row in metrics if not is_detail(row.key)]
    look_ahead(a, b)
    known = None not in (a.commit, b.commit) and (everything or not a.same_environment(b))
    return Difference(
        a=a,
        b=b,
        code=diff_code(project.repo, a.state.code_commit, b.state.code_commit, patch=patch),
        params=diff_params(a.params, b.params, all=everything),
        environment=diff_environment(a.environment, b.environment, all=everything) if known else [],
        data=_by_file(project, diff_inputs(_inputs(a), _inputs(b), all=everything)),
        metrics=metrics,
        artifacts=diff_artifacts(_artifacts(a), _artifacts(b), all=everything),
        repeats_a=repeats_a,
        repeats_b=repeats_b,
        consoles={side: lines for side, run in (("a", a), ("b", b)) if (lines := _last_words(run))},
        examples=None if examples is None else _examples(a, b, examples, column),
    )


def _examples(a: Run, b: Run, name: str, column: str | None) -> Examples:
    from gittrack.compare.examples import compare_examples, read_table

    made = [run.artifact(name) for run in (a, b)]
    tables = [read_table(one.read_bytes(), one.artifact.path) for one in made]
    return compare_examples(tables[0], tables[1], column)


def _repeats(project: Project, a: Run, b: Run, note: Callable[[str], object]) -> tuple[list[RunState], list[RunState]]:
    found = project.repeats(a), project.repeats(b)
    if any(one.id == b.id for one in found[0]):
        if a.id != b.id:
            note("both are repeats of one configuration: the two alone are compared")
        return _alone(project, a, b)
    return found


def _alone(project: Project, a: Run, b: Run) -> tuple[list[RunState], list[RunState]]:
    return [project.with_folds(a)], [project.with_folds(b)]


def _inputs(run: Run) -> Iterable[Mapping[str, Any]]:
    return () if run.commit is None else run.record.inputs


def _artifacts(run: Run) -> Sequence[Artifact]:
    return () if run.commit is None else run.artifacts


def _by_file(project: Project, rows: Iterable[Row]) -> list[Row]:
    """A folder of which this clone has both lists of files is told by the files in it that differ."""
    found: list[Row] = []
    for row in rows:
        lists = [_members(project, one) for one in (row.a, row.b)]
        if not row.differs or lists[0] is None or lists[1] is None:
            found.append(row)
            continue
        files = {*lists[0], *lists[1]}
        inside = [
            Row(f"{row.key}/{path}", *(one.get(path, ABSENT) for one in lists if one is not None))
            for path in sorted(files)
        ]
        found += [one for one in inside if one.differs]
    return found


def _members(project: Project, oid: Any) -> dict[str, str] | None:
    if not isinstance(oid, str) or not oid.endswith(".dir"):
        return None
    try:
        return project.depot.members(oid)
    except (GittrackError, OSError):
        return None


def _last_words(run: Run) -> tuple[str, ...]:
    """What a failed run said at its end."""
    if run.state.status not in _FAILED:
        return ()
    try:
        return tuple(run.console().rstrip("\n").split("\n")[-_LAST_LINES:])
    except GittrackError:
        return ()
