"""Objects as git would have written them, whatever happens at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack.errors import CorruptRecord, RefConflict
from gittrack.git.objects import ObjectBatch, Signature, parse_tree, publish, read_tree
from gittrack.git.refs import RefChange
from gittrack.git.repository import Repository
from tests.helpers import Repo

SOMEONE = Signature("Somebody <some@example.org>", 1_700_000_000, 3600)


@pytest.fixture(params=["sha1", "sha256"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Repo:
    return Repo.init(tmp_path / request.param, f"--object-format={request.param}")


def opened(repo: Repo) -> Repository:
    return Repository.discover(repo.path)


def commit(repository: Repository, batch: ObjectBatch, files: dict[str, bytes], message: str = "One") -> str:
    tree = batch.folder({path: batch.blob(data) for path, data in files.items()})
    return batch.commit(tree=tree, parents=[], author=SOMEONE, committer=SOMEONE, message=message)


def test_git_reads_what_we_write(either: Repo) -> None:
    repository = opened(either)
    batch = ObjectBatch(repository)
    made = commit(repository, batch, {"a": b"1", "b/c/d": b"2", "b.txt": b"3", "b/e": b""}, "Sünje\n\nBody\n")
    batch.write()
    assert either.git("ls-tree", "-r", "--name-only", made).split() == ["a", "b.txt", "b/c/d", "b/e"]
    assert either.git("show", f"{made}:b/c/d") == "2"
    assert either.git("log", "-1", "--format=%an %ae %ad %s", "--date=iso-strict", made) == (
        "Somebody some@example.org 2023-11-14T23:13:20+01:00 Sünje"
    )
    assert either.git("fsck", "--strict", "--no-dangling") == ""


def test_nothing_reaches_the_disk_before_write(repo: Repo) -> None:
    batch = ObjectBatch(opened(repo))
    blob = batch.blob(b"not yet")
    assert repo.git("cat-file", "-t", blob, check=False) == ""
    batch.write()
    assert repo.git("cat-file", "-t", blob) == "blob"


def test_writing_again_is_a_success(either: Repo) -> None:
    for _ in range(2):
        batch = ObjectBatch(opened(either))
        batch.blob(b"the same")
        batch.write()
        batch.write()
    assert "count: 4" in either.git("count-objects", "-v")  # with the first commit's three


def test_objects_are_read_only_like_gits_own(repo: Repo) -> None:
    batch = ObjectBatch(opened(repo))
    blob = batch.blob(b"mine")
    batch.write()
    assert (repo.path / ".git" / "objects" / blob[:2] / blob[2:]).stat().st_mode & 0o777 == 0o444


def test_an_old_object_that_is_used_again_is_young_again(repo: Repo) -> None:
    """git prunes unreachable objects of two weeks: one that a run is about to use must not be among them."""
    batch = ObjectBatch(opened(repo))
    blob = batch.blob(b"found again")
    batch.write()
    path = repo.path / ".git" / "objects" / blob[:2] / blob[2:]
    os.utime(path, (1_000_000_000, 1_000_000_000))
    batch.write()
    repo.git("prune", "--expire=2.weeks.ago")
    assert path.exists()


def test_many_objects_go_into_one_pack(either: Repo) -> None:
    batch = ObjectBatch(opened(either))
    made = commit(opened(either), batch, {f"f/{number}": b"%d" % number for number in range(300)})
    batch.write()
    batch.write()
    assert len(list((either.path / ".git" / "objects" / "pack").glob("*.pack"))) == 1
    assert not list((either.path / ".git" / "objects" / "pack").glob("*.keep"))
    assert either.git("show", f"{made}:f/217") == "217"
    assert either.git("fsck", "--strict", "--no-dangling") == ""


def test_left_over_temporary_files_do_no_harm(repo: Repo) -> None:
    batch = ObjectBatch(opened(repo))
    blob = batch.blob(b"after a crash")
    folder = repo.path / ".git" / "objects" / blob[:2]
    folder.mkdir(exist_ok=True)
    (folder / "tmp_obj_crashed").write_bytes(b"half")
    (folder / f"{blob[2:]}.lock").write_bytes(b"")
    batch.write()
    assert repo.git("cat-file", "blob", blob) == "after a crash"
    repo.git("gc", "--quiet", "--prune=now")
    assert not (folder / "tmp_obj_crashed").exists()


def test_a_failed_write_leaves_nothing_behind(repo: Repo) -> None:
    batch = ObjectBatch(opened(repo))
    blob = batch.blob(b"nowhere to go")
    place = repo.path / ".git" / "objects" / blob[:2]
    if place.exists():
        place.rename(place.with_name("moved"))
    place.write_bytes(b"a file where the folder should be")
    with pytest.raises(OSError):
        batch.write()
    place.unlink()
    batch.write()
    assert repo.git("cat-file", "blob", blob) == "nowhere to go"


def test_a_folder_of_a_shared_repository_stays_shared(tmp_path: Path) -> None:
    repo = Repo.init(tmp_path / "team", "--shared=group")
    before = os.umask(0o022)
    batch = ObjectBatch(opened(repo))
    blobs = [batch.blob(b"%d" % number) for number in range(20)]
    batch.write()
    os.umask(before)
    for blob in blobs:
        assert (repo.path / ".git" / "objects" / blob[:2]).stat().st_mode & 0o2070 == 0o2070


def test_folders_may_come_and_go_meanwhile(repo: Repo) -> None:
    """`git prune` removes empty folders, also the one that we are about to write to."""
    sweep = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, time\nprint(flush=True)\n"
            "while os.getppid() == int(__import__('sys').argv[1]):\n"
            "    for name in os.listdir('.git/objects'):\n"
            "        try: os.rmdir(f'.git/objects/{name}')\n"
            "        except OSError: pass\n"
            "    time.sleep(0.001)\n",
            str(os.getpid()),
        ],
        cwd=repo.path,
        stdout=subprocess.PIPE,
    )
    try:
        assert sweep.stdout is not None
        sweep.stdout.readline()
        for part in range(10):
            batch = ObjectBatch(opened(repo))
            for number in range(30):
                batch.blob(b"%d %d" % (part, number))
            batch.write()
    finally:
        sweep.kill()
        sweep.communicate()


WRITE_THE_SAME = """
import sys
from pathlib import Path
from gittrack.git.objects import ObjectBatch
from gittrack.git.repository import Repository
batch = ObjectBatch(Repository.discover())
for number in range(60):
    batch.blob(b"%d" % number)
print("ready", flush=True)
sys.stdin.readline()
batch.write()
"""


def test_sixteen_processes_write_the_same_objects(repo: Repo) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE_THE_SAME],
            cwd=repo.path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(16)
    ]
    for one in writers:
        assert one.stdout is not None
        one.stdout.readline()
    for one in writers:
        assert one.stdin is not None
        one.stdin.write(b"\n")
        one.stdin.flush()
    for one in writers:
        assert one.communicate(timeout=120)[1] == b""
        assert one.returncode == 0
    assert repo.git("fsck", "--strict", "--no-dangling") == ""
    assert not list((repo.path / ".git" / "objects").rglob("tmp_obj_*"))


# --- trees


def test_a_graft_changes_one_entry_and_keeps_all_others(either: Repo) -> None:
    either.write("run.sh", "#!/bin/sh\n").chmod(0o755)
    (either.path / "link").symlink_to("run.sh")
    either.write("folder/inner", "x")
    either.write(".gittrack/config.yaml", "experiment: a\n")
    either.write(os.fsdecode(b"caf\xe9"), "latin")
    library = Repo.init(either.path.parent / "library", f"--object-format={either.path.name}")
    either.git("submodule", "--quiet", "add", str(library.path), "lib")
    either.commit()
    repository = opened(either)
    batch = ObjectBatch(repository)
    ours = batch.folder({"run.yaml": batch.blob(b"id: 1\n")})
    tree = batch.graft(read_tree(repository, "HEAD"), ".gittrack", ours)
    batch.write()
    before = [line for line in either.git("ls-tree", "HEAD").splitlines() if not line.endswith("\t.gittrack")]
    after = [line for line in either.git("ls-tree", tree).splitlines() if not line.endswith("\t.gittrack")]
    assert before == after
    assert either.git("show", f"{tree}:.gittrack/run.yaml") == "id: 1"
    assert either.git("fsck", "--strict", "--no-dangling") == ""


def test_a_graft_over_a_file_of_that_name(repo: Repo) -> None:
    repo.write(".gittrack", "only a file")
    repo.commit()
    repository = opened(repo)
    batch = ObjectBatch(repository)
    folder = batch.folder({"x": batch.blob(b"1")})
    tree = batch.graft(read_tree(repository, "HEAD"), ".gittrack", folder)
    batch.write()
    assert repo.git("ls-tree", "-r", "--name-only", tree).split() == [".gittrack/x", "train.py"]


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=8).filter(
    lambda name: name not in {".", "..", ".git"}
)


@pytest.fixture(scope="module")
def shared_repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    path = tmp_path_factory.mktemp("shared") / "repo"
    path.mkdir()
    subprocess.run(["git", "init", "--quiet", str(path)], check=True)
    return Repo(path)


@settings(max_examples=30)
@given(st.dictionaries(NAMES, st.binary(max_size=5), min_size=1, max_size=12))
def test_trees_are_those_that_git_makes(shared_repo: Repo, files: dict[str, bytes]) -> None:
    repository = opened(shared_repo)
    batch = ObjectBatch(repository)
    # `a` and `a.` and `a/x` side by side: git sorts folders as if their names ended in a slash.
    paths = {f"{name}/in": data for name, data in files.items()} | {
        f"{name}.{at}": data for at, (name, data) in enumerate(files.items())
    }
    tree = batch.folder({path: batch.blob(data) for path, data in paths.items() if path.split("/")[0] != ".git"})
    batch.write()
    lines = repository.git("ls-tree", "-z", tree)
    assert repository.git("mktree", "-z", stdin=lines).decode().strip() == tree


@given(st.binary(max_size=60))
def test_a_damaged_tree_is_told(data: bytes) -> None:
    try:
        entries = parse_tree(data, "sha1")
    except CorruptRecord as error:
        assert "git fsck" in str(error)
    else:
        assert all(len(object_id) == 40 for _, _, object_id in entries)


# --- identities and messages


@pytest.mark.parametrize(
    "identity", ["Ünï Cödé <u@example.org>", "two\nlines <t@example.org>", os.fsdecode(b"caf\xe9 <c@example.org>")]
)
def test_odd_identities_make_sound_commits(repo: Repo, identity: str) -> None:
    repository = opened(repo)
    batch = ObjectBatch(repository)
    who = Signature(identity, 1_700_000_000, -12600)
    made = batch.commit(tree=batch.folder({}), parents=[], author=who, committer=who, message="surrogate \udce9\n")
    batch.write()
    repo.git("update-ref", "refs/heads/odd", made)
    assert repo.git("fsck", "--strict", "--no-dangling") == ""
    assert repo.git("log", "-1", "--format=%ad", "--date=raw", made) == "1700000000 -0330"


# --- publishing


def test_publish_moves_the_refs_that_reach_the_objects(either: Repo) -> None:
    repository = opened(either)
    batch = ObjectBatch(repository)
    made = commit(repository, batch, {"a": b"1"})
    publish(repository, batch, [RefChange("refs/experiments/a/1", made, None)], "because")
    assert either.git("rev-parse", "refs/experiments/a/1") == made


def test_publish_tells_a_conflict_and_keeps_the_ref(repo: Repo) -> None:
    repository = opened(repo)
    repo.git("update-ref", "refs/experiments/a/1", "HEAD")
    batch = ObjectBatch(repository)
    made = commit(repository, batch, {"a": b"1"})
    with pytest.raises(RefConflict):
        publish(repository, batch, [RefChange("refs/experiments/a/1", made, None)], "because")
    assert repo.git("rev-parse", "refs/experiments/a/1") == repo.git("rev-parse", "HEAD")


@pytest.mark.parametrize("count", [3, 300])
def test_while_gc_runs_the_objects_are_a_pack_that_it_keeps(repo: Repo, count: int) -> None:
    repository = opened(repo)
    (repo.path / ".git" / "gc.pid").write_text("1 elsewhere")
    batch = ObjectBatch(repository)
    made = commit(repository, batch, {str(number): b"%d" % number for number in range(count)})
    batch.write()
    packs = repo.path / ".git" / "objects" / "pack"
    assert len(list(packs.glob("*.keep"))) == 1
    repo.git("prune", "--expire=now")
    repo.git("repack", "-a", "-d", "-q")
    assert repo.git("cat-file", "-t", made) == "commit"
    publish(repository, batch, [RefChange("refs/experiments/a/1", made, None)], "because")
    assert not list(packs.glob("*.keep"))
    repo.git("repack", "-a", "-d", "-q")
    repo.git("prune", "--expire=now")
    assert repo.git("fsck", "--strict", "--no-dangling") == ""


def test_runs_recorded_while_gc_prunes_everything_stay_whole(repo: Repo) -> None:
    repository = opened(repo)
    made = []
    collect = subprocess.Popen(
        ["sh", "-c", "for i in 1 2 3 4 5 6; do git gc --quiet --prune=now; done"],
        cwd=repo.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while collect.poll() is None or len(made) < 5:
        batch = ObjectBatch(repository)
        one = commit(repository, batch, {"a": b"%d" % len(made), "b/c": b"same for all"}, f"{len(made)}")
        publish(repository, batch, [RefChange(f"refs/experiments/a/{len(made)}", one, None)], "because")
        made.append(one)
    collect.wait()
    assert repo.git("fsck", "--strict", "--no-dangling") == ""
    assert len(repo.git("for-each-ref", "refs/experiments/").splitlines()) == len(made)
