from __future__ import annotations

import importlib.metadata
import json
import os
import re
import sysconfig
from pathlib import Path

import pytest

from gittrack.capture.interpreter import running_interpreter
from gittrack.capture.packages import Packages, installed_packages, with_git_state
from gittrack.domain.environment import Editable, FromVcs
from tests.helpers import Repo


def dist(site: Path, name: str, origin: object = None) -> None:
    folder = site / f"{name}.dist-info"
    folder.mkdir(parents=True)
    if origin is not None:
        text = origin if isinstance(origin, str) else json.dumps(origin)
        (folder / "direct_url.json").write_text(text)


def test_versions_are_read_off_the_names(tmp_path: Path) -> None:
    for name in ("numpy-2.1.0", "Flask_Cors-4.0.1", "ruamel.yaml-0.18", "x-1!2.0+local.1"):
        dist(tmp_path, name)
    (tmp_path / "numpy").mkdir()
    (tmp_path / "__pycache__").mkdir()
    assert installed_packages([tmp_path]).versions == {
        "flask-cors": "4.0.1",
        "numpy": "2.1.0",
        "ruamel-yaml": "0.18",
        "x": "1!2.0+local.1",
    }


def test_the_same_as_the_slow_way_finds() -> None:
    """On this very environment, against what the packages say of themselves."""
    site = Path(sysconfig.get_path("purelib"))
    expected = {
        re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower(): one.version
        for one in importlib.metadata.distributions(path=[str(site)])
    }
    assert installed_packages([site]).versions == expected


def test_the_first_folder_wins(tmp_path: Path) -> None:
    dist(tmp_path / "a", "x-2.0")
    dist(tmp_path / "b", "x-1.0")
    dist(tmp_path / "b", "y-1.0")
    assert installed_packages([tmp_path / "a", tmp_path / "b"]).versions == {
        "x": "2.0",
        "y": "1.0",
    }


def test_old_kinds(tmp_path: Path) -> None:
    (tmp_path / "one-1.2-py3.11.egg-info").write_text("")
    (tmp_path / "two-words-0.1.egg-info").mkdir()
    (tmp_path / "three.egg-info").mkdir()
    (tmp_path / "three.egg-info" / "PKG-INFO").write_text("Name: three\nVersion: 3.0\n")
    (tmp_path / "four.egg-info").write_text("Metadata-Version: 1.0\nVersion: 4.0\n")
    source = tmp_path / "src"
    (source / "five.egg-info").mkdir(parents=True)
    (source / "five.egg-info" / "PKG-INFO").write_text("Version: 5.0\n")
    (tmp_path / "five.egg-link").write_text(f"{source}\n.")
    found = installed_packages([tmp_path])
    assert found.versions == {
        "one": "1.2",
        "two-words": "0.1",
        "three": "3.0",
        "four": "4.0",
        "five": "5.0",
    }
    assert found.editable == {"five": Editable(str(source))}


def test_where_a_package_came_from(tmp_path: Path) -> None:
    dist(
        tmp_path,
        "mine-1.0",
        {"url": "file:///home/bob/my%20project", "dir_info": {"editable": True}},
    )
    dist(
        tmp_path,
        "theirs-1.0",
        {
            "url": "https://bob:secret@example.org/theirs.git",
            "vcs_info": {"vcs": "git", "commit_id": "a" * 40, "requested_revision": "main"},
        },
    )
    dist(tmp_path, "local-1.0", {"url": "file:///home/bob/x", "dir_info": {}})
    dist(tmp_path, "wheel-1.0", {"url": "file:///x.whl", "archive_info": {}})
    found = installed_packages([tmp_path])
    assert found.editable == {"mine": Editable("/home/bob/my project")}
    assert found.vcs == {"theirs": FromVcs("https://example.org/theirs.git", "a" * 40)}


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"dir_info": 3}', '{"url": 1, "dir_info": 1}'])
def test_a_damaged_origin_is_none(tmp_path: Path, text: str) -> None:
    dist(tmp_path, "x-1.0", text)
    assert installed_packages([tmp_path]) == Packages({"x": "1.0"})


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert installed_packages([tmp_path / "none"]) == Packages()


def test_what_is_installed_later_is_seen(tmp_path: Path) -> None:
    dist(tmp_path, "x-1.0")
    os.utime(tmp_path, ns=(0, 0))
    assert set(installed_packages([tmp_path]).versions) == {"x"}
    dist(tmp_path, "y-1.0")
    assert set(installed_packages([tmp_path]).versions) == {"x", "y"}


def test_our_own_packages_are_among_them() -> None:
    versions = installed_packages(running_interpreter().site_packages).versions
    assert versions["pytest"] == pytest.__version__


class TestGitState:
    def test_clean_and_dirty(self, tmp_path: Path) -> None:
        packages = {}
        for name in ("clean", "dirty"):
            repo = Repo.init(tmp_path / name)
            packages[name] = Editable(str(repo.path))
            head = repo.git("rev-parse", "HEAD")
        repo.write("train.py", "changed")
        known, notes = with_git_state(packages)
        assert notes == []
        assert known["dirty"] == Editable(str(repo.path), head, dirty=True)
        assert known["clean"].dirty is False

    def test_only_the_packages_own_folder_counts(self, repo: Repo) -> None:
        repo.write("packages/one/setup.py", "")
        repo.commit()
        repo.write("train.py", "changed")
        known, _ = with_git_state({"one": Editable(str(repo.path / "packages/one"))})
        assert known["one"].dirty is False

    def test_outside_git_is_no_failure(self, tmp_path: Path) -> None:
        package = Editable(str(tmp_path))
        assert with_git_state({"x": package}) == ({"x": package}, [])

    def test_what_git_refuses_is_said(self, tmp_path: Path) -> None:
        broken = Repo.init(tmp_path / "broken")
        (broken.path / ".git" / "config").write_text("[core\n")
        unborn = tmp_path / "unborn"
        unborn.mkdir()
        Repo(unborn).git("init", "--quiet")
        gone = Editable(str(tmp_path / "gone"))
        packages = {
            "broken": Editable(str(broken.path)),
            "unborn": Editable(str(unborn)),
            "gone": gone,
        }
        known, notes = with_git_state(packages)
        assert known == packages
        assert len(notes) == 3
        assert "config" in notes[0]
        assert "no commit" in notes[1]
        assert str(tmp_path / "gone") in notes[2]

    def test_it_is_not_the_callers_repository_that_is_asked(
        self, tmp_path: Path, repo: Repo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = Repo.init(tmp_path / "other")
        monkeypatch.setenv("GIT_DIR", str(repo.path / ".git"))
        monkeypatch.setenv("GIT_INDEX_FILE", str(repo.path / ".git" / "index"))
        known, notes = with_git_state({"x": Editable(str(other.path))})
        monkeypatch.undo()
        assert notes == []
        assert known["x"].commit == other.git("rev-parse", "HEAD")

    def test_nothing_is_written(self, repo: Repo) -> None:
        os.utime(repo.path / "train.py", ns=(1, 1))  # the index does not know this time
        before = repo.status_fingerprint()
        with_git_state({"x": Editable(str(repo.path))})
        assert repo.status_fingerprint() == before

    def test_more_than_are_asked_at_once(self, repo: Repo) -> None:
        known, _ = with_git_state({f"p{n}": Editable(str(repo.path)) for n in range(20)})
        assert len({package.commit for package in known.values()}) == 1
