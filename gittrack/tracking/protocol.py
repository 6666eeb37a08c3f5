"""How a process inside `gittrack run` finds the run, and its seed: environment variables, named here once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gittrack.errors import InvalidValue

RUN = "GITTRACK_RUN"  # the id of the active run
LIVE = "GITTRACK_LIVE"  # the folder that holds its folder
SEED = "GITTRACK_SEED"  # the seed of one of several repeats


def child_environment(run_id: str, live: Path, seed: int | None = None) -> dict[str, str]:
    return {RUN: run_id, LIVE: str(live), **({} if seed is None else {SEED: str(seed)})}


def inherited_run(environ: Mapping[str, str]) -> tuple[str, Path] | None:
    """The run that an enclosing `gittrack run` started, as `(id, live folder)`."""
    run_id, live = environ.get(RUN), environ.get(LIVE)
    return (run_id, Path(live)) if run_id and live else None


def inherited_seed(environ: Mapping[str, str]) -> int | None:
    """The seed that `gittrack run --seeds` gave, if any; raises InvalidValue when somebody set the variable to something else."""
    text = environ.get(SEED)
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise InvalidValue(f"{SEED} must be a whole number, not {text!r:.60}; 'gittrack run --seeds' sets it")
    return int(text[:20])
