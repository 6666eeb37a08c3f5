"""Examples in the documentation run as they stand there.

A block marked `console` is a promise: its commands run, in the order of the page, in
one fresh repository made of examples/digits. A command succeeds unless `echo $?` follows and
shows another code; where output is shown there is output. Its words are not compared (ids and
times differ). Blocks with any other mark (`sh`, `text`, `python`) are not run.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers import Repo
from tests.test_docs import FENCE, ROOT


@dataclass(frozen=True)
class Step:
    """One command of an example and the output printed under it."""

    command: str
    shown: str


def steps(page: str) -> list[Step]:
    """The commands of all `console` blocks of a page."""
    found = []
    for mark, block in FENCE.findall(page):
        if mark == "console":
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                lines = part.splitlines()
                last = next(i for i, line in enumerate(lines) if not line.endswith("\\"))
                found.append(Step("\n".join(lines[: last + 1]), "\n".join(lines[last + 1 :])))
    return found


def play(steps: list[Step], folder: Path) -> list[tuple[int, str]]:
    """Type the commands into one shell; the exit code and the output of each."""
    end = "\x1e"
    script = "\n".join(f"{step.command}\n__code=$?; printf '{end}%s{end}' $__code; (exit $__code)" for step in steps)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        check=False,
    )
    parts = done.stdout.split(end)
    return [(int(code), output) for output, code in zip(parts[::2], parts[1::2], strict=False)]


def check(steps: list[Step], folder: Path) -> None:
    """Fail at the first command that does not do what the page says."""
    results = play(steps, folder)
    assert len(results) == len(steps), f"the shell left after `{steps[len(results) - 1].command}`"
    following = [step.command for step in steps[1:]] + [""]
    for step, (code, output), after in zip(steps, results, following, strict=True):
        if step.command == "echo $?":
            assert output.strip() == step.shown.strip(), "the page shows another exit code"
        elif after != "echo $?":
            assert code == 0, f"`{step.command}` exited with {code}:\n{output}"
        if step.shown.strip():
            assert output.strip(), f"`{step.command}` printed nothing"


@pytest.fixture
def digits(tmp_path: Path) -> Repo:
    """The example with its data, committed: where the README's tour begins."""
    folder = tmp_path / "digits"
    shutil.copytree(
        ROOT / "examples" / "digits",
        folder,
        ignore=shutil.ignore_patterns("out", "data", "__pycache__", "demo.sh"),
    )
    repo = Repo(folder)
    subprocess.run([sys.executable, "prepare.py"], cwd=folder, check=True, capture_output=True)
    repo.git("init", "--quiet")
    repo.commit("Handwritten digits")
    return repo


def test_the_examples_in_the_readme_run(digits: Repo) -> None:
    found = steps((ROOT / "README.md").read_text(encoding="utf-8"))
    if found:
        check(found, digits.path)


def test_the_examples_of_models_run(digits: Repo) -> None:
    found = steps((ROOT / "docs" / "guide" / "models.md").read_text(encoding="utf-8"))
    assert found
    check(found, digits.path)


EXAMPLE = """\
```console
$ echo one \\
    two
one two
$ cd /; (exit 4)
$ echo $?
4
$ pwd
/
```
"""


def test_the_reader_of_examples_reads_them(tmp_path: Path) -> None:
    found = steps(EXAMPLE)
    assert [step.shown for step in found] == ["one two", "", "4", "/"]
    check(found, tmp_path)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [("(exit 4)", "(exit 3)"), ("$ pwd", "$ true"), ("$ pwd", "$ false"), ("$ pwd", "$ exit 0")],
    ids=["another code", "no output", "a failure", "an early end"],
)
def test_a_wrong_example_is_noticed(was: str, becomes: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        check(steps(EXAMPLE.replace(was, becomes)), tmp_path)
