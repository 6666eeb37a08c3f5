"""Runs to and from another repository: their refs by name, never by force, nothing ever deleted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from gittrack.git.remote import fetch_refs, list_remote, push_refs
from gittrack.git.repository import Repository
from gittrack.ledger import layout

_ALL = f"{layout.RUNS}*"


@dataclass(frozen=True, slots=True)
class Moved:
    """Run ids that moved, and refs that could not, each with git's words."""

    runs: tuple[str, ...]
    refused: Mapping[str, str]


def unshared(repository: Repository, remote: str) -> dict[str, str]:
    """Refs of runs here whose head is not what the remote has, by run id."""
    there = list_remote(repository, remote, _ALL)
    return {
        named[1]: ref
        for ref, head in repository.list_refs(layout.RUNS).items()
        if (named := layout.parse_run_ref(ref)) is not None and there.get(ref) != head
    }


def push_runs(repository: Repository, remote: str, refs: Collection[str]) -> Moved:
    """Run refs to the remote; one that is further on there is refused."""
    if not refs:
        return Moved((), {})
    done = push_refs(repository, remote, sorted(refs))
    return Moved(_ids(done.done), done.refused)


def fetch_runs(repository: Repository, remote: str) -> Moved:
    """Runs of the remote that are new, or further on there."""
    here = repository.list_refs(layout.RUNS)
    there = list_remote(repository, remote, _ALL)
    wanted = [
        ref
        for ref, head in there.items()
        if layout.parse_run_ref(ref) is not None
        and here.get(ref) != head
        and not _is_ahead(repository, here.get(ref), head)
    ]
    refused = fetch_refs(repository, remote, wanted)
    after = repository.list_refs(layout.RUNS)
    return Moved(_ids(ref for ref in wanted if after.get(ref) != here.get(ref)), _really(refused, wanted, after, there))


def _is_ahead(repository: Repository, here: str | None, there: str) -> bool:
    """Whether only this side changed the run since both had it: then there is nothing to fetch."""
    if here is None:
        return False
    return repository.run("merge-base", "--is-ancestor", there, here, check=False).returncode == 0


def _really(
    refused: Mapping[str, str], wanted: Collection[str], after: Mapping[str, str], there: Mapping[str, str]
) -> dict[str, str]:
    """Git shortens names in what it says; which refs did not come is seen on the refs themselves."""
    if not refused:
        return {}
    reason = next(iter(refused.values()))
    return {ref: reason for ref in wanted if after.get(ref) != there.get(ref)}


def _ids(refs: Iterable[str]) -> tuple[str, ...]:
    found = (layout.parse_run_ref(ref) for ref in refs)
    return tuple(named[1] for named in found if named is not None)
