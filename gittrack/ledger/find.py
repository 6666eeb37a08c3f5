"""Finding one run by its id without an index: the write side must not depend on one."""

from __future__ import annotations

from gittrack.errors import GitFailed
from gittrack.git.repository import Repository
from gittrack.ledger.chain import PageContent, ledger_tips, page_ids, read_pages
from gittrack.ledger.read import Chain, parse_line, read_chain, run_heads

# Pages of each ledger to look through: who starts again what has no ref of its own any more does it soon.
_NEWEST = 20


def find_chain(repository: Repository, run: str) -> Chain | None:
    """The run of this id if it is in git, whatever its experiment; raises CorruptRecord."""
    ref = run_heads(repository).get(run)
    heads = [] if ref is None else [ref.head]
    return read_chain(repository, run, [*heads, *_in_ledgers(repository, run)])


def _in_ledgers(repository: Repository, run: str) -> list[str]:
    mark = run.encode("ascii")
    found = []
    for tip in ledger_tips(repository).values():
        try:
            commits = page_ids(repository, tip)[0][-_NEWEST:]
        except GitFailed:
            continue
        for content in read_pages(repository, commits):
            if not isinstance(content, PageContent):
                continue
            for member, raw in zip(content.page.members, content.lines, strict=False):
                if mark in raw and mark.decode() in (parse_line(member, raw).plain.get(key) for key in ("id", "run")):
                    found.append(member)
    return found
