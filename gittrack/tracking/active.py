"""The active run: the handle that code logs to."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from gittrack.capture.secrets import mask_text, mask_value
from gittrack.domain.codec import param_to_json
from gittrack.domain.metric import fold_key, fold_of, to_fold
from gittrack.domain.names import check_experiment, check_key, check_run_name, one_line
from gittrack.domain.param import flatten
from gittrack.domain.run import Failure, Status
from gittrack.domain.text import check_text, checked_tags
from gittrack.errors import DirtyTree, GittrackError, InvalidName, InvalidValue, RunBusy, RunClosed
from gittrack.live.folder import RunFolder
from gittrack.live.journal import Journal, event_frame
from gittrack.live.owner import this_process
from gittrack.registry.tagname import check_model
from gittrack.tracking import media
from gittrack.tracking.inputs import kept_until_named, look_at
from gittrack.tracking.outputs import Outputs
from gittrack.tracking.signature import example_of, signature_of

if TYPE_CHECKING:
    from gittrack.tracking.ground import Ground
    from gittrack.tracking.inputs import FindArtifact, Seen

_log = logging.getLogger("gittrack")

_TEXT_LIMIT = 2_000
_TRACEBACK_LIMIT = 20_000


class ActiveRun:
    """One run while it is active; made by `start_run`, ended by `finish` or by leaving its `with` block.

    Wrong arguments raise at the call. A failing world (a full disk, a vanished repository) is told once through the
    logger `gittrack` and never raises: training goes on.
    """

    def __init__(
        self,
        *,
        run_id: str,
        name: str,
        experiment: str,
        folder: RunFolder,
        journal: Journal,
        role: str,
        seal: Callable[[ActiveRun], str | None],
        parent: str | None = None,
        attempt: int = 1,
        owner: Path | None = None,
        masks: Sequence[str] = (),
        ground: Ground | None = None,
    ) -> None:
        self.id = run_id
        self.name = name
        self.experiment = experiment
        self.parent = parent
        self.attempt = attempt
        self.folder = folder
        self.role = role
        self.owner = owner
        self.masks = tuple(masks)
        self.ground = ground
        # Set by those who know the index; without it an input is a path or a reference.
        self.find_artifact: FindArtifact | None = None
        self.commit: str | None = None
        # Set by those who know the registry: what is to happen when the run is in git.
        self.after_seal: Callable[[], None] = lambda: None
        self._journal = journal
        self._seal = seal
        self._pid = os.getpid()
        self._finishing = False
        self._finished = False
        self._lock = threading.RLock()
        self._params: dict[str, Any] = {}
        self._folds: int | None = None
        self._outputs = Outputs(self, ground)
        self._stops: list[Callable[[], None]] = []
        self._warned: set[str] = set()
        # On the instance, so that a point costs no second call: the journal's own method.
        self.log_metric = journal.log_metric  # type: ignore[method-assign]
        self.log_metrics = journal.log_metrics  # type: ignore[method-assign]
        _alive[self.id, id(self)] = self

    def __repr__(self) -> str:
        return f"<ActiveRun {self.experiment}/{self.name} {self.id[:8]}{' finished' if self._finished else ''}>"

    # --- metrics

    def log_metric(self, key: str, value: Any, step: int | None = None) -> None:
        """Record one point; without a step, one more than the key's last.

        Acknowledged when it returns: kill -9 cannot take it back.
        """
        self._journal.log_metric(key, value, step)

    def log_metrics(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Record several points at one step, all of them or none."""
        self._journal.log_metrics(values, step)

    def log_fold(self, fold: int, metrics: Mapping[str, Any], *, of: int | None = None) -> None:
        """Record what one fold of a cross-validation measured, all of it or none; the run's own value is the mean over its folds.

        `fold` counts from 0 or 1 on, `of` says how many there are, so that the run tells when one is missing. Logged again, the
        last values of a fold count. Folds may be logged by threads and forked children.
        """
        number = to_fold(fold, of)
        nested = next((key for key in metrics if fold_of(check_key("metric", key))), None)
        if nested is not None:
            raise InvalidName(f"{nested!r} is a metric of a fold already; name it without 'fold/'")
        values = {fold_key(number, key): value for key, value in metrics.items()}
        if of is not None and of != self._folds:
            self._folds = int(of)
            self._event("folds", of=self._folds)
        self.log_metrics(values)

    def continue_steps(self, steps: Mapping[str, int]) -> None:
        """Count on from these steps where a point is logged without one."""
        self._journal.known_steps.update(steps)

    # --- what describes the run

    def log_param(self, key: str, value: Any) -> None:
        """Record one param; a mapping or dataclass becomes dotted keys."""
        self.log_params({key: value})

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record params; of one that was logged before, the last value counts, and a change is told."""
        flat = {key: self._masked(key, value) for key, value in flatten(params).items()}
        changed = [key for key, value in flat.items() if key in self._params and repr(self._params[key]) != repr(value)]
        if changed:
            self.warn(f"param {changed[0]!r} was {self._params[changed[0]]!r} and is now {flat[changed[0]]!r}")
        self._params.update(flat)
        self._event("params", values={key: param_to_json(value) for key, value in flat.items()})

    def set_tag(self, key: str, value: Any) -> None:
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set run tags: text, or what becomes text."""
        self._event("tags", values={key: self._masked(key, value) for key, value in checked_tags(tags).items()})

    def describe(self, text: str) -> None:
        """Set the description."""
        self._event("describe", text=mask_text(check_text(text)))

    def rename(self, name: str) -> None:
        self._event("name", name=check_run_name(name))
        self.name = name

    def file_under(self, experiment: str) -> None:
        """Put the run into another experiment; one that is continued stays where it is."""
        if self.attempt > 1:
            self.warn(f"the run continues one of experiment {self.experiment!r} and stays there")
            return
        self._event("experiment", experiment=check_experiment(experiment))
        self.experiment = experiment

    def _masked(self, key: str, value: Any) -> Any:
        """What git keeps it keeps for ever: secrets are hidden before they reach the journal."""
        if isinstance(value, str):
            return mask_value(key, value, self.masks)
        if isinstance(value, list):
            return [self._masked(key, item) for item in value]
        if isinstance(value, dict):
            return {name: self._masked(name, item) for name, item in value.items()}
        return value

    # --- files

    def log_artifact(
        self,
        path: str | os.PathLike[str],
        name: str | None = None,
        kind: str | None = None,
        *,
        register: str | None = None,
        input_example: Any = None,
        output_example: Any = None,
    ) -> None:
        """Keep a file as it is now, a folder with all that is in it; `name` is what the artifact is called.

        Inside the run it lies at the path given, if that is relative, else at its last part. Beyond the setting
        `artifacts.inline` it goes into DVC's cache, and git holds a pointer. `register` is a model of which it becomes the next
        version when the run has finished; examples of what goes in and comes out say the signature of that.
        """
        if register is None:
            self._outputs.log(path, name, kind)
            return
        details: dict[str, Any] = {"signature": signature_of(input_example, output_example)}
        if input_example is not None:
            details["input_example"] = example_of(input_example)
        check_model(register)
        name = register if name is None else name
        self._outputs.log(path, name, "model" if kind is None else kind)
        self._event("register", model=register, artifact=name, details=details)

    def log_artifacts(self, folder: str | os.PathLike[str], name: str | None = None, kind: str | None = None) -> None:
        """Keep every file in a folder; `name` is what they are called together."""
        self._outputs.log_folder(folder, name, kind)

    def log_text(self, text: str, name: str) -> None:
        if not isinstance(text, str):
            raise InvalidValue(f"text is expected, not {type(text).__name__} {text!r:.60}")
        try:
            data = text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            data = text.encode("utf-8", "backslashreplace")
        self._outputs.log_bytes(data, name, "text")

    def log_dict(self, values: Any, name: str) -> None:
        """Keep a mapping or list as JSON, or as YAML when the name ends so."""
        self._outputs.log_bytes(media.mapping_bytes(values, name), name, "dict")

    def log_table(self, table: Any, name: str) -> None:
        """Keep a data frame, a list of mappings or a mapping of columns as CSV, TSV or JSON by the name's ending."""
        self._outputs.log_bytes(media.table_bytes(table, name), name, "table")

    def log_figure(self, figure: Any, name: str) -> None:
        """Keep a matplotlib or plotly figure in the format of the name's ending."""
        self._outputs.log_bytes(media.figure_bytes(figure, name), name, "figure")

    def log_image(self, image: Any, name: str) -> None:
        """Keep an array, PIL image, encoded bytes or image file."""
        self._outputs.log_bytes(media.image_bytes(image, name), name, "image")

    def use(
        self,
        path: str | os.PathLike[str],
        *,
        version: str | None = None,
        etag: str | None = None,
        allow_changed: bool | None = None,
    ) -> Path | str:
        """Record an input with its hash and who keeps its version, and return where to read it.

        A file or folder (its path), an artifact of another run (`name:v3`, `name:latest`, `name@<run>`: the path of a
        copy), or a reference such as `s3://bucket/key` with a `version` or `etag` (the reference itself, which is not
        opened). Raises DirtyTree when the bytes are not those of the data's pointer, unless the run was started with
        `allow_dirty` or `allow_changed` is set; UsageError where there is no such thing.
        """
        self.check_open()
        with kept_until_named(self.ground):
            try:
                seen = look_at(
                    self.ground,
                    path,
                    find_artifact=self.find_artifact,
                    version=version,
                    etag=etag,
                    allow_changed=allow_changed,
                )
            except DirtyTree:
                # Declared it was, whatever becomes of it.
                self._event("refused", path=os.path.abspath(path))
                raise
            except OSError as error:
                self.warn(f"input {str(path)!r} could not be read ({error.strerror or error}); it is not recorded")
                return Path(path)
            self.record_input(seen)
        return seen.place

    def record_input(self, seen: Seen) -> None:
        """Record an input that was looked at before."""
        for text in seen.warnings:
            self.warn(text)
        for one in (seen.input, *seen.inside):
            self._event("input", **one.to_dict())

    def record_seeds(self, seeds: Mapping[str, int]) -> None:
        """Say what was seeded with what."""
        self._event("seeds", values={str(name): param_to_json(value) for name, value in seeds.items()})

    # --- the end

    @property
    def active(self) -> bool:
        return not self._finished

    def finish(self, status: Status | str = Status.FINISHED, error: Failure | None = None) -> str | None:
        """End the run and record it; returns its commit, or None when that is left to another process or to `recover`.

        Only the process that started a run can end it; a second call does nothing.
        """
        if status not in {Status.FINISHED, Status.FAILED, Status.KILLED, Status.LOST}:
            raise InvalidValue(f"a run cannot finish as {str(status)!r}; say finished, failed or killed")
        status = Status(status)
        with self._lock:
            if self._finishing or self._pid != os.getpid():
                return self.commit
            self._finishing = True
        # The last samples and events of the helpers go in before the last word.
        for stop in self._stops:
            with contextlib.suppress(Exception):
                stop()
        self._finished = True
        end = {
            "op": "end" if self.role != "member" else "leave",
            "time": time.time(),
            "status": str(status),
            "attempt": self.attempt,
            "error": None if error is None else _failure_event(error),
        }
        try:
            self._journal.event(end)
            if not self._journal.close():
                self.folder.write_last_word(_short_frame(end))
                self.warn(f"{self._journal.waiting} records of the run could not be written and are lost")
            self.commit = self._seal(self)
        except RunBusy:
            _left_behind.append(self)
            self.warn("another process still logs to the run; it is recorded when that has ended")
        except (GittrackError, OSError) as problem:
            kept = (
                "its journal is kept, 'gittrack recover' will record it"
                if self.folder.exists()
                else f"its folder {self.folder.path} vanished, and with it what it logged"
            )
            self.warn(f"the run could not be recorded now ({problem}); {kept}")
        except Exception as problem:
            self.warn(f"the run could not be recorded ({type(problem).__name__}: {problem}); its journal is kept")
        finally:
            _alive.pop((self.id, id(self)), None)
        if self.commit is None:
            self._resign()
        else:
            self._follow()
        return self.commit

    def _follow(self) -> None:
        """What happens when the run is in git; whatever goes wrong, the run is recorded, and training goes on."""
        try:
            self.after_seal()
        except Exception as problem:
            self.warn(f"what the run asked to be registered may not be ({type(problem).__name__}: {problem})")

    def abandon(self) -> None:
        """Forget the run as if it had never been started in this process."""
        self._finishing = self._finished = True
        for stop in self._stops:
            with contextlib.suppress(Exception):
                stop()
        self._journal.close()
        self._resign()
        _alive.pop((self.id, id(self)), None)

    def _resign(self) -> None:
        """This process may live on for days, but it will not write this run any more."""
        if self.owner is not None:
            with contextlib.suppress(OSError):
                self.owner.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        status, failure = judge(error)
        self.finish(status, failure)

    def at_finish(self, stop: Callable[[], None]) -> None:
        """Call `stop` when the run ends, before its last record."""
        self._stops.append(stop)

    # --- inside

    def event(self, op: str, **fields: Any) -> None:
        """Append one event as it is."""
        self._event(op, **fields)

    def _event(self, op: str, **fields: Any) -> None:
        self.check_open()
        self._journal.event({"op": op, "time": time.time(), **fields})

    def check_open(self) -> None:
        if self._finished:
            raise RunClosed(
                f"run {self.name} is finished already; start a new one, or resume it with start_run(resume={self.id[:8]!r})"
            )

    def warn(self, text: str) -> None:
        """Tell the person once, and the record too where that is possible."""
        text = one_line(text)
        if text in self._warned:
            return
        self._warned.add(text)
        _log.warning("gittrack: %s", text)
        with contextlib.suppress(Exception):
            self._journal.event({"op": "warning", "time": time.time(), "text": text})

    def _in_child(self) -> None:
        """After a fork: the child logs into a journal of its own, and the run's end is not its to say."""
        self._lock = threading.RLock()
        self._stops = []
        suffix = f"-{os.getpid()}-{uuid.uuid4().hex[:8]}"

        def announce() -> None:
            # From its first record on the child is a writer too: the run is not over before it is.
            with contextlib.suppress(OSError):
                self.folder.claim(this_process("member", self.attempt), suffix)

        self._journal.reopen(self.folder.path / f"journal{suffix}", announce)


# Runs of this process that are not finished, also those whose handle the script forgot: they are finished at its end.
# A dictionary, since other threads may look while one is added.
_alive: dict[tuple[str, int], ActiveRun] = {}
# Runs that ended while a child of theirs still logged.
_left_behind: list[ActiveRun] = []


def active_runs() -> list[ActiveRun]:
    """The unfinished runs of this process, children first."""
    return sorted((run for run in list(_alive.values()) if run.active), key=lambda run: run.parent is None)


def _after_fork() -> None:
    for run in list(_alive.values()):
        run._in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def judge(error: BaseException | None) -> tuple[Status, Failure | None]:
    """What an exception that ends a run makes of it."""
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return Status.FINISHED, None
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else 1
        message = None if isinstance(error.code, int) else str(error.code)[:_TEXT_LIMIT]
        return Status.FAILED, Failure(type="SystemExit", message=message, exit_code=code)
    try:
        message = str(error)[:_TEXT_LIMIT]
    except Exception:
        message = "its text cannot be told"
    failure = Failure(
        type=type(error).__name__,
        message=message,
        traceback=_both_ends("".join(traceback.format_exception(error)), _TRACEBACK_LIMIT),
    )
    if isinstance(error, KeyboardInterrupt):
        return Status.KILLED, Failure(type=failure.type, traceback=failure.traceback, signal="SIGINT")
    return Status.FAILED, failure


def _both_ends(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit // 2]}\n...\n{text[-limit // 2 :]}"


def _failure_event(error: Failure) -> dict[str, Any]:
    texts = {name: mask_text(text) if (text := getattr(error, name)) else None for name in ("message", "traceback")}
    return {"type": error.type, **texts, "exit_code": error.exit_code, "signal": error.signal}


def _short_frame(end: dict[str, Any]) -> bytes:
    error = end["error"]
    if error is not None:
        error = {
            **error,
            "traceback": (error["traceback"] or "")[-1500:],
            "message": (error["message"] or "")[:500],
        }
    return event_frame({**end, "error": error})


_exit_code: object = None


def remember_exit_code() -> None:
    """Python forgets a SystemExit before it calls what is registered for its end, so the code is noted on the way."""
    plain = sys.exit

    def noting_exit(code: Any = None, /) -> NoReturn:
        global _exit_code  # noqa: PLW0603 - there is one exit code a process
        _exit_code = code
        plain(code)

    sys.exit = noting_exit


def finish_at_exit() -> None:
    """Runs that the script forgot to finish: the exception that ends it, if any, is what Python just printed."""
    error = getattr(sys, "last_value", None)
    status, failure = judge(error)
    if error is None and _exit_code not in (None, 0):
        status, failure = judge(SystemExit(_exit_code))
    for run in active_runs():
        run.finish(status, failure)
    for run in _left_behind:
        # By now the children are gone as a rule; if not, the next command records the run.
        with contextlib.suppress(GittrackError, OSError):
            run.commit = run._seal(run)
            run._follow()
