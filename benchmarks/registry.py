"""Models: changes as whole commands, and reading where there are many versions and events."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fixtures import git, repository, write_runs
from benchmarks.harness import Bench, Measure, interleaved, process, program
from benchmarks.rows import Limit, Row
from gittrack.domain.version import Version
from gittrack.git.objects import Signature
from gittrack.git.repository import Repository
from gittrack.project import Project
from gittrack.registry.event import Event
from gittrack.registry.record import Draft, build, publish_here
from gittrack.registry.state import Model
from gittrack.registry.tagname import Action

_CHANGE_MS = 150.0
_LIST_S, _SHOW_S, _HISTORY_S = 0.2, 0.15, 0.2
_MODELS, _VERSIONS_EACH, _EVENTS_EACH = 100, 10, 5
_LONG = 200
# GTO reads each tag several times: thousands of them would take it minutes.
_GTO_MODELS = 4
_START = 1_700_000_000
_REFS = ("git", "for-each-ref", "--format=%(objectname) %(refname)", "refs/tags/", "refs/gittrack/seq/")


def rows(bench: Bench) -> Iterator[Row]:
    toy = bench.sizes.stored < 1_000
    repeats = bench.sizes.repeats
    yield from _change_rows(bench.new_folder("model-changes"), repeats)
    yield from _many_rows(bench.new_folder("models"), 2 if toy else _MODELS, repeats)
    yield from _long_rows(bench.new_folder("model-history"), 4 if toy else _LONG, repeats)
    yield from _gto_rows(bench.new_folder("models-gto"), 1 if toy else _GTO_MODELS, min(3, repeats))


# --- changes


def _change_rows(folder: Path, repeats: int) -> Iterator[Row]:
    repo = repository(folder, files=50)
    run = Project.open(repo).start_run("pattern", console=False)
    run.log_text("weights", "weights.txt")
    assert run.finish() is not None
    register = process([*program(), "model", "register", "digits", run.id, "--bump", "major", "--no-push"], repo)
    for _ in range(2):
        register()
    found = interleaved(
        {
            "register": register,
            "promote": _promotions(repo, "digits"),
            "limit": _new_tag(repo),
        },
        repeats,
    )
    limit = Limit(found["limit"].median * 1000, "git tag -a")
    yield Row("model register --no-push", found["register"].median * 1000, "ms", bar=_CHANGE_MS, limit=limit)
    yield Row("promote --no-push", found["promote"].median * 1000, "ms", bar=_CHANGE_MS, limit=limit)


def _promotions(repo: Path, model: str) -> Measure:
    """One after the other into one stage: each displaces the one before, which makes two tags."""
    turns = itertools.cycle(("v1", "v2"))

    def measure() -> float:
        return process([*program(), "promote", f"{model}@{next(turns)}", "production", "--no-push"], repo)()

    return measure


def _new_tag(repo: Path) -> Measure:
    numbers = itertools.count()

    def measure() -> float:
        return process(["git", "tag", "-a", "-m", "a tag", f"tag-{next(numbers)}"], repo)()

    return measure


# --- looking where there is much


def _many_rows(folder: Path, models: int, repeats: int) -> Iterator[Row]:
    repo = _registry(folder, models, _VERSIONS_EACH)
    versions, events = models * _VERSIONS_EACH, models * _VERSIONS_EACH * _EVENTS_EACH
    size = f"{versions:,} versions, {events:,} events"
    one = f"model-{models // 2}"
    for state in ("as gittrack leaves its refs", "every ref in a file of its own"):
        left = state.startswith("as")
        if not left:
            _loosen(repo)
        found = interleaved(
            {
                "ls": process([*program(), "model", "ls"], repo),
                "show": process([*program(), "model", "show", one], repo),
                "limit": process(_REFS, repo),
            },
            repeats,
        )
        limit = Limit(found["limit"].median, "git for-each-ref")
        yield Row(f"model ls, {size}, {state}", found["ls"].median, "s", bar=_LIST_S if left else None, limit=limit)
        yield Row(
            f"model show of one of {models:,} models, {state}",
            found["show"].median,
            "s",
            bar=_SHOW_S if left else None,
            limit=limit,
        )
    git(repo, "pack-refs", "--all")
    tags = "".join(f"{line.split()[0]}\n" for line in git(repo, *_REFS[1:]).splitlines()).encode()
    first = interleaved(
        {"ls": _forgotten(repo), "limit": process(["git", "cat-file", "--batch"], repo, stdin=tags)}, min(5, repeats)
    )
    limit = Limit(first["limit"].median, "git cat-file --batch of them")
    yield Row(f"model ls, {size}, nothing remembered", first["ls"].median, "s", limit=limit)
    change = interleaved({"promote": _promotions(repo, one)}, min(5, repeats))
    yield Row(f"promote --no-push, {size}", change["promote"].median * 1000, "ms")


def _loosen(repo: Path) -> None:
    """As a fetch of plain git leaves what it brings, until a `git gc`; gittrack packs refs before they are that many."""
    packed = repo / ".git" / "packed-refs"
    for line in packed.read_text("utf-8").splitlines():
        if not line.startswith(("#", "^")):
            one, name = line.split(" ")
            path = repo / ".git" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{one}\n", "ascii")
    packed.unlink()


def _forgotten(repo: Path) -> Measure:
    listing = process([*program(), "model", "ls"], repo)

    def measure() -> float:
        (repo / ".git" / "gittrack" / "registry.json").unlink(missing_ok=True)
        return listing()

    return measure


def _long_rows(folder: Path, versions: int, repeats: int) -> Iterator[Row]:
    repo = _registry(folder, 1, versions)
    git(repo, "pack-refs", "--all")
    found = interleaved(
        {"history": process([*program(), "model", "history", "model-0"], repo), "limit": process(_REFS, repo)}, repeats
    )
    limit = Limit(found["limit"].median, "git for-each-ref")
    what = f"model history of {versions * _EVENTS_EACH:,} events, packed refs"
    yield Row(what, found["history"].median, "s", bar=_HISTORY_S, limit=limit)


def _gto_rows(folder: Path, models: int, repeats: int) -> Iterator[Row]:
    """Beside GTO at a size at which that takes seconds."""
    repo = _registry(folder, models, _VERSIONS_EACH)
    git(repo, "pack-refs", "--all")
    gto = str(Path(sys.executable).with_name("gto"))
    if subprocess.run([gto, "--version"], capture_output=True, check=False).returncode != 0:
        return
    found = interleaved(
        {
            "ls": process([*program(), "model", "ls"], repo),
            "show": process([gto, "show"], repo),
            "history": process([*program(), "model", "history", "model-0"], repo),
            "gto history": process([gto, "history", "model-0"], repo),
        },
        repeats,
    )
    size = f"{models * _VERSIONS_EACH * _EVENTS_EACH:,} events in all, few, for GTO's sake"
    yield Row(f"model ls, {size}", found["ls"].median, "s", limit=Limit(found["show"].median, "gto show"))
    limit = Limit(found["gto history"].median, "gto history")
    yield Row(f"model history, {size}", found["history"].median, "s", limit=limit)


# --- registries, quickly made


def _registry(folder: Path, models: int, versions: int) -> Path:
    """So many models and versions, with five events for each version: registered, displacing, approved, named."""
    repo = repository(folder, files=50)
    write_runs(repo, models * versions)
    git(repo, "pack-refs", "--all")
    there = Repository.discover(repo)
    runs = iter([(one.id, one.commit) for one in Project.open(repo).runs()])
    for number in range(models):
        made = Model(f"model-{number}")
        for at in range(versions):
            run, commit = next(runs)
            assert commit is not None
            for drafts in _drafts(Version(at + 1), run, commit, made):
                who = Signature("Bench Mark <bench@example.org>", _START + len(made.events))
                made = Model(made.name, events=(*made.events, *build(there, made, drafts, who)))
        publish_here(there, made.events)
    _check(repo, models, versions)
    return repo


def _drafts(version: Version, run: str, commit: str, made: Model) -> Iterator[list[Draft]]:
    artifact = {"path": "weights.txt", "size": 7, "md5": "7d7c1d9f5a2c1f2d4b9b4ecf6e8d5c3a"}
    yield [Draft(Action.REGISTER, commit, run, version, details={"artifact": artifact})]
    held: Event | None = next((one for one in reversed(made.events) if one.place == "production"), None)
    enters = Draft(Action.ASSIGN, commit, run, version, "production", "it is better")
    if held is None:
        yield [enters]
        yield [Draft(Action.APPROVE, commit, run, version)]
    else:
        yield [Draft(Action.UNASSIGN, held.commit, held.run, held.version, "production"), enters]
    yield [Draft(Action.APPROVE, commit, run, version, "production")]
    yield [Draft(Action.ALIAS, commit, run, version, "champion")]


def _check(repo: Path, models: int, versions: int) -> None:
    """It is all of them that we time."""
    found = Project.open(repo).models.read()
    events = [len(one.events) for one in found.models.values()]
    if events != [versions * _EVENTS_EACH] * models or found.findings:
        raise RuntimeError(f"{models} models were made, and this is there: {events}, {found.findings[:1]}")
