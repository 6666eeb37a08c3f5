"""Which Python runs a command, and where its packages lie."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from gittrack.domain.environment import Python
from gittrack.values import dataclass

_ASK_SECONDS = 5
# First of all, the current folder must not lend us its own json.py.
_QUESTION = """
import sys
if sys.path[0] == "": del sys.path[0]
import json, platform
print()
print(json.dumps([platform.python_version(), sys.implementation.name, sys.executable, sys.prefix,
    sys.base_prefix, [one for one in sys.path if one.endswith("-packages")]]))
"""


_PYTHON = re.compile(r"(?:python|pypy)(?:\d+(?:\.\d+)?t?)?\Z")
# These start what stands further on in the command ...
_WRAPPERS = {"catchsegv", "env", "ionice", "mpiexec", "mpirun", "nice", "nohup", "numactl"}
_WRAPPERS |= {"setsid", "srun", "stdbuf", "taskset", "time", "timeout", "xvfb-run"}
# ... and these do it in the environment of the project.
_RUNNERS = {"hatch", "pdm", "pipenv", "pixi", "poetry", "rye", "uv"}
_SHEBANG = re.compile(rb"#![ \t]*(\S+)(?:[ \t]+(?:-S[ \t]+)?([^-\s]\S*))?")
# How pip writes a shebang that would be too long.
_LONG_SHEBANG = re.compile(rb"#!/bin/sh\n'{3}exec' \"?([^\"\n]+?)\"? \"\$0\"")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python with the folders that its packages lie in, first found first."""

    python: Python
    site_packages: tuple[Path, ...]


def running_interpreter() -> Interpreter:
    """This process's own."""
    # Made for packages, or named by the user: not the standard library, nor the script's folder.
    folders = [
        *_named_folders(),
        *(Path(one) for one in sys.path if one.endswith(("site-packages", "dist-packages"))),
    ]
    prefix = Path(sys.prefix)
    kind = "venv" if sys.prefix != sys.base_prefix else _prefix_kind(prefix)
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info.releaselevel != "final":
        version = sys.version.split()[0]
    python = Python(
        version=version,
        implementation=_proper(sys.implementation.name),
        executable=sys.executable or None,
        prefix=sys.prefix,
        kind=kind,
    )
    return Interpreter(python, tuple(dict.fromkeys(folders)))


def python_of_command(command: Sequence[str], root: Path, environ: Mapping[str, str]) -> Path | None:
    """The Python that a command will run, as far as its words tell."""
    if not command:
        return None
    first = os.path.basename(command[0])
    if first in _RUNNERS:
        return _existing(root / environ.get("UV_PROJECT_ENVIRONMENT", ".venv") / "bin" / "python")
    for word in command if first in _WRAPPERS else command[:1]:
        program = _on_path(word, root, environ)
        if program is not None:
            python = program if _PYTHON.match(program.name) else _shebang(program, root, environ)
            if python is not None:
                return python
    return None


def python_on_path(root: Path, environ: Mapping[str, str]) -> Path | None:
    """The Python that a script would get by calling `python`."""
    return _on_path("python", root, environ) or _on_path("python3", root, environ)


def interpreter_of(executable: Path) -> Interpreter | None:
    """What can be known of an interpreter without starting it; None when it has to be asked."""
    executable = Path(os.path.abspath(executable))  # a link into a venv must stay one
    if _is_running(executable):
        return running_interpreter()
    for prefix in (executable.parent, executable.parent.parent):
        if (prefix / "pyvenv.cfg").is_file():
            return _venv(executable, prefix)
    return _installed(executable)


def ask_interpreter(executable: Path) -> Interpreter | None:
    """What an interpreter says of itself; None when it does not answer within seconds."""
    try:
        done = subprocess.run(
            [executable, "-c", _QUESTION],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_ASK_SECONDS,
            check=True,
        )
        version, name, really, prefix, base, folders = json.loads(
            done.stdout.splitlines()[-1]  # a startup file may have printed before
        )
    except (OSError, subprocess.SubprocessError, ValueError, TypeError, IndexError):
        return None
    kind = "venv" if prefix != base else _prefix_kind(Path(prefix))
    python = Python(version, _proper(name), really or str(executable), prefix, kind)
    return Interpreter(python, tuple(dict.fromkeys((*_named_folders(), *map(Path, folders)))))


def site_packages_of(executable: Path) -> tuple[Path, ...]:
    """The folders that an interpreter finds its packages in; empty when it cannot be told."""
    interpreter = interpreter_of(executable) or ask_interpreter(executable)
    return interpreter.site_packages if interpreter is not None else ()


def _existing(path: Path) -> Path | None:
    return path if os.access(path, os.X_OK) and path.is_file() else None


def _on_path(word: str, root: Path, environ: Mapping[str, str]) -> Path | None:
    if "/" in word:
        return _existing(root / word)
    folders = environ.get("PATH", os.defpath).split(os.pathsep)
    found = (_existing(root / folder / word) for folder in folders)
    return next((path for path in found if path is not None), None)


def _shebang(program: Path, root: Path, environ: Mapping[str, str]) -> Path | None:
    """The Python that a script names in its first line, as `torchrun` or `pytest` do."""
    try:
        with program.open("rb") as file:
            start = file.read(512)
    except OSError:
        return None
    long, short = _LONG_SHEBANG.match(start), _SHEBANG.match(start)
    if long is not None:
        named = long[1]
    elif short is not None:
        by_env = os.path.basename(short[1]) == b"env" and short[2] is not None
        named = short[2] if by_env else short[1]
    else:
        return None
    if not _PYTHON.match(os.path.basename(os.fsdecode(named))):
        return None
    return _on_path(os.fsdecode(named), root, environ)


def _is_running(executable: Path) -> bool:
    if not sys.executable or not executable.name.startswith(("python", "pypy")):
        return False
    # By folder, not by target: all venvs link to one program, and python3 and python are one.
    same_folder = executable.parent == Path(os.path.abspath(sys.executable)).parent
    try:
        return same_folder and os.path.samefile(executable, sys.executable)
    except OSError:
        return False


def _venv(executable: Path, prefix: Path) -> Interpreter | None:
    settings = _pyvenv_cfg(prefix / "pyvenv.cfg")
    version = settings.get("version_info", settings.get("version", ""))
    number = re.match(r"(\d+\.\d+)(?:\.\d+)?", version)
    folders = _packages_below(prefix, number[1] if number else "")
    if not folders:
        return None
    if settings.get("include-system-site-packages", "").lower() == "true":
        base = Path(settings.get("home", "")) / executable.name
        outer = interpreter_of(base) if base != executable else None
        if outer is None:
            return None
        folders += outer.site_packages
    implementation = settings.get("implementation") or _implementation(executable)
    python = Python(
        version=number[0] if number else None,
        implementation=implementation,
        executable=str(executable),
        prefix=str(prefix),
        kind="venv",
    )
    return Interpreter(python, (*_named_folders(), *folders))


def _pyvenv_cfg(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _installed(executable: Path) -> Interpreter | None:
    """An interpreter outside any venv, when its place alone tells its version."""
    try:
        real = executable.resolve(strict=True)
        if real.parent.name != "bin" or _is_script(real):
            return None  # a pyenv shim, say
    except OSError:
        return None
    prefix = real.parent.parent
    number = re.fullmatch(r"(?:python|pypy)(\d+\.\d+)t?", real.name)
    if number is None:
        return None
    short = number[1]
    folders = [prefix / "lib" / f"python{short}" / "site-packages"]
    if prefix == Path("/usr"):  # as Debian does it
        folders = [
            Path(f"/usr/local/lib/python{short}/dist-packages"),
            Path("/usr/lib/python3/dist-packages"),
            *folders,
        ]
    if not os.environ.get("PYTHONNOUSERSITE"):
        user = Path(os.path.expanduser("~/.local"))  # Path.home() raises where there is none
        folders.insert(0, user / "lib" / f"python{short}" / "site-packages")
    folders = [folder for folder in folders if folder.is_dir()]
    version = _full_version(prefix, short)
    if version is None or not folders:
        return None
    python = Python(
        version=version,
        implementation=_implementation(real),
        executable=str(executable),
        prefix=str(prefix),
        kind=_prefix_kind(prefix),
    )
    return Interpreter(python, (*_named_folders(), *folders))


def _is_script(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def _full_version(prefix: Path, short: str) -> str | None:
    for record in prefix.glob(f"conda-meta/python-{short}.*.json"):
        found = re.match(r"python-(\d+\.\d+\.\w+)-", record.name)
        if found:
            return found[1]
    header = prefix / "include" / f"python{short}" / "patchlevel.h"
    try:
        found = re.search(r'#define\s+PY_VERSION\s+"([^"]+)"', header.read_text("utf-8", "replace"))
    except OSError:
        return None
    return found[1].rstrip("+") if found else None


def _packages_below(prefix: Path, short: str) -> tuple[Path, ...]:
    found = [*sorted(prefix.glob("lib/*/site-packages")), prefix / "Lib" / "site-packages"]
    if not (prefix / "lib64").is_symlink():
        found += sorted(prefix.glob("lib64/*/site-packages"))
    found = [folder for folder in found if folder.is_dir()]
    # A venv that was upgraded keeps the folder of the older Python.
    current = [folder for folder in found if short and folder.parent.name.rstrip("t").endswith(short)]
    return tuple(current or found)


def _named_folders() -> list[Path]:
    """What the user put on the path of every Python."""
    return [Path(one) for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]


def _prefix_kind(prefix: Path) -> str:
    return "conda" if (prefix / "conda-meta").is_dir() else "system"


def _implementation(executable: Path) -> str:
    return "PyPy" if executable.name.startswith("pypy") else "CPython"


def _proper(name: str) -> str:
    return {"cpython": "CPython", "pypy": "PyPy", "graalpy": "GraalPy"}.get(name, name)
