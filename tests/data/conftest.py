"""A repository with DVC in it, and a bench to record runs with data."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from gittrack.pointers.dvcfile import pointer_file
from gittrack.pointers.setup import set_up_dvc
from gittrack.pointers.store import Store
from gittrack.project import Project
from gittrack.run import Run
from gittrack.tracking.active import active_runs
from tests.helpers import Repo


@dataclass(frozen=True)
class Bench:
    """A DVC project in git, and what people do with it."""

    repo: Repo

    @property
    def project(self) -> Project:
        return Project.open(self.repo.path)

    @property
    def store(self) -> Store:
        return Store.of(self.repo.path / ".git", self.repo.path)

    def track(self, name: str, content: bytes | Mapping[str, bytes]) -> Path:
        """A file or folder with its pointer, as `dvc add` makes them, committed."""
        files = (
            {name: content} if isinstance(content, bytes) else {f"{name}/{key}": one for key, one in content.items()}
        )
        for path, data in files.items():
            self.repo.write(path, data)
        pointer = self.store.add(self.repo.path / name).pointer
        base = name.rpartition("/")[2]
        self.repo.write(f"{name}.dvc", pointer_file(pointer, base))
        ignore = (self.repo.path / name).parent / ".gitignore"
        before = ignore.read_text() if ignore.exists() else ""
        ignore.write_text(f"{before}/{base}\n")
        self.repo.commit(f"Track {name}")
        return self.repo.path / name

    def run(self, name: str, files: Mapping[str, bytes] | None = None, **named: str) -> Run:
        """A finished run with artifacts; `named` maps an artifact's name to its file."""
        with self.project.start_run(name, console=False) as run:
            for path, data in (files or {}).items():
                self.repo.write(f"out/{path}", data)
                called = next((key for key, value in named.items() if value == path), None)
                run.log_artifact(Path("out", path), name=called, kind="model" if called else None)
        return self.project.get_run(run.id)

    def dvc(self, *args: str, cwd: Path | None = None, check: bool = True) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *args], cwd=cwd or self.repo.path, capture_output=True, text=True, check=False
        )
        if check and done.returncode != 0:
            raise AssertionError(f"dvc {' '.join(args)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def objects(self) -> list[Path]:
        """Every object of the farm."""
        return sorted(one for one in (self.repo.path / ".git/gittrack/odb/files").rglob("*") if one.is_file())


def large(letter: str, size: int = 70_000) -> bytes:
    """Content that does not go into git."""
    return letter.encode() * size


@pytest.fixture
def bench(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("GITTRACK_RUN_SYSTEM_METRICS", "off")
    monkeypatch.chdir(repo.path)
    set_up_dvc(repo.path)
    repo.write(".gitignore", "/out\n")
    repo.commit("Set up DVC")
    yield Bench(repo)
    for run in active_runs():
        run.abandon()
