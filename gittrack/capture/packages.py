"""The packages of a Python.

Versions are read off the names of the `*.dist-info` folders: a hundred times faster than
reading the metadata of every package.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from gittrack.capture.secrets import strip_userinfo
from gittrack.domain.environment import Editable, FromVcs
from gittrack.values import dataclass, field, replace

_GIT_SECONDS = 10
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Packages:
    """Versions by normalised name, and which of the packages do not come from an index."""

    versions: Mapping[str, str] = field(default_factory=dict)
    editable: Mapping[str, Editable] = field(default_factory=dict)
    vcs: Mapping[str, FromVcs] = field(default_factory=dict)


_cache: dict[tuple[tuple[Path, int], ...], Packages] = {}


def installed_packages(site_packages: Sequence[Path]) -> Packages:
    """The packages in these folders; of a name found twice the first counts, as in an import.

    Editable packages come without their commit: `with_git_state` asks git for it.
    """
    key = tuple((folder, _changed(folder)) for folder in site_packages)
    if key not in _cache:
        _cache[key] = _scan(site_packages)
    return _cache[key]


def _changed(folder: Path) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0


def _scan(site_packages: Sequence[Path]) -> Packages:
    versions: dict[str, str] = {}
    editable: dict[str, Editable] = {}
    vcs: dict[str, FromVcs] = {}
    for folder in site_packages:
        try:
            entries = sorted(os.listdir(folder))
        except OSError:
            continue
        for entry in entries:
            if entry.endswith(".dist-info"):
                name, _, version = entry[:-10].rpartition("-")
                origin = _direct_url(folder / entry)
            elif entry.endswith(".egg-info"):
                name, version = _egg_info(folder, entry)
                origin = None
            elif entry.endswith(".egg-link"):
                name, version, origin = _egg_link(folder / entry)
            else:
                continue
            name = _normalised(name)
            if not name or name in versions:
                continue
            versions[name] = version
            if isinstance(origin, Editable):
                editable[name] = origin
            elif origin is not None:
                vcs[name] = origin
    return Packages(dict(sorted(versions.items())), editable, vcs)


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _direct_url(dist_info: Path) -> Editable | FromVcs | None:
    """Where a package came from, when it was not an index (PEP 610)."""
    try:
        # Nearly no package has one: a plain open is the cheapest way to find out.
        with open(f"{dist_info}/direct_url.json", "rb") as file:
            plain = json.loads(file.read())
        url = str(plain["url"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
    if _part(plain, "dir_info").get("editable"):
        return Editable(unquote(urlsplit(url).path) or url)
    commit = _part(plain, "vcs_info").get("commit_id")
    return FromVcs(strip_userinfo(url), commit) if commit else None


def _part(plain: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = plain.get(key)
    return part if isinstance(part, Mapping) else {}


def _egg_info(folder: Path, entry: str) -> tuple[str, str]:
    stem = entry[: -len(".egg-info")]
    found = re.match(r"(.+?)-(\d[^-]*)(?:-py\d.*)?$", stem)
    if found:
        return found[1], found[2]
    path = folder / entry
    return stem, _metadata_version(path / "PKG-INFO" if path.is_dir() else path)


def _egg_link(link: Path) -> tuple[str, str, Editable | None]:
    """An editable package of the old kind (`setup.py develop`): the file names its folder."""
    name = link.name[: -len(".egg-link")]
    try:
        source = Path(link.read_text("utf-8", "replace").split("\n")[0].strip())
    except OSError:
        return name, "?", None
    info = source / f"{name.replace('-', '_')}.egg-info" / "PKG-INFO"
    return name, _metadata_version(info), Editable(str(source))


def _metadata_version(path: Path) -> str:
    try:
        with path.open("rb") as file:
            found = re.search(rb"^Version:[ \t]*(\S+)", file.read(4096), re.MULTILINE)
    except OSError:
        return "?"
    return found[1].decode("utf-8", "replace") if found else "?"


# --- editable packages in git


def with_git_state(editable: Mapping[str, Editable]) -> tuple[dict[str, Editable], list[str]]:
    """The packages with their commits and whether they differ from them; and what git refused.

    Some at once, since every git command is a process. A folder outside git is no failure.
    """
    known: dict[str, Editable] = {}
    notes: list[str] = []
    names = list(editable)
    for start in range(0, len(names), _AT_ONCE):
        asked = [(name, _ask_git(editable[name].path)) for name in names[start : start + _AT_ONCE]]
        for name, process in asked:
            known[name], note = _answer(name, editable[name], process)
            notes += note
    return known, notes


def _ask_git(path: str) -> subprocess.Popen[bytes] | None:
    # The caller's own repository must not be meant, whatever git told us by variables (in a hook).
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_DIR")}
    for name in ("GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"):
        env.pop(name, None)
    env |= {"LC_ALL": "C.UTF-8", "LANGUAGE": "C", "GIT_TERMINAL_PROMPT": "0"}
    # A file system monitor would be a daemon that outlives us.
    command = ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", "status"]
    command += ["--porcelain=v2", "--branch", "--untracked-files=no", "--", "."]
    try:
        return subprocess.Popen(
            command,
            cwd=path,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError:
        return None  # the folder is gone, or there is no git


def _answer(name: str, package: Editable, process: subprocess.Popen[bytes] | None) -> tuple[Editable, list[str]]:
    what = f"the state of the editable package {name} at {package.path} is unknown"
    if process is None:
        return package, [f"{what}: the folder could not be entered or git not be started"]
    try:
        out, err = process.communicate(timeout=_GIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return package, [f"{what}: git did not answer within {_GIT_SECONDS} seconds"]
    said = err.decode("utf-8", "replace").strip()
    if process.returncode != 0:
        if "not a git repository" in said:
            return package, []
        return package, [f"{what}: {said.splitlines()[0] if said else 'git failed'}"]
    lines = out.decode("utf-8", "replace").splitlines()
    head = next((line[13:] for line in lines if line.startswith("# branch.oid ")), "")
    if not re.fullmatch(r"[0-9a-f]{40,64}", head):
        return package, [f"{what}: its repository has no commit"]
    dirty = any(not line.startswith("#") for line in lines)
    return replace(package, commit=head, dirty=dirty), []
