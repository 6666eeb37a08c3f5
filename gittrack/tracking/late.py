"""An artifact that comes to a run after it was finished."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Collection
from pathlib import Path

from gittrack.errors import UsageError
from gittrack.git.objects import Signature
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.write import amend
from gittrack.model.amendment import ARTIFACT_PREFIX
from gittrack.model.artifact import Artifact
from gittrack.model.codec import artifact_to_json
from gittrack.model.names import check_key
from gittrack.model.run import RunState
from gittrack.settings import Settings
from gittrack.tracking.outputs import path_inside, safe_path, told

_log = logging.getLogger("gittrack")


def add_artifact(
    repository: Repository,
    settings: Settings,
    run: RunState,
    path: str | os.PathLike[str],
    *,
    name: str | None,
    kind: str | None,
    taken: Collection[str],
    author: Signature,
) -> str:
    """Add a file or folder to a recorded run and return the amendment; `taken` are the paths that the run has."""
    from gittrack.pointers.progress import bar
    from gittrack.pointers.store import Store

    source = Path(path)
    if not source.exists():
        raise UsageError(f"there is no file {str(path)!r} to add; check the path (now in {os.getcwd()})")
    inside = safe_path(path_inside(source) or source.resolve().name)
    clash = next(
        (one for one in taken if one == inside or one.startswith(f"{inside}/") or inside.startswith(f"{one}/")), None
    )
    if clash is not None:
        raise UsageError(
            f"run {run.name} has an artifact {clash!r} already, and a run never changes; give the file another name"
        )
    called = check_key("artifact", name or inside)
    size = source.stat().st_size if source.is_file() else None
    contents = {}
    if size is not None and size <= settings.artifacts.inline:
        import hashlib

        contents[inside] = source.read_bytes()
        digest = hashlib.md5(contents[inside], usedforsecurity=False).hexdigest()
        made = Artifact(inside, len(contents[inside]), digest, kind, called)
    else:
        store = Store.of(repository.common_dir, repository.root)
        with bar(f"keeping {source.name}", size or 0) as progress:
            added = store.add(source, progress=progress, ignore_root=repository.root)
        for text in told(inside, added):
            _log.warning("gittrack: %s", text)
        pointer = added.pointer
        made = Artifact(inside, pointer.size, pointer.oid, kind, called, pointer.nfiles, pointer=True)
    said = json.dumps({**artifact_to_json(made), "name": called}, ensure_ascii=False, separators=(",", ":"))
    return amend(
        repository,
        layout.run_ref(run.experiment, run.id),
        {ARTIFACT_PREFIX + inside: said},
        author=author,
        added=[made],
        contents=contents,
    )
