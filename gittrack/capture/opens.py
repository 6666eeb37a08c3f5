"""Files that a run reads without having said so: its own process, or the Pythons that `gittrack run` starts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from gittrack.capture.startup import sitecustomize
from gittrack.values import dataclass, field

VARIABLE = sitecustomize.VARIABLE

# Code and what is made of it; folders whose content nobody takes for data.
_CODE = frozenset({".py", ".pyc", ".pyd", ".pyi", ".pth", ".so", ".ipynb", ".toml", ".cfg", ".lock"})
_NOT_DATA = frozenset({".git", ".dvc", ".gittrack", "__pycache__", "site-packages", "dist-packages", "node_modules"})


@dataclass(slots=True)
class Opened:
    """Absolute paths below the top of the worktree."""

    read: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)

    def add(self, kind: str, path: str) -> None:
        (self.written if kind == sitecustomize.WRITTEN else self.read).add(path)


# For each worktree: who listens, and how to make the hook tell again what it told before.
_watched: dict[str, tuple[list[Opened], Callable[[], None]]] = {}


def watch_this_process(root: Path) -> Opened:
    """What this process opens below `root` from now on, until `stop_watching`; several may listen."""
    key = str(root)
    if key not in _watched:
        listeners: list[Opened] = []

        def tell(kind: str, path: str) -> None:
            for one in listeners:
                one.add(kind, path)

        _watched[key] = (listeners, sitecustomize.watch(key, tell))
    listeners, forget = _watched[key]
    opened = Opened()
    listeners.append(opened)
    forget()
    return opened


def stop_watching(opened: Opened) -> None:
    for listeners, _ in _watched.values():
        listeners[:] = [one for one in listeners if one is not opened]


def child_variables(folder: Path, root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """What a command's environment needs, so that the Pythons it starts write down what they open."""
    ours = str(Path(sitecustomize.__file__).parent)
    before = environ.get("PYTHONPATH")
    return {
        VARIABLE: f"{folder}\n{root}",
        "PYTHONPATH": f"{ours}{os.pathsep}{before}" if before else ours,
    }


def read_opened(folder: Path) -> Opened:
    """What the Pythons of a command wrote down."""
    opened = Opened()
    for path in folder.glob("opened-*"):
        for entry in path.read_bytes().split(b"\0"):
            if entry:
                opened.add(chr(entry[0]), os.fsdecode(entry[1:]))
    return opened


def data_files(opened: Opened, root: Path) -> list[Path]:
    """What was read, is a file that lies there now, was not written by the run itself, and is no code; sorted."""
    found = []
    for name in sorted(opened.read - opened.written):
        path = Path(name)
        parts = path.relative_to(root).parts
        if path.suffix.lower() in _CODE or not _NOT_DATA.isdisjoint(parts) or _in_environment(path.parent, root):
            continue
        if path.is_file():
            found.append(path)
    return found


@lru_cache(maxsize=10_000)
def _in_environment(folder: Path, root: Path) -> bool:
    """Whether a folder lies in a virtual environment (PEP 405)."""
    if (folder / "pyvenv.cfg").exists() or (folder / "conda-meta").exists():
        return True
    return folder not in (root, folder.parent) and _in_environment(folder.parent, root)


def few_words(paths: Iterable[str], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    names = list(paths)
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"
