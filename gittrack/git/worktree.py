"""The worktree: what differs from HEAD, and a commit of it that touches neither index nor files."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gittrack.git.program import environment, git_failed
from gittrack.git.repository import Repository
from gittrack.values import dataclass

# safecrlf would refuse files that git itself commits with a warning; hooks and the file watcher are the user's own.
_QUIETLY = ("-c", "core.safecrlf=false", "-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false")
_SHOW_ALL = ("--ignore-submodules=none", "--no-renames")
# `git ls-files -v`: lower case is assume-unchanged, S is skip-worktree.
# A NUL goes in front of the first: an alternative in the pattern would cost ten milliseconds in 20,000 files.
_HIDDEN = re.compile(rb"\0([a-zS]) ([^\0]+)")


@dataclass(frozen=True, slots=True)
class Change:
    """One path that differs from HEAD.

    `kind` is one of modified, added, deleted, unmerged, untracked, submodule (with changes of its own), moved submodule
    (another commit is checked out there), nested (an untracked repository), hidden (edited, but git was told not to look).
    """

    path: str
    kind: str

    @property
    def tracked(self) -> bool:
        return self.kind not in {"untracked", "nested"}

    def __str__(self) -> str:
        return f"{self.path} ({self.kind})"


@dataclass(frozen=True, slots=True)
class WorktreeStatus:
    """`head` None: no commit yet; `branch` None: detached; `ahead` commits that the upstream lacks, None without one."""

    head: str | None
    branch: str | None
    ahead: int | None
    changes: tuple[Change, ...]

    @property
    def clean(self) -> bool:
        return not self.changes


def worktree_status(repository: Repository) -> WorktreeStatus:
    """What differs from HEAD now, without writing anything (no refreshed index, no objects).

    The user's own settings that hide things (`status.showUntrackedFiles`, ignored submodules) do not count here.
    """
    commands = (
        ["status", "--porcelain=v2", "-z", "--branch", "--untracked-files=normal", *_SHOW_ALL],
        ["ls-files", "-v", "-z"],
    )
    # Both at once: on a large tree each takes as long as the other.
    running = [
        subprocess.Popen(
            ["git", *command],
            cwd=repository.root,
            env=environment(repository.environment(None)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for command in commands
    ]
    ended = [process.communicate() for process in running]
    for command, process, (_, err) in zip(commands, running, ended, strict=True):
        if process.returncode != 0:
            raise git_failed(tuple(command), process.returncode, err)
    outputs = [out for out, _ in ended]
    status = parse_status(outputs[0])
    hidden = tuple(Change(path, "hidden") for path in _hidden_edits(repository, outputs[1]))
    nested = tuple(_mark_nested(repository, change) for change in status.changes)
    return WorktreeStatus(status.head, status.branch, status.ahead, nested + hidden)


def parse_status(output: bytes) -> WorktreeStatus:
    """The format of `git status --porcelain=v2 -z --branch` (git-status(1), Porcelain Format Version 2)."""
    head: str | None = None
    branch: str | None = None
    ahead: int | None = None
    changes: list[Change] = []
    for item in output.split(b"\0"):
        kind = item[:2]
        if kind == b"# ":
            words = item.decode("utf-8", "surrogateescape").split(" ")
            if words[1] == "branch.oid" and words[2] != "(initial)":
                head = words[2]
            elif words[1] == "branch.head" and words[2] != "(detached)":
                branch = words[2]
            elif words[1] == "branch.ab":
                ahead = int(words[2])
        elif kind == b"1 ":
            _, marks, submodule, _, _, _, _, _, path = item.split(b" ", 8)
            changes.append(Change(os.fsdecode(path), _tracked_kind(marks, submodule)))
        elif kind == b"u ":
            changes.append(Change(os.fsdecode(item.split(b" ", 10)[10]), "unmerged"))
        elif kind == b"? ":
            changes.append(Change(os.fsdecode(item[2:]), "untracked"))
    return WorktreeStatus(head, branch, ahead, tuple(changes))


def _tracked_kind(marks: bytes, submodule: bytes) -> str:
    if submodule[:1] == b"S":
        return "submodule" if b"M" in submodule or b"U" in submodule else "moved submodule"
    if b"D" in marks:
        return "deleted"
    return "added" if b"A" in marks else "modified"


def _mark_nested(repository: Repository, change: Change) -> Change:
    folder = change.kind == "untracked" and change.path.endswith("/") and repository.root is not None
    if folder and (Path(repository.root or "") / change.path / ".git").exists():
        return Change(change.path, "nested")
    return change


def _hidden_edits(repository: Repository, listing: bytes) -> list[str]:
    """Paths whose content differs from the index although git was told not to look at them."""
    assert repository.root is not None
    root = os.fsencode(repository.root)
    # Skipped files that are not there are a sparse checkout; a file that is only assumed unchanged must be.
    names = [
        name
        for mark, name in _HIDDEN.findall(b"\0" + listing)
        if mark not in (b"S", b"s") or os.path.lexists(os.path.join(root, name))
    ]
    if not names:
        return []
    # Beyond a few hundred they would not fit a command line, and listing all is as quick.
    some = ["--", *names] if len(names) < 200 else []
    expected = {}
    for item in repository.git("--literal-pathspecs", "ls-files", "-s", "-z", *some).split(b"\0"):
        if item:
            about, _, name = item.partition(b"\t")
            expected[name] = about.split(b" ")
    found = _worktree_entries(repository, root, names)
    modes_count = repository.setting("core.fileMode") != "false"
    edited = []
    for name in names:
        mode, wanted = expected[name][0], expected[name][1]
        if mode == b"160000":
            continue
        mode_there, id_there = found[name]
        if id_there != wanted or (mode_there != mode and (modes_count or b"120000" in (mode, mode_there))):
            edited.append(os.fsdecode(name))
    return edited


def _worktree_entries(repository: Repository, root: bytes, names: list[bytes]) -> dict[bytes, tuple[bytes, bytes]]:
    """Mode and blob id of files as git would add them now; empty for what is no file."""
    entries: dict[bytes, tuple[bytes, bytes]] = dict.fromkeys(names, (b"", b""))
    plain: list[bytes] = []
    for name in names:
        path = os.path.join(root, name)
        try:
            found = os.lstat(path)
        except OSError:
            continue
        if stat.S_ISLNK(found.st_mode):
            entries[name] = (b"120000", repository.git("hash-object", "--stdin", stdin=os.readlink(path)).strip())
        elif stat.S_ISREG(found.st_mode):
            mode = b"100755" if found.st_mode & 0o100 else b"100644"
            # Relative to the top, so that the attributes of the path count.
            if b"\n" in name or name.startswith(b'"') or name.endswith(b"\r"):
                entries[name] = (mode, repository.git("hash-object", "--", name).strip())
            else:
                entries[name] = (mode, b"")
                plain.append(name)
    if plain:
        hashed = repository.git("hash-object", "--stdin-paths", stdin=b"".join(name + b"\n" for name in plain)).split()
        for name, object_id in zip(plain, hashed, strict=True):
            entries[name] = (entries[name][0], object_id)
    return entries


def untracked_files(repository: Repository) -> list[str]:
    """Every untracked, unignored file by name; a nested repository as one name that ends in a slash."""
    out = repository.git("ls-files", "--others", "--exclude-standard", "-z")
    return [os.fsdecode(name) for name in out.split(b"\0") if name]


def files_like(repository: Repository, patterns: Sequence[str]) -> list[str]:
    """Files that match one of git's pathspecs, tracked or not, but not ignored; none is looked at, so that many cost little."""
    out = repository.git("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns)
    return list(dict.fromkeys(os.fsdecode(name) for name in out.split(b"\0") if name))


def blob_ids(repository: Repository, names: Sequence[str]) -> dict[str, str]:
    """The blob that git would make of each file, by its name; without what is neither file nor link."""
    if not names or repository.root is None:
        return {}
    entries = _worktree_entries(repository, os.fsencode(repository.root), [os.fsencode(name) for name in names])
    return {os.fsdecode(name): blob.decode("ascii") for name, (_, blob) in entries.items() if blob}


def write_snapshot_tree(repository: Repository, *, untracked: bool) -> str:
    """The tree of the worktree as it is now, with all untracked files or with none; returns its id.

    Index and files stay as they are: everything happens in a copy of the index.
    """
    with _index_copy(repository) as index:
        env = {"GIT_INDEX_FILE": str(index)}
        repository.git(*_QUIETLY, "add", "-A" if untracked else "-u", "--", ":/", env=env)
        return repository.git(*_QUIETLY, "write-tree", env=env).strip().decode("ascii")


@contextmanager
def _index_copy(repository: Repository) -> Iterator[Path]:
    # Beside the index, since a split index names its shared part relative to the git folder.
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="gittrack-index-", dir=repository.git_dir))
    try:
        copy = folder / "index"
        original = repository.git_dir / "index"
        if original.exists():
            # With its times: git trusts entries by comparing theirs with the index's own.
            shutil.copy2(original, copy)
        else:
            repository.git("read-tree", "HEAD", env={"GIT_INDEX_FILE": str(copy)})
        yield copy
    finally:
        shutil.rmtree(folder, ignore_errors=True)
