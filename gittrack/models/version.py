"""One version of a model, as Python code has it in hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from gittrack.errors import CorruptRecord
from gittrack.registry.event import Event
from gittrack.registry.state import Model, VersionState

if TYPE_CHECKING:
    from gittrack.data.artifact import RunArtifact
    from gittrack.domain.param import ParamValue
    from gittrack.models.models import Models
    from gittrack.models.registrar import Changed
    from gittrack.models.verify import Link
    from gittrack.run import Run


class ModelVersion:
    """A version as it stood when it was looked up; its bytes and its run are found when they are asked for."""

    def __init__(self, models: Models, model: Model, state: VersionState) -> None:
        self._models = models
        self.model = model
        self.state = state

    def __repr__(self) -> str:
        held = f" {', '.join(self.stages)}" if self.stages else ""
        return f"<ModelVersion {self.name}@{self.state.version.short}{held}>"

    @property
    def name(self) -> str:
        """Of the model."""
        return self.model.name

    @property
    def version(self) -> str:
        """As `v3.0.0`."""
        return str(self.state.version)

    @property
    def stages(self) -> tuple[str, ...]:
        return self.state.stages

    @property
    def aliases(self) -> tuple[str, ...]:
        return self.state.aliases

    @property
    def commit(self) -> str:
        """The commit that git's tag of this version names: the run's own, or one on top of it."""
        return self.registered.commit

    @property
    def registered(self) -> Event:
        return self.state.registered

    @property
    def created(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.registered.time, dt.UTC)

    @property
    def author(self) -> str:
        """Who registered it."""
        return self.registered.author

    @property
    def description(self) -> str:
        return self.registered.message

    @property
    def tags(self) -> Mapping[str, str]:
        found = self.registered.details.get("tags")
        return {str(key): str(value) for key, value in found.items()} if isinstance(found, Mapping) else {}

    @property
    def signature(self) -> Mapping[str, Any]:
        """What goes in and comes out (columns or arrays, with types and shapes), where that was said."""
        found = self.registered.details.get("signature")
        return found if isinstance(found, Mapping) else {}

    @property
    def deprecated(self) -> bool:
        return self.state.deprecated is not None or self.model.retired is not None

    # --- where it comes from

    @property
    def run(self) -> Run:
        return self._models.run_of(self.state)

    @property
    def metrics(self) -> Mapping[str, float]:
        """Last values of its run."""
        return self.run.metrics

    @property
    def params(self) -> Mapping[str, ParamValue]:
        return self.run.params

    @property
    def artifact(self) -> RunArtifact:
        """Its bytes, by the md5 that its registration says."""
        return self._models.artifact_of(self.state)

    # --- its bytes

    def path(self, member: str | None = None) -> Path:
        """A copy on this machine, fetched if need be and verified; see `RunArtifact.path`."""
        return self.artifact.path(member)

    def open(self, member: str | None = None, mode: str = "rb", **options: Any) -> IO[Any]:
        return self.artifact.open(member, mode, **options)

    def save(self, folder: Path | str, *, overwrite: bool = False) -> list[Path]:
        """Write it into a folder, verified on the way; returns the files."""
        return self.artifact.save(folder, overwrite=overwrite)

    def verify(self) -> tuple[Link, ...]:
        """The whole chain from the tag to the bytes, link by link, up to the first that does not hold."""
        return self._models.verify(self.model, self.state)

    def load(self, member: str | None = None) -> Any:
        """The object that was pickled, after all of the chain was verified; raises CorruptRecord when anything does not hold.

        A pickle runs code when it is read: this says that its bytes are those that were registered, not that they are harmless.
        """
        import pickle

        for link in self.verify():
            if not link.ok:
                raise CorruptRecord(
                    f"{self.name}@{self.state.version.short} is not loaded, for {link.what} does not hold: {link.said}"
                )
        return pickle.loads(self.artifact.read_bytes(member))

    # --- changes: each returns the version as it stands then

    def promote(self, stage: str, **options: Any) -> ModelVersion:
        """See `Registrar.promote`: `message`, `expect`, `override`, `keep`, `dry_run`, `share`."""
        return self._after(self._models.registrar.promote(self.name, self.version, stage, **options))

    def demote(self, stage: str | None = None, **options: Any) -> ModelVersion:
        return self._after(self._models.registrar.demote(self.name, self.version, stage, **options))

    def set_alias(self, alias: str, **options: Any) -> ModelVersion:
        return self._after(self._models.registrar.set_alias(self.name, self.version, alias, **options))

    def approve(self, stage: str | None = None, **options: Any) -> ModelVersion:
        return self._after(self._models.registrar.approve(self.name, self.version, stage, **options))

    def deprecate(self, **options: Any) -> ModelVersion:
        return self._after(self._models.registrar.deprecate(self.name, self.version, **options))

    def _after(self, changed: Changed) -> ModelVersion:
        return ModelVersion(self._models, changed.model, changed.model.versions[self.state.version])
