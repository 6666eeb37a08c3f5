"""Ledgers as they lie in git: chains of pages, commits whose parents are runs and amendments, with a line for each.

docs/formats/ledger.md says it for people who have only git.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from gittrack.errors import CorruptRecord, FormatTooNew, GitFailed, GittrackError
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.values import dataclass

_HEAD = re.compile(rb"\nGittrack-Ledger: (\S+)\nGittrack-Format: ([0-9]{1,6})\nGittrack-Members: ([0-9]{1,6})\n")
_FIRST_LOOK = 16


@dataclass(frozen=True, slots=True)
class Page:
    """One commit of a ledger: the runs and amendments that it takes in, in order, and the page before it.

    The oldest page of a ledger has no members, so that the first parent of any other is a page.
    """

    commit: str
    previous: str | None
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Purge:
    """A run that was deleted for good; no clone takes it in again."""

    run: str
    author: str = ""
    time: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PageContent:
    """A page with what stands on it: the JSON of each member's line, in the order of members, and purges.

    `problem` says why the lines could not be read; there are none then, and the members have to be asked themselves.
    """

    page: Page
    lines: tuple[bytes, ...] = ()
    purges: tuple[Purge, ...] = ()
    problem: str = ""


def ledger_tips(repository: Repository) -> dict[str, str]:
    """The newest page of every ledger, by its writer."""
    return ledger_tips_in(repository.list_refs(layout.LEDGERS))


def ledger_tips_in(refs: Mapping[str, str]) -> dict[str, str]:
    """Those among refs, by writer."""
    return {ref[len(layout.LEDGERS) :]: tip for ref, tip in refs.items() if ref.startswith(layout.LEDGERS)}


def parse_page(commit: str, kind: str, data: bytes) -> Page:
    """Raises CorruptRecord for what is no page of a ledger, FormatTooNew for one that we cannot know."""
    if kind != "commit":
        raise CorruptRecord(f"{commit} is {kind}, not a page of a ledger")
    head = _HEAD.search(data)
    if head is None:
        raise CorruptRecord(f"commit {commit} is not a page of a ledger")
    if int(head[2]) > layout.LEDGER_FORMAT:
        raise FormatTooNew(
            f"ledger page {commit} has format {int(head[2])}, and this gittrack reads formats up to "
            f"{layout.LEDGER_FORMAT}; upgrade gittrack"
        )
    parents = layout.commit_links(data)[1]
    members = tuple(parents[1:])
    if len(members) != int(head[3]):
        raise CorruptRecord(f"ledger page {commit} says {int(head[3])} members and has {len(members)}")
    return Page(commit, parents[0] if parents else None, members)


def page_ids(repository: Repository, tip: str, known: Collection[str] = ()) -> tuple[list[str], bool]:
    """The pages from a ledger's newest back to the first that is known, oldest first, and whether one was found.

    Raises GitFailed for a tip that is no commit.
    """
    count = _FIRST_LOOK if known else 0
    while True:
        words = ["rev-list", "--first-parent", *([f"--max-count={count}"] if count else []), tip]
        found = repository.git(*words).decode("ascii").split()
        if not found:
            raise GitFailed(f"{tip} is no commit")
        for at, one in enumerate(found):
            if one in known:
                return found[:at][::-1], True
        if not count or len(found) < count:
            return found[::-1], False
        count *= 8


def read_pages(repository: Repository, commits: Iterable[str]) -> Iterator[PageContent | tuple[str, GittrackError]]:
    """What stands on pages, in the order given; for one that is none, its commit and what is wrong."""
    names = [f"{one}{suffix}" for one in commits for suffix in ("", f":{layout.LINES}", f":{layout.PURGED}")]
    objects = repository.read_objects(names)
    for name, kind, data in objects:
        _, lines_kind, lines = next(objects)
        _, purges_kind, purges = next(objects)
        try:
            page = parse_page(name, kind, data)
        except (CorruptRecord, FormatTooNew) as error:
            yield name, error
            continue
        gone = tuple(_purges(purges)) if purges_kind == "blob" else ()
        found = tuple(lines.splitlines()) if lines_kind == "blob" else ()
        if len(found) == len(page.members):
            yield PageContent(page, found, gone)
        else:
            reason = f"it has {len(found)} lines for {len(page.members)} members"
            yield PageContent(page, (), gone, reason if lines_kind == "blob" else f"{layout.LINES} is {lines_kind}")


def _purges(data: bytes) -> Iterator[Purge]:
    import orjson

    for line in data.splitlines():
        try:
            plain: dict[str, Any] = orjson.loads(line)
            yield Purge(str(plain["run"]), str(plain["author"]), float(plain["time"]), str(plain.get("reason", "")))
        except (ValueError, KeyError, TypeError):
            # What somebody else wrote wrong hides nothing.
            continue


def purge_line(one: Purge) -> bytes:
    import orjson

    return orjson.dumps({"run": one.run, "author": one.author, "time": one.time, "reason": one.reason})


def all_members(repository: Repository, tip: str) -> dict[str, None]:
    """Every commit that a ledger has taken in, oldest first; raises GitFailed."""
    found: dict[str, None] = {}
    for content in read_pages(repository, page_ids(repository, tip)[0]):
        if not isinstance(content, tuple):
            found.update(dict.fromkeys(content.page.members))
    return found


def all_purges(repository: Repository) -> dict[str, Purge]:
    """Every run that was deleted for good by anybody whose ledger is here."""
    found: dict[str, Purge] = {}
    for tip in ledger_tips(repository).values():
        try:
            found.update(purges_of(repository, tip))
        except GitFailed:
            continue
    return found


def purges_of(repository: Repository, tip: str) -> dict[str, Purge]:
    """The runs that a ledger says were deleted for good; raises GitFailed."""
    return purges_in(repository, page_ids(repository, tip)[0])


def purges_in(repository: Repository, pages: Iterable[str]) -> dict[str, Purge]:
    """The runs that pages say were deleted for good."""
    names = [f"{one}:{layout.PURGED}" for one in pages]
    blobs = [data for _, kind, data in repository.read_objects(names) if kind == "blob"]
    return {one.run: one for data in blobs for one in _purges(data)}
