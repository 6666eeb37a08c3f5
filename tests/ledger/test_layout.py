"""Names and messages: nothing that a run may be called or say breaks the layout, or imitates it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.domain.amendment import Amendment
from gittrack.domain.codec import amendment_from_line, amendment_to_line, state_from_line, state_to_line
from gittrack.domain.run import RunState, Status
from gittrack.git.objects import ObjectBatch
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from tests.helpers import Repo

RUN = "0123456789abcdef" * 2


def state(**fields: Any) -> RunState:
    plain: dict[str, Any] = {
        "id": RUN,
        "name": "brave-otter-42",
        "experiment": "digits",
        "status": Status.FINISHED,
        "started": 1_700_000_000.0,
        "ended": 1_700_000_060.0,
        "code_commit": "c" * 40,
        "branch": "main",
        "author": "A <a@example.org>",
    }
    return RunState(**{**plain, **fields})


# --- refs


def test_refs_of_runs_and_of_nothing_else() -> None:
    ref = layout.run_ref("a/b", RUN)
    assert ref == f"refs/experiments/a/b/{RUN}"
    assert layout.parse_run_ref(ref) == ("a/b", RUN)
    for other in (
        f"refs/experiments/{RUN}",
        "refs/experiments/a/b",
        f"refs/experiments/_ledger/{RUN}",
        f"refs/heads/a/{RUN}",
        f"refs/experiments/a/{RUN.upper()}",
        f"refs/experiments/a/{RUN}0",
    ):
        assert layout.parse_run_ref(other) is None


# --- file names of metrics

PARTS = st.sampled_from(
    [
        "", ".", "..", "...", ".git", ".GIT", ".git ", "git~1", "GIT~1", "gIT~1", "Git~2", ".gitmodules", "a", "a.tsv",
        "a.tsv.tsv", ".tsv", "tsv", "a ", " a", "a.", "con", "nul", "a:b", "a\\b", "%", "%2E", "%00", "%25", "~", "a~b",
        ".g\u200cit", "ｇit~1", "é", "e\u0301", "☃", '"', "*", "?", "<", ">", "|", "x" * 150, "x" * 200, "x" * 201,
        "x" * 205, "é" * 60, "é" * 90, "\u200b",
    ]
)  # fmt: skip
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="`"), max_size=8)
KEYS = st.lists(PARTS | TEXTS, min_size=1, max_size=4).map("/".join)


@given(st.lists(KEYS, min_size=2, max_size=30, unique=True))
def test_no_two_keys_share_a_file_nor_a_file_and_a_folder(keys: list[str]) -> None:
    paths = [layout.plot_path(key) for key in keys]
    assert len(set(paths)) == len(keys)
    folders = {path[: path.rfind("/", 0, at)] for path in paths for at in range(len(path)) if path[at] == "/"}
    assert not folders & set(paths)


@given(KEYS)
def test_every_part_of_a_path_is_legal_everywhere(key: str) -> None:
    path = layout.plot_path(key)
    assert path.isascii()
    for part in path.split("/"):
        assert part not in {"", ".", ".."}
        assert not set(part) & set('\\:*?"<>|\0\n')
        assert not part.endswith((".", " "))
        assert not part.startswith(".")
        assert not part.lower().startswith("git~")
        assert len(part) <= 255


def test_ordinary_keys_keep_their_names() -> None:
    for key in ("loss", "train/loss", "val/top-5 acc", "f1_macro", "a.b", "lr(1)", "rank3/loss"):
        assert layout.plot_path(key) == f"plots/metrics/{key}.tsv"


def test_keys_that_differ_only_in_letter_case_keep_apart_where_git_looks() -> None:
    assert len({layout.plot_path(key) for key in ("git~1", "GIT~1", "gIT~1", "Git~1")}) == 4


@given(st.lists(KEYS, min_size=1, max_size=30, unique=True))
def test_git_finds_no_fault_with_trees_of_such_names(strict_repo: Repo, keys: list[str]) -> None:
    repository = Repository.discover(strict_repo.path)
    batch = ObjectBatch(repository)
    tree = batch.folder({layout.plot_path(key): batch.blob(str(at).encode()) for at, key in enumerate(keys)})
    batch.write()
    strict_repo.git("fsck", "--strict", "--no-dangling", tree)
    listed = strict_repo.git("ls-tree", "-r", "--name-only", "-z", tree).split("\0")
    assert len([one for one in listed if one]) == len(keys)


@pytest.fixture(scope="module")
def strict_repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    path: Path = tmp_path_factory.mktemp("strict") / "repo"
    subprocess.run(["git", "init", "--quiet", str(path)], check=True)
    return Repo(path)


# --- messages


def commit_of(message: str) -> bytes:
    return b"tree %s\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\nencoding UTF-8\n\n%s" % (
        b"a" * 40,
        message.encode(),
    )


def line_of(one: RunState) -> bytes:
    return layout.fit_line(state_to_line(one), orjson.dumps)


LIES = st.sampled_from(
    [
        'Gittrack-Record: {"format":1,"id":"ffff"}',
        '\nGittrack-Record: {"format":1}',
        '\r\nGittrack-Record: {"format":1}\r\n',
        '\n\nGittrack-Amendment: {"run":"f"}\n',
        "Gittrack-Run: 1",
        "\nGittrack-Record: {\n",
        "\x0bGittrack-Record: {",
        "\u2028Gittrack-Record: {",
        "\x85Gittrack-Amendment: {",
        " ",
        "\n",
        "Signed-off-by: x",
    ]
)
LYING = st.lists(LIES | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)).map(
    "".join
)
NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=60)


@given(LYING, NAMES, st.dictionaries(NAMES, LYING, max_size=3))
def test_a_description_that_imitates_our_last_line_is_not_believed(text: str, name: str, tags: dict[str, str]) -> None:
    one = state(name=name, description=text, tags=tags, command=text, branch=name, parent=RUN)
    line = line_of(one)
    found = layout.find_line(commit_of(layout.run_message(one, line)))
    assert found == (layout.RECORD, line)


@given(LYING, NAMES, st.dictionaries(NAMES, LYING | st.none(), max_size=3))
def test_an_amendment_that_imitates_a_run_is_an_amendment(text: str, name: str, tags: dict[str, str | None]) -> None:
    changes: dict[str, Any] = {"description": text, "name": name, **{f"tag:{key}": tags[key] for key in tags}}
    amendment = Amendment(RUN, 3, "", "A <a@b>", 5.0, changes)
    line = orjson.dumps(amendment_to_line(amendment))
    found = layout.find_line(commit_of(layout.amendment_message(amendment, state(), line)))
    assert found == (layout.AMENDMENT, line)
    assert amendment_from_line(orjson.loads(line), commit="").changes == changes


def test_a_commit_of_the_user_is_not_ours() -> None:
    assert layout.find_line(commit_of("Fix it\n\nGittrack-Record: none\n")) is None
    assert layout.find_line(b"") is None


def test_the_subject_is_what_a_person_reads_in_git_log() -> None:
    one = state(metrics={"system/cpu": 99.0, "val/acc": 0.912345678, "loss": 0.1})
    assert layout.run_subject(one) == "digits/brave-otter-42: finished, val/acc=0.91235 loss=0.1"
    many = state(metrics={f"metric number {number}": 1.0 for number in range(50)})
    assert len(layout.run_subject(many)) <= 80


def test_the_trailers_are_trailers_to_git(repo: Repo) -> None:
    one = state(description="What it was for.\n\nMore: of it", dirty=True, parent=RUN)
    message = layout.run_message(one, line_of(one))
    out = repo.git("interpret-trailers", "--parse", input=message)
    assert [row.split(":")[0] for row in out.splitlines()] == [
        "Gittrack-Run", "Gittrack-Experiment", "Gittrack-Status", "Gittrack-Parent", "Gittrack-Record",
    ]  # fmt: skip


def test_links_of_a_commit() -> None:
    raw = b"tree %s\nparent %s\nparent %s\nauthor x\n\nparent fake" % (b"a" * 40, b"b" * 40, b"c" * 40)
    assert layout.commit_links(raw) == ("a" * 40, ["b" * 40, "c" * 40])
    assert layout.commit_links(raw.split(b"parent")[0]) == ("a" * 40, [])


# --- the record line

VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats()
    | st.text(max_size=20)
    | st.lists(st.integers() | st.floats() | st.dictionaries(st.text(max_size=5), st.floats(), max_size=2), max_size=3)
)


def equal(a: Any, b: Any) -> bool:
    return repr(a) == repr(b)


@given(
    st.dictionaries(NAMES, VALUES, max_size=5),
    st.dictionaries(NAMES, st.floats(), max_size=5),
    st.dictionaries(NAMES, st.text(st.characters(exclude_categories=("Cs",)), max_size=9), max_size=5),
)
def test_the_line_of_any_run_comes_back(
    params: dict[str, Any], metrics: dict[str, float], tags: dict[str, str]
) -> None:
    one = state(params=params, metrics=metrics, tags=tags)
    line = line_of(one)
    if b'"truncated":true' in line:
        return
    back = state_from_line(orjson.loads(line))
    assert equal(back, one)


@pytest.mark.parametrize(
    "fields",
    [
        {"params": {f"p{number}": "x" * 50 for number in range(1000)}},
        {"params": {"one": "x" * 100_000}},
        {"metrics": {f"a rather long name of a metric {number}": number / 3 for number in range(1000)}},
        {"tags": {f"t{number}": "y" * 100 for number in range(200)}},
        {"description": "z" * 100_000},
        {"command": "python " + "w" * 100_000},
        {"params": {"a": 1}, "metrics": {"m": 0.5}, "description": "d" * 9000, "tags": {"k": "v"}},
        {
            "params": {f"p{number}": number for number in range(2000)},
            "metrics": {f"m{number}": number for number in range(2000)},
            "tags": {f"t{number}": "é" * 100 for number in range(200)},
            "description": "☃" * 10_000,
            "command": "w" * 10_000,
        },
    ],
    ids=["params", "param", "metrics", "tags", "description", "command", "mixed", "all"],
)
def test_the_line_fits(fields: dict[str, Any]) -> None:
    one = state(**fields)
    line = line_of(one)
    assert len(line) <= layout.LINE_LIMIT
    assert len(line) > layout.LINE_LIMIT * 0.6 or "description" in fields or "command" in fields or "one" in str(fields)
    back = state_from_line(orjson.loads(line))
    assert back.truncated
    assert (back.id, back.name, back.status) == (one.id, one.name, one.status)
    for key in ("params", "metrics", "tags"):
        assert getattr(back, key).items() <= getattr(one, key).items()
    assert one.description.startswith(back.description)


def test_a_line_that_fits_is_left_alone() -> None:
    one = state(params={"a": "x" * 7000})
    assert not state_from_line(orjson.loads(line_of(one))).truncated


def test_the_line_of_a_resumed_run_fits_too() -> None:
    long = state(params={f"p{number}": "x" * 50 for number in range(1000)}, attempt=2)
    amendment = Amendment(RUN, 1, "", continuation=long)
    line = layout.fit_line(amendment_to_line(amendment), orjson.dumps)
    assert len(line) <= layout.LINE_LIMIT
    back = amendment_from_line(orjson.loads(line), commit="c")
    assert back.continuation is not None
    assert back.continuation.truncated
