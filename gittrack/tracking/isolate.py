"""A command in a worktree of its own: detached at the captured code, with the data that its pointers name."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gittrack.capture.code import capture_code
from gittrack.capture.identity import signature
from gittrack.capture.opens import few_words
from gittrack.domain.run import CodeCapture
from gittrack.errors import GitFailed, RepositoryError, UsageError
from gittrack.git.linked import tracked_like, untracked_in
from gittrack.git.repository import Repository, current_folder
from gittrack.live.tail import peek
from gittrack.settings import Settings
from gittrack.tracking.plan import Plan
from gittrack.tracking.slots import VARIABLE, Slot
from gittrack.values import dataclass, field, replace

if TYPE_CHECKING:
    from gittrack.pointers.placing import Placed
    from gittrack.pointers.store import Store
    from gittrack.tracking.active import ActiveRun

# By them git would find the user's repository again, whatever the folder.
_GIT_VARIABLES = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX", "GIT_NAMESPACE"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH"),
)
_MAPPING = re.compile(r"^MAPPING\b[^=\n]*=\s*(\{.*\})\s*$", re.MULTILINE)
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
    inside = _below(Path(current_folder()), repository.root)
    return Captured(code, "." if inside is None else inside)


def _below(path: Path, root: Path | None) -> str | None:
    """An absolute path, from the top of the worktree; None for one that lies elsewhere."""
    if root is None:
        return None
    for one in (Path(os.path.normpath(path)), Path(os.path.realpath(path.parent), path.name)):
        if one.is_relative_to(root):
            return one.relative_to(root).as_posix()
    return None


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
        place = _Moved(repository, linked, captured, plan, command, environ, before).place(slot)
        os.chdir(_folder(linked, captured.inside))
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


def _folder(linked: Repository, inside: str) -> Path:
    """The user's folder in the captured code; git holds no empty one, so it may have to be made."""
    assert linked.root is not None
    folder = linked.root / inside
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        raise UsageError(f"{inside} is no folder in the captured code; go to one that is, or commit it") from None
    return folder


class _Moved:
    """Everything that names a place in the user's worktree, as it is named in the isolated one."""

    def __init__(
        self,
        repository: Repository,
        linked: Repository,
        captured: Captured,
        plan: Plan,
        command: Sequence[str],
        environ: Mapping[str, str],
        here: Path | None,
    ) -> None:
        assert linked.root is not None
        self.repository = repository
        self.linked = linked
        self.captured = captured
        self.plan = plan
        self.command = command
        self.given = environ
        self.root = repository.root
        self.top = linked.root
        self.here = here or self.root or self.top
        self.there = self.top / captured.inside
        self.outside: list[str] = []
        self.written = [self._from_top(self._path(one)) for one in plan.outputs]

    def place(self, slot: Slot) -> Isolated:
        outputs = tuple(self._path(one) for one in self.plan.outputs)
        made = Isolated(
            self.linked,
            self.captured.code,
            replace(self.plan, outputs=outputs),
            (self._program(self.command[0]), *map(self._word, self.command[1:])),
            {},
            slot,
        )
        self._put_data(made, self.written)
        made.plan = replace(made.plan, inputs=tuple(self._input(one) for one in self.plan.inputs))
        made.environ = self._environ(made)
        if self.outside:
            made.warnings.append(
                f"{few_words(self.outside)} {'lies' if len(self.outside) == 1 else 'lie'} in your worktree and not in the "
                "captured code, so the command uses it there, where it can change under it"
            )
        return made

    # --- paths

    def _path(self, text: str) -> str:
        """A path that was given, for somebody whose current folder is the isolated one."""
        path = Path(text)
        if path.is_absolute():
            below = _below(path, self.root)
            return text if below is None else str(self.top / below)
        full = Path(os.path.normpath(self.here / path))
        if self.root is not None and ".." in path.parts and _below(full, self.root) is None:
            # Beside the worktree: from the isolated folder the same words lead elsewhere.
            return str(full)
        return text

    def _from_top(self, text: str) -> str:
        return os.path.relpath(self.there / text, self.top)

    def _input(self, text: str) -> str:
        if text.startswith("file://"):
            return self._input(urlsplit(text).path)
        if "://" in text or not text:
            return text
        moved = self._path(text)
        here = self.here / text
        if not os.path.lexists(self.there / moved) and os.path.lexists(here) and _below(here, self.root) is not None:
            raise UsageError(
                f"input {text!r} is in your worktree alone, and an isolated run has what git and DVC hold; commit it, "
                "'dvc add' and commit it, name a copy outside of the worktree, or run with --no-isolated"
            )
        return moved

    def _program(self, word: str) -> str:
        if os.sep not in word:
            found = shutil.which(word)
            if found is None or os.path.isabs(found):
                return word
            word = found
        path = Path(word)
        if path.is_absolute():
            below = _below(path, self.root)
            return word if below is None or not os.path.lexists(self.top / below) else str(self.top / below)
        if os.path.lexists(self.there / path) or not os.path.lexists(self.here / path):
            return word
        # Not resolved: a virtual environment is known by the path of its link.
        return os.path.normpath(self.here / path)

    def _word(self, word: str) -> str:
        """An absolute path into the user's worktree would make the command run, or read, what is not captured."""
        option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
        if not os.path.isabs(value):
            return word
        below = _below(Path(value), self.root)
        if below is None:
            return word
        if not os.path.lexists(self.top / below) and not any(Path(below).is_relative_to(one) for one in self.written):
            self.outside.append(value)
            return word
        return f"{option}{equals}{self.top / below}"

    # --- variables

    def _environ(self, made: Isolated) -> dict[str, str]:
        environ = {name: value for name, value in self.given.items() if name not in _GIT_VARIABLES}
        environ["PWD"] = str(self.there)
        before = environ.get("PYTHONPATH", "")
        folders = [self._search(one) for one in before.split(os.pathsep)] if before else []
        for one in self._editable(made.command):
            # What PYTHONPATH names comes before Python's own modules.
            hiding = sorted(_module_names(one) & sys.stdlib_module_names)
            if hiding:
                made.warnings.append(
                    f"{os.path.relpath(one, self.top)} has modules that are called like Python's own ({few_words(hiding)}), so "
                    "packages installed from there are imported from your worktree; install them otherwise than editable"
                )
            elif one not in folders:
                folders.append(one)
        if folders:
            environ["PYTHONPATH"] = os.pathsep.join(folders)
        return environ

    def _search(self, folder: str) -> str:
        below = _below(Path(folder), self.root) if os.path.isabs(folder) else None
        return folder if below is None or not (self.top / below).is_dir() else str(self.top / below)

    def _editable(self, command: Sequence[str]) -> list[str]:
        """Folders of the captured code that stand for those from which editable packages are imported.

        Without them `import net` would bring the user's files, whatever was captured.
        """
        if self.root is None:
            return []
        from gittrack.capture.interpreter import interpreter_of, python_of_command, python_on_path, site_packages_of

        python = python_of_command(command, self.there, self.given)
        folders: Iterable[Path] = ()
        if python is not None:
            folders = site_packages_of(python)
        elif (python := python_on_path(self.there, self.given)) is not None and (known := interpreter_of(python)):
            # Perhaps a script calls it; to start it just to ask would take longer than all the rest.
            folders = known.site_packages
        found = []
        for folder in _import_folders(folders):
            below = _below(folder, self.root)
            if below is not None and (self.top / below).is_dir():
                found.append(str(self.top / below))
        return list(dict.fromkeys(found))

    # --- data

    def _put_data(self, made: Isolated, outputs: Sequence[str]) -> None:
        if (self.top / ".dvc").is_dir() and not (self.top / ".dvc").is_symlink():
            from gittrack.pointers.checkout import use_cache_of
            from gittrack.pointers.places import find_places

            try:
                use_cache_of(self.top, self.root, find_places(self.repository.common_dir, self.root).cache)
            except (OSError, SyntaxError, UnicodeError) as error:  # configobj's mistakes are SyntaxErrors
                made.warnings.append(f"DVC's settings cannot be had in the isolated folder ({error})")
        names = tracked_like(self.linked, "*.dvc", "*dvc.lock")
        pointers = [one for one in names if one.endswith(".dvc") or os.path.basename(one) == "dvc.lock"]
        if not pointers:
            return
        from gittrack.pointers.placing import place_data
        from gittrack.pointers.store import Store

        made.store = Store.of(self.repository.common_dir, self.root)
        placed = made.placed = place_data(made.store, self.top, pointers, without=outputs)
        made.warnings += placed.problems
        if placed.absent:
            made.warnings.append(
                f"the cache does not have {few_words(placed.absent)}, so the run does without; 'dvc fetch' brings "
                f"{'it' if len(placed.absent) == 1 else 'them'}"
            )


def _module_names(folder: str) -> set[str]:
    try:
        return {
            entry.name.removesuffix(".py")
            for entry in os.scandir(folder)
            if entry.is_dir() or entry.name.endswith(".py")
        }
    except OSError:
        return set()


def _import_folders(site_packages: Iterable[Path]) -> Iterator[Path]:
    """Folders outside of these from which packages in them are imported, as `.pth` files and setuptools' finders say."""
    import ast

    for folder in site_packages:
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        for name in names:
            with suppress(OSError, UnicodeDecodeError, ValueError, SyntaxError):
                if name.endswith(".pth"):
                    lines = (folder / name).read_text(encoding="utf-8").splitlines()
                    yield from (Path(one) for one in lines if os.path.isabs(one))
                elif name.startswith("__editable__") and name.endswith("_finder.py"):
                    said = _MAPPING.search((folder / name).read_text(encoding="utf-8"))
                    mapping = ast.literal_eval(said[1]) if said is not None else {}
                    # A package by another name than its folder's cannot be had by a path.
                    yield from (Path(path).parent for package, path in mapping.items() if Path(path).name == package)
