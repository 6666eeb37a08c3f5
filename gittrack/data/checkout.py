"""The whole state of a run, code and data, in a worktree or on a branch of its own."""

from __future__ import annotations

import os
from pathlib import Path
from shlex import quote

from gittrack.data.depot import Depot
from gittrack.data.needed import Needed, needed_objects
from gittrack.domain.artifact import is_inside
from gittrack.domain.input import RUN
from gittrack.domain.run import RunState
from gittrack.errors import GitFailed, GittrackError, UsageError
from gittrack.git.repository import Repository
from gittrack.values import dataclass


@dataclass(frozen=True, slots=True)
class CheckedOut:
    """Where the run lies now, and what of its data could not be had, each with the reason."""

    commit: str
    place: Path | None
    branch: str | None
    absent: tuple[str, ...]


def check_out_worktree(depot: Depot, run: RunState, folder: Path, *, data: bool = True) -> CheckedOut:
    """A new linked worktree with the run's commit, its data in place; raises UsageError where the folder is taken."""
    commit = _commit(run)
    # git is started at the top of the worktree, and we are where the person is.
    folder = Path(os.path.abspath(folder))
    absent: tuple[str, ...] = ()
    was_there = os.path.lexists(folder)
    try:
        _git(depot.repository, "worktree", "add", "--detach", "--", str(folder), commit)
        was_there = False
        if data:
            asked = list(needed_objects(depot.repository, [run]))
            needed, absent = _bring(depot, asked)
            absent += _materialise(depot, folder.resolve(), asked, needed)
    except UsageError:
        raise
    except BaseException:
        # Interrupted: half a state of a run would look like all of it, and stand in the way of the next try.
        if not was_there:
            depot.repository.run("worktree", "remove", "--force", "--force", "--", str(folder), check=False)
        raise
    return CheckedOut(commit, folder, None, absent)


def check_out_branch(depot: Depot, run: RunState, branch: str, *, data: bool = True) -> CheckedOut:
    """A new branch at the run's commit, and its data in DVC's cache; the worktree stays where it is."""
    commit = _commit(run)
    _git(depot.repository, "branch", "--no-track", "--", branch, commit)
    absent: tuple[str, ...] = ()
    if data:
        _, absent = _bring(depot, list(needed_objects(depot.repository, [run])))
    return CheckedOut(commit, None, branch, absent)


def _commit(run: RunState) -> str:
    if run.head is None:
        raise UsageError(f"run {run.name} is still active; wait until it is finished, then check it out")
    # The head, not the run's own commit: artifacts that were added later lie there.
    return run.head


def _git(repository: Repository, *words: str) -> None:
    try:
        repository.git(*words)
    except GitFailed as error:
        said = (error.stderr.splitlines() or [str(error)])[-1].removeprefix("fatal: ")
        raise UsageError(f"git will not make it: {said}; name another place or branch") from None


def _bring(depot: Depot, asked: list[Needed]) -> tuple[list[Needed], tuple[str, ...]]:
    """The run's objects into the store and DVC's cache; what could not be had is told."""
    here, absent = [], []
    for one in asked:
        try:
            depot.bring([one.pointer], what=one.called)
            for oid in depot.store.objects(one.pointer.oid):
                depot.store.expose(oid)
            here.append(one)
        except (GittrackError, OSError) as error:
            absent.append(str(error))
    return here, tuple(absent)


def _materialise(depot: Depot, folder: Path, asked: list[Needed], needed: list[Needed]) -> tuple[str, ...]:
    """The files at their places: by DVC where the commit is a DVC project, so that `dvc status` is content."""
    if (folder / ".dvc").is_dir():
        from gittrack.pointers.checkout import check_out

        try:
            missing = check_out(folder, depot.repository.root, depot.store.places.cache)
        except GittrackError as error:
            return (str(error),)
        # What the run needs was told above.
        mine = {one.path for one in asked}
        return tuple(
            f"{path} is in no cache here; 'dvc pull {quote(path)}' fetches it"
            for path in missing
            if path.removeprefix(f"{folder}/") not in mine
        )
    absent = []
    for one in needed:
        target = folder / one.path
        if one.tracked_by == RUN or target.exists():
            # What another run made has no place here.
            continue
        # The path, and the commit with its links, may be of other people's making.
        if not is_inside(one.path) or not target.resolve().is_relative_to(folder) or target.is_symlink():
            absent.append(f"{one} would lie outside of {folder}, and is not put there; look who made this run")
            continue
        try:
            depot.store.export(one.pointer.oid, target)
        except (GittrackError, OSError) as error:
            absent.append(f"{one}: {error}")
    return tuple(absent)
