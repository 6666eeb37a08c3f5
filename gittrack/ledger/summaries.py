"""Tables without curves: a fetch without files, but for the lines of ledgers, where the host can filter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from gittrack.errors import CorruptRecord, GitFailed, UsageError
from gittrack.git.objects import parse_tree
from gittrack.git.remote import fetch_objects
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.chain import page_ids

FILTER = "--filter=blob:none"


@contextmanager
def filtering(repository: Repository, remote: str) -> Iterator[None]:
    """While a filtered fetch is at work; afterwards what the user fetches from that remote comes whole, as before.

    Git notes that the remote has what is left out (`remote.<name>.promisor`), and fetches it from there when it is read.
    """
    if remote not in repository.git("remote").decode("utf-8", "replace").split():
        raise UsageError(
            f"summaries need a remote with a name, since the rest is fetched later; 'git remote add NAME {remote}'"
        )
    key = f"remote.{remote}.partialclonefilter"
    before = repository.setting(key)
    try:
        yield
    finally:
        if before is None:
            repository.run("config", "--unset-all", key, check=False)


def prefetch_lines(repository: Repository, remote: str, tips: Iterable[str]) -> None:
    """The lines of all pages of ledgers that are not here yet, in one go; raises GitFailed."""
    trees: list[str] = []
    for tip in tips:
        try:
            trees += [f"{page}^{{tree}}" for page in page_ids(repository, tip)[0]]
        except GitFailed:
            continue
    wanted: list[str] = []
    for _, kind, data in repository.read_objects(trees):
        if kind != "tree":
            continue
        try:
            entries = parse_tree(data, repository.object_format)
        except CorruptRecord:
            continue
        wanted += [one for name, _, one in entries if name.decode("utf-8", "replace") in (layout.LINES, layout.PURGED)]
    fetch_objects(repository, remote, dict.fromkeys(wanted))
