"""The store of a repository and the remote behind it: from here everything else gets its bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from gittrack.domain.pointer import Pointer
from gittrack.errors import CorruptRecord, GittrackError, ObjectMissing, RemoteUnusable
from gittrack.git.repository import Repository
from gittrack.pointers.progress import bar
from gittrack.values import dataclass, field

if TYPE_CHECKING:
    from gittrack.pointers.remote import Remote
    from gittrack.pointers.store import Store
    from gittrack.pointers.transfer import Transferred


@dataclass(frozen=True, slots=True)
class Came:
    """How many objects came from the remote, and their bytes."""

    objects: int = 0
    bytes: int = 0

    def and_more(self, other: Came) -> Came:
        return Came(self.objects + other.objects, self.bytes + other.bytes)


@dataclass(frozen=True, slots=True)
class Answer:
    """Which of the objects that were `asked` for the remote `name` has, with their sizes; `silence`: why it cannot tell.

    `configured` is False where there is no remote at all, so that nothing can lie on one.
    """

    asked: frozenset[str] = frozenset()
    name: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    silence: str = ""
    configured: bool = True


@dataclass(frozen=True)
class Depot:
    """`remote_name` is the DVC remote of the settings; None means DVC's default."""

    repository: Repository
    remote_name: str | None = None

    @cached_property
    def store(self) -> Store:
        from gittrack.pointers.store import Store

        return Store.of(self.repository.common_dir, self.repository.root)

    def remote(self) -> Remote:
        """Where the data of runs lie; raises RemoteUnusable, MissingExtra."""
        from gittrack.pointers.remote import open_remote

        if self.repository.root is None:
            raise RemoteUnusable(
                f"{self.repository.git_dir} has no worktree, so DVC's settings and its remotes are not to be found; "
                "work in a clone with files"
            )
        return open_remote(self.repository.root, self.remote_name, common_dir=self.repository.common_dir)

    def ask(self, oids: Iterable[str]) -> Answer:
        """Which objects the remote has; never raises for a remote that does not answer."""
        from gittrack.pointers.remote import is_configured
        from gittrack.pointers.transfer import present

        root, common_dir = self.repository.root, self.repository.common_dir
        wanted, configured = frozenset(oids), True
        try:
            configured = root is None or is_configured(root, self.remote_name, common_dir=common_dir)
            remote = self.remote()
            if remote.is_local and not os.path.isdir(remote.path):
                # Perhaps not mounted: that nothing is there would be a guess.
                silence = f"the folder of remote {remote.name!r}, {remote.path}, is not there"
                return Answer(wanted, remote.name, silence=silence)
            return Answer(wanted, remote.name, present(remote, wanted))
        except (GittrackError, OSError) as error:
            return Answer(wanted, silence=str(error), configured=configured)

    # --- in

    def bring(self, pointers: Iterable[Pointer], *, member: str | None = None, what: str = "the data") -> Came:
        """Everything that the pointers stand for, or of folders only `member`, from the remote where it is not here.

        Raises ObjectMissing when anything could not be had.
        """
        pointers = list(pointers)
        lists = [one.oid for one in pointers if one.is_folder and self.store.find(one.oid) is None]
        came = self._pull(lists, 0, what) if lists else Came()
        sizes = {one.oid: one.size for one in pointers if not one.is_folder}
        wanted = dict.fromkeys(sizes)
        for one in pointers:
            if one.is_folder:
                wanted.update(dict.fromkeys(self.members(one.oid, member).values()))
        missing = [oid for oid in wanted if self.store.find(oid) is None]
        if missing:
            came = came.and_more(self._pull(missing, sum(one.size for one in pointers), what))
        return came

    def mend(self, pointer: Pointer, *, member: str | None = None, what: str = "the data") -> None:
        """Set damaged bytes aside, and get the object from another copy here or from the remote.

        Raises ObjectMissing where there is none.
        """
        from gittrack.pointers.census import heal

        what = f"{what} (damaged here, and set aside)"
        try:
            heal(self.store, pointer.oid)
            if pointer.is_folder:
                self.bring([pointer], member="", what=what)
                for oid in self.members(pointer.oid, member).values():
                    heal(self.store, oid)
        except OSError as error:
            raise CorruptRecord(
                f"{what}: its bytes are damaged and cannot be set aside ({error.strerror or error}); where that can be "
                "written, 'gittrack fsck --repair' mends it"
            ) from None
        self.bring([pointer], member=member, what=what)

    def read(self, pointer: Pointer, *, what: str = "the data") -> bytes:
        """The bytes of one file, from the remote where they are not here; raises ObjectMissing, CorruptRecord."""
        self.bring([pointer], what=what)
        try:
            return self.store.read(pointer.oid)
        except CorruptRecord:
            self.mend(pointer, what=what)
            return self.store.read(pointer.oid)

    def members(self, oid: str, member: str | None = None) -> dict[str, str]:
        """Path to object of a folder's files, or of those that `member` (a file or sub-folder) names."""
        found = {one.relpath: one.oid for one in self.store.members(oid)}
        if member is None:
            return found
        below = f"{member.rstrip('/')}/"
        return {path: one for path, one in found.items() if path == member.rstrip("/") or path.startswith(below)}

    def here(self, pointer: Pointer) -> bool:
        """Whether all that a pointer stands for is on this machine."""
        if self.store.find(pointer.oid) is None:
            return False
        try:
            return all(self.store.find(oid) is not None for oid in self.store.objects(pointer.oid))
        except GittrackError:
            return False

    def _pull(self, oids: Sequence[str], size: int, what: str) -> Came:
        from gittrack.pointers.transfer import pull

        try:
            remote = self.remote()
        except GittrackError as error:
            objects = "1 object is" if len(oids) == 1 else f"{len(oids):,} objects are"
            raise ObjectMissing(f"{what}: {objects} not here, and {error}") from None
        with bar(f"fetching {what}", size, always=True) as progress:
            done = pull(self.store, remote, oids, progress=progress)
        if done.failed:
            text = f"{what}: {_first_failure(done.failed)}; 'gittrack fsck' tells what is where"
            raise ObjectMissing(text, spoiled=done.spoiled)
        return Came(done.done, done.bytes)

    # --- out

    def objects(self, pointers: Iterable[Pointer]) -> tuple[list[str], dict[str, str]]:
        """All objects behind pointers, lists after their files; and those lists that are not here, with the reason."""
        found: dict[str, None] = {}
        absent = {}
        for one in pointers:
            if not one.is_folder:
                found[one.oid] = None
                continue
            try:
                found.update(dict.fromkeys(self.members(one.oid).values()))
            except GittrackError as error:
                absent[one.oid] = str(error)
            found[one.oid] = None
        return list(found), absent

    def send(self, pointers: Iterable[Pointer], remote: Remote) -> Transferred:
        """Everything that the pointers stand for to the remote; what is there already is not sent again."""
        from gittrack.pointers.transfer import push

        pointers = list(dict.fromkeys(pointers))
        oids, _ = self.objects(pointers)
        with bar(f"pushing data to {remote.name}", sum(one.size for one in pointers), always=True) as progress:
            return push(self.store, remote, oids, progress=progress)


def _first_failure(failed: Mapping[str, str]) -> str:
    oid, reason = next(iter(failed.items()))
    more = f" (and {len(failed) - 1:,} more)" if len(failed) > 1 else ""
    return f"object {oid[:12]}: {reason}{more}"
