"""Words, paths and variables that name a place in the user's worktree, as they name it in another worktree of the same repository."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from gittrack.capture.opens import few_words
from gittrack.errors import UsageError

# By them git would find the user's repository again, whatever the folder.
_GIT_VARIABLES = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX", "GIT_NAMESPACE"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH"),
)
_MAPPING = re.compile(r"^MAPPING\b[^=\n]*=\s*(\{.*\})\s*$", re.MULTILINE)


def below(path: Path, root: Path | None) -> str | None:
    """An absolute path, from the top of the worktree; None for one that lies elsewhere."""
    if root is None:
        return None
    for one in (Path(os.path.normpath(path)), Path(os.path.realpath(path.parent), path.name)):
        if one.is_relative_to(root):
            return one.relative_to(root).as_posix()
    return None


class Moved:
    """From the worktree at `root` to the one at `top`; `inside` is the user's folder from there, `here` where he stands.

    `outputs` are the paths that the command is to write. What cannot be moved is told in `warnings`.
    """

    def __init__(self, root: Path | None, top: Path, inside: str, here: Path | None, outputs: Sequence[str]) -> None:
        self.root = root
        self.top = top
        self.here = here or root or top
        self.there = top / inside
        self.warnings: list[str] = []
        self.written = [os.path.relpath(self.there / self.path(one), top) for one in outputs]

    # --- paths and words

    def command(self, words: Sequence[str]) -> tuple[str, ...]:
        """The command as it is to be started there."""
        outside: list[str] = []
        started = (self._program(words[0]), *(self._word(one, outside) for one in words[1:]))
        if outside:
            self.warnings.append(
                f"{few_words(outside)} {'lies' if len(outside) == 1 else 'lie'} in your worktree and not in the captured code, so "
                "the command uses it there, where it can change under it"
            )
        return started

    def path(self, text: str) -> str:
        """A path that was given, for somebody whose current folder is the isolated one."""
        path = Path(text)
        if path.is_absolute():
            inside = below(path, self.root)
            return text if inside is None else str(self.top / inside)
        full = Path(os.path.normpath(self.here / path))
        if self.root is not None and ".." in path.parts and below(full, self.root) is None:
            # Beside the worktree: from the isolated folder the same words lead elsewhere.
            return str(full)
        return text

    def input(self, text: str) -> str:
        if text.startswith("file://"):
            return self.input(urlsplit(text).path)
        if "://" in text or not text:
            return text
        moved = self.path(text)
        here = self.here / text
        if not os.path.lexists(self.there / moved) and os.path.lexists(here) and below(here, self.root) is not None:
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
            inside = below(path, self.root)
            return word if inside is None or not os.path.lexists(self.top / inside) else str(self.top / inside)
        if os.path.lexists(self.there / path) or not os.path.lexists(self.here / path):
            return word
        # Not resolved: a virtual environment is known by the path of its link.
        return os.path.normpath(self.here / path)

    def _word(self, word: str, outside: list[str]) -> str:
        """An absolute path into the user's worktree would make the command run, or read, what is not captured."""
        option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
        inside = below(Path(value), self.root) if os.path.isabs(value) else None
        if inside is None:
            return word
        if not os.path.lexists(self.top / inside) and not any(Path(inside).is_relative_to(one) for one in self.written):
            outside.append(value)
            return word
        return f"{option}{equals}{self.top / inside}"

    # --- variables

    def environ(self, given: Mapping[str, str], command: Sequence[str]) -> dict[str, str]:
        """The variables for a command that was moved."""
        environ = {name: value for name, value in given.items() if name not in _GIT_VARIABLES}
        environ["PWD"] = str(self.there)
        before = environ.get("PYTHONPATH", "")
        folders = [self._search(one) for one in before.split(os.pathsep)] if before else []
        for one in self._editable(given, command):
            # What PYTHONPATH names comes before Python's own modules.
            hiding = sorted(_module_names(one) & sys.stdlib_module_names)
            if hiding:
                self.warnings.append(
                    f"{os.path.relpath(one, self.top)} has modules that are called like Python's own ({few_words(hiding)}), so "
                    "packages installed from there are imported from your worktree; install them otherwise than editable"
                )
            elif one not in folders:
                folders.append(one)
        if folders:
            environ["PYTHONPATH"] = os.pathsep.join(folders)
        return environ

    def _search(self, folder: str) -> str:
        inside = below(Path(folder), self.root) if os.path.isabs(folder) else None
        return folder if inside is None or not (self.top / inside).is_dir() else str(self.top / inside)

    def _editable(self, given: Mapping[str, str], command: Sequence[str]) -> list[str]:
        """Folders of the captured code that stand for those from which editable packages are imported.

        Without them `import net` would bring the user's files, whatever was captured.
        """
        if self.root is None:
            return []
        from gittrack.capture.interpreter import interpreter_of, python_of_command, python_on_path, site_packages_of

        python = python_of_command(command, self.there, given)
        folders: Iterable[Path] = ()
        if python is not None:
            folders = site_packages_of(python)
        elif (python := python_on_path(self.there, given)) is not None and (known := interpreter_of(python)):
            # Perhaps a script calls it; to start it just to ask would take longer than all the rest.
            folders = known.site_packages
        found = []
        for folder in _import_folders(folders):
            inside = below(folder, self.root)
            if inside is not None and (self.top / inside).is_dir():
                found.append(str(self.top / inside))
        return list(dict.fromkeys(found))


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
