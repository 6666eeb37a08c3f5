"""Documentation cannot lag: what a user can type, set or import is mentioned, and links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import click
import pytest

import gittrack
from gittrack.cli.main import cli
from gittrack.settings import SCHEMA

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
