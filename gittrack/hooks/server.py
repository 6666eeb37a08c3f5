"""Whose settings count on a server: those that it had before the push, and nothing that who pushes can say."""

from __future__ import annotations

from gittrack.errors import RepositoryError
from gittrack.git.remote import find_default_branch
from gittrack.git.repository import id_or_none
from gittrack.hooks.call import Call
from gittrack.models.settings import Authority, authority_at
from gittrack.settings import GUARDED_LEDGERS, settings_of

# Which push it is, as `hooks/update` found out; empty or absent where it could not.
PUSH = "GITTRACK_PUSH"
# What the default branch was before the push that changes its settings.
_BEFORE = "policy-before"


def authority(call: Call) -> Authority:
    """The settings of the default branch as it was before this push; raises RepositoryError where nobody can tell which branch it is."""
    repository = call.repository
    commit = repository.resolve("HEAD")
    branch = "HEAD"
    if commit is None:
        found = find_default_branch(repository)
        if found is None and repository.list_refs("refs/heads/"):
            raise RepositoryError(
                "HEAD of this repository names no branch that is here, so nobody knows whose settings count; who keeps it sets it with "
                "'git symbolic-ref HEAD refs/heads/NAME'"
            )
        branch, commit = found or ("", None)
    changed = _changed_in_this_push(call, commit)
    commit = changed[0] if changed else commit
    if commit is None:
        return Authority(settings_of(b""), "", "")
    return authority_at(repository, commit, branch.removeprefix("refs/heads/").replace("HEAD", "the default branch"))


def _changed_in_this_push(call: Call, tip: str | None) -> tuple[str | None] | None:
    """What the default branch was before this very push moved it, as `hooks/update` noted it; None where it did not."""
    try:
        push, new, old = (call.repository.home / _BEFORE).read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return (id_or_none(old),) if tip == new and push == call.environ.get(PUSH) else None


def ledger_mode(call: Call) -> str:
    """As git's own settings here say, else the default branch; who pushes has no say in it by variables."""
    own = str(call.repository.setting("gittrack.guards.ledgers") or "").lower()
    return own if own in GUARDED_LEDGERS else authority(call).settings.guards.ledgers
