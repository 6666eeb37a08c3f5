"""Our block in `.pre-commit-config.yaml`: put in and taken out as text, so that all else stays byte for byte."""

from __future__ import annotations

import json
import re

from gittrack.errors import RepositoryError
from gittrack.hooks.guards import GUARDS, Guard

CONFIG = ".pre-commit-config.yaml"
_BEGIN = "# >>> gittrack >>> ('gittrack hooks uninstall' takes this block out)"
_END = "# <<< gittrack <<<"
_BLOCK = re.compile(
    rf"(?P<first>\A|\r?\n)(?P<text>[ ]*{re.escape(_BEGIN)}\r?\n(?P<inside>(?:[^\n]*\n)*?)[ ]*{re.escape(_END)})(?P<last>\r?\n|\Z)"
)


def stages(guard: Guard) -> list[str]:
    """The framework's word for when a guard is called."""
    return list(guard.hooks) or ["manual"]


def guarded() -> tuple[Guard, ...]:
    """What the framework can call: it knows nothing of a server's hooks."""
    return tuple(one for one in GUARDS if not one.closed)


def has_block(text: str) -> bool:
    return _BLOCK.search(text) is not None


def names_guards(text: str) -> bool:
    """Whether any guard of ours is called, through our block or in another way."""
    return re.search(r"\bid['\"]?:\s*['\"]?gittrack-", text) is not None


def decoded(content: bytes) -> str:
    """The file as text; raises RepositoryError for one that could not be written back as it is."""
    if content.startswith(b"\xef\xbb\xbf"):
        raise RepositoryError(f"{CONFIG} begins with a byte order mark; save it as plain UTF-8 first")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise RepositoryError(f"{CONFIG} is not UTF-8; save it as UTF-8 first") from None


def with_block(text: str) -> str:
    """The file with our block as the last of its `repos`; as it is where it names our guards already.

    Raises RepositoryError for a file that is no configuration of the framework.
    """
    if names_guards(text):
        return text
    before = _loaded(text)
    place = _place(text)
    changed = text[: place[0]] + place[1] + text[place[0] :]
    if _loaded_or_none(changed) != {**before, "repos": [*before["repos"], _entry()]}:
        raise _odd("gittrack cannot add to its list 'repos' without changing what else it says")
    return changed


def without_block(text: str) -> str:
    """The file without our block; raises RepositoryError where that would change what else it says."""
    found = _BLOCK.search(text)
    if found is None:
        return text
    before = _loaded(text)
    inside = found["inside"].lstrip()
    if inside.startswith(("{", ",")):
        # In a list in brackets it has both line ends to itself.
        start, end = found.start(), found.end()
    elif found["last"]:
        start, end = found.start("text"), found.end()
    else:
        # At the end of a file whose last line had no end.
        start, end = found.start(), found.end()
    changed = text[:start] + text[end:]
    after = _loaded_or_none(changed)
    gone = [one for one in before["repos"] if one not in (after or {}).get("repos", ())]
    if after is None or {**before, "repos": after.get("repos")} != after or any(not _is_entry(one) for one in gone):
        raise _odd("the block of gittrack has been changed; take it out by hand")
    return changed


def _is_entry(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and entry.get("repo") == "local"
        and all(str(hook.get("id", "")).startswith("gittrack-") for hook in entry.get("hooks") or ())
    )


def _entry() -> dict[str, object]:
    return {"repo": "local", "hooks": [_hook(one) for one in guarded()]}


def _hook(guard: Guard) -> dict[str, object]:
    return {
        "id": guard.name,
        "name": guard.name,
        "entry": f"gittrack hooks run {guard.name}",
        "language": "system",
        "stages": stages(guard),
        "always_run": True,
        **passed(guard),
    }


def passed(guard: Guard) -> dict[str, object]:
    """Only the name of the message's file is wanted: the framework does not say it otherwise."""
    return {"pass_filenames": bool(guard.hooks) and {*guard.hooks} <= {"prepare-commit-msg", "commit-msg"}}


def _lines(indent: str) -> list[str]:
    """The block of a list whose dashes stand behind `indent`."""
    lines = [f"{indent}- repo: local", f"{indent}  hooks:"]
    for one in guarded():
        first, *more = _hook(one).items()
        lines.append(f"{indent}    - {first[0]}: {first[1]}")
        lines += [f"{indent}      {key}: {_plain(value)}" for key, value in more]
    return [indent + _BEGIN, *lines, indent + _END]


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{', '.join(value)}]" if isinstance(value, list) else str(value)


def _place(text: str) -> tuple[int, str]:
    """Where in the text to put what."""
    import yaml

    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert root is not None
    pairs = [(key, value) for key, value in root.value if key.value == "repos"]
    if len(pairs) != 1 or not isinstance(pairs[0][1], yaml.SequenceNode):
        raise _odd("its 'repos' is no list")
    key, repos = pairs[0]
    if repos.start_mark.index < key.end_mark.index:
        raise _odd("its 'repos' is an alias of another list")
    line_end = "\r\n" if "\r\n" in text else "\n"
    # The tokens of the list: beyond its last one the marks of a node reach over comments and empty lines.
    inside = [
        one
        for one in yaml.scan(text, Loader=yaml.SafeLoader)
        if repos.start_mark.index <= one.start_mark.index < one.end_mark.index <= repos.end_mark.index
    ]
    if repos.flow_style:
        close = repos.end_mark.index - 1
        comma = ", " if repos.value and not isinstance(inside[-2], yaml.FlowEntryToken) else ""
        own = f"  {_BEGIN}{line_end}  {comma}{json.dumps(_entry())}{line_end}  {_END}"
        return close, f"{line_end}{own}{line_end}"
    end = inside[-1].end_mark.index
    if inside[-1].end_mark.column or text[end - 1 : end] != "\n":
        newline = text.find("\n", end)
        end = len(text) if newline < 0 else newline + 1
    block = line_end.join(_lines(" " * repos.start_mark.column))
    if end == len(text) and not text.endswith("\n"):
        return end, line_end + block
    return end, block + line_end


def _loaded(text: str) -> dict[str, list[object]]:
    import yaml

    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise _odd(f"it is no valid YAML{where}") from None
    if not isinstance(found, dict) or not isinstance(found.get("repos"), list):
        raise _odd("it has no list 'repos'")
    return found


def _loaded_or_none(text: str) -> dict[str, list[object]] | None:
    try:
        return _loaded(text)
    except RepositoryError:
        return None


def _odd(why: str) -> RepositoryError:
    return RepositoryError(f"{CONFIG} stays as it is, since {why}; 'pre-commit validate-config' tells more")
