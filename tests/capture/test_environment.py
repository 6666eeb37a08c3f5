from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from gittrack.capture import environment, hardware, interpreter, packages
from gittrack.capture.environment import (
    capture_environment,
    capture_fast,
    capture_slow,
    chosen_variables,
    find_container,
)
from gittrack.domain.environment import Container, Environment, Gpu, Hardware, Python
from tests.helpers import Repo


def test_all_of_it(repo_root: Path) -> None:
    env = capture_environment(repo_root, ["LANG"], [], seeds={"python": 1})
    assert env.python.executable == sys.executable
    assert env.packages["pytest"] == pytest.__version__
    assert env.platform.system == os.uname().sysname
    assert env.platform.release
    assert env.hardware.cores_logical == os.cpu_count()
    assert env.variables == {"LANG": "C.UTF-8"}
    assert env.seeds == {"python": 1}
    assert env.lock_files.keys() == {"uv.lock"}
    assert Environment.from_dict(env.to_dict()) == env


@pytest.fixture
def repo_root(tmp_path: Path) -> Path:
    (tmp_path / "uv.lock").write_text("version = 1\n")
    return tmp_path


class TestLockFiles:
    def test_hashes(self, tmp_path: Path) -> None:
        for name in ("requirements.txt", "requirements-dev.txt", "requirements/gpu.txt", "go.sum"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(name)
        (tmp_path / "train.py").write_text("")
        (tmp_path / "pyproject.toml").write_text("")
        found = capture_fast(tmp_path, [], []).lock_files
        assert found == {
            name: hashlib.sha256(name.encode()).hexdigest()
            for name in ("go.sum", "requirements-dev.txt", "requirements.txt", "requirements/gpu.txt")
        }

    def test_a_change_is_seen(self, tmp_path: Path) -> None:
        (tmp_path / "uv.lock").write_text("1")
        first = capture_fast(tmp_path, [], []).lock_files
        (tmp_path / "uv.lock").write_text("12")
        assert capture_fast(tmp_path, [], []).lock_files != first

    def test_what_is_no_plain_file_is_left_alone(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "uv.lock")  # a read would wait for ever
        (tmp_path / "poetry.lock").mkdir()
        (tmp_path / "Cargo.lock").symlink_to("nowhere")
        assert capture_fast(tmp_path, [], []).lock_files == {}

    def test_a_huge_one_is_said_not_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(environment, "_LARGEST_LOCK_FILE", 10)
        (tmp_path / "uv.lock").write_text("x" * 11)
        env = capture_fast(tmp_path, [], [])
        assert env.lock_files == {}
        assert any("uv.lock" in note for note in env.notes)


ENVIRON = {
    "OMP_NUM_THREADS": "4",
    "CUDA_VISIBLE_DEVICES": "0,1",
    "HF_TOKEN": "abc",
    "HOME": "/home/bob",
    "DATABASE": "postgres://bob:pw@db/x",
}


class TestVariables:
    def test_only_what_is_listed(self) -> None:
        assert chosen_variables(ENVIRON, ["OMP_*", "CUDA_VISIBLE_DEVICES", "NOT_SET"], []) == {
            "OMP_NUM_THREADS": "4",
            "CUDA_VISIBLE_DEVICES": "0,1",
        }
        assert chosen_variables(ENVIRON, [], []) == {}

    def test_secrets_are_masked_even_when_listed(self) -> None:
        chosen = chosen_variables(ENVIRON, ["*"], ["HOM?"])
        assert chosen["HF_TOKEN"] == chosen["HOME"] == "***"
        assert chosen["DATABASE"] == "postgres://***@db/x"
        assert chosen["OMP_NUM_THREADS"] == "4"

    def test_bytes_that_are_no_text(self) -> None:
        value = os.fsdecode(b"caf\xe9")
        chosen_variables({"X": value}, ["X"], [])["X"].encode("utf-8")


class TestPython:
    def test_that_of_the_command(self, tmp_path: Path) -> None:
        site = tmp_path / "venv/lib/python3.9/site-packages"
        (site / "theirs-1.0.dist-info").mkdir(parents=True)
        (tmp_path / "venv/pyvenv.cfg").write_text("version = 3.9.2\n")
        python = tmp_path / "venv/bin/python"
        python.parent.mkdir()
        python.write_text("")
        python.chmod(0o755)
        env = capture_fast(tmp_path, [], [], command=["venv/bin/python", "train.py"])
        assert env.python.version == "3.9.2"
        assert env.packages == {"theirs": "1.0"}
        assert env.notes == ()

    def test_of_a_command_that_is_no_python(self, tmp_path: Path) -> None:
        env = capture_environment(tmp_path, [], [], command=["make", "train"])
        assert env.python.version is not None
        assert any("not known" in note for note in env.notes)

    def test_where_there_is_none(self, tmp_path: Path) -> None:
        env = capture_fast(tmp_path, [], [], command=["make"], environ={"PATH": "/nowhere"})
        assert env.python == Python()
        assert env.packages == {}
        assert env.notes == ("no Python was found that the command could use",)

    def test_one_that_must_be_asked_is_asked_by_the_slow_part(self, tmp_path: Path) -> None:
        shim = tmp_path / "python"
        shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        shim.chmod(0o755)
        fast = capture_fast(tmp_path, [], [], command=[str(shim)])
        assert fast.python == Python(executable=str(shim))
        slow = capture_slow(fast)
        assert slow.python.prefix == sys.prefix
        assert slow.packages["pytest"] == pytest.__version__

    def test_one_that_does_not_answer(self, tmp_path: Path) -> None:
        shim = tmp_path / "python"
        shim.write_text("#!/bin/sh\nexit 1\n")
        shim.chmod(0o755)
        env = capture_environment(tmp_path, [], [], command=[str(shim)])
        assert env.python == Python(executable=str(shim))
        assert any(str(shim) in note for note in env.notes)


class TestContainer:
    def test_none(self, tmp_path: Path) -> None:
        assert find_container({}, tmp_path) is None

    def test_docker(self, tmp_path: Path) -> None:
        (tmp_path / ".dockerenv").touch()
        assert find_container({}, tmp_path) == Container("docker")
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/mountinfo").write_text(
            f"1 2 8:1 /var/lib/docker/containers/{'ab' * 32}/hostname /etc/hostname rw - ext4 x rw\n"
        )
        assert find_container({}, tmp_path) == Container("docker", None, "ab" * 32)

    def test_podman_knows_its_image(self, tmp_path: Path) -> None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run/.containerenv").write_text(
            f'engine="podman-4.3"\nname="x"\nid="{"cd" * 32}"\nimage="example.org/train:3"\n'
        )
        assert find_container({}, tmp_path) == Container("podman", "example.org/train:3", "cd" * 32)

    def test_rootless_podman_says_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run/.containerenv").touch()
        assert find_container({}, tmp_path) == Container("podman")

    @pytest.mark.parametrize(
        ("environ", "container"),
        [
            ({"APPTAINER_CONTAINER": "/x.sif"}, Container("apptainer", "/x.sif")),
            ({"SINGULARITY_CONTAINER": "/x.sif"}, Container("apptainer", "/x.sif")),
            ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, Container("kubernetes")),
            ({"container": "systemd-nspawn"}, Container("systemd-nspawn")),
        ],
    )
    def test_by_variable(self, tmp_path: Path, environ: dict[str, str], container: Container) -> None:
        assert find_container(environ, tmp_path) == container


class TestConda:
    def test_the_one_that_the_python_is_in(self, tmp_path: Path) -> None:
        prefix = tmp_path / "envs" / "ml"
        (prefix / "lib/python3.12/site-packages").mkdir(parents=True)
        (prefix / "conda-meta").mkdir()
        (prefix / "conda-meta/python-3.12.4-h1_1.json").touch()
        python = prefix / "bin/python3.12"
        python.parent.mkdir()
        python.write_text("x")
        python.chmod(0o755)
        active = {"CONDA_PREFIX": str(prefix), "CONDA_DEFAULT_ENV": "ours"}
        for environ, name in ((active, "ours"), ({}, "ml")):
            env = capture_fast(tmp_path, [], [], command=[str(python)], environ=environ)
            assert env.conda is not None
            assert (env.conda.name, env.conda.prefix) == (name, str(prefix))

    def test_a_venv_is_in_none_whatever_is_activated(self, tmp_path: Path) -> None:
        if interpreter.running_interpreter().python.kind != "venv":
            pytest.skip("these tests run outside a venv")
        assert capture_fast(tmp_path, [], [], environ={"CONDA_PREFIX": "/x"}).conda is None


class TestAHostileWorld:
    """Whatever breaks, a run goes on, and its record says what is missing."""

    @pytest.mark.parametrize(
        ("module", "name", "word"),
        [
            (interpreter, "running_interpreter", "Python"),
            (packages, "installed_packages", "packages"),
            (hardware, "quick_hardware", "hardware"),
            (hardware, "full_hardware", "hardware"),
            (environment, "_platform", "platform"),
            (environment, "find_container", "container"),
            (environment, "chosen_variables", "variables"),
            (environment, "_lock_files", "lock files"),
        ],
    )
    def test_a_part_that_fails_is_a_note(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, module: object, name: str, word: str
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise OSError(5, "the disk is gone")

        monkeypatch.setattr(module, name, fail)
        env = capture_environment(tmp_path, [], [])
        (note,) = [note for note in env.notes if "the disk is gone" in note]
        assert word in note

    def test_a_root_that_is_gone(self, tmp_path: Path) -> None:
        env = capture_environment(tmp_path / "gone", [], [])
        assert any("lock files" in note for note in env.notes)
        assert env.packages

    def test_gpus_that_cannot_be_read_are_said_aloud(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        said = (Hardware(gpus=(Gpu("A GPU"),)), ("a GPU driver is present but NVML failed: x",))
        monkeypatch.setattr(hardware, "full_hardware", lambda _: said)
        env = capture_environment(tmp_path, [], [])
        assert env.hardware.gpus == (Gpu("A GPU"),)
        assert "a GPU driver is present but NVML failed: x" in env.notes


def test_editable_packages_get_their_commit_in_the_slow_part(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = Repo.init(tmp_path / "mine")
    site = tmp_path / "site"
    info = site / "mine-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "direct_url.json").write_text(f'{{"url": "file://{source.path}", "dir_info": {{"editable": true}}}}')
    monkeypatch.setenv("PYTHONPATH", str(site))
    fast = capture_fast(tmp_path, [], [])
    assert fast.editable["mine"].commit is None
    slow = capture_slow(fast)
    assert slow.editable["mine"].commit == source.git("rev-parse", "HEAD")
    assert slow.editable["mine"].dirty is False
