"""`gittrack show`: one run, or one value of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from gittrack.cli.main import App
from gittrack.cli.options import json_option, run_argument
from gittrack.errors import UsageError

if TYPE_CHECKING:
    from gittrack.run import Run


@click.command(short_help="one run, or one value of it")
@run_argument
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@json_option
@click.pass_obj
def show(app: App, run: str, keys: tuple[str, ...], as_json: bool) -> None:
    """Show a run: all of it, or one value such as metrics.val/acc, params.lr, console.

    Further keys: status, tags.K, summary.METRIC.max, environment.packages.NAME, error.traceback.
    """
    found = app.project.get_run(run)
    if not keys:
        if as_json:
            app.console.json(found.details_json())
            return
        from gittrack.cli.details import details

        console = app.console
        room = console.width if console.is_terminal else None
        console.lines(details(found, time.time(), room=room, paint=console.paint))
        return
    values = {key: _value(found, key) for key in keys}
    if as_json:
        from gittrack.domain.codec import strict

        whole: Any = values if len(keys) > 1 else values[keys[0]]
        app.console.json(strict(whole))
        return
    from gittrack.cli.details import value_lines

    for key, value in values.items():
        app.console.lines(value_lines(value, key if len(keys) > 1 else ""))


def _value(run: Run, key: str) -> Any:
    """What a dotted key names; the keys of params, metrics and packages may hold dots themselves."""
    if key == "console":
        return run.console().removesuffix("\n")
    # What the row knows is answered without reading the rest, and with NaN as it is.
    plain: dict[str, Any] = {**run.to_json(), "params": run.params, "metrics": run.metrics}
    if key.partition(".")[0] not in plain:
        plain = {**run.details_json(), **plain}
    found = look_up(plain, key)
    if found is _NOTHING:
        raise UsageError(f"run {run.name} has no {key!r}{_hint(plain, key)}")
    return found


_NOTHING: Any = object()


def look_up(value: Any, path: str) -> Any:
    """Follow a dotted path through mappings and lists, trying longer keys before shorter ones."""
    if isinstance(value, Mapping):
        if path in value:
            return value[path]
        for at in range(len(path) - 1, 0, -1):
            if path[at] == "." and path[:at] in value:
                found = look_up(value[path[:at]], path[at + 1 :])
                if found is not _NOTHING:
                    return found
        # `params.model` of params like `model.depth`.
        below = {key[len(path) + 1 :]: one for key, one in value.items() if key.startswith(f"{path}.")}
        return below or _NOTHING
    if isinstance(value, Sequence) and not isinstance(value, str):
        head, _, rest = path.partition(".")
        if head.isdecimal() and int(head) < len(value):
            return look_up(value[int(head)], rest) if rest else value[int(head)]
    return _NOTHING


def _hint(plain: Mapping[str, Any], key: str) -> str:
    from difflib import get_close_matches

    from gittrack.compare.align import flatten

    known = [*plain, *flatten(plain)]
    near = get_close_matches(key, known, n=1)
    near = near or [one for one in known if one.endswith(f".{key}")][:1]
    return f"; did you mean {near[0]}?" if near else f"; it has {', '.join(plain)}"
