"""Where active runs of a repository live on disk."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from pathlib import Path

from gittrack.domain.names import is_run_id
from gittrack.git.repository import Repository
from gittrack.live.folder import RunFolder, run_folders


def live_folder(repository: Repository) -> Path:
    return repository.home / "live"


def spare_folder(repository: Repository) -> Path:
    """Where runs go while the repository cannot be written: the temporary folder, one place per user and repository."""
    return _spare(live_folder(repository))


def _spare(live: Path) -> Path:
    common_dir = live.parent.parent
    digest = hashlib.sha256(os.fsencode(common_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"gittrack-{os.getuid()}" / digest / "live"


def run_folder(live: Path, run_id: str) -> RunFolder:
    """The folder of a run in the repository's own place; what does not fit there goes to the spare one."""
    return RunFolder(live, run_id, overflow=_spare(live) / run_id)


def make_spare(place: Path) -> Path:
    """Make a run's folder in the spare place; raises OSError, also when somebody else has taken that place."""
    live = place.parent
    for folder in (live.parent.parent, live.parent, live, place):
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.lstat().st_uid != os.getuid():
            raise PermissionError(errno.EPERM, f"{folder} belongs to somebody else")
    return place


def all_folders(repository: Repository) -> list[RunFolder]:
    """Every run folder of the repository, in its own and in the spare place."""
    live, spare = live_folder(repository), spare_folder(repository)
    found = {folder.run_id: run_folder(live, folder.run_id) for folder in run_folders(live)}
    for folder in run_folders(spare) if _is_mine(spare) else []:
        found.setdefault(folder.run_id, folder)
    return list(found.values())


def find_folder(repository: Repository, run_id: str) -> RunFolder | None:
    if not is_run_id(run_id):
        return None
    folder = run_folder(live_folder(repository), run_id)
    if folder.exists():
        return folder
    spare = RunFolder(spare_folder(repository), run_id)
    return spare if spare.exists() and _is_mine(spare.path.parent) else None


def _is_mine(folder: Path) -> bool:
    """The temporary folder is everybody's: what somebody else put there is not read."""
    try:
        return all(place.lstat().st_uid == os.getuid() for place in (folder.parent.parent, folder.parent, folder))
    except OSError:
        return False
