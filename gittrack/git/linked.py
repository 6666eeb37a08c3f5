"""Linked worktrees of our own: detached at a commit, put back to it, cleaned, and taken away."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gittrack.errors import GitFailed
from gittrack.git.program import run_git
from gittrack.git.repository import Repository
from gittrack.values import replace

# The user's hooks and file watcher are not for us; a time that changed must count, whatever the user's git trusts; and
# a reflog would keep the code of every run for months.
_OURS = (
    *("-c", "core.safecrlf=false", "-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false"),
    *("-c", "core.trustctime=true", "-c", "core.checkStat=default", "-c", "core.untrackedCache=false"),
    *("-c", "core.splitIndex=false", "-c", "core.sparseCheckout=false", "-c", "submodule.recurse=false"),
    # As many as there are cores: one alone takes twice as long for 20,000 files.
    *("-c", "core.logAllRefUpdates=false", "-c", "checkout.workers=0"),
)
# Beside git's own files in the folder that git has for a linked worktree.
_MARK = "gittrack"
_KEPT_INDEX = "index.gittrack"
_RULES = "rules.gittrack"
_LASTING = {"HEAD", "commondir", "gitdir", "index", "locked", _MARK, _KEPT_INDEX, _RULES}
_CONVERTING = {"core.autocrlf", "core.eol", "core.filemode", "core.symlinks", "core.attributesfile"}


def add_linked(repository: Repository, folder: Path, commit: str) -> Repository:
    """Make a linked worktree at a commit, detached; raises GitFailed, with nothing left behind."""
    try:
        # Twice: over one that is registered for this folder and gone, even where it was locked. Without files, which would be
        # written by way of the index that a variable may name.
        add = ("worktree", "add", "--quiet", "--force", "--force", "--detach", "--no-checkout")
        repository.git(*_OURS, *add, "--", str(folder), commit)
        linked = open_linked(repository, folder)
        if linked is None:
            raise GitFailed(f"git made no worktree in {folder}", returncode=1, stderr="")
        (linked.git_dir / _MARK).write_bytes(os.fsencode(folder))
        reset_linked(linked, commit)
    except BaseException:
        remove_linked(repository, folder)
        raise
    return linked


def _git(linked: Repository, *words: str) -> bytes:
    # Inside a hook of git a variable names the user's index, which is not ours to write.
    return linked.git(*_OURS, *words, env={"GIT_INDEX_FILE": str(linked.git_dir / "index")})


def open_linked(repository: Repository, folder: Path) -> Repository | None:
    """The linked worktree in a folder, if it is whole and this repository's; it may have been moved, or half removed."""
    git_dir = _git_dir(folder)
    if git_dir is None or os.path.realpath(git_dir.parent) != os.path.realpath(repository.common_dir / "worktrees"):
        return None
    try:
        link = (git_dir / "gitdir").read_bytes().rstrip(b"\n")
    except OSError:
        return None
    if os.path.realpath(git_dir / os.fsdecode(link)) != os.path.realpath(folder / ".git"):
        return None
    return replace(repository, root=folder, git_dir=git_dir, bare=False)


def _git_dir(folder: Path) -> Path | None:
    try:
        link = (folder / ".git").read_bytes()
    except OSError:
        return None
    said = os.fsdecode(link.removeprefix(b"gitdir:").strip())
    return Path(os.path.normpath(folder / said)) if said else None


def reset_linked(linked: Repository, commit: str) -> None:
    """Put every tracked file, the index and HEAD to a commit, whatever was done to them; raises GitFailed, OSError.

    What is not tracked stays, see `clean_linked`.
    """
    _tidy(linked)
    # Before anything else: were a branch checked out here, git would move it.
    _replace(linked.git_dir / "HEAD", f"{commit}\n".encode("ascii"))
    index, kept, rules = (linked.git_dir / name for name in ("index", _KEPT_INDEX, _RULES))
    was_there = kept.exists()
    if was_there:
        # Ours, of which we know that no mark in it hides a changed file.
        shutil.copy2(kept, index)
    else:
        index.unlink(missing_ok=True)
    _git(linked, "read-tree", "--reset", "-u", commit)
    now = _conversion(linked)
    if was_there and (not rules.exists() or rules.read_bytes() != now):
        # git does not write a file anew whose content is the same, however it would convert it by now.
        index.unlink()
        _git(linked, "read-tree", "--reset", "-u", commit)
    _replace(rules, now)
    # With its times: git trusts entries by comparing theirs with the index's own.
    shutil.copy2(index, kept)


def _conversion(linked: Repository) -> bytes:
    """Everything that says how git turns what it holds into files: attributes, filters, line ends."""
    said = {key: values for key, values in linked.config.items() if key.startswith("filter.") or key in _CONVERTING}
    own = linked.setting("core.attributesFile") or os.path.join(
        os.environ.get("XDG_CONFIG_HOME") or "~/.config", "git", "attributes"
    )
    parts = [repr(sorted(said.items())).encode(), os.environ.get("GIT_LFS_SKIP_SMUDGE", "").encode()]
    for file in (linked.common_dir / "info" / "attributes", Path(os.path.expanduser(own))):
        try:
            parts.append(file.read_bytes())
        except OSError:
            parts.append(b"")
    parts.append(_git(linked, "ls-files", "-s", "-z", "--", ":(glob)**/.gitattributes"))
    return hashlib.sha256(b"\0\0".join(parts)).hexdigest().encode("ascii")


def _tidy(linked: Repository) -> None:
    """Of what git knows of the worktree only what every worktree has: no lock of a git that was killed, no merge, no log."""
    for entry in list(os.scandir(linked.git_dir)):
        if entry.name not in _LASTING:
            _remove(Path(entry.path))


def clean_linked(linked: Repository) -> None:
    """Remove all that is not tracked, ignored or not, and repositories inside; no branch stays checked out.

    Raises GitFailed, OSError.
    """
    _tidy(linked)
    if (linked.git_dir / "HEAD").read_bytes().startswith(b"ref:"):
        # Or the user could neither check that branch out nor delete it.
        commit = linked.resolve("HEAD")
        if commit is None:
            raise GitFailed("HEAD names no commit", returncode=1, stderr="")
        _replace(linked.git_dir / "HEAD", f"{commit}\n".encode("ascii"))
    for path in _submodule_paths(linked):
        _remove_inside(linked, path)
    _git(linked, "clean", "-ffdxq")


def untracked_in(linked: Repository) -> list[str]:
    """Every file that is not tracked, ignored or not."""
    listed = _git(linked, "ls-files", "--others", "-z")
    return [os.fsdecode(name) for name in listed.split(b"\0") if name]


def tracked_like(linked: Repository, *patterns: str) -> list[str]:
    """Tracked files of which the path matches one of git's patterns."""
    return [os.fsdecode(name) for name in _git(linked, "ls-files", "-z", "--", *patterns).split(b"\0") if name]


def lock_linked(linked: Repository, reason: str) -> None:
    """Keep `git worktree prune` and `remove` away; see git-worktree(1), lock."""
    # Written by ourselves: `git worktree lock` takes no second lock, and the one of a process that died is to be replaced.
    _replace(linked.git_dir / "locked", f"{reason}\n".encode())


def unlock_linked(linked: Repository) -> None:
    with suppress(OSError):
        (linked.git_dir / "locked").unlink(missing_ok=True)


def remove_linked(repository: Repository, folder: Path) -> None:
    """Take a worktree away with all that is in it, whatever state it is in; never raises."""
    # By hand: `git worktree remove` refuses what is locked, changed or half there.
    admins = [one for one, place in marked_worktrees(repository) if place == folder]
    if (linked := open_linked(repository, folder)) is not None:
        admins.append(linked.git_dir)
    # First what makes it a worktree: who looks at all of them meanwhile is not to take half of one for a whole.
    for place in (folder / ".git", folder, *admins):
        _remove(place)
    with suppress(OSError):
        # As git does with the last one.
        (repository.common_dir / "worktrees").rmdir()


def marked_worktrees(repository: Repository) -> Iterator[tuple[Path, Path]]:
    """git's folder for each worktree that we made, and where its files lie."""
    try:
        names = sorted(os.listdir(repository.common_dir / "worktrees"))
    except OSError:
        return
    for name in names:
        admin = repository.common_dir / "worktrees" / name
        try:
            yield admin, Path(os.fsdecode((admin / _MARK).read_bytes()))
        except OSError:
            continue


def drop_strays(repository: Repository) -> None:
    """Take away git's folder for a worktree of ours that is gone, or is another clone's: of this one moved, or copied."""
    for admin, folder in list(marked_worktrees(repository)):
        there = _git_dir(folder)
        # A locked one may be at work: the clone can be seen at several places, and only one of them is where we look.
        if (there is None or os.path.realpath(there) != os.path.realpath(admin)) and not (admin / "locked").exists():
            _remove(admin)


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that is in it, also where a run has taken its own rights away; never raises."""
    shutil.rmtree(folder, ignore_errors=True)
    if not os.path.lexists(folder):
        return
    for place, names, _ in os.walk(folder):
        for one in (place, *(os.path.join(place, name) for name in names)):
            # Folders alone: a file may be a second name of an object in DVC's cache.
            if not os.path.islink(one):
                with suppress(OSError):
                    os.chmod(one, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _remove_inside(linked: Repository, path: Path) -> None:
    """Remove a path of the worktree; where a run has put a link in its way, the link, and never what it leads to."""
    assert linked.root is not None
    place = linked.root
    for part in path.relative_to(linked.root).parts:
        place /= part
        if place.is_symlink():
            break
    _remove(place)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_bytes(data)
    os.replace(temporary, path)


# --- submodules


def fill_submodules(source: Path, linked: Repository) -> None:
    """Put the files of submodules in place that are checked out below `source`, at the commits that `linked` names.

    From there, for git itself would clone them anew. Raises GitFailed.
    """
    assert linked.root is not None
    links = _gitlinks(linked)
    if links:
        indexes = linked.git_dir / "submodules"
        indexes.mkdir(exist_ok=True)
        _fill(source, linked.root, links, indexes)


def _fill(source: Path, top: Path, links: list[tuple[str, str]], indexes: Path) -> None:
    for path, commit in links:
        there, target = source / path, top / path
        if not target.parent.resolve().is_relative_to(top.resolve()):
            # A link of the captured code leads elsewhere; git would write nothing there either.
            continue
        _remove(target)
        target.mkdir(parents=True, exist_ok=True)
        module = Repository.discover(there) if (there / ".git").exists() else None
        if module is None or module.root is None or not module.root.samefile(there):
            continue
        # Its own index and HEAD belong to the user.
        index = {"GIT_WORK_TREE": str(target), "GIT_INDEX_FILE": str(indexes / str(len(os.listdir(indexes))))}
        env = {**module.environment(), **index}
        run_git(*_OURS, "read-tree", "--reset", "-u", commit, cwd=target, env=env)
        if (target / ".gitmodules").exists():
            _fill(there, target, _parsed(run_git("ls-files", "-s", "-z", cwd=target, env=env).stdout), indexes)


def _submodule_paths(linked: Repository) -> list[Path]:
    return [Path(str(linked.root), path) for path, _ in _gitlinks(linked)]


def _gitlinks(linked: Repository) -> list[tuple[str, str]]:
    """Path and commit of each submodule; to look costs ten milliseconds in a large tree."""
    if linked.root is None or not (linked.root / ".gitmodules").exists():
        return []
    return _parsed(_git(linked, "ls-files", "-s", "-z"))


def _parsed(listed: bytes) -> list[tuple[str, str]]:
    found = []
    for item in listed.split(b"\0"):
        about, _, name = item.partition(b"\t")
        if about.startswith(b"160000 "):
            found.append((os.fsdecode(name), about.split(b" ")[1].decode("ascii")))
    return found
