"""Every guard: its name, the git hooks that call it, and where its check is."""

from __future__ import annotations

from gittrack.values import dataclass


@dataclass(frozen=True, slots=True)
class Guard:
    """`hooks` are git's names, in which it is called on its own; empty: only by hand, or by a CI.

    `module` is below `gittrack.hooks` and has `check(call) -> Verdict`. `closed`: where it fails by itself it refuses
    (on a server); everything else lets pass what it could not look at, and says so.
    """

    name: str
    hooks: tuple[str, ...]
    module: str
    about: str
    closed: bool = False


GUARDS = (
    Guard(
        "gittrack-active-run",
        ("pre-commit", "pre-merge-commit", "prepare-commit-msg", "pre-rebase", "post-checkout", "post-merge"),
        "active_run",
        "no commit, merge or rebase under a run that is active in this worktree",
    ),
    Guard("gittrack-clean-run", ("pre-commit",), "clean_run", "no results of a run on a dirty tree are committed"),
    Guard(
        "gittrack-large-files",
        ("pre-commit",),
        "large_files",
        "no data or models beyond a limit without a DVC pointer",
    ),
    Guard(
        "gittrack-notebooks",
        ("pre-commit",),
        "notebooks",
        "no notebook whose outputs come from an unrecorded run",
    ),
    Guard("gittrack-secrets", ("pre-commit",), "secrets", "nothing that looks like a credential is committed"),
    Guard(
        "gittrack-trailer",
        ("prepare-commit-msg", "commit-msg"),
        "trailer",
        "names the run whose results a commit holds",
    ),
    Guard("gittrack-push-runs", ("pre-push",), "push_runs", "the runs of pushed commits go along"),
    Guard("gittrack-tags", ("pre-push",), "tags", "pushed tags of models are what they say"),
    Guard("gittrack-dirty", (), "dirty", "the tree is as it was committed"),
    Guard("gittrack-update", ("update",), "update", "models and ledgers on a server only grow", closed=True),
)
BY_NAME = {one.name: one for one in GUARDS}
# What a clone asks; `update` is for the repository that is pushed to.
CLIENT_HOOKS = tuple(dict.fromkeys(hook for one in GUARDS for hook in one.hooks if hook != "update"))


def guards_of(hook: str) -> tuple[Guard, ...]:
    return tuple(one for one in GUARDS if hook in one.hooks)
