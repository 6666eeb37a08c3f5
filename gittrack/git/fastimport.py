"""Many commits through one `git fast-import`, out of sight until all of them are there."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from gittrack.errors import GitFailed
from gittrack.git.objects import Signature, identity_bytes
from gittrack.git.packs import IMPORTED
from gittrack.git.program import environment, git_failed, not_started
from gittrack.git.repository import Repository

# In the private repository: nobody else ever sees it.
_REF = b"refs/heads/import"
_SLICE = 1 << 18
# Set inside hooks, these would lead git elsewhere.
_MISLEADING = ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH", "GIT_WORK_TREE")


class FastImport:
    """One `git fast-import`, for a `with` block; its commits come into the repository with `finish`, and a ref must reach them
    before the block ends.

    Until then it writes into a private repository that borrows our objects. So one that fails or is killed leaves neither
    refs nor half a pack nor a crash report in ours, only a folder, which the next import removes.
    Every method raises GitFailed or OSError when the world does not allow it.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._lock, self._folder = _new_folder(repository)
        self._process: subprocess.Popen[bytes] | None = None
        self._errors = self._folder / "errors"
        self._parts: list[bytes] = []
        self._size = 0

    def __enter__(self) -> Self:
        try:
            _make_private(self._folder, self._repository)
            self._start()
        except BaseException:
            self._clear()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear()

    def _start(self) -> None:
        env = environment({"GIT_DIR": str(self._folder)})
        for name in _MISLEADING:
            env.pop(name, None)
        # No limit: few objects, or one, come as a pack too, which one rename brings to its place.
        command = ["git", "-c", "fastimport.unpackLimit=0", "fast-import", "--quiet", "--done", "--date-format=raw"]
        try:
            with self._errors.open("wb") as errors:
                self._process = subprocess.Popen(
                    command,
                    cwd=self._folder,
                    env=env,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    bufsize=0,
                )
        except OSError as error:
            raise not_started(error, self._folder) from None

    def _clear(self) -> None:
        if self._process is not None:
            # Whoever comes here before the end wants none of it.
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
        _remove(self._repository, self._folder)
        os.close(self._lock)

    # --- what goes in

    def commit(
        self,
        mark: int,
        parents: Sequence[str],
        files: Mapping[str, bytes],
        *,
        author: Signature,
        committer: Signature,
        message: bytes,
        removed: Iterable[str] = (),
        bare: bool = False,
    ) -> None:
        """A commit that others may name as `:<mark>` until the mark is given to another.

        Its tree is that of the first parent, unless `bare`, with `removed` paths taken out and `files` put in.
        """
        parts = [
            b"commit %s\nmark :%d\nauthor %s\ncommitter %s\n" % (_REF, mark, _signed(author), _signed(committer)),
            b"encoding UTF-8\ndata %d\n%s\n" % (len(message), message),
        ]
        if parents:
            parts.append("\nmerge ".join([f"from {parents[0]}", *parents[1:]]).encode("ascii") + b"\n")
        else:
            # Else it would go on where the commit before it ended.
            parts.insert(0, b"reset %s\n" % _REF)
        if bare:
            parts.append(b"deleteall\n")
        parts += [b"D %s\n" % _path(path) for path in removed]
        parts += [b"M 100644 inline %s\ndata %d\n%s\n" % (_path(path), len(data), data) for path, data in files.items()]
        text = b"".join(parts)
        self._parts.append(text)
        self._size += len(text)
        if self._size >= _SLICE:
            self._flush()

    def _flush(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        rest = memoryview(b"".join(self._parts))
        self._parts, self._size = [], 0
        try:
            while rest:
                rest = rest[self._process.stdin.write(rest) :]
        except BrokenPipeError:
            raise self._failed() from None

    def finish(self, mark: int) -> str:
        """Bring all that was made into the repository, and return the commit of that mark."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._parts.append(b"get-mark :%d\ndone\n" % mark)
        self._flush()
        self._process.stdin.close()
        commit = self._process.stdout.read().decode("ascii", "replace").strip()
        if self._process.wait() != 0 or not commit:
            raise self._failed()
        _move_packs(self._folder, self._repository)
        return commit

    def settle(self) -> None:
        """A ref leads to all of it now: its packs stay marked, as packs of ours."""
        (self._folder / "kept").unlink(missing_ok=True)

    def _failed(self) -> GitFailed:
        assert self._process is not None
        code = self._process.wait()
        return git_failed(("fast-import",), code, self._errors.read_bytes())


def _signed(one: Signature) -> bytes:
    sign, zone = "-" if one.zone < 0 else "+", abs(one.zone) // 60
    return b"%s %d %s" % (identity_bytes(one), one.time, f"{sign}{zone // 60:02}{zone % 60:02}".encode("ascii"))


def _path(path: str) -> bytes:
    name = os.fsencode(path)
    if name[:1] == b'"' or b"\n" in name:
        name = b'"%s"' % name.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return name


# --- the private repository


def _new_folder(repository: Repository) -> tuple[int, Path]:
    """A folder's name and the lock that says it is in use; what dead imports left behind goes away on the way."""
    home = repository.home / "import"
    home.mkdir(parents=True, exist_ok=True)
    for path in home.iterdir():
        _sweep(repository, path.with_suffix(""))
    while True:
        folder = home / secrets.token_hex(8)
        lock = os.open(folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        # Another import may have taken the file for a dead one's, just now.
        if _hold(lock) is not False and os.fstat(lock).st_nlink:
            return lock, folder
        os.close(lock)


def _hold(lock: int) -> bool | None:
    """Whether the lock is ours now; None where the file system knows no locks."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except OSError:
        return None


def _sweep(repository: Repository, folder: Path) -> None:
    """Remove a private repository unless somebody is at work in it."""
    try:
        lock = os.open(folder.with_suffix(".lock"), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        # The lock comes before the folder and goes after it; a git at its last words has made this one again.
        _remove(repository, folder)
        return
    except OSError:
        return
    try:
        if _hold(lock):
            _remove(repository, folder)
    finally:
        os.close(lock)


def _remove(repository: Repository, folder: Path) -> None:
    """Take away a private repository; `git gc` may have its packs, which a ref reaches now or never will."""
    try:
        names = (folder / "kept").read_text(encoding="ascii").split()
    except OSError:
        names = []
    for name in names:
        (repository.common_dir / "objects" / "pack" / name).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        folder.with_suffix(".lock").unlink(missing_ok=True)


def _make_private(folder: Path, repository: Repository) -> None:
    """What `git init --bare` makes, without what nobody needs."""
    for path in ("objects/info", "objects/pack", "refs/heads"):
        (folder / path).mkdir(parents=True)
    long = repository.object_format == "sha256"
    lines = ["[core]", f"repositoryformatversion = {int(long)}", "bare = true"]
    lines += ["[extensions]", "objectFormat = sha256"] if long else []
    (folder / "config").write_text("\n".join(lines) + "\n", encoding="ascii")
    (folder / "HEAD").write_text("ref: refs/heads/none\n", encoding="ascii")
    (folder / "objects" / "info" / "alternates").write_bytes(os.fsencode(repository.common_dir / "objects") + b"\n")


def _move_packs(folder: Path, repository: Repository) -> None:
    """Packs go to their place, marked so that `git gc` leaves them alone, for good once `settle` was called."""
    target = repository.common_dir / "objects" / "pack"
    target.mkdir(exist_ok=True)
    for pack in (folder / "objects" / "pack").glob("*.pack"):
        keep = target / pack.with_suffix(".keep").name
        if not keep.exists():
            # Noted first: whatever happens now, it will be found.
            with (folder / "kept").open("a", encoding="ascii") as file:
                file.write(f"{keep.name}\n")
            keep.write_text(f"{IMPORTED}\n", encoding="ascii")
        for path in (pack, pack.with_suffix(".idx")):
            # The index comes last: git looks for packs by it.
            shutil.move(path, target / path.name)
