"""What may be loaded when: a command that needs little starts fast."""

from __future__ import annotations

import pytest

from tests.helpers import Repo

HEAVY = {"dulwich", "dvc", "matplotlib", "numpy", "pandas", "psutil", "pyarrow", "scipy", "yaml"}


def loaded_by(repo: Repo, code: str) -> set[str]:
    """The top-level packages in memory after a piece of code has run in a new process."""
    return set(
        repo.python(f"import sys\n{code}\nprint(*{{name.partition('.')[0] for name in sys.modules}})")
        .stdout.splitlines()[-1]
        .split()
    )


VERSION = """
from gittrack.__main__ import main
sys.argv = ["gittrack", "--version"]
try:
    main()
except SystemExit:
    pass
"""


@pytest.mark.parametrize(
    "code",
    ["import gittrack", "import gittrack.__main__", VERSION],
    ids=["import gittrack", "the program", "gittrack --version"],
)
def test_nothing_heavy_is_loaded_early(repo: Repo, code: str) -> None:
    assert not loaded_by(repo, code) & HEAVY
