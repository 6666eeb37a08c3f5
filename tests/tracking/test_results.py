"""What a run left in files, as its record and the index know it."""

from __future__ import annotations

import hashlib
import os
import time

from gittrack.domain.run import Result, short_content
from gittrack.git.repository import Repository
from gittrack.project import Project
from gittrack.tracking.results import find_results
from tests.helpers import Repo

MAKE = "import gittrack\nwith gittrack.start_run(allow_dirty='all', console=False) as run:\n"


def test_only_what_programs_write_since_then(repo: Repo) -> None:
    old = repo.write("old.csv", "1")
    began = time.time()
    os.utime(old, (began - 10, began - 10))
    for name in (
        "new.csv",
        "notes.txt",
        "train.py",
        "params.yaml",
        "model.PKL",
        "out/data.dvc",
        "dvc.lock",
        "scores.txt",
    ):
        repo.write(name, name)
    repo.write("empty.json", "")
    repo.write(".gitignore", "ignored.csv\n")
    repo.write("ignored.csv", "x")
    found = find_results(Repository.discover(repo.path), began, frozenset({"scores.txt"}))
    assert set(found) == {"new.csv", "model.PKL", "out/data.dvc", "dvc.lock", "scores.txt"}
    assert found["new.csv"] == Result(
        repo.git("hash-object", "new.csv"), hashlib.md5(b"new.csv", usedforsecurity=False).hexdigest()
    )
    # What counts most comes first, for a record line has no room for all.
    assert set(list(found)[:3]) == {"out/data.dvc", "dvc.lock", "scores.txt"}


def test_the_blob_is_the_one_that_git_would_commit(repo: Repo) -> None:
    repo.write(".gitattributes", "*.csv text eol=lf\n")
    repo.commit()
    repo.write("a.csv", "1\r\n2\r\n")
    found = find_results(Repository.discover(repo.path), 0.0, frozenset())
    repo.git("add", "a.csv")
    assert found["a.csv"].blob == repo.git("rev-parse", ":a.csv")


def test_what_the_run_staged_counts_and_what_a_pointer_stands_for(repo: Repo) -> None:
    repo.write(".gitignore", "*.pkl\n")
    repo.write("model.pkl.dvc", "outs: []")
    repo.commit()
    began = time.time()
    os.utime(repo.path / "model.pkl.dvc", (began - 10, began - 10))
    repo.write("model.pkl", "weights")
    repo.write("other.pkl", "ignored, and nobody knows it")
    repo.write("staged.json", "[1]")
    repo.git("add", "staged.json")
    found = find_results(Repository.discover(repo.path), began, frozenset())
    assert set(found) == {"model.pkl", "staged.json"}
    assert found["model.pkl"].md5 == hashlib.md5(b"weights", usedforsecurity=False).hexdigest()


def test_names_in_any_bytes(repo: Repo) -> None:
    name = os.fsdecode(b"caf\xe9\n.csv")
    repo.write(name, "1")
    found = find_results(Repository.discover(repo.path), 0.0, frozenset())
    assert [(name, one.blob) for name, one in found.items()] == [
        ("caf\\xe9\n.csv", repo.git("hash-object", "--stdin", input="1"))
    ]


def test_record_line_and_index_know_them_and_artifacts_without_a_name(repo: Repo) -> None:
    repo.python(
        MAKE + "    open('metrics.json', 'w').write('[1]')\n"
        "    open('model.pkl', 'wb').write(b'weights')\n"
        "    run.log_artifact('model.pkl')\n"
        "    open('net.pkl', 'wb').write(b'more weights')\n"
        "    run.log_artifact('net.pkl', name='net')\n"
    )
    project = Project.open(repo.path)
    (run,) = project.runs()
    blob, md5 = repo.git("hash-object", "metrics.json"), run.artifact("net").md5
    assert {name: one.blob for name, one in run.record.results.items()} == {
        name: repo.git("hash-object", name) for name in ("metrics.json", "model.pkl", "net.pkl")
    }
    wanted = [short_content(one) for one in (blob, md5, "f" * 40)]
    assert {name: [one.id for one in made] for name, made in project.makers(wanted).items()} == {
        name: [run.id] for name in wanted[:2]
    }
    assert repo.gittrack("fsck").returncode == 0
    # Amended, and read again into an index made anew.
    repo.gittrack("tag", run.id, "kind=trial")
    assert set(project.makers(wanted)) == set(wanted[:2])
    (repo.path / ".git" / "gittrack" / "index.sqlite").unlink()
    assert set(Project.open(repo.path).makers(wanted)) == set(wanted[:2])


def test_the_next_attempt_adds_to_them(repo: Repo) -> None:
    repo.python(MAKE + "    open('a.json', 'w').write('[1]')\n")
    project = Project.open(repo.path)
    run = project.get_run("@")
    repo.python(
        f"import gittrack\nwith gittrack.start_run(resume={run.id!r}, allow_dirty='all', console=False):\n"
        "    open('b.json', 'w').write('[2]')\n"
    )
    wanted = [short_content(repo.git("hash-object", name)) for name in ("a.json", "b.json")]
    assert set(project.makers(wanted)) == set(wanted)
    repo.gittrack("gc", "--purge", run.id)
    assert project.makers(wanted) == {}


def test_clean_runs_come_first(repo: Repo) -> None:
    make = "    open('a.json', 'w').write('[1]')\n"
    repo.write(".gitignore", "*.tmp\n")
    repo.commit()
    repo.python(MAKE + make)
    (repo.path / "a.json").unlink()
    repo.write("train.py", "changed")
    repo.python(MAKE + make)
    content = short_content(repo.git("hash-object", "a.json"))
    assert [one.dirty for one in Project.open(repo.path).makers([content])[content]] == [False, True]
