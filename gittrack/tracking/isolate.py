"""A command in a worktree of its own: detached at the captured code, with the data that its pointers name."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gittrack.capture.code import capture_code
from gittrack.capture.identity import signature
from gittrack.capture.opens import few_words
from gittrack.domain.run import CodeCapture
from gittrack.errors import GitFailed, RepositoryError, UsageError
from gittrack.git.linked import tracked_like, untracked_in
from gittrack.git.repository import Repository, current_folder
from gittrack.live.tail import peek
from gittrack.settings import Settings
from gittrack.tracking.moved import Moved, below
from gittrack.tracking.plan import Plan
from gittrack.tracking.slots import VARIABLE, Slot
from gittrack.values import dataclass, field, replace

if TYPE_CHECKING:
    from gittrack.pointers.placing import Placed
    from gittrack.pointers.store import Store
    from gittrack.tracking.active import ActiveRun

# What tools leave beside code; nobody misses it.
_BY_THE_WAY = re.compile(
    r"(^|/)(__pycache__|\.ipynb_checkpoints|\.pytest_cache|\.ruff_cache|\.mypy_cache|\.dvc)/|\.py[co]$"
)


@dataclass(frozen=True, slots=True)
class Captured:
    """The code that isolated runs work on, and `inside`: the user's folder in it, from the top."""

    code: CodeCapture
    inside: str


def capture(
    repository: Repository, settings: Settings, allow_dirty: str | None, environ: Mapping[str, str]
) -> Captured:
    """The code as it is now, by the same gate as for any run; raises DirtyTree, NoCommitYet."""
    code = capture_code(
        repository,
        allow_dirty=allow_dirty or settings.run.allow_dirty,
        author=signature(repository, environ, now=time.time()),
        snapshot_limit=settings.run.snapshot_limit,
    )
    inside = below(Path(current_folder()), repository.root)
    return Captured(code, "." if inside is None else inside)


@dataclass(slots=True)
class Isolated:
    """Where and how an isolated run works: its worktree, the plan with paths in it, the command's words and variables.

    `warnings` are to be told once the run is there.
    """

    repository: Repository
    code: CodeCapture
    plan: Plan
    command: tuple[str, ...]
    environ: dict[str, str]
    slot: Slot
    warnings: list[str] = field(default_factory=list)
    store: Store | None = None
    placed: Placed | None = None

    def began(self, pid: int) -> None:
        """The command is there: as long as it lives nobody takes its folder, not even after we were killed."""
        self.slot.use(pid=pid)

    def look_after(self, run: ActiveRun) -> None:
        """The command has ended: what it did to shared data."""
        if self.store is None or self.placed is None:
            return
        from gittrack.pointers.placing import look_after

        spoiled = look_after(self.store, self.placed)
        if spoiled:
            run.warn(
                f"the run wrote into data that it shares with DVC's cache ({few_words(spoiled)}); what is damaged there was "
                "set aside, and 'dvc fetch' brings it again"
            )

    def tell_unkept(self, run: ActiveRun, known: Iterable[str]) -> None:
        """Name what the command wrote and nobody kept, before it goes."""
        root = self.repository.root
        assert root is not None
        self._tell_commit(run)
        try:
            found = set(untracked_in(self.repository))
            events = peek(run.folder).events
        except (GitFailed, OSError):
            return
        kept = [event["source"] for event in events if event["op"] == "artifact" and event.get("source")]
        names = {os.path.relpath(one, root) for one in (*kept, *map(os.path.abspath, known))}
        placed = set() if self.placed is None else self.placed.paths
        lost = sorted(one for one in found - placed - names if not _BY_THE_WAY.search(one) and not _is_in(one, names))
        if lost:
            run.warn(
                f"{few_words(lost)} {'is' if len(lost) == 1 else 'are'} gone with the isolated folder, neither logged as "
                "artifacts nor named by --output"
            )

    def _tell_commit(self, run: ActiveRun) -> None:
        head = self.repository.resolve("HEAD")
        if head in (None, self.code.captured):
            return
        on_branch = self.repository.run("symbolic-ref", "--quiet", "HEAD", check=False).returncode == 0
        if not on_branch:
            run.warn(
                f"the command committed {str(head)[:12]} in the isolated folder, and no branch holds it; "
                f"'git branch NAME {str(head)[:12]}' keeps it"
            )


def _is_in(path: str, folders: set[str]) -> bool:
    at = path.rfind("/")
    while at > 0:
        if path[:at] in folders:
            return True
        at = path.rfind("/", 0, at)
    return False


@contextmanager
def isolated(
    repository: Repository,
    plan: Plan,
    command: Sequence[str],
    captured: Captured,
    environ: Mapping[str, str],
) -> Iterator[Isolated]:
    """Within this the current folder is that of the isolated run; afterwards nothing of it is left but a spare worktree.

    Raises UsageError for an input that the captured code does not have, RepositoryError where there can be no worktree.
    """
    before = _folder_or_none()
    slot = Slot.take(repository, environ)
    try:
        try:
            linked = slot.prepare(captured.code.captured)
        except (GitFailed, OSError) as error:
            raise RepositoryError(
                f"there can be no isolated worktree in {slot.path.parent} ({_reason(error)}); mend that, let {VARIABLE} name a "
                "folder elsewhere, or run with --no-isolated"
            ) from None
        top = _top(linked)
        moved = Moved(repository.root, top, captured.inside, before, plan.outputs)
        place = _place(repository, linked, plan, command, captured.code, moved, slot)
        place.environ = moved.environ(environ, place.command)
        place.warnings += moved.warnings
        os.chdir(_folder(top, captured.inside))
        yield place
    finally:
        for there in (before, repository.root, Path("/")):
            if there is not None:
                with suppress(OSError):
                    os.chdir(there)
                    break
        slot.leave()


def _reason(error: GitFailed | OSError) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    said = [line for line in error.stderr.splitlines() if line.startswith(("fatal:", "error:"))]
    return (said or [str(error)])[0].partition(": ")[2] or str(error)


def _folder_or_none() -> Path | None:
    try:
        return Path.cwd()
    except OSError:
        return None


def _top(linked: Repository) -> Path:
    assert linked.root is not None
    return linked.root


def _folder(top: Path, inside: str) -> Path:
    """The user's folder in the captured code; git holds no empty one, so it may have to be made."""
    folder = top / inside
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        raise UsageError(f"{inside} is no folder in the captured code; go to one that is, or commit it") from None
    return folder


def _place(
    repository: Repository,
    linked: Repository,
    plan: Plan,
    command: Sequence[str],
    code: CodeCapture,
    moved: Moved,
    slot: Slot,
) -> Isolated:
    outputs = tuple(map(moved.path, plan.outputs))
    made = Isolated(linked, code, replace(plan, outputs=outputs), moved.command(command), {}, slot)
    _put_data(made, repository, moved.top, moved.written)
    # An input may be what has just been put in place.
    made.plan = replace(made.plan, inputs=tuple(map(moved.input, plan.inputs)))
    return made


def _put_data(made: Isolated, repository: Repository, top: Path, outputs: Sequence[str]) -> None:
    """What the pointers of the captured code name and is here, in place."""
    if (top / ".dvc").is_dir() and not (top / ".dvc").is_symlink():
        from gittrack.pointers.checkout import use_cache_of
        from gittrack.pointers.places import find_places

        try:
            use_cache_of(top, repository.root, find_places(repository.common_dir, repository.root).cache)
        except (OSError, SyntaxError, UnicodeError) as error:  # configobj's mistakes are SyntaxErrors
            made.warnings.append(f"DVC's settings cannot be had in the isolated folder ({error})")
    names = tracked_like(made.repository, "*.dvc", "*dvc.lock")
    pointers = [one for one in names if one.endswith(".dvc") or os.path.basename(one) == "dvc.lock"]
    if not pointers:
        return
    from gittrack.pointers.placing import place_data
    from gittrack.pointers.store import Store

    made.store = Store.of(repository.common_dir, repository.root)
    placed = made.placed = place_data(made.store, top, pointers, without=outputs)
    made.warnings += placed.problems
    if placed.absent:
        made.warnings.append(
            f"the cache does not have {few_words(placed.absent)}, so the run does without; 'dvc fetch' brings "
            f"{'it' if len(placed.absent) == 1 else 'them'}"
        )
