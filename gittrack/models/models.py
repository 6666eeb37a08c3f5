"""All models of a project: looked up by name, with the way to change them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from gittrack.domain.names import is_model_name
from gittrack.errors import CorruptRecord, GittrackError, LostRace, UnknownRun, UsageError
from gittrack.git.objects import Signature
from gittrack.git.repository import Repository
from gittrack.models.admission import run_commit
from gittrack.models.judgement import is_of
from gittrack.models.registrar import Registrar, Share
from gittrack.models.version import ModelVersion
from gittrack.registry.read import Registry, read_registry
from gittrack.registry.state import Model, VersionState
from gittrack.registry.tagname import LATEST
from gittrack.values import dataclass

if TYPE_CHECKING:
    from gittrack.data.artifact import RunArtifact
    from gittrack.data.depot import Depot
    from gittrack.domain.run import RunState
    from gittrack.index.index import Index
    from gittrack.models.verify import Link
    from gittrack.registry.wishes import Wish
    from gittrack.run import Run

_TRIES = 10


@dataclass(frozen=True)
class Models:
    """`look` brings the index up to date, `handle` makes a run of its state, `author` tells who acts now."""

    repository: Repository
    depot: Callable[[], Depot]
    look: Callable[[], Index]
    handle: Callable[[RunState], Run]
    author: Callable[[], Signature]

    @property
    def registrar(self) -> Registrar:
        """Who changes models; a new one for each change, for it knows what time it is."""
        return Registrar(self.repository, self.depot, self.look, self.state_of, self.author())

    # --- looking up

    def read(self) -> Registry:
        return read_registry(self.repository)

    def get(self, name: str) -> Model:
        """Raises UnknownModel."""
        return self.read().get(name)

    def version(self, text: str) -> ModelVersion:
        """`NAME@VERSION`, `NAME@STAGE`, `NAME@ALIAS`, `NAME@latest`, or NAME alone for the latest; raises UnknownModel."""
        name, which = split(text)
        model = self.get(name)
        return ModelVersion(self, model, model.find(which or LATEST))

    def find(self, text: str) -> ModelVersion | None:
        """As `version`, but None where no model is called that; what follows the `@` must be right all the same."""
        name, _ = split(text)
        if not is_model_name(name) or name not in self.read().models:
            return None
        return self.version(text)

    # --- what a version is made of

    @cached_property
    def _index(self) -> Index:
        return self.look()

    def state_of(self, version: VersionState) -> RunState:
        """The run of a version, with what was said of it later; from the tag's commit where the run itself is not here."""
        registered = version.registered
        found = self._index.get(registered.run)
        if found is not None and found.commit is not None:
            return found
        from gittrack.ledger.read import read_chain

        commit = run_commit(self.repository, registered.commit)
        chain = None if commit is None else read_chain(self.repository, registered.run, [commit])
        if chain is None or chain.state.id != registered.run:
            raise CorruptRecord(
                f"the tag of {registered.model}@{version.version.short} names run {registered.run[:8]}, which its commit "
                f"{registered.commit[:12]} is not; 'gittrack model verify {registered.model}@{version.version.short}' tells more"
            )
        return chain.state

    def run_of(self, version: VersionState) -> Run:
        return self.handle(self.state_of(version))

    def artifact_of(self, version: VersionState) -> RunArtifact:
        from gittrack.domain.artifact import Artifact

        registered = version.registered
        try:
            made = Artifact.from_dict(registered.details["artifact"])
        except (KeyError, TypeError, ValueError, GittrackError):
            raise CorruptRecord(
                f"the tag of {registered.model}@{version.version.short} does not say which file it is; 'gittrack fsck' tells more"
            ) from None
        return self.run_of(version).artifact(made)

    def register_wish(self, wish: Wish) -> None:
        """Make the version that a run asked for, in this clone, unless somebody has."""
        state = self.look().get(wish.run)
        if state is None:
            raise UnknownRun(f"run {wish.run[:8]} is not here any more")
        run = self.handle(state)
        for tries in range(_TRIES):
            if self._is_registered(wish, run):
                return
            try:
                self.registrar.register(
                    wish.model, run, artifact=wish.artifact, details=wish.details, share=Share(push=False)
                )
                return
            except LostRace:
                # Of two runs that end at the same moment one comes second.
                if tries == _TRIES - 1:
                    raise

    def _is_registered(self, wish: Wish, run: Run) -> bool:
        model = self.read().models.get(wish.model)
        made = run.artifact(wish.artifact).artifact
        return model is not None and any(is_of(one, run.id, made) for one in model.versions.values())

    def verify(self, model: Model, version: VersionState) -> tuple[Link, ...]:
        from gittrack.models.verify import Chain

        return Chain(self, self.read(), model, version).links()


def split(text: str) -> tuple[str, str]:
    """Name and what follows the `@`, which may be nothing."""
    name, _, which = text.partition("@")
    if not name:
        raise UsageError(f"{text!r} names no model; write it as NAME@v3 or NAME@production")
    return name, which
