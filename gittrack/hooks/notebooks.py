"""Outputs of a notebook that no recorded run wrote are no results."""

from __future__ import annotations

import json

from gittrack.hooks.call import PASSED, Call, Verdict
from gittrack.hooks.contents import makers_of


def check(call: Call) -> Verdict:
    limit = call.settings.guards.notebooks
    if limit is None:
        return PASSED
    books = [one for one in call.staged if one.is_file and one.path.endswith(b".ipynb")]
    blobs = call.blobs([str(one.blob) for one in books])
    large = [(size, one) for one in books if (size := outputs_size(blobs.get(str(one.blob), b""))) > limit]
    recorded = {one.path for one, _ in makers_of(call, [one for _, one in large])} if large else set()
    found = [(size, one) for size, one in large if one.path not in recorded]
    if not found:
        return PASSED
    from gittrack.report.numbers import size as shown

    text = (
        f"outputs of notebooks beyond {shown(limit)} come from no recorded run; clear them (jupyter nbconvert --clear-output "
        "--inplace FILE), or let a run write them (gittrack run -- jupyter nbconvert --execute --inplace FILE)"
    )
    return Verdict((text,), listing=tuple(f"{one.name}  {shown(size)}" for size, one in found))


def outputs_size(data: bytes) -> int:
    """Bytes of all outputs of a notebook (nbformat 4), as JSON without spaces; 0 for what is no notebook."""
    try:
        cells = json.loads(data)["cells"]
        outputs = [one["outputs"] for one in cells if one.get("outputs")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return 0
    return sum(len(json.dumps(one, separators=(",", ":"))) for one in outputs)
