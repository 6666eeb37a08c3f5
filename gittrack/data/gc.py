"""Freeing room: objects that no run keeps leave the store, and what no branch names leaves DVC's cache too."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gittrack.data.depot import Answer, Depot
from gittrack.data.needed import ARTIFACT, FILE, Needed, needed_objects
from gittrack.data.retention import kept_runs
from gittrack.errors import CorruptRecord, GitFailed, GittrackError, OnlyCopy
from gittrack.git.repository import Repository
from gittrack.live.tail import peek
from gittrack.model.pointer import FOLDER_SUFFIX
from gittrack.model.run import RunState
from gittrack.pointers.census import cached_object, kept_objects
from gittrack.settings import Retention
from gittrack.tracking.places import all_folders

# What a run may just be storing, before its journal says so.
_GRACE = 86_400.0
_POINTED = re.compile(rb"md5: ['\"]?([0-9a-f]{32}(?:\.dir)?)")


@dataclass(frozen=True, slots=True)
class Doomed:
    """One object that may go: how large it is, what it was (None: nothing that any run names), and where it lies.

    `left` says that DVC's cache keeps it: a branch or a tag points to it, or it was never ours. `on_remote` is whether the
    remote has it; None where that was not asked, or could not be.
    """

    oid: str
    size: int
    needed: Needed | None
    paths: tuple[Path, ...]
    left: bool = False
    on_remote: bool | None = None

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
    """What `gc` did; `bytes` are those that the disk has back."""

    objects: int
    bytes: int
    temporaries: int


def plan_gc(
    depot: Depot,
    look: Callable[[], Sequence[RunState]],
    retention: Retention,
    *,
    direction: Callable[[str], str | None],
    now: float | None = None,
    grace: float = _GRACE,
) -> GcPlan:
    """Which objects nobody keeps: neither a run that the policy keeps, nor an active one, nor the registry.

    `look` lists all runs. Raises CorruptRecord when a run or a folder's list cannot be read: what it needs would look
    like something that nobody needs.
    """
    now = time.time() if now is None else now
    repository, store = depot.repository, depot.store
    # First what is active, then what is recorded: a run that ends in between is seen twice, and never not at all.
    kept: set[str] = set(_active_objects(depot))
    runs = look()
    unknown = False
    tags = registered_commits(repository)
    registered = {run.id for run in runs if run.commit in tags or run.head in tags}
    kept_ids = kept_runs(runs, retention, registered=registered, direction=direction, now=now)
    released: dict[str, Needed] = {}
    for one in needed_objects(repository, runs, strict=True):
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
    named = set(_named_by_git(depot))
    plan = GcPlan(released={oid: one for oid, one in released.items() if oid not in kept})
    for oid, path in kept_objects(store.places):
        if oid in kept:
            plan.kept += 1
            continue
        one_needed = plan.released.get(oid)
        # A folder that is kept and whose list was never fetched may name what looks like nobody's.
        if one_needed is None and (unknown or path.stat().st_ctime > now - grace):
            continue
        paths = [path]
        # What we put into the cache for a run we take out again; other people's data are DVC's to collect.
        ours = one_needed is not None and one_needed.what == ARTIFACT and oid not in named
        cached = cached_object(store.places, oid)
        if cached is not None and ours:
            paths.append(cached)
        left = cached is not None and not ours
        plan.objects.append(Doomed(oid, path.stat().st_size, one_needed, tuple(paths), left))
    plan.objects.sort(key=_by_run_and_artifact)
    plan.views = list(_old_views(repository, now, grace))
    return plan


def _by_run_and_artifact(one: Doomed) -> tuple[Any, ...]:
    if one.needed is None:
        return (True, one.oid)
    run = one.needed.run
    return (False, run.experiment, run.name, run.id, one.needed.called, one.oid)


def ask_remote(depot: Depot, plan: GcPlan, answer: Answer | None = None) -> Answer:
    """Note which of the objects that runs lose the remote has; what an earlier `answer` says is not asked again."""
    doomed = {one.oid for one in plan.objects if one.is_destroyed}
    if answer is None or not doomed <= answer.asked:
        answer = depot.ask(doomed) if doomed else Answer()
    plan.remote = answer

    def said(one: Doomed) -> bool | None:
        if not one.is_destroyed or (answer.silence and answer.configured):
            return None
        # Another size is another content.
        return answer.sizes.get(one.oid) == one.size

    plan.objects = [replace(one, on_remote=said(one)) for one in plan.objects]
    return answer


def run_gc(depot: Depot, plan: GcPlan) -> Freed:
    """Do what the plan says; lists of folders go first, so that none promises what is gone."""
    _note_released(depot.repository, plan.released)
    freed = plan.freed
    for one in sorted(plan.objects, key=lambda one: not one.oid.endswith(FOLDER_SUFFIX)):
        for path in one.paths:
            path.unlink(missing_ok=True)
    for view in plan.views:
        shutil.rmtree(view, ignore_errors=True)
    files, size = depot.store.sweep()
    return Freed(len(plan.objects), freed + size, files)


def released_objects(repository: Repository) -> set[str]:
    """Objects that `gc` let go here on purpose."""
    try:
        return set((repository.home / "released").read_text(encoding="ascii").split())
    except FileNotFoundError:
        return set()


def _note_released(repository: Repository, released: Iterable[str]) -> None:
    """Before anything goes: whoever misses it later is told why."""
    known = released_objects(repository)
    lines = "".join(f"{oid}\n" for oid in released if oid not in known)
    if lines:
        repository.home.mkdir(exist_ok=True)
        with open(repository.home / "released", "a", encoding="ascii") as file:
            file.write(lines)


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


def _named_by_git(depot: Depot) -> Iterator[str]:
    """Objects that a pointer of the worktree, or of any branch, tag or remote branch, names: as `dvc gc -a -T` looks."""
    repository = depot.repository
    refs = repository.git("for-each-ref", "--format=%(objectname)", "refs/heads", "refs/tags", "refs/remotes")
    commits = list(dict.fromkeys([*refs.decode("ascii").split(), *filter(None, [repository.resolve("HEAD")])]))
    searches: list[tuple[list[str], list[str]]] = [([], commits[at : at + 200]) for at in range(0, len(commits), 200)]
    if repository.root is not None:
        searches.append((["--untracked", "--no-exclude-standard"], []))
    oids: set[str] = set()
    for options, trees in searches:
        words = ("grep", "-h", "-I", "--no-color", *options, "-F", "-e", "md5: ", *trees, "--", "*.dvc", "*dvc.lock")
        done = repository.run(*words, check=False)
        if done.returncode not in (0, 1):
            raise GitFailed(f"'git grep' could not look for pointers: {done.stderr.decode('utf-8', 'replace').strip()}")
        oids |= {one.decode("ascii") for one in _POINTED.findall(done.stdout)}
    for oid in oids:
        yield oid
        if oid.endswith(FOLDER_SUFFIX):
            try:
                yield from depot.store.objects(oid)
            except GittrackError:
                continue


# --- on disk


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


def _disk_size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_blocks * 512
            except OSError:
                continue
    return total
