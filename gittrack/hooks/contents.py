"""Which runs left the contents that a commit is about to hold."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence

from gittrack.domain.run import RunState, short_content
from gittrack.hooks.call import Call, Staged
from gittrack.tracking.results import is_result

# What DVC writes of a file or folder in its pointers and its lock file; the YAML around it is no matter here.
_MD5 = re.compile(rb"^[ \t-]*md5: ['\"]?([0-9a-f]{32})(?:\.dir)?['\"]?[ \t]*\r?$", re.MULTILINE)
_POINTERS = (b".dvc", b"dvc.lock")
# Larger files are not read to learn the name that an artifact of a run has; their blob's name is known anyway.
_LARGEST = 16 * 1024 * 1024
# `{}` and `[]` are everybody's.
_SMALLEST = 5


def contents_of(call: Call, files: Sequence[Staged]) -> dict[bytes, list[str]]:
    """By path the short names under which a run may know the content: as a blob, as an artifact, as what a pointer points at."""
    named = frozenset(call.settings.metrics.files)
    files = [one for one in files if one.is_file]
    results = [one for one in files if is_result(one.name, named)]
    sizes = call.sizes([str(one.blob) for one in results])
    read = {str(one.blob) for one in results if _SMALLEST <= sizes.get(str(one.blob), 0) < _LARGEST}
    pointers = [one for one in results if one.path.endswith(_POINTERS)]
    md5s, pointed = {}, {}
    for blob, kind, data in call.repository.read_objects([*read, *(one.before for one in pointers if one.before)]):
        if kind == "blob":
            md5s[blob] = short_content(hashlib.md5(data, usedforsecurity=False).hexdigest())
            pointed[blob] = _pointed_at(data)
    small = {str(one.blob) for one in results if sizes.get(str(one.blob), _SMALLEST) < _SMALLEST}
    found = {one.path: [short_content(str(one.blob))] for one in files if str(one.blob) not in small}
    for one in results:
        if str(one.blob) in md5s:
            found.setdefault(one.path, []).append(md5s[str(one.blob)])
    for one in pointers:
        # What the pointer said before is in HEAD already.
        fresh = pointed.get(str(one.blob), set()) - pointed.get(str(one.before), set())
        found.setdefault(one.path, []).extend(sorted(fresh))
    return found


def _pointed_at(data: bytes) -> set[str]:
    return {short_content(one.decode("ascii")) for one in _MD5.findall(data)}


def makers_of(call: Call, files: Sequence[Staged]) -> Iterator[tuple[Staged, list[RunState]]]:
    """Each file that some run left, with the runs that did: clean ones first, then the newest."""
    contents = contents_of(call, files)
    every = {content for some in contents.values() for content in some}
    known: Mapping[str, list[RunState]] = call.project.makers(every) if every else {}
    found = {
        one: sorted(
            {run.id: run for content in contents.get(one.path, ()) for run in known.get(content, ())}.values(),
            key=lambda run: (run.dirty, -run.started, run.id),
        )
        for one in files
    }
    given = _given_to(call, {one: runs for one, runs in found.items() if runs})
    for one, runs in found.items():
        made = [run for run in runs if (one.path, run.code_commit) not in given]
        if made:
            yield one, made


def _given_to(call: Call, found: Mapping[Staged, Sequence[RunState]]) -> set[tuple[bytes, str | None]]:
    """Where the code that a run ran had the very file already: what was logged as it was is no result."""
    asked = [(one, run.code_commit) for one, runs in found.items() for run in runs if run.code_commit is not None]
    asked = [(one, commit) for one, commit in asked if b"\n" not in one.path]
    if not asked:
        return set()
    lines = b"".join(b"%s:%s\n" % (str(commit).encode("ascii"), one.path) for one, commit in asked)
    answers = call.repository.git("cat-file", "--batch-check", stdin=lines).split(b"\n")
    return {
        (one.path, commit)
        for (one, commit), answer in zip(asked, answers, strict=False)
        if answer.split(b" ")[0] == str(one.blob).encode("ascii")
    }
