"""A repository to track in, and no run left open behind a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gittrack.project import Project
from gittrack.tracking import join
from gittrack.tracking.active import active_runs
from tests.helpers import Repo


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No sampling, no console, a spare place of its own; and what a test forgot to finish does not reach the next."""
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("GITTRACK_RUN_SYSTEM_METRICS", "off")
    monkeypatch.setenv("GITTRACK_RUN_CONSOLE", "false")
    monkeypatch.setattr(join, "_joined", set())
    yield
    for run in active_runs():
        run.abandon()


@pytest.fixture
def project(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(repo.path)
    return Project.open()
