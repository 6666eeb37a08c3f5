"""The pre-commit framework under a run: while somebody commits, it puts unstaged changes aside, and files change or vanish."""

from __future__ import annotations

import os
from pathlib import Path

from gittrack.errors import GittrackError
from gittrack.git.repository import Repository

# What its hook says of itself, and what people write who call it from a hook of their own; prek does the same.
_SIGNS = (b"pre-commit.com", b"pre_commit", b"pre-commit run", b"pre-commit hook-impl", b"prek ")
_LONGEST_HOOK = 64 * 1024
_told: set[Path] = set()


def stash_warning(repository: Repository) -> str | None:
    """One sentence, where the framework is at work in this worktree; once a process, however many runs it starts."""
    root = repository.root
    if root is None or root in _told or not (root / ".pre-commit-config.yaml").is_file():
        return None
    try:
        with (_hooks_folder(repository, root) / "pre-commit").open("rb") as file:
            said = file.read(_LONGEST_HOOK)
    except (GittrackError, OSError):
        return None
    if not any(sign in said for sign in _SIGNS):
        return None
    _told.add(root)
    return (
        "pre-commit is installed here, and puts unstaged changes aside while somebody commits: files can change or vanish "
        "under this run for a moment; 'gittrack run --isolated' (or run.isolated) prevents that"
    )


def _hooks_folder(repository: Repository, root: Path) -> Path:
    chosen = repository.setting("core.hooksPath")
    # Relative to where git starts hooks (git-config(1)).
    return root / os.path.expanduser(chosen) if chosen else repository.common_dir / "hooks"
