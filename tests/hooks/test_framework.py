"""Guards through the real pre-commit framework, and the files by which it knows them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gittrack.errors import RepositoryError
from gittrack.hooks.framework import guarded, has_block, passed, stages, with_block, without_block
from tests.helpers import Repo
from tests.hooks.conftest import PRE_COMMIT, ROOT

CONFIG = ".pre-commit-config.yaml"


def pre_commit(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PRE_COMMIT, *words], cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False
    )


def test_a_guard_runs_in_an_environment_that_the_framework_made(
    repo: Repo, framework: Callable[[Repo, Iterable[str]], None]
) -> None:
    framework(repo, ["gittrack-dirty"])
    asked = ("run", "--hook-stage", "manual", "gittrack-dirty")
    done = pre_commit(repo.path, *asked)
    assert done.returncode == 0, done.stdout + done.stderr

    repo.write("new file.py", "1")
    done = pre_commit(repo.path, *asked)
    assert done.returncode == 1
    assert (
        "gittrack-dirty: 1 file differs from the last commit; commit, ignore or remove what is named below"
        in done.stdout
    )
    assert "  new file.py (untracked)" in done.stdout


def test_the_manifest_names_every_guard_as_the_table_has_it() -> None:
    manifest = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert manifest == [
        {
            "id": one.name,
            "name": one.name,
            "description": one.about,
            "entry": f"gittrack hooks run {one.name}",
            "language": "python",
            "stages": stages(one),
            "always_run": True,
            **passed(one),
            "minimum_pre_commit_version": "3.2.0",
        }
        for one in guarded()
    ]
    assert pre_commit(ROOT, "validate-manifest", ".pre-commit-hooks.yaml").returncode == 0


def test_this_project_uses_its_own_guards() -> None:
    assert pre_commit(ROOT, "validate-config", CONFIG).returncode == 0
    hooks = {
        hook["id"]: hook for repo in yaml.safe_load((ROOT / CONFIG).read_text())["repos"] for hook in repo["hooks"]
    }
    for one in guarded():
        mine = hooks[one.name]
        assert mine["entry"].endswith(f"gittrack hooks run {one.name}")
        assert (mine["stages"], mine["always_run"]) == (stages(one), True)
        assert {"pass_filenames": mine["pass_filenames"]} == passed(one)


# --- the block in somebody's configuration

HEAD = "# Our checks.\ndefault_stages: [pre-commit]   # only these\n"
LISTS = (
    "repos:\n- repo: local\n  hooks: []\n",
    "repos:\n  - repo: local\n    hooks: [] # none\n",
    "repos:   # all\n\n    -   repo: local\n        hooks:\n        -   id: one\n            name: |\n"
    "              of two\n              lines\n            entry: x\n            language: system\n",
    "repos: []\n",
    "repos: [ ]  # none yet\n",
    "repos: [{repo: local, hooks: []}]\n",
    "repos: [\n  {repo: local, hooks: []},  # the first\n]\n",
    '"repos":\n-\n  repo: local\n  hooks: []\n',
    "'repos': [{repo: meta,\n hooks: []}, ]\n",
)
TAILS = ("", "# the end\n", "\n\n", "    # deep\nfail_fast: true\n", "exclude: ^x # \u00e9\u4e2d\n", "...\n")


@given(
    st.sampled_from(("", HEAD, "---\n")), st.sampled_from(LISTS), st.sampled_from(TAILS), st.booleans(), st.booleans()
)
def test_the_block_goes_in_and_out_without_a_trace(head: str, repos: str, tail: str, crlf: bool, cut: bool) -> None:
    text = head + repos + tail
    if cut:
        text = text.rstrip("\n")
    if crlf:
        text = text.replace("\n", "\r\n")
    changed = with_block(text)
    assert has_block(changed)
    assert with_block(changed) == changed
    assert without_block(changed) == text
    before, after = yaml.safe_load(text), yaml.safe_load(changed)
    assert after["repos"][:-1] == before["repos"]
    assert [hook["id"] for hook in after["repos"][-1]["hooks"]] == [one.name for one in guarded()]
    if "\r\n" in text:
        assert "\n" not in changed.replace("\r\n", "")


def test_what_others_add_below_the_block_stays() -> None:
    text = "repos:\n- repo: meta\n  hooks: []\n"
    more = "- repo: other\n  hooks: []\n"
    assert without_block(with_block(text) + more) == text + more


def test_a_block_that_holds_more_is_not_taken_out() -> None:
    changed = with_block("repos: []\nfail_fast: true\n")
    assert "gittrack-tags" in changed
    theirs = with_block("repos:\n- repo: meta\n  hooks: []\n").replace("- id: gittrack-tags", "- id: ours")
    with pytest.raises(RepositoryError, match="take it out by hand"):
        without_block(theirs)


def test_guards_that_are_named_already_are_not_added() -> None:
    text = "repos:\n- repo: https://example.org/gittrack\n  rev: v1\n  hooks:\n  - id: gittrack-secrets\n"
    assert with_block(text) == text


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xef\xbb\xbfrepos: []\n", "byte order mark"),
        (b"repos: []\n# caf\xe9\n", "not UTF-8"),
        ("repos: []\n".encode("utf-16"), "not UTF-8"),
        (b"repos: [\n", "no valid YAML (line 2)"),
        (b"", "no list 'repos'"),
        (b"repos:\n", "no list 'repos'"),
        (b"- a\n", "no list 'repos'"),
        (b"x: &a []\nrepos: *a\n", "alias"),
        (b"repos: []\nrepos: []\n", "no list"),
        (b"repos: []\n---\nrepos: []\n", "no valid YAML"),
    ],
)
def test_a_file_that_cannot_be_edited_stays(repo: Repo, content: bytes, says: str) -> None:
    path = repo.write(CONFIG, content)
    done = repo.gittrack("hooks", "install", check=False)
    assert done.returncode == 1
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert path.read_bytes() == content
    assert [one.name for one in repo.path.iterdir() if one.name.startswith(CONFIG)] == [CONFIG]


def test_install_adds_the_block_and_names_what_is_lacking(repo: Repo) -> None:
    path = repo.write(CONFIG, "# ours\r\nrepos:\r\n    -   repo: meta\r\n        hooks: []")
    path.chmod(0o640)
    before = path.read_bytes()
    out = repo.gittrack("hooks", "install").stdout
    assert "next: pre-commit install --hook-type pre-commit --hook-type pre-merge-commit" in out
    assert pre_commit(repo.path, "validate-config", CONFIG).returncode == 0
    added = path.read_bytes()
    assert pre_commit(repo.path, "install", "--hook-type", "pre-commit").returncode == 0
    out = repo.gittrack("hooks", "install").stdout
    assert "stays as it is" in out
    assert "--hook-type pre-commit " not in out
    assert path.read_bytes() == added
    shown = repo.gittrack_json("hooks", "ls")
    assert shown["way"] == "framework"
    assert {one["name"]: one["called"] for one in shown["guards"]}["gittrack-secrets"] == ["pre-commit"]
    assert "not called by pre-merge-commit" in repo.gittrack("hooks", "ls").stderr
    repo.git("config", "core.hooksPath", "nowhere")
    assert "which core.hooksPath forbids" in repo.gittrack("hooks", "install").stdout

    repo.gittrack("hooks", "uninstall")
    assert path.read_bytes() == before
    assert path.stat().st_mode & 0o777 == 0o640
    assert repo.gittrack("hooks", "uninstall").stdout == "gittrack is in no hook here\n"


def test_a_configuration_of_others_is_not_written_through_a_link(repo: Repo, tmp_path: Path) -> None:
    shared = tmp_path / "shared.yaml"
    shared.write_text("repos: []\n")
    (repo.path / CONFIG).symlink_to(shared)
    done = repo.gittrack("hooks", "install", check=False)
    assert "leads out of this repository" in done.stderr
    assert shared.read_text() == "repos: []\n"
