"""Keeping the repository light: fold, and put the objects of runs into packs that `git gc` leaves alone."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

from gittrack.errors import CorruptRecord, FormatTooNew, RunBusy
from gittrack.git.objects import Signature
from gittrack.git.packs import Pack, join_packs, loose_objects, own_packs, pack_refs, sweep_packs, write_pack
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.chain import parse_page
from gittrack.ledger.fold import Folded, fold
from gittrack.values import dataclass

# Runs recorded since the last time. Each has some ten loose objects and a ref in a file of its own, which the user's own
# `git fetch` goes through: 600 such runs make it 2.7 times as long as none, packed ones 1.2 times.
_EVERY = 100
# Packs that may lie about before they are joined; git's own limit, which does not count ours, is 50.
_PACKS = 12


@dataclass(frozen=True, slots=True)
class Packed:
    """What packing did: the fold, objects that went into a pack, and packs that became one."""

    folded: Folded
    objects: int
    joined: int


def pack(repository: Repository, writer: str, author: Signature) -> Packed:
    """Raises RunBusy while another process packs; OSError or GitFailed when the world does not allow it."""
    with _alone(repository):
        counter = repository.home / "unpacked"
        with contextlib.suppress(OSError):
            counter.unlink(missing_ok=True)
        folded = fold(repository, writer, author, drop=True)
        objects = _objects_of_runs(repository)
        if objects:
            write_pack(repository, objects)
        sweep_packs(repository)
        small = _to_join(repository)
        if small:
            join_packs(repository, small)
        pack_refs(repository)
        return Packed(folded, len(objects), len(small))


def _objects_of_runs(repository: Repository) -> dict[str, bytes]:
    """Loose objects that runs, amendments and ledgers are made of, with their paths."""
    loose = loose_objects(repository)
    commits = []
    checked = repository.git(
        "cat-file", "--batch-check=%(objecttype) %(objectname)", stdin="\n".join(loose).encode("ascii")
    )
    candidates = [line[7:].decode("ascii") for line in checked.splitlines() if line.startswith(b"commit ")]
    for commit, kind, data in repository.read_objects(candidates):
        if layout.find_line(data) is not None:
            # The first parent of a run is its code, which may be a snapshot that only runs reach.
            commits += [commit, *layout.commit_links(data)[1][:1]]
            continue
        try:
            parse_page(commit, kind, data)
            commits.append(commit)
        except (CorruptRecord, FormatTooNew):
            continue
    if not commits:
        return {}
    script = "".join(f"{one}\n" for one in dict.fromkeys(commits)).encode("ascii")
    listed = repository.git("rev-list", "--objects", "--no-walk=unsorted", "--stdin", stdin=script)
    found = {}
    for line in listed.splitlines():
        object_id, _, path = line.partition(b" ")
        name = object_id.decode("ascii")
        if name in loose:
            found[name] = path
    return found


def _to_join(repository: Repository) -> list[Pack]:
    """The smaller packs, once there are many: each size is gone through only a few times."""
    packs = own_packs(repository)
    imported = [one for one in packs if one.imported]
    if imported:
        return imported
    if len(packs) <= _PACKS:
        return []
    total, upto = packs[0].size, 1
    for at, one in enumerate(packs[1:], 1):
        if one.size < 2 * total:
            upto = at + 1
        total += one.size
    return packs[:upto] if upto > 1 else []


@contextlib.contextmanager
def _alone(repository: Repository) -> Iterator[None]:
    import fcntl

    repository.home.mkdir(exist_ok=True)
    with (repository.home / "pack.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunBusy("another process is packing runs already; wait until it is done") from None
        yield


# --- by itself, now and then


def count_up(repository: Repository) -> None:
    """One more run was recorded: every few hundred, a process of its own packs them. Never raises, never waits."""
    try:
        with (repository.home / "unpacked").open("ab") as file:
            file.write(b".")
            count = file.tell()
        if count % _EVERY == 0:
            pack_detached(repository)
    except OSError:
        return


def after_fetch(repository: Repository) -> None:
    """Fetches leave a pack each; now and then they are joined."""
    if len(own_packs(repository)) > 2 * _PACKS:
        pack_detached(repository)


def pack_detached(repository: Repository) -> None:
    """Start packing in a process of its own, unless the user has turned off what git does by itself."""
    if repository.setting("gc.auto") == "0":
        return
    with contextlib.suppress(OSError):
        # The shell leaves it to itself: as a child of ours it would stay a zombie until training ends.
        subprocess.run(
            ["sh", "-c", '"$@" &', "gittrack", sys.executable, "-m", "gittrack", "pack", "--quiet"],
            cwd=repository.root or repository.git_dir,
            env={**os.environ, **repository.environment()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            check=False,
        )
