"""Values of this room to plain dictionaries and back: the record line, `run.yaml`, and the JSON that commands print.

The record line and `run.yaml` are formats on disk (docs/formats/run-commit.md). JSON has no literal for numbers that
are not finite: in the record line a metric is then the text `nan`, `inf` or `-inf`, a param `{"$float": "nan"}`.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from typing import Any

from gittrack.domain.amendment import Amendment
from gittrack.domain.artifact import Artifact, is_inside
from gittrack.domain.input import Input
from gittrack.domain.metric import Summary
from gittrack.domain.pointer import Pointer
from gittrack.domain.run import FORMAT, Attempt, CodeCapture, Failure, Result, RunRecord, RunState, Status
from gittrack.errors import CorruptRecord, FormatTooNew

# What reading a damaged or forged record may raise.
_DAMAGES = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)

# --- numbers and times


def time_to_text(seconds: float | None) -> str | None:
    """Seconds since the epoch as RFC 3339 in UTC, with microseconds."""
    if seconds is None:
        return None
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def time_from_text(text: str | None) -> float | None:
    return None if text is None else dt.datetime.fromisoformat(text).timestamp()


def number_to_json(value: float) -> float | str:
    return value if math.isfinite(value) else repr(float(value))


def param_to_json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(value)}
    if isinstance(value, list):
        return [param_to_json(item) for item in value]
    if isinstance(value, dict):
        plain = {key: param_to_json(item) for key, item in value.items()}
        # A mapping that looks like one of ours is wrapped.
        return {"$map": plain} if len(value) == 1 and next(iter(value)) in ("$float", "$int", "$map") else plain
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return {"$int": str(value)}
    return value


def param_from_json(value: Any) -> Any:
    if isinstance(value, dict):
        if len(value) == 1:
            if "$float" in value:
                return float(value["$float"])
            if "$int" in value:
                return int(value["$int"])
            if "$map" in value:
                value = value["$map"]
        return {key: param_from_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [param_from_json(item) for item in value]
    return value


def strict(value: Any) -> Any:
    """A param as printed JSON may hold it: what is not finite becomes null, as metrics do there."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [strict(item) for item in value]
    if isinstance(value, Mapping):
        return {key: strict(item) for key, item in value.items()}
    return value


# --- the record line


def state_to_line(state: RunState) -> dict[str, Any]:
    """The record line of a run commit; what only the commit itself knows (its id) is not in it."""
    line: dict[str, Any] = {
        "format": FORMAT,
        "id": state.id,
        "name": state.name,
        "experiment": state.experiment,
        "status": str(state.status),
        "started": time_to_text(state.started),
        "ended": time_to_text(state.ended),
        "code": {"commit": state.code_commit, "branch": state.branch, "dirty": state.dirty},
        "author": state.author,
        "host": state.host,
        "parent": state.parent,
        "attempt": state.attempt,
        "command": state.command,
        "tags": dict(state.tags),
        "description": state.description,
        "params": {key: param_to_json(value) for key, value in state.params.items()},
        "metrics": {key: number_to_json(value) for key, value in state.metrics.items()},
    }
    if state.artifacts:
        line["artifacts"] = {name: artifact_to_json(one) for name, one in state.artifacts.items()}
    if state.results:
        line["results"] = list(state.results)
    if state.truncated:
        line["truncated"] = True
    return line


def artifact_to_json(one: Artifact) -> dict[str, Any]:
    """A named artifact in a record line or an amendment, without what is not said."""
    return {key: value for key, value in one.to_dict().items() if value is not None and key != "name"}


def artifacts_from_json(plain: Mapping[str, Any]) -> dict[str, Artifact]:
    return {name: Artifact.from_dict({**one, "name": name}) for name, one in plain.items()}


def state_from_line(line: Mapping[str, Any], *, commit: str | None = None) -> RunState:
    """Raises CorruptRecord for a line that lacks what every run has, FormatTooNew for one we cannot know."""
    try:
        check_format(line["format"], f"run {commit or line.get('id')}")
        code = line["code"]
        started = time_from_text(line["started"])
        if started is None:
            raise ValueError("no start time")
        _check_types(line, code)
        return RunState(
            id=line["id"],
            name=line["name"],
            experiment=line["experiment"],
            status=Status(line["status"]),
            started=started,
            ended=time_from_text(line["ended"]),
            commit=commit,
            head=commit,
            code_commit=code["commit"],
            branch=code["branch"],
            dirty=code["dirty"],
            author=line["author"],
            host=line.get("host"),
            parent=line.get("parent"),
            attempt=line.get("attempt", 1),
            command=line.get("command", ""),
            tags=line.get("tags", {}),
            description=line.get("description", ""),
            params={
                key: param_from_json(value) if isinstance(value, (dict, list)) else value
                for key, value in line["params"].items()
            },
            metrics={key: float(value) for key, value in line["metrics"].items()},
            artifacts=artifacts_from_json(line["artifacts"]) if "artifacts" in line else {},
            truncated=line.get("truncated", False),
            results=results_from_line(line),
        )
    except _DAMAGES as error:
        raise CorruptRecord(
            f"the record of run {commit or '?'} cannot be read ({type(error).__name__}: {error}); "
            "run 'gittrack fsck' to see what is damaged"
        ) from None


def results_from_line(line: Mapping[str, Any]) -> tuple[str, ...]:
    """The contents that a run left in files; others write lines too, and what is no text there is nobody's."""
    found = line.get("results", ())
    return tuple(one for one in found if type(one) is str) if type(found) is list else ()


_TEXTS = ("id", "name", "experiment", "author")
_OTHER_TEXTS = ("host", "parent", "command", "description")


def _check_types(line: Mapping[str, Any], code: Mapping[str, Any]) -> None:
    """What comes from others may hold anything, and nobody after us looks again; raises TypeError, ValueError."""
    for key in _TEXTS:
        if type(line[key]) is not str:
            raise TypeError(f"{key} is no text")
    for key in _OTHER_TEXTS:
        if type(line.get(key, "")) is not str and (line[key] is not None or key in ("command", "description")):
            raise TypeError(f"{key} is no text")
    for key in ("commit", "branch"):
        if type(code[key]) is not str and code[key] is not None:
            raise TypeError(f"{key} is no text")
    tags, attempt = line.get("tags", {}), line.get("attempt", 1)
    if type(tags) is not dict or not all(type(value) is str for value in tags.values()):
        raise TypeError("tags are no texts")
    if type(code["dirty"]) is not bool or type(line.get("truncated", False)) is not bool:
        raise TypeError("a truth value is none")
    if type(attempt) is not int or not 1 <= attempt < 2**31:
        raise ValueError("the attempt is no number")


def check_format(number: object, what: str) -> None:
    if not isinstance(number, int) or number < 1:
        raise CorruptRecord(f"{what} names no format version; run 'gittrack fsck' to see what is damaged")
    if number > FORMAT:
        raise FormatTooNew(
            f"{what} has format {number}, and this gittrack reads formats up to {FORMAT}; upgrade gittrack"
        )


# --- printed JSON (docs/formats/json.md)


def state_to_json(state: RunState) -> dict[str, Any]:
    """One element of `ls --json`."""
    return {
        "id": state.id,
        "name": state.name,
        "experiment": state.experiment,
        "status": str(state.status),
        "started": time_to_text(state.started),
        "ended": time_to_text(state.ended),
        "duration": state.duration,
        "commit": state.commit,
        "code": {"commit": state.code_commit, "branch": state.branch, "dirty": state.dirty},
        "author": state.author,
        "parent": state.parent,
        "params": {key: strict(value) for key, value in state.params.items()},
        "metrics": {key: strict(value) for key, value in state.metrics.items()},
        "tags": dict(state.tags),
        "description": state.description,
        "command": state.command,
    }


def summary_to_dict(one: Summary) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "last": one.last,
        "min": one.min,
        "max": one.max,
        "mean": one.mean,
        "count": one.count,
        "last_step": one.last_step,
        "last_time": time_to_text(one.last_time),
    }
    if one.nans:
        plain["nans"] = one.nans
    return plain


# --- run.yaml


def _summary_to_file(one: Summary, started: float) -> dict[str, Any]:
    """A summary without what stands elsewhere: the last value is in `metrics.json`, and a single point is its own
    minimum, maximum and mean. `last_after` counts seconds from the start of the run.
    """
    plain: dict[str, Any] = {"last_step": one.last_step, "last_after": round(one.last_time - started, 6)}
    if not math.isfinite(one.last):
        plain["last"] = one.last
    if one.count > 1:
        plain |= {"count": one.count, "min": one.min, "max": one.max, "mean": one.mean}
    if one.nans:
        plain["nans"] = one.nans
    return plain


def _summary_from_file(plain: Mapping[str, Any], started: float, last: float | None) -> Summary:
    value = float(plain["last"] if "last" in plain or last is None else last)
    alone = math.nan if plain.get("nans") else value
    return Summary(
        last=value,
        min=float(plain.get("min", alone)),
        max=float(plain.get("max", alone)),
        mean=float(plain.get("mean", alone)),
        count=plain.get("count", 1),
        last_step=plain["last_step"],
        last_time=round(started + plain["last_after"], 6),
        nans=plain.get("nans", 0),
    )


def flat_metrics(nested: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The values of `metrics.json` by key; null, which stands for what is not finite, is left out."""
    flat: dict[str, float] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat |= flat_metrics(value, f"{prefix}{key}/")
        elif value is not None:
            flat[prefix + key] = float(value)
    return flat


def record_to_dict(record: RunRecord) -> dict[str, Any]:
    """`run.yaml`, without the params, which have a file of their own."""
    code = record.code
    plain: dict[str, Any] = {
        "format": FORMAT,
        "id": record.id,
        "name": record.name,
        "experiment": record.experiment,
        "status": str(record.status),
        "started": time_to_text(record.started),
        "ended": time_to_text(record.ended),
        "author": record.author,
        "host": record.host,
        "command": list(record.command),
        "script": record.script,
        "cwd": record.cwd,
        "parent": record.parent,
        "code": {
            "commit": code.commit,
            "snapshot": code.snapshot,
            "branch": code.branch,
            "dirty": code.dirty,
            "files": list(code.files),
            "unrecorded": list(code.unrecorded),
            "remote": code.remote,
            "pushed": code.pushed,
            "default_branch": code.default_branch,
            "merge_base": code.merge_base,
            "commits_since_base": code.commits_since_base,
            "files_since_base": list(code.files_since_base),
        },
        "description": record.description,
        "tags": dict(record.tags),
        "error": _failure_to_dict(record.error),
        "job": dict(record.job),
        "inputs": [dict(one) for one in record.inputs],
        "artifacts": [one.to_dict() for one in record.artifacts],
        "warnings": list(record.warnings),
        "metrics": {key: _summary_to_file(one, record.started) for key, one in record.summary.items()},
    }
    if record.results:
        plain["results"] = {path: one.to_dict() for path, one in record.results.items()}
    if record.large:
        plain["large"] = {path: {"md5": one.oid, "size": one.size} for path, one in record.large.items()}
    if record.attempts != (Attempt(1, record.started, record.ended, record.status, record.host),):
        plain["attempts"] = [
            {
                "number": one.number,
                "started": time_to_text(one.started),
                "ended": time_to_text(one.ended),
                "status": str(one.status),
                "host": one.host,
            }
            for one in record.attempts
        ]
    return plain


def large_from_dict(plain: Mapping[str, Any]) -> dict[str, Pointer]:
    """What `run.yaml` says of the run's own files outside git; raises KeyError, TypeError, ValueError, AttributeError."""
    found = {path: Pointer(one["md5"], one["size"]) for path, one in plain.get("large", {}).items()}
    for path in found:
        if not is_inside(path):
            raise ValueError(f"{path!r:.200} is no path inside of the run")
    return found


def _checked_input(plain: Mapping[str, Any]) -> Mapping[str, Any]:
    Input.from_dict(plain)
    return plain


def _failure_to_dict(error: Failure | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {
        "type": error.type,
        "message": error.message,
        "exit_code": error.exit_code,
        "signal": error.signal,
        "traceback": error.traceback,
    }


def record_from_dict(
    plain: Mapping[str, Any], params: Mapping[str, Any], lasts: Mapping[str, float] | None = None
) -> RunRecord:
    """The reverse of `record_to_dict`; `params` are flat, from `params.yaml`, `lasts` from `metrics.json`."""
    try:
        check_format(plain["format"], f"run {plain.get('id')}")
        code, error = plain["code"], plain.get("error")
        started, ended = time_from_text(plain["started"]) or 0.0, time_from_text(plain["ended"]) or 0.0
        status = Status(plain["status"])
        # A run that was never resumed says it all above.
        alone = {
            "number": 1,
            **{name: plain[name] for name in ("started", "ended", "status")},
            "host": plain.get("host"),
        }
        return RunRecord(
            id=plain["id"],
            name=plain["name"],
            experiment=plain["experiment"],
            status=status,
            started=started,
            ended=ended,
            author=plain.get("author", ""),
            host=plain.get("host"),
            command=tuple(plain.get("command", ())),
            script=plain.get("script"),
            cwd=plain.get("cwd", "."),
            parent=plain.get("parent"),
            code=CodeCapture(
                commit=code["commit"],
                snapshot=code.get("snapshot"),
                branch=code.get("branch"),
                dirty=code.get("dirty", False),
                files=tuple(code.get("files", ())),
                unrecorded=tuple(code.get("unrecorded", ())),
                remote=code.get("remote"),
                pushed=code.get("pushed"),
                default_branch=code.get("default_branch"),
                merge_base=code.get("merge_base"),
                commits_since_base=code.get("commits_since_base", 0),
                files_since_base=tuple(code.get("files_since_base", ())),
            ),
            description=plain.get("description", ""),
            tags=plain.get("tags", {}),
            error=Failure(**error) if error else None,
            attempts=tuple(
                Attempt(
                    number=one["number"],
                    started=time_from_text(one["started"]) or 0.0,
                    ended=time_from_text(one["ended"]),
                    status=Status(one["status"]),
                    host=one.get("host"),
                )
                for one in plain.get("attempts", (alone,))
            ),
            job=plain.get("job", {}),
            inputs=tuple(_checked_input(one) for one in plain.get("inputs", ())),
            artifacts=tuple(Artifact.from_dict(one) for one in plain.get("artifacts", ())),
            warnings=tuple(plain.get("warnings", ())),
            large=large_from_dict(plain),
            results={str(path): Result.from_dict(one) for path, one in plain.get("results", {}).items()},
            params=params,
            summary={
                key: _summary_from_file(one, started, (lasts or {}).get(key))
                for key, one in plain.get("metrics", {}).items()
            },
        )
    except _DAMAGES as error_:
        raise CorruptRecord(
            f"run.yaml of run {plain.get('id', '?')} cannot be read ({type(error_).__name__}: {error_}); "
            "run 'gittrack fsck' to see what is damaged"
        ) from None


# --- amendments


def amendment_to_line(amendment: Amendment) -> dict[str, Any]:
    line: dict[str, Any] = {
        "format": FORMAT,
        "run": amendment.run,
        "clock": amendment.clock,
        "author": amendment.author,
        "time": time_to_text(amendment.time),
        "changes": dict(amendment.changes),
    }
    if amendment.continuation is not None:
        line["continuation"] = state_to_line(amendment.continuation)
    return line


def amendment_from_line(line: Mapping[str, Any], *, commit: str) -> Amendment:
    try:
        check_format(line["format"], f"amendment {commit}")
        continued, changes = line.get("continuation"), line["changes"]
        if not all(value is None or type(value) in (str, bool) for value in changes.values()):
            raise TypeError("a change is neither text nor truth value")
        if type(line["run"]) is not str or type(line.get("author", "")) is not str:
            raise TypeError("run or author is no text")
        return Amendment(
            run=line["run"],
            clock=int(line["clock"]),
            commit=commit,
            author=line.get("author", ""),
            time=time_from_text(line.get("time")) or 0.0,
            changes=dict(changes),
            continuation=None if continued is None else state_from_line(continued, commit=commit),
        )
    except _DAMAGES as error:
        raise CorruptRecord(
            f"amendment {commit} cannot be read ({type(error).__name__}: {error}); "
            "run 'gittrack fsck' to see what is damaged"
        ) from None
