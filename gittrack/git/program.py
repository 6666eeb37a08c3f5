"""Starting the git program."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO

from gittrack.errors import GitFailed, GitUnusable

# 2.31: `rev-parse --path-format=absolute`, ref transactions by `update-ref --stdin` with start and commit.
OLDEST = (2, 31)
_PROGRESS = re.compile(
    rb"(remote: )?(Enumerating|Counting|Compressing|Writing|Receiving|Resolving|Unpacking|Updating) "
)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Our environment for git: English words to read, no prompt, and no refreshed index written behind the user."""
    env = dict(os.environ)
    env.update(LC_ALL="C.UTF-8", LANGUAGE="C", GIT_OPTIONAL_LOCKS="0", GIT_TERMINAL_PROMPT="0")
    # Grafts and replacements would show us other objects than those that are there.
    env["GIT_NO_REPLACE_OBJECTS"] = "1"
    if extra:
        env.update(extra)
    return env


# Descriptors that git processes keep open, see `holding`.
_held: set[int] = set()


@contextmanager
def holding(handle: int) -> Iterator[None]:
    """Within this every git process keeps a descriptor open, and so a lock on it, though we be killed before its end."""
    _held.add(handle)
    try:
        yield
    finally:
        _held.discard(handle)


def run_git(
    *arguments: str | bytes,
    cwd: Path | str | None = None,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[bytes]:
    """Run one git command to its end; raises GitFailed when it fails and `check` is set, GitUnusable without git."""
    try:
        done = subprocess.run(
            [b"git", *(os.fsencode(one) for one in arguments)],
            cwd=cwd,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            env=environment(env),
            check=False,
            pass_fds=tuple(_held),
        )
    except OSError as error:
        raise not_started(error, cwd) from None
    if check and done.returncode != 0:
        raise git_failed(arguments, done.returncode, done.stderr)
    return done


def watch_git(
    *arguments: str | bytes,
    cwd: Path | str | None = None,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """As `run_git` without `check`; on a terminal a person sees how far git is, as git itself would show it."""
    if not sys.stderr.isatty():
        return run_git(*arguments, cwd=cwd, stdin=stdin, env=env, check=False)
    try:
        process = subprocess.Popen(
            [b"git", *(os.fsencode(one) for one in arguments)],
            cwd=cwd,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(env),
        )
    except OSError as error:
        raise not_started(error, cwd) from None
    stderr, process.stderr = process.stderr, None
    assert stderr is not None
    said = bytearray()

    def pass_on(stream: IO[bytes]) -> None:
        line = bytearray()
        # One by one: progress is no line until it ends.
        while one := stream.read(1):
            line += one
            if one in b"\r\n":
                if _PROGRESS.match(line):
                    sys.stderr.write(line.decode("utf-8", "replace"))
                    sys.stderr.flush()
                else:
                    said.extend(line)
                line.clear()
        said.extend(line)

    listener = threading.Thread(target=pass_on, args=(stderr,), daemon=True)
    listener.start()
    out, _ = process.communicate(stdin)
    listener.join()
    stderr.close()
    return subprocess.CompletedProcess(arguments, process.returncode, out, bytes(said))


def not_started(error: OSError, cwd: Path | str | None) -> GitUnusable:
    """Why there is no git process: no such folder to start it in, no such program, or one that does not work."""
    if cwd is not None and not os.path.isdir(cwd):
        return GitUnusable(
            f"{cwd} is {'a file' if os.path.exists(cwd) else 'gone'}; go to a folder inside a git repository"
        )
    if isinstance(error, FileNotFoundError):
        return GitUnusable(f"no git program was found on the PATH; install git {_dotted(OLDEST)} or newer")
    return GitUnusable(f"git could not be started ({error.strerror}); check that 'git --version' works")


def git_failed(arguments: tuple[str | bytes, ...], returncode: int, stderr: bytes) -> GitFailed:
    said = stderr.decode("utf-8", "replace").strip()
    verb = next((os.fsdecode(one) for one in arguments if not os.fsdecode(one).startswith("-")), "")
    first = next(
        (line for line in said.splitlines() if line.startswith(("fatal:", "error:"))),
        said.split("\n")[0],
    )
    return GitFailed(
        f"'git {verb}' failed with exit code {returncode}: {first or 'it said nothing'}",
        returncode=returncode,
        stderr=said,
    )


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


@lru_cache(maxsize=1)
def git_version() -> str:
    """The version of the git program, asked once a process; raises GitUnusable for one that is too old."""
    text = run_git("--version").stdout.decode("utf-8", "replace")
    found = re.search(r"(\d+)\.(\d+)(\.\d+)*", text)
    if found is None:
        raise GitUnusable(f"'git --version' said {text.strip()!r}, which names no version; check the git on the PATH")
    if (int(found[1]), int(found[2])) < OLDEST:
        raise GitUnusable(f"git {found[0]} is too old; install git {_dotted(OLDEST)} or newer")
    return found[0]
