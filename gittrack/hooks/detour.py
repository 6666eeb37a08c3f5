"""Where `core.hooksPath` names a folder that is not ours to write: one of our own before it, which passes everything on."""

from __future__ import annotations

import os
from pathlib import Path

from gittrack.errors import RepositoryError
from gittrack.git.config import (
    HooksPath,
    config_file,
    drop_draft,
    hooks_paths,
    own_values,
    set_hooks_path,
    swap_config,
    with_hooks_path,
)
from gittrack.git.repository import Repository
from gittrack.hooks.beside import hook_names
from gittrack.hooks.files import UNDER_WAY, drop, drop_folder, put, read
from gittrack.hooks.guards import CLIENT_HOOKS
from gittrack.hooks.notes import Notes, drop_notes, write_notes
from gittrack.hooks.shims import PASSED_ON, PASSED_ON_IF_THERE, is_ours, shim
from gittrack.values import replace

_DRAFT = "hooks-config"


def install(repository: Repository, notes: Notes) -> list[str]:
    """Raises RepositoryError before anything is changed, or with all of it undone."""
    folder = _folder(repository)
    values = hooks_paths(repository)
    current = values[-1]
    if current.scope == "worktree":
        raise RepositoryError(
            "core.hooksPath is set for this worktree alone, which would hide what is set for the clone; move it with "
            "'git config --worktree --unset core.hooksPath' and 'git config core.hooksPath ...'"
        )
    there = current.raw == notes.ours or _leads_to(repository, current, folder)
    former = _former(repository, values, notes, folder) if there else current
    if former is not None and _is_gittracks(repository, former):
        return [f"core.hooksPath names hooks of gittrack already, {former.path}; nothing is to do"]
    if not there:
        notes = _before(repository, notes, current)
    notes = replace(notes, former=None if former is None else former.path, ours=str(folder))
    drop_draft(repository, repository.home / _DRAFT)
    write_notes(repository, notes)
    if notes.config is not None and not there:
        after = with_hooks_path(notes.config[0], str(folder), repository.home / _DRAFT)
        notes = replace(notes, config=(notes.config[0], after))
        write_notes(repository, notes)
    _write_shims(repository, folder, notes.former)
    if current.raw != str(folder):
        set_hooks_path(repository, [str(folder)])
        counts = hooks_paths(repository)[-1]
        if counts.raw != str(folder):
            uninstall(repository, notes)
            drop_notes(repository, notes)
            raise RepositoryError(
                f"core.hooksPath is {counts.raw!r} whatever a clone says, by a file that its configuration includes; take it "
                "out there, then run this again"
            )
    done = [f"git calls gittrack's guards, by core.hooksPath of this clone: {folder}"]
    return [*done, f"the hooks in {former.path} are called first, as before"] if former is not None else done


def uninstall(repository: Repository, notes: Notes | None) -> list[str]:
    folder = _folder(repository)
    done = []
    own = own_values(repository)
    if own and own[-1] in (str(folder), notes.ours if notes else None):
        whole = (
            notes is not None
            and notes.config is not None
            and swap_config(repository, notes.config[1], notes.config[0], repository.home / _DRAFT)
        )
        if not whole:
            set_hooks_path(repository, notes.values if notes else ())
        done.append("core.hooksPath is as it was before gittrack")
        if notes is None:
            done = ["core.hooksPath is unset; what it was before gittrack is noted nowhere"]
    strangers = []
    for name in sorted(os.listdir(folder)) if folder.is_dir() else ():
        if name.endswith(UNDER_WAY) or is_ours(read(folder / name) or b""):
            drop(folder / name)
        else:
            strangers.append(name)
    if strangers:
        done.append(f"{', '.join(strangers)} in {folder} did not come from gittrack and stay; git calls them no more")
    else:
        drop_folder(folder)
    drop_draft(repository, repository.home / _DRAFT)
    return done


def is_folder(repository: Repository, folder: Path) -> bool:
    return folder == _folder(repository)


def _folder(repository: Repository) -> Path:
    return repository.home / "hooks"


def _before(repository: Repository, notes: Notes, current: HooksPath) -> Notes:
    """The notes of what is to be put back."""
    config = config_file(repository).read_bytes()
    return replace(notes, scope=current.scope, values=tuple(own_values(repository)), config=(config, b""))


def _leads_to(repository: Repository, value: HooksPath, folder: Path) -> bool:
    """A shim that calls itself would never end, however the folder is written."""
    return os.path.realpath(_from_top(repository, value.path)) == os.path.realpath(folder)


def _former(repository: Repository, values: list[HooksPath], notes: Notes, folder: Path) -> HooksPath | None:
    """What counted before ours: as noted, but where it is not this clone's own it may have changed."""
    others = [one for one in values if one.scope != "local" and not _leads_to(repository, one, folder)]
    if notes.former is not None and (notes.scope == "local" or not others):
        return HooksPath(notes.scope, notes.former, notes.former)
    return others[-1] if others else None


def _write_shims(repository: Repository, folder: Path, former: str | None) -> None:
    folder.mkdir(exist_ok=True)
    names = set(CLIENT_HOOKS)
    if former:
        there = hook_names(_from_top(repository, former))
        # git gains hooks, and `git hook run` calls any: whatever is named like one.
        names.update(PASSED_ON, (one for one in there if one in PASSED_ON_IF_THERE or "-" in one))
    for name in sorted(names):
        wanted = shim(name, former or "")
        if read(folder / name) != wanted or not os.access(folder / name, os.X_OK):
            put(folder / name, wanted, 0o755)


def _from_top(repository: Repository, path: str) -> Path:
    return (repository.root or repository.git_dir) / path


def _is_gittracks(repository: Repository, former: HooksPath) -> bool:
    """Whether these are the hooks that come with gittrack's sources, which call the guards by themselves."""
    content = read(_from_top(repository, former.path) / "pre-commit") or b""
    return b"gittrack hooks run" in content and not is_ours(content)
