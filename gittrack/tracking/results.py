"""What a run left in files of the worktree: metrics, plots, models and pointers that may be committed later.

A guard of commits asks for them by their content (docs/formats/run-commit.md).
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import PurePosixPath

from gittrack.git.repository import Repository
from gittrack.git.worktree import blob_ids, changed_files

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
_MOST, _LARGEST = 200, 256 * 1024 * 1024
# File systems round times, some to two seconds.
_SLACK = 0.01


def is_result(path: str, named: Collection[str] = ()) -> bool:
    """Whether a file is one that programs write; `named` are paths that the settings name as such."""
    pure = PurePosixPath(path)
    return path in named or pure.name in _RESULT_NAMES or pure.suffix.lower() in RESULT_SUFFIXES


def find_results(repository: Repository, since: float, named: Collection[str]) -> dict[str, str]:
    """Path to blob id of files written since a time (seconds since the epoch) that differ from the index.

    At most the newest 200 of them, none above 256 MB. Raises GitFailed, OSError.
    """
    root = repository.root
    if root is None:
        return {}
    found: list[tuple[float, str]] = []
    for name in changed_files(repository):
        if not is_result(name, named):
            continue
        try:
            about = os.lstat(root / name)
        except OSError:
            continue
        if about.st_mtime >= since - _SLACK and 0 < about.st_size <= _LARGEST:
            found.append((about.st_mtime, name))
    newest = [name for _, name in sorted(found, reverse=True)[:_MOST]]
    ids = blob_ids(repository, newest)
    # A path is text in a record, whatever bytes it has on disk.
    return {os.fsencode(name).decode("utf-8", "backslashreplace"): ids[name] for name in sorted(ids)}
