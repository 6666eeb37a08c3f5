"""What is public is listed, and the list is true."""

from __future__ import annotations

import inspect

import pytest

import gittrack
from gittrack import errors, fluent
from gittrack.tracking.active import ActiveRun

EXPECTED = [
    "ActiveRun",
    "DirtyTree",
    "GittrackError",
    "ModelVersion",
    "Project",
    "Run",
    "RunArtifact",
    "Runs",
    "__version__",
    "active_run",
    "describe",
    "experiments",
    "finish",
    "get_artifact",
    "get_run",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_fold",
    "log_image",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "log_table",
    "log_text",
    "model",
    "runs",
    "set_seeds",
    "set_tag",
    "set_tags",
    "start_run",
    "use",
]


def test_the_public_names() -> None:
    assert gittrack.__all__ == EXPECTED
    assert dir(gittrack) == sorted(EXPECTED)
    for name in EXPECTED:
        assert getattr(gittrack, name) is not None


def test_no_other_name_is_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = gittrack.nothing


def test_every_public_function_says_what_it_does_or_coats_a_method_that_does() -> None:
    for name in EXPECTED:
        value = getattr(gittrack, name)
        if inspect.isfunction(value) and value.__doc__ is None:
            assert hasattr(ActiveRun, name), name


def test_coats_take_what_the_methods_take() -> None:
    for name in EXPECTED:
        method = getattr(ActiveRun, name, None)
        function = getattr(fluent, name, None)
        if inspect.isfunction(method) and inspect.isfunction(function):
            inside = list(inspect.signature(method).parameters.values())[1:]
            outside = list(inspect.signature(function).parameters.values())
            assert [(one.name, one.default) for one in inside] == [(one.name, one.default) for one in outside], name


def test_the_tree_of_errors_is_the_one_that_is_drawn() -> None:
    drawn = errors.__doc__ or ""
    for name in errors.__all__:
        assert name in drawn
        assert issubclass(getattr(errors, name), errors.GittrackError)
    assert {
        name: getattr(errors, name).exit_code for name in ("GittrackError", "UsageError", "GateRefused", "DirtyTree")
    } == {"GittrackError": 1, "UsageError": 2, "GateRefused": 4, "DirtyTree": 4}
