"""What this clone has to remember beside git: a few names in a file each."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import ClassVar

from gittrack.git.repository import Repository


class Note:
    """A few names in a file of ours."""

    name: ClassVar[str]

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        try:
            text = (repository.home / self.name).read_text(encoding="utf-8", errors="replace")
            self.noted = tuple(dict.fromkeys(text.split()))
        except (FileNotFoundError, NotADirectoryError):
            self.noted = ()

    def note(self, names: Iterable[str] = (), *, done: Collection[str] = ()) -> None:
        left = dict.fromkeys([*(one for one in self.noted if one not in done), *names])
        if tuple(left) == self.noted:
            return
        self._repository.note(self.name, "".join(f"{one}\n" for one in left))
        self.noted = tuple(left)


class Relay(Note):
    """Writers whose ledgers came in a bundle, or are this clone's own from before it was moved: perhaps nobody else pushes them."""

    name = "relay"
