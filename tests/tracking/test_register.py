"""A model that a run asks for becomes a version when the run is in git, and training never notices what goes wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gittrack.errors import InvalidName
from gittrack.project import Project
from gittrack.registry.wishes import Wish, Wishes
from tests.helpers import Repo

SCRIPT = """
import gittrack, sys
with gittrack.start_run() as run:
    open("../model.bin", "wb").write(b"weights")
    run.log_artifact("../model.bin", register="digits")
    if sys.argv[1:] == ["fail"]:
        raise SystemExit(3)
"""


@pytest.fixture
def project(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("GITTRACK_RUN_SYSTEM_METRICS", "off")
    monkeypatch.chdir(repo.path)
    return Project.open(repo.path)


def model(tmp_path: Path, data: bytes = b"weights") -> Path:
    path = tmp_path / "model.bin"
    path.write_bytes(data)
    return path


def test_the_next_version_when_the_run_has_finished(project: Project, tmp_path: Path) -> None:
    for number in (1, 2):
        with project.start_run(console=False) as run:
            x = np.zeros((4, 2))
            run.log_artifact(
                model(tmp_path, b"weights %d" % number), register="digits", input_example=x, output_example=x[:, 0]
            )
            assert number == 1 or len(project.models.get("digits").versions) == 1
        found = project.models.version("digits@latest")
        assert (found.version, found.run.id) == (f"v{number}.0.0", run.id)
        assert found.commit == run.commit
        assert found.artifact.read_bytes() == b"weights %d" % number
    assert found.signature == {
        "inputs": [{"dtype": "float64", "shape": [None, 2]}],
        "outputs": [{"dtype": "float64", "shape": [None]}],
    }
    assert found.registered.details["input_example"] == [[0.0, 0.0]] * 3


@pytest.mark.parametrize("status", ["failed", "killed"])
def test_a_run_that_did_not_finish_registers_nothing(project: Project, tmp_path: Path, status: str) -> None:
    run = project.start_run(console=False)
    run.log_artifact(model(tmp_path), register="digits")
    run.finish(status)
    assert project.models.read().models == {}
    assert Wishes(project.repo).noted == ()


def test_a_wrong_name_raises_at_the_call(project: Project, tmp_path: Path) -> None:
    with project.start_run(console=False) as run, pytest.raises(InvalidName):
        run.log_artifact(model(tmp_path), register="my model")


def test_under_gittrack_run_the_outer_process_registers(repo: Repo, project: Project) -> None:
    repo.write("script.py", SCRIPT)
    repo.commit()
    repo.gittrack("run", "--", "python", "script.py")
    assert list(map(str, project.models.get("digits").versions)) == ["v1.0.0"]
    assert repo.gittrack("run", "--", "python", "script.py", "fail", check=False).returncode == 3
    assert len(project.models.get("digits").versions) == 1


def test_what_cannot_be_registered_is_told_and_left(
    project: Project, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with project.start_run(console=False) as run:
        run.log_artifact(model(tmp_path), register="digits")
    project.models.registrar.deprecate("digits")
    with project.start_run(console=False) as second:
        second.log_artifact(model(tmp_path, b"other"), register="digits")
    assert second.commit is not None
    assert "is not registered as a version of digits: model digits is deprecated" in caplog.text
    assert Wishes(project.repo).noted == ()


def test_whatever_goes_wrong_afterwards_the_run_is_recorded(
    project: Project, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = project.start_run(console=False)
    run.after_seal = lambda: 1 / 0  # type: ignore[assignment]
    assert run.finish() is not None
    assert "could not be recorded" not in caplog.text
    assert "may not be (ZeroDivisionError" in caplog.text


def test_a_wish_that_was_left_is_fulfilled_once(project: Project, tmp_path: Path) -> None:
    with project.start_run(console=False) as run:
        run.log_artifact(model(tmp_path), register="digits")
    # As if the process had been killed before it struck the wish off, and another beside it before it began.
    Wishes(project.repo).add([Wish(run.id, "digits", "digits"), Wish(run.id, "other", "digits", {"tags": {"a": "b"}})])
    Wishes(project.repo).note(["no%20wish"])
    project.recover()
    assert len(project.models.get("digits").versions) == 1
    assert project.models.version("other").tags == {"a": "b"}
    assert Wishes(project.repo).noted == ()
