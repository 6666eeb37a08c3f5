"""What GTO, which knows nothing of us, makes of versions that are registered through us."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gto.api

from gittrack.models.registrar import Share
from tests.registry.builders import WEIGHTS, team


def test_versions_of_one_run_in_one_second_have_a_commit_each(tmp_path: Path) -> None:
    made = team(tmp_path / "team", runs=1)
    project = made.open(0)
    registrar = project.models.registrar
    registrar = replace(registrar, author=replace(registrar.author, time=1_772_366_400))
    run = project.get_run("jane-0")
    for bump in (None, "minor", "patch"):
        registrar.register("digits", run, artifact=WEIGHTS, bump=bump, share=Share(push=False))
    registrar.promote("digits", "v1.1", "production", share=Share(push=False))
    listed = gto.api.show(str(made.clones[0].path), "digits")
    assert len({one["commit_hexsha"] for one in listed}) == 3
    assert {one["version"]: [each["stage"] for each in one["stages"]] for one in listed} == {
        "v1.0.0": [],
        "v1.1.0": ["production"],
        "v1.1.1": [],
    }
