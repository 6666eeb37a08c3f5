"""The folder of one active run: `<common dir>/gittrack/live/<run id>/`.

owner, owner-*      who writes (JSON, one file a process)
journal, journal-*  what they wrote, one file a process; `journal` is the creator's
end                 room reserved on disk for the last word, should the disk be full then
console.log, ...    what the run printed
files/              small artifacts, copied when they were logged
place               top of the worktree it runs in, as bytes; none where there is no worktree
lock                held while somebody turns the run into a commit
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from gittrack.domain.names import is_run_id
from gittrack.errors import CorruptRecord, RunBusy
from gittrack.live.owner import Liveness, Owner, liveness
from gittrack.live.replay import Replay, first_record, replay, scan

RESERVE = 4096


class RunFolder:
    """Paths and small files of one active run; journals are written by `Journal`.

    `overflow` is a folder elsewhere that may hold more journals, from when this one could not be written.
    """

    def __init__(self, live: Path, run_id: str, overflow: Path | None = None) -> None:
        self.run_id = run_id
        self.path = live / run_id
        self.overflow = overflow

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    @property
    def files(self) -> Path:
        return self.path / "files"

    @property
    def journal(self) -> Path:
        return self.path / "journal"

    def create(self) -> None:
        """Make the folder, with room for the last word; there may be one already (another rank was first)."""
        self.path.mkdir(parents=True, exist_ok=True)
        reserve = self.path / "end"
        if not reserve.exists():
            # Written, not truncated to size: a hole would not be ours when the disk is full.
            reserve.write_bytes(bytes(RESERVE))

    def exists(self) -> bool:
        return self.path.is_dir()

    # --- owners

    def claim(self, owner: Owner, suffix: str = "") -> Path:
        """Say that this process writes the run; under a name of its own, in place at once."""
        import orjson

        path = self.path / f"owner{suffix}"
        temporary = self.path / f".owner{suffix}-{uuid.uuid4().hex[:8]}"
        temporary.write_bytes(orjson.dumps(owner.to_dict()))
        os.replace(temporary, path)
        return path

    def stand(self, top: Path) -> None:
        """Say in which worktree the run works; that it cannot be said is no reason not to run."""
        temporary = self.path / f".place-{uuid.uuid4().hex[:8]}"
        try:
            temporary.write_bytes(os.fsencode(os.path.abspath(top)))
            os.replace(temporary, self.path / "place")
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def place(self) -> Path | None:
        """The top of the worktree in which the run works; None where there is none, or nobody could say."""
        try:
            said = (self.path / "place").read_bytes()
        except OSError:
            return None
        return Path(os.fsdecode(said)) if said else None

    def owners(self) -> dict[Path, Owner]:
        """All who said that they write this run; an unreadable file counts as nobody."""
        import orjson

        found = {}
        for path in sorted(self.path.glob("owner*")):
            try:
                found[path] = Owner.from_dict(orjson.loads(path.read_bytes()))
            except (OSError, orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
                continue
        return found

    def liveness(self, *, but: Path | None = None) -> Liveness:
        """ALIVE when any writer lives, UNKNOWN when none does that we can see but some we cannot, else DEAD."""
        states = {liveness(owner) for path, owner in self.owners().items() if path != but}
        for state in (Liveness.ALIVE, Liveness.UNKNOWN):
            if state in states:
                return state
        return Liveness.DEAD

    # --- reading

    def journals(self) -> list[Path]:
        """All journals, the creator's first, then in the order of their names."""
        found = sorted(self.path.glob("journal*"), key=lambda path: (path.name != "journal", path.name))
        if self.overflow is not None and self._overflow_is_mine():
            found += sorted(self.overflow.glob("journal*"))
        return found

    def _overflow_is_mine(self) -> bool:
        """It may lie where everybody can write: what somebody else put there is not read."""
        assert self.overflow is not None
        try:
            return all(place.lstat().st_uid == os.getuid() for place in (self.overflow.parent, self.overflow))
        except OSError:
            return False

    def replay(self, beyond: Mapping[str, int] | None = None) -> Replay:
        """All that was acknowledged, or of each file named in `beyond` what stands after so many bytes.

        Raises CorruptRecord only when the files cannot be read at all.
        """
        beyond = beyond or {}
        try:
            # Listed once: a run that ends meanwhile takes its folder away.
            whole = [(beyond.get(str(path), 0), path.read_bytes()) for path in self.journals()]
            names = [scan(one[:at]).names for at, one in whole]
            data = [one[at:] for at, one in whole]
            last_word = b"" if beyond else self.last_word()
            if last_word:
                data.append(last_word)
        except OSError as error:
            raise CorruptRecord(
                f"the journal of run {self.run_id} in {self.path} cannot be read ({error.strerror}); mend the file system, "
                "then run 'gittrack recover'"
            ) from None
        return replay(data, names)

    # --- how far it was recorded

    def sizes(self) -> dict[str, int]:
        """Bytes of each journal now."""
        return {str(path): path.stat().st_size for path in self.journals()}

    def mark(self, sizes: Mapping[str, int]) -> None:
        """Say how much of the journals the commit holds that is about to be made visible."""
        import orjson

        temporary = self.path / f".recorded-{uuid.uuid4().hex[:8]}"
        temporary.write_bytes(orjson.dumps(dict(sizes)))
        os.replace(temporary, self.path / "recorded")

    def marked(self) -> dict[str, int]:
        """What `mark` said; empty when it never did."""
        import orjson

        try:
            plain = orjson.loads((self.path / "recorded").read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return {}
        return plain if isinstance(plain, dict) else {}

    def last_word(self) -> bytes:
        """The record in the reserved room; empty when there was no need of it."""
        reserve = self.path / "end"
        return first_record(reserve.read_bytes()) if reserve.exists() else b""

    def last_write(self) -> float:
        """When the run last wrote anything, in seconds since the epoch; who only looks at it leaves no trace here."""
        times = [0.0]
        for path in [*self.journals(), *self.path.glob("console*"), self.path / "end"]:
            try:
                times.append(path.stat().st_mtime)
            except OSError:
                continue
        return max(times)

    def write_last_word(self, record: bytes) -> bool:
        """Put one record into the reserved room; True when it is there."""
        if len(record) > RESERVE:
            return False
        try:
            with open(self.path / "end", "r+b") as file:
                file.write(record)
        except OSError:
            return False
        return True

    # --- the end

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one process at a time turns a run into a commit; raises RunBusy when another is at it.

        Where the file system knows no locks, create-only refs still let one of two win.
        """
        import fcntl

        try:
            handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError:
            # A read-only folder can be read and sealed all the same.
            yield
            return
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunBusy(
                    f"run {self.run_id} is being finished by another process; try again in a moment"
                ) from None
            except OSError:
                pass
            yield
        finally:
            os.close(handle)

    def remove(self) -> None:
        """The run is a commit now. Renamed first: a folder half removed must not look like a run."""
        for place in (self.path, self.overflow):
            if place is None or (place is self.overflow and not self._overflow_is_mine()):
                continue
            gone = place.with_name(f".gone-{self.run_id}-{uuid.uuid4().hex[:8]}")
            try:
                os.rename(place, gone)
            except FileNotFoundError:
                continue
            shutil.rmtree(gone, ignore_errors=True)


def run_folders(live: Path) -> list[RunFolder]:
    """All runs that are active, lost or not yet cleared away; sweeps what an interrupted removal left."""
    try:
        names = sorted(os.listdir(live))
    except OSError:
        return []
    for name in names:
        if name.startswith(".gone-"):
            shutil.rmtree(live / name, ignore_errors=True)
    return [RunFolder(live, name) for name in names if is_run_id(name)]
