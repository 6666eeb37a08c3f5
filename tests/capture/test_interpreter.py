from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from gittrack.capture.interpreter import (
    ask_interpreter,
    interpreter_of,
    python_of_command,
    python_on_path,
    running_interpreter,
    site_packages_of,
)


@pytest.fixture
def plain_venv(tmp_path: Path) -> Path:
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    return tmp_path / "venv"


def program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


class TestRunning:
    def test_it_is_this_one(self) -> None:
        python = running_interpreter().python
        assert python.executable == sys.executable
        assert python.prefix == sys.prefix
        assert python.version is not None
        assert sys.version.startswith(python.version)
        assert python.implementation == "CPython"
        assert python.kind in ("venv", "conda", "system")

    def test_neither_standard_library_nor_script_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "path", [str(tmp_path), "", *sys.path])
        assert all("-packages" in str(one) for one in running_interpreter().site_packages)

    def test_a_folder_that_the_user_named_counts(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        assert running_interpreter().site_packages[0] == tmp_path

    def test_the_running_one_under_another_name(self) -> None:
        other = Path(sys.executable).with_name("python3")
        assert interpreter_of(other) == running_interpreter()


class TestVenv:
    def test_it_is_not_started(self, plain_venv: Path) -> None:
        python = plain_venv / "bin" / "python"
        os.unlink(python)
        program(python, "#!/bin/sh\nexit 3\n")
        found = interpreter_of(python)
        assert found is not None
        assert found.python.kind == "venv"
        assert found.python.prefix == str(plain_venv)
        assert found.python.version == ".".join(map(str, sys.version_info[:3]))
        (site,) = site_packages_of(python)
        assert site == plain_venv / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"

    def test_it_says_the_same_when_asked(self, plain_venv: Path) -> None:
        python = plain_venv / "bin" / "python"
        assert ask_interpreter(python) == interpreter_of(python)

    def test_other_makers_write_other_words(self, tmp_path: Path) -> None:
        (tmp_path / "lib/pypy3.10/site-packages").mkdir(parents=True)
        (tmp_path / "pyvenv.cfg").write_text(
            "home = /x\nimplementation = PyPy\nversion_info = 3.10.4.final.0\nuv = 0.4\n"
        )
        found = interpreter_of(program(tmp_path / "bin/python"))
        assert found is not None
        assert (found.python.version, found.python.implementation) == ("3.10.4", "PyPy")

    def test_the_folder_of_an_older_python_is_left_out(self, tmp_path: Path) -> None:
        for version in ("3.9", "3.12"):
            (tmp_path / f"lib/python{version}/site-packages").mkdir(parents=True)
        (tmp_path / "pyvenv.cfg").write_text("version = 3.12.1\n")
        assert site_packages_of(program(tmp_path / "bin/python")) == (tmp_path / "lib/python3.12/site-packages",)

    def test_system_packages_count_where_the_venv_sees_them(self, tmp_path: Path) -> None:
        base = Path(sys.base_prefix) / "bin" / "python3"
        if not base.exists():
            pytest.skip("no base interpreter beside its prefix")
        subprocess.run(
            [base, "-m", "venv", "--without-pip", "--system-site-packages", tmp_path / "v"],
            check=True,
        )
        python = tmp_path / "v" / "bin" / "python3"
        asked = ask_interpreter(python)
        assert asked is not None
        assert set(site_packages_of(python)) == set(asked.site_packages)


class TestInstalled:
    def test_conda(self, tmp_path: Path) -> None:
        (tmp_path / "lib/python3.12/site-packages").mkdir(parents=True)
        (tmp_path / "conda-meta").mkdir()
        (tmp_path / "conda-meta/python-3.12.4-h99910a6_1.json").write_text("{}")
        program(tmp_path / "bin/python3.12", "\x7fELF")
        (tmp_path / "bin/python").symlink_to("python3.12")
        found = interpreter_of(tmp_path / "bin/python")
        assert found is not None
        assert (found.python.version, found.python.kind) == ("3.12.4", "conda")
        assert tmp_path / "lib/python3.12/site-packages" in found.site_packages

    def test_a_plain_prefix(self, tmp_path: Path) -> None:
        (tmp_path / "lib/python3.12/site-packages").mkdir(parents=True)
        (tmp_path / "include/python3.12").mkdir(parents=True)
        (tmp_path / "include/python3.12/patchlevel.h").write_text('#define PY_VERSION "3.12.9"\n')
        found = interpreter_of(program(tmp_path / "bin/python3.12", "\x7fELF"))
        assert found is not None
        assert (found.python.version, found.python.kind) == ("3.12.9", "system")

    def test_the_base_of_this_python_is_known_or_asked_alike(self) -> None:
        base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info[1]}"
        if not base.exists():
            pytest.skip("no base interpreter beside its prefix")
        known, asked = interpreter_of(base), ask_interpreter(base)
        assert asked is not None
        if known is not None:
            assert known.python.version == asked.python.version
            assert set(known.site_packages) >= set(asked.site_packages)

    def test_a_shim_has_to_be_asked(self, tmp_path: Path) -> None:
        shim = program(tmp_path / "bin/python", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        assert interpreter_of(shim) is None
        asked = ask_interpreter(shim)
        assert asked is not None
        assert asked.python.prefix == sys.prefix
        assert asked.python.kind == running_interpreter().python.kind

    @pytest.mark.parametrize("text", ["exit 1", "echo no", "echo '[]'", "echo '[1]'", "echo 3", "true", "kill -9 $$"])
    def test_one_that_gives_no_answer(self, tmp_path: Path, text: str) -> None:
        assert ask_interpreter(program(tmp_path / "python", f"#!/bin/sh\n{text}\n")) is None

    def test_one_that_hangs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gittrack.capture.interpreter._ASK_SECONDS", 0.2)
        shim = program(tmp_path / "python", "#!/bin/sh\nsleep 5 &\nwait\n")
        assert ask_interpreter(shim) is None

    def test_one_that_is_not_there(self, tmp_path: Path) -> None:
        assert interpreter_of(tmp_path / "python") is None
        assert ask_interpreter(tmp_path / "python") is None
        assert site_packages_of(tmp_path / "python") == ()


class TestCommand:
    @pytest.fixture
    def bin(self, tmp_path: Path) -> Path:
        program(tmp_path / "bin/python")
        program(tmp_path / "bin/python3.12")
        program(tmp_path / "bin/bash")
        program(tmp_path / "bin/env")
        program(tmp_path / "bin/nice")
        program(tmp_path / "bin/torchrun", f"#!{tmp_path}/bin/python3.12\n")
        program(tmp_path / "bin/by-env", "#!/usr/bin/env python\n")
        program(tmp_path / "bin/by-env-s", "#!/usr/bin/env -S python -u\n")
        program(tmp_path / "bin/long", f"#!/bin/sh\n'''exec' {tmp_path}/bin/python \"$0\" \"$@\"\n")
        program(tmp_path / "bin/binary", "\x7fELF")
        return tmp_path / "bin"

    @pytest.mark.parametrize(
        ("command", "python"),
        [
            ("python train.py", "python"),
            ("python3.12 -m train", "python3.12"),
            ("{bin}/python train.py", "python"),
            ("torchrun --nproc 2 train.py", "python3.12"),
            ("by-env", "python"),
            ("by-env-s", "python"),
            ("long", "python"),
            ("env A=1 python train.py", "python"),
            ("nice -n 10 python3.12 train.py", "python3.12"),
            ("bash train.sh", None),
            ("bash python", None),
            ("binary", None),
            ("not-there", None),
            ("uv run train.py", None),
        ],
    )
    def test_which_python_a_command_means(self, bin: Path, tmp_path: Path, command: str, python: str | None) -> None:
        words = command.format(bin=bin).split()
        found = python_of_command(words, tmp_path, {"PATH": str(bin)})
        assert found == (bin / python if python else None)

    def test_a_project_runner_uses_the_projects_venv(self, tmp_path: Path) -> None:
        python = program(tmp_path / ".venv/bin/python")
        assert python_of_command(["uv", "run", "x"], tmp_path, {}) == python
        assert python_of_command(["poetry", "run", "x"], tmp_path, {}) == python

    def test_relative_to_the_root(self, bin: Path, tmp_path: Path) -> None:
        found = python_of_command(["bin/python"], tmp_path, {})
        assert found == bin / "python"

    def test_the_one_on_the_path(self, bin: Path, tmp_path: Path) -> None:
        assert python_on_path(tmp_path, {"PATH": f"/nowhere:{bin}"}) == bin / "python"
        assert python_on_path(tmp_path, {"PATH": "/nowhere"}) is None

    def test_no_command(self, tmp_path: Path) -> None:
        assert python_of_command([], tmp_path, {}) is None
