"""Objects that a pointer in git names, wherever a person may have one: DVC's cache keeps them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from gittrack.data.depot import Depot
from gittrack.domain.pointer import FOLDER_SUFFIX
from gittrack.errors import GitFailed, GittrackError
from gittrack.git.repository import Repository

# Whatever looks like one, since a pointer may be YAML or JSON, and quoted or not.
_OID = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?:\.dir\b)?(?![0-9a-f])")
_FEW = 200


def named_by_git(depot: Depot) -> Iterator[str]:
    """What a pointer names in any branch, tag, remote branch or stash, or in the files or the index of any worktree.

    Raises GitFailed when git cannot look: what nobody saw would look like what nobody needs.
    """
    repository = depot.repository
    commits = _commits(repository)
    oids: set[str] = set()
    for folder, head in _worktrees(repository):
        commits[head] = None
        if folder is not None:
            try:
                there = repository if folder == repository.root else Repository.discover(folder)
                oids |= _grep(there, "--untracked", "--no-exclude-standard") | _grep(there, "--cached")
            except GittrackError:
                # That of an isolated run goes when it ends; its HEAD is looked at all the same.
                if os.path.lexists(folder / ".git"):
                    raise
    ids = list(filter(None, commits))
    for at in range(0, len(ids), _FEW):
        oids |= _grep(repository, trees=ids[at : at + _FEW])
    for oid in oids:
        yield oid
        if oid.endswith(FOLDER_SUFFIX):
            try:
                yield from depot.store.objects(oid)
            except GittrackError:
                continue


def _commits(repository: Repository) -> dict[str, None]:
    refs = repository.git("for-each-ref", "--format=%(objectname)", "refs/heads", "refs/tags", "refs/remotes")
    found = dict.fromkeys([*refs.decode("ascii").split(), repository.resolve("HEAD") or ""])
    if repository.resolve("refs/stash") is not None:
        # Every stash with its parents: what lay in the index, and what was untracked, are commits of their own.
        found |= dict.fromkeys(
            repository.git("log", "-g", "--format=%H %P", "refs/stash", "--").decode("ascii").split()
        )
    return found


def _worktrees(repository: Repository) -> Iterator[tuple[Path | None, str]]:
    """Every worktree with its HEAD; None for one whose files are not here."""
    listed = repository.run("worktree", "list", "--porcelain", "-z", check=False)
    end = b"\0"
    if listed.returncode != 0:
        # git before 2.36 ends its lines as ever.
        listed, end = repository.run("worktree", "list", "--porcelain"), b"\n"
    for entry in listed.stdout.split(end * 2):
        lines = dict(line.partition(b" ")[::2] for line in entry.split(end) if line)
        if b"worktree" not in lines or b"bare" in lines:
            continue
        folder = Path(os.fsdecode(lines[b"worktree"]))
        head = lines.get(b"HEAD", b"").decode("ascii")
        yield (folder if folder.is_dir() else None), head.strip("0") and head


def _grep(repository: Repository, *options: str, trees: list[str] | None = None) -> set[str]:
    words = ("grep", "-h", "-a", "--no-color", "--no-recurse-submodules", *options, "-E", "-e", "[0-9a-f]{32}")
    done = repository.run(*words, *(trees or ()), "--", "*.dvc", "*dvc.lock", check=False)
    if done.returncode not in (0, 1):
        raise GitFailed(f"'git grep' could not look for pointers: {done.stderr.decode('utf-8', 'replace').strip()}")
    return {one.decode("ascii") for one in _OID.findall(done.stdout)}
