"""The settings that count for models: those of the default branch, whatever the worktree or a run has."""

from __future__ import annotations

import hashlib
import os
import uuid
from contextlib import suppress

from gittrack.errors import NoCommitYet, RefConflict, RepositoryError, SettingsError
from gittrack.git.refs import RefChange, change_refs
from gittrack.git.remote import ask_default_branch, fetch_refs, find_default_branch
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.settings import SETTINGS_FILE, Settings, settings_of
from gittrack.values import dataclass

SIGNERS_FILE = ".gittrack/allowed_signers"


@dataclass(frozen=True, slots=True)
class Authority:
    """Settings as a commit of the default branch has them; `signers` is its allowed-signers file (ssh-keygen(1)), if any."""

    settings: Settings
    branch: str
    commit: str
    signers: bytes | None = None


def default_branch(repository: Repository, remote: str | None = None) -> tuple[str, str]:
    """The default branch and its commit: that of the remote as it was last seen here, else that of this clone, else HEAD.

    Raises NoCommitYet without any commit; RepositoryError where a remote's branches are here and none is known to be its default.
    """
    found = find_default_branch(repository, remote)
    local = found is None or found[0].startswith("refs/heads/")
    if remote is not None:
        for name, tip in repository.list_refs(_seen_ref(remote)).items():
            # Asked for a change, and perhaps newer than what `git fetch` last brought.
            if found is None or local or found[1] == tip or repository.merge_base(found[1], tip) == found[1]:
                return f"{remote}/{name.rpartition('/')[2].replace('=', '/')}", tip
        if local and repository.list_refs(f"refs/remotes/{remote}/"):
            raise RepositoryError(
                f"nobody here knows the default branch of {remote}, whose settings decide; 'git remote set-head {remote} --auto' "
                "asks it"
            )
    if found is not None:
        return found[0].removeprefix("refs/heads/").removeprefix("refs/remotes/"), found[1]
    commit = repository.resolve("HEAD")
    if commit is None:
        raise NoCommitYet(
            "the repository has no commit yet, so there is no run to make a model of; commit your code first"
        )
    return "HEAD", commit


def _seen_ref(remote: str) -> str:
    """Below it lies what a remote's default branch was when it was last asked; a remote may be given as an address."""
    return f"refs/gittrack/policy/{hashlib.sha256(remote.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}/"


def _look(repository: Repository, remote: str) -> None:
    """Ask a remote for its default branch as it is now, and remember it, beside the user's own remote-tracking branches."""
    asked = ask_default_branch(repository, remote)
    if asked is None:
        return
    branch, commit = asked
    known = repository.list_refs(_seen_ref(remote))
    place = _seen_ref(remote) + branch.removeprefix("refs/heads/").replace("/", "=")
    if known == {place: commit}:
        return
    if repository.resolve(commit) is None:
        token = f"{layout.INCOMING}{os.getpid()}-{uuid.uuid4().hex[:8]}/head"
        fetch_refs(repository, remote, {branch: token})
        commit = repository.resolve(token) or commit
        change_refs(repository, [RefChange(token, None, commit)])
    changes = [RefChange(ref, None, tip) for ref, tip in known.items() if ref != place]
    with suppress(RefConflict):
        # Another process asks at this moment.
        change_refs(repository, [*changes, RefChange(place, commit, known.get(place))], "gittrack: default branch")


def authority(repository: Repository, remote: str | None = None, *, ask: bool = False) -> Authority:
    """What counts now, as the remote says when it is asked (`ask`), else as it was last seen; raises SettingsError, GitFailed."""
    if ask and remote is not None:
        _look(repository, remote)
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
