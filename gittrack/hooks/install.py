"""`gittrack hooks install` and `uninstall`: three ways into a repository, and every one of them back.

Whatever is done is noted first, and each file is renamed into its place: after a kill the same command goes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gittrack.errors import RepositoryError
from gittrack.git.config import hooks_paths
from gittrack.git.repository import Repository
from gittrack.hooks import beside, detour
from gittrack.hooks.files import UNDER_WAY, drop, put, read
from gittrack.hooks.framework import CONFIG, decoded, guarded, has_block, names_guards, with_block, without_block
from gittrack.hooks.guards import CLIENT_HOOKS
from gittrack.hooks.notes import Notes, drop_notes, home_is_ours, read_notes
from gittrack.hooks.shims import is_ours
from gittrack.values import dataclass

_WAYS = {
    "framework": f"through {CONFIG}",
    "beside": "in git's hooks folder",
    "detour": "by core.hooksPath",
    "scripts": "by core.hooksPath, which names scripts that come with gittrack",
}


@dataclass(frozen=True, slots=True)
class Installed:
    """How guards are called here: `way` is framework, beside, detour or scripts; None: not at all.

    `folder` is where git looks for hooks, `hooks` those of git's hooks that reach us from there.
    """

    way: str | None
    folder: Path
    hooks: tuple[str, ...]

    @property
    def says(self) -> str:
        return _WAYS[self.way] if self.way else "nowhere"

    @property
    def lacking(self) -> tuple[str, ...]:
        return tuple(one for one in CLIENT_HOOKS if one not in self.hooks)


def install(repository: Repository) -> list[str]:
    """Let git call the guards, after whatever it called before; returns what was done, a line each. Safe to repeat.

    Raises RepositoryError, with nothing changed, where that cannot be done without harm to what is there.
    """
    way = _way(repository)
    notes = read_notes(repository)
    _drop_draft(repository)
    if notes is not None and notes.way != way:
        raise RepositoryError(
            f"gittrack is called {_WAYS[notes.way]} already, and would now be {_WAYS[way]}; run 'gittrack hooks uninstall' "
            "first, then this again"
        )
    if way == "framework":
        return _add_to_framework(repository)
    fresh = notes or Notes(way=way, home_made=home_is_ours(repository))
    done = beside.install(repository, fresh) if way == "beside" else detour.install(repository, fresh)
    if repository.bare and not (repository.common_dir / "worktrees").is_dir():
        done.append(
            "careful: these hooks are for worktrees, and this repository has none; what is pushed here is guarded by 'hooks/update' of "
            "gittrack's sources (docs/guide/guards/update.md)"
        )
    return done


def uninstall(repository: Repository) -> list[str]:
    """Put everything back as `install` found it; returns what was done, a line each. Safe to repeat."""
    notes = read_notes(repository)
    config = _framework_file(repository)
    _drop_draft(repository)
    if notes is None and config is not None and has_block(decoded(read(config) or b"")):
        put(config, without_block(decoded(read(config) or b"")).encode("utf-8"))
        return [f"took gittrack out of {CONFIG}; commit that"]
    # Also without notes: who removes our folder by hand should not be left with shims.
    done = [*detour.uninstall(repository, notes), *beside.uninstall(repository, notes)]
    drop_notes(repository, notes)
    return done or ["gittrack is in no hook here"]


def look(repository: Repository) -> Installed:
    """What is installed, by what lies there now."""
    folder = _folder_in_use(repository)
    config = _framework_file(repository)
    if config is not None and names_guards((read(config) or b"").decode("utf-8", "replace")):
        return Installed("framework", folder, tuple(_of_framework(folder)))
    ours = tuple(one for one in CLIENT_HOOKS if _reaches_us(folder, one))
    if not ours:
        return Installed(None, folder, ())
    if detour.is_folder(repository, folder):
        return Installed("detour", folder, ours)
    return Installed("scripts" if hooks_paths(repository) else "beside", folder, ours)


def _reaches_us(folder: Path, hook: str) -> bool:
    # `pre-commit install` moves what it finds, and calls it under this name.
    return any(
        b"gittrack hooks run" in (read(folder / name) or b"") and os.access(folder / name, os.X_OK)
        for name in (hook, f"{hook}.legacy")
    )


def _way(repository: Repository) -> str:
    if _framework_file(repository) is not None:
        return "framework"
    values = hooks_paths(repository)
    return "detour" if values else "beside"


def _drop_draft(repository: Repository) -> None:
    """What a kill has left of a configuration under way."""
    if repository.root is not None:
        drop(repository.root / (CONFIG + UNDER_WAY))


def _framework_file(repository: Repository) -> Path | None:
    if repository.root is None:
        return None
    path = repository.root / CONFIG
    return path if os.path.lexists(path) else None


def _folder_in_use(repository: Repository) -> Path:
    values = hooks_paths(repository)
    if not values:
        return repository.common_dir / "hooks"
    # A relative one counts from where git runs hooks.
    return (repository.root or repository.git_dir) / values[-1].path


def _add_to_framework(repository: Repository) -> list[str]:
    path = _framework_file(repository)
    assert path is not None
    assert repository.root is not None
    if not path.resolve().is_relative_to(repository.root.resolve()) or not path.is_file():
        raise RepositoryError(
            f"{path} leads out of this repository, to a file that others may use; copy the file to where the link is first"
        )
    text = decoded(path.read_bytes())
    changed = with_block(text)
    if changed == text:
        done = [f"{CONFIG} has gittrack's guards and stays as it is"]
    else:
        put(path.resolve(), changed.encode("utf-8"))
        done = [f"added {len(guarded())} guards to {CONFIG}; commit that"]
    folder = _folder_in_use(repository)
    called = set(_of_framework(folder))
    lacking = [one for one in CLIENT_HOOKS if one not in called]
    if lacking:
        command = f"pre-commit install {' '.join(f'--hook-type {one}' for one in lacking)}"
        if hooks_paths(repository):
            done.append(
                f"next: '{command}', which core.hooksPath forbids: 'git config --unset-all core.hooksPath' first"
            )
        else:
            done.append(f"next: {command}")
    return done


def _of_framework(folder: Path) -> Iterator[str]:
    """The hooks in which the framework is installed."""
    for hook in CLIENT_HOOKS:
        content = read(folder / hook) or b""
        if b"hook-impl" in content and not is_ours(content):
            yield hook
