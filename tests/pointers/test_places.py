"""Where the cache and the farm lie: where DVC itself says."""

from __future__ import annotations

from pathlib import Path

import pytest

from gittrack.pointers.places import Places, find_places
from gittrack.pointers.setup import set_up_dvc
from tests.helpers import Repo, read_only, small_disk


def dvcs_answer(root: Path) -> Path:
    from dvc.repo import Repo as DvcRepo

    with DvcRepo(str(root)) as one:
        return Path(one.cache.local_cache_dir)


def farm(repo: Repo) -> Path:
    return repo.path / ".git" / "gittrack" / "odb"


def test_without_dvc_there_is_a_farm_only(repo: Repo, tmp_path: Path) -> None:
    assert find_places(repo.path / ".git", repo.path) == Places(None, (farm(repo),))
    bare = tmp_path / "bare.git"
    assert find_places(bare, None) == Places(None, (bare / "gittrack" / "odb",))


CONFIGS = {
    "default": {},
    "a word that means nothing": {"config": "# the cache is elsewhere\n[core]\n    remote = cache\n"},
    "relative": {"config": "[cache]\n    dir = ../../elsewhere\n"},
    "absolute": {"config": "[cache]\n    dir = /somewhere/of/its/own\n"},
    "home": {"config": "[cache]\n    dir = ~/cache\n"},
    "quoted": {"config": '[Cache]\n    Dir = "with # and space"\n'},
    "no dir": {"config": "[cache]\n    type = symlink\n"},
    "local is stronger": {"config": "[cache]\n    dir = one\n", "config.local": "[cache]\n    dir = two\n"},
    "global": {"global": "[cache]\n    dir = /of/the/user\n"},
    "system": {"system": "[cache]\n    dir = relative\n"},
    "global is stronger": {"system": "[cache]\n    dir = /one\n", "global": "[cache]\n    dir = /two\n"},
    "the project is stronger": {"config": "[cache]\n    dir = one\n", "global": "[cache]\n    dir = /two\n"},
}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("by_variable", [True, False])
def test_the_cache_is_where_dvc_says(
    repo: Repo, sealed_home: Path, name: str, by_variable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up_dvc(repo.path)
    folders = {"global": sealed_home / "dvc-global", "system": sealed_home / "dvc-system"}
    if not by_variable:
        monkeypatch.delenv("DVC_GLOBAL_CONFIG_DIR")
        monkeypatch.delenv("DVC_SYSTEM_CONFIG_DIR")
        monkeypatch.setenv("XDG_CONFIG_DIRS", f"{sealed_home}/xdg:/other")
        folders = {"global": sealed_home / ".config" / "dvc", "system": sealed_home / "xdg" / "dvc"}
    for file, text in CONFIGS[name].items():
        path = folders[file] / "config" if file in folders else repo.path / ".dvc" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    places = find_places(repo.path / ".git", repo.path)
    assert places.cache == dvcs_answer(repo.path)
    assert places.keeps == (farm(repo),)


def test_a_configuration_that_dvc_refuses_is_left_aside(repo: Repo) -> None:
    set_up_dvc(repo.path)
    for data in (b"[cache\ndir = x\n", b"[cache]\ndir = \xff\n", b"[cache]\ndir = a, b\n", b"cache = x\n"):
        (repo.path / ".dvc/config").write_bytes(data)
        assert find_places(repo.path / ".git", repo.path).cache == repo.path / ".dvc/cache"


def test_a_linked_worktree_shares_the_main_ones(repo: Repo, tmp_path: Path) -> None:
    set_up_dvc(repo.path)
    repo.commit("dvc")
    linked = tmp_path / "linked"
    repo.git("worktree", "add", "--quiet", str(linked))
    common = repo.path / ".git"
    assert find_places(common, linked) == Places(repo.path / ".dvc/cache", (farm(repo),))
    (repo.path / ".dvc/config.local").write_text("[cache]\ndir = private\n")
    assert find_places(common, linked).cache == repo.path / ".dvc/private"
    (linked / ".dvc/config").write_text("[cache]\ndir = /chosen\n")
    assert find_places(common, linked).cache == Path("/chosen")


def test_a_submodule_is_a_repository_of_its_own(repo: Repo, tmp_path: Path) -> None:
    inner = Repo.init(tmp_path / "inner")
    repo.git("submodule", "--quiet", "add", str(inner.path), "sub")
    set_up_dvc(repo.path / "sub")
    common = repo.path / ".git/modules/sub"
    assert find_places(common, repo.path / "sub") == Places(repo.path / "sub/.dvc/cache", (common / "gittrack/odb",))


def test_a_cache_on_another_file_system(repo: Repo, tmp_path: Path) -> None:
    set_up_dvc(repo.path)
    with small_disk(tmp_path / "disk") as disk:
        (repo.path / ".dvc/config").write_text(f"[cache]\ndir = {disk}/not/yet/there\n")
        places = find_places(repo.path / ".git", repo.path)
        cache = disk / "not/yet/there"
        assert places.cache == cache
        assert places.keep.parent == cache / "gittrack"
        assert len(places.keep.name) == 12
        assert places.keeps[1] == farm(repo)
        other = Repo.init(tmp_path / "other")
        set_up_dvc(other.path)
        (other.path / ".dvc/config").write_text(f"[cache]\ndir = {disk}/not/yet/there\n")
        assert find_places(other.path / ".git", other.path).keep != places.keep
        with read_only(disk):
            assert find_places(repo.path / ".git", repo.path).keep == farm(repo)
