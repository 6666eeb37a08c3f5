"""Putting tracked data into a worktree: DVC does it, so that DVC is content with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from gittrack.domain.artifact import is_inside
from gittrack.errors import CorruptRecord, GittrackError


def check_out(folder: Path, root: Path | None, cache: Path | None) -> list[str]:
    """`dvc checkout` in a fresh linked worktree of everything whose bytes are in the cache; returns the paths of what is not.

    Raises CorruptRecord where DVC cannot do it, and before anything is written where the commit, which other people may
    have made, would have data lie outside of the worktree.
    """
    from dvc.repo import Repo

    try:
        _check_project(folder)
        use_cache_of(folder, root, cache)
        with Repo(str(folder)) as repo:
            _check_places(folder, repo)
            return _check_out(repo)
    except GittrackError:
        raise
    except Exception as error:  # DVC raises many kinds, of no common class worth naming here
        said = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise CorruptRecord(
            f"DVC cannot put the data of {folder} in place: {said}; mend that there, then run 'dvc checkout'"
        ) from None


def _check_project(folder: Path) -> None:
    """Through a link DVC, and we, would write to wherever it leads."""
    for place, folders, names in os.walk(folder / ".dvc"):
        for name in ("", *folders, *names):
            path = Path(place, name)
            if path.is_symlink():
                raise CorruptRecord(
                    f"{path} is a link, so DVC could write outside of the worktree; no data are put in place there"
                )


def _check_places(folder: Path, repo: Any) -> None:
    top = folder.resolve()
    for out in repo.index.outs:
        if out.protocol != "local":
            continue
        path = Path(out.fspath)
        if not all(_is_below(one, top) for one in (path, *_links_below(path))):
            raise CorruptRecord(
                f"{out.stage.relpath} would have its data at {path.resolve()}, outside of the worktree, so no data are put "
                "in place there; look who made this run"
            )


def _is_below(path: Path, top: Path) -> bool:
    found = path.resolve()
    return found != top and found.is_relative_to(top) and is_inside(found.relative_to(top).as_posix())


def _links_below(folder: Path) -> list[Path]:
    """What git has put where DVC's data are to lie."""
    return [
        Path(place, name)
        for place, folders, names in os.walk(folder)
        for name in (*folders, *names)
        if os.path.islink(os.path.join(place, name))
    ]


def use_cache_of(folder: Path, root: Path | None, cache: Path | None) -> None:
    """Let a linked worktree share the project's cache and private settings; without that DVC gives it an empty one.

    Written to `.dvc/config.local`, which git ignores; one that the commit brought says nothing here.
    """
    from configobj import ConfigObj

    target = folder / ".dvc" / "config.local"
    before = root / ".dvc" / "config.local" if root is not None else None
    target.unlink(missing_ok=True)
    settings = ConfigObj(str(target), list_values=False, encoding="utf-8")
    if before is not None and before.is_file():
        for name, section in ConfigObj(str(before), list_values=False, encoding="utf-8").items():
            for key, value in section.items():
                settings.setdefault(name, {})[key] = _absolute(value, key, before.parent)
    if cache is not None:
        settings.setdefault("cache", {})["dir"] = str(cache)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        settings.write(file)


def _absolute(value: str, key: str, folder: Path) -> str:
    """DVC takes a relative path in a settings file from that file's own folder."""
    if key not in ("url", "dir", "keyfile", "credentialpath") or "://" in value or os.path.isabs(value):
        return value
    return os.path.normpath(folder / value)


def _check_out(repo: Any) -> list[str]:
    from dvc.exceptions import CheckoutError

    try:
        repo.checkout(force=True, allow_missing=True)
    except CheckoutError as error:
        return [str(one) for one in error.target_infos]
    return sorted(_missing(repo.status()))


def _missing(status: dict[str, object]) -> set[str]:
    found = set()
    for changes in status.values():
        for change in changes if isinstance(changes, list) else ():
            outs = change.get("changed outs", {}) if isinstance(change, dict) else {}
            found |= {path for path, state in outs.items() if state in ("deleted", "not in cache")}
    return found
