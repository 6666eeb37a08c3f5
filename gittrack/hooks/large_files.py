"""No large file without a pointer: what a commit holds stays in everybody's clone for ever."""

from __future__ import annotations

import os
import shlex

from gittrack.hooks.call import PASSED, Call, Staged, Verdict


def check(call: Call) -> Verdict:
    limit = call.settings.guards.large_files
    if limit is None:
        return PASSED
    # What only moves is in git for ever already.
    known = {one.before for one in call.staged}
    files = [one for one in call.staged if one.is_file and one.blob not in known]
    sizes = call.sizes([str(one.blob) for one in files])
    large = sorted(((sizes.get(str(one.blob), 0), one) for one in files), key=lambda pair: -pair[0])
    large = [(size, one) for size, one in large if size > limit]
    if not large:
        return PASSED
    from gittrack.report.numbers import size as shown

    count = "a file is" if len(large) == 1 else f"{len(large):,} files are"
    text = (
        f"{count} larger than {shown(limit)} and would stay in git for ever; let DVC keep it: {_mended(call, large[0][1])}; "
        "or raise guards.large_files"
    )
    return Verdict((text,), listing=tuple(f"{one.name}  {shown(size)}" for size, one in large))


def _mended(call: Call, one: Staged) -> str:
    """Commands that put a file behind a pointer, as they work in the folder in which somebody commits."""
    path = os.path.relpath(one.name, call.environ.get("GIT_PREFIX") or ".")
    quoted, folder = shlex.quote(path), os.path.dirname(path)
    ready = "" if call.repository.root is not None and (call.repository.root / ".dvc").is_dir() else "gittrack init && "
    ignored = shlex.quote(os.path.join(folder, ".gitignore"))
    return f"{ready}git rm --cached -- {quoted} && dvc add -- {quoted} && git add -- {shlex.quote(f'{path}.dvc')} {ignored}"
