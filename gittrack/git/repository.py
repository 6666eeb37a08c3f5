"""One opened git repository: where it lies, how it is configured, and reading from it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import IO

from gittrack.errors import (
    CorruptRecord,
    ForeignRepository,
    NotARepository,
    RepositoryError,
)
from gittrack.git.program import environment as git_environment
from gittrack.git.program import git_version, not_started, run_git, watch_git
from gittrack.values import dataclass

_FIELDS = (
    "--absolute-git-dir",
    "--git-common-dir",
    "--is-bare-repository",
    "--is-shallow-repository",
    "--show-object-format",
)


@dataclass(frozen=True)
class Repository:
    """Where a repository lies; `root` is None when there is no worktree (a bare clone, or inside `.git`)."""

    root: Path | None
    git_dir: Path
    common_dir: Path
    bare: bool
    shallow: bool
    object_format: str

    @classmethod
    def discover(cls, start: Path | str | None = None) -> Repository:
        """The repository around `start` (default: the current folder), as git itself would find it.

        Raises NotARepository; ForeignRepository when git refuses it for its owner.
        """
        place = Path(start) if start is not None else None
        ask = ("rev-parse", "--path-format=absolute", *_FIELDS)
        done = run_git(*ask, "--show-toplevel", cwd=place, check=False)
        root: Path | None = None
        if done.returncode != 0 and b"work tree" in done.stderr:
            done = run_git(*ask, cwd=place, check=False)
        elif done.returncode == 0:
            # The top level comes last, so a newline in its name does no harm.
            root = Path(os.fsdecode(done.stdout.split(b"\n", len(_FIELDS))[-1].removesuffix(b"\n")))
        answers = done.stdout.split(b"\n")[: len(_FIELDS)]
        if done.returncode != 0 or answers[-1] not in (b"sha1", b"sha256"):
            # Asked only now, for it is a process more: one that is too old does not know our questions.
            git_version()
        if done.returncode != 0:
            raise _not_opened(place, done.stderr)
        if answers[-1] not in (b"sha1", b"sha256"):
            # A name with a newline in it shifts the lines: one by one, then.
            answers = [run_git(*ask[:2], one, cwd=place).stdout.removesuffix(b"\n") for one in _FIELDS]
            if root is not None:
                root = Path(os.fsdecode(run_git(*ask[:2], "--show-toplevel", cwd=place).stdout.removesuffix(b"\n")))
        git_dir, common, bare, shallow, object_format = answers
        return cls(
            root=root,
            git_dir=Path(os.fsdecode(git_dir)),
            common_dir=Path(os.fsdecode(common)),
            bare=bare == b"true",
            shallow=shallow == b"true",
            object_format=object_format.decode(),
        )

    @property
    def home(self) -> Path:
        """Our own folder in the common directory; shared by all linked worktrees."""
        return self.common_dir / "gittrack"

    def note(self, name: str, text: str) -> None:
        """Write a small file into our own folder, whole or not at all; raises OSError."""
        self.home.mkdir(exist_ok=True)
        # By hand: to import tempfile takes longer than to write, and others who share a repository may read what we note.
        temporary = self.home / f"{name}-{os.getpid()}-{os.urandom(6).hex()}.tmp"
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(temporary, self.home / name)
        except BaseException:
            os.unlink(temporary)
            raise

    @property
    def zero(self) -> str:
        return "0" * (64 if self.object_format == "sha256" else 40)

    def run(
        self,
        *arguments: str | bytes,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[bytes]:
        """One git command in this repository, from the top of its worktree."""
        return run_git(*arguments, cwd=self.root or self.git_dir, stdin=stdin, env=self.environment(env), check=check)

    def watch(
        self, *arguments: str | bytes, stdin: bytes | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """One git command that may take long, for a person to watch; its exit code is the caller's to look at."""
        return watch_git(*arguments, cwd=self.root or self.git_dir, stdin=stdin, env=self.environment(env))

    def git(
        self,
        *arguments: str | bytes,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> bytes:
        """What one git command prints; raises GitFailed."""
        return self.run(*arguments, stdin=stdin, env=env).stdout

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Variables that name this repository to git, whatever the caller's own say."""
        # Said outright, so that a command started elsewhere, or from inside a hook, never meets another repository.
        env = {"GIT_DIR": str(self.git_dir), **(extra or {})}
        if self.root is not None:
            env["GIT_WORK_TREE"] = str(self.root)
        return env

    @cached_property
    def config(self) -> Mapping[str, tuple[str, ...]]:
        """git's configuration for this repository: lower-case key to all its values, the strongest last."""
        found: dict[str, tuple[str, ...]] = {}
        for item in self.git("config", "--list", "-z").split(b"\0"):
            if item:
                key, newline, value = item.decode("utf-8", "surrogateescape").partition("\n")
                # A key without a value means true.
                found[key] = (*found.get(key, ()), value if newline else "true")
        return found

    def setting(self, key: str) -> str | None:
        """The strongest value of one configuration key such as `user.name`."""
        values = self.config.get(key.lower()) or self.config.get(key)
        return values[-1] if values else None

    # --- reading

    def resolve(self, revision: str, kind: str | None = "commit") -> str | None:
        """The id of the object that a revision names, or None; with `kind` None whatever a ref holds, be it damaged."""
        if not revision or revision.startswith("-") or "\0" in revision:
            return None
        done = self.run(
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            revision if kind is None else f"{revision}^{{{kind}}}",
            check=False,
        )
        text = done.stdout.strip().decode("ascii", "replace")
        return text if done.returncode == 0 and text else None

    def list_refs(self, *prefixes: str) -> dict[str, str]:
        """Full ref name to object id, for all refs below the prefixes."""
        out = self.git("for-each-ref", "--format=%(objectname) %(refname)", *prefixes)
        refs = {}
        for line in out.splitlines():
            object_id, _, name = line.partition(b" ")
            refs[os.fsdecode(name)] = object_id.decode("ascii")
        return refs

    def read_objects(self, wanted: Iterable[str]) -> Iterator[tuple[str, str, bytes]]:
        """`(wanted, type, bytes)` for each object or `<commit>:<path>` named, in one process; type
        `missing` for what is not there, `damaged` for what git cannot read.

        Names may hold no newline.
        """
        names = [name for name in wanted if "\n" not in name]
        at = 0
        while at < len(names):
            for one in self._read_on(names[at:]):
                at += 1
                yield one
            if at < len(names):
                # git gives up at an object that is damaged, or that nobody can fetch; the others are none the worse.
                self.git("rev-parse", "--git-dir")
                yield names[at], "damaged", b""
                at += 1

    def _read_on(self, names: list[str]) -> Iterator[tuple[str, str, bytes]]:
        """One `cat-file` process; it ends early where git breaks off."""
        try:
            process = subprocess.Popen(
                ["git", "cat-file", "--batch"],
                cwd=self.root or self.git_dir,
                env=git_environment(self.environment(None)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # Never read, it would fill up: git has much to say about a damaged repository.
                stderr=subprocess.DEVNULL,
                bufsize=1 << 16,
            )
        except OSError as error:
            raise not_started(error, self.root or self.git_dir) from None
        assert process.stdin is not None
        assert process.stdout is not None
        _widen(process.stdout)
        try:
            for part in _slices(names):
                try:
                    process.stdin.write(b"".join(os.fsencode(name) + b"\n" for name in part))
                    process.stdin.flush()
                except BrokenPipeError:
                    pass
                for name in part:
                    answer = _one_object(process.stdout, name)
                    if answer is None:
                        return
                    yield answer
        finally:
            process.stdout.close()
            try:
                process.stdin.close()
            except BrokenPipeError:
                pass
            process.wait()

    def read_object(self, name: str, kind: str | None = None) -> bytes:
        """The bytes of one object; raises CorruptRecord when it is missing, broken or of another kind."""
        try:
            _, found, data = next(self.read_objects([name]))
        except StopIteration:
            raise CorruptRecord(f"{name!r} names no object") from None
        if found in {"missing", "damaged"} or (kind is not None and found != kind):
            raise CorruptRecord(f"object {name} is {found}, not a {kind or 'stored object'}; run 'git fsck'")
        return data

    def merge_base(self, one: str, other: str) -> str | None:
        done = self.run("merge-base", one, other, check=False)
        return done.stdout.split()[0].decode() if done.returncode == 0 and done.stdout.strip() else None


# A pipe holds 64 KB, and 4 KB where its user has too many: so much may be asked before the answers are read.
_ASKED_AT_ONCE = 4096


def _widen(pipe: IO[bytes]) -> None:
    """Let git read ahead while we are busy with what it has read: by far most of the time of many reads is then shared."""
    import fcntl

    try:
        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, 1 << 20)
    except (AttributeError, OSError):
        return  # not on Linux, or more than this user may have


def _slices(names: list[str]) -> Iterator[list[str]]:
    part: list[str] = []
    size = 0
    for name in names:
        length = len(os.fsencode(name)) + 1
        if part and size + length > _ASKED_AT_ONCE:
            yield part
            part, size = [], 0
        part.append(name)
        size += length
    if part:
        yield part


def _one_object(out: IO[bytes], name: str) -> tuple[str, str, bytes] | None:
    """The next answer of `cat-file --batch`, or None when it broke off."""
    header = out.readline()
    if not header:
        return None
    words = header.rsplit(b" ", 2)
    if len(words) < 3 or not words[2].strip().isdigit():
        return name, "missing", b""
    size = int(words[2])
    data = out.read(size + 1)
    return (name, words[1].decode("ascii"), data[:-1]) if len(data) == size + 1 else None


def id_or_none(word: str) -> str | None:
    """An object's id as git says it; None for the zeros that stand for no object."""
    return word if word.strip("0") else None


def current_folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise RepositoryError("the current folder is gone; go to one that exists") from None


def _not_opened(place: Path | None, stderr: bytes) -> RepositoryError:
    said = stderr.decode("utf-8", "replace").strip()
    here = place or current_folder()
    if "dubious ownership" in said or "unsafe repository" in said:
        return ForeignRepository(
            f"the repository at {here} belongs to somebody else, and git refuses it; if you trust it, run "
            f"'git config --global --add safe.directory {here}'"
        )
    if "not a git repository" in said:
        return NotARepository(f"{here} is not inside a git repository; run 'git init' there, or go to one (-C FOLDER)")
    first = said.splitlines()[0] if said else "git said nothing"
    return RepositoryError(f"the git repository at {here} cannot be opened: {first}")
