"""What runs can say of which param mattered, on made-up tables whose truth is known."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from gittrack.compare.evaluators import evaluator
from gittrack.compare.importance import Rows, Varied, design, importances, warnings


def table(runs: int, seed: int = 0) -> list[dict[str, Any]]:
    """A rate, a depth and a choice, drawn anew for each run."""
    dice = random.Random(seed)
    return [
        {"lr": 10 ** dice.uniform(-4, 0), "depth": dice.randint(1, 9), "opt": dice.choice(["adam", "sgd"])}
        for _ in range(runs)
    ]


def ask(params: Sequence[Mapping[str, Any]], values: Sequence[float], method: str, resamples: int = 0) -> Any:
    plan = design(params)
    evaluate = evaluator(method, plan.varied, values, "max")
    return importances(evaluate, [one.key for one in plan.varied], len(params), resamples=resamples)


@pytest.mark.parametrize("method", ["ped-anova", "fanova", "mdi"])
def test_the_param_that_makes_the_metric_comes_first(method: str) -> None:
    params = table(60)
    first, *others = ask(params, [-abs(math.log10(one["lr"]) + 2) for one in params], method)
    assert first.key == "lr"
    assert first.share > 0.5
    assert first.share + sum(one.share for one in others) == pytest.approx(1)
    assert first.low is None


def test_resamples_and_shuffles_tell_what_chance_does() -> None:
    params = table(60)
    (first, *_) = ask(params, [-abs(math.log10(one["lr"]) + 2) for one in params], "ped-anova", 20)
    assert first.low <= first.share <= first.high
    assert first.chance == pytest.approx(1 / 21)
    dice = random.Random(1)
    noise = ask(params, [dice.random() for _ in params], "ped-anova", 20)
    assert all(one.chance > 1 / 21 for one in noise)
    dice = random.Random(1)
    assert noise == ask(params, [dice.random() for _ in params], "ped-anova", 20)


@pytest.mark.parametrize("method", ["ped-anova", "fanova", "mdi"])
def test_numbers_at_the_ends_of_what_there_is(method: str) -> None:
    params = [{"a": 1e-320 if at % 2 else 1e308, "b": 1e29 * at, "c": 10**400 if at % 3 else -1} for at in range(12)]
    for values in ([1e-320 * (at % 2) for at in range(12)], [1.7e308 * (-1) ** at for at in range(12)]):
        assert {one.key for one in ask(params, values, method)} == {"a", "b", "c"}


def test_kinds_are_told_from_the_values() -> None:
    params = [
        {
            "lr": 10.0**-at,
            "width": 8 + at,
            "on": bool(at % 2),
            "some": 1 if at else None,
            "list": [at % 2],
            "mixed": at % 2 or "x",
        }
        for at in range(4)
    ]
    del params[0]["some"]
    kinds = {one.key: one.kind for one in design(params).varied}
    assert kinds == {
        "lr": "log",
        "width": "number",
        "on": "choice",
        "list": "choice",
        "mixed": "choice",
        "some": "choice",
    }


def test_what_cannot_be_asked_is_named() -> None:
    params = [
        {
            "same": 1 if at else 1.0,
            "nan": math.nan,
            "folder": f"out/{at}",
            "huge": (-1) ** at * 1.7e308,
            "whole": 10**400 + at % 2,
        }
        for at in range(30)
    ]
    found = design(params)
    assert found.constant == ("same", "nan")
    assert found.scattered == ("folder",)
    assert [one.key for one in found.varied] == ["huge", "whole"]
    assert all(map(math.isfinite, found.varied[0].values))


def test_params_that_cannot_be_told_apart_are_named() -> None:
    dice = random.Random(3)
    params = []
    for at in range(40):
        lr = dice.random()
        params.append(
            {
                "lr": lr,
                "warmup": -3 * lr,
                "model": "ab"[at % 2],
                "width": (at % 2) * 32,
                "free": dice.random(),
                "deep": at % 3,
            }
        )
    assert set(design(params).confounded) == {("lr", "warmup"), ("model", "width")}


def test_warnings_are_sentences_about_what_there_is() -> None:
    found = design([{"lr": at, "same": 1} for at in range(5)])
    few, constant, seed = warnings(found, 5, False, {"seed"})
    assert few.startswith("5 runs for 1 params are fewer than 10")
    assert constant == "left out, the same in every run: same"
    assert seed == "left out, a seed: seed"
    assert warnings(design(table(100)), 100, False, set()) == []


def test_what_is_not_finite_or_nothing_at_all_has_no_share() -> None:
    def nothing(rows: Rows, targets: Rows) -> dict[str, float]:
        return {"a": math.nan, "b": 0.0}

    assert [one.share for one in importances(nothing, ["a", "b", "c"], 3, resamples=0)] == [0.0, 0.0, 0.0]
    assert design([]).varied == ()
    assert design([{"lr": 1}]).constant == ("lr",)
    assert design([{"lr": 1}, {"lr": 2}]).varied == (Varied("lr", "number", (1.0, 2.0)),)
