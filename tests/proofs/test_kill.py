"""kill -9 at any moment: what was acknowledged can be read after `recover`.

The script says over a pipe, with an `os.write` of its own, what has returned to it. It is killed after a random number
of such words and a random short while, so that the blow falls into starting, logging and finishing alike.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys

import pytest

from gittrack.project import Project
from tests.helpers import Repo

POINTS, RUNS = 25, 4

SCRIPT = f"""
import os
import gittrack
say = lambda text: os.write(1, (text + "\\n").encode())
while True:
    run = gittrack.start_run(params={{"lr": 0.1}})
    say(f"start {{run.id}}")
    for step in range({POINTS}):
        if step % 5 == 4:
            run.log_metrics({{"loss": step, "acc": step}}, step)
        else:
            run.log_metric("loss", step, step)
        say(f"point {{run.id}} {{step}}")
        if step == 10:
            run.log_text("kept", "note.txt")
            say(f"artifact {{run.id}}")
            run.set_tag("kind", "cv")
            say(f"tag {{run.id}}")
    say(f"finishing {{run.id}}")
    run.finish()
    say(f"finished {{run.id}}")
"""


@pytest.mark.parametrize("kills", [8, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_what_was_acknowledged_survives_a_kill_at_any_moment(repo: Repo, kills: int) -> None:
    environment = {**os.environ, "GITTRACK_RUN_SYSTEM_METRICS": "off", "GITTRACK_RUN_CONSOLE": "false"}
    chance = random.Random(kills)
    words_of_a_run = POINTS + 5
    acknowledged: dict[str, list[str]] = {}
    for number in range(kills):
        with subprocess.Popen(
            [sys.executable, "-c", SCRIPT], cwd=repo.path, env=environment, stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            heard = [child.stdout.readline() for _ in range(chance.randrange(0, words_of_a_run * RUNS))]
            # Some spin, not a sleep: the next step of the script may take microseconds (a point) or milliseconds (git).
            for _ in range(chance.choice([0, 10, 1000, 50_000, 300_000])):
                pass
            child.send_signal(signal.SIGKILL)
            heard += child.stdout.read().splitlines(keepends=True)
        for word in heard:
            if word.endswith(b"\n"):
                verb, run, *rest = word.decode().split()
                acknowledged.setdefault(run, []).append(" ".join([verb, *rest]))
        project = Project.open(repo.path)
        problems = [one.problem for one in project.recover() if one.problem]
        assert problems == [], f"after kill {number}"

    assert repo.git("fsck", "--strict", "--no-dangling") == ""
    runs = {run.id: run for run in Project.open(repo.path).runs()}
    assert acknowledged.keys() <= runs.keys()
    assert len(acknowledged) > kills // 2
    for run_id, words in acknowledged.items():
        run = runs[run_id]
        steps = [int(word.split()[1]) for word in words if word.startswith("point")]
        history = list(run.history("loss").steps) if "loss" in run.metrics else []
        # One more may be there: written, and killed before it could be said.
        assert history[: len(steps)] == steps
        assert len(history) <= len(steps) + 1
        assert run.params == {"lr": 0.1} or not steps
        if "artifact" in words:
            assert run.file("artifacts/note.txt") == b"kept"
        if "tag" in words:
            assert run.tags == {"kind": "cv"}
        if "finished" in words:
            assert run.status == "finished"
        elif "finishing" in words:
            assert run.status in {"finished", "lost"}
        else:
            assert run.status == "lost"
