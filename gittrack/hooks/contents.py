"""Which runs left the contents that a commit is about to hold."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence

from gittrack.domain.run import RunState, short_content
from gittrack.hooks.call import Call, Staged
from gittrack.tracking.results import is_result

# What DVC writes of a file or folder in its pointers and its lock file; the YAML around it is no matter here.
_MD5 = re.compile(rb"^[ \t-]*md5: ['\"]?([0-9a-f]{32})(?:\.dir)?['\"]?[ \t]*\r?$", re.MULTILINE)
_POINTERS = (b".dvc", b"dvc.lock")
# Larger files are not read to learn the name that an artifact of a run has; their blob's name is known anyway.
_LARGEST = 16 * 1024 * 1024


def contents_of(call: Call, files: Sequence[Staged]) -> dict[bytes, list[str]]:
    """By path the short names under which a run may know the content: as a blob, as an artifact, as what a pointer points at."""
    named = frozenset(call.settings.metrics.files)
    files = [one for one in files if one.is_file]
    results = [one for one in files if is_result(one.name, named)]
    sizes = call.sizes([str(one.blob) for one in results])
    pointers = [one for one in results if one.path.endswith(_POINTERS)]
    read = [str(one.blob) for one in results if sizes.get(str(one.blob), _LARGEST) < _LARGEST]
    before = [one.before for one in pointers if one.before is not None]
    blobs = call.blobs([*read, *before])
    found = {one.path: [short_content(str(one.blob))] for one in files if sizes.get(str(one.blob), 1)}
    for one in results:
        data = blobs.get(str(one.blob))
        if data:
            found[one.path].append(short_content(hashlib.md5(data, usedforsecurity=False).hexdigest()))
    for one in pointers:
        # What the pointer said before is in HEAD already.
        fresh = _pointed_at(blobs.get(str(one.blob), b"")) - _pointed_at(blobs.get(str(one.before), b""))
        found.setdefault(one.path, []).extend(sorted(fresh))
    return found


def _pointed_at(data: bytes) -> set[str]:
    return {short_content(one.decode("ascii")) for one in _MD5.findall(data)}


def makers_of(call: Call, files: Sequence[Staged]) -> Iterable[tuple[Staged, list[RunState]]]:
    """Each file that some run left, with the runs that did: clean ones first, then the newest."""
    contents = contents_of(call, files)
    every = {content for some in contents.values() for content in some}
    known: Mapping[str, list[RunState]] = call.project.makers(every) if every else {}
    for one in files:
        found = {run.id: run for content in contents.get(one.path, ()) for run in known.get(content, ())}
        if found:
            yield one, sorted(found.values(), key=lambda run: (run.dirty, -run.started, run.id))
