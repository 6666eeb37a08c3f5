"""What the index holds beside what a commit holds, as git itself compares them."""

from __future__ import annotations

from gittrack.git.repository import Repository, id_or_none
from gittrack.hooks.call import Staged


def staged_against(repository: Repository, revision: str) -> list[Staged]:
    """Every path whose entry in the index differs from the revision's; all of the index where there is no such commit.

    The index that git named to the hook counts (`GIT_INDEX_FILE`): with `git commit -a` and `git commit FILE` it is another
    one than the repository's.
    """
    options = ("--cached", "--raw", "-z", "--no-abbrev", "--no-renames", "--ignore-submodules=none")
    done = repository.run("diff-index", *options, revision, "--", check=False)
    if done.returncode != 0:
        against = repository.resolve(revision)
        if against is None:
            against = repository.git("hash-object", "-t", "tree", "--stdin", stdin=b"").decode().strip()
        done = repository.run("diff-index", *options, against, "--")
    found = []
    items = done.stdout.split(b"\0")
    for about, path in zip(items[::2], items[1::2], strict=False):
        _, mode, before, blob, _status = about.decode("ascii").lstrip(":").split(" ")
        found.append(Staged(path, mode, id_or_none(blob), id_or_none(before)))
    return found
