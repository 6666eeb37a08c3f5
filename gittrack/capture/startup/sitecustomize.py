"""Which files of a worktree a Python process opens, noticed by an audit hook (PEP 578).

`gittrack run` puts the folder of this file in front of PYTHONPATH, and Python loads a module of this name when it starts
(docs.python.org/3/library/site.html). It may be any Python, one without gittrack too: so this file imports nothing of ours,
never fails, and loads the `sitecustomize` that it hides.
"""

from __future__ import annotations

import os
import sys

# As type checkers know it, without the import that would cost every Python a millisecond.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

VARIABLE = "GITTRACK_OPENS"  # a folder to write to, and the top of the worktree, with a newline between
READ, WRITTEN = "r", "w"

_WRITES = os.O_WRONLY | os.O_RDWR


def watch(root: str, sink: Callable[[str, str], object]) -> Callable[[], None]:
    """Call `sink(kind, path)` when a file below `root` is first opened for reading, or for writing.

    Returns a function that makes it forget what it told. It lasts as long as the process: an audit hook cannot be taken
    away. Code in C that opens files by itself is not seen.
    """
    root = root.rstrip(os.sep) + os.sep
    seen: set[tuple[str, bool]] = set()

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event != "open":
            return
        try:
            path, mode, flags = arguments
            if isinstance(path, bytes):
                path = os.fsdecode(path)
            if not isinstance(path, str):
                return
            if isinstance(mode, str):
                written = not set(mode).isdisjoint("wax+")
            else:
                written = isinstance(flags, int) and bool(flags & _WRITES)
            key = (path, written)
            if key in seen:
                return
            seen.add(key)
            full = os.path.abspath(path)
            if full.startswith(root):
                sink(WRITTEN if written else READ, full)
        except Exception:
            # What the script opens is its own affair: it must never fail for our curiosity.
            return

    sys.addaudithook(hook)
    return seen.clear


def _to_folder(folder: str) -> Callable[[str, str], object]:
    """A sink that appends to a file of this process, which outlives it whatever becomes of it."""
    files: dict[int, int] = {}

    def sink(kind: str, path: str) -> None:
        # After a fork the child writes a file of its own.
        pid = os.getpid()
        if pid not in files:
            name = os.path.join(folder, "opened-" + str(pid))
            files[pid] = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.write(files[pid], os.fsencode(kind + path) + b"\0")

    return sink


def _load_hidden() -> None:
    """The `sitecustomize` that Python would have loaded without this one."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [one for one in sys.path if os.path.abspath(one or ".") != here]
    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


def _begin() -> None:
    folder, _, root = os.environ.get(VARIABLE, "").partition("\n")
    if folder and root and hasattr(sys, "addaudithook"):
        watch(root, _to_folder(folder))


if __name__ == "sitecustomize":
    try:
        _begin()
    except Exception:
        pass
    _load_hidden()
