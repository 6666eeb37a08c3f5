"""Documentation cannot lag: what a user can type, set or import is mentioned, and examples run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import click
import pytest

import gittrack
from gittrack.cli.main import cli
from gittrack.settings import SCHEMA
from tests.helpers import Repo

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("examples/**/*.md")])
FOR_USERS = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").rglob("*.md"))]

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)[^)]*\)")
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)


def commands(group: click.Group, words: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
    """Every command that is not hidden, with the words that call it."""
    context = click.Context(group, info_name=words[-1])
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, f"{' '.join(words)} lists {name} and cannot load it"
        if command.hidden:
            continue
        yield " ".join([*words, name]), command
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))


def mentions(text: str, words: str) -> bool:
    """Whether the words stand in the text on their own, not as a part of longer ones."""
    return re.search(rf"(?<![\w-]){re.escape(words)}(?![\w-])", text) is not None


COMMANDS = dict(commands(cli, ("gittrack",)))


@pytest.fixture(scope="module")
def user_text() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in FOR_USERS)


@pytest.mark.parametrize("called", COMMANDS)
def test_every_command_is_documented(called: str, user_text: str) -> None:
    assert mentions(user_text, called), f"`{called}` is neither in docs/guide nor in the README"


@pytest.mark.parametrize("called", ["gittrack", *COMMANDS])
def test_every_option_is_documented(called: str, user_text: str) -> None:
    command = COMMANDS.get(called, cli)
    options = [
        max(option.opts, key=len) for option in command.params if isinstance(option, click.Option) and not option.hidden
    ]
    missing = [name for name in options if not mentions(user_text, name)]
    assert not missing, f"options of `{called}` that no page names: {', '.join(missing)}"


@pytest.mark.parametrize("key", [setting.key for setting in SCHEMA])
def test_every_setting_is_documented(key: str, user_text: str) -> None:
    assert mentions(user_text, key), f"the setting {key} is neither in docs/guide nor in the README"


@pytest.mark.parametrize("name", [name for name in gittrack.__all__ if not name.startswith("_")])
def test_every_public_name_is_documented(name: str, user_text: str) -> None:
    assert mentions(user_text, name), f"gittrack.{name} is neither in docs/guide nor in the README"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue  # another site; tests have no network
        file, _, anchor = unquote(target).partition("#")
        there = (page.parent / file) if file else page
        assert there.exists(), f"{target}: there is no such file"
        if anchor:
            assert anchor in anchors(there), f"{target}: no heading of that name in {there.name}"


def anchors(page: Path) -> set[str]:
    """The fragments by which a page's headings can be linked to, as git hosts make them."""
    headings = HEADING.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# Examples. A block marked `console` is a promise: its commands run, in the order of the page, in
# one fresh repository made of examples/digits. A command succeeds unless `echo $?` follows and
# shows another code; where output is shown there is output. Its words are not compared (ids and
# times differ). Blocks with any other mark (`sh`, `text`, `python`) are not run.


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
