"""What surrounds a run: Python, packages, platform, container, chosen variables, lock files.

Captured in two parts, so that a run need not wait for the second: the fast one reads a few small
files, the slow one starts git for editable packages and asks the GPUs. Nothing here raises for
what the world is like; what could not be captured is said in `Environment.notes`.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

from gittrack.capture import hardware, interpreter, packages
from gittrack.capture.secrets import mask_value
from gittrack.domain.environment import (
    Conda,
    Container,
    Environment,
    Hardware,
    Platform,
    Python,
)
from gittrack.values import replace

_T = TypeVar("_T")

_LOCK_FILES = (
    "requirements*.txt",
    "requirements/*.txt",
    "constraints*.txt",
    "uv.lock",
    "poetry.lock",
    "Pipfile.lock",
    "pdm.lock",
    "pylock*.toml",
    "pixi.lock",
    "conda-lock.yml",
    "*.conda-lock.yml",
    "environment.yml",
    "environment.yaml",
    "package-lock.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "Cargo.lock",
    "go.sum",
    "renv.lock",
    "Manifest.toml",
    "flake.lock",
)
_LARGEST_LOCK_FILE = 64 * 1024 * 1024


def capture_environment(
    root: Path,
    variables: Sequence[str],
    masks: Sequence[str],
    *,
    command: Sequence[str] | None = None,
    seeds: Mapping[str, int] | None = None,
) -> Environment:
    """All of it, at once; see `capture_fast` and `capture_slow`."""
    return capture_slow(capture_fast(root, variables, masks, command=command, seeds=seeds))


def capture_fast(
    root: Path,
    variables: Sequence[str],
    masks: Sequence[str],
    *,
    command: Sequence[str] | None = None,
    seeds: Mapping[str, int] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Environment:
    """What a few milliseconds tell; `capture_slow` adds the rest.

    `variables` are names or globs of environment variables to record, `masks` globs of names
    whose values are hidden. `command` is what will run, when it is not this process; its Python is
    recorded then.
    """
    environ = os.environ if environ is None else environ
    notes: list[str] = []
    python, installed = _python(command, root, environ, notes)
    return Environment(
        python=python,
        platform=_try(notes, "the platform", _platform, Platform()),
        packages=installed.versions,
        editable=installed.editable,
        vcs=installed.vcs,
        lock_files=_try(notes, "the lock files", lambda: _lock_files(root, notes), {}),
        container=_try(notes, "the container", lambda: find_container(environ), None),
        conda=_try(notes, "the conda environment", lambda: _conda(python, environ), None),
        hardware=_try(notes, "the hardware", hardware.quick_hardware, Hardware()),
        seeds=dict(seeds or {}),
        variables=_try(notes, "the variables", lambda: chosen_variables(environ, variables, masks), {}),
        notes=tuple(notes),
    )


def capture_slow(fast: Environment, *, environ: Mapping[str, str] | None = None) -> Environment:
    """The same with GPUs, physical cores, the git state of editable packages, and a Python asked.

    May run in a thread of its own, and after the run has begun.
    """
    environ = os.environ if environ is None else environ
    notes: list[str] = []
    env = fast
    if env.python.version is None and env.python.executable is not None:
        env = _try(notes, "the Python of the command", lambda: _asked(fast, notes), fast)
    if env.editable:
        editable, refused = _try(
            notes,
            "the git state of editable packages",
            lambda: packages.with_git_state(env.editable),
            (dict(env.editable), list[str]()),
        )
        env = replace(env, editable=editable)
        notes += refused
    unseen: tuple[str, ...] = ()
    machine, unseen = _try(notes, "the hardware", lambda: hardware.full_hardware(environ), (env.hardware, unseen))
    return replace(env, hardware=machine, notes=tuple(dict.fromkeys((*env.notes, *notes, *unseen))))


def _try(notes: list[str], what: str, capture: Callable[[], _T], otherwise: _T) -> _T:
    """A part of the environment; a world in which it cannot be had must not stop a run."""
    try:
        return capture()
    except Exception as error:
        notes.append(f"{what} could not be captured: {type(error).__name__}: {error}")
        return otherwise


# --- Python


def _python(
    command: Sequence[str] | None, root: Path, environ: Mapping[str, str], notes: list[str]
) -> tuple[Python, packages.Packages]:
    def capture() -> tuple[Python, packages.Packages]:
        if command is None:
            return described(interpreter.running_interpreter())
        executable = interpreter.python_of_command(command, root, environ)
        if executable is None:
            executable = interpreter.python_on_path(root, environ)
            if executable is None:
                notes.append("no Python was found that the command could use")
                return Python(), packages.Packages()
            notes.append("which Python the command uses, if any, is not known: the one on the PATH is recorded")
        found = interpreter.interpreter_of(executable)
        if found is None:  # capture_slow asks it
            return Python(executable=str(executable)), packages.Packages()
        return described(found)

    def described(found: interpreter.Interpreter) -> tuple[Python, packages.Packages]:
        return found.python, packages.installed_packages(found.site_packages)

    return _try(notes, "Python and its packages", capture, (Python(), packages.Packages()))


def _asked(env: Environment, notes: list[str]) -> Environment:
    """The environment with a Python that only itself can describe."""
    executable = env.python.executable or ""
    found = interpreter.ask_interpreter(Path(executable))
    if found is None:
        notes.append(f"{executable} did not say what it is: its version and packages are unknown")
        return env
    installed = packages.installed_packages(found.site_packages)
    return replace(
        env,
        python=found.python,
        packages=installed.versions,
        editable=installed.editable,
        vcs=installed.vcs,
    )


def _conda(python: Python, environ: Mapping[str, str]) -> Conda | None:
    prefix = python.prefix if python.kind == "conda" else None
    if python.prefix is None:  # the command is no Python: what is activated counts
        prefix = environ.get("CONDA_PREFIX")
    if not prefix:
        return None
    active = environ.get("CONDA_PREFIX") == prefix
    name = environ.get("CONDA_DEFAULT_ENV") if active else None
    return Conda(name or os.path.basename(prefix), prefix)


# --- platform


def _platform() -> Platform:
    system = os.uname()
    return Platform(
        system=system.sysname,
        release=system.release,
        machine=system.machine,
        libc=_libc(),
        distro=_distro(),
    )


def _libc() -> str | None:
    try:
        # Faster than platform.libc_ver(), which reads the interpreter's program file.
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):
        return "musl" if any(Path("/lib").glob("ld-musl-*")) else None


def _distro() -> str | None:
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0]}"
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        return None


# --- container


def find_container(environ: Mapping[str, str], root: Path = Path("/")) -> Container | None:
    """The container that this process is in; `root` is where its file system begins."""
    image = environ.get("APPTAINER_CONTAINER") or environ.get("SINGULARITY_CONTAINER")
    if image:
        return Container("apptainer", image)
    podman = root / "run/.containerenv"
    if podman.is_file():
        told = dict(re.findall(r'^(\w+)="([^"]*)"', podman.read_text("utf-8", "replace"), re.M))
        return Container("podman", told.get("image") or None, told.get("id") or None)
    if environ.get("KUBERNETES_SERVICE_HOST"):
        return Container("kubernetes", None, _container_id(root))
    if (root / ".dockerenv").exists():
        return Container("docker", None, _container_id(root))
    kind = environ.get("container")  # set by systemd-nspawn, lxc and others
    return Container(kind) if kind else None


def _container_id(root: Path) -> str | None:
    """The runtime mounts the container's own files from a folder that is named after it."""
    try:
        mounts = (root / "proc/self/mountinfo").read_text("utf-8", "replace")
    except OSError:
        return None
    found = re.search(r"/(?:containers|sandboxes)/([0-9a-f]{64})/", mounts)
    return found[1] if found else None


# --- variables


def chosen_variables(environ: Mapping[str, str], names: Sequence[str], masks: Sequence[str]) -> dict[str, str]:
    """The variables that `names` (globs, in exact case) choose, with secrets masked."""
    chosen = (name for name in sorted(environ) if any(fnmatchcase(name, one) for one in names))
    # Bytes that are no text come as surrogates, which no file in UTF-8 can hold.
    return {name: mask_value(name, os.fsencode(environ[name]).decode("utf-8", "replace"), masks) for name in chosen}


# --- lock files

_digests: dict[tuple[str, int, int, int], str] = {}


def _lock_files(root: Path, notes: list[str]) -> dict[str, str]:
    found = {}
    names = os.listdir(root)
    if (root / "requirements").is_dir():
        names += [f"requirements/{name}" for name in os.listdir(root / "requirements")]
    for name in sorted(names):
        if _is_lock_file(name):
            try:
                digest = _digest(root / name, notes)
            except OSError as error:
                notes.append(f"the lock file {name} could not be read: {error.strerror}")
                continue
            if digest is not None:
                found[name] = digest
    return found


# One pattern for all of them: it is asked for every file at the top of the worktree. `*` stays within a folder.
_is_lock_file = re.compile("|".join(re.escape(one).replace(r"\*", "[^/]*") for one in _LOCK_FILES)).fullmatch


def _digest(path: Path, notes: list[str]) -> str | None:
    """The file's sha256; None for what is not a plain file, or too large to be one of these."""
    if not path.is_file():
        return None
    state = path.stat()
    if state.st_size > _LARGEST_LOCK_FILE:
        notes.append(f"{path.name} is too large for a lock file and was left out")
        return None
    key = (str(path), state.st_ino, state.st_size, state.st_mtime_ns)
    if key not in _digests:
        with path.open("rb") as file:
            _digests[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _digests[key]
