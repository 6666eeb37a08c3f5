"""The DVC remote of a project, and the place below it where the data of runs lie."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gittrack.errors import MissingExtra, RemoteUnusable
from gittrack.pointers.places import main_worktree
from gittrack.values import dataclass, field

RUN_DATA = "gittrack"  # both the name of our DVC remote and the folder below the project's own
FARM = "keep"  # the farm as a DVC remote, for this clone alone

_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")
_STORE_JOBS, _FILE_JOBS = 32, 4


@dataclass
class Remote:
    """An opened remote: DVC's file system, and the folder in which `files/md5` lies; `url` is fit to be shown."""

    name: str
    url: str
    path: str
    _connect: Callable[[], Any] = field(repr=False)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._generation = 0
        self.fs = self._connect()

    @property
    def is_object_store(self) -> bool:
        """S3 and its like: an upload is there whole or not at all, and folders are only names."""
        from dvc_objects.fs.base import ObjectFileSystem

        return isinstance(self.fs, ObjectFileSystem)

    @property
    def is_asynchronous(self) -> bool:
        """An object store whose plug-in works in an event loop: all that DVC has."""
        return self.is_object_store and bool(getattr(self.fs.fs, "async_impl", False))

    @property
    def is_local(self) -> bool:
        return bool(self.fs.protocol == "local")

    @property
    def generation(self) -> int:
        return self._generation

    def renew(self, generation: int) -> None:
        """A new connection in place of that generation's, which broke; of several who ask the first does it.

        An object store needs none: there every request finds its own.
        """
        if self.is_object_store:
            return
        with self._lock:
            if self._generation == generation:
                try:
                    self.fs = self._connect()
                except Exception:
                    # Whoever tries next hears what is wrong.
                    return
                self._generation += 1

    def jobs(self, chosen: int | None = None) -> int:
        """How many objects to move at once: as asked for, else as the user has set, else what suits its kind."""
        return int(chosen or self.fs.config.get("jobs") or (_STORE_JOBS if self.is_object_store else _FILE_JOBS))

    def join(self, *parts: str) -> str:
        return str(self.fs.join(self.path, *parts))

    def place(self, oid: str) -> str:
        return self.join("files", "md5", oid[:2], oid[2:])


def base_remote(root: Path, name: str | None = None, *, common_dir: Path | None = None) -> str | None:
    """The project's own DVC remote: the one named, else DVC's default, else the only one; None when there is none."""
    config = _config(root, common_dir)
    remotes = [one for one in config.get("remote", {}) if one not in (RUN_DATA, FARM)]
    chosen = name or config.get("core", {}).get("remote")
    if chosen in (RUN_DATA, FARM) and not name:
        chosen = None
    if chosen is not None:
        if chosen.lower() not in config.get("remote", {}):
            listed = ", ".join(remotes) or "none"
            raise RemoteUnusable(
                f"DVC has no remote {chosen!r}, only {listed}; 'dvc remote add {chosen} URL' makes it, or change artifacts.remote"
            )
        return str(chosen)
    return remotes[0] if len(remotes) == 1 else None


def is_configured(root: Path, name: str | None = None, *, common_dir: Path | None = None) -> bool:
    """Whether there is any remote that could hold the data of runs; raises RemoteUnusable where nobody can tell."""
    if name is not None:
        return True
    return (root / ".dvc").is_dir() and any(one != FARM for one in _config(root, common_dir).get("remote", {}))


def open_remote(root: Path, name: str | None = None, *, common_dir: Path | None = None) -> Remote:
    """Where the data of runs lie: DVC's remote `gittrack`, else a folder of that name below the project's own.

    Raises RemoteUnusable when there is none or its settings are wrong, MissingExtra when DVC's plug-in for it is missing.
    Nothing is asked of the remote yet, except by ssh, which logs in.
    """
    config = _config(root, common_dir)
    known = config.get("remote", {})
    if RUN_DATA in known and (name is None or _is_below(str(known[RUN_DATA].get("url")), name)):
        return _open(config, RUN_DATA, known[RUN_DATA])
    base = base_remote(root, name, common_dir=common_dir)
    if base is None:
        listed = ", ".join(one for one in known if one != FARM)
        if listed:
            raise RemoteUnusable(
                f"DVC has several remotes ({listed}) and no default; choose with 'dvc remote default NAME' or artifacts.remote"
            )
        raise RemoteUnusable("DVC has no remote; 'dvc remote add -d store URL' names one, then 'gittrack init'")
    return _open(config, RUN_DATA, {"url": f"remote://{base}/{RUN_DATA}"})


def _is_below(url: str, base: str) -> bool:
    """Whether our remote lies below that one; one with a url of its own was chosen by somebody."""
    return not url.startswith("remote://") or url.lower().startswith(f"remote://{base.lower()}/")


def _config(root: Path, common_dir: Path | None) -> Any:
    from dvc.config import Config, ConfigError

    if not (root / ".dvc").is_dir():
        raise RemoteUnusable(f"{root} is no DVC project; 'gittrack init' makes it one")
    # A linked worktree has no private settings of its own as a rule: those of the main one hold.
    local = root / ".dvc"
    if common_dir is not None and not (local / "config.local").exists():
        local = main_worktree(common_dir, root) / ".dvc"
    try:
        return Config(dvc_dir=str(root / ".dvc"), local_dvc_dir=str(local))
    except ConfigError as error:
        raise RemoteUnusable(
            f"DVC's configuration cannot be read: {_first_line(error)}; see 'dvc config --list'"
        ) from None


# What never answers must not hold anybody for ever; what the user has set stays.
_TIME_LIMITS: dict[str, dict[str, Any]] = {"s3": {"connect_timeout": 10, "read_timeout": 30}, "ssh": {"timeout": 60}}


def _open(config: Any, name: str, settings: dict[str, Any]) -> Remote:
    from dvc.config import ConfigError as DvcConfigError
    from dvc.fs import get_cloud_fs
    from dvc_objects.fs.errors import AuthError, ConfigError, RemoteMissingDepsError

    url = str(settings.get("url", "?"))
    try:
        cls, options, path = get_cloud_fs(config, **settings)
        shown = _USERINFO.sub("", _resolved(config, settings))

        def connect() -> Any:
            made = cls(**{**_TIME_LIMITS.get(cls.protocol, {}), **options})
            _tune(made)
            return made

        return Remote(name, shown, path, connect)
    except RemoteMissingDepsError as error:
        raise MissingExtra(f"DVC cannot speak {error.protocol}; pip install 'dvc[{error.protocol}]' adds it") from None
    except (ImportError, ModuleNotFoundError) as error:
        # DVC's own words name the package: "gs is supported, but requires 'dvc-gs' to be installed".
        named = re.search(r"'dvc-(\w+)'", str(error))
        kind = named[1] if named else url.partition("://")[0]
        raise MissingExtra(f"DVC cannot speak {kind}; pip install 'dvc[{kind}]' adds it") from None
    except (DvcConfigError, ConfigError, AuthError) as error:
        raise RemoteUnusable(
            f"DVC's remote {name!r} cannot be used: {_first_line(error)}; see 'dvc remote list'"
        ) from None
    except Exception as error:
        from gittrack.pointers.reasons import reason_of

        raise RemoteUnusable(
            f"DVC's remote {name!r} at {_USERINFO.sub('', url)} cannot be reached: {reason_of(error)}; try again when it can"
        ) from None


def _tune(made: Any) -> None:
    """Log in, with what DVC has no setting for: how often its plug-in tries again, and how it notices a dead server."""
    if made.protocol == "s3":
        made.fs_args["config_kwargs"] = {
            # We try again ourselves. Otherwise botocore (5) times s3fs (5) tries make a dead server take minutes.
            "retries": {"total_max_attempts": 1},
            # The md5 is compared afterwards; a second checksum costs time, and not all that speak S3 know it.
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
            "max_pool_connections": _STORE_JOBS,
            **made.fs_args.get("config_kwargs", {}),
        }
        made.fs.retries = 1
    elif made.protocol == "ssh":
        made.fs_args.update({"keepalive_interval": 15, "keepalive_count_max": 3, "connect_timeout": 15})
    # A plug-in imports what it needs, and ssh logs in, with the first use of this.
    _ = made.fs


def _resolved(config: Any, settings: dict[str, Any]) -> str:
    from dvc.fs import get_fs_config

    return str(get_fs_config(config, **settings)["url"])


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


# --- setting up


def set_up_remote(root: Path, base: str | None, keep: Path) -> list[str]:
    """Name the places of run data for DVC: `gittrack` in `.dvc/config`, `keep` in `.dvc/config.local`, where absent.

    What the files hold stays byte for byte. Returns the names of those that changed; the second is ignored by git.
    """
    changed = []
    for name, section, url in (
        (".dvc/config", RUN_DATA, None if base is None else f"remote://{base}/{RUN_DATA}"),
        (".dvc/config.local", FARM, str(keep)),
    ):
        path = root / name
        before = path.read_bytes() if path.exists() else b""
        if url is None or _has_section(before, section):
            continue
        end = b"" if not before or before.endswith(b"\n") else b"\n"
        _write(path, before + end + f"['remote \"{section}\"']\n    url = {url}\n".encode())
        changed.append(name)
    return changed


def _has_section(data: bytes, remote: str) -> bool:
    from configobj import ConfigObj, ConfigObjError

    try:
        sections = ConfigObj(data.decode("utf-8", "replace").splitlines(), list_values=False).sections
    except ConfigObjError:
        # Not to be understood, so not to be added to: DVC names the mistake.
        return True
    return f'remote "{remote}"' in [one.lower() for one in sections]


def _write(path: Path, data: bytes) -> None:
    """In place at once; the private file stays private."""
    handle, temporary = tempfile.mkstemp(prefix=".gittrack-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600 if path.name.endswith(".local") else 0o644
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
