"""`gittrack run -- CMD`: any command, in any language, as a tracked run."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gittrack.capture.opens import child_variables, read_opened
from gittrack.domain.metric import to_number
from gittrack.domain.param import flatten
from gittrack.domain.run import Failure, Status
from gittrack.errors import GittrackError, UsageError
from gittrack.git.repository import Repository
from gittrack.live.tail import peek
from gittrack.settings import Settings
from gittrack.tracking.active import ActiveRun
from gittrack.tracking.framework import stash_warning
from gittrack.tracking.ground import Ground
from gittrack.tracking.inputs import FindArtifact, kept_until_named, look_at, notice_inputs
from gittrack.tracking.outputs import check_source
from gittrack.tracking.plan import Plan
from gittrack.tracking.protocol import child_environment
from gittrack.tracking.start import start
from gittrack.values import dataclass, replace

if TYPE_CHECKING:
    from gittrack.tracking.isolate import Isolated

_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Wrapped:
    """What became of the command and of its run; `commit` is None when the run could not be recorded yet.

    `told_to_end`: somebody asked for the end (ctrl-C), so that nothing is to be started after it.
    """

    exit_code: int
    run: ActiveRun
    status: Status
    commit: str | None
    seconds: float
    told_to_end: bool = False


def run_wrapped(
    repository: Repository,
    settings: Settings,
    plan: Plan,
    command: Sequence[str],
    find_artifact: FindArtifact | None = None,
    place: Isolated | None = None,
) -> Wrapped:
    """Run a command to its end as a run; `place` is where, should it be isolated, and `repository` then its worktree.

    Raises UsageError when it cannot be started, DirtyTree when an input was changed, before anything is recorded.
    """
    from gittrack.capture.command import run_command
    from gittrack.capture.console import ConsoleLog

    words = tuple(command) if place is None else place.command
    check_startable(words)
    for output in plan.outputs:
        check_source(output, repository.root, repository.common_dir)
    ground = Ground(
        repository.common_dir,
        repository.root,
        settings.artifacts.inline,
        plan.allow_dirty or settings.run.allow_dirty,
    )
    # Before anything is recorded: changed data are refused like a dirty tree.
    with kept_until_named(ground if plan.inputs else None):
        inputs = [look_at(ground, one, find_artifact=find_artifact) for one in plan.inputs]
        plan = replace(plan, command=tuple(command), started=words)
        run = start(repository, settings, plan, code=None if place is None else place.code)
        for text in _told_at_start(repository, place):
            run.warn(text)
        for seen in inputs:
            run.record_input(seen)
    for file in settings.params.files:
        _read_params(run, _place(repository, file), given=flatten(plan.params))
    metrics = [_place(repository, file) for file in settings.metrics.files]
    before = {path: _fingerprint(path) for path in metrics}
    log = ConsoleLog(run.folder.path) if settings.run.console else None
    given = os.environ if place is None else place.environ
    environment = {**given, **child_environment(run.id, run.folder.path.parent, plan.seed)}
    noticing = repository.root is not None and settings.run.notice_inputs
    if noticing and repository.root is not None:
        environment |= child_variables(run.folder.path, repository.root, environment)
    began = time.monotonic()
    try:
        result = run_command(
            words,
            env=environment,
            cwd=None,
            sink=None if log is None else log.write,
            on_start=None if place is None else place.began,
        )
    except OSError as error:
        if log is not None:
            log.close()
        run.finish(Status.FAILED, Failure(type=type(error).__name__, message=str(error), exit_code=126))
        raise UsageError(
            f"{command[0]!r} cannot be started: {error.strerror}; check its name and permissions"
        ) from None
    seconds = time.monotonic() - began
    if log is not None:
        log.close()
    left = list(plan.outputs)
    try:
        if place is not None:
            place.look_after(run)
        _take_names(run)
        for path in metrics:
            # One that the command did not write holds an older run's numbers.
            if _fingerprint(path) not in (None, before[path]):
                _read_metrics(run, path)
        if noticing:
            _notice(run, [*settings.params.files, *settings.metrics.files])
        while left:
            _keep_output(run, left[0])
            del left[0]
        if place is not None:
            place.tell_unkept(run, [*plan.outputs, *map(str, metrics)])
    except KeyboardInterrupt:
        # The command ended, and what it did is recorded; only what we did afterwards was cut short.
        if left:
            run.warn(f"interrupted: {', '.join(map(repr, left))} is not kept; 'gittrack artifact add' can do it later")
        commit = run.finish(Status.KILLED, Failure(signal="SIGINT"))
        return Wrapped(_INTERRUPTED, run, Status.KILLED, commit, seconds, told_to_end=True)
    if result.signal is not None:
        killed = result.signal in ("SIGINT", "SIGTERM", "SIGHUP")
        status, failure = (
            (Status.KILLED if killed else Status.FAILED),
            Failure(signal=result.signal),
        )
    elif result.exit_code:
        status, failure = Status.FAILED, Failure(exit_code=result.exit_code)
        if result.exit_code in (130, 143):
            # The command caught the signal and said so in the usual way.
            status = Status.KILLED
    else:
        status, failure = Status.FINISHED, None
    commit = run.finish(status, failure)
    return Wrapped(result.exit_code, run, status, commit, seconds, result.told_to_end or status is Status.KILLED)


def _told_at_start(repository: Repository, place: Isolated | None) -> list[str]:
    if place is not None:
        return place.warnings
    warning = stash_warning(repository)
    return [] if warning is None else [warning]


def _notice(run: ActiveRun, known: Sequence[str]) -> None:
    """What the Pythons of the command opened; that nobody could look is no reason to lose the run."""
    try:
        notice_inputs(run, read_opened(run.folder.path), known)
    except (GittrackError, OSError) as error:
        run.warn(f"what the run read could not be looked at ({error})")


def _keep_output(run: ActiveRun, output: str) -> None:
    try:
        run.log_artifact(output)
    except (UsageError, OSError) as error:
        run.warn(f"output {output!r} is not kept: {error}")


def _take_names(run: ActiveRun) -> None:
    """What a script inside called the run, and where it put it."""
    try:
        events = peek(run.folder).events
    except OSError:
        return
    for event in events:
        if event["op"] == "name":
            run.name = event["name"]
        elif event["op"] == "experiment":
            run.experiment = event["experiment"]


def check_startable(command: Sequence[str]) -> None:
    """Raises UsageError, of which the exit code is a shell's, for a command that is none."""
    import shutil

    if not command:
        raise UsageError("there is no command to run; write it after --, like: gittrack run -- python train.py")
    if shutil.which(command[0]) is None:
        error = UsageError(f"there is no program {command[0]!r} to run; check its name and the PATH")
        error.exit_code = 127
        raise error


def _place(repository: Repository, file: str) -> Path:
    """A file named in the settings: here, or else at the top of the worktree."""
    here = Path(file)
    return here if here.exists() or repository.root is None else repository.root / file


def _fingerprint(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read_file(run: ActiveRun, path: Path) -> Any:
    if not path.is_file():
        return None
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            return json.loads(text)
        if path.suffix == ".toml":
            import tomllib

            return tomllib.loads(text)
        import yaml

        return yaml.safe_load(text)
    except Exception as error:
        run.warn(
            f"{path} could not be read ({str(error).splitlines()[0] if str(error) else type(error).__name__}); its values are not recorded"
        )
        return None


def _read_params(run: ActiveRun, path: Path, given: Mapping[str, Any]) -> None:
    """All params of a file but those `given` on the command line, which count more."""
    values = _read_file(run, path)
    if isinstance(values, Mapping):
        try:
            run.log_params({key: value for key, value in flatten(values).items() if key not in given})
        except UsageError as error:
            run.warn(f"{path}: {error}")


def _read_metrics(run: ActiveRun, path: Path) -> None:
    """Numbers of a metrics file as single points, nested names joined by '/'; what is no number is passed over."""
    values = _read_file(run, path)
    if not isinstance(values, Mapping):
        return
    points: dict[str, float] = {}

    def collect(prefix: str, nested: Mapping[Any, Any]) -> None:
        for key, value in nested.items():
            if isinstance(value, Mapping):
                collect(f"{prefix}{key}/", value)
            elif isinstance(value, (int, float)):
                points[f"{prefix}{key}"] = to_number(str(key), value)

    collect("", values)
    if points:
        try:
            run.log_metrics(points, step=0)
        except UsageError as error:
            run.warn(f"{path}: {error}")
