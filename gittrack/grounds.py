"""What runs rest on beside their params: code, data and environment, as short names that are equal where these are.

Files are read once for each content, and what they say is kept in the index, so that ten thousand runs take no longer than a
table of them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gittrack.domain.run import RunState
from gittrack.errors import CorruptRecord
from gittrack.git.repository import Repository
from gittrack.index.query import Grounds
from gittrack.ledger import layout
from gittrack.ledger.files import from_yaml

if TYPE_CHECKING:
    from gittrack.index.index import Index

# Of an environment what may make a number differ; which machine it was, and which seeds, is another matter.
_MADE_WITH = ("python", "packages", "editable", "vcs", "lock_files", "container", "conda")
# `python` and `python3` of one venv are one interpreter, and so is a venv of the same packages elsewhere.
_PYTHON = ("version", "implementation")
# What a top-level key of our YAML begins with; everything below it is indented or a list.
_TOP_KEY = re.compile(rb"^(?=[A-Za-z_]\w*:)", re.MULTILINE)
_ID_BYTES = {"sha1": 20, "sha256": 32}
_NOTHING, _UNREADABLE = "", "?"


def find_grounds(repository: Repository, index: Index, runs: Sequence[RunState]) -> dict[str, Grounds]:
    """What the index keeps of it; the rest is read from git, and kept where it will always be the same."""
    commits = {run.id: run.commit for run in runs if run.commit is not None}
    found = index.grounds(commits)
    lacking = [run for run in runs if run.id not in found]
    if lacking:
        read = list(_read_grounds(repository, lacking))
        kept = {run.id: grounds for run, (grounds, lasting) in zip(lacking, read, strict=True) if lasting}
        index.keep_grounds(commits, kept)
        found |= {run.id: grounds for run, (grounds, _) in zip(lacking, read, strict=True)}
    return found


def _read_grounds(repository: Repository, runs: Sequence[RunState]) -> Iterator[tuple[Grounds, bool]]:
    """Of each run its grounds, and whether they are sure to stay what they are.

    The folder of each run is read, of which `run.yaml` is never twice the same; environments, which mostly are, once each.
    """
    commits = list(dict.fromkeys(run.code_commit for run in runs if run.code_commit))
    trees = _trees(repository, commits)
    wide = _ID_BYTES[repository.object_format]
    folders = repository.read_objects(f"{run.commit}:{layout.FOLDER}" for run in runs)
    entries = [
        (_entry(data, layout.RUN, wide), _entry(data, layout.ENVIRONMENT, wide)) if kind == "tree" else (None, None)
        for _, kind, data in folders
    ]
    environments: dict[str | None, str] = {}
    known: dict[bytes, str] = {}
    for name, kind, content in repository.read_objects(dict.fromkeys(one for _, one in entries if one)):
        if kind == "blob":
            environments[name] = _short(_parts(content, _MADE_WITH), _made_with, known)
    records = repository.read_objects(record or repository.zero for record, _ in entries)
    known = {}
    for run, (_, environment), (_, kind, record) in zip(runs, entries, records, strict=True):
        code = trees.get(run.code_commit or "")
        data = _short(_parts(record, ("inputs",)), _inputs, known) if kind == "blob" else _UNREADABLE
        made = environments.get(environment, _UNREADABLE)
        if _UNREADABLE in (data, made):
            # What cannot be read is like nothing else.
            yield Grounds(run.id, "", ""), False
        else:
            # A commit that this clone lacks is known by its name alone; a run without one is like no other.
            yield Grounds(code or run.code_commit or run.id, data, made), code is not None


def _trees(repository: Repository, commits: Sequence[str]) -> dict[str, str]:
    """The id of each commit's tree, of commits that are here."""
    found = {}
    for commit, (_, kind, data) in zip(
        commits, repository.read_objects(f"{commit}^{{tree}}" for commit in commits), strict=True
    ):
        if kind == "tree":
            found[commit] = hashlib.new(repository.object_format, b"tree %d\0" % len(data) + data).hexdigest()
    return found


def _entry(tree: bytes, name: str, wide: int) -> str | None:
    """The id under a name in a tree object; searched for, since taking apart ten thousand trees takes a while."""
    mark = f"100644 {name}\0".encode("ascii")
    at = tree.find(mark)
    return None if at < 0 else tree[at + len(mark) : at + len(mark) + wide].hex()


def _parts(data: bytes, keys: Collection[str]) -> bytes:
    """What stands under some top-level keys of a YAML file, as it stands there: the rest need not be understood."""
    wanted = tuple(f"{key}:".encode("ascii") for key in keys)
    return b"".join(part for part in _TOP_KEY.split(data) if part.startswith(wanted))


def _short(text: bytes, meaning: Callable[[bytes], Any], known: dict[bytes, str]) -> str:
    """A short name of what a text means; equal texts are understood once."""
    if text not in known:
        try:
            found = meaning(b"\n" + text)
            plain = json.dumps(found, sort_keys=True, default=str).encode("utf-8", "backslashreplace")
            known[text] = hashlib.sha256(plain).hexdigest()[:16] if found else _NOTHING
        except (CorruptRecord, TypeError, ValueError, AttributeError, RecursionError):
            known[text] = _UNREADABLE
    return known[text]


def _made_with(environment: bytes) -> Any:
    plain = from_yaml(environment, "environment.yaml")
    if not isinstance(plain, dict):
        return None
    python = plain.get("python") or {}
    return {**{key: plain.get(key) for key in _MADE_WITH}, "python": [python.get(key) for key in _PYTHON]}


def _inputs(record: bytes) -> dict[str, Any]:
    """Data by path; a record that names none is not read any further."""
    if b"\ninputs:" not in record:
        return {}
    plain = from_yaml(record, "run.yaml")
    inputs = plain.get("inputs") or () if isinstance(plain, dict) else ()
    if not isinstance(inputs, list | tuple) or not all(isinstance(one, dict) for one in inputs):
        raise CorruptRecord("inputs of run.yaml are no list of mappings")
    rest = ({key: value for key, value in one.items() if key != "path"} for one in inputs)
    return {str(one.get("path", "?")): left.get("md5") or left for one, left in zip(inputs, rest, strict=True)}
