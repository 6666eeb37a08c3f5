"""One call of a hook: what git said when it called, and what a commit is about to hold."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from gittrack.git.repository import Repository
from gittrack.values import dataclass

if TYPE_CHECKING:
    from gittrack.project import Project
    from gittrack.settings import Settings


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a guard says: `refusals` stop what git is about to do, `notes` are only told; a sentence each.

    `listing` are lines below, such as file names.
    """

    refusals: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    listing: tuple[str, ...] = ()


PASSED = Verdict()


@dataclass(frozen=True, slots=True)
class Staged:
    """A path that the commit changes: `mode` and `blob` as they will be, `before` the blob that HEAD has there.

    A deleted path has no `blob`, a new one no `before`.
    """

    path: bytes
    mode: str
    blob: str | None
    before: str | None

    @property
    def name(self) -> str:
        """For people: what is no UTF-8 is shown as `\\xNN`, and no line ends early."""
        return self.path.decode("utf-8", "backslashreplace").replace("\n", "\\n")

    @property
    def is_file(self) -> bool:
        return self.blob is not None and self.mode.startswith("100")


@dataclass(frozen=True)
class Call:
    """`hook` is git's name (`pre-commit`) or `manual`; `words` are git's arguments to it."""

    hook: str
    words: tuple[str, ...]
    repository: Repository
    environ: Mapping[str, str]

    @cached_property
    def project(self) -> Project:
        from gittrack.project import Project

        return Project(self.repository, self.settings)

    @cached_property
    def settings(self) -> Settings:
        """The defaults where they are wrong somewhere: one mistake must not turn every guard off."""
        from gittrack.errors import SettingsError
        from gittrack.settings import load_settings, settings_of

        try:
            return load_settings(self.repository, self.environ)
        except SettingsError as error:
            self.faults.append(f"{error}; until that is mended guards go by the defaults")
            return settings_of(b"")

    @cached_property
    def faults(self) -> list[str]:
        """What is wrong with the ground that all guards stand on, to be told once."""
        return []

    @cached_property
    def said(self) -> bytes:
        """What git wrote to the hook's standard input (pre-push: a line for each ref)."""
        return b"" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer.read()

    @cached_property
    def staged(self) -> tuple[Staged, ...]:
        """What the commit changes against HEAD; in a merge only what differs from every parent."""
        from gittrack.hooks.staged import staged_against

        heads = ["HEAD", *(_merged_heads(self.repository))]
        changed = [staged_against(self.repository, head) for head in heads]
        common = set.intersection(*({(one.path, one.mode, one.blob) for one in part} for part in changed))
        return tuple(one for one in changed[0] if (one.path, one.mode, one.blob) in common)

    def sizes(self, blobs: Sequence[str]) -> dict[str, int]:
        """The size of each blob in bytes; those that are not here are left out."""
        lacking = [one for one in dict.fromkeys(blobs) if one not in self._sizes]
        if lacking:
            out = self.repository.git("cat-file", "--batch-check", stdin="\n".join(lacking).encode() + b"\n")
            for line in out.decode("ascii", "replace").splitlines():
                words = line.split(" ")
                if len(words) == 3 and words[2].isdigit():
                    self._sizes[words[0]] = int(words[2])
        return {one: self._sizes[one] for one in blobs if one in self._sizes}

    def blobs(self, wanted: Sequence[str]) -> dict[str, bytes]:
        """The bytes of each blob, read once for all guards of a call; those that are not here are left out."""
        lacking = [one for one in dict.fromkeys(wanted) if one not in self._blobs]
        if lacking:
            for name, kind, data in self.repository.read_objects(lacking):
                if kind == "blob":
                    self._blobs[name] = data
        return {one: self._blobs[one] for one in wanted if one in self._blobs}

    @cached_property
    def _sizes(self) -> dict[str, int]:
        return {}

    @cached_property
    def _blobs(self) -> dict[str, bytes]:
        return {}


def _merged_heads(repository: Repository) -> list[str]:
    try:
        return (repository.git_dir / "MERGE_HEAD").read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return []


def open_call(hook: str, words: tuple[str, ...]) -> Call:
    """Raises NotARepository and its kin."""
    return Call(hook, words, Repository.discover(), os.environ)
