"""`core.hooksPath`, and git's configuration file of a clone put back as it was."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from gittrack.errors import RepositoryError
from gittrack.git.program import run_git
from gittrack.git.repository import Repository
from gittrack.values import dataclass

_KEY = "core.hooksPath"


@dataclass(frozen=True, slots=True)
class HooksPath:
    """One value of `core.hooksPath`: `scope` is git's word (system, global, local, worktree), `raw` as it is written.

    `path` is what git makes of it, a home folder filled in; a relative one counts from where a hook is run.
    """

    scope: str
    raw: str
    path: str


def hooks_paths(repository: Repository) -> list[HooksPath]:
    """Every value that is configured, the one that counts last; raises GitFailed for one that git cannot read."""
    found = [_values(repository, *form) for form in ((), ("--type=path",))]
    return [
        HooksPath(scope, raw, path)
        for (scope, raw), (_, path) in zip(*found, strict=True)
        # What was said with `git -c` is gone when hooks are called.
        if scope != "command"
    ]


def _values(repository: Repository, *form: str) -> list[tuple[str, str]]:
    done = repository.run("config", "--show-scope", "-z", *form, "--get-all", _KEY, check=False)
    if done.returncode == 1 and not done.stderr:
        return []
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().split("\n")[0]
        raise RepositoryError(f"git cannot read {_KEY} ({said}); mend that in the file that it names")
    words = [os.fsdecode(one) for one in done.stdout.split(b"\0")]
    return list(zip(words[::2], words[1::2], strict=False))


def config_file(repository: Repository) -> Path:
    """The file in which a clone's own values are written, behind any link."""
    return (repository.common_dir / "config").resolve()


def own_values(repository: Repository) -> list[str]:
    """What the clone's own file says, without the files that it includes."""
    done = repository.run("config", "--local", "-z", "--get-all", _KEY, check=False)
    return [os.fsdecode(one) for one in done.stdout.split(b"\0")[:-1]]


def with_hooks_path(config: bytes, path: str, draft: Path) -> bytes:
    """The bytes that git makes of a configuration file when it sets `core.hooksPath`; `draft` is where to try it."""
    try:
        draft.touch(0o600)
        draft.write_bytes(config)
        run_git("config", "--file", str(draft), "--replace-all", _KEY, path)
        return draft.read_bytes()
    finally:
        draft.unlink(missing_ok=True)


def set_hooks_path(repository: Repository, values: Sequence[str]) -> None:
    """Make these the values of this clone; raises GitFailed."""
    first, *more = values or [""]
    if values:
        repository.git("config", "--local", "--replace-all", _KEY, first)
    else:
        repository.run("config", "--local", "--unset-all", _KEY, check=False)
    for value in more:
        repository.git("config", "--local", "--add", _KEY, value)


def drop_draft(repository: Repository, draft: Path) -> None:
    """Remove what a kill has left of `with_hooks_path` and `swap_config`, and the lock if that is ours."""
    path = config_file(repository)
    lock = path.with_name(f"{path.name}.lock")
    if draft.exists() and lock.exists() and os.path.samefile(draft, lock):
        lock.unlink()
    draft.unlink(missing_ok=True)
    draft.with_name(f"{draft.name}.lock").unlink(missing_ok=True)


def swap_config(repository: Repository, there: bytes, wanted: bytes, draft: Path) -> bool:
    """Write the clone's configuration file whole, under git's own lock; False where it no longer holds `there`.

    `draft` is a place on the same file system; what a kill leaves there tells the next call that the lock is ours. Raises
    RepositoryError when somebody else has it locked.
    """
    path = config_file(repository)
    lock = path.with_name(f"{path.name}.lock")
    drop_draft(repository, draft)
    try:
        draft.touch(0o600)
        draft.write_bytes(wanted)
        draft.chmod(path.stat().st_mode & 0o7777)
        try:
            os.link(draft, lock)
        except FileExistsError:
            raise RepositoryError(
                f"git is changing {path}; if no git is at work, remove {lock} and try again"
            ) from None
        except OSError:
            # A file system without links: git itself may do it.
            return False
        try:
            if path.read_bytes() != there:
                return False
            os.replace(lock, path)
        finally:
            lock.unlink(missing_ok=True)
    finally:
        draft.unlink(missing_ok=True)
    return True
