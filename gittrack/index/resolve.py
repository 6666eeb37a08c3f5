"""From what a person calls a run to the run: "Naming a run" of the command contract."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence

from gittrack.domain.names import MIN_PREFIX, is_run_id
from gittrack.domain.run import RunState
from gittrack.errors import AmbiguousRun, UnknownRun, UsageError
from gittrack.git.repository import Repository
from gittrack.index.index import Index
from gittrack.ledger import layout
from gittrack.ledger.chain import all_purges

_NEWEST = re.compile(r"@(?:~(\d{0,9}))?", re.ASCII)
_DIGITS = re.compile(rf"[0-9a-f]{{{MIN_PREFIX},64}}")
_MOST_CANDIDATES = 10

# The better direction of a metric, "min" or "max", or None where nobody has said.
Goals = Callable[[str], str | None]


def resolve(
    index: Index,
    repository: Repository,
    text: str,
    *,
    goals: Goals,
    experiment: str | None = None,
    deleted: bool = False,
) -> RunState:
    """The one run that `text` names; `index` must be up to date.

    `experiment` narrows names, `@` and `best:`; ids and commits are looked for everywhere. Deleted runs
    answer only to ids and commits, unless `deleted` lets them answer to their names too. Raises
    UnknownRun, AmbiguousRun, and UsageError for a metric without a direction.
    """
    newest = _NEWEST.fullmatch(text)
    if newest:
        back = 0 if newest[1] is None else int(newest[1] or 1)
        return _newest(index, back, experiment)
    if text.startswith("best:"):
        return _best(index, text.removeprefix("best:"), experiment, goals)
    found = (
        _by_id(index, text)
        or _one(text, index.named(text, experiment=experiment, deleted=deleted))
        or _in_experiment(index, text, deleted)
        or _by_prefix(index, text, text, None)
        or _by_revision(index, repository, text)
    )
    if found is None:
        hidden = [] if deleted else index.named(text, experiment=experiment, deleted=True)
        if hidden:
            raise UnknownRun(f"run {text} is deleted; 'gittrack restore {hidden[0].id[:8]}' brings it back")
        raise _purged(repository, text) or _unknown(index, repository, text, experiment)
    return found


def _newest(index: Index, back: int, experiment: str | None) -> RunState:
    found = index.select(experiment=experiment, limit=1, offset=back)
    if found:
        return found[0]
    count = index.count(experiment=experiment)
    place = f"experiment {experiment} has" if experiment else "there are"
    if count == 0:
        raise UnknownRun(f"{place} no runs yet; 'gittrack run -- COMMAND' records one")
    raise UnknownRun(f"{place} only {count:,} runs, so @~{count - 1} is the oldest")


def _best(index: Index, text: str, experiment: str | None, goals: Goals) -> RunState:
    goal, colon, metric = text.partition(":")
    if not colon or goal not in ("min", "max"):
        metric, known = text, goals(text)
        if known is None:
            raise UsageError(
                f"nobody has said whether {metric} should be high or low; write best:max:{metric} or "
                f"best:min:{metric}, or set metrics.goals in .gittrack/config.yaml"
            )
        goal = known
    found = index.best(metric, goal, experiment=experiment)
    if not found:
        raise UnknownRun(
            f"no finished run has a number for the metric {metric!r}"
            f"{f' in experiment {experiment}' if experiment else ''}; see 'gittrack ls'"
        )
    return found[0]


def _by_id(index: Index, text: str) -> RunState | None:
    return index.get(text) if is_run_id(text) else None


def _in_experiment(index: Index, text: str, deleted: bool) -> RunState | None:
    """`<experiment>/<name or prefix>`; both may hold slashes themselves."""
    for slash in re.finditer("/", text):
        experiment, name = text[: slash.start()], text[slash.end() :]
        found = _one(text, index.named(name, experiment=experiment, deleted=deleted))
        found = found or _by_prefix(index, text, name, experiment)
        if found:
            return found
    return None


def _by_prefix(index: Index, text: str, digits: str, experiment: str | None) -> RunState | None:
    digits = digits.lower()
    if not _DIGITS.fullmatch(digits):
        return None
    found = index.with_prefix(digits, experiment=experiment)
    # A deleted run is in nobody's way.
    return _one(text, [one for one in found if not one.deleted] or found)


def _by_revision(index: Index, repository: Repository, text: str) -> RunState | None:
    """Any git revision that is a run commit, or an amendment however old."""
    commit = repository.resolve(text)
    if commit is None:
        return None
    found = index.with_prefix(commit)
    if found:
        return found[0]
    line = layout.find_line(repository.read_object(commit, "commit"))
    if line is None:
        return None
    import orjson

    try:
        plain = orjson.loads(line[1])
        run = plain["run"] if line[0] == layout.AMENDMENT else plain["id"]
    except (ValueError, KeyError, TypeError):
        return None
    return index.get(run) if isinstance(run, str) else None


def _one(text: str, found: Sequence[RunState]) -> RunState | None:
    if len(found) < 2:
        return found[0] if found else None
    lines = [candidate_line(one) for one in found[:_MOST_CANDIDATES]]
    if len(found) > _MOST_CANDIDATES:
        lines.append(f"... and {len(found) - _MOST_CANDIDATES:,} older ones")
    raise AmbiguousRun(f"{text!r} names {len(found):,} runs; say which one by its id", lines)


def candidate_line(state: RunState) -> str:
    """A run in one line to choose from: short id, full name, status, start."""
    started = dt.datetime.fromtimestamp(state.started, dt.UTC).strftime("%Y-%m-%d %H:%M")
    return f"{state.id[:8]}  {state.experiment}/{state.name}  {state.status}  {started} UTC"


def _purged(repository: Repository, text: str) -> UnknownRun | None:
    """Only its id is left of a run that was deleted for good; without runs that were, nothing is looked up."""
    digits = text.rpartition("/")[2].lower()
    if not _DIGITS.fullmatch(digits):
        return None
    found = [one for run, one in all_purges(repository).items() if run.startswith(digits)]
    if len(found) != 1:
        return None
    when = dt.datetime.fromtimestamp(found[0].time, dt.UTC).strftime("%Y-%m-%d")
    why = f": {found[0].reason}" if found[0].reason else ""
    return UnknownRun(f"run {found[0].run[:8]} was deleted for good by {found[0].author} on {when}{why}")


def _unknown(index: Index, repository: Repository, text: str, experiment: str | None) -> UnknownRun:
    from difflib import get_close_matches

    elsewhere = index.named(text) if experiment else []
    if elsewhere:
        return UnknownRun(
            f"experiment {experiment} has no run {text!r}; there is {elsewhere[0].experiment}/{elsewhere[0].name}"
        )
    commit = repository.resolve(text)
    if commit is not None:
        return UnknownRun(
            f"{text!r} is commit {commit[:12]}, which is no run; its runs: gittrack ls 'commit = {commit[:12]}'"
        )
    alike = get_close_matches(text.rpartition("/")[2], index.names(experiment=experiment), n=3)
    hint = f" (the nearest: {', '.join(alike)})" if alike else ""
    place = f" in experiment {experiment}" if experiment else ""
    return UnknownRun(f"there is no run {text!r}{place}{hint}; 'gittrack ls' lists the runs")
