"""What a run read, in words: the same for a terminal and for a page."""

from __future__ import annotations

from gittrack.domain.input import Input

_KEPT_BY = {"dvc": "tracked by DVC", "git": "in git", "uri": "a reference"}


def kept_by(one: Input) -> str:
    """Who keeps the version of an input, and what a reader should mind."""
    if one.changed:
        text = f"changed: not what {one.pointer} names"
    elif one.tracked_by == "run":
        text = f"{one.artifact} of run {(one.run or '')[:8]}"
    elif one.tracked_by == "uri" and not (one.version or one.etag):
        text = "a reference without a version"
    else:
        text = _KEPT_BY.get(one.tracked_by or "", "unversioned")
    return text if one.declared else f"{text}, not declared"
