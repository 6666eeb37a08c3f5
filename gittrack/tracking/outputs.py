"""What a run keeps: small files beside its journal, large ones and folders in DVC's cache."""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gittrack.domain.artifact import check_artifact_kind, check_artifact_name, check_artifact_path
from gittrack.errors import GittrackError, InvalidName, RunClosed, UsageError

if TYPE_CHECKING:
    from gittrack.pointers.store import Added, Store
    from gittrack.tracking.active import ActiveRun
    from gittrack.tracking.ground import Ground

LARGE_IN_GIT = 1_000_000
# What DVC takes for its own, wherever it lies: an artifact of that name would be read as a pipeline or a pointer.
_DVC_NAMES = frozenset({"dvc.yaml", "dvc.lock", ".dvcignore", ".dvc", ".gitignore"})


class Outputs:
    """Keeps artifacts for one active run; without a `ground` all of them go beside the journal."""

    def __init__(self, run: ActiveRun, ground: Ground | None) -> None:
        self._run = run
        self._ground = ground
        self._paths: set[str] = set()
        self._looked = False

    def log(self, path: str | os.PathLike[str], name: str | None, kind: str | None) -> None:
        """A file or a folder as it is now; raises UsageError when there is none."""
        source = self._source(path, kind)
        if source.is_dir():
            self._folder(source, name, kind)
        elif source.is_file():
            self._file(source, path_inside(source), kind, name)
        elif os.path.lexists(source):
            raise UsageError(
                f"{str(path)!r} is neither a file nor a folder (a socket, a device or a broken link), and cannot be kept"
            )
        else:
            raise UsageError(
                f"there is no file {str(path)!r} to log as an artifact; check the path (now in {os.getcwd()})"
            )

    def log_folder(self, folder: str | os.PathLike[str], name: str | None, kind: str | None) -> None:
        source = self._source(folder, kind)
        if not source.is_dir():
            raise UsageError(
                f"there is no folder {str(folder)!r} to log as artifacts; check the path (now in {os.getcwd()})"
            )
        self._folder(source, name, kind)

    def _source(self, path: str | os.PathLike[str], kind: str | None) -> Path:
        check_artifact_kind(kind)
        root, common_dir = (None, None) if self._ground is None else (self._ground.root, self._ground.common_dir)
        return check_source(path, root, common_dir)

    def log_bytes(self, data: bytes, path: str, kind: str | None) -> None:
        path = self._allowed(path, None)
        if self._goes_inline(len(data)):
            self._spool(data, path, kind, None)
        else:
            from gittrack.pointers.store import Added

            self._store(path, kind, None, lambda store, fresh: Added(store.add_bytes(data, fresh=fresh)))

    # --- one by one

    def _file(self, source: Path, path: str, kind: str | None, name: str | None) -> None:
        path = self._allowed(path, name)
        try:
            size = source.stat().st_size
        except OSError as error:
            self._lost(path, error)
            return
        if self._goes_inline(size):
            self._spool(source, path, kind, name)
        else:
            self._store(path, kind, name, lambda store, fresh: self._add(store, source, fresh, size), source)

    def _folder(self, source: Path, name: str | None, kind: str | None) -> None:
        """A small folder without a name file by file, any other as one."""
        prefix = path_inside(source)
        try:
            files = sorted(_files_below(source))
            total = sum(size for _, size in files)
        except OSError as error:
            self._lost(prefix or str(source), error)
            return
        if self._ground is not None and (name is not None or not self._goes_inline(total)):
            path = self._allowed(prefix or name or _encoded(source.resolve().name) or "files", name)
            self._store(
                path, kind, name, lambda store, fresh: self._add(store, source, fresh, total, len(files)), source
            )
            return
        if not files:
            self._run.warn(f"folder {str(source)!r} holds no file, and nothing of it is kept")
        for found, _ in files:
            relative = _encoded(found.relative_to(source).as_posix())
            self._file(found, f"{prefix}/{relative}" if prefix else relative, kind, name)

    def _add(self, store: Store, source: Path, fresh: bool, size: int, count: int = 1) -> Added:
        from gittrack.pointers.progress import bar

        assert self._ground is not None
        with bar(f"keeping {source.name}", size, count=count) as progress:
            return store.add(source, progress=progress, ignore_root=self._ground.root, fresh=fresh)

    # --- where the bytes go

    def _goes_inline(self, size: int) -> bool:
        return self._ground is None or size <= self._ground.inline

    def _store(
        self,
        path: str,
        kind: str | None,
        name: str | None,
        add: Callable[[Store, bool], Added],
        source: Path | None = None,
    ) -> None:
        from gittrack.pointers.lock import naming

        assert self._ground is not None
        try:
            with naming(self._ground.home) as held:
                added = add(self._ground.store, not held)
                pointer = added.pointer
                self._say(path, pointer.size, pointer.oid, kind, name, source, nfiles=pointer.nfiles, pointer=True)
        except RunClosed:
            raise
        except Exception as error:
            # Whatever a library raises over a file: training goes on.
            self._lost(path, error)
            return
        for text in told(path, added):
            self._run.warn(text)
        self._look_for_ignores()

    def _look_for_ignores(self) -> None:
        """Once a run, with its first pointer: what is ignored is ignored silently."""
        if self._looked or self._ground is None or self._ground.root is None:
            return
        self._looked = True
        from gittrack.pointers.hidden import hidden_by_dvc, hidden_by_git

        try:
            repository = self._ground.repository
            files = [
                name
                for name, hides in ((".gitignore", hidden_by_git), (".dvcignore", hidden_by_dvc))
                if hides(repository)
            ]
        except GittrackError:
            return
        if files:
            self._run.warn(
                f"{' and '.join(files)} covers .gittrack/, so DVC shows nothing of a run that is checked out; take that "
                "line out of it"
            )

    def _spool(self, source: Path | bytes, path: str, kind: str | None, name: str | None) -> None:
        files = self._run.folder.files
        temporary = files / f".{uuid.uuid4().hex}"
        digest, size = hashlib.md5(usedforsecurity=False), 0
        try:
            files.mkdir(exist_ok=True)
            with temporary.open("wb") as out, contextlib.ExitStack() as stack:
                pieces: Iterable[bytes] = (
                    [source] if isinstance(source, bytes) else _pieces(stack.enter_context(source.open("rb")))
                )
                for piece in pieces:
                    digest.update(piece)
                    size += len(piece)
                    out.write(piece)
            os.replace(temporary, files / digest.hexdigest())
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            self._lost(path, error)
            return
        if size > LARGE_IN_GIT:
            self._run.warn(
                f"artifact {path!r} of {size / 1e6:.1f} MB goes into git whole and stays there; "
                "set artifacts.inline lower to keep such files out"
            )
        self._say(path, size, digest.hexdigest(), kind, name, source if isinstance(source, Path) else None)

    def _say(
        self, path: str, size: int, md5: str, kind: str | None, name: str | None, source: Path | None, **more: Any
    ) -> None:
        self._paths.add(path)
        # Where it came from tells apart what the run reads from what we read of it.
        place = None if source is None else os.fsencode(os.path.abspath(source)).decode("utf-8", "replace")
        self._run.event("artifact", path=path, size=size, md5=md5, kind=kind, name=name, source=place, **more)

    def _lost(self, path: str, error: Exception) -> None:
        reason = str(error)
        if isinstance(error, OSError) and error.strerror:
            reason = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
        self._run.warn(f"artifact {path!r} could not be kept ({reason}); training goes on without it")

    # --- what it is called

    def _allowed(self, path: str, name: str | None) -> str:
        """The path if it may be one; raises InvalidName."""
        if name is not None:
            check_artifact_name(name)
        if safe_path(path) != path:
            # Beside a pointer DVC would read it as its own.
            self._run.warn(f"artifact {path!r} is kept as '{path}~', since DVC would take it for a file of its own")
            path = safe_path(path)
        self._run.check_open()
        inside = next((one for one in self._paths if one.startswith(f"{path}/") or path.startswith(f"{one}/")), None)
        if inside is not None:
            raise InvalidName(f"{path!r} and {inside!r} cannot both be artifacts: one would be a file and a folder")
        return path


def check_source(path: str | os.PathLike[str], root: Path | None, common_dir: Path | None) -> Path:
    """The path of what is to be kept; raises UsageError for an empty one, and for what holds all of the repository."""
    if not os.fspath(path):
        raise UsageError("what is to be kept needs a path, and this one is empty; name a file or a folder")
    source = Path(path)
    if root is None:
        return source
    full, top = Path(os.path.realpath(source)), Path(os.path.realpath(root))
    if top.is_relative_to(full):
        what = "the whole worktree" if top == full else "a folder around the whole worktree"
        raise UsageError(
            f"{os.fspath(path)!r} is {what}, and cannot be an artifact; name the folder that the run writes"
        )
    inner = {top / ".git": "git's own folder", top / ".dvc": "DVC's own folder"}
    if common_dir is not None:
        inner[Path(os.path.realpath(common_dir))] = "git's own folder"
    # What lies in it may be one: a copy of another run's artifact is read from there.
    if full in inner:
        raise UsageError(f"{os.fspath(path)!r} is {inner[full]}, and cannot be an artifact; name another")
    return source


def told(path: str, added: Added) -> list[str]:
    """What a person should know of an artifact that is in the store now."""
    found = []
    if added.skipped:
        more = f" and {len(added.skipped) - 5} more" if len(added.skipped) > 5 else ""
        found.append(f"artifact {path!r} leaves out {', '.join(added.skipped[:5])}{more}")
    if added.cache_problem is not None:
        found.append(
            f"DVC's cache cannot be written ({added.cache_problem}); artifacts are kept in gittrack's own store, and "
            "'gittrack fsck --repair' puts them into the cache when that works again"
        )
    return found


def path_inside(source: Path) -> str:
    """Where a file or folder of the caller's goes among the artifacts of a run; empty for the current folder."""
    if source.is_absolute() or ".." in source.parts:
        return _encoded(source.resolve().name)
    return _encoded(source.as_posix()) if source.parts else ""


def safe_path(path: str) -> str:
    """The path, or one that DVC does not take for a file of its own; raises InvalidName for one that git cannot hold."""
    last = check_artifact_path(path).rpartition("/")[2]
    return check_artifact_path(f"{path}~" if last in _DVC_NAMES or last.endswith(".dvc") else path)


def _encoded(path: str) -> str:
    """A path as git and a filter can hold it: bytes that are no Unicode, and control characters, percent-encoded."""
    if path.isprintable() and "`" not in path and "\\" not in path:
        return path
    return "".join(one if one.isprintable() and one not in "`\\" else quote(os.fsencode(one)) for one in path)


def _files_below(folder: Path) -> Iterator[tuple[Path, int]]:
    """Regular files at any depth with their sizes; raises OSError for a folder that cannot be read."""

    def fail(error: OSError) -> None:
        raise error

    for place, _, names in os.walk(folder, onerror=fail):
        for name in names:
            path = Path(place, name)
            if path.is_file():
                yield path, path.stat().st_size


def _pieces(file: Any) -> Iterator[bytes]:
    while piece := file.read(1 << 20):
        yield piece
