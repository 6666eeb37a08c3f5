from __future__ import annotations

import dataclasses
from typing import Any

from gittrack.compare.baseline import find_baseline
from gittrack.domain.run import RunState, Status


def run(number: int, **fields: Any) -> RunState:
    plain = RunState(f"{number:032x}", f"run-{number}", "digits", Status.FINISHED, float(number), code_commit="c")
    return dataclasses.replace(plain, **fields)


def test_the_newest_on_the_merge_base() -> None:
    runs = [run(1, code_commit="base"), run(2, code_commit="base"), run(3)]
    found = find_baseline(run(9), "base", runs)
    assert found is not None
    assert found.run.name == "run-2"
    assert found.reason == "the newest run on the merge base base"


def test_else_the_run_before() -> None:
    for merge_base in (None, "elsewhere"):
        found = find_baseline(run(9), merge_base, [run(4), run(7), run(5)])
        assert found is not None
        assert found.run.name == "run-7"
        assert found.reason == "the run before it in experiment digits"


def test_what_cannot_be_a_baseline() -> None:
    others = [
        run(9),
        run(10),
        run(1, experiment="other"),
        run(2, status=Status.FAILED),
        run(3, status=Status.RUNNING),
        run(4, deleted=True),
    ]
    assert find_baseline(run(9), "c", others) is None
