"""git's own diff of runs, as `gittrack init` sets it up."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gittrack.ledger import layout
from gittrack.run import Run
from tests.cli.conftest import Desk


@pytest.fixture
def ready(desk: Desk) -> Desk:
    desk("init")
    desk.repo.commit("Set up gittrack")
    return desk


@pytest.fixture
def pair(ready: Desk) -> tuple[Run, Run]:
    """Two runs that differ in one point of one metric."""
    return (
        ready.run("a", metrics={"val/acc": [0.25, 0.5, 0.75], "loss": [2.0, 1.0]}),
        ready.run("b", metrics={"val/acc": [0.25, 0.625, 0.75], "loss": [2.0, 1.0]}),
    )


def changes(text: str) -> list[str]:
    return [line for line in text.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]


def test_a_diff_of_histories_shows_the_points_that_differ(desk: Desk, pair: tuple[Run, Run]) -> None:
    a, b = pair
    found = desk.repo.git("diff", str(a.commit), str(b.commit), "--", ".gittrack/plots")
    assert changes(found) == ["-1\t0.5", "+1\t0.625"]
    log = desk.repo.git("log", "-p", "-1", str(b.commit), "--", ".gittrack/plots")
    assert "+1\t0.625" in changes(log)
    # Elsewhere, and as a patch to apply, the file is what it is.
    assert "time" in desk.repo.git("show", f"{b.commit}:.gittrack/plots/metrics/loss.tsv")
    assert "time" in desk.repo.git("format-patch", "--stdout", "-1", str(b.commit))


def test_a_large_history_is_no_binary_file(ready: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "LARGE_HISTORY", 3)
    a = ready.run("a", metrics={"loss": [1.0, math.nan, 0.5, 0.25]})
    b = ready.run("b", metrics={"loss": [1.0, math.nan, 0.5, -math.inf]})
    found = ready.repo.git("diff", str(a.commit), str(b.commit), "--", ".gittrack/history.parquet")
    assert changes(found) == ["-loss\t3\t0.25", "+loss\t3\t-inf"]


def test_a_record_that_was_cut_has_a_line_for_each_key(ready: Desk) -> None:
    a, b = (ready.run("long", params={"text": "x" * 9000, "lr": lr}) for lr in (1, 2))
    found = ready.repo.git("diff", str(a.commit), str(b.commit), "--", ".gittrack/record.json")
    assert '-    "lr": 1' in changes(found)
    assert '+    "lr": 2' in changes(found)
    assert not any("xxx" in line for line in changes(found))


def test_in_a_linked_worktree_too(desk: Desk, pair: tuple[Run, Run], tmp_path: Path) -> None:
    desk.repo.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "other"))
    found = desk.repo.git("-C", str(tmp_path / "other"), "diff", str(pair[0].commit), str(pair[1].commit))
    assert "+1\t0.625" in changes(found)


def test_init_again_changes_nothing_and_lines_of_the_user_stay(desk: Desk) -> None:
    attributes = desk.repo.path / ".git" / "info" / "attributes"
    attributes.parent.mkdir(exist_ok=True)
    attributes.write_bytes(b"*.ipynb diff=mine\n\xff odd\n*.last text")
    assert "'git diff'" in desk.out("init")
    whole = attributes.read_bytes()
    assert whole.startswith(b"*.ipynb diff=mine\n\xff odd\n*.last text\n# >>> gittrack >>>\n")
    attributes.write_bytes(whole + b"*.more text\n" + whole[whole.index(b"# >>>") :].replace(b"history", b"older"))
    desk("init")
    assert attributes.read_bytes() == whole + b"*.more text\n"
    assert "'git diff'" not in desk.out("init")
    assert attributes.read_bytes() == whole + b"*.more text\n"
    assert list(attributes.parent.glob("*.tmp")) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda block: block.replace(b"# <<< gittrack <<<\n", b""),
        lambda block: block.replace(b"# >>> gittrack >>>\n", b""),
        lambda block: block.replace(b"# <<< gittrack <<<\n", b"*.mine text\n# <<< gittrack <<<\n"),
        lambda block: block.replace(b"# >>> gittrack >>>\n", b"# >>> gittrack >>>\n*.mine diff=gittrack\n"),
    ],
    ids=["no-end", "no-begin", "a-line-inside", "a-line-of-the-same-driver"],
)
def test_a_block_that_is_not_whole_stays_and_a_whole_one_is_added(desk: Desk, spoil: Callable[[bytes], bytes]) -> None:
    desk("init")
    attributes = desk.repo.path / ".git" / "info" / "attributes"
    block = attributes.read_bytes()
    spoiled = spoil(block) + b"*.ipynb diff=mine\n"
    attributes.write_bytes(spoiled)
    for _ in range(2):
        desk("init")
        assert attributes.read_bytes() == spoiled + block
    # Whole blocks are one again, and what stands between them and the broken one stays.
    attributes.write_bytes(spoiled + block + b"*.last text\n" + block)
    desk("init")
    assert attributes.read_bytes() == spoiled + block + b"*.last text\n"


def test_a_block_whose_lines_an_editor_ended_its_own_way_is_the_same_block(desk: Desk) -> None:
    desk("init")
    attributes = desk.repo.path / ".git" / "info" / "attributes"
    block = attributes.read_bytes()
    attributes.write_bytes((b"*.a text\n" + block + b"*.b text\n").replace(b"\n", b"\r\n"))
    desk("init")
    assert attributes.read_bytes() == b"*.a text\r\n" + block + b"*.b text\r\n"
    attributes.write_bytes(block.removesuffix(b"\n"))
    desk("init")
    assert attributes.read_bytes() == block


def test_a_command_of_the_users_own_stays_and_one_of_ours_is_renewed(desk: Desk) -> None:
    desk.repo.git("config", "diff.gittrack.textconv", "cat")
    desk("init")
    assert desk.repo.git("config", "diff.gittrack.textconv") == "cat"
    desk.repo.git("config", "diff.gittrack.textconv", "/gone/python -m gittrack textconv")
    desk("init")
    assert "/gone/" not in desk.repo.git("config", "diff.gittrack.textconv")


def test_without_any_gittrack_a_diff_still_says_what_differs(
    desk: Desk, pair: tuple[Run, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = desk.repo.git("config", "diff.gittrack.textconv").replace("-m gittrack", "-m gone")
    desk.repo.git("config", "diff.gittrack.textconv", command)
    tools = os.pathsep.join(
        one for one in os.environ["PATH"].split(os.pathsep) if not (Path(one) / "gittrack").exists()
    )
    monkeypatch.setenv("PATH", tools)
    a, b = pair
    found = desk.repo.git("diff", str(a.commit), str(b.commit), "--", ".gittrack/plots/metrics/val")
    assert [len(line) for line in changes(found)] == [41, 41]


@pytest.mark.parametrize(
    "data",
    [
        b"PAR1 is not all",
        b"step\tvalue\ttime\n1\t2\n",
        b'{"format":1,',
        b'{"format":\xff}',
        b"",
        b"\0\xff\n",
        b"text\n",
    ],
)
def test_broken_bytes_come_out_as_they_are(desk: Desk, data: bytes) -> None:
    file = desk.repo.write("odd", data)
    done = desk.repo.python(
        "import subprocess, sys; print(subprocess.run([sys.executable, '-m', 'gittrack', 'textconv', sys.argv[1]], "
        "capture_output=True, check=True))",
        str(file),
        cwd=desk.repo.path.parent,
    )
    assert f"stdout={data!r}, stderr=b''" in done.stdout


def test_damaged_runs_can_be_compared(desk: Desk) -> None:
    desk("init")
    for content in (b"PAR1\0broken", b"PAR1\0otherwise"):
        desk.repo.write(".gittrack/history.parquet", content)
        desk.repo.commit()
    found = desk.repo.git("diff", "HEAD~1", "HEAD")
    assert len(changes(found)) == 2


def test_a_file_that_is_not_there(desk: Desk) -> None:
    assert "No such file" in desk.error("textconv", "nowhere", code=1)
    assert "textconv" not in desk.out("--help")
