"""Nothing of the user's is changed unasked: status, stash, index, HEAD and refs are byte-identical after every command."""

from __future__ import annotations

import pytest

from tests.helpers import Repo

COMMANDS: dict[str, list[str]] = {
    "run": ["run", "--", "true"],
    "run that fails": ["run", "--", "false"],
    "run isolated": ["run", "--isolated", "--", "true"],
    "run refused": ["run", "--", "true"],
    "run with options": ["run", "-e", "other", "-n", "named", "-p", "lr=0.1", "-t", "a=b", "--", "echo", "hi"],
    "run without a program": ["run", "--", "no-such-program"],
    "status": ["status"],
    "recover": ["recover"],
    "ls": ["ls"],
    "ls json": ["ls", "--json"],
    "log": ["log"],
    "show": ["show", "@"],
    "best": ["best", "n", "--max"],
    "diff": ["diff", "@~1", "@"],
    "curve": ["curve", "@", "n"],
    "tag": ["tag", "@", "a=b"],
    "describe": ["describe", "@", "-m", "why"],
    "rm": ["rm", "@"],
    "doctor": ["doctor"],
    "fsck": ["fsck"],
    "wrong usage": ["ls", "--no-such-option"],
    "version": ["--version"],
}
FEW = ["run", "ls", "tag", "fsck"]
MAKE = """
import gittrack
for number in range(3):
    with gittrack.start_run(f"r{number}", allow_dirty="all", console=False) as run:
        for step in range(3):
            run.log_metric("n", number + step)
"""


def a_users_repository(repo: Repo, state: str) -> None:
    """Branches, a tag, a stash, a remote, and changes of every kind that git knows of."""
    repo.write("other.py", "1")
    repo.write("gone.py", "1")
    repo.commit()
    repo.write("train.py", "stashed")
    repo.git("stash")
    repo.git("branch", "side")
    repo.git("tag", "-a", "v1", "-m", "one")
    repo.git("update-ref", "refs/remotes/origin/main", "HEAD")
    if state == "dirty":
        repo.write("train.py", "changed")
        repo.write("other.py", "2")
        repo.git("add", "other.py")
        (repo.path / "gone.py").unlink()
        repo.write("new.py", "1")
        repo.write("planned.py", "1")
        repo.git("add", "--intent-to-add", "planned.py")
    repo.python(MAKE)


@pytest.mark.parametrize("state", ["clean", "dirty"])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FEW else pytest.mark.slow) for name in COMMANDS]
)
def test_the_users_own_things_are_byte_identical(repo: Repo, name: str, state: str) -> None:
    a_users_repository(repo, state)
    before = repo.status_fingerprint()
    allow = {"GITTRACK_RUN_ALLOW_DIRTY": "all"} if name != "run refused" else {}
    done = repo.gittrack(*COMMANDS[name], check=False, env=allow)
    assert repo.status_fingerprint() == before
    assert done.returncode in {0, 1, 2, 4, 127}, done.stderr
    assert "Traceback" not in done.stderr
    assert repo.git("fsck", "--strict", "--no-dangling") == ""
