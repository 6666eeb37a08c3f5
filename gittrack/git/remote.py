"""Other repositories, by the git program: its credentials, ssh, proxies and hooks are the user's own."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping

from gittrack.errors import GitFailed, RepositoryError
from gittrack.git.repository import Repository
from gittrack.values import dataclass

# Names on one command line of `git push`, which reads none from stdin.
_AT_ONCE = 400


def remotes(repository: Repository) -> list[str]:
    """Names of the remotes that are set up."""
    found = (key.removeprefix("remote.").rpartition(".") for key in repository.config if key.startswith("remote."))
    named = sorted({name for name, _, last in found if last == "url" and name})
    # The configuration was read once, and one may have been set up since.
    return named or repository.git("remote").decode("utf-8", "replace").split()


def choose_remote(repository: Repository, name: str | None = None) -> str:
    """The remote that is meant: the one named, that of the current branch, `origin`, or the only one."""
    known = remotes(repository)
    if name is not None:
        if name in known or "/" in name or ":" in name:
            return name
        known = repository.git("remote").decode("utf-8", "replace").split()
        if name in known:
            return name
        listed = ", ".join(known) or "none"
        raise RepositoryError(
            f"there is no git remote {name!r}; there is {listed}; 'git remote add {name or 'NAME'} URL' makes one"
        )
    if len(known) == 1:
        return known[0]
    branch = repository.run("symbolic-ref", "--quiet", "--short", "HEAD", check=False).stdout.decode().strip()
    tracked = repository.setting(f"branch.{branch}.remote") if branch else None
    if tracked in known:
        return str(tracked)
    if "origin" in known:
        return "origin"
    if known:
        raise RepositoryError(f"there are several git remotes ({', '.join(known)}); say which one")
    raise RepositoryError("there is no git remote to share runs through; 'git remote add origin URL' makes one")


def find_default_branch(repository: Repository, remote: str | None = None) -> tuple[str, str] | None:
    """Ref and commit of the default branch: as the remote's was last seen here, else this clone's; None where no branch has such a name."""
    names = dict.fromkeys([repository.setting("init.defaultBranch") or "main", "main", "master"])
    there = f"refs/remotes/{remote or 'origin'}"
    heads = [f"{there}/HEAD", *(f"{there}/{name}" for name in names), *(f"refs/heads/{name}" for name in names)]
    found = repository.list_refs(*heads)
    return next(((head, found[head]) for head in heads if head in found), None)


def ask_default_branch(repository: Repository, remote: str) -> tuple[str, str] | None:
    """The branch to which a remote's HEAD points, as `refs/heads/main`, and its commit there; None where it has none.

    Raises GitFailed when it does not answer.
    """
    done = repository.run("ls-remote", "--symref", "--", remote, "HEAD", env=_asking(), check=False)
    if done.returncode != 0:
        raise _failed(done, f"ask {remote} for its default branch", "ls-remote", remote)
    branch = commit = ""
    for line in done.stdout.splitlines():
        said, _, name = line.partition(b"\t")
        if name == b"HEAD" and said.startswith(b"ref: "):
            branch = os.fsdecode(said[5:])
        elif name == b"HEAD":
            commit = said.decode("ascii")
    return (branch, commit) if branch and commit else None


def list_remote(repository: Repository, remote: str, *patterns: str) -> dict[str, str]:
    """Ref to object id, of the refs there that match."""
    done = repository.run("ls-remote", "--refs", "--", remote, *patterns, env=_asking(), check=False)
    if done.returncode != 0:
        raise _failed(done, f"ask {remote} what it has", "ls-remote", remote)
    found = {}
    for line in done.stdout.splitlines():
        object_id, _, name = line.partition(b"\t")
        found[os.fsdecode(name)] = object_id.decode("ascii")
    return found


@dataclass(frozen=True, slots=True)
class Pushed:
    """Refs that arrived, and those that the other side refused, each with its words."""

    done: tuple[str, ...]
    refused: Mapping[str, str]


def push_refs(
    repository: Repository, remote: str, refs: Mapping[str, str], *, leases: Mapping[str, str] | None = None
) -> Pushed:
    """Commits to refs of the remote, by ref; an empty one takes the ref away. Never by force, unless there is a lease.

    `leases` are the commits that a ref must have there to be replaced or taken away; then all of it happens, or nothing.
    Raises GitFailed when nothing could be said to the remote at all.
    """
    done: list[str] = []
    refused: dict[str, str] = {}
    wanted = list(refs.items())
    held = [f"--force-with-lease={ref}:{old}" for ref, old in (leases or {}).items()]
    if held and len(wanted) > _AT_ONCE:
        raise ValueError(f"{len(wanted)} refs do not fit into one push, and it is to be all or nothing")
    for at in range(0, len(wanted), _AT_ONCE):
        part = wanted[at : at + _AT_ONCE]
        # Ours are not the user's branches: their pre-push hook has nothing to say about them.
        options = ("--porcelain", "--no-verify", *(["--atomic", *held] if held else []))
        words = ("push", *_progress(), *options, "--", remote, *(f"{commit}:{ref}" for ref, commit in part))
        answer = repository.watch(*words, env=_asking())
        # Not splitlines: a ref may hold what Unicode calls the end of a line.
        lines = [os.fsdecode(line).split("\t") for line in answer.stdout.split(b"\n")]
        answers = [line for line in lines if len(line) == 3]
        if answer.returncode != 0 and not answers:
            raise _failed(answer, f"push to {remote}", "push", remote)
        for mark, names, words_ in answers:
            name = names.rpartition(":")[2]
            if mark == "!":
                refused[name] = _why(words_, answer.stderr.decode("utf-8", "replace"))
            else:
                done.append(name)
    return Pushed(tuple(done), refused)


def create_refs(repository: Repository, remote: str, refs: Mapping[str, str]) -> Pushed:
    """Objects to refs that the remote must not have yet, all of them or none: who comes second changes nothing there.

    git alone would let a ref outside `refs/tags` move on where the one tag is on a descendant of the other's commit.
    """
    return push_refs(repository, remote, refs, leases=dict.fromkeys(refs, ""))


def _failed(done: subprocess.CompletedProcess[bytes], what: str, command: str, remote: str) -> GitFailed:
    """What git could not do, in its own words, and the command to look closer."""
    said = done.stderr.decode("utf-8", "replace").strip()
    lines = [one for one in said.splitlines() if one.strip()]
    at = next((at for at, one in enumerate(lines) if one.startswith(("fatal:", "error:", "remote:"))), 0)
    first = lines[at].strip() if lines else "it said nothing"
    if at and "Could not read from remote" in first:
        # Why, ssh has said before.
        first = lines[at - 1].strip()
    return GitFailed(
        f"git could not {what}: {first}; check with {shlex.join(['git', command, remote])}",
        returncode=done.returncode,
        stderr=said,
    )


def _why(words: str, said: str) -> str:
    """`[rejected] (fetch first)` as a part of a sentence, and what a hook there had to say."""
    found = re.search(r"\(([^)]*)\)", words)
    if found is not None and found[1] in ("fetch first", "non-fast-forward"):
        return "somebody else changed it there since it was fetched; fetch first"
    why = (found[1] if found is not None else words.strip().strip("[]")) or "refused"
    spoken = [line.removeprefix("remote:").strip() for line in said.splitlines() if line.startswith("remote:")]
    first = next((one for one in spoken if one and not one.startswith("error: hook declined")), "")
    return f"{why}: {first}" if first and "hook" in why else why


def fetch_refs(repository: Repository, remote: str, refs: Mapping[str, str], *options: str) -> None:
    """Refs of the remote to refs here that are not there yet, never by force, never pruning; raises GitFailed."""
    if not refs:
        return
    script = "".join(f"{ref}:{target}\n" for ref, target in refs.items()).encode("utf-8", "surrogateescape")
    words = (
        "fetch",
        *_progress(),
        "--no-tags",
        "--no-prune",
        "--no-write-fetch-head",
        "--no-auto-maintenance",
        "--refmap=",
        *options,
        "--stdin",
    )
    done = repository.watch(*words, "--", remote, stdin=script, env=_asking())
    if done.returncode != 0:
        raise _failed(done, f"fetch from {remote}", "fetch", remote)


def fetch_objects(repository: Repository, remote: str, objects: Iterable[str]) -> None:
    """Single objects that a filtered fetch left out, in one go; those that are here already are passed over."""
    env = {**_asking(), "GIT_NO_LAZY_FETCH": "1"}
    names = list(objects)
    # Not by reading them, which would fetch each by itself where git is too old to be told not to.
    listed = (
        repository.git("cat-file", "--batch-all-objects", "--unordered", "--batch-check=%(objectname)")
        if names
        else b""
    )
    here = set(listed.decode("ascii").split())
    missing = [one for one in names if one not in here]
    if not missing:
        return
    words = ("fetch", "--no-tags", "--no-write-fetch-head", "--recurse-submodules=no", "--filter=blob:none", "--stdin")
    script = "".join(f"{one}\n" for one in missing).encode("ascii")
    repository.run("-c", "fetch.negotiationAlgorithm=noop", *words, "--", remote, stdin=script, env=env)


def _progress() -> tuple[str, ...]:
    return ("--progress",) if sys.stderr.isatty() else ()


def _asking() -> dict[str, str]:
    """Who pushes by hand may be asked for a password, as git itself would ask."""
    return {"GIT_TERMINAL_PROMPT": os.environ.get("GIT_TERMINAL_PROMPT", "1")}
