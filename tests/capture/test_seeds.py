from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gittrack.capture import seeds
from gittrack.capture.seeds import seeded, set_seeds
from gittrack.errors import InvalidValue

# What stands in for a framework: it remembers how it was seeded.
FRAMEWORKS = {
    "torch": """\
seeds = []
def manual_seed(seed):
    seeds.append(seed)
""",
    "tensorflow": """\
seeds = []
class random:
    @staticmethod
    def set_seed(seed):
        seeds.append(seed)
""",
}


@pytest.fixture(autouse=True)
def fresh_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No framework is there, nothing is seeded; afterwards the generators are put back."""
    for name in FRAMEWORKS:
        for module in [one for one in sys.modules if one.partition(".")[0] == name]:
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setenv("PYTHONHASHSEED", "0")  # so that it is put back
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", sys.meta_path.copy())
    monkeypatch.setattr(seeds, "_seeded", {})
    monkeypatch.setattr(seeds, "_waiting", {})
    python, numpy = random.getstate(), np.random.get_state()
    yield
    random.setstate(python)
    np.random.set_state(numpy)
    for name in FRAMEWORKS:
        sys.modules.pop(name, None)


def install(tmp_path: Path, name: str, code: str | None = None) -> None:
    (tmp_path / f"{name}.py").write_text(FRAMEWORKS[name] if code is None else code)


def test_the_same_seed_draws_the_same_numbers() -> None:
    def draw() -> tuple[float, float]:
        set_seeds(42)
        return random.random(), float(np.random.random())

    assert draw() == draw()


def test_what_was_seeded_is_returned() -> None:
    assert set_seeds(7) == {"python": 7, "numpy": 7}
    assert seeded() == {"python": 7, "numpy": 7}
    assert os.environ["PYTHONHASHSEED"] == "7"


def test_no_framework_is_imported_for_it(tmp_path: Path) -> None:
    install(tmp_path, "torch")
    set_seeds(1)
    assert "torch" not in sys.modules


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_an_imported_framework_is_seeded_at_once(name: str, tmp_path: Path) -> None:
    install(tmp_path, name)
    framework = __import__(name)
    assert set_seeds(3)[name] == 3
    assert framework.seeds == [3]


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_imported_later_is_seeded_then(name: str, tmp_path: Path) -> None:
    install(tmp_path, name)
    assert name not in set_seeds(3)
    framework = __import__(name)
    assert framework.seeds == [3]
    assert seeded()[name] == 3


def test_the_last_seed_before_the_import_counts_and_only_once(tmp_path: Path) -> None:
    install(tmp_path, "torch")
    set_seeds(1)
    set_seeds(2)
    import torch

    assert torch.seeds == [2]
    set_seeds(5)
    assert torch.seeds == [2, 5]


def test_the_hook_leaves_when_all_have_come(tmp_path: Path) -> None:
    for name in FRAMEWORKS:
        install(tmp_path, name)
    set_seeds(1)
    for name in FRAMEWORKS:
        __import__(name)
    # Others may have left finders of their own meanwhile.
    assert [one for one in sys.meta_path if type(one).__module__.startswith("gittrack")] == []


def test_the_module_is_what_it_would_be_without_the_hook(tmp_path: Path) -> None:
    install(tmp_path, "torch")
    set_seeds(1)
    import torch

    assert type(torch.__loader__).__name__ == "SourceFileLoader"
    assert torch.__spec__ is not None
    assert torch.__file__ == str(tmp_path / "torch.py")


def test_a_failing_import_fails_as_ever_and_may_be_tried_again(tmp_path: Path) -> None:
    install(tmp_path, "torch", "raise RuntimeError('no driver')")
    set_seeds(1)
    with pytest.raises(RuntimeError, match="no driver"):
        import torch
    install(tmp_path, "torch", FRAMEWORKS["torch"] + "again = True\n")
    import torch

    assert torch.again
    assert torch.seeds == [1]


def test_a_framework_that_is_absent_stays_absent() -> None:
    set_seeds(1)
    with pytest.raises(ModuleNotFoundError):
        import tensorflow  # noqa: F401


def test_a_framework_that_refuses_disturbs_nothing(tmp_path: Path) -> None:
    install(tmp_path, "torch", "")
    set_seeds(1)
    import torch  # noqa: F401

    assert "torch" not in set_seeds(2)


@pytest.mark.parametrize("seed", [0, 2**32 - 1, np.int64(5)])
def test_good_seeds(seed: int) -> None:
    assert set_seeds(seed)["python"] == int(seed)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, "1", None, True, b"1"])
def test_bad_seeds(seed: object) -> None:
    with pytest.raises(InvalidValue, match="seed"):
        set_seeds(seed)  # type: ignore[arg-type]
