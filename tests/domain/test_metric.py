from __future__ import annotations

import decimal
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.domain.metric import (
    FOLD_MAX,
    STEP_MAX,
    STEP_MIN,
    History,
    Point,
    fold_key,
    fold_of,
    folds_of,
    is_detail,
    summarize,
    to_fold,
    to_number,
    to_step,
    with_fold_means,
)
from gittrack.errors import InvalidValue

points = st.lists(
    st.tuples(st.integers(STEP_MIN, STEP_MAX) | st.integers(-2, 2), st.floats() | st.sampled_from([1e308, -1e308])),
    min_size=1,
)


def _history(of):
    history = History("loss")
    for number, (step, value) in enumerate(of):
        history.steps.append(step)
        history.values.append(value)
        history.times.append(float(number))
    return history


@given(points)
def test_a_history_is_its_points_in_order(of):
    history = _history(of)
    assert len(history) == len(of)
    assert repr(list(history)) == repr([Point(step, value, float(n)) for n, (step, value) in enumerate(of)])


@given(points)
def test_the_summary(of):
    found = summarize(_history(of))
    top = max(step for step, _ in of)
    last = max(number for number, (step, _) in enumerate(of) if step == top)
    numbers = [value for _, value in of if not math.isnan(value)]
    assert (found.count, found.nans) == (len(of), len(of) - len(numbers))
    assert (found.last_step, found.last_time) == (top, float(last))
    assert repr(found.last) == repr(of[last][1])
    if not numbers:
        assert math.isnan(found.min)
        assert math.isnan(found.max)
        assert math.isnan(found.mean)
        return
    assert (found.min, found.max) == (min(numbers), max(numbers))
    if all(abs(value) < 1e300 for value in numbers):
        assert found.mean == pytest.approx(np.mean(numbers), rel=1e-9, abs=1e-9 * max(map(abs, numbers), default=1))


def test_the_last_value_is_that_of_the_highest_step():
    assert summarize(_history([(3, 0.3), (1, 0.1), (2, 0.2)])).last == 0.3
    assert summarize(_history([(0, 0.1), (0, 0.2)])).last == 0.2
    assert summarize(_history([(5, 0.1), (5, 0.2), (4, 0.9)])).last == 0.2


class Tensor:
    def __init__(self, value):
        self.value = value

    def item(self):
        if isinstance(self.value, list):
            raise RuntimeError("a Tensor with 2 elements cannot be converted to Scalar")
        return self.value


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0),
        (True, 1.0),
        (0.5, 0.5),
        (-math.inf, -math.inf),
        (10**400, math.inf),
        (-(10**400), -math.inf),
        (np.float32(0.5), 0.5),
        (np.int8(3), 3.0),
        (np.array(0.25), 0.25),
        (np.array([[0.25]]), 0.25),
        (Tensor(2.0), 2.0),
        (decimal.Decimal("0.5"), 0.5),
    ],
)
def test_numbers(value, number):
    found = to_number("loss", value)
    assert found == number
    assert type(found) is float


def test_nan_is_a_number():
    assert math.isnan(to_number("loss", math.nan))
    assert math.isnan(to_number("loss", np.float16("nan")))


@pytest.mark.parametrize(
    "value", ["0.5", b"1", None, 1j, np.str_("1"), [1], {}, object(), np.array([1, 2]), np.array([]), Tensor([1, 2])]
)
def test_what_is_no_number(value):
    with pytest.raises(InvalidValue, match="metric 'loss' must be"):
        to_number("loss", value)


@pytest.mark.parametrize(
    ("step", "number"),
    [(3, 3), (-1, -1), (3.0, 3), (np.int64(7), 7), (np.array([7]), 7), (Tensor(2), 2), (STEP_MAX, STEP_MAX)],
)
def test_steps(step, number):
    found = to_step(step)
    assert found == number
    assert type(found) is int


@pytest.mark.parametrize(
    "step",
    [1.5, math.nan, math.inf, "3", None, True, np.bool_(True), STEP_MAX + 1, STEP_MIN - 1, np.array([1, 2]), 1e30],
)
def test_what_is_no_step(step):
    with pytest.raises(InvalidValue):
        to_step(step)


@given(st.integers(0, FOLD_MAX), st.text(st.characters(exclude_categories=("C", "Z")), min_size=1))
def test_a_fold_and_its_metric_come_back_from_the_key(fold, key):
    assert fold_of(fold_key(fold, key)) == (fold, key)
    assert is_detail(fold_key(fold, key))


@pytest.mark.parametrize("key", ["fold/x/acc", "fold/01/acc", "fold/1", "fold/1/", "fold/-1/acc", "folds/1/acc", "acc"])
def test_what_is_no_fold(key):
    assert fold_of(key) is None
    assert not is_detail(key)


def _plain(histories):
    return {key: [(one.step, one.value, one.time) for one in history] for key, history in histories.items()}


def _folds(**values):
    return {f"fold/{fold[1:]}/acc": _history([(0, value)]) for fold, value in values.items()}


def test_the_mean_over_folds_is_one_more_point():
    folds = _folds(_0=0.5, _1=0.75)
    mean = with_fold_means(folds)
    assert _plain(mean) == {**_plain(folds), "acc": [(0, 0.625, 0.0)]}
    # Made again, as where a run is resumed: a mean that is there already is not repeated, another one comes after it.
    assert _plain(with_fold_means(mean)) == _plain(mean)
    more = with_fold_means({**mean, **_folds(_2=1.0)})
    assert _plain(more)["acc"] == [(0, 0.625, 0.0), (1, 0.75, 0.0)]


def test_a_curve_of_the_same_name_stays_and_the_mean_comes_after_it():
    curve = _history([(0, 0.1), (STEP_MAX, 0.2)])
    mean = with_fold_means({"acc": curve, **_folds(_0=0.5, _1=0.7)})
    assert [value for _, value, _ in _plain(mean)["acc"]] == [0.1, 0.2, 0.6]
    assert summarize(mean["acc"]).last == 0.6
    assert len(curve) == 2


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ((math.nan, 1.0), math.nan),
        ((math.inf, 1.0), math.inf),
        ((math.inf, -math.inf), math.nan),
        ((1e308,) * 3, 1e308),
    ],
)
def test_folds_that_diverged(values, mean):
    found = summarize(with_fold_means(_folds(**{f"_{at}": one for at, one in enumerate(values)}))["acc"]).last
    assert found == pytest.approx(mean, nan_ok=True) or math.isinf(found)


def test_folds_by_metric():
    assert folds_of({"acc": 0.5, "fold/0/acc": 1.0, "fold/0/val/acc": 2.0, "fold/10/acc": 3.0}) == {
        "acc": {0: 1.0, 10: 3.0},
        "val/acc": {0: 2.0},
    }


@pytest.mark.parametrize(
    ("fold", "of"), [(-1, None), (FOLD_MAX + 1, None), (6, 5), (0, 1), (True, None), ("a", 5), (0, "b")]
)
def test_no_fold(fold, of):
    with pytest.raises(InvalidValue, match="fold"):
        to_fold(fold, of)


def test_folds_are_counted_from_0_or_from_1():
    assert [to_fold(fold, 5) for fold in (0, 5, np.int64(3), 2.0)] == [0, 5, 3, 2]
