"""The text of DVC's pointer files: writing `<name>.dvc`, and reading it and `dvc.lock`."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from gittrack.domain.pointer import Pointer, is_oid
from gittrack.errors import CorruptRecord
from gittrack.values import dataclass

# What YAML writes without quotes, whatever its version: nothing that looks like a number, a date or a word of YAML.
_PLAIN_NAME = re.compile(r"(?!(?:true|false|null|yes|no|on|off|y|n)\Z)[A-Za-z][A-Za-z0-9_./-]{0,59}", re.IGNORECASE)
# The other digits alone may spell a number: `12e34`, `0b01`.
_PLAIN_OID = re.compile(r".*[acdf]")
_PLAIN_FILE = re.compile(
    rb"outs:\n- md5: (?P<oid>[0-9a-f]{32}(?:\.dir)?)\n  size: (?P<size>[0-9]{1,18})\n"
    rb"(?:  nfiles: (?P<nfiles>[0-9]{1,18})\n)?  hash: md5\n  path: (?P<path>[^\n]{1,60})\n"
)


@dataclass(frozen=True, slots=True)
class TrackedOut:
    """One file or folder that DVC tracks; `path` is relative to the folder of the file that says so.

    `pointer` is None when its content has no md5. Its size is 0 where old versions wrote none. Only what is `comparable`
    is the md5 of the plain bytes: DVC 2 changed line ends first.
    """

    path: str
    pointer: Pointer | None
    comparable: bool


def pointer_file(pointer: Pointer, name: str) -> bytes:
    """What `dvc add` writes to `<name>.dvc`, byte for byte."""
    if _PLAIN_NAME.fullmatch(name) and _PLAIN_OID.match(pointer.oid):
        nfiles = "" if pointer.nfiles is None else f"  nfiles: {pointer.nfiles}\n"
        return (f"outs:\n- md5: {pointer.oid}\n  size: {pointer.size}\n{nfiles}  hash: md5\n  path: {name}\n").encode(
            "ascii"
        )
    out: dict[str, str | int] = {"md5": pointer.oid, "size": pointer.size}
    if pointer.nfiles is not None:
        out["nfiles"] = pointer.nfiles
    data = _dump({"outs": [{**out, "hash": "md5", "path": name}]})
    if read_pointer_file(data, name)[0].path == posixpath.normpath(name):
        return data
    # Some line separators of Unicode DVC cannot read back itself; written as escapes they are kept.
    escaped = "".join(one if " " <= one <= "~" and one not in '"\\' else f"\\U{ord(one):08X}" for one in name)
    return _dump({"outs": [{**out, "hash": "md5"}]}) + f'  path: "{escaped}"\n'.encode("ascii")


def _dump(plain: dict[str, Any]) -> bytes:
    from io import StringIO

    from ruamel.yaml import YAML

    yaml, text = YAML(), StringIO()
    yaml.default_flow_style = False
    yaml.dump(plain, text)
    return text.getvalue().encode()


# --- reading


def read_pointer_file(data: bytes, where: str) -> list[TrackedOut]:
    """Every out of a `.dvc` file or of a `dvc.lock`; `where` names it in the message. Raises CorruptRecord."""
    plain = _PLAIN_FILE.fullmatch(data)
    if plain is not None:
        name, oid = plain["path"].decode("latin-1"), plain["oid"].decode("ascii")
        if _PLAIN_NAME.fullmatch(name) and _PLAIN_OID.match(oid):
            nfiles = None if plain["nfiles"] is None else int(plain["nfiles"])
            return [TrackedOut(posixpath.normpath(name), Pointer(oid, int(plain["size"]), nfiles), True)]
    parsed = _parse(data, where)
    if not isinstance(parsed, dict):
        raise _corrupt(where, "it is no mapping")
    stages = [parsed]
    if "stages" in parsed:
        named = parsed["stages"] or {}
        if not isinstance(named, dict):
            raise _corrupt(where, "its stages are no mapping")
        stages = list(named.values())
    elif "outs" not in parsed and isinstance(parsed.get("schema", 1.0), float):
        # The first `dvc.lock` had the stages at the top.
        stages = [stage for stage in parsed.values() if isinstance(stage, dict)]
    outs = []
    for stage in stages:
        if not isinstance(stage, dict):
            raise _corrupt(where, "a stage is no mapping")
        listed, folder = stage.get("outs") or [], stage.get("wdir") or "."
        if not isinstance(listed, list) or not isinstance(folder, str):
            raise _corrupt(where, "its outs are no list")
        outs += [_out(one, folder, where) for one in listed]
    return outs


def _out(plain: Any, folder: str, where: str) -> TrackedOut:
    if not isinstance(plain, dict) or not isinstance(plain.get("path"), str):
        raise _corrupt(where, "an out has no path")
    path = posixpath.normpath(posixpath.join(folder, plain["path"]))
    oid, size, nfiles = plain.get("md5"), plain.get("size"), plain.get("nfiles")
    if oid is None:
        return TrackedOut(path, None, False)
    if not isinstance(oid, str) or not is_oid(oid):
        raise _corrupt(where, f"the md5 of {path!r} is none")
    for number in (size, nfiles):
        if number is not None and (type(number) is not int or number < 0):
            raise _corrupt(where, f"{path!r} has a size or number of files that is none")
    return TrackedOut(path, Pointer(oid, size or 0, nfiles), plain.get("hash") == "md5")


def _parse(data: bytes, where: str) -> Any:
    # As DVC reads it. PyYAML speaks an older YAML, in which a file named `yes` would be true.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(data.decode("utf-8")) or {}
    except (YAMLError, ValueError, RecursionError) as error:
        reason = str(getattr(error, "problem", None) or error).splitlines()[0]
        raise _corrupt(where, f"it is no YAML ({reason})") from None


def _corrupt(where: str, why: str) -> CorruptRecord:
    return CorruptRecord(f"{where} is no pointer of DVC: {why}; restore it with git, or run 'dvc add' again")
