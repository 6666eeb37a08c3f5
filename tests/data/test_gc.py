"""Room on the disk: what no rule keeps goes, everything else can still be read."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gittrack.data.gc import GcPlan, plan_gc, run_gc
from gittrack.data.retention import kept_runs
from gittrack.domain.run import RunState, Status
from gittrack.errors import ObjectMissing, OnlyCopy, SettingsError
from gittrack.pointers.dvcfile import pointer_file
from gittrack.pointers.hashing import md5
from gittrack.settings import Retention
from tests.data.conftest import Bench, large
from tests.helpers import Repo, read_only

NOW = 1_767_225_600.0
DAY = 86_400.0


def state(number: int, age: float = 0.0, experiment: str = "digits", **changes: Any) -> RunState:
    return RunState(
        id=f"{number:032x}",
        name=f"run-{number}",
        experiment=experiment,
        status=changes.pop("status", Status.FINISHED),
        started=NOW - age * DAY,
        ended=NOW - age * DAY,
        commit=changes.pop("commit", "c" * 40),
        **changes,
    )


def kept(runs: list[RunState], registered: tuple[int, ...] = (), **rules: Any) -> list[int]:
    found = kept_runs(
        runs,
        Retention(**rules),
        registered={f"{one:032x}" for one in registered},
        direction=lambda metric: {"acc": "max", "loss": "min"}.get(metric),
        now=NOW,
    )
    return sorted(int(one, 16) for one in found)


def test_without_a_rule_all_stay() -> None:
    assert kept([state(1), state(2, deleted=True)]) == [1, 2]


def test_the_last_runs_of_each_experiment() -> None:
    runs = [state(1, 3), state(2, 2), state(3, 1), state(4, 9, experiment="other")]
    assert kept(runs, keep_last=2) == [2, 3, 4]
    assert kept(runs, keep_last=0) == []


def test_young_runs() -> None:
    assert kept([state(1, 100), state(2, 89)], keep_days=90.0) == [2]


def test_the_best_by_a_metric_in_its_direction() -> None:
    metrics: list[Mapping[str, float]] = [{"acc": 0.1, "loss": 1}, {"acc": 0.9, "loss": 3}, {"acc": float("nan")}, {}]
    runs = [state(number, number, metrics=one) for number, one in enumerate(metrics, 1)]
    assert kept(runs, keep_best={"acc": 1}) == [2]
    assert kept(runs, keep_best={"loss": 1}) == [1]
    assert kept(runs, keep_best={"acc": 1, "loss": 1}) == [1, 2]
    assert kept([state(1, metrics={"acc": 1.0}, status=Status.FAILED)], keep_best={"acc": 1}) == []
    with pytest.raises(SettingsError, match="high or low"):
        kept(runs, keep_best={"speed": 1})


def test_what_the_registry_names_and_what_is_active_always_stays() -> None:
    runs = [state(1, 900), state(2, 900, deleted=True), state(3, 900, commit=None)]
    assert kept(runs, registered=(1, 2), keep_days=1.0) == [1, 2, 3]
    assert kept(runs, keep_days=1.0) == [3]


# --- on disk


def rules(bench: Bench, text: str) -> None:
    bench.repo.write(".gittrack/config.yaml", f"artifacts: {{retention: {text}}}\n")
    bench.repo.commit("Rules")


def test_artifacts_of_old_runs_go_and_their_bytes_are_free(bench: Bench) -> None:
    old = bench.run("old", {"m.bin": large("1", 400_000), "same.bin": large("s")})
    bench.run("new", {"m.bin": large("2"), "same.bin": large("s")})
    rules(bench, "{keep_last: 1}")
    plan = bench.project.plan_gc()
    (doomed,) = plan.objects
    assert doomed.needed is not None
    assert (doomed.size, doomed.needed.run.id, len(doomed.paths)) == (400_000, old.id, 2)
    assert 400_000 <= plan.freed < 450_000
    promised = plan.freed
    assert bench.project.gc()[1].bytes == promised
    assert not any(path.exists() for path in doomed.paths)
    assert bench.project.get_run("new").artifact("out/m.bin").read_bytes() == large("2")
    assert old.artifact("out/same.bin").read_bytes() == large("s")
    with pytest.raises(ObjectMissing):
        old.artifact("out/m.bin").read_bytes()
    # Let go on purpose: told, and no damage.
    assert [(one.harmless, "let go" in one.reason) for one in bench.project.fsck()] == [(True, True)]
    assert bench.repo.gittrack("fsck").returncode == 0
    assert bench.project.plan_gc().objects == []


def test_only_kinds_that_are_named_go(bench: Bench) -> None:
    with bench.project.start_run("a") as run:
        for kind in ("model", "checkpoint"):
            bench.repo.write(f"out/{kind}", large(kind[0]))
            run.log_artifact(f"out/{kind}", kind=kind)
    rules(bench, "{keep_last: 0, kinds: [checkpoint]}")
    assert [one.needed.called for one in bench.project.plan_gc().objects if one.needed] == ["out/checkpoint"]


def test_what_a_branch_or_the_worktree_points_to_stays_in_dvcs_cache(bench: Bench) -> None:
    bench.track("data.csv", large("d"))
    with bench.project.start_run("a") as run:
        run.use("data.csv")
        bench.repo.write("out/copy.csv", large("d"))
        run.log_artifact("out/copy.csv")
    rules(bench, "{keep_last: 0}")
    plan = bench.project.plan_gc()
    assert plan.freed == 0
    bench.project.gc()
    assert bench.objects() == []
    assert bench.dvc("status").strip() == "Data and pipelines are up to date."


def test_a_git_tag_keeps_what_it_names(bench: Bench) -> None:
    run = bench.run("old", {"m.bin": large("1")})
    bench.repo.git("tag", "-a", "-m", "keep", "model@v1.0.0", str(run.commit))
    rules(bench, "{keep_last: 0}")
    assert bench.project.plan_gc().objects == []


def test_an_active_run_keeps_what_it_stored(bench: Bench) -> None:
    rules(bench, "{keep_last: 0}")
    with bench.project.start_run("a") as run:
        bench.repo.write("out/set/1.bin", large("1"))
        run.log_artifacts("out/set")
        project = bench.project
        plan = plan_gc(
            project.depot, list, project.settings.artifacts.retention, direction=lambda _: None, now=9e9, grace=0
        )
        assert plan.objects == []


def test_what_no_run_names_goes_after_a_day(bench: Bench) -> None:
    """A process that was killed between storing and recording leaves such objects."""
    bench.store.add_bytes(large("orphan"))
    bench.run("a", {"m.bin": large("m")}, model="m.bin").artifact("model").path()
    project = bench.project
    assert project.plan_gc().objects == []
    later = plan_gc(project.depot, project._all_states, Retention(), direction=lambda _: None, now=9e9)
    assert [one.needed for one in later.objects] == [None]
    assert len(later.views) == 1
    run_gc(project.depot, later)
    assert len(bench.objects()) == 1
    assert project.artifact("model").read_bytes() == large("m")


def test_the_command_lists_first(bench: Bench) -> None:
    bench.run("old", {"m.bin": large("1")}, model="m.bin")
    rules(bench, "{keep_last: 0}")
    listed = bench.repo.gittrack("gc", "--dry-run").stdout
    assert "artifact 'model' of run old" in listed
    assert "would free" in listed
    (one,) = bench.repo.gittrack_json("gc", "--dry-run")["objects"]
    assert one["artifact"] == "model"
    assert "freed" in bench.repo.gittrack("gc").stdout
    assert bench.objects() == []
    assert bench.project.count() == 1


# --- what nobody else has


@pytest.fixture
def store(bench: Bench, tmp_path: Path) -> Path:
    """A DVC remote that nothing was pushed to."""
    bench.dvc("remote", "add", "-d", "store", str(tmp_path / "store"))
    (tmp_path / "store/gittrack").mkdir(parents=True)
    bench.repo.commit("A remote")
    return tmp_path / "store/gittrack"


def send(bench: Bench, *names: str) -> None:
    depot = bench.project.depot
    depot.send([bench.project.artifact(name).artifact.as_pointer() for name in names], depot.remote())


def test_what_no_remote_has_is_refused(bench: Bench, store: Path) -> None:
    bench.run("a", {"m.bin": large("m")}, model="m.bin")
    bench.run("b", {"n.bin": large("n")}, net="n.bin")
    rules(bench, "{keep_last: 0}")
    send(bench, "model")
    listed = bench.repo.gittrack("gc", "--dry-run")
    first, second, _ = listed.stdout.splitlines()
    assert first.endswith("artifact 'model' of run a (" + bench.project.get_run("a").id[:8] + ")")
    assert second.endswith(", the only copy")
    assert "without --force" in listed.stderr
    assert [one["on_remote"] for one in bench.repo.gittrack_json("gc", "--dry-run")["objects"]] == [True, False]
    done = bench.repo.gittrack("gc", check=False)
    assert done.returncode == 1
    assert "1 object of 1 run would be gone for good" in done.stderr
    assert "'gittrack push'" in done.stderr
    assert len(bench.objects()) == 2
    send(bench, "net")
    bench.repo.gittrack("gc")
    assert bench.objects() == []


def test_a_copy_of_another_size_on_the_remote_is_none(bench: Bench, store: Path) -> None:
    bench.run("a", {"m.bin": large("m")}, model="m.bin")
    rules(bench, "{keep_last: 0}")
    send(bench, "model")
    (copy,) = [one for one in store.rglob("*") if one.is_file()]
    copy.chmod(0o644)
    copy.write_bytes(b"short")
    with pytest.raises(OnlyCopy):
        bench.project.gc()


def test_a_remote_that_cannot_be_asked_keeps_everything_unless_forced(bench: Bench, store: Path) -> None:
    bench.run("a", {"m.bin": large("m")}, model="m.bin")
    rules(bench, "{keep_last: 0}")
    store.rename(store.with_name("elsewhere"))
    listed = bench.repo.gittrack("gc", "--dry-run")
    assert "perhaps the only copy" in listed.stdout
    assert bench.repo.gittrack_json("gc", "--dry-run")["objects"][0]["on_remote"] is None
    done = bench.repo.gittrack("gc", check=False)
    assert done.returncode == 1
    assert "may be the only ones" in done.stderr
    bench.repo.gittrack("gc", "--force")
    assert bench.objects() == []


def test_without_a_remote_it_is_said_that_they_were_the_only_copies(bench: Bench) -> None:
    bench.run("a", {"m.bin": large("m")}, model="m.bin")
    rules(bench, "{keep_last: 0}")
    assert "the only copy" in bench.repo.gittrack("gc", "--dry-run").stdout
    done = bench.repo.gittrack("gc")
    assert "the only copies of 1 object of 1 run" in done.stderr
    assert bench.objects() == []


def test_what_dvcs_cache_keeps_needs_no_remote(bench: Bench, store: Path) -> None:
    bench.track("data.csv", large("d"))
    with bench.project.start_run("a") as run:
        run.use("data.csv")
    rules(bench, "{keep_last: 0}")
    assert bench.repo.gittrack_json("gc", "--dry-run")["objects"][0]["on_remote"] is None
    bench.repo.gittrack("gc")
    assert bench.objects() == []


def test_the_list_goes_by_run_and_artifact(bench: Bench) -> None:
    for name in ("b", "a"):
        bench.run(name, {"x.bin": large(f"{name}x"), "w.bin": large(f"{name}w")})
    rules(bench, "{keep_last: 0}")
    named = [one.needed for one in bench.project.plan_gc().objects]
    assert [(one.run.name, one.called) for one in named if one] == [
        ("a", "out/w.bin"),
        ("a", "out/x.bin"),
        ("b", "out/w.bin"),
        ("b", "out/x.bin"),
    ]


def test_a_repository_that_cannot_be_written_is_told_as_such(bench: Bench) -> None:
    bench.run("a", {"m.bin": large("m")})
    rules(bench, "{keep_last: 0}")
    with read_only(bench.repo.path):
        done = bench.repo.gittrack("gc", check=False)
    assert done.returncode == 1
    assert "Read-only file system" in done.stderr
    assert "other processes" not in done.stderr


@pytest.mark.parametrize("what", ["commit", "record"])
def test_a_run_that_cannot_be_read_keeps_everything(bench: Bench, what: str) -> None:
    """What it needs would look like something that nobody needs."""
    run = bench.run("a", {"m.bin": large("m")})
    bench.run("b", {"n.bin": large("n")})
    name = run.commit if what == "commit" else bench.repo.git("rev-parse", f"{run.commit}:.gittrack/run.yaml")
    assert name is not None
    (bench.repo.path / ".git/objects" / name[:2] / name[2:]).unlink()
    (bench.repo.path / ".git/gittrack/index.sqlite").unlink()
    rules(bench, "{keep_last: 0}")
    done = bench.repo.gittrack("gc", check=False)
    assert done.returncode == 1
    assert "cannot be read" in done.stderr
    assert len(bench.objects()) == 2


def test_gc_waits_for_who_is_storing_and_they_for_it(bench: Bench) -> None:
    """Between finding that an object is there and naming it, it must not go."""
    bench.run("old", {"m.bin": large("m")}, model="m.bin")
    rules(bench, "{keep_last: 0}")
    bench.repo.write("same.bin", large("m"))
    code = """
import sys, gittrack
for number in range(30):
    with gittrack.start_run(f'new-{number}', console=False, allow_dirty='all') as run:
        run.log_artifact('same.bin')
        print(run.active, flush=True)
        sys.stdin.readline()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=bench.repo.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for _ in range(30):
            child.stdout.readline()
            bench.project.gc()
            # Named by an active run, whatever older runs had of it.
            assert len(bench.objects()) == 1
            child.stdin.write("on\n")
            child.stdin.flush()
            bench.project.gc()


def test_a_list_that_is_damaged_keeps_its_files(bench: Bench) -> None:
    bench.repo.write("out/set/1.bin", large("1"))
    with bench.project.start_run("a") as run:
        run.log_artifacts("out/set", name="set")
    (listing,) = [one for one in bench.objects() if one.name.endswith(".dir")]
    listing.chmod(0o644)
    listing.write_bytes(b"spoiled")
    done = bench.repo.gittrack("gc", check=False)
    assert done.returncode == 1
    assert "fsck --repair" in done.stderr
    assert len(bench.objects()) == 2


def test_a_list_that_was_never_fetched_keeps_what_it_may_name(bench: Bench) -> None:
    bench.repo.write("out/set/1.bin", large("1"))
    with bench.project.start_run("a") as run:
        run.log_artifacts("out/set", name="set")
    (listing,) = [one for one in bench.objects() if one.name.endswith(".dir")]
    (bench.repo.path / ".dvc/cache/files/md5" / listing.parent.name / listing.name).unlink()
    listing.unlink()
    project = bench.project
    assert plan_gc(project.depot, project._all_states, Retention(), direction=lambda _: None, now=9e9).objects == []


# --- what has come since the plan


def age_gc(bench: Bench) -> GcPlan:
    rules(bench, "{keep_last: 1}")
    return bench.project.plan_gc()


def test_what_a_run_names_after_the_plan_stays(bench: Bench) -> None:
    bench.run("old", {"m.bin": large("m")})
    bench.run("new", {"n.bin": large("n")})
    plan = age_gc(bench)
    assert len(plan.objects) == 1
    bench.run("newest", {"m.bin": large("m")})
    assert run_gc(bench.project.depot, plan).objects == 0
    assert bench.project.get_run("newest").artifact("out/m.bin").read_bytes() == large("m")
    assert bench.project.fsck() == []


def test_an_input_that_was_stored_after_the_plan_stays(bench: Bench) -> None:
    bench.run("old", {"m.bin": large("m")})
    bench.run("new", {"n.bin": large("n")})
    plan = age_gc(bench)
    bench.repo.write("data.bin", large("m"))
    bench.dvc("add", "-q", "data.bin")
    bench.repo.commit()
    bench.repo.gittrack("run", "-n", "later", "--input", "data.bin", "--", "true")
    run_gc(bench.project.depot, plan)
    (bench.repo.path / "data.bin").unlink()
    assert bench.project.fsck() == []


def test_who_did_not_get_the_lock_makes_an_object_anew_and_it_stays(bench: Bench) -> None:
    bench.run("old", {"m.bin": large("m")})
    bench.run("new", {"n.bin": large("n")})
    plan = age_gc(bench)
    (doomed,) = plan.objects
    before = doomed.paths[0].stat().st_ino
    source = bench.repo.path / "out/m.bin"
    bench.store.add(source)
    assert doomed.paths[0].stat().st_ino == before
    bench.store.add(source, fresh=True)
    assert doomed.paths[0].stat().st_ino != before
    assert doomed.paths[0].samefile(doomed.paths[1])
    assert run_gc(bench.project.depot, plan).objects == 0
    assert all(path.exists() for path in doomed.paths)


def test_what_gc_let_go_and_somebody_stored_again_can_be_lost_again(bench: Bench) -> None:
    bench.run("old", {"m.bin": large("m")})
    bench.run("new", {"n.bin": large("n")})
    rules(bench, "{keep_last: 1}")
    bench.project.gc()
    released = bench.repo.path / ".git/gittrack/released"
    released.write_bytes(released.read_bytes() + b"\xff\xfe")
    assert [one.harmless for one in bench.project.fsck()] == [True]
    bench.run("again", {"m.bin": large("m")})
    assert bench.project.fsck() == []
    for path in bench.objects():
        if path.read_bytes() == large("m"):
            (bench.repo.path / ".dvc/cache/files/md5" / path.parent.name / path.name).unlink()
            path.unlink()
    (bench.repo.path / "out/m.bin").unlink()
    assert [one.harmless for one in bench.project.fsck()] == [False, False]


# --- who else may need it


def test_a_cache_that_somebody_chose_is_left_alone(bench: Bench, tmp_path: Path) -> None:
    bench.dvc("config", "--local", "cache.dir", str(tmp_path / "shared"))
    bench.run("old", {"m.bin": large("m")})
    bench.run("new", {"n.bin": large("n")})
    plan = age_gc(bench)
    assert [(len(one.paths), one.left) for one in plan.objects] == [(1, True)]
    bench.project.gc()
    assert len(list((tmp_path / "shared/files/md5").rglob("*/*"))) == 2
    assert len(bench.objects()) == 1


@pytest.mark.parametrize("where", ["worktree", "detached", "stash", "stash untracked", "json", "staged", "submodules"])
def test_pointers_count_wherever_a_person_has_them(bench: Bench, where: str) -> None:
    run = bench.run("old", {"m.bin": large("m")})
    bench.run("new", {"n.bin": large("n")})
    pointer = pointer_file(run.artifacts[0].as_pointer(), "m.bin")
    beside = bench.repo.path.with_name("beside")
    if where in ("worktree", "detached"):
        bench.repo.git("worktree", "add", "--quiet", "--detach", str(beside))
        (beside / "m.bin.dvc").write_bytes(pointer)
        if where == "detached":
            Repo(beside).commit()
            (beside / "m.bin.dvc").unlink()
    elif where == "json":
        bench.repo.write("m.bin.dvc", json.dumps({"outs": [{"md5": run.artifacts[0].md5, "path": "m.bin"}]}))
    else:
        bench.repo.write("m.bin.dvc", pointer)
    if where == "staged":
        bench.repo.git("add", "--force", "m.bin.dvc")
        (bench.repo.path / "m.bin.dvc").unlink()
    elif where.startswith("stash"):
        if where == "stash":
            bench.repo.git("add", "--force", "m.bin.dvc")
        bench.repo.git("stash", "push", "--quiet", "--include-untracked")
        bench.repo.write("train.py", "changed")
        bench.repo.git("stash", "push", "--quiet")
    elif where == "submodules":
        bench.repo.git("config", "submodule.recurse", "true")
    bench.repo.git("config", "gittrack.artifacts.retention", "{keep_last: 1}")
    (doomed,) = bench.project.plan_gc().objects
    assert (doomed.left, len(doomed.paths)) == (True, 1)


def test_gc_believes_git_and_not_its_index(bench: Bench) -> None:
    bench.run("a", {"m.bin": large("m")})
    bench.run("b", {"n.bin": large("n")})
    project = bench.project
    project.count()
    with contextlib.closing(sqlite3.connect(bench.repo.path / ".git/gittrack/index.sqlite")) as index:
        index.execute("DELETE FROM run WHERE name = 'a'")
        index.commit()
    plan = project.plan_gc()
    assert (plan.kept, plan.objects) == (2, [])


def test_a_copy_that_an_active_run_reads_stays(bench: Bench) -> None:
    bench.run("a", {"m.bin": large("m")}, model="m.bin")
    project = bench.project
    with project.start_run("b") as run:
        place = run.use("model@a")
        later = plan_gc(project.depot, project._all_states, Retention(), direction=lambda _: None, now=9e9)
        assert later.views == []
    later = plan_gc(project.depot, project._all_states, Retention(), direction=lambda _: None, now=9e9)
    assert [view.name for view in later.views] == [md5(large("m"))]
    views = Path(place).parent
    os.utime(views, (0, 0))
    project.artifact("model").path()
    run_gc(project.depot, later)
    assert Path(place).exists()
    os.utime(views, (0, 0))
    run_gc(project.depot, later)
    assert not views.exists()
