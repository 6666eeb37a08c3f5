"""Runs in one file, for machines without network: a bundle of git, or with data a tar file around one.

docs/formats/bundle.md says how it lies in the file.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gittrack.data.needed import needed_objects
from gittrack.domain.pointer import is_oid
from gittrack.domain.run import RunState
from gittrack.errors import CorruptRecord, FormatTooNew, GittrackError, RepositoryError, UsageError
from gittrack.git.bundle import bundle_heads, check_bundle, is_bundle, write_bundle
from gittrack.git.objects import ObjectBatch, publish
from gittrack.git.refs import RefChange, change_refs
from gittrack.ledger import layout
from gittrack.ledger.chain import ledger_tips
from gittrack.ledger.fold import fold
from gittrack.ledger.incoming import process_lives, take_in
from gittrack.ledger.notes import Relay
from gittrack.ledger.page import Member, write_pages
from gittrack.ledger.read import Damage, read_lines
from gittrack.share import Clone, Named, Unsent
from gittrack.values import dataclass, field

FORMAT = 1
_MANIFEST, _RUNS, _OBJECTS = "manifest.json", "runs.bundle", "files/md5/"
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Bundled:
    """What went into a bundle: runs, objects of data and their bytes; `absent` are data that could not go, with the reason."""

    runs: int
    objects: int = 0
    bytes: int = 0
    absent: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Applied:
    """What came out of a bundle."""

    runs: tuple[Named, ...]
    objects: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


def create(
    clone: Clone, path: Path, runs: Sequence[RunState] | None, *, data: bool = False, after: Sequence[Path] = ()
) -> Bundled:
    """Write a bundle of runs (None: all, everybody's); `after` are earlier ones, and what those have is left out.

    The file appears whole or not at all. Raises UsageError when there is nothing to write, OSError.
    """
    path = path.absolute()
    if not path.name or path.is_dir():
        raise UsageError(f"{path} is a folder; name the file to write")
    repository = clone.repository
    before = _earlier(clone, after)
    states = list(clone.look().select(deleted=True) if runs is None else runs)
    states = [state for state in states if state.commit is not None]
    fold(repository, clone.writer.name, clone.author)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with _refs(clone, None if runs is None else states) as refs:
            known = _known(clone, before.heads)
            if not write_bundle(repository, temporary, refs, known):
                why = "there are no such runs" if not states else "what it was to follow has all of them"
                raise UsageError(f"there is nothing to put into {path}: {why}; see 'gittrack ls'")
            runs_in = _count(clone, states, refs, known)
        packed = Bundled(runs_in)
        if data:
            packed = _with_data(clone, temporary, states, before, runs_in)
        os.replace(temporary, path)
        return packed
    finally:
        temporary.unlink(missing_ok=True)


def apply(clone: Clone, path: Path) -> Applied:
    """Take in the runs of a bundle, and its data; safe to repeat. Raises RepositoryError for a file that is not whole."""
    if not path.is_file():
        raise UsageError(f"there is no bundle {str(path)!r}; check the path")
    path = path.absolute()
    if is_bundle(path):
        return _apply_runs(clone, path, path)
    try:
        with tarfile.open(path, "r:") as tar, tempfile.TemporaryDirectory(dir=_home(clone)) as scratch:
            _manifest(tar, path)
            inner = Path(scratch, _RUNS)
            with inner.open("wb") as out:
                _copy(_member(tar, _RUNS, path), out)
            # Data first: who sees a run can have its data.
            objects = _take_objects(clone, tar, path)
            _check_end(tar, path)
            done = _apply_runs(clone, inner, path)
    except (tarfile.TarError, EOFError) as error:
        raise RepositoryError(f"{path} is no bundle, or is cut short ({error}); copy it again") from None
    return Applied(done.runs, objects, done.refused, done.note)


def _apply_runs(clone: Clone, path: Path, called: Path) -> Applied:
    """`called` is the file that the user knows: around the bundle, or the bundle itself."""
    repository = clone.repository
    heads = bundle_heads(repository, path, called)
    check_bundle(repository, path, called)
    index = clone.look()
    before = index.mark()
    taken = take_in(repository, str(path), clone.writer, clone.author, index.known_commits)
    arrived = [Named(*one) for one in clone.look().since(before)]
    own = layout.LEDGERS + clone.writer.name
    # Nobody else may ever push what came by hand.
    whole = [ref for ref in heads if ref.startswith(layout.LEDGERS) and not ref.startswith(layout.PART)]
    Relay(repository).note(ref[len(layout.LEDGERS) :] for ref in whole if ref != own)
    Unsent(repository).note(one.id for one in arrived)
    return Applied(tuple(arrived), 0, taken.refused, taken.note)


# --- runs


@contextmanager
def _refs(clone: Clone, states: Sequence[RunState] | None) -> Iterator[list[str]]:
    """The ledgers to bundle: all that are here, or one made for the runs that were chosen."""
    repository = clone.repository
    if states is None:
        yield [layout.LEDGERS + writer for writer in ledger_tips(repository)]
        return
    if not states:
        yield []
        return
    index = clone.look()
    heads = {state.id: [str(state.head), *(one.commit for one in index.amendments(state.id))] for state in states}
    members = []
    for found in read_lines(repository, heads):
        if isinstance(found, Damage):
            raise CorruptRecord(f"run {found.run} cannot be read ({found.reason}); run 'gittrack fsck'")
        members += [Member(line.commit, line.raw) for line in (found.origin, *found.amendments)]
    # What killed ones have left.
    left = {
        ref: tip
        for ref, tip in repository.list_refs(f"{layout.PART}*").items()
        if not process_lives(ref[len(layout.PART) :])
    }
    if left:
        change_refs(repository, [RefChange(ref, None, tip) for ref, tip in left.items()])
    name = f"{layout.PART[len(layout.LEDGERS) :]}{os.getpid()}-{secrets.token_hex(6)}"
    batch = ObjectBatch(repository)
    tip = write_pages(batch, name, None, members, clone.author)
    ref = layout.LEDGERS + name
    publish(repository, batch, [RefChange(ref, tip, None)], "gittrack: bundle")
    try:
        yield [ref]
    finally:
        change_refs(repository, [RefChange(ref, None, tip)])


def _count(clone: Clone, states: Sequence[RunState], refs: Sequence[str], known: Sequence[str]) -> int:
    """Runs of which something goes along, be it a change of an older one."""
    if not known:
        return len(states)
    script = "".join(f"{one}\n" for one in (*refs, *(f"^{one}" for one in known))).encode("utf-8", "surrogateescape")
    going = set(clone.repository.git("rev-list", "--stdin", stdin=script).decode("ascii").split())
    return sum(state.commit in going or state.head in going for state in states)


def _known(clone: Clone, commits: Iterable[str]) -> list[str]:
    """Those that are here: what an earlier bundle had need not be here any more."""
    found = clone.repository.read_objects(commits)
    return [name for name, kind, _ in found if kind == "commit"]


# --- data


@dataclass(frozen=True, slots=True)
class _Earlier:
    """What earlier bundles have: commits, and objects of data."""

    heads: frozenset[str] = frozenset()
    objects: frozenset[str] = frozenset()


def _earlier(clone: Clone, paths: Iterable[Path]) -> _Earlier:
    heads: set[str] = set()
    objects: set[str] = set()
    for path in paths:
        if not path.is_file():
            raise UsageError(f"there is no bundle {str(path)!r}; check the path")
        if is_bundle(path):
            heads.update(bundle_heads(clone.repository, path.absolute(), path).values())
            continue
        try:
            with tarfile.open(path, "r:") as tar:
                plain = _manifest(tar, path)
        except (tarfile.TarError, EOFError) as error:
            raise RepositoryError(f"{path} is no bundle ({error}); check the path") from None
        heads.update(plain["heads"].values())
        objects.update(plain["objects"])
    return _Earlier(frozenset(heads), frozenset(objects))


def _with_data(clone: Clone, bundle: Path, states: Sequence[RunState], before: _Earlier, runs: int) -> Bundled:
    """The bundle of runs becomes a tar file with their data; what is not here comes from the remote first."""
    depot = clone.depot
    needed = list(needed_objects(clone.repository, states))
    absent: dict[str, str] = {}
    oids: dict[str, None] = {}
    for one in needed:
        try:
            if not depot.here(one.pointer):
                depot.bring([one.pointer], what=one.called)
            oids.update(dict.fromkeys(depot.store.objects(one.pointer.oid)))
        except GittrackError as error:
            absent[str(one)] = str(error)
    fresh = [oid for oid in oids if oid not in before.objects]
    manifest = {
        "format": FORMAT,
        "heads": bundle_heads(clone.repository, bundle, bundle),
        "objects": sorted({*fresh, *before.objects}),
    }
    whole = bundle.with_name(f"{bundle.name}.tar")
    size = 0
    try:
        with tarfile.open(whole, "w", format=tarfile.PAX_FORMAT) as tar:
            data = json.dumps(manifest, indent=1).encode()
            _add(tar, _MANIFEST, io.BytesIO(data), len(data))
            with bundle.open("rb") as file:
                _add(tar, _RUNS, file, bundle.stat().st_size)
            # Lists of folders last, so that none promises what a file that was cut short lacks.
            for oid in sorted(fresh, key=lambda one: (one.endswith(".dir"), one)):
                place = depot.store.find(oid)
                assert place is not None
                with place.open("rb") as file:
                    length = place.stat().st_size
                    _add(tar, f"{_OBJECTS}{oid[:2]}/{oid[2:]}", file, length)
                    size += length
        os.replace(whole, bundle)
    finally:
        whole.unlink(missing_ok=True)
    return Bundled(runs, len(fresh), size, absent)


def _add(tar: tarfile.TarFile, name: str, file: Any, size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o644
    tar.addfile(info, file)


def _take_objects(clone: Clone, tar: tarfile.TarFile, path: Path) -> int:
    """Objects of data into the store, each verified; one that is damaged raises RepositoryError."""
    from gittrack.pointers.lock import naming

    store = clone.depot.store
    count = 0
    with naming(store.places.keep):
        for info in tar:
            if not info.name.startswith(_OBJECTS):
                continue
            oid = info.name[len(_OBJECTS) :].replace("/", "", 1)
            file = tar.extractfile(info) if info.isreg() else None
            if file is None or not is_oid(oid):
                raise RepositoryError(
                    f"{path} holds {info.name!r}, which is no object; whoever made it may want to fool you"
                )
            if store.find(oid) is not None:
                continue
            scratch = store.scratch()
            digest = hashlib.md5(usedforsecurity=False)
            with scratch.open("wb") as out:
                for piece in iter(lambda file=file: file.read(_PIECE), b""):  # type: ignore[misc]
                    digest.update(piece)
                    out.write(piece)
            if digest.hexdigest() != oid.removesuffix(".dir"):
                scratch.unlink()
                raise RepositoryError(f"object {oid} in {path} is damaged; copy the bundle again")
            store.install(oid, scratch)
            count += 1
    return count


def _check_end(tar: tarfile.TarFile, path: Path) -> None:
    """A tar file ends in two blocks of zeros; without them it was cut short, if only between two members."""
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(2 * tarfile.BLOCKSIZE) != bytes(2 * tarfile.BLOCKSIZE):
        raise RepositoryError(f"{path} is cut short; copy it again")


def _manifest(tar: tarfile.TarFile, path: Path) -> dict[str, Any]:
    try:
        plain = json.loads(_member(tar, _MANIFEST, path).read())
        number, heads, objects = plain["format"], plain["heads"], plain["objects"]
        if not (isinstance(number, int) and isinstance(heads, dict) and isinstance(objects, list)):
            raise TypeError("a value of the wrong type")
    except (ValueError, KeyError, TypeError) as error:
        raise RepositoryError(f"{path} is no bundle of gittrack ({error}); check the path") from None
    if number > FORMAT:
        raise FormatTooNew(f"{path} has format {number}, and this gittrack reads up to {FORMAT}; upgrade gittrack")
    return {"heads": {str(ref): str(one) for ref, one in heads.items()}, "objects": [str(one) for one in objects]}


def _member(tar: tarfile.TarFile, name: str, path: Path) -> Any:
    try:
        file = tar.extractfile(name)
    except KeyError:
        file = None
    if file is None:
        raise RepositoryError(f"{path} is no bundle of gittrack: it holds no {name}; check the path")
    return file


def _copy(file: Any, out: Any) -> None:
    while piece := file.read(_PIECE):
        out.write(piece)


def _home(clone: Clone) -> Path:
    clone.repository.home.mkdir(exist_ok=True)
    return clone.repository.home
