"""How a process inside `gittrack run` finds the run: two environment variables, named here once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

RUN = "GITTRACK_RUN"  # the id of the active run
LIVE = "GITTRACK_LIVE"  # the folder that holds its folder


def child_environment(run_id: str, live: Path) -> dict[str, str]:
    return {RUN: run_id, LIVE: str(live)}


def inherited_run(environ: Mapping[str, str]) -> tuple[str, Path] | None:
    """The run that an enclosing `gittrack run` started, as `(id, live folder)`."""
    run_id, live = environ.get(RUN), environ.get(LIVE)
    return (run_id, Path(live)) if run_id and live else None
