from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack.domain.names import check_experiment, check_key, check_run_name, is_run_id, name_from_id
from gittrack.errors import InvalidName

RUN_ID = "0123456789abcdef" * 2


def test_run_ids():
    assert is_run_id(RUN_ID)
    assert not is_run_id(RUN_ID.upper())
    assert not is_run_id(RUN_ID[:-1])
    assert not is_run_id(RUN_ID + "\n")


def test_the_name_of_an_id_is_the_same_for_everybody():
    assert name_from_id(RUN_ID) == name_from_id(RUN_ID)
    assert name_from_id("0" * 32) == "agile-acorn-0"
    assert name_from_id("f" * 32) == check_run_name(name_from_id("f" * 32))


@given(st.text("0123456789abcdef", min_size=32, max_size=32))
def test_names_of_ids_read_well(run_id):
    adjective, noun, number = name_from_id(run_id).split("-")
    assert adjective.isalpha()
    assert noun.isalpha()
    assert 0 <= int(number) < 100


@pytest.mark.parametrize("name", ["digits", "mnist/cnn", "a.b", "A_1-2", "größe", "日本", "a" * 200, "-".join("abc")])
def test_experiments(name):
    assert check_experiment(name) == name


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "it is empty"),
        ("a b", "git forbids ' '"),
        ("a..b", r"git forbids '\.\.'"),
        ("a~1", "git forbids '~'"),
        ("a:b", "git forbids ':'"),
        ("a@{b", "git forbids '@{'"),
        ("a\nb", "git forbids"),
        ("a//b", "empty part"),
        ("/a", "empty part"),
        ("a/", "empty part"),
        (".a", "may not begin with '.'"),
        ("a/-b", "may not begin with '-'"),
        ("a.", "may not end with"),
        ("a.lock/b", "may not end with"),
        ("_ledger", "reserved"),
        (RUN_ID, "looks like a run id"),
        (f"a/{RUN_ID}", "looks like a run id"),
        ("a" * 201, "longer than 200 bytes"),
        ("ä" * 101, "longer than 200 bytes"),
        ("a\udcff", "not valid Unicode"),
        ("high\ud800", "not valid Unicode"),
        (7, "must be text, not int"),
        (None, "must be text, not NoneType"),
    ],
)
def test_what_cannot_name_an_experiment(name, problem):
    with pytest.raises(InvalidName, match=problem) as caught:
        check_experiment(name)
    assert caught.value.exit_code == 2


@settings(max_examples=150)
@given(st.text(st.sampled_from("ab.@{~^:?*[\\/ -_\x7f\n" + "ä\u2028"), max_size=8))
def test_git_takes_every_experiment_that_we_take(name):
    try:
        check_experiment(name)
    except InvalidName:
        return
    ref = f"refs/experiments/{name}/{RUN_ID}"
    assert subprocess.run(["git", "check-ref-format", ref], check=False).returncode == 0


@pytest.mark.parametrize("name", ["rf-baseline", "a name with spaces", "größe", "best", "a:b", "a/b", "x" * 250])
def test_run_names(name):
    assert check_run_name(name) == name


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 251, "@", "@~2", "-x", "best:acc", "\udcff", "a\0", 5, None])
def test_what_cannot_name_a_run(name):
    with pytest.raises(InvalidName):
        check_run_name(name)


@pytest.mark.parametrize("key", ["lr", "val/acc", "gpu:0", "my key", "a=b", "größe", "x" * 1000, "'", '"', "a..b"])
def test_keys(key):
    assert check_key("param", key) == key


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("", "empty"),
        (" a", "white space"),
        ("a\u3000", "white space"),
        ("a\tb", "control character"),
        ("a`b", "back-tick"),
        ("x" * 1001, "longer than 1,000"),
        ("\udc80", "not valid Unicode"),
        (3, "must be text, not int: 3"),
        (None, "must be text"),
    ],
)
def test_what_cannot_be_a_key(key, problem):
    with pytest.raises(InvalidName, match=problem):
        check_key("metric", key)


def test_a_wrong_name_is_also_a_value_error():
    with pytest.raises(ValueError, match="cannot be a metric's key"):
        check_key("metric", "")
