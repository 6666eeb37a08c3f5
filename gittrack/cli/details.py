"""One run in full, as text. Pure but for what the run reads of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gittrack.compare.align import natural
from gittrack.domain.codec import time_to_text
from gittrack.domain.input import Input
from gittrack.domain.metric import is_detail
from gittrack.report.inputs import kept_by
from gittrack.report.numbers import ago, column, counted, duration, exact, size
from gittrack.report.table import Column, Paint, as_text
from gittrack.report.text import escape, escape_lines

if TYPE_CHECKING:
    from gittrack.domain.environment import Environment
    from gittrack.domain.run import RunRecord, RunState
    from gittrack.run import Run


def details(run: Run, now: float, *, room: int | None, paint: Paint | None) -> Iterator[str]:
    """The lines that `gittrack show RUN` prints."""
    state = run.state
    record = run.record if state.commit is not None else None
    style = paint or (lambda text, name: text)
    yield f"{style('run ' + state.id, 'commit')} {style(escape(state.name), 'strong')}"
    yield from _facts(state, record, now, style)
    if state.description.strip():
        yield ""
        for line in escape_lines(state.description.strip()).split("\n"):
            yield f"    {line}".rstrip()

    def section(title: str, lines: Sequence[str]) -> Iterator[str]:
        if lines:
            yield ""
            yield style(title, "strong")
            yield from (f"  {line}".rstrip() for line in lines)

    inner = None if room is None else room - 2
    yield from section("params", _pairs(state.params, inner))
    yield from section("metrics", _metrics(run, record, inner, paint))
    if record is not None:
        yield from section("inputs", _inputs(record, inner))
        yield from section("artifacts", _artifacts(run, inner))
        yield from section("environment", _environment(run.environment))
        yield from section("error", _error(record))
        yield from section("warnings", [escape(one) for one in record.warnings])
        if run.amendments:
            yield from section("amendments", _amendments(run))


def _facts(state: RunState, record: RunRecord | None, now: float, style: Paint) -> Iterator[str]:
    took = state.duration if state.duration is not None else now - state.started
    after = "since" if state.ended is None else "after"
    started = (time_to_text(state.started) or "")[:19].replace("T", " ")
    facts = {
        "experiment": state.experiment,
        "status": f"{style(str(state.status), str(state.status))} {after} {duration(took)}",
        "started": f"{started} UTC ({ago(now - state.started)})",
        "command": escape(state.command),
        "code": escape(_code(state, record)),
        "author": escape(state.author),
        "host": escape(state.host or ""),
        "commit": state.commit or "",
        "parent": state.parent or "",
        "attempts": str(state.attempt) if state.attempt > 1 else "",
        "tags": escape(" ".join(f"{key}={value}" for key, value in sorted(state.tags.items()))),
        "deleted": f"'gittrack restore {state.id[:8]}' brings it back" if state.deleted else "",
    }
    for name, text in facts.items():
        if text:
            yield f"{name:<11} {text}"


def _code(state: RunState, record: RunRecord | None) -> str:
    if record is None:
        known = (state.code_commit or "")[:12]
        return f"{known}{f' on {state.branch}' if state.branch else ''}"
    code = record.code
    text = f"{code.commit[:12]}{f' on {code.branch}' if code.branch else ''}"
    if code.snapshot:
        count = len(code.files)
        text += f", with {count:,} changed {'file' if count == 1 else 'files'}"
        text += f" (snapshot {code.snapshot[:12]})"
    if code.unrecorded:
        text += f", {len(code.unrecorded):,} new files not recorded"
    if code.pushed is False:
        text += ", not pushed"
    return text


def _pairs(values: Mapping[str, Any], room: int | None) -> list[str]:
    keys = sorted(values, key=natural)
    return as_text(
        [
            Column("", tuple(keys), shrink=False),
            Column("", tuple(exact(values[key]) for key in keys)),
        ],
        room=room,
    )


def _metrics(run: Run, record: RunRecord | None, room: int | None, paint: Paint | None) -> list[str]:
    from gittrack.domain.metric import summarize

    if record is not None:
        summary = dict(record.summary)
    else:
        summary = {key: summarize(one) for key, one in run.histories().items() if len(one)}
    keys = sorted(summary, key=lambda key: (is_detail(key), natural(key)))
    if not keys:
        return []
    # One row is one metric here, so that digits are chosen by row, not by column.
    rows = [column([one.last, one.min, one.max]) for one in (summary[key] for key in keys)]
    cells = [tuple(row[at] for row in rows) for at in range(3)]
    columns = [
        Column("", tuple(keys)),
        Column("last", cells[0], align="right"),
        Column("min", cells[1], align="right", rank=2),
        Column("max", cells[2], align="right", rank=1),
        Column("points", tuple(f"{summary[key].count:,}" for key in keys), align="right", rank=4),
        Column("step", tuple(str(summary[key].last_step) for key in keys), align="right", rank=3),
    ]
    return as_text(columns, room=room, paint=paint)


def _artifacts(run: Run, room: int | None) -> list[str]:
    found = run.artifacts
    if not found:
        return []
    return as_text(
        [
            Column("", tuple(one.path for one in found)),
            Column("", tuple(size(one.size) for one in found), align="right"),
            Column("", tuple("" if one.nfiles is None else counted(one.nfiles, "file") for one in found)),
            Column("", tuple(one.kind or "" for one in found)),
            Column("", tuple(one.name or "" for one in found)),
        ],
        room=room,
    )


def _environment(environment: Environment) -> list[str]:
    """The parts that one looks for first; `gittrack show RUN environment` has all."""
    python, platform, hardware = environment.python, environment.platform, environment.hardware
    lines = []
    if python.version:
        packages = f", {len(environment.packages):,} packages" if environment.packages else ""
        kind = f" ({python.kind})" if python.kind else ""
        lines.append(f"python {python.version}{kind}{packages}")
    if platform.system:
        lines.append(f"{platform.system} {platform.release or ''} {platform.machine or ''}".rstrip())
    parts = []
    if hardware.cpu or hardware.cores_logical:
        cores = f"{hardware.cores_logical} cores" if hardware.cores_logical else ""
        parts.append(" ".join(part for part in (hardware.cpu, cores) if part))
    if hardware.memory:
        parts.append(f"{size(hardware.memory)} memory")
    parts += [gpu.name for gpu in hardware.gpus]
    if parts:
        lines.append(", ".join(parts))
    if environment.container is not None:
        lines.append(f"{environment.container.kind} {environment.container.image or ''}".rstrip())
    if environment.seeds:
        lines.append("seeds " + ", ".join(f"{key}={one}" for key, one in environment.seeds.items()))
    return [escape(line) for line in [*lines, *environment.notes]]


def _error(record: RunRecord) -> list[str]:
    error = record.error
    if error is None:
        return []
    lines = []
    if error.traceback:
        lines += escape_lines(error.traceback.rstrip()).split("\n")
    elif error.type or error.message:
        text = ": ".join(part for part in (error.type, error.message) if part)
        lines += escape_lines(text).split("\n")
    if error.exit_code is not None:
        lines.append(f"exit code {error.exit_code}")
    if error.signal is not None:
        lines.append(f"ended by {error.signal}")
    return lines


def _amendments(run: Run) -> list[str]:
    lines = []
    for one in run.amendments:
        when = (time_to_text(one.time) or "")[:19].replace("T", " ")
        if one.continuation is not None:
            what = f"attempt {one.continuation.attempt}: {one.continuation.status}"
        else:
            what = ", ".join(_change(key, value) for key, value in one.changes.items())
        lines.append(escape(f"{when}  {one.author}  {what}"))
    return lines


def _change(key: str, value: Any) -> str:
    return f"{key.replace(':', ' ', 1)} {'removed' if value is None else f'= {exact(value)}'}"


def _inputs(record: RunRecord, room: int | None) -> list[str]:
    found = [Input.from_dict(one) for one in record.inputs]
    if not found:
        return []
    return as_text(
        [
            Column("", tuple(one.path for one in found)),
            Column("", tuple("" if one.size is None else size(one.size) for one in found), align="right"),
            Column("", tuple((one.md5 or one.version or one.etag or "")[:12] for one in found)),
            Column("", tuple(kept_by(one) for one in found)),
        ],
        room=room,
    )


def value_lines(value: Any, key: str = "") -> list[str]:
    """A value that was asked for: bare, or after its key if that is given; a line per key below it."""
    from gittrack.compare.align import flatten

    if isinstance(value, Mapping):
        flat = flatten(value, f"{key}." if key else "")
        return [escape(f"{name}  {exact(one)}") for name, one in flat.items()]
    if isinstance(value, str):
        lines = escape_lines(value).split("\n")
        return [f"{key}  {lines[0]}"] if key and len(lines) == 1 else lines
    if isinstance(value, (list, tuple)):
        return [line for one in value for line in value_lines(one, key)]
    return [f"{key}  {exact(value)}" if key else exact(value)]
