"""Are the bytes of every run here and whole, and if not, where can they be had."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from gittrack.data.depot import Answer, Depot
from gittrack.data.gc import registered_commits, released_objects
from gittrack.data.needed import Needed, needed_objects
from gittrack.domain.pointer import Pointer
from gittrack.domain.run import RunState
from gittrack.errors import CorruptRecord, GittrackError, ObjectMissing
from gittrack.ledger.fsck import Problem, Unasked
from gittrack.pointers.census import cached_object, heal
from gittrack.pointers.store import Health
from gittrack.values import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """Objects of one artifact or input that are not as they must be, by what is wrong with each."""

    needed: Needed
    objects: Mapping[str, Health]

    def is_released(self, released: Collection[str]) -> bool:
        """Whether nothing is wrong but that `gc` let go of it, on purpose."""
        missing = all(health is Health.MISSING for health in self.objects.values())
        return missing and all(oid in released for oid in self.objects)

    def sentence(self) -> str:
        missing = sum(one is Health.MISSING for one in self.objects.values())
        damaged = len(self.objects) - missing
        if self.needed.pointer.is_folder:
            words = [f"{count:,} {word}" for count, word in ((missing, "missing"), (damaged, "damaged")) if count]
            return f"of {self.needed.pointer.nfiles or 0:,} + 1 objects (its files and their list), {' and '.join(words)} here"
        return "its bytes are damaged here" if damaged else "its bytes are not here"


def examine(depot: Depot, runs: Iterable[RunState]) -> list[Finding]:
    """Every object of every run, read and hashed once; only what is wrong is returned."""
    seen: dict[str, Health] = {}
    findings = []
    for one in needed_objects(depot.repository, runs):
        wrong = {oid: health for oid in _all(depot, one) if (health := _check(depot, oid, seen)) is not Health.OK}
        if wrong:
            findings.append(Finding(one, wrong))
    return findings


def unwell(depot: Depot, pointer: Pointer) -> str:
    """What is wrong with the bytes behind a pointer, all of them read and hashed; empty when nothing is."""
    try:
        oids = depot.store.objects(pointer.oid)
    except GittrackError:
        oids = (pointer.oid,)
    wrong = {oid: health for oid in oids if (health := depot.store.check(oid)) is not Health.OK}
    damaged = [oid for oid, health in wrong.items() if health is Health.DAMAGED]
    if damaged:
        return f"its bytes here are not those that were registered (object {damaged[0]}); 'gittrack fsck --repair' looks for others"
    return "its bytes are not here, so nobody can tell; 'gittrack pull' gets them" if wrong else ""


def _check(depot: Depot, oid: str, seen: dict[str, Health]) -> Health:
    if oid not in seen:
        seen[oid] = depot.store.check(oid)
    return seen[oid]


def _all(depot: Depot, one: Needed) -> list[str]:
    try:
        return list(depot.store.objects(one.pointer.oid))
    except GittrackError:
        # The list itself is missing or damaged, and what it names is unknown.
        return [one.pointer.oid]


def problems(depot: Depot, findings: Iterable[Finding], spoiled: Collection[str] = ()) -> Iterator[Problem]:
    """What is wrong, and where the bytes can be had; the remote is asked once, and only about these.

    What lies safely on the remote, or was let go on purpose, is told and is no damage. `spoiled` are objects that a repair
    found damaged on the remote.
    """
    findings = list(findings)
    if not findings:
        return
    released = released_objects(depot.repository)
    asked = {oid for one in findings if not one.is_released(released) for oid in one.objects}
    answer = depot.ask(asked) if asked else Answer()
    tags = registered_commits(depot.repository)
    for one in findings:
        run = one.needed.run
        named = [tag for commit in (run.commit, run.head) for tag in tags.get(commit or "", ())]
        where = f"{one.needed}{f', which is {named[0]},' if named else ''}"
        damaged = any(health is Health.DAMAGED for health in one.objects.values())
        if one.is_released(released):
            yield Problem(where, "its bytes were let go by 'gittrack gc'", "", harmless=True)
        elif any(oid in spoiled or _is_cut(one.needed, oid, answer) for oid in one.objects):
            yield Problem(
                where,
                f"{one.sentence()}, and the copy on remote {answer.name!r} is damaged too",
                "remove that one there (files/md5/, then its md5 with a '/' after two digits) and 'gittrack push' from a "
                "clone that has it, or log it again ('gittrack artifact add')",
            )
        elif one.objects.keys() <= answer.sizes.keys():
            step = f"'gittrack fsck --repair' fetches it from remote {answer.name!r}, and verifies it"
            yield Problem(where, f"{one.sentence()}, and on the remote", step, harmless=not damaged)
        elif answer.silence and answer.configured:
            kind = Problem if damaged else Unasked
            yield kind(
                where, one.sentence(), f"the remote could not be asked ({answer.silence}); ask again when it answers"
            )
        else:
            yield Problem(
                where,
                f"{one.sentence()}, and on no remote",
                "push it from a clone that has it ('gittrack push' there), or log it again ('gittrack artifact add')",
            )


def _is_cut(needed: Needed, oid: str, answer: Answer) -> bool:
    """Whether the remote has a file with another size than it must have; of the files in a folder nobody knows it."""
    return (
        oid == needed.pointer.oid
        and not needed.pointer.is_folder
        and answer.sizes.get(oid, needed.pointer.size) != needed.pointer.size
    )


@dataclass(frozen=True, slots=True)
class Repaired:
    """How many objects are whole again, how many bytes were fetched for that, how many DVC's cache has again, and how many tags
    of models are back.

    `spoiled` are those that the remote has, and not as they must be.
    """

    objects: int
    bytes: int
    exposed: int = 0
    tags: int = 0
    spoiled: frozenset[str] = frozenset()


def repair(depot: Depot, findings: Iterable[Finding]) -> Repaired:
    """Make whole what can be: from another copy here, from the worktree, from the remote; damaged bytes are set aside."""
    released = released_objects(depot.repository)
    findings = [one for one in findings if not one.is_released(released)]
    bad = {oid: health for one in findings for oid, health in one.objects.items()}
    for oid in bad:
        heal(depot.store, oid)
    _from_worktree(depot, findings)
    came = 0
    spoiled: set[str] = set()
    # Who does not answer is not asked for each.
    answers = not depot.ask(bad).silence
    for one in findings if answers else ():
        try:
            came += depot.bring([one.needed.pointer], what=one.needed.called).bytes
        except ObjectMissing as error:
            spoiled |= error.spoiled
        except (GittrackError, OSError):
            # It is told by the look that follows.
            continue
    whole = [oid for oid in bad if depot.store.check(oid) is Health.OK]
    return Repaired(len(whole), came, spoiled=frozenset(spoiled))


def _from_worktree(depot: Depot, findings: Iterable[Finding]) -> None:
    """Where the very bytes still lie in the worktree, they go into the store again."""
    root = depot.repository.root
    if root is None:
        return
    for one in findings:
        place = root / one.needed.path
        try:
            if place.exists() and depot.store.measure(place, ignore_root=root).pointer.oid == one.needed.pointer.oid:
                depot.store.add(place, ignore_root=root)
        except (OSError, GittrackError):
            continue


def expose_all(depot: Depot, runs: Iterable[RunState]) -> int:
    """Put what a `dvc gc` took out of DVC's cache into it again; returns how many objects."""
    done = 0
    for one in needed_objects(depot.repository, runs):
        for oid in _all(depot, one):
            if depot.store.find(oid) is not None and cached_object(depot.store.places, oid) is None:
                try:
                    done += depot.store.expose(oid)
                except (OSError, CorruptRecord):
                    continue
    return done
