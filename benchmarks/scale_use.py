"""A repository of many runs in use: reading, sharing, and what people who do not use gittrack feel of it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.fixtures import git, repository, write_runs
from benchmarks.harness import Bench, Measure, in_new_process, interleaved, process, program
from benchmarks.rows import Limit, Row

_QUERY = ("ls", "-n", "20", "--sort", "-metrics.val/acc", "params.lr < 0.1")
# Bars in seconds for 100,000 runs and for a million; fewer runs have to meet the former.
_PUSH, _FETCH, _LIST = (0.5, 0.8), (0.5, 0.8), (0.6, 3.0)
_COLD_PER_100_000, _NO_CHANGE, _AS_WITHOUT, _TOGETHER = 5.0, 0.030, 1.5, 1.0
_MANY = 100_000
_GROUP_PER_10_000 = 0.8
_NEW, _CLONES = 100, 8
_ROUNDS = 5


def rows(bench: Bench, repo: Path, count: int) -> Iterator[Row]:
    yield from _reading(repo, count)
    bare = _bare(bench, "host", repo)
    git(repo, "remote", "add", "origin", str(bare))
    subprocess.run([*program(), "push"], cwd=repo, check=True, capture_output=True)
    yield from _sharing(bench, repo, bare, count)
    yield from _together(bench, bare, count)
    yield from _bystanders(bench, repo, bare, count)


def _bar(bars: tuple[float, float], count: int) -> float:
    return bars[count > _MANY]


def _bare(bench: Bench, name: str, repo: Path) -> Path:
    bare = bench.new_folder(name)
    git(bare, "init", "--quiet", "--bare")
    git(repo, "push", "--quiet", str(bare), "HEAD:refs/heads/main")
    return bare


# --- reading


def _reading(repo: Path, count: int) -> Iterator[Row]:
    objects = process(["git", "cat-file", "--batch", "--buffer"], repo, stdin=_pages(repo))
    listing = process([*program(), "ls", "-n", "1"], repo)

    def cold() -> float:
        for path in (repo / ".git" / "gittrack").glob("index.sqlite*"):
            path.unlink()
        return listing()

    rounds = 3 if count <= _MANY else 1
    found = interleaved({"cold": cold, "limit": objects, "warm": listing}, rounds, warm_up=count <= _MANY)
    built = found["cold"].median - found["warm"].median
    yield Row(
        f"index made anew, {count:,} runs",
        built,
        "s",
        bar=_COLD_PER_100_000 * max(count, 10_000) / _MANY,
        limit=Limit(found["limit"].median, "git cat-file --batch of the pages"),
    )
    refs = process(["git", "for-each-ref", "refs/experiments/"], repo)
    found = interleaved({"query": process([*program(), *_QUERY], repo), "limit": refs}, _ROUNDS)
    yield Row(
        f"gittrack {' '.join(_QUERY[:5])} '{_QUERY[5]}', {count:,} runs",
        found["query"].median,
        "s",
        bar=_bar(_LIST, count),
        limit=Limit(found["limit"].median, "git for-each-ref"),
    )
    group = process([*program(), "ls", "--group", "-n", "20"], repo)
    first = group()  # it asks git, and the index keeps the answer
    yield Row(f"ls --group, {count:,} runs, the first time", first, "s")
    yield Row(
        f"ls --group, {count:,} runs",
        interleaved({"group": group}, rounds)["group"].median,
        "s",
        bar=_GROUP_PER_10_000 * max(count, 10_000) / 10_000,
    )
    inside = in_new_process(read_inside, cwd=repo)
    yield Row(
        f"no-change check before a read, {count:,} runs",
        inside["check"],
        "s",
        bar=_NO_CHANGE,
        limit=Limit(found["limit"].median, "git for-each-ref"),
    )
    yield Row(f"best of a metric, {count:,} runs, in a process that is there", inside["best"], "s")
    yield Row(f"counts per experiment, {count:,} runs, in a process that is there", inside["experiments"], "s")


def _pages(repo: Path) -> bytes:
    ref = git(repo, "for-each-ref", "--format=%(refname)", "refs/experiments/_ledger/").split()[0]
    pages = git(repo, "rev-list", "--first-parent", ref).split()
    return "".join(f"{page}\n{page}:runs.jsonl\n" for page in pages).encode()


def read_inside() -> dict[str, float]:
    """Medians of seconds, in this process, with everything imported and read once."""
    from gittrack.project import Project

    project = Project.open()
    asked = {
        "check": lambda: project.keys("tags"),
        "best": lambda: project.best("val/acc", goal="max"),
        "experiments": project.experiments,
    }
    found = {}
    for name, ask in asked.items():
        ask()
        taken = []
        for _ in range(_ROUNDS):
            began = time.perf_counter()
            ask()
            taken.append(time.perf_counter() - began)
        found[name] = sorted(taken)[_ROUNDS // 2]
    return found


# --- sharing


def _sharing(bench: Bench, repo: Path, bare: Path, count: int) -> Iterator[Row]:
    other = bench.new_folder("other")
    git(bare, "clone", "--quiet", str(bare), str(other))
    subprocess.run([*program(), "fetch"], cwd=other, check=True, capture_output=True)
    push, fetch = process([*program(), "push"], repo), process([*program(), "fetch"], other)
    pushed, fetched, listed = [], [], []
    look = process(["git", "ls-remote", str(bare), "refs/experiments/*"], repo)
    for number in range(_ROUNDS + 1):
        write_runs(repo, _NEW, loose=True, seed=1000 + number)
        # The user's other commands have looked at the runs by then.
        subprocess.run([*program(), "ls", "-n", "1"], cwd=repo, check=True, capture_output=True)
        times = push(), fetch(), look()
        if number:
            pushed.append(times[0])
            fetched.append(times[1])
            listed.append(times[2])
    limit = Limit(sorted(listed)[_ROUNDS // 2], "git ls-remote")
    yield Row(
        f"push of {_NEW} new runs to a repository that holds {count:,}",
        sorted(pushed)[_ROUNDS // 2],
        "s",
        bar=_bar(_PUSH, count),
        limit=limit,
    )
    yield Row(
        f"fetch of {_NEW} new runs, {count:,} there",
        sorted(fetched)[_ROUNDS // 2],
        "s",
        bar=_bar(_FETCH, count),
        limit=limit,
    )


def _together(bench: Bench, bare: Path, count: int) -> Iterator[Row]:
    """Clones with a few new runs each that push at the same moment."""
    clones = []
    for number in range(_CLONES):
        clone = bench.new_folder(f"clone-{number}")
        git(bare, "clone", "--quiet", str(bare), str(clone))
        write_runs(clone, 10, loose=True, seed=2000 + number)
        subprocess.run([*program(), "ls", "-n", "1"], cwd=clone, check=True, capture_output=True)
        clones.append(clone)
    alone = process([*program(), "push"], clones.pop())()
    measures = [process([*program(), "push"], clone) for clone in clones]
    extra = bench.new_folder("clone-last")
    git(bare, "clone", "--quiet", str(bare), str(extra))
    write_runs(extra, 10, loose=True, seed=3000)
    subprocess.run([*program(), "ls", "-n", "1"], cwd=extra, check=True, capture_output=True)
    measures.append(process([*program(), "push"], extra))
    with ThreadPoolExecutor(_CLONES) as pool:
        # A push that fails, or had to be repeated by hand, ends here with an error.
        taken = list(pool.map(lambda measure: measure(), measures))
    yield Row(
        f"{_CLONES} clones push at once, {count:,} runs there: the slowest",
        max(taken),
        "s",
        bar=_TOGETHER,
        limit=Limit(alone, "one of them alone"),
    )


# --- who does not use gittrack


def _bystanders(bench: Bench, repo: Path, bare: Path, count: int) -> Iterator[Row]:
    plain = repository(bench.new_folder("plain"), files=50)
    plain_bare = _bare(bench, "plain-host", plain)
    git(plain, "remote", "add", "origin", str(plain_bare))
    # As it comes by itself every hundred runs, and half of those later.
    subprocess.run([*program(), "pack"], cwd=repo, check=True, capture_output=True)
    write_runs(repo, 50, loose=True, seed=4000)
    for one in (repo, plain):
        git(one, "fetch", "--quiet")
    commands = {
        "git fetch, nothing new": ["git", "fetch"],
        "git status": ["git", "status"],
        "git commit": ["git", "commit", "--quiet", "--allow-empty", "-m", "x"],
        "git log -5": ["git", "log", "-5"],
    }
    for what, command in commands.items():
        found = interleaved({"with": process(command, repo), "without": process(command, plain)}, 4 * _ROUNDS)
        yield _as_without(f"{what}, {count:,} runs", found["with"].median, found["without"].median)
    found = interleaved(
        {"with": _clone(bench, bare), "without": _clone(bench, plain_bare)},
        _ROUNDS,
    )
    yield _as_without(f"git clone of a host that holds {count:,} runs", found["with"].median, found["without"].median)


def _as_without(what: str, figure: float, without: float) -> Row:
    return Row(what, figure, "s", _AS_WITHOUT, times_limit=True, limit=Limit(without, "the same without runs"))


def _clone(bench: Bench, bare: Path) -> Measure:
    def measure() -> float:
        target = bench.new_folder("cloned")
        return process(["git", "clone", "--quiet", f"file://{bare}", str(target)], bench.folder)()

    return measure
