"""Seeding the random generators of Python and of the frameworks that are there."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import operator
import os
import random
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from gittrack.errors import InvalidValue

# Importing these takes seconds, so they are seeded when the program imports them, if it ever does.
_LATER = ("torch", "tensorflow")

_seeded: dict[str, int] = {}
_waiting: dict[str, int] = {}


def set_seeds(seed: int) -> dict[str, int]:
    """Seed Python, numpy, torch (all devices) and tensorflow; returns what was seeded now.

    torch and tensorflow are seeded when they are imported, if they are not yet: `seeded()` knows
    of them then. Child processes get PYTHONHASHSEED. Only global generators are meant: one that
    the program made itself (`numpy.random.default_rng()`, a JAX key) needs its own seed.
    Raises InvalidValue unless 0 <= seed < 2**32, which is what numpy takes.
    """
    seed = _checked(seed)
    random.seed(seed)
    # Of this process the hash seed is settled since its start.
    os.environ["PYTHONHASHSEED"] = str(seed)
    now = {"python": seed}
    if _seed_numpy(seed):
        now["numpy"] = seed
    for name in _LATER:
        module = sys.modules.get(name)
        if module is None or _is_half_imported(module):
            _waiting[name] = seed
        else:
            _waiting.pop(name, None)
            if _seed(name, module, seed):
                now[name] = seed
    if _waiting and _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    _seeded.update(now)
    return now


def seeded() -> dict[str, int]:
    """What `set_seeds` has seeded in this process so far, later imports included."""
    return dict(_seeded)


def _checked(seed: object) -> int:
    try:
        if isinstance(seed, (bool, str, bytes)):
            raise TypeError
        number = operator.index(seed)  # type: ignore[arg-type]
    except TypeError:
        raise InvalidValue(f"a seed must be a whole number, not {seed!r:.60}") from None
    if not 0 <= number < 2**32:
        raise InvalidValue(f"a seed must be at least 0 and below 2**32, not {number}")
    return number


def _seed_numpy(seed: int) -> bool:
    try:
        import numpy as np  # here: it takes a tenth of a second, and may not be there

        np.random.seed(seed)
    except Exception:  # a broken installation is the program's to complain about
        return False
    return True


def _seed(name: str, module: ModuleType, seed: int) -> bool:
    framework: Any = module
    try:
        if name == "torch":
            framework.manual_seed(seed)  # the CPU and, now or when it starts, every GPU
        else:
            framework.random.set_seed(seed)
    except Exception:
        return False
    return True


def _is_half_imported(module: ModuleType) -> bool:
    spec = getattr(module, "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


class _Finder(importlib.abc.MetaPathFinder):
    """Seeds a framework at the end of its import, then steps aside."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _waiting:
            return None
        spec = _found_by_the_others(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.abc.Loader):
            _seed_after(fullname, spec.loader)
        return spec


_finder = _Finder()


def _found_by_the_others(
    fullname: str, path: Sequence[str] | None, target: ModuleType | None
) -> importlib.machinery.ModuleSpec | None:
    for finder in sys.meta_path:
        if finder is not _finder:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                return spec
    return None


def _seed_after(fullname: str, loader: importlib.abc.Loader) -> None:
    """Wrap only this loader's `exec_module`, so that module and loader stay what they are."""
    execute = loader.exec_module

    def execute_and_seed(module: ModuleType) -> None:
        execute(module)
        seed = _waiting.pop(fullname, None)
        if seed is not None and _seed(fullname, module, seed):
            _seeded[fullname] = seed
        if not _waiting and _finder in sys.meta_path:
            sys.meta_path.remove(_finder)

    try:
        loader.exec_module = execute_and_seed  # type: ignore[method-assign]
    except AttributeError:
        _waiting.pop(fullname, None)  # a loader that takes no attributes: the import matters more
