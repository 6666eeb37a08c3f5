"""The settings that count for models: those of the default branch, whatever the worktree or a run has."""

from __future__ import annotations

from dataclasses import dataclass

from gittrack.errors import NoCommitYet, SettingsError
from gittrack.git.remote import find_default_branch
from gittrack.git.repository import Repository
from gittrack.settings import SETTINGS_FILE, Settings, settings_of

SIGNERS_FILE = ".gittrack/allowed_signers"


@dataclass(frozen=True, slots=True)
class Authority:
    """Settings as a commit of the default branch has them; `signers` is its allowed-signers file (ssh-keygen(1)), if any."""

    settings: Settings
    branch: str
    commit: str
    signers: bytes | None = None


def default_branch(repository: Repository, remote: str | None = None) -> tuple[str, str]:
    """The default branch and its commit: that of the remote as it was last seen here, else that of this clone.

    Where no branch has the name of one, HEAD; raises NoCommitYet where that has no commit.
    """
    found = find_default_branch(repository, remote)
    if found is not None:
        head, tip = found
        return head.removeprefix("refs/heads/").removeprefix("refs/remotes/").removesuffix("/HEAD"), tip
    commit = repository.resolve("HEAD")
    if commit is None:
        raise NoCommitYet(
            "the repository has no commit yet, so there is no run to make a model of; commit your code first"
        )
    return "HEAD", commit


def authority(repository: Repository, remote: str | None = None) -> Authority:
    """What counts now; raises SettingsError where it cannot be read."""
    branch, commit = default_branch(repository, remote)
    return authority_at(repository, commit, branch)


def authority_at(repository: Repository, commit: str, branch: str = "") -> Authority:
    """What counted when `commit` was the newest of the default branch."""
    names = [f"{commit}:{path}" for path in (SETTINGS_FILE, SIGNERS_FILE)]
    found = {name: data for name, kind, data in repository.read_objects(names) if kind == "blob"}
    try:
        settings = settings_of(found.get(names[0], b""))
    except SettingsError as error:
        raise SettingsError(
            f"on the default branch ({branch or commit[:12]}), which says what a stage demands, {error}"
        ) from None
    return Authority(settings, branch, commit, found.get(names[1]))
