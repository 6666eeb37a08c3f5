"""Runs in one file: made here, taken in elsewhere, in parts, with data, cut short and forged."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from gittrack.errors import RepositoryError, UsageError
from gittrack.ledger import layout
from gittrack.project import Project
from tests.data.conftest import Bench, bench, large  # noqa: F401  a fixture
from tests.helpers import Repo


@pytest.fixture
def other(bench: Bench, tmp_path: Path) -> Repo:  # noqa: F811
    bench.repo.git("clone", "--quiet", str(bench.repo.path), str(tmp_path / "other"))
    return Repo(tmp_path / "other")


def listed(repo: Repo) -> str:
    return repo.gittrack("ls", "--json", "--all").stdout


def test_everything_goes_and_what_comes_later_follows(bench: Bench, other: Repo, tmp_path: Path) -> None:  # noqa: F811
    first, second = tmp_path / "first.bundle", tmp_path / "second.bundle"
    bench.run("a")
    bench.project.amend("a", tags={"kind": "cv"})
    assert "1 run" in bench.repo.gittrack("bundle", "create", str(first)).stdout
    bench.run("b")
    bench.project.amend("a", tags={"kind": "final"})
    bench.repo.gittrack("bundle", "create", str(second), "--after", str(first))
    with pytest.raises(RepositoryError, match="the bundle before it"):
        Project.open(other.path).apply_bundle(second)
    other.gittrack("bundle", "apply", str(first))
    other.gittrack("bundle", "apply", str(second))
    assert listed(other) == listed(bench.repo)
    assert other.gittrack("bundle", "apply", str(second)).stdout == "0 runs came in\n"
    assert other.gittrack("fsck").returncode == 0
    with pytest.raises(UsageError, match="nothing to put"):
        bench.project.create_bundle(tmp_path / "third.bundle", after=second)
    assert not (tmp_path / "third.bundle").exists()


def test_chosen_runs_with_their_data_and_a_push_that_passes_them_on(bench: Bench, other: Repo, tmp_path: Path) -> None:  # noqa: F811
    bench.run("a", {"m.bin": large("m")}, model="m.bin")
    bench.run("b", {"n.bin": large("n")})
    file = tmp_path / "part.bundle"
    done = bench.repo.gittrack_json("bundle", "create", str(file), "name = a", "--with-data")
    assert (done["runs"], done["objects"]) == (1, 1)
    applied = other.gittrack_json("bundle", "apply", str(file))
    assert (len(applied["runs"]), applied["objects"]) == (1, 1)
    assert Project.open(other.path).artifact("model").read_bytes() == large("m")
    other.git("init", "--quiet", "--bare", str(tmp_path / "team.git"))
    other.git("remote", "add", "team", str(tmp_path / "team.git"))
    other.gittrack("push", "team", "--no-data")
    assert "_ledger/" in Repo(tmp_path / "team.git").git("for-each-ref", "--format=%(refname)")
    assert "part-" not in other.git("for-each-ref", "--format=%(refname)")
    assert "part-" not in bench.repo.git("for-each-ref", "--format=%(refname)")


@pytest.mark.parametrize("keep", [0.001, 0.3, 0.8])
def test_a_file_that_is_cut_short(bench: Bench, other: Repo, tmp_path: Path, keep: float) -> None:  # noqa: F811
    bench.run("a", {"m.bin": large("m")})
    for name, more in (("plain", ()), ("data", ("--with-data",))):
        file = tmp_path / name
        bench.repo.gittrack("bundle", "create", str(file), *more)
        file.write_bytes(file.read_bytes()[: int(file.stat().st_size * keep) + 1])
        said = other.gittrack("bundle", "apply", str(file), check=False)
        assert said.returncode == 1, said.stdout
        assert "Traceback" not in said.stderr
    assert listed(other) == "[]\n"


def test_forged_objects(bench: Bench, other: Repo, tmp_path: Path) -> None:  # noqa: F811
    bench.run("a", {"m.bin": large("m")})
    file = tmp_path / "whole"
    bench.repo.gittrack("bundle", "create", str(file), "--with-data")
    for name, data, words in (
        ("files/md5/" + "0" * 2 + "/" + "0" * 30, b"not that", "damaged"),
        ("files/md5/../../../../evil", b"x", "no object"),
    ):
        forged = tmp_path / "forged"
        forged.write_bytes(file.read_bytes())
        with tarfile.open(forged, "a") as tar:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        said = other.gittrack("bundle", "apply", str(forged), check=False)
        assert said.returncode == 1
        assert words in said.stderr
    assert listed(other) == "[]\n"


def test_no_such_file_and_no_bundle(bench: Bench, tmp_path: Path) -> None:  # noqa: F811
    assert bench.repo.gittrack("bundle", "apply", "nothing", check=False).returncode == 2
    (tmp_path / "text").write_text("hello")
    assert "no bundle" in bench.repo.gittrack("bundle", "apply", str(tmp_path / "text"), check=False).stderr
    bench.run("a")
    said = bench.repo.gittrack("bundle", "create", str(tmp_path / "no/such/folder/x"), check=False)
    assert said.returncode == 1
    assert "Traceback" not in said.stderr


def test_cut_between_two_members(bench: Bench, other: Repo, tmp_path: Path) -> None:  # noqa: F811
    bench.run("a", {"m.bin": large("m")}, model="m.bin")
    file = tmp_path / "a.bundle"
    bench.repo.gittrack("bundle", "create", str(file), "--with-data")
    with tarfile.open(file) as tar:
        ends = [one.offset for one in tar.getmembers()][1:]
    whole = file.read_bytes()
    for end in ends:
        file.write_bytes(whole[:end])
        refused = other.gittrack("bundle", "apply", str(file), check=False)
        assert refused.returncode == 1
        assert "copy it again" in refused.stderr or "check the path" in refused.stderr
        assert other.gittrack("ls", "--json").stdout == "[]\n"


def test_a_name_is_as_the_shell_says_it(bench: Bench, tmp_path: Path) -> None:  # noqa: F811
    bench.run("a")
    folder = bench.repo.path / "sub folder"
    folder.mkdir()
    bench.repo.gittrack("bundle", "create", "q.bundle", cwd=folder)
    assert [one.name for one in folder.iterdir()] == ["q.bundle"]
    bench.repo.gittrack("bundle", "create", "../../up.bundle", cwd=folder)
    assert (bench.repo.path.parent / "up.bundle").exists()
    for bad in ("", str(tmp_path)):
        assert bench.repo.gittrack("bundle", "create", bad, check=False).returncode == 2


def test_several_bundles_before_it_and_only_what_is_new_counts(
    bench: Bench,  # noqa: F811
    other: Repo,
    tmp_path: Path,
) -> None:
    bench.run("a")
    Project.open(other.path).start_run("b", console=False).finish()
    names = [str(tmp_path / f"{number}.bundle") for number in range(4)]
    other.gittrack("bundle", "create", names[0])
    bench.repo.gittrack("bundle", "apply", names[0])
    assert bench.repo.gittrack_json("bundle", "create", names[1])["runs"] == 2
    bench.run("c")
    more = bench.repo.gittrack_json("bundle", "create", names[2], "--after", names[1])
    assert more["runs"] == 1
    nothing = bench.repo.gittrack("bundle", "create", names[3], "--after", names[1], "--after", names[2], check=False)
    assert (nothing.returncode, "has all of them" in nothing.stderr) == (2, True)
    none = bench.repo.gittrack("bundle", "create", names[3], "-e", "nosuch", check=False)
    assert "there are no such runs" in none.stderr


def test_what_a_killed_one_left_goes_with_the_next(bench: Bench, tmp_path: Path) -> None:  # noqa: F811
    bench.run("a")
    part = f"{layout.PART}999999999-0011aabb"
    bench.repo.git("update-ref", part, "HEAD")
    bench.project.create_bundle(tmp_path / "a.bundle", "name = a")
    assert part not in bench.repo.git("for-each-ref", "--format=%(refname)")
