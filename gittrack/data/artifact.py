"""One artifact of a run, as a reader has it in hand."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

from gittrack.data.depot import Depot
from gittrack.domain.artifact import Artifact
from gittrack.domain.run import RunState
from gittrack.errors import CorruptRecord, UnknownRun, UsageError
from gittrack.ledger import layout
from gittrack.ledger.read import read_file, read_files


class RunArtifact:
    """A file or folder that a run made; its bytes come from git, DVC's cache or the remote when they are asked for."""

    def __init__(
        self, depot: Depot, run: RunState, artifact: Artifact, amendments: Callable[[], Iterable[str]] = tuple
    ) -> None:
        """`amendments` are the commits, beside the run's head, in which a small file may lie."""
        self._depot = depot
        self.run = run
        self.artifact = artifact
        self._amendments = amendments

    def __repr__(self) -> str:
        return f"<RunArtifact {self.name!r} of {self.run.experiment}/{self.run.name}, {self.size:,} bytes>"

    @property
    def name(self) -> str:
        return self.artifact.called

    @property
    def size(self) -> int:
        """In bytes; of a folder, of all its files together."""
        return self.artifact.size

    @property
    def md5(self) -> str:
        """Of the content as DVC computes it; ends in `.dir` for a folder."""
        return self.artifact.md5

    @property
    def kind(self) -> str | None:
        return self.artifact.kind

    @property
    def is_folder(self) -> bool:
        return self.artifact.is_folder

    def files(self) -> tuple[str, ...]:
        """The files of a folder, by their paths inside it; of a file its own name."""
        if not self.is_folder:
            return (self._base,)
        self._depot.bring([self.artifact.as_pointer()], member="", what=self.name)
        return tuple(self._depot.members(self.md5))

    @property
    def here(self) -> bool:
        """Whether all its bytes are on this machine."""
        if not self.artifact.pointer:
            return True
        return self._depot.here(self.artifact.as_pointer())

    # --- its bytes

    def path(self, member: str | None = None) -> Path:
        """A copy of it on this machine, under its own name, fetched if need be and verified; not to be written to.

        `member` is one file or sub-folder of a folder: then only that is fetched. Raises ObjectMissing when the bytes
        cannot be had.
        """
        views = self._depot.repository.home / "views" / self.md5
        if views.is_dir():
            # Somebody reads it: `gc` takes those that nobody has asked for lately.
            os.utime(views)
        self.save(views, member, overwrite=True, mode=0o444)
        return views / self._base / member if member else views / self._base

    def open(self, member: str | None = None, mode: str = "rb", **options: Any) -> IO[Any]:
        """It, or one file of a folder, opened for reading."""
        if not set(mode) <= set("rbt"):
            raise UsageError(f"an artifact never changes, so it cannot be opened as {mode!r}; open it as 'r' or 'rb'")
        if self.is_folder and member is None:
            raise UsageError(f"artifact {self.name!r} is a folder; name one of its files: open('...')")
        return self.path(member).open(mode, **options)

    def read_bytes(self, member: str | None = None) -> bytes:
        if not self.artifact.pointer and member is None:
            return self._inline()
        with self.open(member) as file:
            return bytes(file.read())

    def save(
        self, folder: Path | str, member: str | None = None, *, overwrite: bool = False, mode: int = 0o644
    ) -> list[Path]:
        """Write it into a folder under its own name, verified on the way; returns the files.

        A file that is there with the right bytes stays; another one raises UsageError unless `overwrite`.
        """
        target = Path(folder) / self._base / member if member else Path(folder) / self._base
        if not self.artifact.pointer:
            if member:
                raise UnknownRun(f"artifact {self.name!r} is a single file and has no {member!r} in it")
            return [_write(target, self._inline(), overwrite, mode)]
        if member and not self.is_folder:
            raise UnknownRun(f"artifact {self.name!r} is a single file and has no {member!r} in it")
        try:
            try:
                written = self._export(target, member, overwrite)
            except CorruptRecord:
                # Of what is damaged here there may be another copy, or one on the remote.
                self._depot.mend(self.artifact.as_pointer(), member=member, what=self.name)
                written = self._export(target, member, overwrite)
        except (FileExistsError, NotADirectoryError) as error:
            if error.filename is not None:
                raise UsageError(f"{error.filename} is a file, and nothing can be put into it; move it away") from None
            raise UsageError(str(error)) from None
        if mode != 0o644:
            for path in written:
                path.chmod(mode)
        return written

    def _export(self, target: Path, member: str | None, overwrite: bool) -> list[Path]:
        self._depot.bring([self.artifact.as_pointer()], member=member, what=self.name)
        if member and not self._depot.members(self.md5, member):
            few = ", ".join(list(self._depot.members(self.md5))[:5])
            raise UnknownRun(f"artifact {self.name!r} has no file or folder {member!r}; it has {few}")
        return self._depot.store.export(self.md5, target, member=member, overwrite=overwrite)

    @property
    def _base(self) -> str:
        return self.artifact.path.rpartition("/")[2]

    def _inline(self) -> bytes:
        """Its bytes from git; raises CorruptRecord where those that lie there are not what was recorded."""
        commit = self.run.head or self.run.commit
        assert commit is not None
        path = f"{layout.ARTIFACTS}/{self.artifact.path}"
        others = False
        # Two clones that added to one run each have a head of their own, and only one of them is the newest.
        for one in (commit, *self._amendments()):
            found = read_files(self._depot.repository, one, [path])[path]
            if found is not None and hashlib.md5(found, usedforsecurity=False).hexdigest() == self.md5:
                return found
            others = others or found is not None
        if others:
            raise CorruptRecord(
                f"artifact {self.name!r} has other bytes in git than its record says; run 'gittrack fsck', and fetch the run "
                "from a clone where it is whole"
            )
        return read_file(self._depot.repository, commit, path)


def _write(target: Path, data: bytes, overwrite: bool, mode: int) -> Path:
    import tempfile

    if target.is_dir():
        raise UsageError(f"{target} is a folder, which no file replaces; move it away")
    if target.exists() or target.is_symlink():
        if target.is_file() and target.read_bytes() == data:
            return target
        if not overwrite:
            raise UsageError(f"{target} is there with other content; move it away, or allow to overwrite it (--force)")
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".gittrack-", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
    return target
