"""The handle that code logs to: what is logged arrives, what is wrong raises, what fails outside does not."""

from __future__ import annotations

import enum
import logging
import math
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack.domain.run import Failure, Status
from gittrack.errors import GittrackError, InvalidName, InvalidValue, RunClosed, UsageError
from gittrack.project import Project
from gittrack.run import Run
from gittrack.tracking.active import ActiveRun, judge
from tests.helpers import Repo


def recorded(project: Project, run: ActiveRun) -> Run:
    assert run.commit is not None
    return project.get_run(run.id)


def live_files(repo: Repo) -> list[str]:
    live = repo.path / ".git" / "gittrack" / "live"
    return sorted(os.listdir(live)) if live.exists() else []


def test_all_that_was_logged_is_in_the_run(project: Project, repo: Repo) -> None:
    repo.write("data.csv", "a,b\n")
    repo.commit()
    before = repo.status_fingerprint()
    with project.start_run(
        "first try", experiment="digits", params={"lr": 0.1, "model": {"depth": 3}}, tags={"kind": "cv", "n": 3}
    ) as run:
        run.log_param("seed", np.int64(42))
        run.log_params({"opt": {"name": "adam", "betas": (0.9, 0.999)}})
        for step in range(3):
            run.log_metric("loss", 1 / (step + 1), step=step * 10)
        run.log_metrics({"acc": 0.9, "bad": math.nan})
        run.set_tag("late", True)
        run.describe("What it is\nabout")
        run.log_text("hello", "notes/hello.txt")
        run.log_dict({"a": [1, 2]}, "conf.json")
        run.log_dict({"a": [1, 2]}, "conf.yaml")
        run.log_table([{"x": 1, "y": 2}], "table.csv")
        assert run.use("data.csv") == Path("data.csv")
        run.record_seeds({"python": 42})
    assert repo.status_fingerprint() == before
    found = recorded(project, run)
    assert (found.name, found.experiment, found.status) == ("first try", "digits", "finished")
    assert found.params == {
        "lr": 0.1, "model.depth": 3, "seed": 42, "opt.name": "adam", "opt.betas": [0.9, 0.999],
    }  # fmt: skip
    assert found.tags == {"kind": "cv", "n": "3", "late": "true"}
    assert found.description == "What it is\nabout"
    assert found.metrics["loss"] == 1 / 3
    assert list(found.history("loss").steps) == [0, 10, 20]
    assert math.isnan(found.metrics["bad"])
    assert found.file("artifacts/notes/hello.txt") == b"hello"
    assert found.file("artifacts/conf.json") == b'{\n  "a": [\n    1,\n    2\n  ]\n}\n'
    assert found.file("artifacts/conf.yaml") == b"a:\n- 1\n- 2\n"
    assert found.file("artifacts/table.csv") == b"x,y\n1,2\n"
    assert [one["path"] for one in found.record.inputs] == ["data.csv"]
    assert found.environment.to_dict()["seeds"] == {"python": 42}
    assert sorted(one.path for one in found.artifacts) == ["conf.json", "conf.yaml", "notes/hello.txt", "table.csv"]
    assert live_files(repo) == []
    assert repo.git("for-each-ref", "refs/gittrack/") == ""
    assert repo.git("fsck", "--strict", "--no-dangling") == ""


def test_the_last_value_of_a_param_counts_and_the_change_is_told(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "gittrack"), project.start_run(params={"lr": 0.1}) as run:
        run.log_param("lr", 0.1)
        assert caplog.text == ""
        run.log_param("lr", 0.2)
        run.log_param("lr", 0.2)
    assert caplog.text.count("'lr' was 0.1 and is now 0.2") == 1
    found = recorded(project, run)
    assert found.params == {"lr": 0.2}
    assert "was 0.1" in found.record.warnings[0]


# --- artifacts


def test_files_and_folders_are_kept_as_they_were(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.bin").write_bytes(b"one")
    (tmp_path / "out" / "deep").mkdir(parents=True)
    (tmp_path / "out" / "deep" / "x").write_bytes(b"x")
    (tmp_path / "out" / "y").write_bytes(b"y")
    with project.start_run() as run:
        run.log_artifact(tmp_path / "model.bin")
        (tmp_path / "model.bin").write_bytes(b"two")
        monkeypatch.chdir(tmp_path)
        run.log_artifact("out/../model.bin", "later", kind="model")
        run.log_artifact(tmp_path / "out")
        run.log_artifact("out/deep/x", "the x")
        run.log_artifacts("out/deep")
        run.log_text("first", "same.txt")
        run.log_text("second", "same.txt")
    found = recorded(project, run)
    kept = {one.path: found.file(f"artifacts/{one.path}") for one in found.artifacts}
    assert kept == {
        "model.bin": b"two", "out/deep/x": b"x", "out/y": b"y", "same.txt": b"second",
    }  # fmt: skip
    assert {one.path: (one.name, one.kind) for one in found.artifacts}["model.bin"] == ("later", "model")


def test_figures_images_and_tables(project: Project) -> None:
    import matplotlib.pyplot as plt
    import pandas as pd

    figure, axes = plt.subplots()
    axes.plot([1, 2, 3])
    with project.start_run() as run:
        run.log_figure(figure, "plot.png")
        run.log_figure(figure, "plot.svg")
        run.log_image(np.zeros((4, 5)), "grey.png")
        run.log_image(np.zeros((4, 5, 3), dtype=np.uint8), "colour.jpg")
        run.log_table(pd.DataFrame({"a": [1, 2]}), "frame.csv")
        run.log_table({"a": [1, 2], "b": [3, 4]}, "columns.tsv")
    plt.close(figure)
    found = recorded(project, run)
    assert found.file("artifacts/plot.png").startswith(b"\x89PNG")
    assert b"<svg" in found.file("artifacts/plot.svg")
    assert found.file("artifacts/grey.png").startswith(b"\x89PNG")
    assert found.file("artifacts/colour.jpg").startswith(b"\xff\xd8")
    assert found.file("artifacts/frame.csv") == b"a\n1\n2\n"
    assert found.file("artifacts/columns.tsv") == b"a\tb\n1\t3\n2\t4\n"


def test_an_artifact_that_goes_into_git_although_it_is_large_is_warned_of(
    project: Project, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITTRACK_ARTIFACTS_INLINE", "10MB")
    with Project.open().start_run() as run:
        run.log_text("x" * 1_000_001, "large.txt")
    assert "goes into git whole" in caplog.text
    assert len(recorded(project, run).file("artifacts/large.txt")) == 1_000_001


@pytest.mark.parametrize(
    "name",
    ["", "/x", "../x", "a/../x", "a//b", "a/", ".git/config", "a/.GIT/x", "git~1", "a\\b", "a\nb", "x" * 300, ".git ",
     ".git.", "a/.g\u200cit", ".git::$INDEX_ALLOCATION", ".gitmodules", "deep/.gitattributes", "GIT~1/x"],
    ids=repr,
)  # fmt: skip
def test_a_name_that_git_or_a_file_system_cannot_hold(project: Project, repo: Repo, name: str) -> None:
    run = project.start_run()
    with pytest.raises(InvalidName):
        run.log_text("x", name)
    run.finish()
    assert recorded(project, run).artifacts == ()
    assert repo.git("fsck", "--strict", "--no-dangling") == ""


def test_one_name_cannot_be_a_file_and_a_folder(project: Project) -> None:
    with project.start_run() as run:
        run.log_text("1", "a/b")
        for name in ("a", "a/b/c"):
            with pytest.raises(InvalidName, match="a file and a folder"):
                run.log_text("2", name)
    assert [one.path for one in recorded(project, run).artifacts] == ["a/b"]


def test_a_later_attempt_that_turns_a_file_into_a_folder_loses_neither(project: Project) -> None:
    with project.start_run() as run:
        run.log_text("file", "a")
    with project.start_run(resume=run.id) as again:
        again.log_text("inside", "a/b")
    found = project.get_run(run.id)
    assert {one.path: found.file(f"artifacts/{one.path}") for one in found.artifacts} == {
        "a~": b"file",
        "a/b": b"inside",
    }
    assert any("a~" in text for text in found.record.warnings)


def test_an_artifact_that_is_not_there(project: Project, tmp_path: Path) -> None:
    run = project.start_run()
    for call in (
        lambda: run.log_artifact(tmp_path / "nothing"),
        lambda: run.log_artifacts(tmp_path / "nothing"),
        lambda: run.use(tmp_path / "nothing"),
    ):
        with pytest.raises(UsageError, match="check the path"):
            call()
    run.finish()


def test_an_unreadable_artifact_is_warned_of_and_training_goes_on(
    project: Project, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with project.start_run() as run:
        run.folder.files.write_bytes(b"in the way")
        run.log_text("x", "x.txt")
        run.log_metric("a", 1)
    assert "could not be kept" in caplog.text
    found = recorded(project, run)
    assert found.artifacts == ()
    assert found.metrics == {"a": 1.0}


# --- wrong arguments


class Opaque:
    pass


WRONG_CALLS: dict[str, Any] = {
    "param value": lambda run: run.log_param("a", Opaque()),
    "param key": lambda run: run.log_param("a\nb", 1),
    "nested param": lambda run: run.log_params({"ok": 1, "a": {"b": Opaque()}}),
    "large array": lambda run: run.log_param("a", np.zeros(2000)),
    "tag key": lambda run: run.set_tag("", 1),
    "second tag": lambda run: run.set_tags({"ok": "1", "`": "2"}),
    "description": lambda run: run.describe(7),
    "name": lambda run: run.rename(""),
    "json": lambda run: run.log_dict({1: Opaque()}, "a.json"),
    "table": lambda run: run.log_table(7, "a.csv"),
    "uneven table": lambda run: run.log_table({"a": [1], "b": [1, 2]}, "a.csv"),
    "figure": lambda run: run.log_figure(7, "a.png"),
    "image": lambda run: run.log_image(Opaque(), "a.png"),
    "image shape": lambda run: run.log_image(np.zeros((2, 2, 7)), "a.png"),
    "status": lambda run: run.finish("running"),
    "no status": lambda run: run.finish("well done"),
}


@pytest.mark.parametrize("call", WRONG_CALLS.values(), ids=WRONG_CALLS.keys())
def test_a_wrong_argument_raises_and_leaves_nothing_half_done(project: Project, call: Any) -> None:
    run = project.start_run()
    size = run.folder.journal.stat().st_size
    wait_for_environment(run)
    size = run.folder.journal.stat().st_size
    with pytest.raises((GittrackError, ValueError)):
        call(run)
    assert run.folder.journal.stat().st_size == size
    run.log_metric("a", 1)
    run.finish()
    found = recorded(project, run)
    assert (found.status, found.params, found.tags, found.artifacts) == ("finished", {}, {}, ())
    assert found.metrics == {"a": 1.0}


def wait_for_environment(run: ActiveRun) -> None:
    for thread in threading.enumerate():
        if thread.name == "gittrack-environment":
            thread.join()


class Colour(enum.Enum):
    RED = "red"


def test_params_of_every_sensible_type(project: Project, tmp_path: Path) -> None:
    import argparse
    import dataclasses

    @dataclasses.dataclass
    class Config:
        depth: int = 3
        sub: dict[str, int] = dataclasses.field(default_factory=lambda: {"x": 1})

    params = {
        "colour": Colour.RED,
        "path": Path("a/b"),
        "set": {3, 1, 2},
        "array": np.array([1.5, 2.5]),
        "scalar": np.float32(0.5),
        "bool": np.bool_(True),
        "config": Config(),
        "args": argparse.Namespace(lr=0.1),
        "none": None,
        "nan": math.nan,
        "inf": -math.inf,
        "huge": 10**40,
        "empty": {},
        "function": math.sin,
        "type": dict,
        "nested list": [1, [2.5, None, {"a": math.nan}]],
        "ünï ☃": "ünï ☃",
        "odd": os.fsdecode(b"caf\xe9"),
        "long": "x" * 20_000,
        "multi": "a\nb\tc\r\n",
        "a..b": 1,
        "1": "1e3",
    }
    with project.start_run(params=params) as run:
        pass
    found = recorded(project, run)
    assert found.params["colour"] == "red"
    assert found.params["path"] == "a/b"
    assert found.params["set"] == [1, 2, 3]
    assert found.params["array"] == [1.5, 2.5]
    assert found.params["config.sub.x"] == 1
    assert found.params["args.lr"] == 0.1
    assert found.params["huge"] == 10**40
    assert found.params["empty"] == {}
    assert found.params["long"] == "x" * 20_000
    assert found.params["a..b"] == 1
    assert found.params["1"] == "1e3"
    assert repr(found.params) == repr(dict(found.state.params))
    assert {k: repr(v) for k, v in found.record.params.items()} == {k: repr(v) for k, v in found.params.items()}


# --- any texts whatever


TEXT = st.text(st.characters(), max_size=20) | st.sampled_from(
    [os.fsdecode(b"caf\xe9"), "\0", "\ud800", "\u2028", "---\n"]
)


@settings(max_examples=15)
@given(TEXT, TEXT, TEXT, TEXT)
def test_no_text_can_keep_a_run_from_being_recorded(any_project: Project, a: str, b: str, c: str, d: str) -> None:
    with pytest.raises(OSError), any_project.start_run() as run:
        run.log_param("p", a)
        run.set_tag("t", b)
        run.describe(c)
        run.log_text(d, "text.txt")
        run.record_seeds({"x": 1})
        run.event("something newer", text=d)
        raise FileNotFoundError(2, d, a)
    found = any_project.get_run(run.id)
    assert found.status == "failed"
    assert found.record.error is not None
    assert found.record.error.type == "FileNotFoundError"
    assert found.record.params.keys() == {"p"}


@pytest.fixture(scope="module")
def any_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    import subprocess

    path = tmp_path_factory.mktemp("any") / "repo"
    subprocess.run(["git", "init", "--quiet", str(path)], check=True)
    subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-q", "--allow-empty", "-m", "x"],
        cwd=path,
        check=True,
    )
    return Project.open(path)


# --- the end


def test_finish_is_final_and_may_be_repeated(project: Project) -> None:
    run = project.start_run()
    assert run.active
    commit = run.finish()
    assert commit is not None
    assert not run.active
    assert run.finish("failed") == commit
    for call in (
        lambda: run.log_metric("a", 1),
        lambda: run.log_metrics({"a": 1}),
        lambda: run.log_param("a", 1),
        lambda: run.set_tag("a", 1),
        lambda: run.describe("x"),
        lambda: run.log_text("x", "x"),
    ):
        with pytest.raises(RunClosed, match="resume"):
            call()
    assert recorded(project, run).status == "finished"


def test_finish_with_a_status_and_an_error(project: Project) -> None:
    run = project.start_run()
    run.finish("failed", Failure(type="Diverged", message="loss is nan", exit_code=3))
    found = recorded(project, run)
    assert found.status == "failed"
    assert found.record.error == Failure(type="Diverged", message="loss is nan", exit_code=3)


@pytest.mark.parametrize(
    ("error", "status", "failure"),
    [
        (ValueError("no"), "failed", ("ValueError", "no", None, None)),
        (SystemExit(0), "finished", None),
        (SystemExit(None), "finished", None),
        (SystemExit(3), "failed", ("SystemExit", None, 3, None)),
        (SystemExit("bye"), "failed", ("SystemExit", "bye", 1, None)),
        (KeyboardInterrupt(), "killed", ("KeyboardInterrupt", None, None, "SIGINT")),
        (ValueError("x" * 100_000), "failed", ("ValueError", "x" * 2000, None, None)),
        (OSError(2, "no such file", os.fsdecode(b"caf\xe9")), "failed", None),
    ],
    ids=repr,
)
def test_how_the_block_is_left_is_how_the_run_ended(
    project: Project, error: BaseException, status: str, failure: Any
) -> None:
    with pytest.raises(type(error)), project.start_run() as run:
        run.log_metric("a", 1)
        raise error
    found = recorded(project, run)
    assert found.status == status
    if failure is not None:
        got = found.record.error
        assert got is not None
        assert (got.type, got.message, got.exit_code, got.signal) == failure
        if not isinstance(error, SystemExit):
            assert "raise error" in (got.traceback or "")


def test_an_exception_that_cannot_be_printed(project: Project) -> None:
    class Bad(Exception):
        def __str__(self) -> str:
            raise RuntimeError("cannot even say so")

    with pytest.raises(Bad), project.start_run() as run:
        raise Bad
    assert recorded(project, run).status == "failed"


def test_judge_without_an_error() -> None:
    assert judge(None) == (Status.FINISHED, None)


# --- threads


def test_the_value_of_a_run_is_the_mean_over_its_folds(project: Project) -> None:
    with project.start_run("cv", console=False) as run:
        run.log_metric("epochs", 7)
        for fold, acc in enumerate((0.5, 0.7, 0.6)):
            run.log_fold(fold, {"val/acc": acc, "epochs": np.float32(fold)}, of=3)
        run.log_fold(2, {"val/acc": 0.9}, of=3)  # once more: the last counts
    done = recorded(project, run)
    assert done.metrics["val/acc"] == pytest.approx(0.7)
    assert done.metrics["epochs"] == 1.0
    assert done.history("epochs").values.tolist() == [7.0, 1.0]
    assert done.metrics["fold/2/val/acc"] == 0.9
    # Folds come last, since of a long record the end is cut off.
    assert list(done.metrics)[:2] == ["epochs", "val/acc"]
    assert done.record.warnings == ()


def test_folds_of_several_attempts_are_one_cross_validation(project: Project) -> None:
    with project.start_run("cv", console=False) as run:
        run.log_fold(1, {"acc": 0.5}, of=3)
        run.log_fold(2, {"acc": 0.75}, of=3)
    half = recorded(project, run)
    assert half.metrics["acc"] == 0.625
    assert half.record.warnings == ("acc is the mean over 2 of 3 folds; the others were not logged",)
    with project.start_run(resume="cv", console=False) as again:
        again.log_fold(3, {"acc": 1.0}, of=3)
    whole = recorded(project, again)
    assert whole.metrics["acc"] == 0.75
    assert whole.history("acc").values.tolist() == [0.625, 0.75]
    assert whole.record.warnings == ()


def test_folds_logged_by_forked_children(project: Project) -> None:
    with project.start_run("cv", console=False) as run:
        for fold in range(3):
            child = os.fork()
            if child == 0:
                run.log_fold(fold, {"acc": fold / 4}, of=3)
                os._exit(0)
            os.waitpid(child, 0)
    assert recorded(project, run).metrics["acc"] == 0.25


@pytest.mark.parametrize(
    ("fold", "metrics", "of"),
    [(-1, {"a": 1}, None), ("x", {"a": 1}, None), (4, {"a": 1}, 3), (0, {"a": "x"}, None), (0, {"": 1}, None),
     (0, {"fold/1/a": 1}, None), (0, {"a": 1}, 1), (0, {1: 1}, None)],
)  # fmt: skip
def test_what_is_no_fold_raises_and_records_nothing(project: Project, fold: Any, metrics: Any, of: Any) -> None:
    with project.start_run("cv", console=False) as run, pytest.raises(UsageError):
        run.log_fold(fold, metrics, of=of)
    assert recorded(project, run).metrics == {}


def test_threads_log_into_one_run(project: Project) -> None:
    with project.start_run() as run:

        def log(number: int) -> None:
            for step in range(500):
                run.log_metric(f"t{number}", step)
            run.log_param(f"p{number}", number)
            run.set_tag(f"t{number}", number)
            run.log_text(str(number), f"{number}.txt")

        threads = [threading.Thread(target=log, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = recorded(project, run)
    assert all(list(found.history(f"t{number}").values) == list(range(500)) for number in range(8))
    assert found.params == {f"p{number}": number for number in range(8)}
    assert len(found.tags) == len(found.artifacts) == 8


def test_a_thread_that_logs_while_the_run_ends_gets_a_clear_answer(project: Project) -> None:
    run = project.start_run()
    acknowledged, answers = [0], []
    started = threading.Event()

    def log() -> None:
        try:
            while True:
                run.log_metric("a", acknowledged[0], acknowledged[0])
                acknowledged[0] += 1
                started.set()
        except BaseException as error:
            answers.append(error)

    thread = threading.Thread(target=log)
    thread.start()
    started.wait()
    run.finish()
    thread.join()
    assert isinstance(answers[0], RunClosed)
    assert len(recorded(project, run).history("a")) >= acknowledged[0]


def test_a_metric_with_a_wrong_value_does_not_end_the_run(project: Project) -> None:
    with project.start_run() as run:
        with pytest.raises(InvalidValue):
            run.log_metric("a", "x")
        run.log_metric("a", 2)
    assert recorded(project, run).metrics == {"a": 2.0}
