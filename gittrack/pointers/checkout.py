"""Putting tracked data into a worktree: DVC does it, so that DVC is content with it."""

from __future__ import annotations

import os
from pathlib import Path


def use_cache_of(folder: Path, root: Path | None, cache: Path | None) -> None:
    """Let a linked worktree share the project's cache and private settings; without that DVC gives it an empty one.

    Written to `.dvc/config.local`, which git ignores; one that is there keeps what it says.
    """
    from configobj import ConfigObj

    target = folder / ".dvc" / "config.local"
    before = root / ".dvc" / "config.local" if root is not None else None
    settings = ConfigObj(str(target), list_values=False, encoding="utf-8")
    if before is not None and before.is_file() and before != target:
        for name, section in ConfigObj(str(before), list_values=False, encoding="utf-8").items():
            for key, value in section.items():
                settings.setdefault(name, {}).setdefault(key, _absolute(value, key, before.parent))
    if cache is not None:
        settings.setdefault("cache", {})["dir"] = str(cache)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        settings.write(file)


def _absolute(value: str, key: str, folder: Path) -> str:
    """DVC takes a relative path in a settings file from that file's own folder."""
    if key not in ("url", "dir", "keyfile", "credentialpath") or "://" in value or os.path.isabs(value):
        return value
    return os.path.normpath(folder / value)


def check_out(root: Path) -> list[str]:
    """`dvc checkout` of everything whose bytes are in the cache; returns the paths of what is not."""
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        try:
            repo.checkout(force=True, allow_missing=True)
        except Exception as error:  # DVC raises many kinds, of no common class worth naming here
            from dvc.exceptions import CheckoutError

            if isinstance(error, CheckoutError):
                return [str(one) for one in error.target_infos]
            raise
        status = repo.status()
    return sorted(_missing(status))


def _missing(status: dict[str, object]) -> set[str]:
    found = set()
    for changes in status.values():
        for change in changes if isinstance(changes, list) else ():
            outs = change.get("changed outs", {}) if isinstance(change, dict) else {}
            found |= {path for path, state in outs.items() if state in ("deleted", "not in cache")}
    return found
