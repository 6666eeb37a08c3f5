"""Shims in git's own hooks folder; a hook that is there moves aside, and is called first."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from gittrack.errors import RepositoryError
from gittrack.git.repository import Repository
from gittrack.hooks.files import UNDER_WAY, drop, drop_folder, put, read
from gittrack.hooks.guards import CLIENT_HOOKS
from gittrack.hooks.notes import Notes, write_notes
from gittrack.hooks.shims import KEPT, is_ours, shim, was_ours
from gittrack.values import replace

_LEGACY = ".legacy"


def install(repository: Repository, notes: Notes) -> list[str]:
    """Raises RepositoryError before anything is changed."""
    folder = repository.common_dir / "hooks"
    _check(folder)
    made = notes.folder_made or not folder.exists()
    write_notes(repository, replace(notes, folder_made=made))
    folder.mkdir(exist_ok=True)
    told, first = [], []
    for hook in CLIENT_HOOKS:
        path, kept = folder / hook, folder / (hook + KEPT)
        problem = _in_the_way(path, kept)
        if problem:
            told.append(problem)
            continue
        content = read(path)
        if os.path.lexists(path) and not (content is not None and is_ours(content)):
            _keep(path, kept)
        if os.path.lexists(kept):
            first.append(hook)
        if content != (wanted := shim(hook)) or not os.access(path, os.X_OK):
            put(path, wanted, 0o755)
    done = [f"git calls gittrack's guards, by {len(CLIENT_HOOKS)} hooks in {folder}", *told]
    if first:
        done.insert(1, f"your own {', '.join(first)} {'is' if len(first) == 1 else 'are'} called first, as before")
    return done


def uninstall(repository: Repository, notes: Notes | None) -> list[str]:
    folder = repository.common_dir / "hooks"
    done: list[str] = []
    told: list[str] = []
    for hook in CLIENT_HOOKS:
        path, kept, legacy = folder / hook, folder / (hook + KEPT), folder / (hook + _LEGACY)
        drop(path.with_name(path.name + UNDER_WAY))
        there = read(path) or b""
        if is_ours(there) or (not os.path.lexists(path) and os.path.lexists(kept)):
            _put_back(kept, path)
            done.append(hook)
        elif is_ours(read(legacy) or b""):
            _put_back(kept, legacy)
            done.append(hook)
            told.append(f"{path} is another's now and stays")
        elif was_ours(there):
            told.append(f"{path} was changed by somebody and stays; take gittrack's lines out of it by hand")
        elif os.path.lexists(kept):
            if _same(path, kept):
                os.unlink(kept)
            else:
                told.append(
                    f"{path} is another's now and stays; what was there before gittrack is {kept.name} beside it"
                )
    if notes is not None and notes.folder_made:
        drop_folder(folder)
    return [f"{', '.join(done)} in {folder} are as they were before gittrack", *told] if done else told


def _check(folder: Path) -> None:
    if folder.is_symlink():
        target = os.path.realpath(folder)
        raise RepositoryError(
            f"{folder} is a link to a folder that others may use; run 'git config core.hooksPath "
            f"{shlex.quote(target)}' and then this again"
        )
    if folder.exists() and not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        raise RepositoryError(f"{folder} cannot be written; see to its permissions and try again")


def _in_the_way(path: Path, kept: Path) -> str | None:
    """Why this hook has to stay as it is."""
    there = read(path) or b""
    if is_ours(there) or not os.path.lexists(path):
        return None
    if was_ours(there):
        return f"{path} was changed by somebody and stays as it is"
    if is_ours(read(path.with_name(path.name + _LEGACY)) or b""):
        # Another tool that keeps the hook which it finds: it calls ours, and ours must not call it.
        return f"{path} is another's now, and calls gittrack's as {path.name}{_LEGACY}"
    if os.path.lexists(kept) and not _same(path, kept):
        return f"{path} is not guarded: {kept.name} beside it is an older hook; remove one of them and run this again"
    return None


def _keep(path: Path, kept: Path) -> None:
    """Give the hook its second name; it keeps the first one too until the shim takes it, so that git always finds one."""
    if _same(path, kept):
        return
    try:
        os.link(path, kept, follow_symlinks=False)
    except (OSError, NotImplementedError):
        # A folder, a file system without links, or a system that links only what a link leads to.
        os.rename(path, kept)


def _put_back(kept: Path, path: Path) -> None:
    if not os.path.lexists(kept):
        drop(path)
    elif kept.is_dir() and not kept.is_symlink():
        drop(path)
        os.rename(kept, path)
    else:
        os.replace(kept, path)


def _same(path: Path, kept: Path) -> bool:
    """Whether these are two names of one hook, or copies of it."""
    try:
        one, other = path.lstat(), kept.lstat()
    except OSError:
        return False
    if os.path.samestat(one, other):
        return True
    if one.st_mode != other.st_mode:
        return False
    if path.is_symlink():
        return os.readlink(path) == os.readlink(kept)
    return read(path) is not None and read(path) == read(kept)


def hook_names(folder: Path) -> list[str]:
    """Names in a folder that git might call."""
    try:
        found = sorted(os.listdir(folder))
    except OSError:
        return []
    return [one for one in found if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", one) and not (folder / one).is_dir()]
