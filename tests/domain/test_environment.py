from __future__ import annotations

from typing import Any

import pytest

from gittrack.domain.environment import (
    Conda,
    Container,
    Editable,
    Environment,
    FromVcs,
    Gpu,
    Hardware,
    Platform,
    Python,
)
from gittrack.errors import CorruptRecord

FULL = Environment(
    python=Python("3.12.1", "CPython", "/v/bin/python", "/v", "venv"),
    platform=Platform("Linux", "6.1", "x86_64", "glibc 2.36", "Debian 12"),
    packages={"numpy": "2.1.0", "click": "8.10"},
    editable={"mine": Editable("/src/mine", "c" * 40, False)},
    vcs={"theirs": FromVcs("https://example.org/theirs.git", "d" * 40)},
    lock_files={"uv.lock": "e" * 64},
    container=Container("podman", "registry.example.org/train:3", "f" * 64),
    conda=Conda("ml", "/conda/envs/ml"),
    hardware=Hardware(
        cpu="A fast one",
        cores_logical=8,
        cores_physical=4,
        memory=2**34,
        cpu_limit=2.5,
        memory_limit=2**30,
        gpus=(Gpu("G1", 2**36, "GPU-1", "550.1"), Gpu("G2", visible=False)),
        cuda="12.4",
    ),
    seeds={"python": 0, "numpy": 7},
    variables={"OMP_NUM_THREADS": "1", "EMPTY": ""},
    notes=("the GPU driver is present but NVML failed: no permission",),
)


def test_what_is_written_is_read_back() -> None:
    assert Environment.from_dict(FULL.to_dict()) == FULL


def test_plain_values_only() -> None:
    def check(value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                assert type(key) is str
                check(inner)
        elif isinstance(value, list):
            for inner in value:
                check(inner)
        else:
            assert type(value) in (str, int, float, bool)

    check(FULL.to_dict())


def test_an_empty_environment_is_an_empty_mapping() -> None:
    assert Environment().to_dict() == {}
    assert Environment.from_dict({}) == Environment()


def test_packages_are_sorted_so_that_two_runs_compare_line_by_line() -> None:
    assert list(FULL.to_dict()["packages"]) == ["click", "numpy"]


def test_false_is_not_unknown() -> None:
    """A clean editable install is a fact worth keeping; None is what is not known."""
    plain = FULL.to_dict()
    assert plain["editable"]["mine"]["dirty"] is False
    assert plain["hardware"]["gpus"][1] == {"name": "G2", "visible": False}


def test_keys_of_a_later_version_are_skipped() -> None:
    plain = FULL.to_dict()
    plain["weather"] = {"rain": True}
    plain["python"]["colour"] = "green"
    plain["hardware"]["gpus"][0]["fans"] = 3
    assert Environment.from_dict(plain) == FULL


def test_versions_that_yaml_took_for_numbers_are_text_again() -> None:
    assert Environment.from_dict({"packages": {"black": 24.1}}).packages == {"black": "24.1"}


@pytest.mark.parametrize(
    "plain",
    [
        ["a list"],
        "text",
        {"packages": ["numpy"]},
        {"python": "3.12"},
        {"hardware": {"gpus": {"name": "G"}}},
        {"hardware": {"gpus": [{"memory": 1}]}},
        {"notes": "one"},
    ],
)
def test_a_wrong_shape_is_refused(plain: Any) -> None:
    with pytest.raises(CorruptRecord, match=r"environment\.yaml"):
        Environment.from_dict(plain)
