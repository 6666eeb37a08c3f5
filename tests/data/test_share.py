"""Runs and their data through real remotes: what goes, what stays back, and what is nobody's loss."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from gittrack.data.needed import needed_objects
from gittrack.pointers.dvcfile import pointer_file
from gittrack.project import Project
from tests.data.conftest import Bench, large
from tests.helpers import Repo


@pytest.fixture
def team(bench: Bench, tmp_path: Path) -> Bench:
    """A repository with a git remote and a DVC remote, both empty."""
    bench.repo.write(
        ".dvc/config", f"[core]\n    remote = store\n['remote \"store\"']\n    url = {tmp_path / 'store'}\n"
    )
    bench.repo.git("init", "--bare", "--quiet", str(tmp_path / "origin.git"))
    bench.repo.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    bench.repo.gittrack("init")
    bench.repo.commit()
    bench.repo.git("push", "--quiet", "origin", "main")
    return bench


def colleague(team: Bench) -> Repo:
    place = team.repo.path.parent / "colleague"
    team.repo.git("clone", "--quiet", str(team.repo.path.parent / "origin.git"), str(place))
    return Repo(place)


def test_a_run_and_its_data_reach_a_colleague(team: Bench) -> None:
    team.track("data.csv", large("d"))
    team.repo.git("push", "--quiet", "origin", "main")
    with team.project.start_run("a") as run:
        team.repo.write("out/set/1.bin", large("1"))
        team.repo.write("out/set/2.bin", large("2"))
        run.use("data.csv")
        run.log_artifacts("out/set", name="set")
    pushed = team.repo.gittrack_json("push")
    assert (pushed["runs"], pushed["objects"]) == ([run.id], 4)
    other = colleague(team)
    fetched = other.gittrack_json("fetch")
    assert (fetched["runs"], fetched["objects"], fetched["bytes"]) == ([run.id], 4, pushed["bytes"])
    assert Project.open(other.path).get_run("a").artifact("set").read_bytes("2.bin") == large("2")
    assert other.gittrack("fsck").returncode == 0
    assert other.gittrack_json("fetch")["runs"] == []


def test_without_data_and_then_on_demand(team: Bench) -> None:
    team.run("a", {"m.bin": large("m")}, model="m.bin")
    team.repo.gittrack("push")
    other = colleague(team)
    assert other.gittrack_json("fetch", "--no-data")["objects"] == 0
    assert "data of 1 older run is not here; 'gittrack pull'" in other.gittrack("fetch").stderr
    assert "on the remote" in other.gittrack("fsck").stdout
    assert other.gittrack_json("pull")["objects"] == 1
    assert other.gittrack("fsck").stdout == "1 run, nothing is damaged\n"


@pytest.mark.parametrize("content", [b"small", large("m")], ids=["in git", "behind a pointer"])
def test_an_artifact_as_an_input_travels_like_any_other(team: Bench, content: bytes) -> None:
    made = team.run("maker", {"m.bin": content}, model="m.bin")
    with team.project.start_run("user") as run:
        run.use("model:latest")
    assert team.project.fsck() == []
    assert len(team.repo.gittrack_json("push")["runs"]) == 2
    assert team.project.check_out("user").absent == ()
    other = colleague(team)
    other.gittrack("fetch")
    assert other.gittrack("fsck").returncode == 0
    assert str(made.commit) in other.git("rev-parse", f"{run.commit}^@")


def test_an_artifact_added_later_is_reached_from_who_used_it(team: Bench) -> None:
    team.run("maker")
    team.repo.write("out/late.bin", large("l"))
    later = team.project.add_artifact("maker", "out/late.bin", name="late")
    with team.project.start_run("user") as run:
        run.use("late:v1")
    assert str(later.head) in team.repo.git("rev-parse", f"{run.commit}^@")


def test_a_change_that_only_we_made_is_nothing_to_fetch(team: Bench) -> None:
    team.run("a")
    team.repo.gittrack("push")
    team.repo.gittrack("tag", "a", "kind=cv")
    assert "no new runs" in team.repo.gittrack("fetch").stdout
    assert team.project.get_run("a").tags == {"kind": "cv"}
    assert "1 run pushed" in team.repo.gittrack("push").stdout


def test_changes_on_both_sides_come_together(team: Bench) -> None:
    team.run("a")
    team.repo.gittrack("push")
    other = colleague(team)
    other.gittrack("fetch")
    other.gittrack("tag", "a", "from=them", "theirs=1")
    other.gittrack("push")
    team.repo.gittrack("tag", "a", "from=us", "ours=1")
    team.repo.gittrack("push")
    team.repo.gittrack("fetch")
    other.gittrack("fetch")
    assert team.repo.gittrack("ls", "--json").stdout == other.gittrack("ls", "--json").stdout
    tags = team.project.get_run("a").tags
    assert {"ours", "theirs"} <= tags.keys()
    assert [one.changes for one in team.project.get_run("a").amendments] == [
        one.changes for one in Project.open(other.path).get_run("a").amendments
    ]


def keep_nothing(team: Bench) -> None:
    team.repo.write(".gittrack/config.yaml", "artifacts: {retention: {keep_last: 0}}\n")
    team.repo.commit("Keep nothing")


def send_data(team: Bench) -> None:
    """The bytes of all runs to the DVC remote, and no run."""
    needed = needed_objects(team.project.repo, team.project._all_states())
    depot = team.project.depot
    depot.send([one.pointer for one in needed], depot.remote())


def test_a_run_whose_only_bytes_were_let_go_stays_back(team: Bench) -> None:
    team.run("old", {"m.bin": large("m")})
    keep_nothing(team)
    team.project.gc(force=True)
    done = team.repo.gittrack("push", check=False)
    assert done.returncode == 1
    assert "no new runs" in done.stdout
    assert "'gittrack gc' let it go here" in done.stderr
    assert "1 run stays here" in done.stderr
    assert "1 run pushed" in team.repo.gittrack("push", "--no-data").stdout
    # It is there now: what nobody can bring keeps no later push from succeeding.
    assert "no new runs" in team.repo.gittrack("push").stdout
    assert team.repo.gittrack("fsck").returncode == 0


@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
def test_a_run_whose_bytes_were_let_go_and_are_on_the_remote_goes(team: Bench, folder: bool) -> None:
    if folder:
        team.repo.write("out/set/1.bin", large("1"))
        with team.project.start_run("old") as run:
            run.log_artifacts("out/set", name="set")
    else:
        team.run("old", {"m.bin": large("m")})
    send_data(team)
    keep_nothing(team)
    team.project.gc()
    assert team.objects() == []
    assert "1 run pushed" in team.repo.gittrack("push").stdout


def test_repair_and_pull_leave_what_was_let_go_unless_it_is_asked_for(team: Bench) -> None:
    team.run("old", {"m.bin": large("m")}, model="m.bin")
    team.run("other", {"n.bin": large("n")}, other="n.bin")
    team.repo.gittrack("push")
    keep_nothing(team)
    team.repo.gittrack("gc")
    team.repo.gittrack("fsck", "--repair")
    assert team.repo.gittrack_json("pull")["objects"] == 0
    assert team.objects() == []
    # Who reads one gets it all the same.
    assert team.project.artifact("model").read_bytes() == large("m")
    assert team.repo.gittrack_json("pull", "--released")["objects"] == 1
    assert len(team.objects()) == 2
    assert team.repo.gittrack("pull", "--released", "--no-data", check=False).returncode == 2


def test_what_was_let_go_and_is_on_no_remote_is_told_and_no_failure(team: Bench) -> None:
    team.run("old", {"m.bin": large("m")})
    team.run("kept", {"n.bin": large("n")})
    team.repo.gittrack("push")
    keep_nothing(team)
    team.project.gc()
    for path in (team.repo.path.parent / "store").rglob("*"):
        if path.is_file() and path.read_bytes() == large("m"):
            path.unlink()
    done = team.project.fetch(everything=True, released=True)
    assert (done.objects, done.complete) == (1, True)
    assert "1 file or folder is on no remote" in done.note


def test_what_was_made_and_read_again_goes_from_the_cache_too(team: Bench) -> None:
    team.run("maker", {"m.bin": large("m", 400_000)}, model="m.bin")
    with team.project.start_run("user") as run:
        run.use("model:v1")
    team.repo.write(".gittrack/config.yaml", "artifacts: {retention: {keep_last: 0}}\n")
    team.repo.commit()
    assert team.repo.gittrack_json("gc", "--force")["freed"] >= 400_000


def test_a_run_whose_data_are_gone_stays_back_and_the_others_go(team: Bench) -> None:
    team.run("broken", {"m.bin": large("m")})
    team.run("whole", {"n.bin": large("n")})
    for path in team.objects():
        if path.read_bytes() == large("m"):
            (team.repo.path / ".dvc/cache/files/md5" / path.parent.name / path.name).unlink()
            path.unlink()
    done = team.repo.gittrack("push", check=False)
    assert done.returncode == 1
    assert "1 run pushed" in done.stdout
    assert "'out/m.bin' of run broken" in done.stderr
    assert "1 run stays here" in done.stderr
    team.repo.write("out/m.bin", large("m"))
    team.store.add(team.repo.path / "out/m.bin")
    assert "1 run pushed" in team.repo.gittrack("push").stdout


def test_no_place_for_data_is_told_before_anything_is_pushed(bench: Bench, tmp_path: Path) -> None:
    bench.repo.git("init", "--bare", "--quiet", str(tmp_path / "origin.git"))
    bench.repo.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    bench.run("a", {"m.bin": large("m")})
    done = bench.repo.gittrack("push", check=False)
    assert done.returncode == 1
    assert "--no-data" in done.stderr
    assert bench.repo.git("ls-remote", "origin") == ""
    assert "1 run pushed" in bench.repo.gittrack("push", "--no-data").stdout


def test_a_remote_folder_that_is_not_mounted_is_no_loss(team: Bench, tmp_path: Path) -> None:
    team.run("a", {"m.bin": large("m")})
    team.repo.gittrack("push")
    os.rename(tmp_path / "store", tmp_path / "elsewhere")
    for top in (team.repo.path / ".git/gittrack/odb", team.repo.path / ".dvc/cache"):
        shutil.rmtree(top)
    done = team.repo.gittrack("fsck", check=False)
    assert done.returncode == 1
    assert "could not be asked" in done.stdout
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("cause", ["not mounted", "no such remote"])
def test_one_cause_is_told_once(team: Bench, tmp_path: Path, cause: str) -> None:
    for name in "abc":
        team.run(name, {"m.bin": large(name)})
    team.repo.gittrack("push")
    other = colleague(team)
    if cause == "not mounted":
        os.rename(tmp_path / "store", tmp_path / "elsewhere")
        expected = "is not there"
    else:
        other.git("config", "gittrack.artifacts.remote", "nowhere")
        expected = "no remote 'nowhere'"
    done = other.gittrack("fetch", check=False)
    assert done.returncode == 1
    assert done.stderr.count(expected) == 1
    assert "3 files and folders of runs" in done.stderr
    assert "artifact 'out/m.bin' of run b" in done.stderr
    # By name, for a program.
    assert len(json.loads(other.gittrack("pull", "--json", check=False).stdout)["absent"]) == 3


def test_a_push_that_finds_no_remote_tells_the_cause_once(team: Bench, tmp_path: Path) -> None:
    for name in "abc":
        team.run(name, {"m.bin": large(name)})
    (tmp_path / "store").write_text("a file where the folder should be")
    done = team.repo.gittrack("push", check=False)
    assert done.returncode == 1
    assert done.stderr.count("3 files and folders of runs") == 1
    assert "3 runs stay here" in done.stderr


def test_a_folder_that_was_lost_from_the_cache_alone_is_told_when_it_is_back(team: Bench) -> None:
    team.run("a", {"m.bin": large("m")})
    shutil.rmtree(team.repo.path / ".dvc/cache")
    assert "put 1 object into DVC's cache again" in team.repo.gittrack("fsck", "--repair").stderr


def test_a_refused_input_is_not_called_undeclared(team: Bench) -> None:
    path = team.repo.write("data.csv", large("d"))
    pointer = team.store.add(path).pointer
    team.repo.write("data.csv.dvc", pointer_file(pointer, "data.csv"))
    team.repo.write(".gitignore", "/out\n/data.csv\n")
    team.repo.write("use.py", "import gittrack\nrun = gittrack.start_run()\nrun.use('data.csv')\n")
    team.repo.commit()
    path.write_bytes(large("e"))
    done = team.repo.gittrack("run", "-n", "a", "--", "python", "use.py", check=False)
    assert "not those that" in done.stderr
    assert "without declaring" not in done.stderr


def test_another_remote_by_the_settings(team: Bench, tmp_path: Path) -> None:
    """Also when `.dvc/config` already names a place for run data below the first one."""
    with (team.repo.path / ".dvc/config").open("a") as file:
        file.write(f"['remote \"second\"']\n    url = {tmp_path / 'second'}\n")
    team.repo.write(".gittrack/config.yaml", "artifacts: {remote: second}\n")
    team.repo.commit()
    team.run("a", {"m.bin": large("m")})
    team.repo.gittrack("push")
    assert len(list((tmp_path / "second/gittrack/files/md5").glob("*/*"))) == 1
    team.repo.write(".gittrack/config.yaml", "artifacts: {remote: nowhere}\n")
    team.repo.commit()
    assert "no remote 'nowhere'" in team.repo.gittrack("push", "--all-data", check=False).stderr
