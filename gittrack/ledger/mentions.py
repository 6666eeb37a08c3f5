"""What ledgers have of one run, where there is no index to ask."""

from __future__ import annotations

from gittrack.errors import GitFailed
from gittrack.git.repository import Repository
from gittrack.ledger.chain import PageContent, ledger_tips, page_ids, read_pages
from gittrack.ledger.read import Damage, page_lines


def mentions(repository: Repository, run: str) -> list[str]:
    """Its commits and those of its amendments in all ledgers that are here: every page is read for that."""
    found: dict[str, None] = {}
    for tip in ledger_tips(repository).values():
        try:
            pages = page_ids(repository, tip)[0]
        except GitFailed:
            # It is no ledger.
            continue
        for content in read_pages(repository, pages):
            if not isinstance(content, PageContent):
                continue
            if content.problem or any(run.encode("ascii") in line for line in content.lines):
                lines = page_lines(repository, content)
                found.update(
                    dict.fromkeys(one.commit for one in lines if not isinstance(one, Damage) and one.run == run)
                )
    return list(found)
