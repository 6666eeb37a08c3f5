"""From what the journals say to the record of a run (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gittrack.domain.amendment import TAG_PREFIX
from gittrack.domain.artifact import Artifact
from gittrack.domain.codec import param_from_json
from gittrack.domain.environment import Environment
from gittrack.domain.input import Input
from gittrack.domain.metric import History, folds_of, is_detail, summarize, with_fold_means
from gittrack.domain.run import Attempt, CodeCapture, Failure, Result, RunRecord, Status
from gittrack.errors import CorruptRecord
from gittrack.live.replay import Replay, with_attempts
from gittrack.values import dataclass, field, fields, replace

# What a later attempt may make good.
_MISSING = "; the others were not logged"


@dataclass(slots=True)
class Assembled:
    """A run ready to be written: its record, environment, histories, and where the content of each artifact is.

    `spooled` are the files of this attempt, by what they hold; `older` the paths in the commit that is continued, `said`
    what this attempt called and tagged a run that it continues, whose head was `head` then.
    """

    record: RunRecord
    environment: Environment
    histories: dict[str, History]
    spooled: dict[str, str] = field(default_factory=dict)
    older: dict[str, str] = field(default_factory=dict)
    base: str | None = None
    head: str | None = None
    said: dict[str, str | bool | None] = field(default_factory=dict)


@dataclass(slots=True)
class Base:
    """What a resumed run had before: its record, histories and environment."""

    record: RunRecord
    histories: Mapping[str, History]


def base_commit(events: Sequence[Mapping[str, Any]]) -> str | None:
    """The commit that the attempts in a journal continue, None for a first attempt."""
    return next((event["base"] for event in events if event["op"] == "start" and event.get("base")), None)


def assemble(replayed: Replay, *, last_write: float, base: Base | None = None) -> Assembled:
    """Everything that is known of a run whose writers are gone or done.

    An attempt without a last word is `lost`, and ended when anything was last written. Raises CorruptRecord when the journal does
    not even say what was started.
    """
    events = replayed.events
    starts = _starts(events)
    if not starts:
        raise CorruptRecord("the journal does not say what was started")
    first, last = starts[0], starts[-1]
    histories = with_fold_means(_with_base(replayed.histories, base))
    ends = _ends(events)
    attempts = _attempts(starts, ends, events, histories, last_write, base)
    end = ends.get(last["attempt"])
    status = attempts[-1].status
    params: dict[str, Any] = dict(base.record.params) if base else {}
    tags: dict[str, str] = dict(base.record.tags) if base else {}
    name, experiment = last["name"], last["experiment"]
    description = base.record.description if base else ""
    environment: dict[str, Any] = {}
    seeds: dict[str, int] = {}
    inputs: dict[str, Mapping[str, Any]] = {one["path"]: one for one in base.record.inputs} if base else {}
    artifacts = {one.path: one for one in base.record.artifacts} if base else {}
    spooled: dict[str, str] = {}
    said: dict[str, str | bool | None] = {}
    older = {path: path for path, one in artifacts.items() if not one.pointer}
    warnings = [one for one in base.record.warnings if not one.endswith(_MISSING)] if base else []
    results: dict[str, Result] = dict(base.record.results) if base else {}
    folds = 0
    for event in events:
        op = event["op"]
        if op == "params":
            params.update({key: param_from_json(value) for key, value in event["values"].items()})
        elif op == "tags":
            tags.update(event["values"])
            said.update({f"{TAG_PREFIX}{key}": value for key, value in event["values"].items()})
        elif op == "describe":
            description = said["description"] = event["text"]
        elif op == "name":
            name = said["name"] = event["name"]
        elif op == "experiment":
            experiment = event["experiment"]
        elif op == "environment":
            environment.update(event["values"])
        elif op == "seeds":
            seeds.update(event["values"])
        elif op == "input":
            one = Input.from_dict(event)
            known = inputs.get(one.path)
            # What was declared counts more than what was only noticed.
            if one.declared or known is None or known.get("declared") is False:
                inputs[one.path] = one.to_dict()
        elif op == "artifact":
            made = Artifact.from_dict(event)
            artifacts[made.path] = made
            older.pop(made.path, None)
            spooled.pop(made.path, None)
            if not made.pointer:
                spooled[made.path] = made.md5
        elif op == "results":
            results.update({path: Result.from_dict(one) for path, one in event["values"].items()})
        elif op == "folds":
            folds = event["of"]
        elif op == "warning" and event["text"] not in warnings:
            warnings.append(event["text"])
    if replayed.skipped:
        warnings.append(f"{replayed.skipped} damaged bytes of the journal could not be read")
    warnings += _missing_folds(histories, folds)
    if seeds:
        environment["seeds"] = {**environment.get("seeds", {}), **seeds}
    if len(attempts) > 1:
        begun = [one.started for one in attempts]
        histories = {key: with_attempts(history, begun) for key, history in histories.items()}
    for path in _hidden_by_folders(artifacts):
        warnings.append(f"artifact {path!r} is kept as '{path}~', since there is a folder of that name too")
        artifacts[f"{path}~"] = replace(artifacts.pop(path), path=f"{path}~")
        for place in (spooled, older):
            if path in place:
                place[f"{path}~"] = place.pop(path)
    record = RunRecord(
        id=first["id"],
        name=name,
        experiment=experiment,
        status=status,
        started=attempts[0].started,
        ended=attempts[-1].ended or last_write,
        code=code_from_event(last["code"]),
        command=tuple(last["command"]),
        script=last.get("script"),
        cwd=last.get("cwd", "."),
        author=last["author"],
        host=last.get("host"),
        parent=first.get("parent") or (base.record.parent if base else None),
        params=params,
        summary={key: summarize(histories[key]) for key in _in_order(histories)},
        tags=tags,
        description=description,
        error=None if status is Status.FINISHED else _error(end, events, last["attempt"]),
        inputs=tuple(_undoubled(inputs)),
        artifacts=tuple(artifacts[path] for path in sorted(artifacts)),
        attempts=tuple(attempts),
        job=last.get("job") or {},
        warnings=tuple(warnings),
        results=results,
    )
    return Assembled(
        record,
        Environment.from_dict(environment),
        histories,
        spooled,
        older,
        base_commit(events),
        next((event["head"] for event in starts if event.get("head")), base_commit(events)),
        said if base else {},
    )


def _in_order(histories: Mapping[str, History]) -> list[str]:
    """Details last: of a record that is too long for its line the end is cut off."""
    return sorted((key for key, one in histories.items() if len(one)), key=lambda key: (is_detail(key), key))


def _missing_folds(histories: Mapping[str, History], of: int) -> Iterator[str]:
    for key, folds in folds_of(dict.fromkeys(histories, 0.0)).items():
        if len(folds) < of:
            yield f"{key} is the mean over {len(folds)} of {of} folds{_MISSING}"


def _undoubled(inputs: Mapping[str, Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Without what was only noticed in a folder that another process of the run declared."""
    declared = {path for path, one in inputs.items() if one.get("declared", True)}
    for path, one in inputs.items():
        above = {path[:at] for at, letter in enumerate(path) if letter == "/"}
        if path in declared or declared.isdisjoint(above):
            yield one


def consumed_commits(record: RunRecord) -> tuple[str, ...]:
    """The run commits whose artifacts a run used, each once, in the order of use."""
    return tuple(dict.fromkeys(one["commit"] for one in record.inputs if one.get("commit")))


def _starts(events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """One start an attempt, ascending; of the ranks of a job the lowest speaks."""
    found: dict[int, Mapping[str, Any]] = {}
    for event in events:
        if event["op"] == "start":
            known = found.setdefault(event["attempt"], event)
            if (event.get("rank") or 0) < (known.get("rank") or 0):
                found[event["attempt"]] = event
    return [found[attempt] for attempt in sorted(found)]


_BADNESS = {Status.FINISHED: 0, Status.KILLED: 1, Status.FAILED: 2}


def _ends(events: Sequence[Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    """The last word of each attempt; of the ranks of a job the worst counts, and the last that was heard of it."""
    found: dict[int, Mapping[str, Any]] = {}
    for event in events:
        if event["op"] == "end":
            known = found.setdefault(event["attempt"], event)
            worse = max(known, event, key=lambda one: _BADNESS.get(Status(one["status"]), 0))
            found[event["attempt"]] = {**worse, "time": max(known["time"], event["time"])}
    return found


def _hidden_by_folders(artifacts: Mapping[str, Artifact]) -> list[str]:
    """Artifacts whose path is also a folder of others: attempts and ranks do not know of each other's names."""
    folders = {path[:at] for path in artifacts for at, letter in enumerate(path) if letter == "/"}
    return sorted(folders & artifacts.keys())


def code_to_event(code: CodeCapture) -> dict[str, Any]:
    return {one.name: getattr(code, one.name) for one in fields(CodeCapture)}


def code_from_event(plain: Mapping[str, Any]) -> CodeCapture:
    known: dict[str, Any] = {one.name: plain[one.name] for one in fields(CodeCapture) if one.name in plain}
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in known.items()}
    return CodeCapture(**values)


def _with_base(histories: dict[str, History], base: Base | None) -> dict[str, History]:
    if base is None:
        return histories
    whole: dict[str, History] = {}
    for key in [*base.histories, *(key for key in histories if key not in base.histories)]:
        parts = [part for part in (base.histories.get(key), histories.get(key)) if part is not None]
        joined = History(key)
        for part in parts:
            joined.steps.extend(part.steps)
            joined.values.extend(part.values)
            joined.times.extend(part.times)
        whole[key] = joined
    return whole


def _attempts(
    starts: Sequence[Mapping[str, Any]],
    ends: Mapping[int, Mapping[str, Any]],
    events: Sequence[Mapping[str, Any]],
    histories: Mapping[str, History],
    last_write: float,
    base: Base | None,
) -> list[Attempt]:
    attempts = list(base.record.attempts) if base else []
    for at, start in enumerate(starts):
        end = ends.get(start["attempt"])
        if end is not None:
            ended, status = end["time"], Status(end["status"])
        else:
            newest = max(
                [event.get("time", 0.0) for event in events] + [one.times[-1] for one in histories.values() if len(one)]
            )
            following = starts[at + 1]["time"] if at + 1 < len(starts) else None
            ended, status = following or max(newest, min(last_write, newest + 3600)), Status.LOST
        attempts.append(
            Attempt(
                start["attempt"],
                start["time"],
                max(ended, start["time"]),
                status,
                start.get("host"),
            )
        )
    return attempts


def _error(end: Mapping[str, Any] | None, events: Sequence[Mapping[str, Any]], attempt: int) -> Failure | None:
    """The creator's word on what went wrong, with the traceback that a script inside it saw."""
    said = Failure(**end["error"]) if end is not None and end.get("error") else None
    inner = [
        Failure(**event["error"])
        for event in events
        if event["op"] == "leave" and event.get("attempt") == attempt and event.get("error")
    ]
    if inner and (said is None or said.traceback is None):
        seen = inner[-1]
        said = replace(
            said or Failure(),
            type=seen.type,
            message=seen.message,
            traceback=seen.traceback,
        )
    return said
