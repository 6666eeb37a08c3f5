"""The update hook of a repository that is pushed to, where there are many tags of models already."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fixtures import git, repository, write_runs
from benchmarks.harness import ROOT, Bench, Measure, interleaved, process
from benchmarks.rows import Limit, Row
from gittrack.domain.version import Version
from gittrack.git.objects import Signature
from gittrack.git.repository import Repository
from gittrack.project import Project
from gittrack.registry.event import Event
from gittrack.registry.record import Draft, build, refs_of
from gittrack.registry.state import Model
from gittrack.registry.tagname import Action

_HOOK_S = 0.3
_TAGS, _MODELS = 10_000, 100
_START = 1_700_000_000
_POLICY = "registry: {stages: {production: {policy: [clean, {people: ['*@example.org']}]}}}\n"


def rows(bench: Bench) -> Iterator[Row]:
    tags = 60 if bench.sizes.stored < 1_000 else _TAGS
    for models in (1, min(_MODELS, tags // 30)):
        yield from _push_rows(bench.new_folder("server"), models, tags, bench.sizes.repeats)


def _push_rows(folder: Path, models: int, tags: int, repeats: int) -> Iterator[Row]:
    repo = repository(folder, files=50)
    (repo / ".gittrack").mkdir(exist_ok=True)
    (repo / ".gittrack" / "config.yaml").write_text(_POLICY)
    git(repo, "add", "--all", "--force", ".gittrack/config.yaml")
    git(repo, "commit", "--quiet", "-m", "What production demands")
    write_runs(repo, 20)
    runs = [(one.id, str(one.commit)) for one in Project.open(repo).runs()]
    there = Repository.discover(repo)
    newest: dict[str, Event] = {}
    refs: dict[str, str] = {}
    for number in range(models):
        name = f"model-{number}"
        for event in _history(there, name, runs, tags // models):
            refs.update(refs_of([event]))
            newest[name] = event
    script = "".join(f"create {ref} {one}\n" for ref, one in refs.items())
    git_in(repo, script, "update-ref", "--stdin")
    git(repo, "repack", "-a", "-d", "--quiet")
    git(repo, "pack-refs", "--all")
    count = sum(1 for ref in refs if ref.startswith("refs/tags/"))
    for bare in ("plain.git", "guarded.git"):
        git(folder, "clone", "--quiet", "--mirror", str(repo), bare)
    hook = folder / "guarded.git" / "hooks" / "update"
    shutil.copy(ROOT / "hooks" / "update", hook)
    hook.write_text(hook.read_text().replace("\npython=\n", f"\npython={sys.executable}\n"))
    name = f"model-{models // 2}"
    pushes = {bare: _promotions(there, folder / bare, newest[name]) for bare in ("plain.git", "guarded.git")}
    found = interleaved(pushes, repeats)
    with_it, without = found["guarded.git"].median, found["plain.git"].median
    size = f"{count:,} tags of {models:,} {'model' if models == 1 else 'models'}"
    yield Row(
        f"git push of a promotion, 4 refs, {size}", with_it, "s", limit=Limit(without, "git push without the hook")
    )
    yield Row(f"the update hook in that push, {size}", with_it - without, "s", bar=_HOOK_S)


def _history(repository: Repository, name: str, runs: list[tuple[str, str]], tags: int) -> Iterator[Event]:
    """Versions that displace each other in production: three tags each, but for the first."""
    last: Event | None = None
    held: Draft | None = None
    for at in range(tags // 3 + 1):
        run, commit = runs[at % len(runs)]
        artifact = {"path": "weights.txt", "size": 7, "md5": "7d7c1d9f5a2c1f2d4b9b4ecf6e8d5c3a"}
        steps = [[Draft(Action.REGISTER, commit, run, Version(at + 1), details={"artifact": artifact})]]
        enters = Draft(Action.ASSIGN, commit, run, Version(at + 1), "production", "it is better")
        steps.append([*([held] if held else []), enters])
        held = Draft(Action.UNASSIGN, commit, run, Version(at + 1), "production")
        for drafts in steps:
            made = build(repository, Model(name, events=(last,) if last else ()), drafts, _who(last))
            last = made[-1]
            yield from made


def _who(last: Event | None) -> Signature:
    return Signature("Bench Mark <bench@example.org>", last.time + 1 if last else _START)


def _promotions(repository: Repository, bare: Path, last: Event) -> Measure:
    """One after the other into one stage: each displaces the one before, so that four refs come in one atomic push."""
    state = [last]
    policy = git(Path(str(repository.root)), "rev-parse", "HEAD").strip()
    said = {
        "policy": {"branch": "main", "commit": policy},
        "checks": [
            {"rule": "clean", "ok": True, "said": "the code is a commit"},
            {"rule": "people: *@example.org", "ok": True, "said": "bench@example.org may"},
        ],
    }

    def measure() -> float:
        before = state[0]
        assert before.version is not None
        other = Version(before.version.major - 1 if before is last else _others[bare])
        _others[bare] = before.version.major
        found = Project.open(Path(str(repository.root))).models.get(before.model).versions[other].registered
        drafts = [
            Draft(Action.UNASSIGN, before.commit, before.run, before.version, "production"),
            Draft(Action.ASSIGN, found.commit, found.run, other, "production", "", said),
        ]
        events = build(repository, Model(before.model, events=(before,)), drafts, _who(before))
        state[0] = events[-1]
        words = [f"{one}:{ref}" for ref, one in refs_of(events).items()]
        return process(["git", "push", "--quiet", "--atomic", str(bare), *words], Path(str(repository.root)))()

    return measure


_others: dict[Path, int] = {}


def git_in(repo: Path, script: str, *words: str) -> None:
    subprocess.run(["git", *words], cwd=repo, input=script.encode(), check=True, capture_output=True)
