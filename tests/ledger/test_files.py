"""The files of a run: what was logged comes back from them exactly."""

from __future__ import annotations

import math
import struct
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.domain.codec import param_from_json, param_to_json
from gittrack.domain.environment import Environment
from gittrack.domain.metric import History
from gittrack.domain.param import flatten, unflatten
from gittrack.errors import CorruptRecord, InvalidName, InvalidValue
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.files import (
    from_parquet,
    from_tsv,
    from_yaml,
    read_record_files,
    run_files,
    thin,
    to_parquet,
    to_tsv,
    to_yaml,
)
from tests.helpers import Repo
from tests.ledger.builders import history, record


def bits(value: float) -> bytes:
    return b"nan" if math.isnan(value) else struct.pack("<d", value)


POINTS = st.lists(
    st.tuples(st.integers(-(2**63), 2**63 - 1), st.floats(), st.floats(0, 4e9), st.integers(1, 9)), max_size=40
)


def made(points: list[tuple[int, float, float, int]], *, attempts: bool, key: str = "a") -> History:
    one = History(key)
    for step, value, time, attempt in points:
        one.steps.append(step)
        one.values.append(value)
        one.times.append(time)
        if attempts:
            one.attempts.append(attempt)
    return one


@given(POINTS, st.booleans())
def test_a_table_of_points_comes_back(points: list[tuple[int, float, float, int]], attempts: bool) -> None:
    one = made(points, attempts=attempts)
    back = from_tsv(to_tsv(one), "a")
    assert back.steps == one.steps
    assert list(map(bits, back.values)) == list(map(bits, one.values))
    assert all(abs(a - b) <= 1e-6 for a, b in zip(back.times, one.times, strict=True))
    assert back.attempts == one.attempts


@given(st.dictionaries(st.text(max_size=4), POINTS, max_size=4), st.booleans())
def test_a_parquet_file_of_points_comes_back(
    histories: dict[str, list[tuple[int, float, float, int]]], attempts: bool
) -> None:
    whole = {key: made(points, attempts=attempts, key=key) for key, points in histories.items() if points}
    if not whole:
        return
    data = to_parquet(whole)
    back = from_parquet(data)
    assert list(back) == list(whole)
    for key, one in whole.items():
        assert back[key].steps == one.steps
        assert list(map(bits, back[key].values)) == list(map(bits, one.values))
        assert list(map(bits, back[key].times)) == list(map(bits, one.times))
        assert back[key].attempts == one.attempts
    some = list(whole)[::2]
    assert set(from_parquet(data, some)) == set(some)
    assert from_parquet(data, ["no such key"]) == {}


@pytest.mark.parametrize(
    "data", [b"", b"step\tvalue\n1\t2\n", b"step\tvalue\ttime\n1\t2\n", b"step\tvalue\ttime\nx\ty\tz\n", b"\xff"]
)
def test_a_damaged_table_is_told(data: bytes) -> None:
    with pytest.raises(CorruptRecord, match=r"git.*fsck"):
        from_tsv(data, "a")


@pytest.mark.parametrize("data", [b"", b"PAR1", b"garbage that is long enough to be a file of some kind, perhaps"])
def test_a_damaged_parquet_file_is_told(data: bytes) -> None:
    with pytest.raises(CorruptRecord, match="fsck"):
        from_parquet(data)


# --- thinning


@given(st.lists(st.floats(), min_size=1, max_size=300), st.integers(4, 60))
def test_thinning_keeps_both_ends_and_the_extremes(values: list[float], rows: int) -> None:
    one = history("a", values)
    thinned = thin(one, rows)
    assert len(thinned) <= max(rows, 1) or len(one) <= rows
    assert list(thinned.steps) == sorted(thinned.steps)
    assert all(bits(one.values[step]) == bits(value) for step, value, _ in thinned)
    assert (thinned.steps[0], thinned.steps[-1]) == (0, len(values) - 1)
    numbers = [value for value in values if not math.isnan(value)]
    if numbers:
        assert min(numbers) in list(thinned.values)
        assert max(numbers) in list(thinned.values)


def test_thinning_is_not_led_astray_by_nan() -> None:
    values = [math.nan, 5.0, -7.0, math.nan, 99.0, 0.0] * 20 + [math.nan] * 40
    values[50] = -1000.0
    thinned = thin(history("a", values), 10)
    assert {-1000.0, 99.0} <= set(thinned.values)


def test_thinning_keeps_the_attempts() -> None:
    one = history("a", range(100))
    one.attempts.extend([1] * 50 + [2] * 50)
    thinned = thin(one, 10)
    assert list(thinned.attempts) == [1 if step < 50 else 2 for step in thinned.steps]


# --- params

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=("Cs",)))
NESTED = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=10,
)
ODD = st.sampled_from(
    ["a..b", ".a", "a.", ".", "a. b", "a.b.c", "a", "a.b", "a. .b", "1", "1.2", "true", "null", "~", "yes", "2024-01-01",
     "1e3", "0x1f", "-", "- a", "? x", "#", "a: b", "é", "\ufeff", "=", "<<", "!!str", "&a", "*a", "@", "%x"]
)  # fmt: skip
KEYS = ODD | st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="`"), min_size=1, max_size=8
).filter(lambda key: bool(key) and key == key.strip())


@given(st.dictionaries(KEYS, NESTED, max_size=6))
def test_any_params_come_back_from_journal_and_files(params: dict[str, Any]) -> None:
    try:
        flat = flatten(params)
    except (InvalidName, InvalidValue):
        return
    journaled = orjson.loads(orjson.dumps({key: param_to_json(value) for key, value in flat.items()}))
    after = {key: param_from_json(value) for key, value in journaled.items()}
    assert repr(after) == repr(flat)
    back = flatten(from_yaml(to_yaml(unflatten(flat)), "it") or {})
    assert repr({key: back[key] for key in sorted(back)}) == repr({key: flat[key] for key in sorted(flat)})


@given(st.dictionaries(KEYS, LEAVES, max_size=12))
def test_flat_params_come_back(flat: dict[str, Any]) -> None:
    back = flatten(unflatten(flat))
    assert repr({key: back[key] for key in sorted(back)}) == repr({key: flat[key] for key in sorted(flat)})


@pytest.mark.parametrize(
    "value", [{"$float": "x"}, {"$float": 1}, {"$int": "1.5"}, {"$float": "nan"}, {"$float": None}]
)
def test_a_param_that_looks_like_our_own_notation(value: Any) -> None:
    """It may come in a list, as it is; nothing may be lost or fail for it."""
    there = orjson.loads(orjson.dumps(param_to_json([value, 7])))
    assert param_from_json(there)[1] == 7


@pytest.mark.parametrize("depth", [30, 200, 499])
def test_very_deep_keys(repo: Repo, depth: int) -> None:
    key = ".".join("a" * depth)
    metric = "/".join("a" * depth)
    one = record(Repository.discover(repo.path), params={key: 1, key + ".b": 2}, histories=[history(metric, [1.0])])
    files = run_files(one, Environment(), {})
    back = read_record_files(files[layout.RUN], files[layout.PARAMS], files[layout.METRICS], "it")
    assert back.params == {key: 1, key + ".b": 2}
    assert back.summary == one.summary


# --- the record


@given(
    st.dictionaries(KEYS, LEAVES, max_size=4),
    st.dictionaries(KEYS, st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")), max_size=3),
    st.lists(st.floats(), min_size=1, max_size=5),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")),
)
def test_any_record_comes_back_from_its_files(
    a_repo: Repository, params: dict[str, Any], tags: dict[str, str], values: list[float], text: str
) -> None:
    one = record(
        a_repo,
        params=params,
        histories=[history(key, values) for key in ("loss", "val/acc")],
        tags=tags,
        description=text,
        command=("python", text, "--x=1"),
        warnings=(text,),
    )
    files = run_files(one, Environment(), {})
    back = read_record_files(files[layout.RUN], files[layout.PARAMS], files[layout.METRICS], "it")
    key = lambda plain: {name: repr(getattr(plain, name)) for name in plain.__dataclass_fields__ if name != "params"}  # noqa: E731
    assert key(back) == key(one)
    assert {k: repr(v) for k, v in back.params.items()} == {k: repr(v) for k, v in one.params.items()}


@pytest.fixture(scope="module")
def a_repo(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    import subprocess

    path = tmp_path_factory.mktemp("files") / "repo"
    subprocess.run(["git", "init", "--quiet", str(path)], check=True)
    return Repository.discover(path)


def test_metrics_json_is_nested_and_strict(a_repo: Repository) -> None:
    histories = [
        history("val/acc", [0.5, 0.75]),
        history("val", [1.0]),
        history("bad", [math.nan]),
        history("train/loss/x", [math.inf]),
    ]
    files = run_files(record(a_repo, histories=histories), Environment(), {one.key: one for one in histories})
    assert orjson.loads(files[layout.METRICS]) == {
        "val/acc": 0.75,
        "val": 1.0,
        "bad": None,
        "train": {"loss": {"x": None}},
    }


def test_histories_of_more_than_one_point_have_a_table(a_repo: Repository) -> None:
    histories = [history("many", [1.0, 2.0]), history("one", [1.0])]
    files = run_files(record(a_repo, histories=histories), Environment(), {one.key: one for one in histories})
    assert "plots/metrics/many.tsv" in files
    assert "plots/metrics/one.tsv" not in files
    assert b"plots:" in files[layout.DVC]
    assert layout.HISTORY not in files
    files = run_files(record(a_repo), Environment(), {})
    assert b"plots:" not in files[layout.DVC]


def test_long_histories_are_thinned_and_kept_whole_beside(a_repo: Repository) -> None:
    long = history("long", [float(number % 97) for number in range(30_000)])
    short = history("short", [1.0, 2.0, 3.0])
    whole = {"long": long, "short": short}
    files = run_files(record(a_repo, histories=whole.values()), Environment(), whole)
    assert files["plots/metrics/long.tsv"].count(b"\n") <= layout.PLOT_ROWS + 1
    assert files["plots/metrics/short.tsv"].count(b"\n") == 4
    back = from_parquet(files[layout.HISTORY])
    assert back["long"].values == long.values
    assert back["short"].values == short.values


@pytest.mark.parametrize("data", [b"a: [", b"\xff", b"!!python/object:os.system x", b"a: b: c"])
def test_damaged_yaml_is_told(data: bytes) -> None:
    with pytest.raises(CorruptRecord, match=r"run\.yaml of it"):
        read_record_files(data, b"", b"{}", "it")


@pytest.mark.parametrize("data", [b"", b"7", b"[1]", b"a: 1", b"format: 1", b"format: x\nid: 1"])
def test_a_record_that_lacks_what_every_run_has(data: bytes) -> None:
    with pytest.raises(CorruptRecord):
        read_record_files(data, b"", b"{}", "it")
