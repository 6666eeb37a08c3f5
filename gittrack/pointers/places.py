"""Where DVC's cache lies, and the farm of hard links beside it that no `dvc gc` touches."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from gittrack.values import dataclass

_URL = re.compile(r"\w+://")


@dataclass(frozen=True, slots=True)
class Places:
    """`cache` is the folder that holds DVC's `files/md5`, None where there is no DVC.

    `keeps` are the roots of the farm, with the same layout below: the first is written to, all are read.
    `shared`: somebody chose the cache, so that other projects may keep their data there too.
    """

    cache: Path | None
    keeps: tuple[Path, ...]
    shared: bool = False

    @property
    def keep(self) -> Path:
        return self.keeps[0]


def find_places(common_dir: Path, root: Path | None) -> Places:
    """The places of the repository with that common directory, seen from the worktree at `root`."""
    home = common_dir / "gittrack" / "odb"
    cache = None if root is None else _find_cache(common_dir, root)
    if cache is None or root is None:
        return Places(None, (home,))
    own = main_worktree(common_dir, root) / ".dvc" / "cache"
    shared = os.path.abspath(cache) != os.path.abspath(own) or own.is_symlink()
    # Repositories may share a cache, but none may sweep what another one keeps. DVC looks for objects exactly two
    # levels below the cache and below its `files/md5`: here nothing is one.
    beside = cache / "gittrack" / hashlib.sha256(os.fsencode(common_dir.resolve())).hexdigest()[:12]
    if _device(cache) == _device(common_dir) or not os.access(_existing(cache), os.W_OK):
        return Places(cache, (home, beside) if beside.exists() else (home,), shared)
    return Places(cache, (beside, home), shared)


def _existing(path: Path) -> Path:
    """The path itself, or the nearest folder above that is there."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _device(path: Path) -> int:
    return _existing(path).stat().st_dev


# --- the cache


def _find_cache(common_dir: Path, root: Path) -> Path | None:
    main = main_worktree(common_dir, root)
    if root != main and (root / ".dvc").is_dir():
        # DVC would begin an empty cache here, and what one worktree has stored the other would not find.
        cache, chosen = _configured(root / ".dvc")
        if chosen or not (main / ".dvc").is_dir():
            return cache
    return _configured(main / ".dvc")[0] if (main / ".dvc").is_dir() else None


def main_worktree(common_dir: Path, root: Path) -> Path:
    """The worktree that DVC's folder with its ignored files belongs to; `root` unless that is a linked one."""
    if common_dir.name != ".git" or common_dir.parent == root:
        return root
    try:
        link = (root / ".git").read_bytes()
    except OSError:
        return root
    git_dir = root / os.fsdecode(link.removeprefix(b"gitdir:").strip())
    # Only the folder of a linked worktree names another one that it shares.
    return common_dir.parent if (git_dir / "commondir").exists() else root


def _configured(dvc_dir: Path) -> tuple[Path | None, bool]:
    """The cache of the project with that `.dvc`, and whether its owner chose it; None for one that is not a folder."""
    chosen: str | None = None
    for file in _config_files(dvc_dir):
        chosen = _cache_dir(file) or chosen
    if chosen is None:
        return dvc_dir / "cache", False
    return (None if _URL.match(chosen) else Path(chosen)), True


def _config_files(dvc_dir: Path) -> Iterator[Path]:
    """DVC's configuration, the strongest last."""
    system, user = os.environ.get("DVC_SYSTEM_CONFIG_DIR"), os.environ.get("DVC_GLOBAL_CONFIG_DIR")
    if sys.platform == "linux":
        # What platformdirs answers here; importing it costs more than all the rest.
        system = system or (_first("XDG_CONFIG_DIRS") or "/etc/xdg") + "/dvc"
        user = user or (_first("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")) + "/dvc"
    else:
        import platformdirs

        system = system or platformdirs.site_config_dir("dvc", "iterative")
        user = user or platformdirs.user_config_dir("dvc", "iterative")
    yield Path(system, "config")
    yield Path(user, "config")
    yield dvc_dir / "config"
    yield dvc_dir / "config.local"


def _first(variable: str) -> str:
    value = os.environ.get(variable, "").strip()
    return value.split(os.pathsep)[0] if variable.endswith("DIRS") else value


def _cache_dir(file: Path) -> str | None:
    """`cache.dir` as one file of the configuration says it, resolved as DVC does."""
    try:
        data = file.read_bytes()
    except OSError:
        return None
    if b"cache" not in data.lower():
        return None
    from configobj import ConfigObj, ConfigObjError

    try:
        parsed = ConfigObj(data.decode("utf-8").splitlines()).dict()
    except (UnicodeDecodeError, ConfigObjError):
        # DVC refuses to work at all, and says so itself.
        return None
    for section, values in parsed.items():
        if section.lower() != "cache" or not isinstance(values, dict):
            continue
        for key, value in values.items():
            if key.lower() == "dir" and isinstance(value, str) and value:
                return value if _URL.match(value) else os.path.abspath(file.parent / os.path.expanduser(value))
    return None
