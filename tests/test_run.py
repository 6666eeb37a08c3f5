"""Runs as read-only handles, active and finished."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import pytest

from gittrack.errors import MissingExtra, UnknownRun
from gittrack.project import Project
from gittrack.run import Run
from gittrack.tracking.active import active_runs
from tests.helpers import Repo


@pytest.fixture
def project(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setenv("GITTRACK_RUN_SYSTEM_METRICS", "off")
    monkeypatch.setenv("GITTRACK_RUN_CONSOLE", "false")
    monkeypatch.chdir(repo.path)
    yield Project.open()
    for run in active_runs():
        run.abandon()


@pytest.fixture
def finished(project: Project) -> Run:
    with (
        pytest.raises(ValueError),
        project.start_run(
            "it", experiment="e", params={"lr": 0.1, "bad": math.nan}, tags={"t": "1"}, description="d"
        ) as run,
    ):
        for step in range(3):
            run.log_metric("loss", step / 4, step)
        run.log_metric("bad", math.inf)
        run.log_text("x", "x.txt")
        run.use("train.py")
        raise ValueError("no")
    return project.get_run("it")


def test_the_fields_of_a_run(finished: Run) -> None:
    assert (finished.name, finished.experiment, finished.status) == ("it", "e", "failed")
    assert finished.ended is not None
    assert finished.started <= finished.ended
    assert finished.duration == pytest.approx((finished.ended - finished.started).total_seconds(), abs=1e-3)
    assert finished.author == "Test Author <author@example.org>"
    assert (finished.parent, finished.dirty) == (None, False)
    assert finished.head == finished.commit
    assert repr(finished) == f"<Run e/it {finished.id[:8]} failed>"


def test_equality_is_that_of_the_state(project: Project, finished: Run) -> None:
    again = project.get_run(finished.id)
    assert again == finished
    assert hash(again) == hash(finished)
    assert project.amend("it", tags={"new": 1}) != finished
    assert finished != "it"


def test_histories(finished: Run) -> None:
    assert list(finished.history("loss").values) == [0.0, 0.25, 0.5]
    assert set(finished.histories()) == {"loss", "bad"}
    assert set(finished.histories(["loss", "nothing"])) == {"loss"}
    with pytest.raises(UnknownRun, match="it has bad, loss"):
        finished.history("nothing")


def test_files(finished: Run) -> None:
    assert finished.file("artifacts/x.txt") == b"x"
    with pytest.raises(UnknownRun, match="no file"):
        finished.file("artifacts/y.txt")
    assert finished.console() == ""


def test_json_has_no_literals_that_json_has_not(finished: Run) -> None:
    for plain in (finished.to_json(), finished.details_json()):
        text = json.dumps(plain, allow_nan=False)
        back = json.loads(text)
        assert back["params"] == {"lr": 0.1, "bad": None}
        assert back["metrics"] == {"loss": 0.5, "bad": None}
        assert back["started"].endswith("Z")
    details = finished.details_json()
    assert details["summary"]["loss"]["count"] == 3
    assert details["summary"]["bad"]["last"] is None
    assert details["error"]["message"] == "no"
    assert [one["path"] for one in details["inputs"]] == ["train.py"]
    assert [one["path"] for one in details["artifacts"]] == ["x.txt"]
    assert details["amendments"] == []


def test_amendments(project: Project, finished: Run) -> None:
    project.amend("it", tags={"a": "1"})
    found = project.amend("it", name="new name", untag=["t"])
    assert [dict(one.changes) for one in found.amendments] == [{"tag:a": "1"}, {"tag:t": None, "name": "new name"}]
    assert [one["changes"] for one in found.details_json()["amendments"]] == [
        {"tag:a": "1"},
        {"tag:t": None, "name": "new name"},
    ]
    assert found.record.name == "it"


def test_an_active_run_can_be_read(project: Project) -> None:
    with project.start_run("it", params={"lr": 0.1}) as run:
        run.log_metric("loss", 0.5)
        found = project.get_run("it")
        assert (found.status, found.commit, found.ended, found.duration) == ("running", None, None, None)
        assert found.params == {"lr": 0.1}
        assert list(found.history("loss").values) == [0.5]
        assert found.details_json()["summary"]["loss"]["last"] == 0.5
        assert found.amendments == ()
        assert found.artifacts == ()
        json.dumps(found.to_json(), allow_nan=False)
        with pytest.raises(UnknownRun, match="active"):
            found.file("artifacts/x")
        with pytest.raises(UnknownRun):
            _ = found.record
    with pytest.raises(UnknownRun, match="no longer active"):
        found.history("loss")


def test_several_runs_as_a_sequence(project: Project, finished: Run) -> None:
    with project.start_run("second"):
        pass
    runs = project.runs()
    assert [run.name for run in runs] == ["second", "it"]
    assert [run.name for run in runs[:1]] == ["second"]
    assert [run.name for run in reversed(runs)] == ["it", "second"]
    assert finished in runs
    assert repr(runs) == "<2 runs>"


def test_as_a_data_frame(project: Project, finished: Run) -> None:
    with project.start_run("second", params={"other": [1, 2]}):
        pass
    frame = project.runs().to_pandas()
    assert list(frame["name"]) == ["second", "it"]
    assert frame["params.lr"].iloc[1] == 0.1
    assert math.isnan(frame["metrics.loss"].iloc[0])
    assert frame["params.other"].iloc[0] == [1, 2]
    assert frame["tags.t"].iloc[1] == "1"
    assert len(project.runs("status = running").to_pandas()) == 0


def test_without_pandas_the_install_line_is_said(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(MissingExtra, match="pip install pandas"):
        project.runs().to_pandas()
