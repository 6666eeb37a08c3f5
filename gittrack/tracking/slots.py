"""Where isolated runs work: a few folders that are kept between runs, each locked by the run that is in it.

They lie in `<git common dir>/gittrack/isolated/<number>/<name of the repository>`: on the file system of the repository, so
that data can be linked from DVC's cache and no small home or memory disk fills up; gone with the clone; and at a place that
stays, so that paths in tracebacks and caches keyed by path mean the same each time. The name comes last because tools take
the name of a folder for that of the project. Few tools look at names further up; one that passes over everything below a
`.git` (jest, some watchers) finds nothing there, and GITTRACK_WORKTREES names another folder for it.

lock      held (flock) by the run, and by every process that it started: while one of them lives nobody takes the folder
used      who works here, JSON; gone when it was left as it should be
<name>/   the worktree
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from gittrack.errors import GitFailed, GittrackError, RepositoryError
from gittrack.git.linked import (
    add_linked,
    clean_linked,
    drop_strays,
    fill_submodules,
    lock_linked,
    marked_worktrees,
    open_linked,
    remove_linked,
    remove_tree,
    reset_linked,
    unlock_linked,
)
from gittrack.git.program import holding
from gittrack.git.repository import Repository
from gittrack.live.owner import Liveness, Owner, boot_id, liveness, process_start, this_process
from gittrack.values import replace

VARIABLE = "GITTRACK_WORKTREES"  # the folder in which isolated runs work, should it be another
# So many are kept when their runs are over; a spare saves the next run from writing every file anew.
SPARES = 2
_MOST = 10_000
# How often a folder may be taken away just when we had made it.
_TRIES = 100


class Slot:
    """One such folder, which is ours until `close`."""

    def __init__(self, repository: Repository, path: Path, handle: int) -> None:
        self._repository = repository
        self._handle = handle
        self.path = path

    @property
    def folder(self) -> Path:
        """The worktree."""
        return self.path / _name(self._repository)

    # --- taking

    @classmethod
    def take(cls, repository: Repository, environ: Mapping[str, str]) -> Slot:
        """The first that nobody works in; raises RepositoryError where there can be none."""
        home = slots_home(repository, environ)
        for number in range(_MOST):
            slot = _lock(repository, home / str(number), make=True)
            if slot is None:
                continue
            if slot._is_left():
                return slot
            slot.close()
        raise RepositoryError(f"{_MOST:,} isolated runs are active in {home}; wait until some are over")

    def _is_left(self) -> bool:
        """Whether all who said that they work here are gone; where locks do not reach (NFS), that is all there is to ask."""
        return all(map(_is_gone, self._users()))

    def _users(self) -> list[Owner]:
        import orjson

        try:
            plain = orjson.loads((self.path / "used").read_bytes())
            return [Owner.from_dict(one) for one in plain]
        except (OSError, orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
            return []

    def use(self, *, pid: int | None = None) -> None:
        """Say that this process works here, and the command that it started; raises OSError."""
        us = this_process()
        self._note([us] if pid is None else [us, replace(us, pid=pid, started=process_start(pid) or 0.0)])

    def _note(self, users: list[Owner]) -> None:
        import orjson

        temporary = self.path / "used.new"
        temporary.write_bytes(orjson.dumps([one.to_dict() for one in users]))
        os.replace(temporary, self.path / "used")

    # --- the worktree

    def prepare(self, commit: str) -> Repository:
        """The worktree with the files of a commit, and no others; raises GitFailed, OSError."""
        is_spare = not (self.path / "used").exists()
        self.use()
        with holding(self._handle):
            return self._prepared(commit, is_spare)

    def _prepared(self, commit: str, is_spare: bool) -> Repository:
        linked = open_linked(self._repository, self.folder)
        if linked is not None:
            try:
                lock_linked(linked, _REASON)
                reset_linked(linked, commit)
                if not is_spare:
                    clean_linked(linked)
            except (GitFailed, OSError):
                # Whatever a run has done to it: a new one costs a second or two.
                linked = None
        if linked is None:
            remove_linked(self._repository, self.folder)
            linked = add_linked(self._repository, self.folder, commit)
            lock_linked(linked, _REASON)
        if self._repository.root is not None:
            fill_submodules(self._repository.root, linked)
        return linked

    def leave(self) -> None:
        """Clean up and let go, or leave that to the next run where something that this one started still works here.

        Never raises.
        """
        with suppress(OSError):
            # Nobody, but to be cleaned, whoever comes first.
            self._note([])
        self.close()
        # Processes of the run have our lock too: only who takes it anew knows whether they are gone.
        with suppress(GittrackError):
            again = _lock(self._repository, self.path, make=False)
            if again is not None:
                try:
                    again.put_back()
                finally:
                    again.close()

    def put_back(self) -> None:
        """Leave a spare that the next run finds clean, or nothing; never raises."""
        with holding(self._handle):
            self._put_back()

    def _put_back(self) -> None:
        linked = open_linked(self._repository, self.folder)
        spare = self.path.name.isdecimal() and int(self.path.name) < SPARES and linked is not None
        try:
            if linked is None or not spare:
                self.remove()
                return
            clean_linked(linked)
            unlock_linked(linked)
            (self.path / "used").unlink(missing_ok=True)
        except (GittrackError, OSError):
            self.remove()

    def remove(self) -> None:
        """Take the folder away, with all that is in it; never raises."""
        remove_linked(self._repository, self.folder)
        remove_tree(self.path)
        with suppress(OSError):
            self.path.parent.rmdir()

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _is_gone(user: Owner) -> bool:
    state = liveness(user)
    # One in another container of this machine cannot be seen; but the lock, which we have, would be its own.
    return state is Liveness.DEAD or (state is Liveness.UNKNOWN and user.boot == boot_id())


_REASON = "an isolated run of gittrack works here"


def slots_home(repository: Repository, environ: Mapping[str, str]) -> Path:
    chosen = environ.get(VARIABLE)
    if not chosen:
        # Without links: the current folder of a process has none, and paths are held against each other.
        return Path(os.path.realpath(repository.home / "isolated"))
    # Several repositories may have the same name, and share that folder.
    digest = hashlib.sha256(os.fsencode(repository.common_dir)).hexdigest()[:12]
    return Path(os.path.realpath(repository.common_dir / os.path.expanduser(chosen))) / digest


def _name(repository: Repository) -> str:
    common = repository.common_dir
    return (common.parent.name if common.name == ".git" else common.name.removesuffix(".git")) or "worktree"


def _lock(repository: Repository, path: Path, *, make: bool) -> Slot | None:
    """The folder if nobody works in it; None where somebody does, or, unless `make`, where there is none."""
    import fcntl

    for tries in range(_TRIES + 1):
        try:
            if make:
                path.mkdir(parents=True, exist_ok=True)
            handle = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError as error:
            if not make:
                return None
            if tries == _TRIES:
                # Not a race with somebody who takes it away: a place where nothing can be made, such as /proc.
                raise _unusable(path, error) from None
            continue
        except OSError as error:
            if isinstance(error, PermissionError) and (path / "lock").exists():
                # Another user's, in a clone that several share.
                return None
            raise _unusable(path, error) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(handle).st_ino == os.stat(path / "lock").st_ino:
                os.set_inheritable(handle, True)
                return Slot(repository, path, handle)
        except BlockingIOError:
            os.close(handle)
            return None
        except FileNotFoundError:
            # Somebody has just taken it away.
            pass
        except OSError as error:
            os.close(handle)
            raise _unusable(path, error) from None
        os.close(handle)
    return None


def _unusable(path: Path, error: OSError) -> RepositoryError:
    return RepositoryError(
        f"there can be no isolated run in {path.parent} ({error.strerror}); mend that, or let {VARIABLE} name a folder elsewhere"
    )


# --- all of them


def _all(repository: Repository, environ: Mapping[str, str]) -> Iterator[Path]:
    """Every folder of an isolated run, also where the variable named another place before."""
    home = slots_home(repository, environ)
    drop_strays(repository)
    found = {folder.parent for _, folder in marked_worktrees(repository)}
    with suppress(OSError):
        found |= {home / name for name in os.listdir(home) if name.isdecimal()}
    yield from sorted(found)


def sweep_slots(repository: Repository, environ: Mapping[str, str]) -> None:
    """Clean what runs left behind that were killed; quick where there is nothing, and never raises."""
    for path in _all(repository, environ):
        if not (path / "used").exists() and (path / "lock").exists():
            continue
        _with_left(repository, path, Slot.put_back)


def remove_spares(repository: Repository, environ: Mapping[str, str]) -> int:
    """Take away every folder in which no run works; returns how many."""
    return sum(_with_left(repository, path, Slot.remove) for path in list(_all(repository, environ)))


def _with_left(repository: Repository, path: Path, act: Callable[[Slot], None]) -> bool:
    try:
        slot = _lock(repository, path, make=False)
    except GittrackError:
        return False
    if slot is None:
        return False
    try:
        if not slot._is_left():
            return False
        act(slot)
        return True
    finally:
        slot.close()
