"""Pages of a ledger as we write them: how members are parted, and what date a page bears."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gittrack.domain.codec import time_from_text
from gittrack.errors import CorruptRecord
from gittrack.git.objects import ObjectBatch, Signature
from gittrack.ledger import layout
from gittrack.ledger.chain import Purge, purge_line
from gittrack.ledger.read import parse_line
from gittrack.values import replace


class Member(NamedTuple):
    """A run commit or an amendment, as a page of a ledger has it."""

    commit: str
    line: bytes

    @property
    def is_amendment(self) -> bool:
        return b'"changes":' in self.line and "changes" in parse_line(self.commit, self.line).plain

    @property
    def run(self) -> str:
        return parse_line(self.commit, self.line).run

    @property
    def time(self) -> float:
        """When the run ended or the amendment was made; 0 where the line does not say it."""
        try:
            plain = parse_line(self.commit, self.line).plain
            return time_from_text(plain.get("time" if "changes" in plain else "ended")) or 0.0
        except (CorruptRecord, TypeError, ValueError):
            return 0.0


def write_pages(
    batch: ObjectBatch,
    writer: str,
    tip: str | None,
    members: Sequence[Member],
    author: Signature,
    *,
    purges: Sequence[Purge] = (),
) -> str:
    """Pages on top of a ledger, made in the batch; returns the newest. A ledger that is not there is begun."""
    if tip is None:
        empty = batch.folder({})
        tip = batch.commit(
            tree=empty, parents=[], author=author, committer=author, message=layout.page_message(writer, 0, 0)
        )
    parts = list(split_pages(members)) or [[]]
    for at, part in enumerate(parts):
        gone = purges if at == len(parts) - 1 else ()
        files = {layout.LINES: b"".join(one.line + b"\n" for one in part)}
        if gone:
            files[layout.PURGED] = b"".join(purge_line(one) + b"\n" for one in gone)
        amendments = sum(one.is_amendment for one in part)
        tip = batch.commit(
            tree=batch.folder({name: batch.blob(data) for name, data in files.items()}),
            parents=[tip, *(one.commit for one in part)],
            author=author,
            committer=dated(author, part),
            message=layout.page_message(writer, len(part) - amendments, amendments, len(gone)),
        )
    return tip


def dated(committer: Signature, members: Sequence[Member]) -> Signature:
    """As old as the newest member, while the author's date says when the page was written.

    Git goes through commits by the committer's date, the newest first: it then comes to the members of the newest page before
    it comes to the page below, and stops there. With today's date on all the pages of an import of old runs, the user's
    `git fetch` that finds nothing new opened five pages with a thousand parents each.
    """
    times = [time for one in members if (time := one.time) > 0]
    return replace(committer, time=min(committer.time, int(max(times)))) if times else committer


def split_pages(members: Iterable[Member]) -> Iterator[list[Member]]:
    """Members by the page: no more than git hosts advise for one object, and only a few on the newest.

    For every ref that is here git opens the commit, and often its parents, even if it then has nothing to do.
    """
    last: deque[Member] = deque()

    def all_but_the_last() -> Iterator[Member]:
        for one in members:
            last.append(one)
            if len(last) > layout.TIP_MEMBERS:
                yield last.popleft()

    yield from _parts(all_but_the_last())
    yield from _parts(last)


def _parts(members: Iterable[Member]) -> Iterator[list[Member]]:
    part: list[Member] = []
    size = 0
    for one in members:
        if part and (len(part) >= layout.PAGE_MEMBERS or size + len(one.line) > layout.PAGE_BYTES):
            yield part
            part, size = [], 0
        part.append(one)
        size += len(one.line) + 1
    if part:
        yield part
