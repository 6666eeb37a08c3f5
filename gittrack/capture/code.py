"""The code that ran: HEAD when the tree is clean, else a refusal or a snapshot commit."""

from __future__ import annotations

import os
from pathlib import Path

from gittrack.domain.run import CodeCapture
from gittrack.errors import DirtyTree, GitFailed, GittrackError, NoCommitYet, RepositoryError
from gittrack.git.objects import ObjectBatch, Signature
from gittrack.git.remote import find_default_branch
from gittrack.git.repository import Repository
from gittrack.git.worktree import (
    WorktreeStatus,
    untracked_files,
    worktree_status,
    write_snapshot_tree,
)
from gittrack.values import replace

_SECRET_PROBE = 256 * 1024


def capture_code(repository: Repository, *, allow_dirty: str, author: Signature, snapshot_limit: int) -> CodeCapture:
    """The code as it is now; `allow_dirty` is `none`, `tracked` or `all`, `snapshot_limit` in bytes per untracked file.

    Raises NoCommitYet without a commit, DirtyTree when the tree may not be recorded as it is.
    """
    if repository.root is None:
        head = repository.resolve("HEAD")
        if head is None:
            raise _no_commit(repository)
        return _with_origin(repository, CodeCapture(commit=head))
    status = worktree_status(repository)
    if status.head is None:
        raise _no_commit(repository)
    code = CodeCapture(
        commit=status.head,
        branch=status.branch,
        pushed=None if status.ahead is None else status.ahead == 0,
    )
    if not status.clean:
        if allow_dirty == "none":
            raise _refusal(status)
        code = _snapshot(repository, status, code, allow_dirty == "all", author, snapshot_limit)
    return _with_origin(repository, code)


def _no_commit(repository: Repository) -> NoCommitYet:
    return NoCommitYet(
        f"the repository at {repository.root or repository.git_dir} has no commit yet, and a run is a commit "
        "on top of one; commit your code first: git add -A && git commit"
    )


def _refusal(status: WorktreeStatus) -> DirtyTree:
    count = len(status.changes)
    files = f"{count} file differs" if count == 1 else f"{count} files differ"
    return DirtyTree(
        f"{files} from the last commit, so this run could not be repeated; commit, or ignore what is not code "
        "(.gitignore), or pass --allow-dirty=tracked (or =all, with untracked files) to record a snapshot",
        [str(change) for change in status.changes],
    )


def _snapshot(
    repository: Repository,
    status: WorktreeStatus,
    code: CodeCapture,
    untracked: bool,
    author: Signature,
    limit: int,
) -> CodeCapture:
    names = untracked_files(repository)
    problems = _unrecordable(repository, status, names if untracked else [], limit)
    if problems:
        raise DirtyTree(
            "the tree cannot be recorded as a snapshot without losing or leaking something; mend what is listed, "
            "then try again",
            problems,
        )
    try:
        tree = write_snapshot_tree(repository, untracked=untracked)
    except GitFailed as error:
        raise DirtyTree(f"git could not take a snapshot of the tree: {error}", error.stderr.splitlines()) from None
    except OSError as error:
        raise _no_snapshot(repository, error) from None
    changed = tuple(change.path for change in status.changes if change.tracked)
    batch = ObjectBatch(repository)
    listed = "\n".join(_printable(name) for name in (*changed, *(names if untracked else ())))
    commit = batch.commit(
        tree=tree,
        parents=[code.commit],
        author=author,
        committer=author,
        message=f"Snapshot of a dirty tree\n\n{listed}\n",
    )
    try:
        batch.write()
    except OSError as error:
        raise _no_snapshot(repository, error) from None
    return replace(
        code,
        dirty=True,
        snapshot=commit,
        files=tuple(map(_printable, changed + (tuple(names) if untracked else ()))),
        unrecorded=() if untracked else tuple(map(_printable, names)),
    )


def _no_snapshot(repository: Repository, error: OSError) -> RepositoryError:
    return RepositoryError(
        f"the snapshot of a dirty tree cannot be written to {repository.common_dir} ({error.strerror}); commit, or mend that"
    )


def _printable(name: str) -> str:
    """A path as text that any file can hold; bytes that are not UTF-8 as `\\xNN`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace").replace("\n", "\\n")


def _unrecordable(repository: Repository, status: WorktreeStatus, names: list[str], limit: int) -> list[str]:
    reasons = {
        "unmerged": "a merge is not finished; resolve it",
        "submodule": "a submodule has changes of its own; commit them there",
        "hidden": "edited, but marked assume-unchanged or skip-worktree; unmark it with 'git update-index'",
    }
    problems = [f"{one.path}: {reasons[one.kind]}" for one in status.changes if one.kind in reasons]
    root = repository.root
    assert root is not None
    problems += [
        f"{one.path}: {secret}, which would stay in git for ever; take it out"
        for one in status.changes
        if one.kind in {"modified", "added"} and (secret := _new_secret(repository, root, one.path))
    ]
    for name in names:
        if name.endswith("/"):
            problems.append(
                f"{name}: another repository lies there, whose files git would not record; ignore or move it"
            )
            continue
        problem = _untracked_problem(root / name, limit)
        if problem:
            problems.append(f"{name}: {problem}")
    return problems


def _new_secret(repository: Repository, root: Path, name: str) -> str | None:
    """What looks like a secret in a changed file and was not in HEAD already."""
    from gittrack.capture.secrets import find_secret

    try:
        path = root / name
        if path.is_symlink() or not path.is_file():
            return None
        with path.open("rb") as file:
            found = find_secret("", file.read(_SECRET_PROBE))
    except OSError:
        return None
    if found is None:
        return None
    before = repository.run("cat-file", "blob", f"HEAD:{name}", check=False)
    return None if before.returncode == 0 and find_secret("", before.stdout) else found


def _untracked_problem(path: Path, limit: int) -> str | None:
    from gittrack.capture.secrets import find_secret

    try:
        if path.is_symlink() or not path.is_file():
            return None
        size = path.stat().st_size
        if size > limit:
            return f"{size:,} bytes would stay in git for ever; ignore it, or raise run.snapshot_limit"
        with path.open("rb") as file:
            secret = find_secret(str(path), file.read(_SECRET_PROBE))
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None if secret is None else f"looks like a secret ({secret}); ignore or remove it"


# --- where the code comes from

_origins: dict[tuple[Path, str | None, str, str | None], CodeCapture] = {}


def _with_origin(repository: Repository, code: CodeCapture) -> CodeCapture:
    """Adds the remote and what the branch did since it left the default branch; never fails for it."""
    key = (repository.git_dir, code.branch, code.commit, code.snapshot)
    found = _origins.get(key)
    if found is None:
        try:
            found = _read_origin(repository, code)
        except GittrackError:
            found = code
        _origins[key] = found
    return replace(
        code,
        remote=found.remote,
        default_branch=found.default_branch,
        merge_base=found.merge_base,
        commits_since_base=found.commits_since_base,
        files_since_base=found.files_since_base,
    )


def _read_origin(repository: Repository, code: CodeCapture) -> CodeCapture:
    from gittrack.capture.secrets import strip_userinfo

    remote = repository.setting(f"branch.{code.branch}.remote") if code.branch else None
    url = repository.setting(f"remote.{remote or 'origin'}.url")
    found = find_default_branch(repository, remote)
    code = replace(code, remote=None if url is None else strip_userinfo(url))
    if found is None:
        return code
    default, tip = found
    base = tip if tip == code.commit else repository.merge_base(tip, code.commit)
    code = replace(code, default_branch=default.removeprefix("refs/heads/").removeprefix("refs/remotes/"))
    if base is None:
        return code
    count = 0
    files: tuple[str, ...] = ()
    if base != code.commit:
        count = int(repository.git("rev-list", "--count", f"{base}..{code.commit}"))
    if base != code.captured:
        listed = repository.git("diff-tree", "-r", "-z", "--name-only", "--no-renames", base, code.captured)
        files = tuple(_printable(os.fsdecode(name)) for name in listed.split(b"\0") if name)[:1000]
    return replace(code, merge_base=base, commits_since_base=count, files_since_base=files)
