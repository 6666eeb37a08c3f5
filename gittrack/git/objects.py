"""Writing objects into the object store, as git does it."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from gittrack.errors import CorruptRecord, GitFailed
from gittrack.git.refs import RefChange, change_refs
from gittrack.git.repository import Repository
from gittrack.values import dataclass

if TYPE_CHECKING:
    from dulwich.object_format import ObjectFormat
    from dulwich.objects import ObjectID, ShaFile

# From so many objects on, one pack is quicker to write than as many files, and kinder to the file system.
_PACK_FROM = 200
# While `git prune` sweeps, what we are just making may be swept away.
_TRIES = 50

REGULAR, FOLDER = 0o100644, 0o040000


@dataclass(frozen=True, slots=True)
class Signature:
    """Who and when, as a commit holds it; `time` in whole seconds, `zone` in seconds east of UTC."""

    identity: str
    time: int
    zone: int = 0


class ObjectBatch:
    """Objects that belong together: built and named in memory first, then written in one go.

    Nothing reaches the disk before `write`, which may be called again: an object that is there already is a success.
    """

    def __init__(self, repository: Repository) -> None:
        from dulwich.object_format import get_object_format

        self._repository = repository
        self._format: ObjectFormat = get_object_format(repository.object_format)
        self._objects: dict[str, ShaFile] = {}
        self._kept: Path | None = None

    def _add(self, one: ShaFile) -> str:
        one.object_format = self._format
        object_id = bytes(one.get_id(self._format)).decode("ascii")
        self._objects[object_id] = one
        return object_id

    def blob(self, data: bytes) -> str:
        from dulwich.objects import Blob

        return self._add(Blob.from_string(data))

    def folder(self, files: Mapping[str, str], base: Iterable[tuple[bytes, int, str]] = ()) -> str:
        """A tree of `path -> blob id` with any depth, over the entries of `base` at the top level; returns its id."""
        from dulwich.objects import Tree

        tree = Tree()
        tree.object_format = self._format
        for name, mode, object_id in base:
            tree.add(name, mode, _raw(object_id))
        below: dict[str, dict[str, str]] = {}
        for path, object_id in files.items():
            first, slash, rest = path.partition("/")
            if slash:
                below.setdefault(first, {})[rest] = object_id
            else:
                tree.add(os.fsencode(first), REGULAR, _raw(object_id))
        for first, inner in below.items():
            tree.add(os.fsencode(first), FOLDER, _raw(self.folder(inner)))
        return self._add(tree)

    def graft(self, entries: Iterable[tuple[bytes, int, str]], name: str, folder: str) -> str:
        """A tree of `entries` in which `name` is the folder with that id."""
        kept = [entry for entry in entries if entry[0] != os.fsencode(name)]
        return self.folder({}, base=[*kept, (os.fsencode(name), FOLDER, folder)])

    def put(self, repository: Repository, entries: Iterable[tuple[bytes, int, str]], files: Mapping[str, str]) -> str:
        """A tree of `entries` with files put in, `path -> blob id`, at any depth; what else lies there stays."""
        kept = {name: (mode, object_id) for name, mode, object_id in entries}
        below: dict[bytes, dict[str, str]] = {}
        for path, object_id in files.items():
            first, slash, rest = path.partition("/")
            if slash:
                below.setdefault(os.fsencode(first), {})[rest] = object_id
            else:
                kept[os.fsencode(first)] = (REGULAR, object_id)
        for name, inner in below.items():
            mode, object_id = kept.get(name, (0, ""))
            there = read_tree(repository, object_id) if mode == FOLDER else []
            kept[name] = (FOLDER, self.put(repository, there, inner))
        return self.folder({}, base=[(name, *rest) for name, rest in kept.items()])

    def commit(
        self,
        *,
        tree: str,
        parents: Iterable[str],
        author: Signature,
        committer: Signature,
        message: str,
    ) -> str:
        from dulwich.objects import Commit

        one = Commit()
        one.tree = _raw(tree)
        one.parents = [_raw(parent) for parent in parents]
        one.author, one.author_time, one.author_timezone = (
            identity_bytes(author),
            author.time,
            author.zone,
        )
        one.committer, one.commit_time, one.commit_timezone = (
            identity_bytes(committer),
            committer.time,
            committer.zone,
        )
        one.encoding = b"UTF-8"
        one.message = message.encode("utf-8", "replace")
        return self._add(one)

    def tag(self, *, target: str, name: str, tagger: Signature, message: str) -> str:
        """An annotated tag of a commit."""
        from dulwich.objects import Commit, Tag

        one = Tag()
        one.object = (Commit, _raw(target))
        one.name = name.encode("utf-8")
        one.tagger, one.tag_time, one.tag_timezone = identity_bytes(tagger), tagger.time, tagger.zone
        one.message = message.encode("utf-8", "replace")
        return self._add(one)

    def write(self) -> None:
        """Put every object into the store; raises OSError when the world does not allow it.

        While `git gc` runs, loose objects that no ref reaches yet may be pruned under our hands, so the batch
        then goes in as a pack that gc must keep until `release` (measured: `git gc --prune=now` broke every other order).
        """
        if gc_is_running(self._repository):
            self._write_pack("--keep=gittrack")
            return
        if len(self._objects) > _PACK_FROM:
            self._write_pack()
            return
        for object_id, one in self._objects.items():
            _write_loose(self._repository, object_id, one)

    def _write_pack(self, *options: str) -> None:
        from dulwich.pack import write_pack_objects

        buffer = BytesIO()
        write_pack_objects(
            buffer,
            [(one, None) for one in self._objects.values()],
            object_format=self._format,
        )
        for again in reversed(range(_TRIES)):
            try:
                out = self._repository.git("index-pack", "--stdin", *options, stdin=buffer.getvalue())
                break
            except GitFailed:
                # `git prune` may take the file that it is writing.
                if not again:
                    raise
        # Prints `keep <id>`, or `pack <id>` when that very pack is there already.
        pack = out.split()[-1].decode("ascii")
        if options:
            self._kept = self._repository.common_dir / "objects" / "pack" / f"pack-{pack}.keep"

    def release(self) -> None:
        """Once a ref reaches the objects, gc may have the pack."""
        if self._kept is not None:
            self._kept.unlink(missing_ok=True)


def publish(repository: Repository, batch: ObjectBatch, changes: Sequence[RefChange], reason: str) -> None:
    """Write the objects, then move the refs that reach them; all refs or none.

    Raises RefConflict when a ref is not as expected, OSError or GitFailed when the world does not allow it.
    """
    batch.write()
    change_refs(repository, changes, reason)
    if gc_is_running(repository):
        # It may have listed the refs before ours was there: once more, as a pack that it leaves alone.
        batch.write()
    batch.release()


def gc_is_running(repository: Repository) -> bool:
    return (repository.common_dir / "gc.pid").exists()


def _raw(object_id: str) -> ObjectID:
    from dulwich.objects import ObjectID

    return ObjectID(object_id.encode("ascii"))


def identity_bytes(one: Signature) -> bytes:
    return one.identity.encode("utf-8", "surrogateescape").replace(b"\n", b" ").replace(b"\0", b"")


def _write_loose(repository: Repository, object_id: str, one: ShaFile) -> None:
    folder = repository.common_dir / "objects" / object_id[:2]
    path = folder / object_id[2:]
    data: bytes | None = None
    for again in reversed(range(_TRIES)):
        try:
            # As git does: one that lay here unused and old must not be pruned before our ref reaches it.
            os.utime(path)
            return
        except OSError:
            if path.exists():
                # Somebody else's, in a shared repository, or nothing can be written at all.
                return
        if data is None:
            data = b"".join(one.as_legacy_object_chunks(compression_level=zlib.Z_BEST_SPEED))
        try:
            _write_file(folder, path, data)
            return
        except FileNotFoundError:
            # `git prune` takes empty folders and temporary files, also those that were made a moment ago.
            if not again:
                raise


def _write_file(folder: Path, path: Path, data: bytes) -> None:
    try:
        folder.mkdir()
    except FileExistsError:
        pass
    else:
        # In a shared repository the others must be able to write here too, as in the folder above.
        shared = folder.parent.stat().st_mode & 0o2070
        if shared & ~folder.stat().st_mode:
            folder.chmod(folder.stat().st_mode | shared)
    import tempfile  # here: it brings a dozen modules, and few commands write a loose object

    handle, temporary = tempfile.mkstemp(prefix="tmp_obj_", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), 0o444)
        # A rename over an equal object of another writer is harmless: same name, same content.
        os.rename(temporary, path)
    except BaseException:
        try:
            os.unlink(temporary)
        except FileNotFoundError:
            pass
        raise


def read_tree(repository: Repository, treeish: str) -> list[tuple[bytes, int, str]]:
    """The entries `(name, mode, id)` of a commit's or folder's tree."""
    return parse_tree(repository.read_object(f"{treeish}^{{tree}}", "tree"), repository.object_format)


def parse_tree(data: bytes, object_format: str) -> list[tuple[bytes, int, str]]:
    """The format of a tree object: `mode SP name NUL raw-id`, repeated."""
    width = 32 if object_format == "sha256" else 20
    entries = []
    at = 0
    while at < len(data):
        space, zero = data.find(b" ", at), data.find(b"\0", at)
        mode = data[at:space]
        if (
            space == -1
            or zero < space
            or zero + width >= len(data)
            or not mode.isdigit()
            or b"8" in mode
            or b"9" in mode
        ):
            raise CorruptRecord("a tree object is damaged; run 'git fsck'")
        entries.append(
            (
                data[space + 1 : zero],
                int(mode, 8),
                data[zero + 1 : zero + 1 + width].hex(),
            )
        )
        at = zero + 1 + width
    return entries
