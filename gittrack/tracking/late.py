"""An artifact that comes to a run after it was finished."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from gittrack.domain.amendment import ARTIFACT_PREFIX, all_added
from gittrack.domain.artifact import Artifact, check_artifact_kind, check_artifact_name
from gittrack.domain.codec import artifact_to_json
from gittrack.domain.names import check_key, one_line
from gittrack.domain.run import RunState
from gittrack.errors import UsageError
from gittrack.git.objects import Signature
from gittrack.git.repository import Repository
from gittrack.ledger.read import Chain
from gittrack.ledger.write import amend
from gittrack.settings import Settings
from gittrack.tracking.outputs import check_source, path_inside, safe_path, told
from gittrack.values import replace

if TYPE_CHECKING:
    from gittrack.pointers.store import Store

_log = logging.getLogger("gittrack")


def add_artifact(
    repository: Repository,
    settings: Settings,
    run: RunState,
    path: str | os.PathLike[str],
    *,
    name: str | None,
    kind: str | None,
    known: Collection[Artifact],
    author: Signature,
) -> str:
    """Add a file or folder to a recorded run and return the amendment; `known` is what the run has."""
    from gittrack.pointers.lock import naming
    from gittrack.pointers.store import Store

    source = check_source(path, repository.root, repository.common_dir)
    check_artifact_kind(kind)
    if name is not None:
        check_artifact_name(name)
    if not source.exists():
        raise UsageError(f"there is no file {str(path)!r} to add; check the path (now in {os.getcwd()})")
    if not source.is_file() and not source.is_dir():
        raise UsageError(
            f"{str(path)!r} is neither a file nor a folder (a pipe, a socket or a device), and cannot be added"
        )
    taken = {one.path for one in known}
    inside = safe_path(path_inside(source) or source.resolve().name)
    clash = _clash(inside, taken)
    if clash is not None and name is not None:
        # Its own place is taken: then it lies where its name says.
        inside = safe_path(name)
        clash = _clash(inside, taken)
    if clash is not None:
        raise _taken(run, clash)
    called = check_key("artifact", name or inside)
    # Under one name only the later of two would be found.
    if any(called == one.name for one in known):
        raise _taken(run, called)

    def still_free(now: Chain) -> None:
        # Somebody may have added it meanwhile, and the later of two would hide the other.
        added = all_added(now.amendments)
        clash = _clash(inside, added) or next((called for one in added.values() if one.name == called), None)
        if clash is not None:
            raise _taken(run, clash)

    store = Store.of(repository.common_dir, repository.root)
    with naming(repository.home) as held:
        made, contents = _kept(repository, settings, store, source, inside, fresh=not held)
        made = replace(made, name=called, kind=kind)
        said = json.dumps({**artifact_to_json(made), "name": called}, ensure_ascii=False, separators=(",", ":"))
        return amend(
            repository,
            run,
            {ARTIFACT_PREFIX + inside: said},
            author=author,
            added=[made],
            contents=contents,
            check=still_free,
        )


def _taken(run: RunState, path: str) -> UsageError:
    return UsageError(
        f"run {run.name} has an artifact {path!r} already, and a run never changes; say another name (--name)"
    )


def _clash(path: str, taken: Collection[str]) -> str | None:
    """An artifact that is that path, a folder around it, or something in it."""
    return next((one for one in taken if one == path or one.startswith(f"{path}/") or path.startswith(f"{one}/")), None)


def _kept(
    repository: Repository, settings: Settings, store: Store, source: Path, inside: str, *, fresh: bool
) -> tuple[Artifact, dict[str, bytes]]:
    """The artifact, and its content where it goes into git whole."""
    from gittrack.pointers.progress import bar

    size = source.stat().st_size if source.is_file() else None
    if size is not None and size <= settings.artifacts.inline:
        import hashlib

        data = source.read_bytes()
        return Artifact(inside, len(data), hashlib.md5(data, usedforsecurity=False).hexdigest()), {inside: data}
    with bar(f"keeping {source.name}", size or 0) as progress:
        added = store.add(source, progress=progress, ignore_root=repository.root, fresh=fresh)
    for text in told(inside, added):
        _log.warning("gittrack: %s", one_line(text))
    return Artifact(inside, added.pointer.size, added.pointer.oid, nfiles=added.pointer.nfiles, pointer=True), {}
