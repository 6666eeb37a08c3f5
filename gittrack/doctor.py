"""`gittrack doctor`: is everything here as it must be, and if not, what to do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from gittrack.capture.identity import signature
from gittrack.errors import GittrackError
from gittrack.git.program import git_version
from gittrack.ledger import layout
from gittrack.pointers.hidden import hidden_by_dvc, hidden_by_git
from gittrack.pointers.setup import has_dvc
from gittrack.tracking.places import all_folders, live_folder, spare_folder
from gittrack.values import dataclass

if TYPE_CHECKING:
    from gittrack.project import Project

_MANY_LOOSE = 6000
_LITTLE_SPACE = 500_000_000


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at; `ok` None means: works, but a person may want to know. `next_step` is empty when all is well."""

    name: str
    ok: bool | None
    text: str
    next_step: str = ""


def examine(project: Project) -> list[Check]:
    """Every check; one that fails in itself is reported, not raised."""
    found: list[Check] = []
    for check in _CHECKS:
        try:
            found.extend(check(project))
        except (GittrackError, OSError) as error:
            found.append(Check(check.__name__.strip("_"), False, str(error)))
    return found


def _git(project: Project) -> Iterator[Check]:
    repo = project.repo
    yield Check("git", True, f"git {git_version()}, {repo.object_format} objects")
    if repo.setting("extensions.refstorage") not in (None, "files"):
        yield Check("refs", None, "refs are kept as a reftable; gittrack goes through git for them")
    if repo.shallow:
        yield Check(
            "history",
            None,
            "this is a shallow clone; runs can be recorded, older code may be missing",
            "git fetch --unshallow",
        )
    head = repo.resolve("HEAD")
    if head is None:
        yield Check(
            "HEAD", False, "there is no commit yet, and a run is a commit on top of one", "git add -A && git commit"
        )
    else:
        yield Check("HEAD", True, f"commit {head[:12]}")


def _identity(project: Project) -> Iterator[Check]:
    who = signature(project.repo, os.environ).identity
    if project.repo.setting("user.email") or os.environ.get("GIT_AUTHOR_EMAIL"):
        yield Check("identity", True, who)
    else:
        yield Check(
            "identity",
            None,
            f"git knows no name; runs are signed {who}",
            "git config --global user.name … and user.email …",
        )


def _tree(project: Project) -> Iterator[Check]:
    status = project.tree()
    if status is None:
        yield Check("worktree", None, "none (a bare repository): runs record HEAD")
    elif status.clean:
        yield Check("worktree", True, "clean")
    elif project.settings.run.allow_dirty != "none":
        yield Check(
            "worktree", True, f"dirty; run.allow_dirty is {project.settings.run.allow_dirty}, so runs keep a snapshot"
        )
    else:
        names = ", ".join(str(change) for change in status.changes[:5])
        yield Check("worktree", None, f"a run would be refused: {names}", "commit, or ignore what is not code")


def _ignored(project: Project) -> Iterator[Check]:
    if project.repo.root is None:
        return
    if hidden_by_git(project.repo):
        yield Check(
            ".gitignore", None, "DVC then shows nothing after a checkout of a run", f"take {layout.FOLDER} out of it"
        )
    if hidden_by_dvc(project.repo):
        yield Check(
            ".dvcignore",
            None,
            f"it covers {layout.FOLDER}/; 'dvc metrics diff' then shows nothing",
            "take that line out of it",
        )


def _dvc(project: Project) -> Iterator[Check]:
    if project.repo.root is None:
        return
    if has_dvc(project.repo.root):
        yield Check("DVC", True, "set up")
    else:
        yield Check("DVC", None, "not set up in this repository", "gittrack init")


def _prune(project: Project) -> Iterator[Check]:
    for key, values in project.repo.config.items():
        if (key == "fetch.prune" or (key.startswith("remote.") and key.endswith(".prune"))) and values[-1] == "true":
            yield Check(
                "prune",
                None,
                f"{key} is on: fetching runs by a refspec would delete local runs that are not there",
                "add --no-prune when you fetch 'refs/experiments/*'",
            )
    for key, values in project.repo.config.items():
        if key.startswith("remote.") and key.endswith(".fetch"):
            for value in values:
                # A mirror's `refs/*` covers us as well; a `*` in a refspec stands for anything, slashes too.
                target = value.partition(":")[2]
                if target.startswith("refs/experiments") or fnmatchcase("refs/experiments/x/y", target):
                    yield Check(
                        "fetch",
                        None,
                        f"{key} = {value}: 'git fetch --prune' would delete local runs that are not there",
                        f"git config --unset-all {key} '{layout.RUNS}'",
                    )


def _disk(project: Project) -> Iterator[Check]:
    home = project.repo.home
    place = home if home.exists() else project.repo.common_dir
    free = shutil.disk_usage(place).free
    yield Check(
        "disk",
        True if free > _LITTLE_SPACE else None,
        f"{free / 1e9:.1f} GB free",
        "" if free > _LITTLE_SPACE else "make room",
    )
    if not os.access(place, os.W_OK):
        yield Check("folder", False, f"{place} cannot be written", "check its owner and the mount")
    else:
        yield Check("folder", True, f"{place} can be written")


def _loose(project: Project) -> Iterator[Check]:
    counts = dict(
        line.split(": ", 1) for line in project.repo.git("count-objects", "-v").decode().splitlines() if ": " in line
    )
    loose = int(counts.get("count", 0))
    if loose > _MANY_LOOSE:
        yield Check("objects", None, f"{loose:,} loose objects make git slow", "git gc")
    else:
        yield Check("objects", True, f"{loose:,} loose objects")


def _active(project: Project) -> Iterator[Check]:
    spare = spare_folder(project.repo)
    folders = all_folders(project.repo)
    stuck = [one.problem for one in project.recover() if one.problem]
    yield Check("active runs", True, f"{len(folders)} in {live_folder(project.repo)}")
    if any(folder.path.is_relative_to(spare) for folder in folders):
        yield Check(
            "active runs",
            None,
            f"some are kept in {spare}, because the repository could not be written",
            "gittrack recover",
        )
    for problem in stuck:
        yield Check("active runs", False, problem or "", "gittrack recover")


def _index(project: Project) -> Iterator[Check]:
    project.count()
    note = project.index_note()
    yield Check("index", None if note else True, note or "up to date", "")
    for damage in project.damage():
        yield Check("runs", False, f"{damage.where}: {damage.reason}", "gittrack fsck")


def _extras(_project: Project) -> Iterator[Check]:
    for package, what in (("pandas", "runs.to_pandas()"), ("matplotlib", "curve --png and log_figure")):
        if find_spec(package) is None:
            yield Check(package, None, f"not installed; {what} needs it", f"pip install {package}")
    if Path("/proc/driver/nvidia").exists() and find_spec("pynvml") is None:
        yield Check("GPU", None, "there is a GPU, and pynvml is missing", "pip install nvidia-ml-py")


_CHECKS: tuple[Callable[[Project], Iterator[Check]], ...] = (
    _git,
    _identity,
    _tree,
    _ignored,
    _dvc,
    _prune,
    _disk,
    _loose,
    _active,
    _index,
    _extras,
)
