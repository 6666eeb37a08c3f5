"""Git's own bundles: refs and their objects in one file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gittrack.errors import GitFailed, RepositoryError
from gittrack.git.repository import Repository

_MAGIC = (b"# v2 git bundle\n", b"# v3 git bundle\n")


def is_bundle(path: Path) -> bool:
    """Whether a file begins like a bundle of git; raises OSError."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC[0])) in _MAGIC


def write_bundle(repository: Repository, path: Path, refs: Iterable[str], known: Iterable[str] = ()) -> bool:
    """Refs with all that they reach and `known` commits do not; False, and no file, when there is nothing to write."""
    script = "".join(f"{one}\n" for one in (*refs, *(f"^{one}" for one in known))).encode("utf-8", "surrogateescape")
    done = repository.run("bundle", "create", "-q", str(path), "--stdin", stdin=script, check=False)
    if done.returncode == 0:
        return True
    said = done.stderr.decode("utf-8", "replace")
    if "empty bundle" in said:
        return False
    raise GitFailed(f"git could not make a bundle: {said.strip()}", returncode=done.returncode, stderr=said)


def bundle_heads(repository: Repository, path: Path, called: Path) -> dict[str, str]:
    """The refs in a bundle; raises RepositoryError, of the file that the user knows, when it is none, or was cut short."""
    done = repository.run("bundle", "list-heads", str(path), check=False)
    if done.returncode != 0:
        raise RepositoryError(f"{called} cannot be read as a bundle: {_first(done.stderr)}; copy it again")
    lines = done.stdout.decode("utf-8", "surrogateescape").splitlines()
    return {ref: commit for commit, _, ref in (line.partition(" ") for line in lines)}


def check_bundle(repository: Repository, path: Path, called: Path) -> None:
    """Raises RepositoryError when commits that the bundle builds on are not here."""
    done = repository.run("bundle", "verify", str(path), check=False)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace")
        if "prerequisite" in said:
            raise RepositoryError(
                f"{called} builds on commits that are not here; apply the bundle before it first, or fetch the code"
            )
        raise RepositoryError(f"{called} is not whole: {_first(done.stderr)}; copy it again")


def _first(stderr: bytes) -> str:
    return (stderr.decode("utf-8", "replace").strip().splitlines() or ["git said nothing"])[0].removeprefix("error: ")
