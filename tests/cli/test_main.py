from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gittrack
from gittrack.cli.main import SECTIONS
from tests.cli.conftest import Desk
from tests.helpers import Repo


def test_the_version_imports_next_to_nothing(repo: Repo) -> None:
    done = repo.python(
        "import sys; sys.argv = ['gittrack', '--version']\n"
        "from gittrack.__main__ import main; main()\n"
        "print(sorted(name for name in sys.modules if name.startswith(('gittrack', 'click'))))"
    )
    version, modules = done.stdout.splitlines()
    assert version == f"gittrack {gittrack.__version__}"
    assert modules == "['gittrack', 'gittrack.__main__', 'gittrack._version']"


def test_the_version_among_other_options(desk: Desk) -> None:
    assert desk.out("--no-pager", "--version") == f"gittrack {gittrack.__version__}\n"


def test_help_lists_every_command_once(desk: Desk) -> None:
    for word in ("-h", "--help"):
        text = desk.out(word)
        for names in SECTIONS.values():
            for name in names:
                assert text.count(f"\n  {name} ") == 1
    assert "...\n" not in text.partition("\n")[2], "a summary was cut short"
    assert desk.out() == text


@pytest.mark.parametrize("name", [name for names in SECTIONS.values() for name in names])
def test_every_command_explains_itself(desk: Desk, name: str) -> None:
    assert desk.out(name, "-h").startswith(f"Usage: gittrack {name} ")


def test_listing_runs_imports_nothing_heavy(three: Desk) -> None:
    done = three.repo.python(
        "import sys, contextlib, io\n"
        "from gittrack.cli.main import cli\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    try: cli.main(['ls'])\n"
        "    except SystemExit: pass\n"
        "heavy = {'yaml', 'dulwich', 'pyarrow', 'psutil', 'dvc', 'numpy', 'scipy', 'plotext'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert done.stdout == "[]\n"


# --- mistakes


def test_an_unknown_command_names_the_nearest(desk: Desk) -> None:
    assert desk.error("lss", code=2) == "gittrack: there is no command 'lss'; did you mean 'ls'?\n"
    assert "'gittrack -h' lists the commands" in desk.error("xyzzy", code=2)


def test_wrong_usage(desk: Desk) -> None:
    assert desk.error("ls", "--colums", "a", code=2).startswith("gittrack: no such option '--colums'")
    assert "see 'gittrack show -h'" in desk.error("show", code=2)
    assert "not a number of 0 or more" in desk.error("ls", "-n", "-1", code=2)
    assert "choose one of" in desk.error("ls", "--json", "--csv", code=2)


def test_not_a_repository(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert "is not inside a git repository" in desk.error("ls", code=1)


def test_a_broken_settings_file(desk: Desk) -> None:
    desk.repo.write(".gittrack/config.yaml", "run: {alow_dirty: all}\n")
    assert ".gittrack/config.yaml:1" in desk.error("ls", code=2)


def test_a_mistake_in_a_filter_points_at_it(three: Desk) -> None:
    said = three.error("ls", "metrics.loss >> 1", code=2).splitlines()
    assert said[1] == "  metrics.loss >> 1"
    assert said[2] == "                ^"
    assert "the nearest is params.lr" in three.error("ls", "params.lrr = 1", code=2)


def test_an_ambiguous_run_lists_the_candidates(desk: Desk) -> None:
    first, second = desk.run("same"), desk.run("same")
    said = desk.error("show", "same", code=1)
    assert first.id[:8] in said
    assert second.id[:8] in said
    assert len(said.splitlines()) == 3


def test_a_defect_leaves_a_report(three: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **more: object) -> None:
        raise ZeroDivisionError("with password=hunter2hunter2 in it")

    monkeypatch.setattr("gittrack.project.Project.runs", broken)
    said = three.error("ls", "tags.api_key = 'ghp_" + "a1B2" * 9 + "'", code=3)
    assert "defect of gittrack" in said
    assert len(said.splitlines()) == 1
    report = Path(said.strip().rpartition(" ")[2])
    assert report.parent == three.repo.path / ".git" / "gittrack" / "reports"
    text = report.read_text()
    assert "ZeroDivisionError" in text
    assert "in broken" in text
    assert "ghp_" not in text
    assert "hunter2" not in text + said
    assert report.stat().st_mode & 0o077 == 0


def test_a_defect_outside_a_repository(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr("gittrack.project.Project.open", broken)
    desk.error("ls", code=3)
    assert len(list(tmp_path.glob("gittrack-report-*.txt"))) == 1


def test_a_failing_world_is_not_a_defect(three: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **more: object) -> None:
        raise OSError(28, "No space left on device", "/data/x")

    monkeypatch.setattr("gittrack.project.Project.runs", full)
    assert three.error("ls", code=1).startswith("gittrack: /data/x: No space left on device")


def test_an_interrupt(three: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gittrack.project.Project.runs", interrupted)
    three("ls", code=130)


# --- where


def test_another_folder(three: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "slow" in three.out("-C", "repo", "ls")
    (tmp_path / "repo" / "sub").mkdir()
    assert "slow" in three.out("-C", "repo", "-C", "sub", "ls")
    assert Path.cwd() == tmp_path
    assert "cannot go to 'nowhere'" in three.error("-C", "nowhere", "ls", code=2)


# --- streams


def test_a_reader_that_goes_away_early(three: Desk) -> None:
    done = subprocess.run(
        [f"{sys.executable} -m gittrack ls --json | head -c 1; echo ${{PIPESTATUS[0]}}"],
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[0] in ("[0", "[141")
    assert done.stderr == ""


def test_a_closed_stdout(three: Desk) -> None:
    done = subprocess.run(
        [f"{sys.executable} -m gittrack ls >&-"], shell=True, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_behind_stdout(three: Desk) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    done = subprocess.run(
        [f"{sys.executable} -m gittrack ls > /dev/full"], shell=True, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "gittrack: No space left on device; mend that and try again\n"


def test_colours_only_when_wanted(three: Desk) -> None:
    assert "\x1b[" not in three.out("ls")
    assert "\x1b[32mfinished" in three.out("--color", "always", "ls")
    assert "\x1b[" not in three.out("--color", "never", "ls")


def test_a_terminal_that_cannot_say_everything(desk: Desk) -> None:
    desk.run("größe-東")
    plain = desk.repo.gittrack("ls", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert "gr\\xf6\\xdfe" in plain.stdout
    assert desk.repo.gittrack_json("ls")[0]["name"] == "größe-東"
    ascii_json = desk.repo.gittrack("ls", "--json", env={"PYTHONIOENCODING": "ascii"})
    assert '"gr\\u00f6\\u00dfe-\\u6771"' in ascii_json.stdout


def test_words_complete_in_the_shell(three: Desk) -> None:
    def completed(*words: str) -> list[str]:
        done = three.repo.gittrack(
            env={
                "_GITTRACK_COMPLETE": "bash_complete",
                "COMP_WORDS": " ".join(["gittrack", *words]),
                "COMP_CWORD": str(len(words)),
            },
            check=False,
        )
        assert done.stderr == ""
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    assert completed("cu") == ["curve"]
    assert completed("show", "s") == ["slow"]
    assert completed("ls", "-e", "d") == ["digits"]
    assert completed("ls", "--col") == ["--columns"]


@pytest.mark.parametrize("group", ["artifact", "hooks", "model"])
def test_a_group_alone_says_what_there_is_and_nothing_else(desk: Desk, group: str) -> None:
    done = desk.repo.gittrack(group, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Usage: gittrack {group} ")
    assert done.stderr.rstrip() == desk.repo.gittrack(group, "-h").stdout.rstrip()
