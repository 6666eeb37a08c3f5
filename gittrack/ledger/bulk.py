"""Many finished runs at once: one `git fast-import` makes their commits and the pages of the ledger that take them in."""

from __future__ import annotations

import random
import time
import uuid
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import lru_cache
from typing import Any, NamedTuple

from gittrack.domain.codec import state_to_line
from gittrack.domain.environment import Environment
from gittrack.errors import CorruptRecord, RefConflict, UsageError
from gittrack.git.fastimport import FastImport
from gittrack.git.objects import ObjectBatch, Signature, parse_tree, read_tree
from gittrack.git.refs import RefChange, change_refs
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.chain import PageContent, page_ids, read_pages
from gittrack.ledger.files import run_files
from gittrack.ledger.fold import moved
from gittrack.ledger.item import Defaults, check_id, check_item, to_record
from gittrack.ledger.page import Member, dated, split_pages
from gittrack.ledger.purged import purged_runs
from gittrack.values import dataclass

# The commit of the run with an id, if one is here.
Find = Callable[[str], str | None]

_TRIES = 20
_NOWHERE = Environment()

# Runs that are here already are looked at so many at once.
_CHECKED = 1_000

# Marks in the stream. Those of members come again once the page that names them is there; a few more are read ahead.
_PAGE, _UNKNOWN, _FIRST, _MANY = 1, 2, 3, 2 * layout.PAGE_MEMBERS

# The code of runs that name none. The same commit in every clone, for ever.
_UNKNOWN_BY = Signature("gittrack <gittrack@invalid>", 946_684_800)
_UNKNOWN_SAYS = """\
The code of imported runs is not known

Runs that were imported from elsewhere without naming a commit have this one as
their code. It is empty.
"""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import brought: runs, pages of this clone's ledger, and the newest of these; and how many it passed over."""

    runs: int
    pages: int
    tip: str | None
    passed_over: int = 0


class _Code(NamedTuple):
    """A commit, how the stream names it, and what of its tree gives way to the files of a run."""

    commit: str
    parent: str
    hidden: tuple[str, ...] = ()


def import_runs(
    repository: Repository,
    writer: str,
    author: Signature,
    items: Iterable[Mapping[str, Any]],
    defaults: Defaults,
    find: Find,
) -> Imported:
    """Put runs into the ledger of `writer`, all of them or none; they get no refs of their own.

    A run that is here already is passed over, and so is one that was deleted for good.

    Raises UsageError for an item that is no run or says something else of a run that is here, RefConflict when others write to
    this ledger all the time, GitFailed or OSError when the world does not allow it; then nothing is visible.
    """
    ledger = layout.LEDGERS + writer
    base = repository.resolve(ledger, None)
    with ExitStack() as stack:
        stream = stack.enter_context(FastImport(repository))
        streams = [stream]
        runs = _Runs(repository, stream, defaults, find)
        pages = _Pages(stream, writer, author, base)
        for part in split_pages(runs.members(items)):
            pages.add(part)
        twice = runs.ids.twice()
        if twice is not None:
            raise UsageError(f"runs {twice[0]} and {twice[1]} (from 0) have the same id; nothing was imported")
        runs.check_known()
        if not pages.count:
            return Imported(0, 0, base, runs.passed_over)
        made = tip = stream.finish(_PAGE)
        expected = base
        for tries in range(_TRIES):
            try:
                change_refs(repository, [RefChange(ledger, tip, expected)], "gittrack: import")
                for one in streams:
                    one.settle()
                moved(repository, expected, tip)
                return Imported(runs.made, pages.count, tip, runs.passed_over)
            except RefConflict:
                # Another process of this clone folded or imported: the same pages, on top of what it made.
                time.sleep(random.uniform(0, 0.02) * (tries + 1))
            expected = repository.resolve(ledger, None)
            again = stack.enter_context(FastImport(repository))
            streams.append(again)
            pages = _Pages(again, writer, author, expected)
            for content in _contents(repository, made, base):
                pages.add([Member(*one) for one in zip(content.page.members, content.lines, strict=True)])
            tip = again.finish(_PAGE)
    raise RefConflict(f"{ledger} changes faster than it can be written; try again")


def _contents(repository: Repository, tip: str, base: str | None) -> Iterator[PageContent]:
    """Our pages with members, read back from where they are."""
    commits, _ = page_ids(repository, tip, () if base is None else {base})
    for one in read_pages(repository, commits):
        if isinstance(one, tuple):
            raise one[1]
        if one.problem:
            raise CorruptRecord(f"ledger page {one.page.commit} is damaged: {one.problem}; run 'git fsck'")
        if one.page.members:
            yield one


class _Pages:
    """Pages in the stream, each on top of the one before."""

    def __init__(self, stream: FastImport, writer: str, author: Signature, tip: str | None) -> None:
        self._stream, self._writer, self._author = stream, writer, author
        self._tip = tip
        self.count = 0

    def add(self, members: list[Member]) -> None:
        if self._tip is None:
            self._commit([], {}, [])
        lines = b"".join(one.line + b"\n" for one in members)
        self._commit([self._tip or "", *(one.commit for one in members)], {layout.LINES: lines}, members)
        self.count += 1

    def _commit(self, parents: list[str], files: dict[str, bytes], members: list[Member]) -> None:
        self._stream.commit(
            _PAGE,
            parents,
            files,
            author=self._author,
            committer=dated(self._author, members),
            message=layout.page_message(self._writer, len(members), 0).encode("utf-8"),
            bare=True,
        )
        self._tip = f":{_PAGE}"


class _Ids:
    """Which ids there were, and where, in sixteen bytes each: there may be a million."""

    def __init__(self) -> None:
        self._parts = [array("q") for _ in range(256)]

    def add(self, run_id: str, at: int) -> None:
        # 64 bits: that two of a million meet by chance is as likely as 1 in 40 million.
        value = hash(run_id)
        self._parts[value & 255].extend((value, at))

    def twice(self) -> tuple[int, int] | None:
        """The places of two that are the same."""
        for part in self._parts:
            seen: dict[int, int] = {}
            for value, at in zip(part[::2], part[1::2], strict=True):
                if seen.setdefault(value, at) != at:
                    return seen[value], at
        return None


class _Runs:
    """Run commits in the stream."""

    def __init__(self, repository: Repository, stream: FastImport, defaults: Defaults, find: Find) -> None:
        self._repository, self._stream, self._defaults, self._find = repository, stream, defaults, find
        self._purged: set[str] | None = None
        # Runs that are here: their commits, the line of the item, and its place.
        self._here: list[tuple[str, bytes, int]] = []
        self.passed_over = 0
        self._code = lru_cache(maxsize=1024)(self._find_code)
        self._unknown: _Code | None = None
        self.ids = _Ids()
        # Items that were seen, and runs that were made of them.
        self.count = self.made = 0

    def members(self, items: Iterable[Mapping[str, Any]]) -> Iterator[Member]:
        for item in items:
            try:
                member = self._member(item)
            except UsageError as error:
                raise UsageError(
                    f"run {self.count} (from 0) cannot be imported: {error}; nothing was imported"
                ) from None
            self.count += 1
            if member is None:
                self.passed_over += 1
            else:
                yield member

    def check_known(self) -> None:
        """Raises UsageError where an item is not what is here under its id."""
        here, self._here = self._here, []
        found = self._repository.read_objects(commit for commit, _, _ in here)
        for (_, line, at), (commit, kind, data) in zip(here, found, strict=True):
            there = layout.find_line(data) if kind == "commit" else None
            if there is None or there[1] != line:
                raise UsageError(
                    f"run {at} (from 0) cannot be imported: its id is that of run commit {commit[:12]}, which says something "
                    "else; nothing was imported"
                )

    def _is_purged(self, run_id: str) -> bool:
        if self._purged is None:
            self._purged = purged_runs(self._repository)
        return run_id in self._purged

    def _member(self, plain: object) -> Member | None:
        item = check_item(plain)
        run_id = item.get("id")
        known = None
        if run_id is None:
            run_id = uuid.uuid4().hex
        else:
            known = self._find(check_id(run_id))
        self.ids.add(run_id, self.count)
        code = self._code_of(item.get("code"))
        record, histories = to_record(item, run_id, code.commit, self._defaults)
        files = run_files(record, _NOWHERE, histories)
        state = record.state()
        plain_line = state_to_line(state)
        whole = line = _dump(plain_line)
        if len(line) > layout.LINE_LIMIT:
            files[layout.WHOLE_LINE] = whole
            line = layout.fit_line(plain_line, _dump)
        if known is not None:
            self._here.append((known, line, self.count))
            if len(self._here) >= _CHECKED:
                self.check_known()
            return None
        if self._is_purged(run_id):
            return None
        # By what was made: a mark of a member that waits for its page must not come again, however many were passed over.
        mark = _FIRST + self.made % _MANY
        self.made += 1
        self._stream.commit(
            mark,
            [code.parent],
            {f"{layout.FOLDER}/{path}": data for path, data in files.items()},
            author=Signature(record.author, int(record.started)),
            committer=Signature(record.author, int(record.ended)),
            message=layout.run_message(state, line).encode("utf-8", "replace"),
            removed=code.hidden,
        )
        return Member(f":{mark}", whole)

    def _code_of(self, revision: object) -> _Code:
        if revision is None:
            return self._no_code()
        if not isinstance(revision, str):
            raise UsageError(f"code is the id of a commit, not {revision!r:.80}")
        return self._code(revision)

    def _no_code(self) -> _Code:
        if self._unknown is None:
            batch = ObjectBatch(self._repository)
            tree = batch.folder({})
            commit = batch.commit(
                tree=tree, parents=[], author=_UNKNOWN_BY, committer=_UNKNOWN_BY, message=_UNKNOWN_SAYS
            )
            self._stream.commit(
                _UNKNOWN, [], {}, author=_UNKNOWN_BY, committer=_UNKNOWN_BY, message=_UNKNOWN_SAYS.encode("ascii")
            )
            self._unknown = _Code(commit, f":{_UNKNOWN}")
        return self._unknown

    def _find_code(self, revision: str) -> _Code:
        commit = self._repository.resolve(revision)
        if commit is None:
            raise UsageError(f"code {revision!r:.80} is no commit here; fetch it first, or leave it out")
        names = {name.decode("utf-8", "replace"): mode for name, mode, _ in read_tree(self._repository, commit)}
        if names.get(layout.FOLDER) != 0o040000:
            return _Code(commit, commit)
        folder = self._repository.read_object(f"{commit}:{layout.FOLDER}", "tree")
        there = (name.decode("utf-8", "replace") for name, _, _ in parse_tree(folder, self._repository.object_format))
        return _Code(commit, commit, tuple(f"{layout.FOLDER}/{name}" for name in there if name in layout.OURS))


def _dump(plain: dict[str, Any]) -> bytes:
    import orjson

    return orjson.dumps(plain)
