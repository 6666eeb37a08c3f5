"""Which commands are one, but for what tells repeats apart."""

from __future__ import annotations

import pytest

from gittrack.compare.command import shape

SEEDS = ("seed", "random_state", "fold")


def alike(template: str, values: tuple[object, object] = (3, 14)) -> bool:
    """Whether a command with one seed is the same as with another."""
    return len({shape(template.replace("{}", str(one)), SEEDS, [one]) for one in values}) == 1


@pytest.mark.parametrize(
    "command",
    [
        "python train.py --seed {}",
        "python train.py --seed={}",
        "python train.py --random-state {} --epochs 3",
        "python train.py --random_state={}",
        "python train.py -s {}",
        "python train.py model.seed={} lr=0.3",
        "python train.py +model/seed={}",
        "python train.py --np-seed {}",
        "./t.sh 0.1 {}",
        "./t.sh {}",
        "./t.sh -- {}",
        "python train.py {} --out out/seed{}/model.pkl",
        "python train.py --out=runs/{}/model.pkl",
        "python train.py --name run-{}",
        "python train.py --settings conf_seed{}.yaml",
        "sh -c 'python train.py --seed {} > out/{}.txt'",
        "python train.py 3 --seed {}",
    ],
)
def test_a_seed_tells_repeats_apart(command: str) -> None:
    assert alike(command)


@pytest.mark.parametrize(
    "command",
    [
        "python train.py --epochs {}",
        "python train.py --lr=0.{}",
        "python train.py --lr 1e-{}",
        "python train.py --layers={},64",
        "python train.py lr=1e-{} --seed 0",
        "python train.py --reseed {}",
        "python train.py --arch resnet{}",
        "python train.py --epochs={}",
        "python exp_{}.py",
        "python train.py --settings conf/{}.yaml",
        "./t.sh 0.{}",
        "train{}",
    ],
)
def test_a_number_that_happens_to_be_the_seed_does_not(command: str) -> None:
    assert not alike(command)


def test_what_is_no_number_tells_apart_as_a_whole_word() -> None:
    assert alike("train --fold {}", ("north", "south"))
    assert alike("train {}", ("north", "south"))
    assert not alike("train --region {}", ("north", "south"))
    assert not alike("train data/{}", ("north", "south"))
    assert alike("train --seed 007", (7.0, 7))
    for odd in (float("nan"), float("inf"), None, True, [3], 10**5000):
        assert shape("train 3 x", SEEDS, [odd]) == ("train", "3", "x")


def test_an_interpreter_is_known_by_its_name() -> None:
    (one,) = {
        shape(f"{python} train.py", (), ())
        for python in ("/x/bin/python3.11", "python", ".venv/bin/python3", "PYTHON.EXE")
    }
    assert one == ("python", "train.py")
    assert shape("/x/bin/torchrun a", (), ()) == shape("torchrun a", (), ())
    assert len({shape(one, (), ()) for one in ("a/train.sh", "b/train.sh", "train.sh", "./train1", "./train2")}) == 5


def test_a_notebook_is_one_whatever_its_kernel_is_called() -> None:
    launched = "python -m ipykernel_launcher"
    (one,) = {
        shape(f"{launched} {rest}", (), ())
        for rest in ("-f /run/kernel-1.json", "-f '/other place/kernel-2.json'", "--f=/run/3.json", "")
    }
    assert one == ("python", "-m", "ipykernel_launcher")
    assert shape("python fit.py -f a.json", (), ()) != shape("python fit.py -f b.json", (), ())


@pytest.mark.parametrize(
    "command", ["", " ", "it's", "a 'b", "\\", "x" * 10_000, "a|`<b> 🦦\n", "9" * 6_000 + " a" + "9" * 6_000]
)
def test_no_text_is_too_odd(command: str) -> None:
    assert shape(command, SEEDS, [9]) == shape(command, SEEDS, [9])
    assert bool(shape(command, SEEDS, [9])) == bool(command.strip())
