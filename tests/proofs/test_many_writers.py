"""Many processes record at once: every run arrives, and the repository stays sound."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from gittrack.project import Project
from tests.helpers import Repo

WRITER = """
import sys
import gittrack
number, runs = int(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for at in range(runs):
    with gittrack.start_run(f"w{number}-{at}", experiment=f"e{at % 3}", params={"number": number, "at": at}) as run:
        for step in range(20):
            run.log_metric("loss", number * 1000 + at + step, step)
        run.log_text(f"{number} {at}", "note.txt")
"""


@pytest.mark.parametrize(
    ("processes", "runs"),
    [(6, 3), pytest.param(16, 20, marks=[pytest.mark.slow, pytest.mark.timeout(900)])],
)
def test_every_run_of_many_processes_arrives(repo: Repo, processes: int, runs: int) -> None:
    before = repo.status_fingerprint()
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(number), str(runs)],
            cwd=repo.path,
            env={**os.environ, "GITTRACK_RUN_SYSTEM_METRICS": "off", "GITTRACK_RUN_CONSOLE": "false"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    for one in writers:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in writers:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    ended = [one.communicate(timeout=800) for one in writers]
    assert [said for _, said in ended] == [""] * processes
    assert [one.returncode for one in writers] == [0] * processes

    assert len(repo.git("for-each-ref", "refs/experiments/").splitlines()) == processes * runs
    assert repo.git("for-each-ref", "refs/gittrack/") == ""
    assert repo.git("fsck", "--strict", "--no-dangling") == ""
    assert os.listdir(repo.path / ".git" / "gittrack" / "live") == []
    assert repo.status_fingerprint() == before
    found = {(run.params["number"], run.params["at"]): run for run in Project.open(repo.path).runs()}
    assert set(found) == {(number, at) for number in range(processes) for at in range(runs)}
    for (number, at), run in found.items():
        assert run.status == "finished"
        assert list(run.history("loss").values) == [number * 1000 + at + step for step in range(20)]  # type: ignore[operator]
        assert run.file("artifacts/note.txt") == f"{number} {at}".encode()
