"""Freeing room: objects that no run keeps leave the store, and what no branch names leaves DVC's cache too."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from gittrack.data.depot import Answer, Depot
from gittrack.data.named import named_by_git
from gittrack.data.needed import ARTIFACT, FILE, FindAmendments, Needed, needed_objects
from gittrack.data.retention import kept_runs
from gittrack.domain.pointer import FOLDER_SUFFIX
from gittrack.domain.run import RunState
from gittrack.errors import CorruptRecord, GittrackError, OnlyCopy, RunBusy
from gittrack.git.repository import Repository
from gittrack.live.tail import peek
from gittrack.pointers.census import cached_object, kept_objects, take_away
from gittrack.pointers.lock import collecting
from gittrack.pointers.released import Released
from gittrack.registry.read import read_registry
from gittrack.settings import Retention
from gittrack.tracking.places import all_folders
from gittrack.values import dataclass, field, replace

# What a run may just be storing, before its journal says so.
_GRACE = 86_400.0
# A copy that somebody has just asked for.
_READ_LATELY = 60.0


# Inode, number of names and time of change: who stores, links or replaces an object changes one of them.
Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Doomed:
    """One object that may go: how large it is, what it was (None: nothing that any run names), and where it lies.

    `left` says that DVC's cache keeps it: a pointer in git names it, it was never ours, or others share that cache.
    `on_remote` is whether the remote has it; None where that was not asked, or could not be. `stamps` are what stat(2) said
    of the paths.
    """

    oid: str
    size: int
    needed: Needed | None
    paths: tuple[Path, ...]
    left: bool = False
    on_remote: bool | None = None
    stamps: tuple[Stamp, ...] = ()

    @property
    def is_destroyed(self) -> bool:
        """Whether a run loses it on this machine."""
        return self.needed is not None and not self.left


@dataclass(slots=True)
class GcPlan:
    """What `gc` would do; `freed` counts the bytes for which no other name is left.

    `remote` is what the remote said of the objects that runs lose here; None before `ask_remote`.
    """

    objects: list[Doomed] = field(default_factory=list)
    released: dict[str, Needed] = field(default_factory=dict)
    views: list[Path] = field(default_factory=list)
    kept: int = 0
    remote: Answer | None = None
    # How to find out what has come since, and what was there then.
    _look: Callable[[], Sequence[RunState]] = list
    _amendments: FindAmendments | None = None
    _seen: frozenset[tuple[str, str | None]] = frozenset()

    @property
    def freed(self) -> int:
        return sum(map(_only_here, self.objects)) + sum(_disk_size(view) for view in self.views)

    @property
    def only_copies(self) -> list[Doomed]:
        """What runs lose and no remote is known to have."""
        return [one for one in self.objects if one.is_destroyed and not one.on_remote]

    def refuse_only_copies(self) -> None:
        """Raises OnlyCopy where a remote is there for the data of runs, and does not have what would go."""
        lost = self.only_copies
        if not lost or self.remote is None or not self.remote.configured:
            return
        runs = len({one.needed.run.id for one in lost if one.needed is not None})
        what = f"{len(lost):,} {'object' if len(lost) == 1 else 'objects'} of {runs:,} {'run' if runs == 1 else 'runs'}"
        step = "'gittrack push' comes first, or --force lets go of them all the same"
        if self.remote.silence:
            raise OnlyCopy(f"the copies here of {what} may be the only ones, since {self.remote.silence}; {step}")
        raise OnlyCopy(f"{what} would be gone for good, since no remote has them; {step}")


@dataclass(frozen=True, slots=True)
class Freed:
    """What `gc` did; `bytes` are those that the disk has back, `spares` the worktrees that isolated runs had left."""

    objects: int
    bytes: int
    temporaries: int
    spares: int = 0


def plan_gc(
    depot: Depot,
    look: Callable[[], Sequence[RunState]],
    retention: Retention,
    *,
    direction: Callable[[str], str | None],
    amendments: FindAmendments | None = None,
    now: float | None = None,
    grace: float = _GRACE,
) -> GcPlan:
    """Which objects nobody keeps: neither a run that the policy keeps, nor an active one, nor the registry.

    `look` lists all runs, as git has them now, and `amendments` those of one. Raises CorruptRecord when a run or a folder's
    list cannot be read: what it needs would look like something that nobody needs.
    """
    now = time.time() if now is None else now
    repository, store = depot.repository, depot.store
    # First what is active, then what is recorded: a run that ends in between is seen twice, and never not at all.
    active = set(_active_objects(depot))
    kept = set(active)
    runs = look()
    unknown = False
    tags = registered_commits(repository)
    registered = {run.id for run in runs if run.commit in tags or run.head in tags} | registered_runs(repository)
    kept_ids = kept_runs(runs, retention, registered=registered, direction=direction, now=now)
    released: dict[str, Needed] = {}
    for one in needed_objects(repository, runs, strict=True, amendments=amendments):
        # The policy is about artifacts; a curve goes with its run alone.
        may_go = one.what != FILE and one.run.id not in kept_ids and _is_of(one, retention.kinds)
        objects, absent = depot.objects([one.pointer])
        if absent and not may_go:
            if store.find(one.pointer.oid) is not None:
                raise CorruptRecord(f"{one}: {next(iter(absent.values()))}; 'gittrack fsck --repair' comes first")
            unknown = True
        for oid in objects:
            if not may_go:
                kept.add(oid)
            elif oid not in released or one.what == ARTIFACT:
                # What a run made is ours, also where another run read it.
                released[oid] = one
    named = set(named_by_git(depot))
    plan = GcPlan(
        released={oid: one for oid, one in released.items() if oid not in kept},
        _look=look,
        _amendments=amendments,
        _seen=frozenset((run.id, run.head) for run in runs),
    )
    for oid, path in kept_objects(store.places):
        if oid in kept:
            plan.kept += 1
            continue
        one_needed = plan.released.get(oid)
        # A folder that is kept and whose list was never fetched may name what looks like nobody's.
        if one_needed is None and (unknown or path.stat().st_ctime > now - grace):
            continue
        paths = [path]
        # What we put into the cache for a run we take out again; other people's data are DVC's to collect, and in a cache
        # that somebody chose nobody can tell whose they are.
        ours = not store.places.shared and one_needed is not None and one_needed.what == ARTIFACT and oid not in named
        cached = cached_object(store.places, oid)
        if cached is not None and ours:
            paths.append(cached)
        left = cached is not None and not ours
        try:
            size, stamps = path.stat().st_size, tuple(map(_stamp, paths))
        except FileNotFoundError:
            continue
        plan.objects.append(Doomed(oid, size, one_needed, tuple(paths), left, stamps=stamps))
    plan.objects.sort(key=_by_run_and_artifact)
    plan.views = [one for one in _old_views(repository, now, grace) if one.name not in active]
    return plan


def _by_run_and_artifact(one: Doomed) -> tuple[Any, ...]:
    if one.needed is None:
        return (True, one.oid)
    run = one.needed.run
    return (False, run.experiment, run.name, run.id, one.needed.called, one.oid)


def ask_remote(depot: Depot, plan: GcPlan) -> None:
    """Note which of the objects that runs lose the remote has."""
    doomed = {one.oid for one in plan.objects if one.is_destroyed}
    answer = depot.ask(doomed) if doomed else Answer()
    plan.remote = answer

    def said(one: Doomed) -> bool | None:
        if not one.is_destroyed or (answer.silence and answer.configured):
            return None
        # Another size is another content.
        return answer.sizes.get(one.oid) == one.size

    plan.objects = [replace(one, on_remote=said(one)) for one in plan.objects]


def run_gc(depot: Depot, plan: GcPlan) -> Freed:
    """Do what the plan says of all that nobody has named, linked or made anew since; raises RunBusy.

    Only here others have to wait, so this is short. Lists of folders go first, so that none promises what is gone.
    """
    repository = depot.repository
    released = Released(repository.home)
    with collecting(repository.home) as alone:
        if not alone:
            raise RunBusy("other processes are storing artifacts; try again when they are done")
        active = set(_active_objects(depot))
        kept = active | _named_since(depot, plan)
        going = [one for one in plan.objects if one.oid not in kept and _is_as_it_was(one)]
        freed = sum(map(_only_here, going))
        spared = {one.oid for one in plan.objects} - {one.oid for one in going}
        released.note(oid for oid in plan.released if oid not in kept and oid not in spared)
        for one in sorted(going, key=lambda one: not one.oid.endswith(FOLDER_SUFFIX)):
            for path, (inode, _, _) in zip(one.paths, one.stamps, strict=True):
                taken = take_away(path, lambda taken, inode=inode: taken.stat().st_ino == inode)  # type: ignore[misc]
                if taken is not None:
                    taken.unlink()
                elif path.exists():
                    # Stored again this very moment.
                    released.strike(one.oid)
        views = [_set_aside(one) for one in plan.views if one.name not in active]
    for view in filter(None, views):
        freed += _disk_size(view)
        shutil.rmtree(view, ignore_errors=True)
    files, size = depot.store.sweep()
    return Freed(len(going), freed + size, files)


def _named_since(depot: Depot, plan: GcPlan) -> set[str]:
    """What runs need that ended, came or were amended after the plan was made."""
    late = [run for run in plan._look() if (run.id, run.head) not in plan._seen]
    needed = needed_objects(depot.repository, late, strict=True, amendments=plan._amendments)
    return {oid for one in needed for oid in depot.objects([one.pointer])[0]}


def released_objects(repository: Repository) -> set[str]:
    """Objects that `gc` let go here on purpose."""
    return Released(repository.home).all()


def registered_runs(repository: Repository) -> set[str]:
    """Runs that a version of a model comes from; its tag may name a commit on top of the run's."""
    return {
        one.registered.run for model in read_registry(repository).models.values() for one in model.versions.values()
    }


def registered_commits(repository: Repository) -> dict[str, list[str]]:
    """Git tags by the commit that they name: a version of a model is one, and nothing that a tag names is let go."""
    out = repository.git("for-each-ref", "--format=%(objectname) %(*objectname) %(refname:short)", "refs/tags")
    found: dict[str, list[str]] = {}
    for line in out.decode("utf-8", "replace").splitlines():
        direct, peeled, name = line.split(" ", 2)
        found.setdefault(peeled or direct, []).append(name)
    return found


def _is_of(one: Needed, kinds: Collection[str]) -> bool:
    return not kinds or (one.what == ARTIFACT and one.kind in kinds)


def _active_objects(depot: Depot) -> Iterator[str]:
    """What active runs have stored or used and no commit names yet."""
    for folder in all_folders(depot.repository):
        try:
            # All of it: in a long journal an artifact may stand anywhere.
            events = folder.replay().events
        except (OSError, GittrackError):
            events = list(peek(folder).events)
        for event in events:
            if event["op"] in ("artifact", "input") and isinstance(event.get("md5"), str):
                yield event["md5"]
                if event["md5"].endswith(FOLDER_SUFFIX):
                    try:
                        yield from depot.store.objects(event["md5"])
                    except GittrackError:
                        continue


# --- on disk


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return found.st_ino, found.st_nlink, found.st_ctime_ns


def _is_as_it_was(one: Doomed) -> bool:
    try:
        return tuple(map(_stamp, one.paths)) == one.stamps
    except FileNotFoundError:
        return False


def _only_here(one: Doomed) -> int:
    """Bytes on disk that are free once all its paths are gone."""
    inodes: dict[tuple[int, int], tuple[int, int, int]] = {}
    for path in one.paths:
        try:
            found = path.stat()
        except OSError:
            continue
        key = (found.st_dev, found.st_ino)
        names = inodes.get(key, (0, 0, 0))[0] + 1
        inodes[key] = (names, found.st_nlink, found.st_blocks * 512)
    return sum(size for names, links, size in inodes.values() if names >= links)


def _old_views(repository: Repository, now: float, grace: float) -> Iterator[Path]:
    views = repository.home / "views"
    for view in sorted(views.iterdir()) if views.is_dir() else ():
        if view.stat().st_mtime <= now - grace:
            yield view


def _set_aside(view: Path) -> Path | None:
    """Out of the way at once, unless somebody has read it lately: to remove it takes its time."""
    aside = view.with_name(f"{view.name}.{os.getpid()}.tmp")
    try:
        if time.time() - view.stat().st_mtime < _READ_LATELY:
            return None
        os.rename(view, aside)
    except OSError:
        return None
    return aside


def _disk_size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_blocks * 512
            except OSError:
                continue
    return total
