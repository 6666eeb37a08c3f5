"""The block of `dvc.yaml` that names models: what the user wrote stays, and DVC reads the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gittrack.domain.artifact import Artifact
from gittrack.ledger import dvcyaml
from gittrack.project import Project
from tests.helpers import Repo

MODEL = Artifact("out/m.pkl", 3, "0" * 32, "model", "digits")
ENTRY = {"digits": {"path": ".gittrack/artifacts/out/m.pkl", "type": "model"}}


def test_only_names_that_dvc_takes_are_declared() -> None:
    odd = Artifact("b", 1, "1" * 32, None, "my model")
    assert dvcyaml.declared([MODEL, odd, Artifact("c", 1, "2" * 32)]) == ENTRY


@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"stages:\n  a:\n    cmd: x  # why\n",
        b"stages: {}",
        b"{stages: {}}\n",
        b"artifacts:\n",
        b"artifacts: {}\nstages: {}\n",
        b"artifacts:\n  digits: {path: old}\n  other: {path: y}  # mine\n",
    ],
)
def test_the_block_is_put_in_and_everything_else_stays(before: bytes) -> None:
    text = dvcyaml.with_artifacts(before, ENTRY)
    assert text is not None
    old, new = yaml.safe_load(before) or {}, yaml.safe_load(text)
    assert new == {**old, "artifacts": {**(old.get("artifacts") or {}), **ENTRY}}
    assert dvcyaml.declares(text, "digits", ENTRY["digits"])
    assert not dvcyaml.declares(before, "digits", ENTRY["digits"])
    assert before.count(b"#") == text.count(b"#")


@pytest.mark.parametrize("before", [b"- a\n", b"a: [", b"artifacts: 3\n", b"\xff\xfe", b"a: &x {b: *x}\n"])
def test_what_is_no_pipeline_is_left_alone(before: bytes) -> None:
    assert dvcyaml.with_artifacts(before, ENTRY) is None
    assert not dvcyaml.declares(before, "digits", ENTRY["digits"])


def record(repo: Repo, tmp_path: Path) -> str:
    made = tmp_path / "m.pkl"
    made.write_bytes(b"abc")
    with Project.open(repo.path).start_run("net", console=False) as run:
        run.log_artifact(made, name="digits", kind="model")
    assert run.commit is not None
    return run.commit


def test_a_run_declares_its_named_artifacts(repo: Repo, tmp_path: Path) -> None:
    repo.write("dvc.yaml", "stages:\n  a:\n    cmd: echo  # why\n")
    repo.commit()
    text = repo.git("show", f"{record(repo, tmp_path)}:dvc.yaml")
    assert "# why" in text
    assert yaml.safe_load(text)["artifacts"] == {"digits": {"path": ".gittrack/artifacts/m.pkl", "type": "model"}}
    assert repo.git("status", "--porcelain") == ""


def test_a_folder_or_a_link_of_that_name_stays(repo: Repo, tmp_path: Path) -> None:
    repo.write("dvc.yaml/inside", "mine")
    repo.commit()
    commit = record(repo, tmp_path)
    assert repo.git("show", f"{commit}:dvc.yaml/inside") == "mine"
    repo.git("rm", "-r", "--quiet", "dvc.yaml")
    (repo.path / "dvc.yaml").symlink_to("train.py")
    repo.commit()
    assert repo.git("ls-tree", record(repo, tmp_path), "dvc.yaml").startswith("120000")
