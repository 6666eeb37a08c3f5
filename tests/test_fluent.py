"""The plain functions: a thin coat over the run that is active here."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import gittrack
from gittrack import fluent
from gittrack.errors import DirtyTree, NotARepository, RepositoryError, RunClosed, UnknownRun, UsageError
from gittrack.tracking.active import active_runs
from tests.helpers import Repo


@pytest.fixture(autouse=True)
def here(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repo]:
    monkeypatch.chdir(repo.path)
    monkeypatch.setenv("GITTRACK_RUN_SYSTEM_METRICS", "off")
    monkeypatch.setenv("GITTRACK_RUN_CONSOLE", "false")
    monkeypatch.setattr(fluent, "_opened", {})
    token = fluent._stack.set(())
    yield repo
    fluent._stack.reset(token)
    for run in active_runs():
        run.abandon()


def test_every_function_logs_to_the_current_run(here: Repo, tmp_path: Path) -> None:
    import matplotlib.pyplot as plt
    import numpy as np

    here.write("data.csv", "a\n")
    here.commit()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").write_text("x")
    with gittrack.start_run("it", experiment="e", params={"a": 1}, tags={"t": 1}, description="d") as run:
        assert gittrack.active_run() is run
        gittrack.log_metric("m", 0.5, step=3)
        gittrack.log_metrics({"n": 1, "o": 2})
        gittrack.log_param("b", 2)
        gittrack.log_params({"c": {"d": 3}})
        gittrack.set_tag("u", "v")
        gittrack.set_tags({"w": True})
        gittrack.describe("better")
        gittrack.log_artifact(tmp_path / "out" / "x", "one/x")
        gittrack.log_artifacts(tmp_path / "out")
        gittrack.log_text("text", "t.txt")
        gittrack.log_dict({"k": 1}, "d.json")
        gittrack.log_table([{"r": 1}], "t.csv")
        figure = plt.figure()
        gittrack.log_figure(figure, "f.png")
        plt.close(figure)
        gittrack.log_image(np.zeros((2, 2)), "i.png")
        assert gittrack.use("data.csv") == Path("data.csv")
        assert gittrack.set_seeds(7)["python"] == 7
    found = gittrack.get_run("it")
    assert (found.params, found.description) == ({"a": 1, "b": 2, "c.d": 3}, "better")
    assert found.metrics == {"m": 0.5, "n": 1.0, "o": 2.0}
    assert found.tags == {"t": "1", "u": "v", "w": "true"}
    assert sorted(one.path for one in found.artifacts) == [
        "d.json", "f.png", "i.png", "out/x", "t.csv", "t.txt", "x",
    ]  # fmt: skip
    assert found.environment.to_dict()["seeds"]["python"] == 7
    assert [run.name for run in gittrack.runs("params.a = 1")] == ["it"]
    assert gittrack.experiments()[0][0] == "e"


def test_without_a_run_there_is_a_clear_answer() -> None:
    assert gittrack.active_run() is None
    for call in (
        lambda: gittrack.log_metric("a", 1),
        lambda: gittrack.log_params({}),
        lambda: gittrack.set_tag("a", 1),
        lambda: gittrack.finish(),
    ):
        with pytest.raises(UsageError, match="start one"):
            call()


def test_set_seeds_needs_no_run() -> None:
    gittrack.set_seeds(3)
    first = random.random()
    gittrack.set_seeds(3)
    assert random.random() == first


def test_set_seeds_takes_the_seed_that_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="there is no seed; pass one"):
        gittrack.set_seeds()
    monkeypatch.setenv("GITTRACK_SEED", "7")
    assert gittrack.set_seeds()["python"] == 7
    assert gittrack.set_seeds(3)["python"] == 3
    monkeypatch.setenv("GITTRACK_SEED", "many")
    with pytest.raises(UsageError, match="GITTRACK_SEED must be a whole number, not 'many'"):
        gittrack.set_seeds()


def test_finish_by_hand() -> None:
    gittrack.start_run("it")
    gittrack.log_metric("a", 1)
    commit = gittrack.finish("failed")
    assert gittrack.get_run("it").commit == commit
    assert gittrack.get_run("it").status == "failed"
    assert gittrack.active_run() is None


def test_after_a_nested_run_the_outer_one_is_current_again() -> None:
    with gittrack.start_run("outer") as outer:
        with gittrack.start_run("inner", nested=True) as inner:
            assert gittrack.active_run() is inner
        assert gittrack.active_run() is outer
        with pytest.raises(RunClosed):
            inner.log_metric("a", 1)


def test_nested_without_an_outer_run_is_a_run() -> None:
    with gittrack.start_run("it", nested=True) as run:
        assert run.parent is None


def test_a_parent_by_name() -> None:
    with gittrack.start_run("first") as first:
        pass
    with gittrack.start_run("second", parent="first") as second:
        assert second.parent == first.id
    with pytest.raises(UnknownRun):
        gittrack.start_run(parent="nobody")


def test_a_new_thread_logs_to_the_only_run_there_is() -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            gittrack.log_metric("thread", 1)
        except BaseException as error:
            errors.append(error)

    with gittrack.start_run("it"):
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []
    assert len(gittrack.get_run("it").history("thread")) == 4


def test_threads_may_have_a_run_each() -> None:
    together = threading.Barrier(4)
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            with gittrack.start_run(f"t{number}"):
                together.wait()
                for _ in range(50):
                    gittrack.log_metric("n", number)
                together.wait()
        except BaseException as error:
            errors.append(error)
            together.abort()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert {run.name: set(run.history("n").values) for run in gittrack.runs()} == {
        f"t{number}": {float(number)} for number in range(4)
    }


def test_a_thread_that_cannot_know_which_of_several_runs_is_meant() -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            gittrack.log_metric("a", 1)
        except UsageError as error:
            errors.append(error)

    with gittrack.start_run("outer"), gittrack.start_run("inner", nested=True):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert "several runs are active" in str(errors[0])


def test_tasks_with_a_run_each() -> None:
    async def work(number: int) -> None:
        with gittrack.start_run(f"t{number}"):
            for _ in range(5):
                gittrack.log_metric("n", number)
                await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*(work(number) for number in range(3)))

    asyncio.run(main())
    assert {run.name: set(run.history("n").values) for run in gittrack.runs()} == {
        f"t{number}": {float(number)} for number in range(3)
    }


def test_outside_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotARepository, match="git init"):
        gittrack.start_run()
    with pytest.raises(NotARepository):
        gittrack.runs()


def test_in_a_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    away = tmp_path / "away"
    away.mkdir()
    monkeypatch.chdir(away)
    away.rmdir()
    with pytest.raises(RepositoryError, match="gone"):
        gittrack.start_run()


def test_the_folder_at_the_call_says_which_repository(
    here: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Repo.init(tmp_path / "other")
    with gittrack.start_run("one"):
        pass
    monkeypatch.chdir(other.path)
    with gittrack.start_run("two"):
        pass
    assert [run.name for run in gittrack.runs()] == ["two"]
    monkeypatch.chdir(here.path)
    assert [run.name for run in gittrack.runs()] == ["one"]


def test_settings_that_change_are_seen_at_once(here: Repo) -> None:
    with gittrack.start_run() as first:
        pass
    here.write(".gittrack/config.yaml", "experiment: digits\n")
    here.commit()
    with gittrack.start_run() as second:
        pass
    assert (first.experiment, second.experiment) == ("default", "digits")


def test_a_dirty_tree_raises_the_public_class(here: Repo) -> None:
    here.write("train.py", "changed")
    with pytest.raises(gittrack.DirtyTree) as raised:
        gittrack.start_run()
    assert isinstance(raised.value, DirtyTree)
    with gittrack.start_run(allow_dirty="tracked"):
        pass


def test_warnings_reach_the_terminal_without_any_configuration_of_logging(here: Repo) -> None:
    code = "import gittrack\nwith gittrack.start_run(params={'a': 1}) as run:\n    run.log_param('a', 2)\n"
    done = here.python(code)
    assert "gittrack: param 'a' was 1 and is now 2" in done.stderr
    assert logging.getLogger("gittrack").level == logging.NOTSET


def test_importing_costs_next_to_nothing(here: Repo) -> None:
    code = "import gittrack, sys; print(sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = eval(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert not {"dulwich", "dvc", "yaml", "numpy", "pyarrow", "psutil", "click", "scipy", "pandas"} & set(loaded)


def test_a_notebook_like_session(here: Repo) -> None:
    """Cells run again, runs left open and closed in any order, exceptions shown and forgotten."""
    first = gittrack.start_run("first")
    with pytest.raises(UsageError):
        gittrack.start_run("again")
    first.finish()
    second = gittrack.start_run("again")
    inner = gittrack.start_run("inner", nested=True)
    second.finish()
    assert gittrack.active_run() is inner
    inner.finish()
    assert os.listdir(here.path / ".git" / "gittrack" / "live") == []
    assert {run.name: run.status for run in gittrack.runs()} == {
        "first": "finished",
        "again": "finished",
        "inner": "finished",
    }
