"""The `artifacts:` block of the `dvc.yaml` at the root of a run's tree, by which DVC and GTO find a model (DVC's guide, dvc.yaml)."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any

from gittrack.domain.artifact import Artifact
from gittrack.domain.names import is_model_name
from gittrack.ledger import layout

NAME = "dvc.yaml"
_BLOCK = "artifacts"


def declared(artifacts: Iterable[Artifact]) -> dict[str, dict[str, str]]:
    """What the block says of artifacts that have a name which DVC takes; of two of one name the last counts."""
    return {one.name: entry(one) for one in artifacts if one.name is not None and is_model_name(one.name)}


def entry(artifact: Artifact) -> dict[str, str]:
    plain = {"path": f"{layout.FOLDER}/{layout.ARTIFACTS}/{artifact.path}"}
    return plain | ({"type": artifact.kind} if artifact.kind else {})


def declares(data: bytes, name: str, one: Mapping[str, str]) -> bool:
    """Whether the block says of a name where this is; what else it says there is the user's own."""
    said = ((_plain(data) or {}).get(_BLOCK) or {}).get(name)
    return isinstance(said, dict) and said.get("path") == one["path"]


def same_but_artifacts(a: bytes, b: bytes) -> bool:
    """Whether two such files, empty ones among them, say the same beside their blocks."""
    if a == b:
        return True
    plain = [({} if not one.strip() else _plain(one)) for one in (a, b)]
    if plain[0] is None or plain[1] is None:
        return False
    try:
        return {**plain[0], _BLOCK: None} == {**plain[1], _BLOCK: None}
    except RecursionError:
        return False


def with_artifacts(data: bytes, entries: Mapping[str, Mapping[str, str]]) -> bytes | None:
    """The file with entries in its block, everything else as the user wrote it; None where it cannot be read as one.

    `data` is empty where there is no such file.
    """
    from gittrack.ledger.files import library_yaml

    block = library_yaml({_BLOCK: {name: dict(one) for name, one in entries.items()}})
    if not data.strip():
        return block
    old = _plain(data)
    if old is None:
        return None
    wanted = {**old, _BLOCK: {**(old.get(_BLOCK) or {}), **{name: dict(one) for name, one in entries.items()}}}
    # A text of its own at the end leaves every byte before it alone; only who has such a block already needs more.
    appended = data.removesuffix(b"\n") + b"\n" + block
    if _BLOCK not in old and _says(appended, wanted):
        return appended
    text = _rewritten(data, entries)
    return text if text is not None and _says(text, wanted) else None


def _says(text: bytes, wanted: Mapping[str, Any]) -> bool:
    try:
        return _plain(text) == wanted
    except RecursionError:
        # YAML can hold itself.
        return False


def _rewritten(data: bytes, entries: Mapping[str, Mapping[str, str]]) -> bytes | None:
    """By the library that keeps comments and the order of keys; it comes with DVC."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1000
    try:
        plain = yaml.load(data.decode("utf-8"))
        if not isinstance(plain, dict) or not isinstance(plain.get(_BLOCK) or {}, dict):
            return None
        if not plain.get(_BLOCK):
            plain[_BLOCK] = {}
        for name, one in entries.items():
            plain[_BLOCK][name] = dict(one)
        out = io.BytesIO()
        yaml.dump(plain, out)
    except (YAMLError, UnicodeDecodeError, ValueError, RecursionError):
        return None
    return out.getvalue()


def _plain(data: bytes) -> dict[str, Any] | None:
    from gittrack.errors import CorruptRecord
    from gittrack.ledger.files import from_yaml

    try:
        found = from_yaml(data, NAME)
    except (CorruptRecord, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get(_BLOCK) or {}, dict) else None
