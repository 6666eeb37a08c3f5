"""A commit on top of a run's, in which DVC and GTO find the artifact under the model's name."""

from __future__ import annotations

from gittrack.domain.artifact import Artifact
from gittrack.domain.version import Version
from gittrack.git.objects import ObjectBatch, Signature, read_tree
from gittrack.git.repository import Repository
from gittrack.ledger import dvcyaml
from gittrack.ledger.write import declaring


def declares(repository: Repository, commit: str, model: str, artifact: Artifact) -> bool:
    """Whether the tree of a commit says already where the model is."""
    text = _pipeline(repository, commit)
    return text is not None and dvcyaml.declares(text, model, dvcyaml.entry(artifact))


def declaring_commit(
    repository: Repository, commit: str, model: str, version: Version, artifact: Artifact, author: Signature
) -> str:
    """Write a commit whose parent is `commit` and whose tree has that in its `dvc.yaml`, if anything can be put there."""
    batch = ObjectBatch(repository)
    root = read_tree(repository, commit)
    entries = declaring(batch, root, _pipeline(repository, commit), {model: dvcyaml.entry(artifact)})
    made = batch.commit(
        tree=batch.folder({}, base=entries),
        parents=[commit],
        author=author,
        committer=author,
        # With the version: two of one run in the same second must not share a commit, on which GTO knows but one.
        message=f"Register {artifact.called} as {model}@{version.short}\n",
    )
    batch.write()
    return made


def _pipeline(repository: Repository, commit: str) -> bytes | None:
    found = repository.read_objects([f"{commit}:{dvcyaml.NAME}"])
    return next((data for _, kind, data in found if kind == "blob"), None)
