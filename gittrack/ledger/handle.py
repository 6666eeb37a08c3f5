"""The ledger of this clone, as `Project.ledger` hands it out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gittrack.capture.identity import signature
from gittrack.errors import UsageError
from gittrack.git.repository import Repository
from gittrack.ledger.writer import current_writer
from gittrack.settings import Settings
from gittrack.values import dataclass

if TYPE_CHECKING:
    from gittrack.ledger.bulk import Find, Imported


@dataclass(frozen=True)
class Ledger:
    """Finished runs at rest in git, as far as this clone writes them."""

    _repository: Repository
    _settings: Settings
    _environ: Mapping[str, str]
    # Of a run's id its commit, as the index has it; made when it is first asked, for that brings the index up to date.
    _finder: Callable[[], Find]

    @cached_property
    def writer(self) -> str:
        """The name under which this clone writes; raises SettingsError, OSError."""
        return current_writer(self._repository, self._environ).name

    def import_runs(self, items: Iterable[Mapping[str, Any]]) -> Imported:
        """Take in finished runs from elsewhere, all of them or none; see docs/guide/python.md for what an item holds.

        Items are read one by one, so there may be a million. A run with an id that is here already, or was deleted for good, is
        passed over. Raises UsageError, with the position of the item, for one that is no run, or is not what is here under its id.

            project.ledger.import_runs({"name": row.name, "metrics": {"acc": row.acc}} for row in rows)
        """
        from gittrack.ledger.bulk import import_runs
        from gittrack.ledger.item import Defaults

        if isinstance(items, (Mapping, str, bytes)) or not isinstance(items, Iterable):
            raise UsageError(
                f"runs to import come as a list, or one by one; pass [item] instead of {type(items).__name__}"
            )
        now = time.time()
        author = signature(self._repository, self._environ, now=now)
        defaults = Defaults(
            self._settings.experiment, author.identity, round(now, 6), tuple(self._settings.environment.mask)
        )
        found: list[Find] = []

        def find(run_id: str) -> str | None:
            if not found:
                found.append(self._finder())
            return found[0](run_id)

        return import_runs(self._repository, self.writer, author, items, defaults, find)
