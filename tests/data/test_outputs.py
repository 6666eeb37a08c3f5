"""What a run makes: small things in git, large ones behind pointers, nothing lost when something is wrong with one."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gittrack.capture.identity import signature
from gittrack.data.artifact import RunArtifact
from gittrack.data.needed import needed_objects
from gittrack.domain.amendment import ARTIFACT_PREFIX
from gittrack.domain.artifact import Artifact
from gittrack.domain.codec import artifact_to_json
from gittrack.errors import InvalidName, UnknownRun, UsageError
from gittrack.ledger.write import amend
from gittrack.pointers.lock import collecting
from gittrack.project import Project
from tests.data.conftest import Bench, large
from tests.helpers import Repo, fill_disk, read_only, small_disk, wait_until


def tree(bench: Bench, commit: str | None) -> list[str]:
    listed = bench.repo.git("ls-tree", "-r", "--name-only", "-z", f"{commit}:.gittrack")
    return [name for name in listed.split("\0") if name.startswith(("artifacts", ".gitignore"))]


def test_small_files_go_into_git_and_large_ones_behind_pointers(bench: Bench) -> None:
    before = bench.repo.status_fingerprint()
    run = bench.run("a", {"small.txt": b"hello", "large.bin": large("x")}, model="large.bin")
    assert bench.repo.status_fingerprint() == before
    assert tree(bench, run.commit) == [".gitignore", "artifacts/out/large.bin.dvc", "artifacts/out/small.txt"]
    assert run.artifact("model").read_bytes() == large("x")
    assert run.artifact("out/small.txt").read_bytes() == b"hello"
    assert run.file("artifacts/out/large.bin") == large("x")
    assert bench.project.fsck() == []
    assert bench.repo.git("fsck", "--strict", "--no-dangling") == ""


def test_the_limit_is_a_setting(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITTRACK_ARTIFACTS_INLINE", "3")
    run = bench.run("a", {"three": b"abc", "four": b"abcd"})
    assert [one.pointer for one in run.artifacts] == [True, False]


def test_dvc_agrees_with_a_checkout_of_a_run(bench: Bench) -> None:
    """Code of the run, its pointers and DVC alone: the worktree is clean for both git and DVC."""
    bench.track("data.csv", large("d"))
    with bench.project.start_run("a") as active:
        active.use("data.csv")
        bench.repo.write("out/sp ace [1]*.bin", large("s"))
        active.log_artifact("out/sp ace [1]*.bin")
        bench.repo.write("out/ckpt/a/1.bin", large("1"))
        bench.repo.write("out/ckpt/2.bin", large("2"))
        active.log_artifacts("out/ckpt")
    place = bench.repo.path.parent / "elsewhere"
    bench.repo.git("worktree", "add", "--quiet", "--detach", str(place), str(active.commit))
    bench.dvc("config", "--local", "cache.dir", str(bench.repo.path / ".dvc" / "cache"), cwd=place)
    bench.dvc("checkout", cwd=place)
    assert "up to date" in bench.dvc("status", cwd=place)
    assert (place / ".gittrack/artifacts/out/sp ace [1]*.bin").read_bytes() == large("s")
    assert (place / ".gittrack/artifacts/out/ckpt/a/1.bin").read_bytes() == large("1")
    assert Repo(place).git("status", "--porcelain") == ""


def test_the_users_own_gitignore_in_our_folder_stays(bench: Bench) -> None:
    bench.repo.write(".gittrack/.gitignore", "/scratch")
    bench.repo.commit()
    run = bench.run("a", {"large.bin": large("x")})
    ignored = bench.repo.git("show", f"{run.commit}:.gittrack/.gitignore")
    assert ignored == "/scratch\n/artifacts/out/large.bin"
    assert bench.repo.git("show", f"{bench.run('b').commit}:.gittrack/.gitignore") == "/scratch"


def test_the_same_content_is_stored_once(bench: Bench) -> None:
    bench.run("a", {"one.bin": large("x"), "two.bin": large("x")})
    bench.run("b", {"three.bin": large("x")})
    assert len(bench.objects()) == 1


def test_what_a_script_writes_afterwards_does_not_reach_the_artifact(bench: Bench) -> None:
    with bench.project.start_run("a") as run:
        path = bench.repo.write("out/log.bin", large("x"))
        run.log_artifact("out/log.bin")
        with path.open("ab") as file:
            file.write(b"more")
    assert bench.project.get_run("a").artifact("out/log.bin").read_bytes() == large("x")


def test_logged_again_the_last_content_counts(bench: Bench) -> None:
    with bench.project.start_run("a") as run:
        for content in (large("x"), b"small", large("y")):
            bench.repo.write("out/m.bin", content)
            run.log_artifact("out/m.bin")
    found = bench.project.get_run("a")
    assert found.artifact("out/m.bin").read_bytes() == large("y")
    assert tree(bench, found.commit) == [".gitignore", "artifacts/out/m.bin.dvc"]


def test_a_small_folder_is_kept_file_by_file_unless_it_has_a_name(bench: Bench) -> None:
    with bench.project.start_run("a") as run:
        bench.repo.write("out/few/1.txt", b"1")
        bench.repo.write("out/few/sub/2.txt", b"2")
        run.log_artifacts("out/few")
        bench.repo.write("out/set/3.txt", b"3")
        run.log_artifacts("out/set", name="set")
    found = bench.project.get_run("a")
    assert [one.path for one in found.artifacts] == ["out/few/1.txt", "out/few/sub/2.txt", "out/set"]
    assert found.artifact("set").files() == ("3.txt",)
    assert found.artifact("set").read_bytes("3.txt") == b"3"


def test_the_current_folder_can_be_logged_by_another_name(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.repo.write("out/all/1.bin", large("1"))
    monkeypatch.chdir(bench.repo.path / "out" / "all")
    with Project.open().start_run("a") as run:
        run.log_artifacts(".")
    assert bench.project.get_run("a").artifact("all").read_bytes("1.bin") == large("1")


def test_what_cannot_be_kept_is_named_and_the_rest_is_there(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    with bench.project.start_run("a") as run:
        bench.repo.write("out/odd/1.bin", large("1"))
        (bench.repo.path / "out/odd/broken").symlink_to("nowhere")
        os.mkfifo(bench.repo.path / "out/odd/pipe")
        server = socket.socket(socket.AF_UNIX)
        place = os.getcwd()
        os.chdir(bench.repo.path / "out/odd")
        server.bind("sock")
        os.chdir(place)
        run.log_artifacts("out/odd")
        server.close()
    found = bench.project.get_run("a")
    assert found.artifact("out/odd").files() == ("1.bin",)
    (warning,) = found.record.warnings
    assert all(name in warning for name in ("broken", "pipe", "sock"))


def test_a_missing_path_or_a_socket_is_a_wrong_argument(bench: Bench) -> None:
    with bench.project.start_run("a") as run:
        with pytest.raises(UsageError, match="there is no file"):
            run.log_artifact("nowhere.bin")
        (bench.repo.path / "out").mkdir(exist_ok=True)
        os.mkfifo(bench.repo.path / "out" / "pipe")
        with pytest.raises(UsageError, match="neither a file nor a folder"):
            run.log_artifact("out/pipe")


def test_names_in_any_encoding(bench: Bench) -> None:
    name = os.fsdecode(b"caf\xe9.bin")
    with bench.project.start_run("a") as run:
        (bench.repo.path / "out").mkdir()
        for one in (name, "new\nline.bin", "ü – 日本.bin", "back`tick.bin"):
            (bench.repo.path / "out" / one).write_bytes(large(one[0]))
            run.log_artifact(Path("out", one))
    found = bench.project.get_run("a")
    assert {one.path for one in found.artifacts} == {
        "out/caf%E9.bin",
        "out/new%0Aline.bin",
        "out/ü – 日本.bin",
        "out/back%60tick.bin",
    }
    assert all(found.artifact(one.path).read_bytes() for one in found.artifacts)
    assert bench.project.fsck() == []


@pytest.mark.parametrize("name", ["dvc.yaml", "model.dvc", "deep/dvc.lock", ".dvcignore", ".gitignore"])
def test_what_dvc_would_take_for_its_own_gets_another_name(bench: Bench, name: str) -> None:
    run = bench.run("a", {name: b"stages: nonsense ["})
    assert [one.path for one in run.artifacts] == [f"out/{name}~"]


def test_a_file_and_a_folder_of_one_name_cannot_both_be(bench: Bench) -> None:
    with bench.project.start_run("a") as run:
        bench.repo.write("out/m/1.bin", large("1"))
        run.log_artifacts("out/m")
        with pytest.raises(InvalidName, match="cannot both be"):
            run.log_text("x", "out/m/note.txt")


def test_without_dvc_the_farm_alone_holds_them(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo.path)
    repo.write(".gitignore", "/out\n")
    repo.commit()
    run = Bench(repo).run("a", {"large.bin": large("x")}, model="large.bin")
    assert run.artifact("model").read_bytes() == large("x")
    assert repo.git("status", "--porcelain") == ""
    assert Project.open().fsck() == []


def test_a_cache_that_cannot_be_written_is_told_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    cache = bench.repo.path / ".dvc" / "cache"
    cache.mkdir()
    with read_only(cache):
        run = bench.run("a", {"1.bin": large("1"), "2.bin": large("2")})
        assert run.artifact("out/1.bin").read_bytes() == large("1")
    assert caplog.text.count("DVC's cache cannot be written") == 1
    assert bench.project.repair().objects == 0
    assert (cache / "files" / "md5").is_dir()


def test_a_full_disk_is_told_and_training_goes_on(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    odb = bench.repo.path / ".git" / "gittrack" / "odb"
    odb.mkdir(parents=True)
    with small_disk(odb, "1m"):
        bench.repo.write(".dvc/config", f"[cache]\n    dir = {odb / 'cache'}\n")
        bench.repo.commit()
        with bench.project.start_run("a") as run:
            run.log_metric("loss", 1)
            filler = fill_disk(odb)
            bench.repo.write("out/m.bin", large("m", 500_000))
            run.log_artifact("out/m.bin")
            filler.unlink()
            run.log_artifact("out/m.bin", name="second")
        found = bench.project.get_run("a")
        assert "could not be kept" in caplog.text
        assert found.metrics == {"loss": 1.0}
        assert any("could not be kept" in one for one in found.record.warnings)
        assert found.artifact("second").read_bytes() == large("m", 500_000)
        assert not list(odb.rglob("*tmp/*"))


# --- in hand


def handle(bench: Bench) -> RunArtifact:
    bench.repo.write("out/set/a/1.bin", large("1"))
    bench.repo.write("out/set/2.bin", large("2"))
    with bench.project.start_run("a") as run:
        run.log_artifacts("out/set", name="set", kind="data")
    return bench.project.get_run("a").artifact("set")


def test_a_folder_in_hand(bench: Bench, tmp_path: Path) -> None:
    found = handle(bench)
    assert (found.name, found.kind, found.size, found.is_folder) == ("set", "data", 140_000, True)
    assert found.files() == ("2.bin", "a/1.bin")
    assert (found.path() / "a/1.bin").read_bytes() == large("1")
    assert found.path("2.bin").read_bytes() == large("2")
    with found.open("a/1.bin", "rt") as file:
        assert file.read(2) == "11"
    assert [path.relative_to(tmp_path / "x").as_posix() for path in found.save(tmp_path / "x", "a")] == ["set/a/1.bin"]
    with pytest.raises(UnknownRun, match=r"no file or folder 'none'"):
        found.save(tmp_path, "none")
    with pytest.raises(UsageError, match="folder"):
        found.open()
    with pytest.raises(UsageError, match="never changes"):
        found.open("2.bin", "w")


def test_a_copy_that_somebody_changed_is_made_anew(bench: Bench) -> None:
    bench.run("a", {"m.bin": large("m")}, model="m.bin")
    found = bench.project.artifact("model")
    path = found.path()
    path.chmod(0o644)
    path.write_bytes(b"spoiled")
    assert found.path() == path
    assert path.read_bytes() == large("m")
    assert all(one.stat().st_nlink <= 2 for one in bench.objects())


def test_saving_keeps_what_is_there_and_refuses_to_overwrite(bench: Bench, tmp_path: Path) -> None:
    run = bench.run("a", {"m.bin": large("m"), "s.txt": b"small"}, model="m.bin")
    for name, other in (("model", b"mine"), ("out/s.txt", b"mine")):
        (written,) = run.artifact(name).save(tmp_path)
        before = written.stat().st_mtime_ns
        assert run.artifact(name).save(tmp_path) == [written]
        assert written.stat().st_mtime_ns == before
        written.write_bytes(other)
        with pytest.raises(UsageError, match="--force"):
            run.artifact(name).save(tmp_path)
        assert written.read_bytes() == other
        run.artifact(name).save(tmp_path, overwrite=True)
        assert written.read_bytes() != other


def test_an_artifact_that_the_run_does_not_have(bench: Bench) -> None:
    run = bench.run("a", {"m.bin": large("m")}, model="m.bin")
    with pytest.raises(UnknownRun, match="it has model"):
        run.artifact("nonsense")


# --- added later


def test_an_artifact_added_later_is_an_amendment(bench: Bench) -> None:
    run = bench.run("a", {"m.bin": large("m")}, model="m.bin")
    bench.repo.write("out/late.bin", large("l"))
    bench.repo.write("out/late.txt", b"note")
    bench.project.add_artifact("a", "out/late.bin", name="late", kind="blob")
    found = bench.project.add_artifact("a", "out/late.txt")
    assert found.commit == run.commit
    assert [one.called for one in found.artifacts] == ["late", "out/late.txt", "model"]
    assert found.artifact("late").read_bytes() == large("l")
    assert found.artifact("out/late.txt").read_bytes() == b"note"
    listed = bench.repo.git("show", f"{found.head}:.gittrack/.gitignore").split()
    assert listed == ["/artifacts/out/m.bin", "/artifacts/out/late.bin"]
    assert bench.project.artifact("late@a").md5 == found.artifact("late").md5
    assert bench.project.fsck() == []
    with pytest.raises(UsageError, match="already"):
        bench.project.add_artifact("a", "out/late.bin")
    again = bench.project.add_artifact("a", "out/late.bin", name="late again")
    assert again.artifact("late again").read_bytes() == large("l")


def test_a_name_that_a_run_has_is_not_given_twice(bench: Bench) -> None:
    bench.run("a", {"m.bin": large("m")}, model="m.bin")
    bench.repo.write("out/late.bin", large("l"))
    with pytest.raises(UsageError, match="'model' already"):
        bench.project.add_artifact("a", "out/late.bin", name="model")
    assert len(bench.objects()) == 1


def test_of_two_with_one_name_the_data_of_both_are_needed(bench: Bench) -> None:
    """Two clones may each add one, and know nothing of the other."""
    bench.run("a")
    run = bench.project.get_run("a")
    for name in ("x", "y"):
        made = Artifact(f"out/{name}.bin", 70_000, bench.store.add_bytes(large(name)).oid, name="ckpt", pointer=True)
        said = json.dumps({**artifact_to_json(made), "name": "ckpt"})
        author = signature(bench.project.repo, os.environ)
        amend(bench.project.repo, run.state, {ARTIFACT_PREFIX + made.path: said}, author=author, added=[made])
    state = bench.project.get_run("a").state
    for amendments in (None, bench.project._index.amendments):
        needed = needed_objects(bench.project.repo, [state], strict=True, amendments=amendments)
        assert sorted(one.path.rpartition("/")[2] for one in needed) == ["x.bin", "y.bin"]


@pytest.mark.parametrize("second", ["out/late", "out/late/1.txt"], ids=["the same", "something in it"])
def test_who_comes_second_replaces_nothing(bench: Bench, second: str) -> None:
    """The one looked whether the path is free, the other added it, and then the first went on."""
    bench.run("a")
    early = bench.project.get_run("a")
    bench.repo.write("out/late/1.txt", large("1"))
    bench.project.add_artifact("a", "out/late")
    bench.repo.write("out/late/1.txt", large("2"))
    with pytest.raises(UsageError, match="already, and a run never changes"):
        bench.project.add_artifact(early, second)
    assert bench.project.get_run("a").artifact("out/late").read_bytes("1.txt") == large("1")


def test_who_comes_second_with_a_name_is_refused_too(bench: Bench) -> None:
    bench.run("a")
    early = bench.project.get_run("a")
    for name in ("x", "y"):
        bench.repo.write(f"out/{name}.bin", large(name))
    bench.project.add_artifact("a", "out/x.bin", name="ckpt")
    with pytest.raises(UsageError, match="'ckpt' already"):
        bench.project.add_artifact(early, "out/y.bin", name="ckpt")
    assert bench.project.get_run("a").artifact("ckpt").read_bytes() == large("x")


def test_two_clones_add_artifacts_and_both_stay(bench: Bench) -> None:
    """What one added does not hide what another added."""
    bench.run("a", {"m.bin": large("m")}, model="m.bin")
    for name in ("x", "y"):
        bench.repo.write(f"out/{name}.bin", large(name))
        bench.project.add_artifact("a", f"out/{name}.bin")
    bench.project.amend("a", tags={"kind": "cv"})
    assert [one.path for one in bench.project.get_run("a").artifacts] == ["out/m.bin", "out/x.bin", "out/y.bin"]


# --- what cannot be an artifact


@pytest.mark.parametrize("what", ["", ".", "..", ".git", ".dvc"])
def test_what_can_be_no_artifact(bench: Bench, what: str) -> None:
    bench.run("done")
    with bench.project.start_run("a") as run:
        for log in (run.log_artifact, run.log_artifacts):
            with pytest.raises(UsageError):
                log(what)
    before = bench.project.count()
    done = bench.repo.gittrack("run", "--output", what, "--", "touch", "out-ran", check=False)
    assert done.returncode == 2
    assert bench.project.count() == before
    assert not (bench.repo.path / "out-ran").exists()
    assert bench.repo.gittrack("artifact", "add", "done", what, check=False).returncode == 2


def test_an_option_without_its_value_does_not_take_the_dashes(bench: Bench) -> None:
    done = bench.repo.gittrack("run", "--output", "--", "true", check=False)
    assert done.returncode == 2
    assert "'--output' needs a value" in done.stderr


@pytest.mark.parametrize("name", ["a:b", "a@b"])
def test_names_that_would_be_read_as_versions_are_refused(bench: Bench, name: str) -> None:
    bench.run("done")
    bench.repo.write("out/m.bin", b"m")
    with bench.project.start_run("a") as run, pytest.raises(InvalidName, match="cannot name an artifact"):
        run.log_artifact("out/m.bin", name=name)
    assert bench.repo.gittrack("artifact", "add", "done", "out/m.bin", "--name", name, check=False).returncode == 2


def test_wrong_types_are_type_errors(bench: Bench) -> None:
    bench.repo.write("out/m.bin", b"m")
    with bench.project.start_run("a") as run:
        for call in (
            lambda: run.log_artifact("out/m.bin", name=5),  # type: ignore[arg-type]
            lambda: run.log_artifact("out/m.bin", kind=5),  # type: ignore[arg-type]
            lambda: run.log_artifact(None),  # type: ignore[arg-type]
            lambda: run.log_text(5, "x.txt"),  # type: ignore[arg-type]
            lambda: run.log_text("x", 5),  # type: ignore[arg-type]
            lambda: run.use(None),  # type: ignore[arg-type]
        ):
            with pytest.raises(TypeError):
                call()
    with pytest.raises(TypeError):
        bench.project.artifact(5)  # type: ignore[arg-type]


def test_two_artifacts_of_one_name(bench: Bench) -> None:
    with bench.project.start_run("a") as run:
        for letter in "xy":
            bench.repo.write(f"out/{letter}.bin", large(letter))
            run.log_artifact(f"out/{letter}.bin", name="model")
    listed = bench.repo.gittrack_json("artifact", "ls", "a")
    assert [one["path"] for one in listed] == ["out/x.bin", "out/y.bin"]
    done = bench.repo.gittrack("artifact", "get", "model@a", check=False)
    assert done.returncode == 1
    assert "name one by its path: out/x.bin, out/y.bin" in done.stderr
    bench.repo.gittrack("artifact", "get", "a", "out/y.bin", "-o", "got")
    assert (bench.repo.path / "got/y.bin").read_bytes() == large("y")
    done = bench.repo.gittrack("artifact", "get", "a", "out/x.bin", "-o", "got/y.bin", check=False)
    assert done.returncode == 2
    assert "is a file" in done.stderr


def test_an_interrupt_while_an_output_is_stored_ends_the_run(bench: Bench) -> None:
    """The store waits for `gc` meanwhile, as it might for a slow disk."""
    script = "mkdir -p out && head -c 70000 /dev/zero > out/m.bin && echo 1 > out/done"
    command = [sys.executable, "-m", "gittrack", "run", "-n", "a", "--output", "out/m.bin", "--", "sh", "-c", script]
    with (
        collecting(bench.project.repo.home),
        subprocess.Popen(command, cwd=bench.repo.path, stderr=subprocess.PIPE, text=True) as process,
    ):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait_until((bench.repo.path / "out/done").exists, "the command has run")
        wait_until(lambda: not children.read_text().strip(), "the command has ended")
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "'out/m.bin' is not kept" in said
    run = bench.project.get_run("a")
    assert run.status == "killed"
    assert run.artifacts == ()


# --- versions


def test_versions_count_contents(bench: Bench) -> None:
    first = bench.run("a", {"m.bin": large("1")}, model="m.bin")
    second = bench.run("b", {"m.bin": large("2")}, model="m.bin")
    again = bench.run("c", {"m.bin": large("1")}, model="m.bin")
    project = bench.project
    assert [str(one) for one in project.artifact_versions("model")] == ["model:v1", "model:v2"]
    assert project.artifact_versions("model")[0].runs == (first.state, again.state)
    assert project.artifact("model:v2").run.id == second.id
    assert project.artifact("model:latest").run.id == again.id
    assert project.artifact("model").md5 == first.artifact("model").md5
    assert project.artifact("model@b").md5 == second.artifact("model").md5
    for wrong in ("model:v3", "model:v0", "model:x", "modle", "model@none"):
        with pytest.raises(UnknownRun):
            project.artifact(wrong)


def test_a_deleted_run_makes_no_version(bench: Bench) -> None:
    bench.run("a", {"m.bin": large("1")}, model="m.bin")
    bench.project.amend("a", deleted=True)
    assert bench.project.artifact_names() == []
    bench.project.amend(bench.project.get_run("a", deleted=True), deleted=False)
    assert bench.project.artifact_names() == ["model"]


@pytest.mark.parametrize(("file", "line"), [(".gitignore", ".*"), (".gitignore", ".gittrack"), (".dvcignore", ".*")])
def test_an_ignore_file_that_hides_runs_is_told(
    bench: Bench, file: str, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = (bench.repo.path / file).read_text()
    (bench.repo.path / file).write_text(f"{before}{line}\n!.gitignore\n!.dvcignore\n!.dvc\n")
    bench.repo.commit()
    bench.run("a", {"1.bin": large("1"), "2.bin": large("2")})
    assert caplog.text.count(f"{file} covers .gittrack/") == 1


def test_a_run_without_data_imports_nothing_for_them(bench: Bench) -> None:
    code = """
import sys, gittrack
with gittrack.start_run() as run:
    run.log_metric('loss', 1)
    run.log_text('small', 'note.txt')
heavy = ('dvc', 'dvc_data', 'dvc_objects', 'fsspec', 'tqdm', 'ruamel', 'gittrack.pointers.store')
print([name for name in heavy if name in sys.modules])
"""
    assert bench.repo.python(code).stdout == "[]\n"


# --- words


@pytest.mark.parametrize("what", ["small.txt", "large.bin", "set"])
def test_what_stands_in_the_way_is_named(bench: Bench, what: str, tmp_path: Path) -> None:
    bench.repo.write("out/set/large.bin", large("s"))
    bench.run("a", {"small.txt": b"hello", "large.bin": large("x")})
    bench.project.add_artifact("a", "out/set")
    inside = tmp_path / "in/set/large.bin" if what == "set" else tmp_path / f"in/{what}"
    inside.mkdir(parents=True)
    done = bench.repo.gittrack(
        "artifact", "get", "a", f"out/{what}", "-o", str(tmp_path / "in"), "--force", check=False
    )
    assert done.returncode == 2
    assert f"{inside} is a folder" in done.stderr
    assert "--force" not in done.stderr
    (tmp_path / "file").write_text("mine")
    done = bench.repo.gittrack("artifact", "get", "a", "out/large.bin", "-o", str(tmp_path / "file"), check=False)
    assert done.returncode == 2
    assert "is a file" in done.stderr


def test_a_pipe_is_no_artifact_and_no_input(bench: Bench) -> None:
    bench.run("a")
    os.mkdir("out")
    os.mkfifo("out/pipe")
    for words in (["artifact", "add", "a", "out/pipe"], ["run", "--input", "out/pipe", "--", "true"]):
        done = bench.repo.gittrack(*words, check=False)
        assert done.returncode == 2
        assert "neither a file nor a folder" in done.stderr


def test_odd_names_in_warnings_stay_on_their_line(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.repo.write("out/set/x", large("x"))
    for name in (b"a\nb", b"c\xff"):
        os.symlink("nowhere", b"out/set/" + name)
    with caplog.at_level(logging.WARNING, "gittrack"), bench.project.start_run("a", console=False) as run:
        run.log_artifacts("out/set", name="set")
    (text,) = [one.getMessage() for one in caplog.records if "leaves out" in one.getMessage()]
    assert text.isprintable()
    assert "a\\nb" in text
    assert text.removeprefix("gittrack: ") in bench.project.get_run("a").record.warnings


def test_without_dvc_nothing_lies_in_its_cache(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo.path)
    repo.write(".gitignore", "/out\n")
    repo.commit()
    Bench(repo).run("a")
    repo.write("out/m.bin", large("m"))
    assert "in gittrack's own store" in repo.gittrack("artifact", "add", "a", "out/m.bin").stdout
