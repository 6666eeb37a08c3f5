"""A git repository for tests that reads like a person typing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

TRAIN_PY = """\
print("training")
"""


@dataclass(frozen=True)
class Fingerprint:
    """All that belongs to the user and that no command of ours may change unasked."""

    status: str
    stash: str
    index: bytes
    head: str
    refs: str


@dataclass(frozen=True)
class Repo:
    """One real repository in a temporary folder."""

    path: Path

    @classmethod
    def init(cls, path: Path, *git_init_options: str) -> Repo:
        """Make a repository with one commit that holds `train.py`."""
        path.mkdir(parents=True, exist_ok=True)
        repo = cls(path)
        repo.git("init", "--quiet", *git_init_options)
        repo.write("train.py", TRAIN_PY)
        repo.commit("Add the training script")
        return repo

    def git(self, *args: str, input: str | None = None, check: bool = True) -> str:
        """The output of a git command, without its last newline."""
        done = subprocess.run(
            ["git", *args],
            cwd=self.path,
            input=input,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="surrogateescape",
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"git {' '.join(args)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout.removesuffix("\n")

    def write(self, rel: str, content: str | bytes) -> Path:
        """Write a file below the repository, with its folders."""
        target = self.path / rel
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            content = content.encode()
        target.write_bytes(content)
        return target

    def commit(self, message: str = "A change") -> str:
        """Add everything, commit it and return the commit id."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def gittrack(
        self,
        *args: str,
        check: bool = True,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run `gittrack` as a user would: in a process of its own, in this folder."""
        return self._run([sys.executable, "-m", "gittrack", *args], check, env, input, cwd)

    def gittrack_json(self, *args: str) -> Any:
        """What a command prints with `--json`, parsed."""
        return json.loads(self.gittrack(*args, "--json").stdout)

    def python(
        self,
        code: str,
        *args: str,
        check: bool = True,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a piece of Python in a process of its own, in this folder."""
        return self._run([sys.executable, "-c", code, *args], check, env, input, cwd)

    def status_fingerprint(self) -> Fingerprint:
        """What must be byte-identical before and after every command."""
        git_dir = Path(self.git("rev-parse", "--absolute-git-dir"))
        index = git_dir / "index"
        refs = self.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        ours = ("refs/experiments/", "refs/gittrack/")
        return Fingerprint(
            index=index.read_bytes() if index.exists() else b"",
            # Without the option, looking would itself rewrite the index.
            status=self.git("--no-optional-locks", "status", "--porcelain=v2"),
            stash=self.git("stash", "list", "--format=%H %gs"),
            head=(git_dir / "HEAD").read_text(),
            refs="\n".join(ref for ref in refs if not ref.startswith(ours)),
        )

    def _run(
        self,
        command: Sequence[str],
        check: bool,
        env: Mapping[str, str] | None,
        input: str | None,
        cwd: Path | None,
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=cwd or self.path,
            env={**os.environ, **(env or {})},
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command[1:])} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done


# --- file systems that fail


def _mount(*args: str) -> None:
    done = subprocess.run(["mount", *args], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """While inside, nothing below the folder can be written, not even by root."""
    _mount("--bind", str(folder), str(folder))
    try:
        _mount("-o", "remount,bind,ro", str(folder))
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def small_disk(folder: Path, size: str = "4m") -> Iterator[Path]:
    """A file system of its own, with little room."""
    folder.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_disk(folder: Path, name: str = "filler", leave: int = 0) -> Path:
    """Write until nothing fits any more but `leave` bytes; deleting the file it returns makes room again."""
    path = folder / name
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 4096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
        if leave:
            file.truncate(max(0, file.tell() - leave))
    return path


def wait_until(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Poll for something that another process brings about."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:.0f} s in vain until {what}")
        time.sleep(0.005)
