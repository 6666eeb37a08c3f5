"""What a run reads: files and folders with the version that somebody keeps of them, artifacts of other runs, references."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from gittrack.domain.input import DVC, GIT, RUN, URI, Input
from gittrack.errors import DirtyTree, GitFailed, GittrackError, UsageError
from gittrack.values import dataclass

if TYPE_CHECKING:
    from gittrack.capture.opens import Opened
    from gittrack.domain.artifact import Artifact
    from gittrack.pointers.tracked import Tracked
    from gittrack.tracking.active import ActiveRun
    from gittrack.tracking.ground import Ground

_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
_ARTIFACT = re.compile(r"(?P<name>[^:@]+)(:(?P<version>latest|v[1-9][0-9]*)|@(?P<run>.+))")
# Beyond this a file that was only noticed is not read again, just to know its hash.
_READ_UNASKED = 100_000_000
_ONE_BY_ONE = 20


@dataclass(frozen=True, slots=True)
class UsedArtifact:
    """An artifact of another run, brought to this machine: where it lies now, and which commit made it."""

    artifact: Artifact
    run: str
    commit: str
    path: Path


@contextmanager
def kept_until_named(ground: Ground | None) -> Iterator[None]:
    """Held from before an input is looked at, and with that put into the store, until the journal names it.

    So `gc` does not take it in between. That holds the lock only while it removes; a minute is patience enough.
    """
    if ground is None:
        yield
        return
    from gittrack.pointers.lock import naming

    with naming(ground.home, patience=60.0):
        yield


# From `name:v3`, `name:latest` or `name@<run>` to the artifact; raises UnknownRun and its kin.
FindArtifact = Callable[[str], UsedArtifact]


@dataclass(frozen=True, slots=True)
class Seen:
    """An input as it is to be recorded, where to read it, and what a person should know.

    `inside` are the files of a plain folder that have pointers of their own.
    """

    input: Input
    place: Path | str
    warnings: tuple[str, ...] = ()
    inside: tuple[Input, ...] = ()


def look_at(
    ground: Ground | None,
    what: str | os.PathLike[str],
    *,
    find_artifact: FindArtifact | None = None,
    version: str | None = None,
    etag: str | None = None,
    allow_changed: bool | None = None,
) -> Seen:
    """Everything that the record of an input says; nothing is recorded yet.

    Raises UsageError where there is no such thing, DirtyTree where tracked data were changed (unless `allow_changed`, or
    the run allows a dirty tree), OSError where it cannot be read.
    """
    text = os.fspath(what)
    if not text:
        raise UsageError("an input needs a path, and this one is empty; name a file, a folder or NAME:latest")
    if _SCHEME.match(text) and not text.startswith("file://"):
        return _reference(text, version, etag)
    path = Path(urlsplit(text).path if text.startswith("file://") else text)
    if path.suffix == ".dvc" and path.is_file() and path.with_suffix("").exists():
        path = path.with_suffix("")  # the pointer stands for what it points to
    if not path.exists():
        if _ARTIFACT.fullmatch(text) and find_artifact is not None:
            return _of_run(find_artifact(text), text)
        pointer = path.with_name(f"{path.name}.dvc")
        if pointer.is_file():
            raise UsageError(f"input {text!r} is not here yet, only its pointer is; 'dvc pull {quote(text)}' brings it")
        raise UsageError(f"there is no input file {text!r}; check the path (now in {os.getcwd()})")
    if not path.is_file() and not path.is_dir():
        raise UsageError(
            f"input {text!r} is neither a file nor a folder (a pipe, a socket or a device), and has no version"
        )
    if ground is None:
        return Seen(_unkept(path), path)
    allowed = ground.changes_allowed if allow_changed is None else allow_changed
    seen = _local(ground, path, allowed)
    return Seen(seen.input, path, seen.warnings, seen.inside)


# --- references and artifacts


def _reference(uri: str, version: str | None, etag: str | None) -> Seen:
    from gittrack.capture.secrets import mask_text

    base, _, fragment = uri.partition("#")
    said = parse_qs(fragment)
    query = parse_qs(urlsplit(base).query)
    version = version or _first(said, "version") or _first(query, "versionId") or _first(query, "generation")
    etag = etag or _first(said, "etag")
    shown = mask_text(base if said else uri)
    warnings: tuple[str, ...] = ()
    if not (version or etag):
        text = "names no version, so nobody can tell later what was read; pass version= or etag="
        warnings = (f"input {shown} {text} (on the command line: {shown}#version=...)",)
    return Seen(Input(shown, tracked_by=URI, version=version, etag=etag), uri, warnings)


def _first(values: dict[str, list[str]], key: str) -> str | None:
    return next(iter(values.get(key, [])), None)


def _of_run(used: UsedArtifact, text: str) -> Seen:
    one = used.artifact
    return Seen(
        Input(
            text,
            one.size,
            one.md5,
            one.nfiles,
            tracked_by=RUN,
            pointer=f"{one.path}.dvc" if one.pointer else None,
            run=used.run,
            commit=used.commit,
            artifact=one.called,
        ),
        used.path,
    )


# --- files and folders


def _local(ground: Ground, path: Path, allowed: bool) -> Seen:
    from gittrack.pointers.progress import bar

    full = Path(os.path.abspath(path))
    root = ground.root
    if root is not None and not full.is_relative_to(root) and full.resolve().is_relative_to(root):
        full = full.resolve()
    inside = root is not None and full.is_relative_to(root)
    name = full.relative_to(root).as_posix() if root is not None and inside else str(full)
    size = full.stat().st_size if full.is_file() else 0
    with bar(f"reading {full.name}", size) as progress:
        measured = ground.store.measure(full, progress=progress, ignore_root=root if inside else None).pointer
    plain = Input(name, measured.size, measured.oid, measured.nfiles)
    if root is None or not inside:
        text = (
            f"input {name} lies outside the repository and has no version there; "
            f"'dvc import-url {quote(name)}' brings it in with one"
        )
        return Seen(plain, path, (text,))
    tracked = _tracked(full, root)
    if tracked is not None:
        return _held_against(ground, plain, full, tracked, allowed)
    if full.is_dir():
        from gittrack.pointers.tracked import tracked_below

        below = [one for one in tracked_below(full, root) if one.pointer is not None and one.comparable]
        if below:
            return _with_pointers_inside(ground, plain, full, below, allowed)
    if _git_has(ground, name, full):
        return Seen(_replace(plain, tracked_by=GIT), path)
    text = (
        f"input {name} has no version, and the run records no more than its hash; 'dvc add {quote(name)}' and a commit "
        "give it one"
    )
    return Seen(plain, path, (text,))


def _with_pointers_inside(ground: Ground, plain: Input, full: Path, below: Sequence[Tracked], allowed: bool) -> Seen:
    """A folder that nobody tracks as one, in which files have pointers: each is held against its own."""
    root = ground.root
    assert root is not None
    kept: list[Input] = []
    wrong: list[str] = []
    warnings: list[str] = []
    for one in below:
        name = one.out.relative_to(root).as_posix()
        if not one.out.exists():
            wrong.append(f"{name} (absent)")
            continue
        measured = ground.store.measure(one.out, ignore_root=root).pointer
        seen = _held_against(
            ground, Input(name, measured.size, measured.oid, measured.nfiles), one.out, one, allowed=True
        )
        kept.append(seen.input)
        if seen.input.changed:
            wrong.append(f"{name} (changed data)")
        else:
            warnings += seen.warnings
    if wrong:
        few = f"{', '.join(wrong[:3])}{f' and {len(wrong) - 3:,} more' if len(wrong) > 3 else ''}"
        text = f"in {plain.path} the data are not those that their pointers name: {few}"
        if not allowed:
            paths = " ".join(quote(one.rpartition(" (")[0]) for one in wrong[:3])
            raise DirtyTree(
                f"{text}; so this run could not be repeated: 'dvc checkout --force {paths}', or 'dvc add' what changed and "
                "commit, or allow it (--allow-dirty)",
                wrong,
            )
        warnings.append(f"{text}; the run records the hashes of what it read")
    loose = _loose(ground, plain.path, below)
    if loose:
        few = f"{', '.join(loose[:3])}{f' and {len(loose) - 3:,} more' if len(loose) > 3 else ''}"
        first = quote(loose[0])
        warnings.append(
            f"in {plain.path} neither git nor DVC keeps {few}; 'dvc add {first}' and a commit give it a version"
        )
    folder = plain if loose or wrong else _replace(plain, tracked_by=GIT)
    return Seen(folder, full, tuple(warnings), tuple(kept))


def _loose(ground: Ground, name: str, below: Sequence[Tracked]) -> list[str]:
    """Files in a folder that neither git nor a pointer inside it keeps."""
    assert ground.root is not None
    tracked = [one.out.relative_to(ground.root).as_posix() for one in below]
    try:
        listed = ground.repository.git("--literal-pathspecs", "ls-files", "-z", "--others", "--", name)
    except GitFailed:
        return []
    others = [os.fsdecode(one) for one in listed.split(b"\0") if one]
    return [one for one in others if not any(one == out or one.startswith(f"{out}/") for out in tracked)]


def _tracked(full: Path, root: Path) -> Tracked | None:
    from gittrack.pointers.tracked import find_tracked

    found = find_tracked(full, root)
    return found if found is not None and found.pointer is not None and found.comparable else None


def _held_against(ground: Ground, plain: Input, full: Path, tracked: Tracked, allowed: bool) -> Seen:
    """A tracked input against what its pointer says."""
    assert ground.root is not None
    pointer = tracked.pointer_path.relative_to(ground.root).as_posix()
    expected = _expected(ground, tracked)
    if expected is None:
        # A part of a folder whose list is not in the cache: nobody here knows what it should be.
        text = f"input {plain.path} cannot be held against {pointer}, whose list is not in the cache; 'dvc fetch' brings it"
        return Seen(_replace(plain, pointer=pointer), full, (text,))
    if expected == plain.md5:
        kept = _replace(plain, tracked_by=DVC, pointer=pointer)
        try:
            if not ground.store.protect(expected):
                # The worktree has the only copy: one in the cache, as after `dvc add`.
                ground.store.add(full, ignore_root=ground.root)
        except (OSError, GittrackError) as error:
            return Seen(kept, full, (f"input {plain.path} could not be protected from 'dvc gc' ({error})",))
        return Seen(kept, full)
    if not allowed:
        raise DirtyTree(
            f"the data in {plain.path} are not those that {pointer} names, so this run could not be repeated; "
            f"'dvc add {quote(plain.path)}' and commit, or 'dvc checkout --force {quote(plain.path)}', or allow it "
            "(--allow-dirty)",
            [f"{plain.path} (changed data)"],
        )
    text = f"the data in {plain.path} are not those that {pointer} names; the run records the hash of what it read"
    return Seen(_replace(plain, pointer=pointer, changed=True), full, (text,))


def _expected(ground: Ground, tracked: Tracked) -> str | None:
    """The hash that the pointer has for an input, which may be a part of a tracked folder."""
    assert tracked.pointer is not None
    if tracked.member is None:
        return tracked.pointer.oid
    try:
        members = ground.store.members(tracked.pointer.oid)
    except GittrackError:
        return None
    exact = next((one.oid for one in members if one.relpath == tracked.member), None)
    if exact is not None:
        return exact
    from gittrack.pointers.folder import folder_oid, to_list

    prefix = f"{tracked.member}/"
    below = [(one.relpath.removeprefix(prefix), one.oid) for one in members if one.relpath.startswith(prefix)]
    return folder_oid(to_list(below)) if below else "nothing"


def _git_has(ground: Ground, name: str, full: Path) -> bool:
    """Whether git itself keeps all of it; a changed file is the dirty gate's affair."""
    try:
        if not ground.repository.git("--literal-pathspecs", "ls-files", "-z", "--", name):
            return False
        return full.is_file() or not ground.repository.git(
            "--literal-pathspecs", "ls-files", "-z", "--others", "--", name
        )
    except GitFailed:
        return False


def _unkept(path: Path) -> Input:
    """Size and hash alone, for a process that does not know its repository."""
    import hashlib

    if path.is_dir():
        return Input(os.path.normpath(path))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return Input(os.path.normpath(path), path.stat().st_size, digest.hexdigest())


def _replace(one: Input, **changes: object) -> Input:
    from gittrack.values import replace

    return replace(one, **changes)  # type: ignore[arg-type]


# --- what nobody declared


@dataclass(frozen=True, slots=True)
class Noticed:
    """Inputs that a script opened without declaring them, and one sentence about them."""

    inputs: tuple[Input, ...]
    warning: str | None


def notice_inputs(run: ActiveRun, opened: Opened, known: Iterable[str] = ()) -> None:
    """Record what was opened and not declared, and tell it; `known` are paths that nobody need declare."""
    ground = run.ground
    if ground is None or ground.root is None:
        return
    from gittrack.capture.opens import data_files
    from gittrack.live.tail import peek

    files = data_files(opened, ground.root)
    if not files:
        return
    declared = set(known)
    for event in peek(run.folder).events:
        if event["op"] == "input":
            declared.add(event["path"])
        elif event["op"] == "refused":
            declared.add(os.path.relpath(event["path"], ground.root))
        elif event["op"] == "artifact" and event.get("source"):
            # We opened it ourselves, to keep it.
            declared.add(os.path.relpath(event["source"], ground.root))
    with kept_until_named(ground):
        found = notice(ground, files, declared)
        for one in found.inputs:
            run.event("input", **one.to_dict())
    if found.warning is not None:
        run.warn(found.warning)


def notice(ground: Ground, files: Sequence[Path], declared: Iterable[str]) -> Noticed:
    """Which of the files that were opened are data that no commit holds, and who keeps their versions."""
    root = ground.root
    if root is None or not files:
        return Noticed((), None)
    known = set(declared)
    names = {path.relative_to(root).as_posix(): path for path in files}
    by_git = set()
    for at in range(0, len(names), 500):
        part = list(names)[at : at + 500]
        listed = ground.repository.git("--literal-pathspecs", "ls-files", "-z", "--", *part)
        by_git |= {os.fsdecode(name) for name in listed.split(b"\0")}
    found: dict[str, Input] = {}
    loose: dict[Path, list[Path]] = {}
    for name, path in names.items():
        if name in by_git or name in known or any(f"{above.as_posix()}" in known for above in Path(name).parents):
            continue
        tracked = _tracked(path, root)
        if tracked is None:
            loose.setdefault(path.parent, []).append(path)
            continue
        out = tracked.out.relative_to(root).as_posix()
        if out not in found and out not in known:
            found[out] = _tracked_unread(ground, tracked, out)
    for folder, paths in loose.items():
        if len(paths) > _ONE_BY_ONE:
            name = folder.relative_to(root).as_posix()
            found[name] = Input(name, sum(one.stat().st_size for one in paths), nfiles=len(paths), declared=False)
            continue
        for path in paths:
            one = _glance(ground, path, root)
            found[one.path] = one
    return Noticed(tuple(found.values()), _about(found))


def _tracked_unread(ground: Ground, tracked: Tracked, out: str) -> Input:
    assert tracked.pointer is not None
    assert ground.root is not None
    pointer = tracked.pointer
    one = Input(
        out,
        pointer.size,
        pointer.oid,
        pointer.nfiles,
        tracked_by=DVC,
        pointer=tracked.pointer_path.relative_to(ground.root).as_posix(),
        declared=False,
    )
    try:
        if pointer.size <= _READ_UNASKED:
            measured = ground.store.measure(tracked.out, ignore_root=ground.root).pointer
            if measured.oid != pointer.oid:
                return _replace(one, md5=measured.oid, size=measured.size, tracked_by=None, changed=True)
        ground.store.protect(pointer.oid)
    except (OSError, GittrackError):
        pass
    return one


def _glance(ground: Ground, path: Path, root: Path) -> Input:
    name = path.relative_to(root).as_posix()
    try:
        size = path.stat().st_size
        if size > _READ_UNASKED:
            return Input(name, size, declared=False)
        return Input(name, size, ground.store.measure(path).pointer.oid, declared=False)
    except (OSError, GittrackError):
        return Input(name, declared=False)


def _about(found: dict[str, Input]) -> str | None:
    if not found:
        return None
    from gittrack.capture.opens import few_words

    loose = [one.path for one in found.values() if one.tracked_by is None and not one.changed]
    changed = [one.path for one in found.values() if one.changed]
    text = f"the run read {few_words(found)} without declaring it; declare inputs with run.use(...) or --input"
    if changed:
        text += f"; {few_words(changed)} is not what its pointer names"
    if loose:
        text += f"; {few_words(loose)} has no version ('dvc add {quote(loose[0])}')"
    return text
