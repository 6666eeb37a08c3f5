"""Write the fixture of this format: a bundle of run commits and what reading them must give, for ever.

    python tests/compat/make_fixture.py tests/compat/format-1

Made once per format and then never again: a reader that cannot read it is the one that is wrong.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import gittrack


def record(folder: Path) -> None:
    """A handful of runs that use every part of the format."""
    with gittrack.start_run("plain", experiment="digits", params={"lr": 0.1, "model": {"depth": 3}}) as run:
        run.log_metric("val/acc", 0.91)
        run.set_tag("kind", "cv")
    with gittrack.start_run("odd values", experiment="digits", params={"nan": float("nan"), "big": 2**70}) as run:
        for step in (3, 1, 2):
            run.log_metric("loss", float("inf") if step == 1 else step / 3, step)
        run.log_metrics({"loss/a": float("nan"), "a.tsv/b": -0.0, "é ü": 1e-300}, step=7)
        run.log_text("kept\n", "notes/first.txt")
        run.describe("First line\n\nGittrack-Record: {} is only text here")
    try:
        with gittrack.start_run("failing", experiment="other/deep"):
            raise RuntimeError("on purpose")
    except RuntimeError:
        pass
    with gittrack.start_run("long", experiment="digits") as run:
        for step in range(20_010):
            run.log_metric("loss", 1 / (step + 1), step)
    with gittrack.start_run("wide", experiment="digits") as run:
        run.log_params({f"param_{number:03}": f"value {number} " * 4 for number in range(300)})
        run.log_metrics({f"metric_{number:03}": number / 7 for number in range(100)})
    with gittrack.start_run(resume="plain") as run:
        run.log_metric("val/acc", 0.93, step=1)
    (folder / "train.py").write_text("changed\n")
    with gittrack.start_run("dirty", experiment="digits", allow_dirty="tracked"):
        pass
    project = gittrack.Project.open()
    project.amend("odd values", tags={"stage": "one"}, description="said later")
    project.amend("odd values", untag=["stage"], tags={"owner": "x"}, name="renamed")
    project.amend("failing", deleted=True)


def expected() -> list[dict[str, object]]:
    """What a reader must find: details of every run, and every history whole."""
    runs = gittrack.runs(deleted=True, sort="started")
    return [
        {
            **run.details_json(),
            "environment": None,
            "deleted": run.state.deleted,
            "histories": {
                key: {"count": len(one), "points": [[p.step, repr(p.value), round(p.time, 6)] for p in one][:50]}
                for key, one in sorted(run.histories().items())
            },
        }
        for run in runs
    ]


def main(target: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        import os

        folder = Path(name)
        target = target.absolute()
        os.chdir(folder)
        os.environ["GITTRACK_RUN_SYSTEM_METRICS"] = "false"
        os.environ["GITTRACK_RUN_CONSOLE"] = "false"
        git = ["git", "-c", "user.name=A U Thor", "-c", "user.email=author@example.com"]
        subprocess.run(["git", "init", "-q", "-b", "main"], check=True)
        subprocess.run(["git", "config", "user.name", "A U Thor"], check=True)
        subprocess.run(["git", "config", "user.email", "author@example.com"], check=True)
        (folder / "train.py").write_text("first\n")
        subprocess.run(["git", "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-qm", "first"], check=True)
        record(folder)
        refs = ["main", "--glob=refs/experiments/*"]
        subprocess.run(["git", "bundle", "create", "-q", f"{target}.bundle", *refs], check=True)
        Path(f"{target}.json").write_text(json.dumps(expected(), indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
