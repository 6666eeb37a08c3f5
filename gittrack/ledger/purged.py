"""Which runs were deleted for good: asked each time before something is folded, so it must be quick."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from gittrack.errors import GitFailed
from gittrack.git.repository import Repository
from gittrack.ledger.chain import ledger_tips, page_ids, purges_in

_FILE = "purged"


def purged_runs(repository: Repository, tips: Mapping[str, str] | None = None) -> set[str]:
    """Their ids, from all ledgers that are here; what was read is noted, and of a ledger that grew only the rest is read.

    `tips` are the newest pages of the ledgers by writer, where the caller has just asked for them.
    """
    tips = ledger_tips(repository) if tips is None else tips
    read, runs = _noted(repository)
    if read == tips:
        return runs
    pages: list[str] = []
    for writer, tip in tips.items():
        before = read.pop(writer, None)
        if before == tip:
            continue
        try:
            new, found = page_ids(repository, tip, () if before is None else {before})
        except GitFailed:
            # It is no ledger.
            continue
        pages += new
        if before is not None and not found:
            # It was written anew: what it said before counts no more.
            read[writer] = before
    if read:
        runs, pages = set(), []
        for tip in tips.values():
            try:
                pages += page_ids(repository, tip)[0]
            except GitFailed:
                continue
    runs.update(purges_in(repository, pages))
    _note(repository, tips, runs)
    return runs


def _noted(repository: Repository) -> tuple[dict[str, str], set[str]]:
    """How far each ledger was read, and the runs that were found."""
    try:
        lines = (repository.home / _FILE).read_text(encoding="ascii").splitlines()
        tips, _, runs = "\n".join(lines).partition("\n\n")
        return dict(line.split(" ") for line in tips.splitlines()), set(runs.split())
    except (OSError, UnicodeDecodeError, ValueError):
        return {}, set()


def _note(repository: Repository, tips: Mapping[str, str], runs: set[str]) -> None:
    """Failing to write costs another look next time."""
    read = "".join(f"{writer} {tip}\n" for writer, tip in tips.items())
    with contextlib.suppress(OSError, UnicodeEncodeError):
        repository.note(_FILE, read + "\n" + "".join(f"{run}\n" for run in sorted(runs)))
