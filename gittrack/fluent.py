"""The plain functions: a thin coat over `ActiveRun` and `Project`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from gittrack.data.artifact import RunArtifact
from gittrack.domain.run import Failure, Status
from gittrack.errors import InvalidValue, UsageError
from gittrack.git.repository import current_folder
from gittrack.index.query import ExperimentSummary
from gittrack.models.version import ModelVersion
from gittrack.project import Project
from gittrack.run import Run, Runs
from gittrack.settings import SETTINGS_FILE
from gittrack.tracking.active import ActiveRun, active_runs
from gittrack.tracking.join import join_outer
from gittrack.tracking.plan import Plan
from gittrack.tracking.protocol import inherited_seed

# Per context, so that two tasks of one process may each have a run of their own.
_stack: ContextVar[tuple[ActiveRun, ...]] = ContextVar("gittrack_runs", default=())
_opened: dict[tuple[str, str | None, str | None], tuple[Project, tuple[int, int] | None]] = {}


def _project() -> Project:
    """The project of the current folder; opened once, and again when its settings file changed."""
    key = (current_folder(), os.environ.get("GIT_DIR"), os.environ.get("GIT_WORK_TREE"))
    known = _opened.get(key)
    if known is not None and known[1] == _stamp(known[0]) and known[0].repo.git_dir.is_dir():
        return known[0]
    project = Project.open()
    _opened[key] = (project, _stamp(project))
    return project


def _stamp(project: Project) -> tuple[int, int] | None:
    if project.repo.root is None:
        return None
    try:
        found = (project.repo.root / SETTINGS_FILE).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def start_run(
    name: str | None = None,
    *,
    experiment: str | None = None,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    description: str | None = None,
    parent: str | None = None,
    nested: bool = False,
    resume: str | None = None,
    allow_dirty: str | None = None,
    console: bool | None = None,
) -> ActiveRun:
    """Start a run, best in a `with` block; inside `gittrack run` it joins the run that is active there.

    `resume` names a finished or lost run to continue as its next attempt; `nested` makes a child of the run that is
    active here; `allow_dirty` is "none", "tracked" or "all". Raises DirtyTree when the tree has changes that no
    commit knows, NotARepository, NoCommitYet, UsageError.
    """
    own = _innermost()
    if own is not None and not nested and resume is None:
        raise UsageError(f"run {own.name} is active already; finish it first, or pass nested=True for a run inside it")
    outer = active_run() if nested and parent is None else None
    if outer is not None and experiment is None:
        experiment = outer.experiment
    run = None
    if not nested and resume is None:
        plan = Plan(
            name=name,
            experiment=experiment,
            params=params or {},
            tags=tags or {},
            description=description,
        )
        run = join_outer(plan)
        if run is not None:
            # The project is opened when an artifact is first asked for, and not before.
            run.find_artifact = lambda text: _project().find_artifact(text)
    if run is None:
        run = _project().start_run(
            name,
            experiment=experiment,
            params=params,
            tags=tags,
            description=description,
            parent=parent,
            parent_id=None if outer is None else outer.id,
            nested=nested,
            resume=resume,
            allow_dirty=allow_dirty,
            console=console,
        )
    _stack.set((*(one for one in _stack.get() if one.active), run))
    return run


def _innermost() -> ActiveRun | None:
    return next((run for run in reversed(_stack.get()) if run.active), None)


def active_run() -> ActiveRun | None:
    """The run that plain functions log to: the innermost of this context, else the only one of the process."""
    own = _innermost()
    if own is not None:
        return own
    # A new thread begins with an empty context; with one run in the process there is no doubt which is meant.
    alive = active_runs()
    return alive[0] if len(alive) == 1 else None


def _current() -> ActiveRun:
    run = active_run()
    if run is None:
        several = len(active_runs()) > 1
        raise UsageError(
            "several runs are active, and none of them was started in this thread; log through the run's own methods"
            if several
            else "no run is active; start one: with gittrack.start_run() as run: ..."
        )
    return run


def log_metric(key: str, value: Any, step: int | None = None) -> None:
    _current().log_metric(key, value, step)


def log_metrics(values: Mapping[str, Any], step: int | None = None) -> None:
    _current().log_metrics(values, step)


def log_fold(fold: int, metrics: Mapping[str, Any], *, of: int | None = None) -> None:
    _current().log_fold(fold, metrics, of=of)


def log_param(key: str, value: Any) -> None:
    _current().log_param(key, value)


def log_params(params: Mapping[str, Any]) -> None:
    _current().log_params(params)


def set_tag(key: str, value: Any) -> None:
    _current().set_tag(key, value)


def set_tags(tags: Mapping[str, Any]) -> None:
    _current().set_tags(tags)


def describe(text: str) -> None:
    _current().describe(text)


def log_artifact(
    path: str | os.PathLike[str],
    name: str | None = None,
    kind: str | None = None,
    *,
    register: str | None = None,
    input_example: Any = None,
    output_example: Any = None,
) -> None:
    _current().log_artifact(
        path, name, kind, register=register, input_example=input_example, output_example=output_example
    )


def log_artifacts(folder: str | os.PathLike[str], name: str | None = None, kind: str | None = None) -> None:
    _current().log_artifacts(folder, name, kind)


def log_text(text: str, name: str) -> None:
    _current().log_text(text, name)


def log_dict(values: Any, name: str) -> None:
    _current().log_dict(values, name)


def log_table(table: Any, name: str) -> None:
    _current().log_table(table, name)


def log_figure(figure: Any, name: str) -> None:
    _current().log_figure(figure, name)


def log_image(image: Any, name: str) -> None:
    _current().log_image(image, name)


def use(
    path: str | os.PathLike[str],
    *,
    version: str | None = None,
    etag: str | None = None,
    allow_changed: bool | None = None,
) -> Path | str:
    return _current().use(path, version=version, etag=etag, allow_changed=allow_changed)


def finish(status: Status | str = Status.FINISHED, error: Failure | None = None) -> str | None:
    """End the current run; returns its commit."""
    return _current().finish(status, error)


def set_seeds(seed: int | None = None) -> dict[str, int]:
    """Seed Python, numpy, torch and tensorflow where they are present, and record it in the current run.

    Without an argument with the seed that `gittrack run --seeds` gave; raises InvalidValue where there is none.
    """
    from gittrack.capture.seeds import seeded
    from gittrack.capture.seeds import set_seeds as seed_all

    given = inherited_seed(os.environ)
    if seed is None:
        if given is None:
            raise InvalidValue(
                "there is no seed; pass one, like set_seeds(42), or start the script by 'gittrack run --seeds 5'"
            )
        seed = given
    seeds = seed_all(seed)
    run = active_run()
    if run is not None and given not in (None, seeds["python"]):
        run.warn(
            f"seeded with {seeds['python']}, not with the {given} of 'gittrack run --seeds'; call set_seeds() for that"
        )
    if run is not None:
        run.record_seeds(seeds)
        # A library that is imported later is seeded then.
        run.at_finish(lambda: run.record_seeds(seeded()))
    return seeds


def runs(
    filter: str | None = None,
    *,
    experiment: str | None = None,
    sort: str | None = None,
    limit: int | None = None,
    deleted: bool = False,
) -> Runs:
    """Runs that match a filter expression, newest first or by `sort`."""
    return _project().runs(filter, experiment=experiment, sort=sort, limit=limit, deleted=deleted)


def get_run(name: str, *, experiment: str | None = None) -> Run:
    """One run by any of its names: `@`, a prefix of its id, its name, `best:<metric>` and others."""
    return _project().get_run(name, experiment=experiment)


def get_artifact(name: str) -> RunArtifact:
    """An artifact by `name:latest`, `name:v3` or `name@<run>`; fetched when its bytes are asked for."""
    return _project().artifact(name)


def model(name: str) -> ModelVersion:
    """A version of a model by `NAME@v3`, `NAME@production`, `NAME@champion`, or NAME alone for the latest one."""
    return _project().models.version(name)


def experiments() -> Sequence[ExperimentSummary]:
    """Every experiment: its name, number of runs and newest start (seconds since the epoch)."""
    return _project().experiments()
