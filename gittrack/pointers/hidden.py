"""Ignore files that hide our folder: git and DVC then show nothing of a run, and say nothing."""

from __future__ import annotations

from gittrack.git.repository import Repository

_FOLDER = ".gittrack"


def hidden_by_git(repository: Repository) -> bool:
    """Whether a `.gitignore` covers our folder: after a checkout of a run `dvc status` then passes over it."""
    probe = f"{_FOLDER}/artifacts/x.dvc"
    return repository.run("check-ignore", "-q", "--", probe, check=False).returncode == 0


def hidden_by_dvc(repository: Repository) -> bool:
    """Whether the `.dvcignore` at the top covers our folder."""
    if repository.root is None:
        return False
    try:
        patterns = (repository.root / ".dvcignore").read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return False
    return any(pattern.rstrip("/*") in {".", _FOLDER, f"/{_FOLDER}"} for pattern in patterns)
