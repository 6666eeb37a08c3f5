"""The whole state of a run beside one's own: code, pointers, data."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gittrack.errors import UsageError
from tests.data.conftest import Bench, large
from tests.helpers import Repo, wait_until


@pytest.fixture
def changed(bench: Bench) -> Bench:
    """A run, after which code and data went on."""
    bench.track("data.csv", large("d"))
    bench.repo.write("code.py", "old")
    bench.repo.commit()
    with bench.project.start_run("a") as run:
        run.use("data.csv")
        bench.repo.write("out/m.bin", large("m"))
        run.log_artifact("out/m.bin", name="model")
    bench.repo.write("code.py", "new")
    bench.track("data.csv", large("e"))
    return bench


def test_into_a_worktree(changed: Bench) -> None:
    before = changed.repo.status_fingerprint()
    done = changed.repo.gittrack("checkout", "a")
    assert changed.repo.status_fingerprint() == before
    place = changed.repo.path.with_name("repo-a")
    assert str(place) in done.stdout
    assert (place / "code.py").read_text() == "old"
    assert (place / "data.csv").read_bytes() == large("d")
    assert (place / ".gittrack/artifacts/out/m.bin").read_bytes() == large("m")
    assert changed.dvc("status", cwd=place).strip() == "Data and pipelines are up to date."
    assert Repo(place).git("status", "--porcelain") == ""
    assert (changed.repo.path / "data.csv").read_bytes() == large("e")
    # And from there a run is recorded like from anywhere.
    assert Repo(place).gittrack("run", "-n", "again", "--input", "data.csv", "--", "true").returncode == 0
    changed.repo.git("worktree", "remove", str(place))


def test_a_place_is_taken_from_where_one_stands(changed: Bench) -> None:
    below = changed.repo.path / "src/deep"
    below.mkdir(parents=True)
    done = changed.repo.gittrack("checkout", "a", "--worktree", "../../../there", cwd=below)
    place = changed.repo.path.parent / "there"
    assert str(place) in done.stdout
    assert (place / "code.py").read_text() == "old"
    assert (place / "data.csv").read_bytes() == large("d")


def test_what_dvc_cannot_read_is_one_sentence(changed: Bench) -> None:
    changed.repo.write("dvc.yaml", "stages: [")
    changed.repo.commit("Broken")
    changed.repo.gittrack("run", "-n", "b", "--", "true")
    done = changed.repo.gittrack("checkout", "b", check=False)
    assert done.returncode == 1
    assert "DVC cannot put the data" in done.stderr
    assert "Traceback" not in done.stderr
    assert (changed.repo.path.with_name("repo-b") / "code.py").exists()


def test_what_is_written_in_the_worktree_does_not_reach_the_store(changed: Bench) -> None:
    changed.repo.gittrack("checkout", "a")
    place = changed.repo.path.with_name("repo-a")
    for path in (place / "data.csv", place / ".gittrack/artifacts/out/m.bin"):
        path.chmod(0o644)
        with path.open("ab") as file:
            file.write(b"more")
    assert changed.project.fsck() == []


def test_onto_a_branch(changed: Bench) -> None:
    before = (changed.repo.path / "data.csv").read_bytes()
    done = changed.repo.gittrack("checkout", "a", "-b", "look")
    assert "git switch look && dvc checkout --force" in done.stderr
    assert (changed.repo.path / "data.csv").read_bytes() == before
    assert changed.repo.git("symbolic-ref", "--short", "HEAD") == "main"
    changed.repo.git("switch", "--quiet", "look")
    changed.dvc("checkout")
    assert (changed.repo.path / "data.csv").read_bytes() == large("d")
    assert (changed.repo.path / ".gittrack/artifacts/out/m.bin").read_bytes() == large("m")


def test_without_data(changed: Bench) -> None:
    place = changed.repo.path.parent / "elsewhere"
    assert changed.repo.gittrack_json("checkout", "a", "--no-data", "--worktree", str(place))["absent"] == []
    assert (place / "data.csv.dvc").exists()
    assert not (place / "data.csv").exists()


def test_what_cannot_be_had_is_named_and_the_rest_is_there(changed: Bench) -> None:
    for path in changed.objects():
        if path.read_bytes() == large("m"):
            (changed.repo.path / ".dvc/cache/files/md5" / path.parent.name / path.name).unlink()
            path.unlink()
    done = changed.repo.gittrack("checkout", "a", check=False)
    assert done.returncode == 1
    assert "model" in done.stderr
    assert (changed.repo.path.with_name("repo-a") / "data.csv").read_bytes() == large("d")


def test_a_place_that_is_taken(changed: Bench) -> None:
    before = changed.repo.status_fingerprint()
    assert "already exists" in changed.repo.gittrack("checkout", "a", "-b", "main", check=False).stderr
    (changed.repo.path.parent / "full").mkdir()
    (changed.repo.path.parent / "full" / "x").write_text("mine")
    done = changed.repo.gittrack("checkout", "a", "--worktree", "../full", check=False)
    assert done.returncode == 2
    assert changed.repo.status_fingerprint() == before
    assert changed.repo.git("worktree", "list").count("\n") == 0


def test_an_interrupted_checkout_leaves_nothing_half_done(changed: Bench) -> None:
    place = changed.repo.path.with_name("repo-a")
    with subprocess.Popen(
        [sys.executable, "-m", "gittrack", "checkout", "a"], cwd=changed.repo.path, stderr=subprocess.PIPE
    ) as process:
        wait_until((place / "code.py").exists, "the worktree is there")
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 130
    assert not place.exists()
    assert changed.repo.git("worktree", "list").count("\n") == 0
    assert changed.repo.gittrack("checkout", "a").returncode == 0


def test_a_run_in_a_repository_without_dvc(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo.path)
    repo.write(".gitignore", "/out\n")
    repo.commit()
    bench = Bench(repo)
    bench.run("a", {"m.bin": large("m")})
    place = bench.project.check_out("a", worktree=Path("../beside")).place
    assert place is not None
    assert (place / ".gittrack/artifacts/out/m.bin").read_bytes() == large("m")


def test_an_active_run_has_nothing_to_check_out(bench: Bench) -> None:
    with bench.project.start_run("a"), pytest.raises(UsageError, match="still active"):
        bench.project.check_out("a")
