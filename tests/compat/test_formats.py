"""What a released version wrote is read for ever."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import gittrack
from tests.compat.make_fixture import expected
from tests.helpers import Repo

BUNDLES = sorted(Path(__file__).parent.glob("*.bundle"))


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.stem)
def test_an_old_repository_reads_as_it_always_did(bundle: Path, tmp_path: Path, monkeypatch) -> None:
    repo = Repo.init(tmp_path / "repo")
    repo.git("fetch", "--quiet", str(bundle), "refs/experiments/*:refs/experiments/*")
    monkeypatch.chdir(repo.path)
    assert json.loads(json.dumps(expected())) == json.loads(bundle.with_suffix(".json").read_text())
    assert gittrack.Project.open().fsck() == []
