"""What each guard lets pass and what it refuses, by real commits and pushes."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gittrack.hooks.active_run import command_of
from gittrack.hooks.guards import CLIENT_HOOKS
from gittrack.hooks.notebooks import outputs_size
from tests.helpers import Repo, wait_until

METRICS = "import json, sys; json.dump({'acc': float(sys.argv[1])}, open('metrics.json', 'w'))\n"
PAGES = Path(__file__).parents[2] / "docs" / "guide" / "guards"
TOKEN = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"


@pytest.fixture
def guarded(repo: Repo, tmp_path: Path) -> Repo:
    """A repository whose every hook asks its guards."""
    folder = tmp_path / "hooks"
    folder.mkdir()
    for hook in CLIENT_HOOKS:
        place = folder / hook
        place.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m gittrack hooks run {hook} "$@"\n')
        place.chmod(0o755)
    repo.write("measure.py", METRICS)
    repo.commit("Measure")
    repo.git("config", "core.hooksPath", str(folder))
    return repo


def attempt(repo: Repo, *words: str, code: int = 0, **env: str) -> str:
    """What git and its hooks say; `code` 1 is any failure."""
    done = subprocess.run(
        ["git", *words], cwd=repo.path, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    assert (done.returncode != 0) == (code != 0), done.stdout + done.stderr
    return done.stderr + done.stdout


def documented(guard: str, said: str, run: str = "") -> None:
    """Fail unless the guard's page shows what it said; of a run its id may differ."""
    page = (PAGES / f"{guard}.md").read_text(encoding="utf-8")
    for line in said.splitlines():
        if line.startswith((f"gittrack-{guard}: ", "  ")):
            assert (line.replace(run[:8], "3f2a9c1e") if run else line) in page


def run_of(repo: Repo, value: str, *options: str) -> str:
    """Measure something as a run; returns its id."""
    repo.gittrack("run", *options, "--", sys.executable, "measure.py", value)
    return str(repo.gittrack_json("ls")[0]["id"])


@pytest.fixture
def dirty_run(guarded: Repo) -> str:
    """The id of a run that changed code has measured."""
    guarded.write("measure.py", METRICS + "# tried something\n")
    return run_of(guarded, "0.9", "--allow-dirty", "-n", "trial")


class TestCleanRun:
    def test_results_of_a_dirty_run_are_refused(self, guarded: Repo, dirty_run: str) -> None:
        guarded.git("add", "metrics.json")
        said = attempt(guarded, "commit", "-m", "x", code=1)
        assert f"metrics.json  from trial ({dirty_run[:8]})" in said
        assert said.startswith("gittrack-clean-run: what a run on a dirty tree left is about to be committed")
        documented("clean-run", said, dirty_run)
        attempt(guarded, "commit", "-m", "x", SKIP="gittrack-clean-run")

    def test_not_with_the_code_either(self, guarded: Repo, dirty_run: str) -> None:
        guarded.git("add", "--all")
        assert "gittrack-clean-run" in attempt(guarded, "commit", "-m", "x", code=1)
        assert "gittrack-clean-run" in attempt(guarded, "commit", "-a", "--amend", "--no-edit", code=1)

    @pytest.mark.usefixtures("dirty_run")
    def test_only_what_is_committed_counts(self, guarded: Repo) -> None:
        attempt(guarded, "commit", "-m", "The code alone", "measure.py")
        guarded.write("metrics.json", '{"acc": 0.8}')
        guarded.git("add", "metrics.json")
        # Staged by hand; what the dirty run left lies in the worktree alone.
        guarded.write("metrics.json", '{"acc": 0.9}')
        attempt(guarded, "commit", "-m", "Another value")

    @pytest.mark.usefixtures("dirty_run")
    def test_a_clean_run_of_the_same_content_vouches_for_it(self, guarded: Repo) -> None:
        attempt(guarded, "commit", "-m", "The code", "measure.py")
        (guarded.path / "metrics.json").unlink()
        run_of(guarded, "0.9")
        guarded.git("add", "metrics.json")
        attempt(guarded, "commit", "-m", "The same number")

    def test_what_was_committed_before_may_move(self, guarded: Repo) -> None:
        guarded.write("measure.py", METRICS + "# tried something\n")
        run_of(guarded, "0.9", "--allow-dirty")
        guarded.git("add", "--all")
        attempt(guarded, "commit", "-m", "x", SKIP="gittrack-clean-run")
        guarded.git("mv", "metrics.json", "old.json")
        attempt(guarded, "commit", "-m", "Moved")

    def test_artifacts_and_pointers_to_them(self, guarded: Repo) -> None:
        guarded.write(
            "make.py",
            "open('model.bin', 'wb').write(b'weights' * 40000); open('small.pkl', 'wb').write(b'small weights')\n",
        )
        guarded.write(".gitignore", "*.bin\n*.pkl\n")
        guarded.gittrack(
            "run",
            "--allow-dirty=all",
            "--output",
            "model.bin",
            "--output",
            "small.pkl",
            "--",
            sys.executable,
            "make.py",
        )
        artifacts = {one["path"]: one for one in guarded.gittrack_json("show", "@")["artifacts"]}
        md5 = artifacts["model.bin"]["md5"]
        guarded.write("model.bin.dvc", f"outs:\n- md5: {md5}\n  size: 280000\n  hash: md5\n  path: model.bin\n")
        guarded.git("add", "make.py", ".gitignore", "model.bin.dvc")
        assert "model.bin.dvc  from" in attempt(guarded, "commit", "-m", "x", code=1)
        guarded.git("rm", "-q", "--cached", "model.bin.dvc")
        guarded.git("add", "--force", "small.pkl")
        assert "small.pkl  from" in attempt(guarded, "commit", "-m", "x", code=1)

    def test_what_dvc_is_given_after_the_run(self, guarded: Repo) -> None:
        guarded.gittrack("init")
        guarded.write("make.py", "import os; open('model.pkl', 'wb').write(os.urandom(1000))\n")
        guarded.commit("Make")
        for value in ("first", "second"):
            guarded.write("make.py", f"import os; open('model.pkl', 'wb').write(os.urandom(1000))  # {value}\n")
            guarded.gittrack("run", "--allow-dirty", "--", sys.executable, "make.py")
            subprocess.run([sys.executable, "-m", "dvc", "-q", "add", "model.pkl"], cwd=guarded.path, check=True)
            guarded.git("add", "model.pkl.dvc", ".gitignore")
            assert "model.pkl.dvc  from" in attempt(guarded, "commit", "-m", "x", code=1)
            attempt(guarded, "commit", "-a", "-m", "x", SKIP="gittrack-clean-run")

    def test_what_went_into_a_run_is_no_result_of_it(self, guarded: Repo) -> None:
        guarded.write("config.json", '{"depth": 3}')
        guarded.commit("Config")
        guarded.write("config.json", '{"depth": 4}')
        guarded.python(
            "import gittrack\nwith gittrack.start_run(allow_dirty='tracked') as run:\n    run.log_artifact('config.json')\n"
        )
        attempt(guarded, "commit", "-a", "-m", "The code, as it is asked for")

    def test_what_everybody_writes_is_nobodys(self, guarded: Repo) -> None:
        guarded.write("train.py", "open('a.json', 'w').write('{}')\n")
        guarded.gittrack("run", "--allow-dirty", "--", sys.executable, "train.py")
        guarded.write("b.json", "{}")
        guarded.git("add", "b.json")
        attempt(guarded, "commit", "-m", "Empty")

    def test_a_script_that_starts_its_run_itself(self, guarded: Repo) -> None:
        guarded.python(
            "import gittrack, json\n"
            "with gittrack.start_run(allow_dirty='all'):\n"
            "    json.dump({'acc': 0.7}, open('metrics.json', 'w'))\n"
            "    open('notes.txt', 'w').write('by hand')\n"
        )
        # It changed nothing that was committed: the tree was clean when it began.
        guarded.git("add", "--all")
        attempt(guarded, "commit", "-m", "Clean")
        guarded.write("train.py", "# dirty")
        guarded.python(
            "import gittrack, json\n"
            "with gittrack.start_run(allow_dirty='tracked'):\n"
            "    json.dump({'acc': 0.75}, open('metrics.json', 'w'))\n"
            "    open('notes.txt', 'w').write('by hand, again')\n"
        )
        guarded.git("add", "notes.txt")
        attempt(guarded, "commit", "-m", "Text is no result")
        guarded.git("add", "metrics.json")
        assert "gittrack-clean-run" in attempt(guarded, "commit", "-m", "x", code=1)


class TestTrailer:
    def test_a_commit_of_results_names_the_run(self, guarded: Repo) -> None:
        run = run_of(guarded, "0.5")
        guarded.git("add", "metrics.json")
        attempt(guarded, "commit", "-m", "Measured")
        assert guarded.git("log", "-1", "--format=%B").rstrip() == f"Measured\n\nGittrack-Run: {run}"
        attempt(guarded, "commit", "--amend", "--no-edit")
        assert guarded.git("log", "-1", "--format=%B").count("Gittrack-Run") == 1

    def test_no_other_commit_does(self, guarded: Repo) -> None:
        run_of(guarded, "0.5")
        attempt(guarded, "commit", "--allow-empty", "-m", "Nothing")
        guarded.write("train.py", "pass\n")
        attempt(guarded, "commit", "-a", "-m", "Code")
        assert "Gittrack-Run" not in guarded.git("log", "--format=%B")

    def test_rebase_and_cherry_pick_keep_it(self, guarded: Repo) -> None:
        run = run_of(guarded, "0.5")
        guarded.git("switch", "-q", "-c", "work")
        guarded.git("add", "metrics.json")
        attempt(guarded, "commit", "-m", "Measured")
        guarded.git("switch", "-q", "main")
        attempt(guarded, "commit", "--allow-empty", "-m", "Meanwhile")
        attempt(guarded, "cherry-pick", "work")
        assert guarded.git("log", "-1", "--format=%(trailers:key=Gittrack-Run,valueonly)").strip() == run
        guarded.git("reset", "-q", "--hard", "HEAD^")
        attempt(guarded, "rebase", "main", "work")
        assert guarded.git("log", "-1", "--format=%(trailers:key=Gittrack-Run,valueonly)").strip() == run

    def test_a_merge_is_left_alone(self, guarded: Repo) -> None:
        run_of(guarded, "0.5")
        guarded.git("switch", "-q", "-c", "work")
        guarded.git("add", "metrics.json")
        attempt(guarded, "commit", "-m", "Measured")
        guarded.git("switch", "-q", "main")
        attempt(guarded, "commit", "--allow-empty", "-m", "Meanwhile")
        attempt(guarded, "merge", "--no-edit", "work")
        assert "Gittrack-Run" not in guarded.git("log", "-1", "--format=%B")


@contextmanager
def active(repo: Repo, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """While inside, a run is active that ends when it is told to."""
    code = "import pathlib, time\npathlib.Path('{}').touch()\nwhile True: time.sleep(0.01)"
    flag = repo.path.parent / "started"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "gittrack",
            "run",
            "-n",
            "long",
            *options,
            "--",
            sys.executable,
            "-c",
            code.format(flag),
        ],
        cwd=repo.path,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(flag.exists, "the run has begun")
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        flag.unlink(missing_ok=True)


class TestActiveRun:
    def test_nothing_is_committed_merged_or_rebased_under_it(self, guarded: Repo) -> None:
        guarded.git("switch", "-q", "-c", "work")
        guarded.write("other.py", "pass\n")
        guarded.commit("Other")
        guarded.git("switch", "-q", "main")
        guarded.write("more.py", "pass\n")
        guarded.commit("More")
        before = guarded.git("rev-parse", "HEAD")
        with active(guarded):
            # A message is no command.
            said = attempt(guarded, "commit", "--allow-empty", "-m", "merge", code=1)
            assert said.startswith(
                "gittrack-active-run: a run is active in this worktree, and a commit could change files"
            )
            assert "  long (" in said
            documented("active-run", said, guarded.gittrack_json("ls")[0]["id"])
            said = attempt(guarded, "merge", "--no-edit", "work", code=1)
            documented("active-run", said.splitlines()[0])
            guarded.git("merge", "--abort")
            assert "a rebase could" in attempt(guarded, "rebase", "work", code=1)
            for command in ("cherry-pick", "revert"):
                words = ("revert", "--no-edit", "HEAD") if command == "revert" else (command, "work")
                said = attempt(guarded, *words, code=1)
                assert f"gittrack-active-run: a {command} has changed files" in said
                guarded.git(command, "--abort", check=False)
                guarded.git("reset", "-q", "--hard", before)
            assert guarded.git("rev-parse", "HEAD") == before
            attempt(guarded, "commit", "--allow-empty", "-m", "x", SKIP="gittrack-active-run")
        attempt(guarded, "commit", "--allow-empty", "-m", "After it")
        warned = " ".join(guarded.gittrack_json("show", "@")["warnings"])
        assert all(f"a {one} changed files" in warned for one in ("merge", "cherry-pick", "revert"))

    def test_a_checkout_is_told_and_kept_in_its_record(self, guarded: Repo) -> None:
        guarded.git("branch", "same")
        guarded.git("switch", "-q", "-c", "work")
        guarded.write("other.py", "pass\n")
        guarded.commit("Other")
        guarded.git("switch", "-q", "same")
        with active(guarded):
            assert "gittrack" not in attempt(guarded, "switch", "main")
            assert "gittrack" not in attempt(guarded, "switch", "same")
            assert "gittrack" not in attempt(guarded, "checkout", "--", "train.py")
            said = attempt(guarded, "switch", "work")
            assert "gittrack-active-run: a checkout has changed files" in said
            documented("active-run", said.splitlines()[0])
        assert any("a checkout changed files" in one for one in guarded.gittrack_json("show", "@")["warnings"])

    @pytest.mark.parametrize(
        ("words", "command"),
        [
            ("commit -m merge", "commit"),
            ("-C revert -c alias.x=merge commit", "commit"),
            ("--git-dir=merge --no-pager cherry-pick revert", "cherry-pick"),
            ("--work-tree merge revert HEAD", "revert"),
            ("--version", ""),
        ],
    )
    def test_the_command_among_gits_words(self, words: str, command: str) -> None:
        assert command_of(words.split()) == command

    def test_another_worktree_is_free(self, guarded: Repo, tmp_path: Path) -> None:
        guarded.git("worktree", "add", "-q", str(tmp_path / "linked"), "-b", "linked")
        with active(guarded):
            attempt(Repo(tmp_path / "linked"), "commit", "--allow-empty", "-m", "Elsewhere")
        with active(Repo(tmp_path / "linked")):
            attempt(guarded, "commit", "--allow-empty", "-m", "Here")

    def test_an_isolated_run_blocks_nothing(self, guarded: Repo) -> None:
        with active(guarded, "--isolated"):
            attempt(guarded, "commit", "--allow-empty", "-m", "Meanwhile")

    def test_what_the_run_itself_commits(self, guarded: Repo) -> None:
        guarded.python(
            "import gittrack, subprocess\n"
            "with gittrack.start_run():\n"
            "    with gittrack.start_run(nested=True):\n"
            "        subprocess.run(['git', 'commit', '--allow-empty', '-m', 'From a script'], check=True)\n"
        )
        guarded.gittrack("run", "--", "git", "commit", "--allow-empty", "-m", "From inside")
        assert guarded.git("log", "-1", "--format=%s") == "From inside"


class TestLargeFiles:
    def test_a_large_file_needs_a_pointer(self, guarded: Repo) -> None:
        guarded.write("model.bin", bytes(6_000_000))
        guarded.git("add", "--all")
        documented("large-files", attempt(guarded, "commit", "-m", "x", code=1))
        guarded.git("rm", "-q", "--force", "model.bin")
        guarded.write("a model's.bin", bytes(5 * 1024 * 1024 + 1))
        guarded.write("small.bin", bytes(1024))
        guarded.git("add", "--all")
        said = attempt(guarded, "commit", "-m", "x", code=1)
        assert """gittrack init && git rm --cached -- 'a model'"'"'s.bin' && dvc add -- 'a model'"'"'s.bin'""" in said
        assert "small.bin" not in said
        guarded.git("config", "gittrack.guards.large-files", "6MB")
        attempt(guarded, "commit", "-m", "x")

    def test_the_commands_work_where_they_are_pasted(self, guarded: Repo) -> None:
        guarded.gittrack("init")
        guarded.commit("Set up")
        guarded.write("sub/a b.bin", bytes(6_000_000))
        guarded.git("add", "--all")
        inside = Repo(guarded.path / "sub")
        commands = attempt(inside, "commit", "-m", "x", code=1).partition("keep it: ")[2].partition("; or raise")[0]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        subprocess.run(["sh", "-c", commands], cwd=inside.path, env={**os.environ, "PATH": path}, check=True)
        attempt(inside, "commit", "-m", "Behind a pointer")
        assert guarded.git("status", "--porcelain") == ""
        guarded.git("mv", "sub/a b.bin.dvc", "sub/c.bin.dvc")

    def test_what_only_moves_is_there_for_ever_already(self, guarded: Repo) -> None:
        guarded.write("data.bin", bytes(2048))
        guarded.write(".env", f"TOKEN={TOKEN}\n")
        guarded.git("add", "--all", "--force")
        attempt(guarded, "commit", "-m", "x", SKIP="gittrack-secrets")
        guarded.git("mv", "data.bin", "moved.bin")
        guarded.git("mv", ".env", ".env.prod")
        attempt(guarded, "commit", "-m", "Moved", GITTRACK_GUARDS_LARGE_FILES="1KB")

    def test_the_limit_may_be_off(self, guarded: Repo) -> None:
        guarded.write("data.csv", bytes(2048))
        guarded.git("add", "--all")
        assert "1.0 KB" in attempt(guarded, "commit", "-m", "x", code=1, GITTRACK_GUARDS_LARGE_FILES="1KB")
        attempt(guarded, "commit", "-m", "x", GITTRACK_GUARDS_LARGE_FILES="false")


class TestNotebooks:
    def test_outputs_need_a_run(self, guarded: Repo) -> None:
        book = {"cells": [{"cell_type": "code", "outputs": [{"text": "x" * 200}], "source": []}], "nbformat": 4}
        guarded.write("a.ipynb", json.dumps(book))
        guarded.git("add", "a.ipynb")
        limit = {"GITTRACK_GUARDS_NOTEBOOKS": "100"}
        said = attempt(guarded, "commit", "-m", "x", code=1, **limit)
        assert said.startswith("gittrack-notebooks: outputs of notebooks")
        documented("notebooks", said)
        guarded.git("rm", "-q", "--cached", "a.ipynb")
        (guarded.path / "a.ipynb").unlink()
        code = f"open('a.ipynb', 'w').write({json.dumps(json.dumps(book))})"
        guarded.gittrack("run", "--", sys.executable, "-c", code)
        guarded.git("add", "a.ipynb")
        attempt(guarded, "commit", "-m", "x", **limit)

    def test_off_unless_it_is_set(self, guarded: Repo) -> None:
        guarded.write("a.ipynb", json.dumps({"cells": [{"outputs": ["x" * 1000]}]}))
        guarded.git("add", "a.ipynb")
        attempt(guarded, "commit", "-m", "x")

    @pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"cells": 3}', b'{"cells": [3]}', b'{"cells": []}', b"\xff"])
    def test_what_is_no_notebook_has_no_outputs(self, data: bytes) -> None:
        assert outputs_size(data) == 0


class TestDirty:
    def test_by_hand_and_in_a_ci(self, guarded: Repo) -> None:
        assert guarded.gittrack("hooks", "run", "gittrack-dirty").stderr == ""
        guarded.write("train.py", "changed")
        said = guarded.gittrack("hooks", "run", "gittrack-dirty", check=False)
        assert said.returncode == 1
        documented("dirty", said.stderr)
        guarded.git("update-index", "--assume-unchanged", "train.py")
        assert guarded.gittrack("hooks", "run", "gittrack-dirty", check=False).returncode == 1


class TestSecrets:
    @pytest.mark.parametrize(
        ("file", "line"),
        [
            ("params.yaml", f"token: {TOKEN}"),
            (".env", "AWS_ACCESS_KEY_ID=AKIA" + "QYLPMN5HHHFPZAM2"),
            ("conf/db.yml", "url: postgres://user:pa55word@db/runs"),
            ("console.log", "-----BEGIN RSA PRIVATE " + "KEY-----"),
            ("params.yaml", 'password: "correct-horse"'),
            ("params.yaml", 'db_pass: "hunter22xx"'),
            ("config.json", '"hub": "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH"'),
            ("conf.yaml", "wandb: 0123456789abcdef0123456789abcdef01234567"),
        ],
    )
    def test_a_credential_is_refused_and_never_shown(self, guarded: Repo, file: str, line: str) -> None:
        guarded.write(file, f"lr: 0.1\n{line}\n")
        guarded.git("add", "--force", file)
        said = attempt(guarded, "commit", "-m", "x", code=1)
        assert "gittrack-secrets: what looks like a credential" in said
        assert f"  {file}:2  " in said
        assert line[-12:] not in said

    def test_what_is_no_credential(self, guarded: Repo) -> None:
        guarded.write(
            "params.yaml",
            "tokenizer: bert-base-uncased\npad_token: '[PAD]'\nmax_tokens: 512\nlr: 0.1\n"
            f"commit: {guarded.git('rev-parse', 'HEAD')}\nsort_key: val_acc\n",
        )
        guarded.write("train.py", f"TOKEN = '{TOKEN}'\n")
        guarded.git("add", "--all")
        attempt(guarded, "commit", "-m", "Code has linters of its own")

    def test_what_was_there_what_is_marked_and_what_the_team_knows(self, guarded: Repo) -> None:
        guarded.write("params.yaml", f"token: {TOKEN}\n")
        guarded.git("add", "--all")
        attempt(guarded, "commit", "-m", "x", SKIP="gittrack-secrets")
        guarded.write("params.yaml", f"lr: 1\ntoken: {TOKEN}\nother: {TOKEN[:-1]}x  # pragma: allowlist secret\n")
        attempt(guarded, "commit", "-a", "-m", "Nothing new")
        guarded.write("params.yaml", f"lr: 1\nthird: {TOKEN[:-1]}y\n")
        documented("secrets", attempt(guarded, "commit", "-a", "-m", "x", code=1))
        baseline = subprocess.run(
            [sys.executable, "-m", "detect_secrets", "scan", "params.yaml"],
            cwd=guarded.path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        guarded.write(".secrets.baseline", baseline)
        guarded.git("add", "--all")
        attempt(guarded, "commit", "-m", "Known")

    def test_what_is_staged_counts_not_what_lies_there(self, guarded: Repo) -> None:
        guarded.write("params.yaml", f"token: {TOKEN}\n")
        guarded.git("add", "params.yaml")
        guarded.write("params.yaml", "lr: 1\n")
        attempt(guarded, "commit", "-m", "x", code=1)
        guarded.git("add", "params.yaml")
        guarded.write("params.yaml", f"token: {TOKEN}\n")
        attempt(guarded, "commit", "-m", "x")


@pytest.fixture
def remote(guarded: Repo, tmp_path: Path) -> Repo:
    bare = Repo(tmp_path / "remote.git")
    bare.path.mkdir()
    bare.git("init", "-q", "--bare")
    guarded.git("remote", "add", "origin", str(bare.path))
    attempt(guarded, "push", "-q", "origin", "main")
    return bare


class TestPushRuns:
    def test_runs_of_pushed_commits(self, guarded: Repo, remote: Repo) -> None:
        run_of(guarded, "0.1", "-n", "elsewhere")
        guarded.write("train.py", "pass\n")
        attempt(guarded, "commit", "-a", "-m", "Code")
        (guarded.path / "metrics.json").unlink()
        assert "elsewhere" not in attempt(guarded, "push", "origin", "main")
        guarded.write("train.py", "pass  # again\n")
        attempt(guarded, "commit", "-a", "-m", "Code")
        run_of(guarded, "0.2", "-n", "here")
        refuse = {"GITTRACK_GUARDS_PUSH_RUNS": "refuse"}
        said = attempt(guarded, "push", "origin", "main", code=1, **refuse)
        assert "gittrack-push-runs: a run of these commits is not on origin yet" in said
        assert "default/here (" in said
        documented("push-runs", said, guarded.gittrack_json("show", "here")["id"])
        assert "elsewhere" not in said
        assert "not on origin yet" in attempt(guarded, "push", "--dry-run", "origin", "main")
        assert "went along to origin" in attempt(guarded, "push", "origin", "main", GITTRACK_GUARDS_PUSH_RUNS="push")
        assert remote.git("for-each-ref", "refs/experiments/")
        attempt(guarded, "commit", "--allow-empty", "-m", "Nothing new")
        (guarded.path / "metrics.json").unlink()
        run_of(guarded, "0.3", "-n", "amended")
        attempt(guarded, "commit", "--amend", "--allow-empty", "-m", "Said better")
        assert "default/amended (" in attempt(guarded, "push", "origin", "main", code=1, **refuse)
        guarded.gittrack("push")
        guarded.git("update-ref", "-d", "refs/remotes/origin/main")
        assert "gittrack" not in attempt(guarded, "push", "origin", "main:again", **refuse)

    def test_a_run_that_a_commit_names(self, guarded: Repo, remote: Repo) -> None:
        run_of(guarded, "0.3", "-n", "named")
        guarded.git("add", "metrics.json")
        attempt(guarded, "commit", "-m", "Measured")
        assert "default/named" in attempt(guarded, "push", "origin", "main")

    def test_an_address_a_tag_and_a_deletion_are_none_of_its_business(self, guarded: Repo, remote: Repo) -> None:
        guarded.write("train.py", "pass\n")
        attempt(guarded, "commit", "-a", "-m", "Code")
        run_of(guarded, "0.2")
        guarded.git("tag", "v1.0")
        for words in (("origin", "v1.0"), (str(remote.path), "main:other"), ("origin", ":other")):
            assert "gittrack" not in attempt(guarded, "push", *words, GITTRACK_GUARDS_PUSH_RUNS="refuse")


class TestBadGround:
    def test_before_the_first_commit(self, guarded: Repo, tmp_path: Path) -> None:
        fresh = Repo(tmp_path / "fresh")
        fresh.path.mkdir()
        fresh.git("init", "-q")
        fresh.git("config", "core.hooksPath", guarded.git("config", "core.hooksPath"))
        fresh.write("params.yaml", f"token: {TOKEN}\n")
        fresh.git("add", "--all")
        attempt(fresh, "commit", "-m", "x", code=1)
        fresh.write("params.yaml", "lr: 1\n")
        fresh.git("add", "--all")
        attempt(fresh, "commit", "-m", "First")

    def test_a_fault_of_ours_blocks_nothing(self, guarded: Repo) -> None:
        run_of(guarded, "0.5")
        guarded.git("add", "metrics.json")
        (guarded.path / ".git" / "gittrack" / "index.sqlite").unlink()
        code = (
            "import sys, gittrack.project\n"
            "def broken(*_): raise ZeroDivisionError('x')\n"
            "gittrack.project.Project.makers = broken\n"
            "from gittrack.hooks.main import main\n"
            "sys.exit(main(['pre-commit']))\n"
        )
        said = guarded.python(code).stderr
        assert "gittrack-clean-run: could not look, so this is let pass: ZeroDivisionError: x" in said

    def test_a_mistake_in_the_settings_turns_no_guard_off(self, guarded: Repo) -> None:
        guarded.write(".gittrack/config.yaml", "guards: {push_runs: banana}\n")
        guarded.write("params.yaml", f"token: {TOKEN}\n")
        guarded.write("model.bin", bytes(6_000_000))
        guarded.git("add", "--all")
        said = attempt(guarded, "commit", "-m", "x", code=1)
        assert said.count("guards.push_runs must be push, warn, refuse or none") == 1
        assert "until that is mended guards go by the defaults" in said
        assert all(f"gittrack-{one}: " in said for one in ("secrets", "large-files"))

    def test_half_an_installation_blocks_nothing(self, guarded: Repo) -> None:
        code = "import sys, gittrack.__main__\nsys.modules['gittrack.hooks.main'] = None\ngittrack.__main__.main()\n"
        for name, exit_code in (("pre-commit", 0), ("gittrack-secrets", 0), ("update", 1)):
            done = guarded.python(code, "hooks", "run", name, check=False)
            assert (done.returncode, "could not look" in done.stderr) == (exit_code, True)

    def test_an_index_that_is_gone_or_broken_is_made_anew(self, guarded: Repo, dirty_run: str) -> None:
        guarded.git("add", "metrics.json")
        index = guarded.path / ".git" / "gittrack" / "index.sqlite"
        index.unlink()
        assert "gittrack-clean-run" in attempt(guarded, "commit", "-m", "x", code=1)
        index.write_bytes(b"no database" * 1000)
        assert dirty_run[:8] in attempt(guarded, "commit", "-m", "x", code=1)

    def test_names_in_any_bytes(self, guarded: Repo) -> None:
        guarded.write(os.fsdecode(b"caf\xe9 \n\x1b[31m'.bin"), bytes(2048))
        guarded.git("add", "--all")
        said = attempt(guarded, "commit", "-m", "x", code=1, GITTRACK_GUARDS_LARGE_FILES="1KB")
        assert "caf\\xe9 \\n\\x1b[31m'.bin" in said
        assert "\x1b" not in said

    def test_a_merge_that_stops_is_asked_about_what_is_new_alone(self, guarded: Repo) -> None:
        guarded.write("params.yaml", "lr: 1\n")
        guarded.commit("Base")
        guarded.git("switch", "-q", "-c", "work")
        guarded.write("params.yaml", "lr: 2\n")
        guarded.write("big.bin", bytes(2048))
        guarded.git("add", "--all")
        attempt(guarded, "commit", "-m", "Theirs")
        guarded.git("switch", "-q", "main")
        guarded.write("params.yaml", "lr: 3\n")
        guarded.commit("Ours")
        attempt(guarded, "merge", "work", code=1)
        guarded.write("params.yaml", "lr: 4\n")
        guarded.git("add", "--all")
        # The large file was committed, and let pass, on the other side.
        attempt(guarded, "commit", "--no-edit", GITTRACK_GUARDS_LARGE_FILES="1KB")

    def test_a_submodule_and_thousands_of_files(self, guarded: Repo, tmp_path: Path) -> None:
        Repo.init(tmp_path / "inner")
        guarded.git("submodule", "--quiet", "add", str(tmp_path / "inner"), "inner")
        for at in range(2000):
            guarded.write(f"data/{at}.json", f"[{at}]")
        guarded.git("add", "--all")
        attempt(guarded, "commit", "-q", "-m", "Many")

    def test_an_unknown_guard_and_a_skipped_one(self, guarded: Repo) -> None:
        said = guarded.gittrack("hooks", "run", "gittrack-nothing", check=False)
        assert (said.returncode, "knows no guard 'gittrack-nothing'" in said.stderr) == (0, True)
        said = guarded.gittrack("hooks", "run", "nothing", check=False)
        assert (said.returncode, "there is no guard or hook" in said.stderr) == (2, True)
        guarded.write("params.yaml", f"token: {TOKEN}\n")
        guarded.git("add", "--all")
        attempt(guarded, "commit", "-m", "x", SKIP="a, gittrack-secrets ,b")
