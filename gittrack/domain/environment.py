"""The environment of a run, as `environment.yaml` holds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from gittrack.errors import CorruptRecord
from gittrack.values import dataclass, field, fields

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Python:
    """An interpreter; `kind` says what its prefix is: venv, conda or system."""

    version: str | None = None
    implementation: str | None = None
    executable: str | None = None
    prefix: str | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Platform:
    system: str | None = None
    release: str | None = None
    machine: str | None = None
    libc: str | None = None
    distro: str | None = None


@dataclass(frozen=True, slots=True)
class Editable:
    """A package installed from a folder; `commit` and `dirty` are None outside git."""

    path: str
    commit: str | None = None
    dirty: bool | None = None


@dataclass(frozen=True, slots=True)
class FromVcs:
    """A package installed from a repository at one commit; `url` carries no credentials."""

    url: str
    commit: str | None = None


@dataclass(frozen=True, slots=True)
class Container:
    """`kind` is docker, podman, kubernetes, apptainer or what the runtime calls itself."""

    kind: str
    image: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Conda:
    name: str | None = None
    prefix: str | None = None


@dataclass(frozen=True, slots=True)
class Gpu:
    """`memory` in bytes; `visible` is false when CUDA_VISIBLE_DEVICES hides the device."""

    name: str
    memory: int | None = None
    uuid: str | None = None
    driver: str | None = None
    visible: bool = True


@dataclass(frozen=True, slots=True)
class Hardware:
    """`memory` in bytes; the limits are set only where they are lower than the machine.

    `cuda` is the newest CUDA version that the driver supports.
    """

    cpu: str | None = None
    cores_logical: int | None = None
    cores_physical: int | None = None
    memory: int | None = None
    cpu_limit: float | None = None
    memory_limit: int | None = None
    gpus: tuple[Gpu, ...] = ()
    cuda: str | None = None


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a run ran; `notes` say in sentences what could not be captured."""

    python: Python = field(default_factory=Python)
    platform: Platform = field(default_factory=Platform)
    packages: Mapping[str, str] = field(default_factory=dict)
    editable: Mapping[str, Editable] = field(default_factory=dict)
    vcs: Mapping[str, FromVcs] = field(default_factory=dict)
    lock_files: Mapping[str, str] = field(default_factory=dict)
    container: Container | None = None
    conda: Conda | None = None
    hardware: Hardware = field(default_factory=Hardware)
    seeds: Mapping[str, int] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values only, in reading order; what is unknown or empty is left out."""
        hardware = _filled(self.hardware)
        if self.hardware.gpus:
            hardware["gpus"] = [_filled(gpu) for gpu in self.hardware.gpus]
        plain: dict[str, Any] = {
            "python": _filled(self.python),
            "platform": _filled(self.platform),
            "container": None if self.container is None else _filled(self.container),
            "conda": None if self.conda is None else _filled(self.conda),
            "hardware": hardware,
            "seeds": dict(self.seeds),
            "variables": dict(self.variables),
            "lock_files": dict(self.lock_files),
            "editable": {name: _filled(one) for name, one in self.editable.items()},
            "vcs": {name: _filled(one) for name, one in self.vcs.items()},
            "packages": {name: self.packages[name] for name in sorted(self.packages)},
            "notes": list(self.notes),
        }
        return {key: value for key, value in plain.items() if value}

    @classmethod
    def from_dict(cls, plain: object) -> Environment:
        """Read what `to_dict` wrote; keys of a later version are skipped.

        Raises CorruptRecord when a part has the wrong shape.
        """
        top = _mapping(plain, "the environment")
        hardware = _mapping(top.get("hardware"), "hardware")
        container, conda = top.get("container"), top.get("conda")
        return cls(
            python=_read(Python, top.get("python"), "python"),
            platform=_read(Platform, top.get("platform"), "platform"),
            packages={str(name): str(version) for name, version in _items(top, "packages")},
            editable={str(name): _read(Editable, one, "editable") for name, one in _items(top, "editable")},
            vcs={str(name): _read(FromVcs, one, "vcs") for name, one in _items(top, "vcs")},
            lock_files={str(path): str(digest) for path, digest in _items(top, "lock_files")},
            container=None if container is None else _read(Container, container, "container"),
            conda=None if conda is None else _read(Conda, conda, "conda"),
            hardware=_read(
                Hardware,
                {
                    **hardware,
                    "gpus": tuple(_read(Gpu, gpu, "gpus") for gpu in _list(hardware.get("gpus"), "gpus")),
                },
                "hardware",
            ),
            seeds={str(name): seed for name, seed in _items(top, "seeds")},
            variables={str(name): str(value) for name, value in _items(top, "variables")},
            notes=tuple(str(note) for note in _list(top.get("notes"), "notes")),
        )


def _filled(value: Any) -> dict[str, Any]:
    """The fields of a small dataclass that hold something other than their default."""
    plain = {}
    for one in fields(value):
        held = getattr(value, one.name)
        if held is not None and held != one.default and held != ():
            plain[one.name] = held
    return plain


def _read(cls: type[_T], plain: object, where: str) -> _T:
    known = {one.name for one in fields(cls)}  # type: ignore[arg-type]
    given = {key: value for key, value in _mapping(plain, where).items() if key in known}
    try:
        return cls(**given)
    except TypeError as error:
        raise CorruptRecord(f"environment.yaml: '{where}' is incomplete ({error})") from None


def _mapping(plain: object, where: str) -> Mapping[str, Any]:
    if plain is None:
        return {}
    if not isinstance(plain, Mapping):
        raise CorruptRecord(f"environment.yaml: {where!r} must be a mapping, not {type(plain).__name__}")
    return plain


def _items(top: Mapping[str, Any], key: str) -> list[tuple[Any, Any]]:
    return list(_mapping(top.get(key), key).items())


def _list(plain: object, where: str) -> list[Any]:
    if plain is None:
        return []
    if not isinstance(plain, (list, tuple)):
        raise CorruptRecord(f"environment.yaml: {where!r} must be a list, not {type(plain).__name__}")
    return list(plain)
