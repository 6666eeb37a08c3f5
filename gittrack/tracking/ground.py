"""Where a run stands: its repository and its store, as every process of the run must know them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gittrack.values import dataclass

if TYPE_CHECKING:
    from gittrack.git.repository import Repository
    from gittrack.pointers.store import Store


@dataclass(frozen=True)
class Ground:
    """`inline` is the largest artifact that git holds whole, in bytes; `allow_dirty` as the run was started with."""

    common_dir: Path
    root: Path | None
    inline: int
    allow_dirty: str = "none"
    notice: bool = False

    @cached_property
    def store(self) -> Store:
        """Opened by the first large artifact or input: a run without any pays nothing."""
        from gittrack.pointers.store import Store

        return Store.of(self.common_dir, self.root)

    @cached_property
    def repository(self) -> Repository:
        from gittrack.git.repository import Repository

        return Repository.discover(self.root or self.common_dir)

    @property
    def home(self) -> Path:
        """Our own folder in the common directory."""
        return self.common_dir / "gittrack"

    @property
    def changes_allowed(self) -> bool:
        return self.allow_dirty != "none"

    def to_event(self) -> dict[str, Any]:
        return {
            "common_dir": str(self.common_dir),
            "root": None if self.root is None else str(self.root),
            "inline": self.inline,
            "allow_dirty": self.allow_dirty,
            "notice": self.notice,
        }

    @classmethod
    def from_event(cls, start: Mapping[str, Any]) -> Ground | None:
        """From the event that began the run; None where an older gittrack wrote it."""
        plain = start.get("ground")
        if plain is None:
            return None
        root = plain["root"]
        return cls(
            Path(plain["common_dir"]),
            None if root is None else Path(root),
            plain["inline"],
            plain["allow_dirty"],
            plain["notice"],
        )
