"""Choosing, sorting and counting runs."""

from __future__ import annotations

import math

import pytest

from gittrack.domain.run import Status
from gittrack.errors import FilterError, UsageError
from gittrack.index.syntax import parse
from tests.index.samples import BEGINNING, a_run


def _names(states):
    return [state.name for state in states]


def test_newest_first_and_ties_by_id(index_of):
    index = index_of(a_run(2, started=BEGINNING), a_run(1, started=BEGINNING), a_run(3, started=BEGINNING + 1))
    assert _names(index.select()) == ["run-3", "run-1", "run-2"]


def test_runs_come_back_as_they_were(index_of):
    one = a_run(params={"lr": 0.1, "none": None, "layers": [64, {"a": math.inf}]}, metrics={"loss": math.inf})
    assert index_of(one).select() == [one]


def test_limit_and_offset(index_of):
    index = index_of(*(a_run(number) for number in range(1, 8)))
    assert _names(index.select(limit=2)) == ["run-7", "run-6"]
    assert _names(index.select(limit=2, offset=3)) == ["run-4", "run-3"]
    assert _names(index.select(offset=5)) == ["run-2", "run-1"]
    assert index.select(limit=0) == []
    assert len(index.select(limit=10**30)) == 7


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("params.x", "minus half ten-text ten b-text a-list nan none missing"),
        ("-params.x", "ten-text ten half minus nan a-list b-text none missing"),
    ],
)
def test_numbers_before_texts_before_nothing_either_way(index_of, sort, order):
    values = {
        "missing": ...,
        "none": None,
        "b-text": "B",
        "a-list": ["a"],
        "nan": math.nan,
        "ten": 10,
        "ten-text": "10",
        "half": 0.5,
        "minus": -math.inf,
    }
    states = [
        a_run(number, name=name, params={} if value is ... else {"x": value})
        for number, (name, value) in enumerate(values.items())
    ]
    assert _names(index_of(*states).select(sort=sort)) == order.split()


@pytest.mark.parametrize("sort", ["metrics.acc", "-metrics.acc"])
def test_what_was_not_measured_comes_last(index_of, sort):
    index = index_of(
        a_run(1, metrics={"acc": 0.5}), a_run(2), a_run(3, metrics={"acc": math.nan}), a_run(4, metrics={"acc": 0.5})
    )
    assert _names(index.select(sort=sort)) == ["run-4", "run-1", "run-3", "run-2"]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("started", ["a", "b", "c"]),
        ("-started", ["c", "b", "a"]),
        ("name", ["a", "b", "c"]),
        ("-duration", ["b", "a", "c"]),
        ("duration", ["a", "b", "c"]),
        ("host", ["b", "c", "a"]),
        ("-host", ["c", "b", "a"]),
        ("-dirty", ["b", "c", "a"]),
    ],
)
def test_sorting_by_fields_of_the_run(index_of, sort, order):
    index = index_of(
        a_run(1, name="a", host="", ended=BEGINNING + 61),
        a_run(2, name="b", host="alpha", ended=BEGINNING + 200, dirty=True),
        a_run(3, name="c", host="beta", ended=None),
    )
    assert _names(index.select(sort=sort)) == order


def test_deleted_runs_are_shown_only_when_asked_for(index_of):
    index = index_of(a_run(1), a_run(2, deleted=True))
    assert _names(index.select()) == ["run-1"]
    assert _names(index.select(deleted=True)) == ["run-2", "run-1"]
    assert (index.count(), index.count(deleted=True)) == (1, 2)


def test_one_experiment(index_of):
    index = index_of(a_run(1), a_run(2, experiment="mnist/cnn"), a_run(3, experiment="mnist"))
    assert _names(index.select(experiment="mnist")) == ["run-3"]
    assert index.count(parse("name ~ run"), experiment="digits") == 1
    assert index.select(experiment="\udcff") == []


def test_experiments_newest_first(index_of):
    index = index_of(a_run(1), a_run(2), a_run(3, experiment="mnist"), a_run(4, experiment="gone", deleted=True))
    assert index.experiments() == [("mnist", 1, BEGINNING + 180), ("digits", 2, BEGINNING + 120)]
    assert index.experiments()[0].newest == BEGINNING + 180


def test_keys(index_of):
    index = index_of(a_run(params={"b": 1, "a": None}, metrics={"m/x": 1.0}), a_run(params={"b": 2}, tags={"t": ""}))
    assert index.keys("params") == ["a", "b"]
    assert index.keys("metrics") == ["m/x"]
    assert index.keys("tags") == ["t"]


def test_keys_go_with_the_last_run_that_has_them(index_of):
    index = index_of(a_run(1, params={"a": 1, "b": 1}), a_run(2, params={"a": 1}))
    index.select(parse("params.b = 1"))
    index.update([a_run(2, params={"a": 1})])
    assert index.keys("params") == ["a"]


# --- the best


def test_best(index_of):
    index = index_of(
        a_run(1, metrics={"acc": 0.5}),
        a_run(2, metrics={"acc": 0.9}),
        a_run(3, metrics={"acc": 0.9}),
        a_run(4, metrics={"acc": math.nan}),
        a_run(5, metrics={"acc": math.inf}),
        a_run(6, metrics={"acc": 0.99}, status=Status.RUNNING),
        a_run(7, metrics={"acc": 0.99}, deleted=True),
        a_run(8, metrics={"acc": 0.1}, experiment="mnist"),
        a_run(9),
    )
    assert _names(index.best("acc", "max")) == ["run-3"]
    assert _names(index.best("acc", "min")) == ["run-8"]
    assert _names(index.best("acc", "min", experiment="digits")) == ["run-1"]
    assert _names(index.best("acc", "max", limit=None)) == ["run-3", "run-2", "run-1", "run-8"]
    assert _names(index.best("acc", "max", where=parse("metrics.acc < 0.6"))) == ["run-1"]
    with pytest.raises(FilterError, match=r"no run has the metric 'ac'; the nearest is metrics\.acc"):
        index.best("ac", "max")
    with pytest.raises(UsageError, match="must be 'min' or 'max'"):
        index.best("acc", "up")


# --- keys that nobody has


@pytest.mark.parametrize(
    ("expression", "position", "message"),
    [
        ("params.lr = 1 and metrics.val/ac > 1", 18, "no run has the metric 'val/ac'; the nearest is metrics.val/acc"),
        ("params.val/acc > 1", 0, "no run has the param 'val/acc'; there is metrics.val/acc"),
        ("tags.zzz = 1", 0, "no run has the run tag 'zzz'; 'gittrack ls' shows the keys in use"),
        ("not (params.odd_key = 1)", 5, "the nearest is params.`odd key`"),
    ],
)
def test_an_unknown_key_names_the_nearest(index_of, expression, position, message):
    index = index_of(a_run(params={"lr": 1, "odd key": 1}, metrics={"val/acc": 0.5}, tags={"kind": "cv"}))
    with pytest.raises(FilterError) as caught:
        index.select(parse(expression))
    assert message in str(caught.value)
    assert caught.value.position == position
    assert caught.value.expression == expression


def test_an_unknown_sort_key_names_the_nearest(index_of):
    index = index_of(a_run(metrics={"val/acc": 0.5}))
    with pytest.raises(FilterError, match=r"the nearest is metrics\.val/acc"):
        index.select(sort="-metrics.val/ac")


def test_an_unknown_key_may_be_asked_for_null(index_of):
    index = index_of(a_run(1))
    assert len(index.select(parse("tags.reviewed is null"))) == 1
    assert index.select(parse("tags.reviewed is not null")) == []


def test_without_runs_every_key_is_fine(index):
    assert index.select(parse("params.lr = 1"), sort="-metrics.x") == []
    assert index.count(parse("not params.lr = 1")) == 0
    assert index.best("acc", "max") == []
    assert index.experiments() == []
