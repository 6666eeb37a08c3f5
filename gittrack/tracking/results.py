"""What a run left in files of the worktree: metrics, plots, models and pointers that may be committed later.

A guard of commits asks for them by their content (docs/formats/run-commit.md).
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection
from functools import partial
from pathlib import Path, PurePosixPath

from gittrack.domain.run import Result
from gittrack.git.repository import Repository
from gittrack.git.worktree import blob_ids, files_like

# Code is written by people, also while a run is at work; these are what programs write.
RESULT_SUFFIXES = frozenset(
    {
        *(".csv", ".json", ".jsonl", ".parquet", ".tsv"),
        *(".gif", ".html", ".ipynb", ".jpeg", ".jpg", ".pdf", ".png", ".svg"),
        *(".bin", ".ckpt", ".gguf", ".h5", ".hdf5", ".joblib", ".keras", ".npy", ".npz", ".onnx", ".pb", ".pickle"),
        *(".pkl", ".pt", ".pth", ".safetensors", ".tflite"),
        ".dvc",
    }
)
_RESULT_NAMES = frozenset({"dvc.lock"})
# What is larger belongs behind a pointer, and its bytes are named when it is logged or given by --output.
_MOST, _LARGEST, _IN_ALL = 200, 32 * 1024 * 1024, 256 * 1024 * 1024
# File systems round times.
_SLACK = 0.01
_POINTER = ".dvc"


def is_result(path: str, named: Collection[str] = ()) -> bool:
    """Whether a file is one that programs write; `named` are paths that the settings name as such."""
    pure = PurePosixPath(path)
    return path in named or pure.name in _RESULT_NAMES or pure.suffix.lower() in RESULT_SUFFIXES


def find_results(repository: Repository, since: float, named: Collection[str]) -> dict[str, Result]:
    """What was written since a time (seconds since the epoch), by path; what counts most comes first.

    Ignored files count where a pointer stands for them. At most the newest 200, none above 32 MB, 256 MB in all. Raises
    GitFailed, OSError.
    """
    root = repository.root
    if root is None:
        return {}
    # By name first: to ask git which of 20,000 files of code have changed would take longer than all the rest.
    patterns = [f":(icase)*{suffix}" for suffix in sorted(RESULT_SUFFIXES)] + sorted(f"*{one}" for one in _RESULT_NAMES)
    names = files_like(repository, [*patterns, *(f":(literal){one}" for one in sorted(named))])
    pointers = {one for one in names if one.endswith(_POINTER)}
    found: list[tuple[bool, float, int, str]] = []
    for name in {*names, *(one.removesuffix(_POINTER) for one in pointers)}:
        if not is_result(name, named) and f"{name}{_POINTER}" not in pointers:
            continue
        try:
            about = os.lstat(root / name)
        except OSError:
            continue
        if stat.S_ISREG(about.st_mode) and about.st_mtime >= since - _SLACK and 0 < about.st_size <= _LARGEST:
            main = name in named or name.endswith((_POINTER, *_RESULT_NAMES))
            found.append((main, about.st_mtime, about.st_size, name))
    chosen, room = [], _IN_ALL
    for _, _, size, name in sorted(found, reverse=True)[:_MOST]:
        if size <= room:
            room -= size
            chosen.append(name)
    blobs = blob_ids(repository, chosen)
    # A path is text in a record, whatever bytes it has on disk.
    return {
        os.fsencode(name).decode("utf-8", "backslashreplace"): Result(blobs[name], _md5(root / name))
        for name in chosen
        if name in blobs
    }


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()
