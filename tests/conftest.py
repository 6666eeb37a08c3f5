"""Every test gets a home, a git identity and an environment of its own, and no network."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.helpers import Repo

# Whatever is not named here (GIT_*, GITTRACK_*, DVC_*, SLURM_*, RANK, CI, proxies, editors, ...)
# does not reach a test: a list of what to keep cannot miss a variable that nobody thought of.
KEPT_VARIABLES = {"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "VIRTUAL_ENV"}
KEPT_PREFIXES = ("COVERAGE_", "COV_", "PYTEST_", "PYTHON")

GIT_CONFIG = """\
[user]
\tname = Test Author
\temail = author@example.org
[init]
\tdefaultBranch = main
[core]
\tpager = cat
[gc]
\tauto = 0
[protocol "file"]
\tallow = always
"""

ONE_IDENTITY_DATE = "2026-01-02T03:04:05+00:00"

# Never a deadline: tests are not timed, and a shared machine has its moods.
hypothesis.settings.register_profile("gittrack", deadline=None, print_blob=True)
hypothesis.settings.register_profile("slow", parent=hypothesis.settings.get_profile("gittrack"), max_examples=1000)
hypothesis.settings.load_profile(os.environ.get("GITTRACK_HYPOTHESIS", "gittrack"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-golden", action="store_true", help="write reports and pages that tests compare with anew")


@pytest.fixture(autouse=True)
def sealed_home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty home, a fixed author, UTC, and nothing of the machine's own configuration."""
    home = tmp_path_factory.mktemp("home")
    (home / "gitconfig").write_text(GIT_CONFIG)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])

    for name in list(os.environ):
        if name not in KEPT_VARIABLES and not name.startswith(KEPT_PREFIXES):
            monkeypatch.delenv(name)
    sealed = {
        "PATH": path,
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
        "XDG_STATE_HOME": str(home / ".local" / "state"),
        "XDG_RUNTIME_DIR": str(home / ".run"),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "TERM": "dumb",
        "GIT_CONFIG_GLOBAL": str(home / "gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "file",  # git reaches other folders, never another machine
        "DVC_NO_ANALYTICS": "1",
        "DVC_GLOBAL_CONFIG_DIR": str(home / "dvc-global"),
        "DVC_SYSTEM_CONFIG_DIR": str(home / "dvc-system"),
        "DVC_SITE_CACHE_DIR": str(home / "dvc-site-cache"),
        "MPLBACKEND": "Agg",
        "http_proxy": "http://127.0.0.1:9",  # the discard port: child processes fail at once
        "https_proxy": "http://127.0.0.1:9",
    }
    for name, value in sealed.items():
        monkeypatch.setenv(name, value)
    time.tzset()
    yield home
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection to any other machine raises; local sockets are left alone."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0] if isinstance(address, tuple) else address
            if host not in ("127.0.0.1", "::1", "localhost"):
                raise PermissionError(f"a test may not connect to {host}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def fixed_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits made by git itself carry one date, so that their ids repeat."""
    monkeypatch.setenv("GIT_AUTHOR_DATE", ONE_IDENTITY_DATE)
    monkeypatch.setenv("GIT_COMMITTER_DATE", ONE_IDENTITY_DATE)


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """A repository on branch main with one commit that holds `train.py`."""
    return Repo.init(tmp_path / "repo")
