"""How models look: tables, lines and JSON of models, versions and events, and the card of a version."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gittrack.domain.codec import time_to_text
from gittrack.domain.metric import is_detail
from gittrack.domain.policy import ModelText
from gittrack.errors import GittrackError
from gittrack.registry.event import Event, event_json, subject
from gittrack.registry.tagname import ARCHIVED
from gittrack.report.numbers import ago, column, exact, number, size
from gittrack.report.table import Column
from gittrack.report.text import escape, escape_lines

if TYPE_CHECKING:
    from gittrack.cli.console import Console
    from gittrack.domain.run import RunState
    from gittrack.models.models import Models
    from gittrack.models.version import ModelVersion
    from gittrack.project import Project
    from gittrack.registry.state import Model, VersionState
    from gittrack.settings import Settings

_METRICS = 5
_DIGITS = 8


# --- JSON


def model_json(model: Model) -> dict[str, Any]:
    """One element of `model ls --json`."""
    return {
        "name": model.name,
        "versions": [_version_row(one) for one in model.versions.values()],
        "stages": {stage: [str(one) for one in held] for stage, held in model.holders.items()},
        "aliases": {alias: str(one) for alias, one in model.aliases.items()},
        "deprecated": model.retired is not None,
        "events": model.number,
    }


def _version_row(one: VersionState) -> dict[str, Any]:
    registered = one.registered
    return {
        "version": str(one.version),
        "run": registered.run,
        "commit": registered.commit,
        "stages": list(one.stages),
        "aliases": list(one.aliases),
        "registered": time_to_text(registered.time),
        "author": registered.author,
        "description": registered.message,
        "tags": dict(registered.details.get("tags") or {}),
        "deprecated": one.deprecated is not None,
        "approvals": [{"author": each.author, "stage": each.place} for each in one.approvals],
        "artifact": registered.details.get("artifact"),
        "signature": registered.details.get("signature"),
    }


def version_json(one: ModelVersion) -> dict[str, Any]:
    """`model show NAME@V --json`: the row, its run as `ls --json` has it, and every event that names this version."""
    return {
        "name": one.name,
        **_version_row(one.state),
        "metrics": _plain_metrics(one.metrics),
        "run_details": one.run.to_json(),
        "inputs": [dict(each) for each in one.run.record.inputs],
        "history": [event_json(each) for each in one.model.events if each.version == one.state.version],
    }


def _plain_metrics(metrics: Mapping[str, float]) -> Any:
    from gittrack.domain.codec import strict

    return strict(dict(metrics))


def standing_json(models: Models, model: Model, moment: float) -> dict[str, Any]:
    """`model history --at --json`: who held what then, and the event that brought it there."""
    return {
        "name": model.name,
        "at": time_to_text(moment),
        "events": model.number,
        "stages": {
            stage: [
                {
                    "version": str(one),
                    "run": model.versions[one].registered.run,
                    "since": event_json(model.entry(stage, one)),
                    "metrics": _plain_metrics(_metrics_of(models, model.versions[one])),
                }
                for one in held
            ]
            for stage, held in model.holders.items()
        },
        "aliases": {alias: str(one) for alias, one in model.aliases.items()},
        "versions": [str(one) for one in model.versions],
    }


# --- tables


def models_table(models: Iterable[Model]) -> list[Column]:
    rows = list(models)
    last = [one.events[-1] for one in rows]
    return [
        Column("model", tuple(escape(one.name) for one in rows), shrink=False),
        Column("latest", tuple("" if one.newest is None else one.newest.version.short for one in rows)),
        Column("versions", tuple(str(len(one.versions)) for one in rows), align="right", rank=1),
        Column("stages", tuple(_held(one) for one in rows)),
        Column("aliases", tuple(_aliases(one) for one in rows), rank=1),
        Column("last change", tuple(escape(subject(one)) for one in last), rank=2),
        Column("by", tuple(escape(one.name) for one in last), rank=2),
        _ages(last),
    ]


def _ages(events: Sequence[Event], rank: int = 0) -> Column:
    now = time.time()
    passed = [now - one.time for one in events]
    return Column("age", tuple(map(ago, passed)), tuple(str(round(one)) for one in passed), align="right", rank=rank)


def _held(model: Model) -> str:
    parts = [
        f"{escape(stage)} {', '.join(one.short for one in held)}"
        for stage, held in model.holders.items()
        if stage != ARCHIVED
    ]
    return "deprecated" if model.retired is not None else "; ".join(parts)


def _aliases(model: Model) -> str:
    return "; ".join(f"{escape(alias)} {one.short}" for alias, one in sorted(model.aliases.items()))


def versions_table(models: Models, model: Model, settings: Settings) -> list[Column]:
    """Newest first, with the metrics that have a goal, or else those that all have, side by side."""
    rows = list(model.versions.values())[::-1]
    runs = [_run(models, one) for one in rows]
    metrics = [dict(run.metrics) if run is not None else {} for run in runs]
    registered = [one.registered for one in rows]
    return [
        Column("version", tuple(one.version.short for one in rows), shrink=False),
        Column("stage", tuple(_standing(model, one) for one in rows), shrink=False),
        Column("alias", tuple(escape(", ".join(one.aliases)) for one in rows), rank=1),
        *(
            Column(
                escape(key),
                tuple(column([one.get(key) for one in metrics])),
                tuple("" if key not in one else exact(one[key]) for one in metrics),
                align="point",
            )
            for key in _shown(metrics, settings)
        ),
        Column("run", tuple("not here" if run is None else escape(run.name) for run in runs)),
        Column("registered by", tuple(escape(one.name) for one in registered), rank=2),
        _ages(registered, rank=1),
        Column("why", tuple(escape(one.message.partition("\n")[0]) for one in registered), rank=3),
    ]


def _standing(model: Model, one: VersionState) -> str:
    if one.deprecated is not None or model.retired is not None:
        return "deprecated"
    return escape(", ".join(one.stages))


def _shown(metrics: Sequence[Mapping[str, float]], settings: Settings) -> list[str]:
    keys = dict.fromkeys(key for one in metrics for key in one if not is_detail(key))
    wanted = [key for key in keys if settings.goal(key) is not None]
    return (wanted or list(keys))[:_METRICS]


def history_table(events: Sequence[Event]) -> list[Column]:
    return [
        Column("#", tuple(str(one.number) for one in events), align="right", shrink=False),
        Column(
            "when (UTC)",
            tuple(_when(one.time) for one in events),
            tuple(time_to_text(one.time) or "" for one in events),
        ),
        Column("what", tuple(escape(subject(one)) for one in events)),
        Column("by", tuple(escape(one.name) for one in events)),
        Column("signed", tuple("yes" if one.signed else "" for one in events), rank=2),
        Column("why", tuple(escape(_reason(one)) for one in events), rank=1),
    ]


def _reason(event: Event) -> str:
    said = event.message.partition("\n")[0]
    override = event.details.get("override")
    return "; ".join(filter(None, [said, f"passed over the rules: {override}" if override else ""]))


def _when(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M")


# --- lines


def version_lines(console: Console, one: ModelVersion) -> Iterator[str]:
    """One version: where it stands, its run with metrics and lineage, and what happened to it."""
    registered = one.registered
    yield console.style(f"{escape(one.name)}@{one.state.version.short}", "strong") + (
        f"  ({escape(', '.join([*one.stages, *one.aliases]))})" if one.stages or one.aliases else ""
    )
    if one.deprecated:
        ended = one.state.deprecated or one.model.retired
        assert ended is not None
        yield f"deprecated by {escape(ended.name)}, {_when(ended.time)} UTC: {escape(_reason(ended)) or 'no reason given'}"
    yield f"registered  {_when(registered.time)} UTC by {escape(registered.author)}"
    made = registered.details.get("artifact")
    if isinstance(made, Mapping):
        called = escape(str(made.get("name") or made.get("path")))
        yield f"artifact    {called}, {size(float(made.get('size') or 0))}, md5 {escape(str(made.get('md5')))}"
    for key, value in one.tags.items():
        yield f"tag         {escape(key)}={escape(value)}"
    yield from _run_lines(one)
    if one.description:
        yield ""
        yield from (f"    {line}" for line in escape_lines(one.description).split("\n"))
    yield ""
    for event in reversed([each for each in one.model.events if each.version == one.state.version]):
        reason = _reason(event)
        yield f"#{event.number:<4} {_when(event.time)}  {escape(subject(event))}, by {escape(event.name)}" + (
            f": {escape(reason)}" if reason else ""
        )
        yield from (f"        {escape(line)}" for line in _check_lines(event))


def _run_lines(one: ModelVersion) -> Iterator[str]:
    try:
        run = one.run
        record = run.record
        python = run.environment.to_dict().get("python")
    except GittrackError as error:
        yield f"run         {one.registered.run[:_DIGITS]}, which cannot be read: {escape(str(error))}"
        return
    yield f"run         {escape(run.experiment)}/{escape(run.name)} ({run.id[:_DIGITS]}), commit {one.commit[:12]}"
    snapshot = ", a snapshot of a dirty tree" if run.dirty else ""
    branch = f", branch {escape(record.code.branch)}" if record.code.branch else ""
    yield f"code        {record.code.captured[:12]}{snapshot}{branch}"
    if run.command:
        yield f"command     {escape(run.command)}"
    if python:
        yield f"environment Python {escape(str(python.get('version') if isinstance(python, dict) else python))}"
    for each in record.inputs:
        called = escape(str(each.get("path") or each.get("name") or ""))
        yield f"data        {called} md5 {escape(str(each.get('md5') or 'not versioned'))}"
    for key, value in run.metrics.items():
        if not is_detail(key):
            yield f"metric      {escape(key)} {number(value)}"


def _check_lines(event: Event) -> Iterator[str]:
    for one in event.details.get("checks") or []:
        if isinstance(one, Mapping):
            mark = "ok  " if one.get("ok") else "over" if one.get("override") else "no  "
            yield f"{mark} {one.get('rule')}: {one.get('said')}"


def standing_lines(console: Console, models: Models, model: Model, moment: float) -> Iterator[str]:
    """Who held what at a moment, and on what evidence."""
    yield (
        console.style(f"{escape(model.name)} at {_when(moment)} UTC", "strong")
        + f", after {model.number:,} {'event' if model.number == 1 else 'events'}"
    )
    if not model.holders and not model.aliases:
        yield "nothing was in any stage" if model.versions else "it did not exist"
    for stage, held in model.holders.items():
        for one in held:
            event = model.entry(stage, one)
            yield f"{escape(stage)}: {one.short}, since {_when(event.time)} UTC, by {escape(event.name)}" + (
                f": {escape(_reason(event))}" if _reason(event) else ""
            )
            metrics = _metrics_of(models, model.versions[one])
            if metrics:
                yield "    " + ", ".join(f"{escape(key)} {number(value)}" for key, value in metrics.items())
            yield from (f"    {escape(line)}" for line in _check_lines(event))
    for alias, one in sorted(model.aliases.items()):
        yield f"{escape(alias)}: {one.short}"


def _run(models: Models, version: VersionState) -> RunState | None:
    try:
        return models.state_of(version)
    except GittrackError:
        return None


def _metrics_of(models: Models, version: VersionState) -> dict[str, float]:
    run = _run(models, version)
    return {} if run is None else {key: value for key, value in run.metrics.items() if not is_detail(key)}


# --- the card


def card_text(one: ModelVersion, project: Project) -> str:
    """A model card in Markdown (Mitchell et al., Model Cards for Model Reporting, FAT* 2019)."""
    said = project.settings.registry.models.get(one.name, ModelText())
    run, registered = one.run, one.registered
    lines = [f"# {one.name} {one.state.version.short}", ""]
    if said.description:
        lines += [escape_lines(said.description), ""]
    standing = ", ".join([*one.stages, *one.aliases]) or "in no stage"
    facts = [
        ("Version", one.version),
        ("Stands", "deprecated" if one.deprecated else standing),
        ("Registered", f"{_when(registered.time)} UTC by {registered.name}"),
        ("Owner", said.owner),
        ("File", f"{one.artifact.name}, {size(one.artifact.size)}, md5 `{one.artifact.md5}`"),
    ]
    lines += _table(("", ""), [(name, value) for name, value in facts if value])
    for title, text in (
        ("Intended use", said.intended_use),
        ("Limitations", said.limitations),
        ("Notes", one.description),
    ):
        if text:
            lines += ["", f"## {title}", "", escape_lines(text)]
    metrics = [(f"`{key}`", number(value)) for key, value in sorted(run.metrics.items()) if not is_detail(key)]
    if metrics:
        lines += ["", "## Metrics", "", "Of one run, with no statement on how far another would differ.", ""]
        lines += _table(("metric", "value"), metrics)
    if run.params:
        lines += [
            "",
            "## Params",
            "",
            *_table(("param", "value"), [(f"`{key}`", f"`{value}`") for key, value in run.params.items()]),
        ]
    inputs = [
        (f"`{each.get('path') or each.get('name')}`", f"`{each.get('md5') or 'not versioned'}`")
        for each in run.record.inputs
    ]
    lines += ["", "## Data", ""] + (_table(("input", "md5"), inputs) if inputs else ["The run declared no input."])
    lines += [
        "",
        "## Lineage",
        "",
        *_table(
            ("", ""),
            [
                ("Run", f"{run.experiment}/{run.name}, `{run.id}`"),
                ("Commit", f"`{one.commit}`"),
                ("Code", f"`{run.record.code.captured}`" + (" (a snapshot of a dirty tree)" if run.dirty else "")),
                ("Command", f"`{run.command}`" if run.command else ""),
            ],
        ),
    ]
    lines += ["", f"Check it with `gittrack model verify {one.name}@{one.state.version.short}`."]
    return "\n".join(lines) + "\n"


def _table(titles: tuple[str, str], rows: Sequence[tuple[str, str]]) -> list[str]:
    cells = [[_cell(one) for one in row] for row in rows if row[1]]
    return [f"| {titles[0]} | {titles[1]} |", "|---|---|", *(f"| {name} | {value} |" for name, value in cells)]


def _cell(text: str) -> str:
    return escape(text).replace("|", "\\|")
