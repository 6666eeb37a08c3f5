"""What a run reads: declared or noticed, with the version that somebody keeps of it."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from gittrack.domain.input import Input
from gittrack.errors import DirtyTree, GittrackError, UsageError
from gittrack.project import Project
from gittrack.run import Run
from tests.data.conftest import Bench, large


def used(bench: Bench, *what: str, **options: object) -> Run:
    with bench.project.start_run("a", console=False) as run:
        for one in what:
            run.use(one, **options)  # type: ignore[arg-type]
    return bench.project.get_run(run.id)


def used_dirty(bench: Bench, what: str) -> Run:
    with bench.project.start_run("a", console=False, allow_dirty="all") as run:
        run.use(what)
    return bench.project.get_run(run.id)


def inputs(run: Run) -> dict[str, Input]:
    return {one["path"]: Input.from_dict(one) for one in run.record.inputs}


# --- files with a pointer


def test_a_tracked_input_is_recorded_with_its_pointer(bench: Bench) -> None:
    bench.track("data/digits.csv", large("d"))
    (one,) = inputs(used(bench, "data/digits.csv")).values()
    assert (one.tracked_by, one.pointer, one.size, one.changed) == ("dvc", "data/digits.csv.dvc", 70_000, False)


def test_the_pointer_may_be_named_instead(bench: Bench) -> None:
    bench.track("data.csv", large("d"))
    assert inputs(used(bench, "data.csv.dvc"))["data.csv"].tracked_by == "dvc"


def test_it_is_recorded_from_the_top_wherever_the_script_stands(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.track("data/digits.csv", large("d"))
    monkeypatch.chdir(bench.repo.path / "data")
    with Project.open().start_run("a") as run:
        assert run.use("digits.csv") == Path("digits.csv")
    assert list(inputs(bench.project.get_run("a"))) == ["data/digits.csv"]


@pytest.mark.parametrize("what", ["set", "set/a", "set/a/1.bin"])
def test_a_tracked_folder_and_what_lies_in_it(bench: Bench, what: str) -> None:
    bench.track("set", {"a/1.bin": large("1"), "a/2.bin": large("2"), "3.bin": large("3")})
    (one,) = inputs(used(bench, what)).values()
    assert (one.path, one.tracked_by, one.pointer) == (what, "dvc", "set.dvc")


@pytest.mark.parametrize(("tracked", "what"), [("data.csv", "data.csv"), ("set", "set"), ("set", "set/1.bin")])
def test_changed_data_are_refused_and_recorded_when_allowed(bench: Bench, tracked: str, what: str) -> None:
    bench.track(tracked, large("d") if tracked == "data.csv" else {"1.bin": large("1")})
    changed = bench.repo.path / ("data.csv" if tracked == "data.csv" else "set/1.bin")
    with changed.open("ab") as file:
        file.write(b"more")
    with bench.project.start_run("refused") as run, pytest.raises(DirtyTree, match="not those that") as caught:
        run.use(what)
    assert caught.value.files == (f"{what} (changed data)",)
    assert run.use.__doc__
    (one,) = inputs(used(bench, what, allow_changed=True)).values()
    assert (one.changed, one.tracked_by, one.pointer) == (True, None, f"{tracked}.dvc")


def test_a_new_file_in_a_tracked_folder_is_a_change(bench: Bench) -> None:
    bench.track("set", {"1.bin": large("1")})
    bench.repo.write("set/2.bin", b"new")
    with bench.project.start_run("refused") as run:
        for what in ("set", "set/2.bin"):
            with pytest.raises(DirtyTree):
                run.use(what)


def test_a_pointer_of_a_pipeline_counts_too(bench: Bench) -> None:
    bench.repo.write("raw.csv", large("r"))
    oid = bench.store.add(bench.repo.path / "raw.csv").pointer.oid
    bench.repo.write(".gitignore", "/out\n/raw.csv\n")
    lock = "schema: '2.0'\nstages:\n  make:\n    cmd: x\n    outs:\n"
    bench.repo.write("dvc.lock", f"{lock}    - path: raw.csv\n      hash: md5\n      md5: {oid}\n      size: 70000\n")
    bench.repo.commit()
    assert inputs(used(bench, "raw.csv"))["raw.csv"].pointer == "dvc.lock"


def test_an_input_that_only_the_worktree_has_is_kept(bench: Bench) -> None:
    """After `dvc gc` a run still can be repeated."""
    bench.track("data.csv", large("d"))
    for path in [*(bench.repo.path / ".dvc/cache").rglob("*"), *bench.objects()]:
        if path.is_file():
            path.unlink()
    run = used(bench, "data.csv")
    assert [one.stat().st_size for one in bench.objects()] == [70_000]
    assert bench.project.fsck() == []
    assert inputs(run)["data.csv"].tracked_by == "dvc"


def test_a_pointer_edited_by_hand_is_one_sentence(bench: Bench) -> None:
    bench.track("data.csv", large("d"))
    bench.repo.write("data.csv.dvc", "outs:\n- md5: [nonsense\n")
    bench.repo.commit()
    with bench.project.start_run("a") as run, pytest.raises(GittrackError, match=r"data\.csv\.dvc"):
        run.use("data.csv")


def test_a_missing_input(bench: Bench) -> None:
    place = bench.track("data.csv", large("d"))
    place.unlink()
    with bench.project.start_run("a") as run:
        with pytest.raises(UsageError, match="dvc pull"):
            run.use("data.csv")
        with pytest.raises(UsageError, match="there is no input file"):
            run.use("nowhere.csv")


def mixed(bench: Bench) -> None:
    """A folder that git has, with files in it that DVC has."""
    bench.repo.write("data/README", "about")
    bench.track("data/a.csv", large("a"))
    bench.track("data/b", {"1.bin": large("1")})


def test_a_plain_folder_with_tracked_files_records_each(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    mixed(bench)
    found = inputs(used(bench, "data"))
    assert {path: one.tracked_by for path, one in found.items()} == {
        "data": "git",
        "data/a.csv": "dvc",
        "data/b": "dvc",
    }
    assert caplog.text == ""
    assert bench.project.fsck() == []
    bench.repo.write("data/loose.txt", "?")
    caplog.set_level(logging.WARNING)
    found = inputs(used_dirty(bench, "data"))
    assert found["data"].tracked_by is None
    assert "dvc add data/loose.txt" in caplog.text


def test_tracked_files_in_a_plain_folder_are_refused_when_changed_or_absent(bench: Bench) -> None:
    mixed(bench)
    bench.repo.write("data/b/1.bin", b"other")
    (bench.repo.path / "data/a.csv").unlink()
    done = bench.repo.gittrack("run", "--input", "data", "--", "true", check=False)
    assert done.returncode == 4
    assert "data/a.csv (absent)" in done.stderr
    assert "data/b (changed data)" in done.stderr
    assert "dvc checkout --force data/a.csv data/b" in done.stderr
    assert "dvc add data'" not in done.stderr
    found = inputs(used(bench, "data", allow_changed=True))
    assert (found["data"].tracked_by, found["data/b"].changed) == (None, True)


def test_paths_in_advice_can_be_typed(bench: Bench) -> None:
    bench.track("my data.csv", large("d"))
    bench.repo.write("my data.csv", b"other")
    done = bench.repo.gittrack("run", "--input", "my data.csv", "--", "true", check=False)
    assert "'dvc checkout --force 'my data.csv''" in done.stderr


def test_an_empty_path_is_no_input(bench: Bench) -> None:
    assert bench.repo.gittrack("run", "--input", "", "--", "true", check=False).returncode == 2
    with bench.project.start_run("a") as run, pytest.raises(UsageError, match="empty"):
        run.use("")


# --- files without one


def test_what_git_has_needs_no_pointer(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.repo.write("table/a.csv", "1\n")
    bench.repo.commit()
    found = inputs(used(bench, "table/a.csv", "table"))
    assert {one.tracked_by for one in found.values()} == {"git"}
    assert caplog.text == ""


def test_what_nobody_keeps_is_hashed_and_named_with_the_way_out(
    bench: Bench, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    bench.repo.write("out/x.csv", "1\n")
    (tmp_path / "far.csv").write_text("1\n")
    found = inputs(used(bench, "out/x.csv", str(tmp_path / "far.csv")))
    assert [one.tracked_by for one in found.values()] == [None, None]
    assert [one.md5 for one in found.values()] == ["b026324c6904b2a9cb4b88d6d61c81d1"] * 2
    assert "'dvc add out/x.csv'" in caplog.text
    assert f"'dvc import-url {tmp_path}/far.csv'" in caplog.text


def test_an_input_that_cannot_be_read_is_told_and_training_goes_on(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bench.repo.path / "out").mkdir()
    # Root may read everything, so a file that vanishes while it is looked at stands for all.
    (bench.repo.path / "out/link.csv").symlink_to("/proc/self/mem")
    run = used(bench, "out/link.csv")
    assert "could not be read" in caplog.text
    assert run.status == "finished"


# --- references


@pytest.mark.parametrize(
    ("uri", "options", "version", "etag"),
    [
        ("s3://bucket/key.csv", {"version": "abc"}, "abc", None),
        ("s3://bucket/key.csv?versionId=xyz", {}, "xyz", None),
        ("https://example.org/d.csv", {"etag": "e1"}, None, "e1"),
        ("https://example.org/d.csv#etag=e1", {}, None, "e1"),
        ("delta://lake/table#version=12", {}, "12", None),
    ],
)
def test_a_reference_is_recorded_as_it_is(
    bench: Bench, uri: str, options: dict[str, str], version: str | None, etag: str | None
) -> None:
    with bench.project.start_run("a") as run:
        assert run.use(uri, **options) == uri  # type: ignore[arg-type]
    (one,) = inputs(bench.project.get_run("a")).values()
    assert (one.tracked_by, one.version, one.etag, one.md5) == ("uri", version, etag, None)
    assert one.path == uri.partition("#")[0]
    assert bench.project.get_run("a").record.warnings == ()


def test_a_reference_without_a_version_is_told_and_its_secrets_are_not(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    (one,) = inputs(used(bench, "https://me:hunter2secret@example.org/d.csv")).values()
    assert "names no version" in caplog.text
    assert "hunter2secret" not in one.path + caplog.text


# --- artifacts of other runs


def test_the_artifact_of_a_run_becomes_a_parent(bench: Bench) -> None:
    made = bench.run("maker", {"m.bin": large("m")}, model="m.bin")
    with bench.project.start_run("user") as run:
        for text in ("model:v1", "model:latest", "model@maker"):
            path = run.use(text)
            assert Path(path).read_bytes() == large("m")
    found = bench.project.get_run("user")
    head = bench.repo.git("rev-parse", "HEAD")
    assert bench.repo.git("rev-parse", f"{found.commit}^@").split() == [head, made.commit]
    one = inputs(found)["model:v1"]
    assert (one.tracked_by, one.run, one.commit, one.artifact) == ("run", made.id, made.commit, "model")
    assert "default/maker: finished" in bench.repo.gittrack("log", "--graph", "user").stdout
    assert bench.project.fsck() == []


def test_inside_gittrack_run_too(bench: Bench) -> None:
    made = bench.run("maker", {"m.bin": large("m")}, model="m.bin")
    bench.repo.write(
        "use.py", "import gittrack\nwith gittrack.start_run() as run: print(len(open(run.use('model:v1')).read()))\n"
    )
    bench.repo.commit()
    done = bench.repo.gittrack("run", "-n", "user", "--", sys.executable, "use.py")
    assert done.stdout == "70000\n"
    assert str(made.commit) in bench.repo.git("rev-parse", f"{bench.project.get_run('user').commit}^@")
    bench.repo.gittrack("run", "-n", "by option", "--input", "model:v1", "--", "true")
    assert str(made.commit) in bench.repo.git("rev-parse", f"{bench.project.get_run('by option').commit}^@")


def test_a_file_of_such_a_name_comes_first(bench: Bench) -> None:
    bench.run("maker", {"m.bin": large("m")}, model="m.bin")
    bench.repo.write("out/model:v1", "mine")
    (bench.repo.path / "model:v1").symlink_to("out/model:v1")
    bench.repo.commit()
    assert inputs(used(bench, "model:v1"))["model:v1"].run is None


# --- on the command line


def test_inputs_and_outputs_of_a_command(bench: Bench) -> None:
    bench.track("data.csv", large("d"))
    bench.repo.write("out/.keep", "")
    done = bench.repo.gittrack(
        *("run", "-n", "a", "--input", "data.csv", "--output", "out/m.bin", "--output", "out/none", "--"),
        *("sh", "-c", "cat data.csv data.csv > out/m.bin"),
    )
    assert "'out/none'" in done.stderr
    found = bench.project.get_run("a")
    assert inputs(found)["data.csv"].tracked_by == "dvc"
    assert found.artifact("out/m.bin").read_bytes() == large("d") * 2
    assert any("out/none" in one for one in found.record.warnings)


def test_a_changed_input_is_refused_before_anything_is_recorded(bench: Bench) -> None:
    bench.track("data.csv", large("d"))
    bench.repo.write("data.csv", b"other")
    done = bench.repo.gittrack("run", "--input", "data.csv", "--", "touch", "out-of-turn", check=False)
    assert done.returncode == 4
    assert "data.csv (changed data)" in done.stderr
    assert not (bench.repo.path / "out-of-turn").exists()
    assert bench.project.count() == 0
    assert bench.repo.gittrack("run", "--input", "nowhere", "--", "true", check=False).returncode == 2
    allowed = bench.repo.gittrack("run", "-n", "a", "--allow-dirty", "--input", "data.csv", "--", "true")
    assert "not those that" in allowed.stderr
    assert inputs(bench.project.get_run("a"))["data.csv"].changed


# --- what nobody declared

READS = """
import gittrack, numpy
open("data/loose.csv").read()
open("tracked.csv").read()
open("set/1.bin").read()
open("in-git.csv").read()
open("out/made.csv", "w").write("1")
open("out/made.csv").read()
"""


@pytest.fixture
def reader(bench: Bench) -> Bench:
    bench.track("tracked.csv", large("t"))
    bench.track("set", {"1.bin": large("1"), "2.bin": large("2")})
    bench.repo.write("data/loose.csv", "1\n")
    bench.repo.write("in-git.csv", "1\n")
    bench.repo.write("out/.keep", "")
    ignore = bench.repo.path / ".gitignore"
    ignore.write_text(ignore.read_text() + "/data\n")
    bench.repo.write("plain.py", READS.replace("import gittrack, numpy\n", ""))
    bench.repo.write("tracking.py", READS + "\n")
    bench.repo.write(
        "declared.py",
        "import gittrack\nrun = gittrack.start_run()\n"
        "for one in ('data', 'tracked.csv', 'set'): run.use(one)\n" + READS + "run.finish()\n",
    )
    bench.repo.write("alone.py", "import gittrack\nrun = gittrack.start_run('alone')\n" + READS + "run.finish()\n")
    bench.repo.commit()
    return bench


def noticed(run: Run) -> set[str]:
    return {path for path, one in inputs(run).items() if not one.declared}


@pytest.mark.parametrize("script", ["plain.py", "tracking.py"])
def test_what_a_script_opens_is_noticed_with_gittrack_in_it_or_not(reader: Bench, script: str) -> None:
    done = reader.repo.gittrack("run", "-n", "a", "--", sys.executable, script)
    found = reader.project.get_run("a")
    assert noticed(found) == {"data/loose.csv", "tracked.csv", "set"}
    assert inputs(found)["set"].tracked_by == "dvc"
    assert "without declaring it" in done.stderr
    assert "'dvc add data/loose.csv'" in done.stderr
    assert any("without declaring" in one for one in found.record.warnings)


def test_what_was_declared_is_not(reader: Bench) -> None:
    done = reader.repo.gittrack("run", "-n", "a", "--", sys.executable, "declared.py")
    found = reader.project.get_run("a")
    assert noticed(found) == set()
    assert set(inputs(found)) == {"data", "tracked.csv", "set"}
    assert "without declaring" not in done.stderr


def test_a_run_without_the_command_notices_too(reader: Bench) -> None:
    done = reader.repo.python(Path(reader.repo.path, "alone.py").read_text())
    assert noticed(reader.project.get_run("alone")) == {"data/loose.csv", "tracked.csv", "set"}
    assert "without declaring it" in done.stderr


def test_two_runs_of_one_process_notice_each_what_it_read(reader: Bench) -> None:
    for name in ("first", "second"):
        with reader.project.start_run(name):
            Path("data/loose.csv").read_text()
    assert [noticed(reader.project.get_run(name)) for name in ("first", "second")] == [{"data/loose.csv"}] * 2


def test_a_setting_turns_it_off(reader: Bench) -> None:
    done = reader.repo.gittrack(
        "run", "-n", "a", "--", sys.executable, "plain.py", env={"GITTRACK_RUN_NOTICE_INPUTS": "false"}
    )
    assert inputs(reader.project.get_run("a")) == {}
    assert done.stderr.count("\n") == 1


def test_many_files_of_a_folder_are_one_input(reader: Bench) -> None:
    for number in range(30):
        reader.repo.write(f"data/many/{number}.txt", "x")
    reader.repo.write("many.py", "import os\nfor one in os.listdir('data/many'): open(f'data/many/{one}').read()\n")
    reader.repo.commit()
    reader.repo.gittrack("run", "-n", "a", "--", sys.executable, "many.py")
    one = inputs(reader.project.get_run("a"))["data/many"]
    assert (one.nfiles, one.size, one.md5) == (30, 30, None)


def test_what_we_read_to_keep_it_is_no_input(reader: Bench) -> None:
    with reader.project.start_run("a") as run:
        subprocess.run(["sh", "-c", "printf %070000d 1 > out/by-another.bin"], check=True)
        run.log_artifact("out/by-another.bin")
    assert noticed(reader.project.get_run("a")) == set()


def test_a_changed_file_that_was_only_noticed_is_told(reader: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    reader.repo.write("tracked.csv", b"other")
    with reader.project.start_run("a"):
        Path("tracked.csv").read_bytes()
    assert inputs(reader.project.get_run("a"))["tracked.csv"].changed
    assert "is not what its pointer names" in caplog.text


def test_the_users_own_sitecustomize_is_loaded_all_the_same(reader: Bench, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.mine = 7\n")
    done = reader.repo.gittrack(
        *("run", "-n", "a", "--", sys.executable, "-c", "import sys, os; print(sys.mine); open('data/loose.csv')"),
        env={"PYTHONPATH": str(tmp_path)},
    )
    assert done.stdout == "7\n"
    assert noticed(reader.project.get_run("a")) == {"data/loose.csv"}
