"""No large file without a pointer: what a commit holds stays in everybody's clone for ever."""

from __future__ import annotations

import shlex

from gittrack.hooks.call import PASSED, Call, Verdict


def check(call: Call) -> Verdict:
    limit = call.settings.guards.large_files
    if limit is None:
        return PASSED
    files = [one for one in call.staged if one.is_file]
    sizes = call.sizes([str(one.blob) for one in files])
    large = sorted(((sizes.get(str(one.blob), 0), one) for one in files), key=lambda pair: -pair[0])
    large = [(size, one) for size, one in large if size > limit]
    if not large:
        return PASSED
    from gittrack.report.numbers import size as shown

    first = shlex.quote(large[0][1].name)
    count = "a file is" if len(large) == 1 else f"{len(large):,} files are"
    text = (
        f"{count} larger than {shown(limit)} and would stay in git for ever; let DVC keep it: git rm --cached -- {first} && "
        f"dvc add -- {first} && git add -- {first}.dvc; or raise guards.large_files"
    )
    return Verdict((text,), listing=tuple(f"{one.name}  {shown(size)}" for size, one in large))
