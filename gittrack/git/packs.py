"""Packs of our own: kept from `git gc`, so that it never has to go through what runs have piled up."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from gittrack.errors import GitFailed
from gittrack.git.program import environment, git_failed, git_version
from gittrack.git.repository import Repository
from gittrack.values import dataclass

_MARK = "gittrack"
# Of a pack in which fast-import found few deltas.
IMPORTED = f"{_MARK} import"
# `pack-objects --stdin-packs` came with this.
_JOINS = (2, 32)
# Files of one ref each that git reads one by one: 10,000 of them take it ten times as long as a packed list.
_LOOSE_REFS = 256


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack in the object store, by the path of its `.pack` file, and its size in bytes."""

    path: Path
    size: int
    imported: bool = False

    @property
    def keep(self) -> Path:
        return self.path.with_suffix(".keep")


def own_packs(repository: Repository) -> list[Pack]:
    """Our packs, smallest first."""
    found = []
    for keep in _folder(repository).glob("pack-*.keep"):
        try:
            mark = keep.read_text(encoding="utf-8", errors="replace")
            path = keep.with_suffix(".pack")
            # Without an index git does not know it: an import is just bringing it, or who removed it was killed on the way.
            if mark.startswith(_MARK) and path.with_suffix(".idx").exists():
                found.append(Pack(path, path.stat().st_size, mark.startswith(IMPORTED)))
        except OSError:
            continue
    return sorted(found, key=lambda one: (one.size, one.path.name))


def sweep_packs(repository: Repository) -> None:
    """Take away what is left of packs of ours whose removal was interrupted; nobody else may be packing."""
    for keep in _folder(repository).glob("pack-*.keep"):
        if not keep.with_suffix(".idx").exists() and keep.read_text(encoding="utf-8", errors="replace") == f"{_MARK}\n":
            _remove(Pack(keep.with_suffix(".pack"), 0))


def all_packs(repository: Repository) -> set[Path]:
    """The packs that git knows, whosever they are; the index of one that is just coming comes last."""
    return {path.with_suffix(".pack") for path in _folder(repository).glob("pack-*.idx")}


def adopt(repository: Repository, before: Iterable[Path]) -> None:
    """Packs that have come since then are ours from now on."""
    for path in all_packs(repository) - set(before):
        path.with_suffix(".keep").write_text(f"{_MARK}\n", encoding="utf-8")


def loose_objects(repository: Repository) -> set[str]:
    """The ids of all objects that lie in files of their own."""
    objects = repository.common_dir / "objects"
    found: set[str] = set()
    for number in range(256):
        folder = f"{number:02x}"
        try:
            names = os.listdir(objects / folder)
        except OSError:
            continue
        found.update(folder + name for name in names if not name.startswith("tmp_"))
    return found


def write_pack(repository: Repository, objects: Mapping[str, bytes]) -> None:
    """Objects, each with the path that tells what it is like, into one pack of ours; their loose files go."""
    script = b"".join(b"%s %s\n" % (one.encode("ascii"), path) for one, path in objects.items())
    out = repository.git("pack-objects", "-q", "--delta-base-offset", str(_folder(repository) / "pack"), stdin=script)
    _keep(repository, out)
    repository.git("prune-packed", "-q")


def join_packs(repository: Repository, packs: Sequence[Pack]) -> None:
    """Several packs of ours become one; if any was imported, with deltas found anew, which takes some ms a run."""
    if tuple(map(int, git_version().split(".")[:2])) < _JOINS:
        return
    script = b"".join(os.fsencode(one.path.name) + b"\n" for one in packs)
    anew = ("--no-reuse-delta", "--window=10", "--depth=50") if any(one.imported for one in packs) else ()
    out = repository.git(
        "pack-objects",
        "-q",
        "--delta-base-offset",
        "--stdin-packs",
        *anew,
        str(_folder(repository) / "pack"),
        stdin=script,
    )
    kept = _keep(repository, out)
    for one in packs:
        if one.path not in kept:
            _remove(one)


def reached(repository: Repository, objects: Collection[str]) -> set[str]:
    """Those of the objects that a ref, a reflog, an index or a worktree leads to; goes through all there is."""
    if not objects:
        return set()
    words = ("rev-list", "--objects", "--no-object-names", "--all", "--reflog", "--indexed-objects")
    with subprocess.Popen(
        ["git", *words],
        cwd=repository.root or repository.git_dir,
        env=environment(repository.environment()),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        found = {name for line in process.stdout if (name := line.strip().decode("ascii")) in objects}
    if process.returncode != 0:
        raise git_failed(words, process.returncode, b"objects are missing; see 'git fsck'")
    return found


def pack_refs(repository: Repository) -> None:
    """All refs into one file, as `git gc` does it: a thousand files to open would slow the user's own git down.

    Where another git holds that file, or was killed while it did, they stay as they are: nothing depends on it.
    """
    # Not waiting for the lock: a killed git leaves it behind for ever.
    words = ("-c", "core.packedRefsTimeout=0", "pack-refs", "--all", "--prune")
    done = repository.run(*words, check=False)
    held = re.search(rb"packed-refs\.(lock|new)'?: File exists", done.stderr)
    if done.returncode != 0 and held is None:
        raise git_failed(words, done.returncode, done.stderr)


def pack_many_refs(repository: Repository, folders: Iterable[str]) -> None:
    """The same once some of these folders (`refs/tags/`) hold many refs in files of their own; failing to costs speed alone."""
    loose = 0
    for folder in folders:
        for _, _, files in os.walk(repository.common_dir / folder):
            loose += len(files)
            if loose > _LOOSE_REFS:
                with contextlib.suppress(GitFailed, OSError):
                    pack_refs(repository)
                return


def rewrite_without(repository: Repository, gone: set[str], *, before: float) -> int:
    """Objects that nothing reaches any more leave our packs and the loose files; returns how many left.

    `before` is when that was found out: what somebody wrote since then, as a file of its own, stays.
    """
    left: set[str] = set()
    for one in own_packs(repository):
        listed = repository.git("show-index", stdin=one.path.with_suffix(".idx").read_bytes()).splitlines()
        ids = [line.split()[1].decode("ascii") for line in listed]
        here = gone.intersection(ids)
        if not here:
            continue
        left |= here
        rest = "".join(f"{object_id}\n" for object_id in ids if object_id not in gone).encode("ascii")
        kept = (
            _keep(
                repository,
                repository.git(
                    "pack-objects", "-q", "--delta-base-offset", str(_folder(repository) / "pack"), stdin=rest
                ),
            )
            if rest
            else set()
        )
        if one.path not in kept:
            _remove(one)
    for object_id in gone:
        path = repository.common_dir / "objects" / object_id[:2] / object_id[2:]
        try:
            # A file's time may be some milliseconds behind the clock.
            if path.stat().st_mtime < before - 0.1:
                path.unlink()
                left.add(object_id)
        except FileNotFoundError:
            continue
    return len(left)


def _keep(repository: Repository, printed: bytes) -> set[Path]:
    """Mark the packs that `pack-objects` printed as ours."""
    made = set()
    for name in printed.decode("ascii").split():
        path = _folder(repository) / f"pack-{name}.pack"
        path.with_suffix(".keep").write_text(f"{_MARK}\n", encoding="utf-8")
        made.add(path)
    return made


def _remove(one: Pack) -> None:
    # As git does it: without its index nobody begins to use it.
    for suffix in (".idx", ".rev", ".bitmap", ".pack", ".keep"):
        one.path.with_suffix(suffix).unlink(missing_ok=True)


def _folder(repository: Repository) -> Path:
    return repository.common_dir / "objects" / "pack"
