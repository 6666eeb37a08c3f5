"""Which commits are the two sides of a change, and which runs speak for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from gittrack.domain.metric import is_detail
from gittrack.errors import NoCommitYet, UnknownRun, UsageError
from gittrack.git.remote import find_default_branch
from gittrack.git.repository import Repository
from gittrack.repeats import configuration
from gittrack.values import dataclass

if TYPE_CHECKING:
    from gittrack.domain.run import RunState
    from gittrack.project import Project
    from gittrack.run import Run

# Commits on either side that are looked at, and the newest runs among which theirs are looked for first.
_COMMITS = 1_000
_RUNS = 2_000
_MOST_EXPERIMENTS = 10


@dataclass(frozen=True, slots=True)
class Range:
    """Two sides of a change: `fork` is where they part; `base` and `head` commits by their distance, nearest first.

    `base` begins with the fork itself, `head` with the newest commit of the change.
    """

    fork: str
    tip: str
    base: tuple[str, ...]
    head: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """The runs that speak for a side: `run` is the one they are repeats of, `commit` where its code stands, so many commits away.

    `others` counts further configurations of that commit, and `why` says why this one was chosen: it is the ...
    """

    run: Run
    runs: tuple[RunState, ...]
    commit: str
    distance: int
    others: int = 0
    why: str = "latest"


@dataclass(frozen=True, slots=True)
class Pair:
    """One experiment on both sides; without a base it is new."""

    experiment: str
    a: Side | None
    b: Side


def find_range(repository: Repository, text: str | None, environ: Mapping[str, str]) -> Range:
    """The sides that `BASE..HEAD`, `BASE..` or `BASE` names; without a word: HEAD since it left the branch it is to go into.

    That branch is what the host's CI says, else the default branch. Raises UsageError for what is no commit.
    """
    base, head = _named(repository, text, environ)
    fork = repository.merge_base(base, head)
    if fork is None:
        fetch = "; this clone is shallow, and 'git fetch --unshallow' brings the rest" if repository.shallow else ""
        raise UsageError(f"{base[:12]} and {head[:12]} have no commit in common{fetch}")
    if fork == head:
        # The change is merged already: it is the newest commit.
        parent = repository.resolve(f"{head}^1")
        if parent is None:
            return Range(head, head, (), (head,))
        fork = parent
    return Range(
        fork,
        head,
        _commits(repository, fork),
        _commits(repository, head, f"^{fork}"),
    )


def _named(repository: Repository, text: str | None, environ: Mapping[str, str]) -> tuple[str, str]:
    first, dots, second = (text or "").partition("..")
    head = repository.resolve(second.removeprefix(".") or "HEAD")
    if head is None:
        if dots and second:
            raise UsageError(f"there is no commit {second!r}; name two like main..HEAD")
        raise NoCommitYet("the repository has no commit yet; commit your code first")
    if first:
        base = repository.resolve(first) or repository.resolve(f"origin/{first}")
        if base is None:
            raise UsageError(f"there is no commit {first!r} in this clone; 'git fetch' brings what others have")
        return base, head
    for name in (
        environ.get("CI_MERGE_REQUEST_DIFF_BASE_SHA", ""),
        *(
            f"origin/{name}"
            for key in ("GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME")
            if (name := environ.get(key))
        ),
    ):
        found = repository.resolve(name)
        if found is not None:
            return found, head
    default = find_default_branch(repository)
    return (head if default is None else default[1]), head


def _commits(repository: Repository, *words: str) -> tuple[str, ...]:
    return tuple(repository.git("rev-list", f"--max-count={_COMMITS}", *words).decode("ascii").split())


def find_pairs(project: Project, span: Range, experiment: str | None = None) -> list[Pair]:
    """What ran on the change, by experiment, beside what ran before it; newest experiment first, ten at most.

    Raises UnknownRun when nothing finished on the change.
    """
    for limit in (_RUNS, None):
        runs = project.runs("status = finished", experiment=experiment, limit=limit)
        places = _standing(project.repo, span, [one.state for one in runs])
        found = _pairs(project, runs, places)
        whole = limit is None or len(runs) < limit
        if whole or (found and all(one.a is not None for one in found)):
            break
    if not found:
        raise UnknownRun(_nothing_ran(span, len(runs)))
    return found[:_MOST_EXPERIMENTS]


def find_speaker(project: Project, revision: str, experiment: str | None = None) -> Side | None:
    """Who speaks for a branch, tag or commit: a run of its newest commit on which any finished; of `experiment`, where that ran.

    None when the text names no commit, or when nothing finished on it or the commits before it.
    """
    tip = project.repo.resolve(revision) or project.repo.resolve(f"origin/{revision}")
    if tip is None:
        return None
    span = Range(tip, tip, (), _commits(project.repo, tip))
    for limit in (_RUNS, None):
        runs = project.runs("status = finished", limit=limit)
        pairs = _pairs(project, runs, _standing(project.repo, span, [one.state for one in runs]))
        if pairs:
            return min((one.b for one in pairs), key=lambda side: (side.run.experiment != experiment, side.distance))
        if limit is not None and len(runs) < limit:
            break
    return None


def _nothing_ran(span: Range, runs: int) -> str:
    since = f" and the {len(span.head) - 1:,} before it since {span.fork[:8]}" if len(span.head) > 1 else ""
    there = f"none of the {runs:,} finished runs here" if runs else "no run here"
    return (
        f"{there} is of commit {span.tip[:8]}{since}; make one with 'gittrack run', or bring those of others with "
        "'gittrack fetch'"
    )


def _standing(repository: Repository, span: Range, runs: Sequence[RunState]) -> dict[str, tuple[str, str, int]]:
    """For each run on a side, by its id: side, commit, and how many commits that lies away from the side's own end.

    A snapshot of a dirty tree stands where it was taken. Code that a rebase gave another commit is known by its tree.
    """
    spots = {commit: ("b", commit, at) for at, commit in enumerate(span.head)}
    spots |= {commit: ("a", commit, at) for at, commit in enumerate(span.base)}
    elsewhere = dict.fromkeys(run.code_commit for run in runs if run.code_commit and run.code_commit not in spots)
    known = _parents_and_trees(repository, elsewhere)
    by_tree: dict[str, tuple[str, str, int]] = {}
    if known:
        for commit, (_, tree) in _parents_and_trees(repository, (*span.head, *span.base)).items():
            by_tree.setdefault(tree, spots[commit])
    found = {}
    for run in runs:
        code = run.code_commit
        if code is None:
            continue
        spot = spots.get(code)
        if spot is None and code in known:
            parent, tree = known[code]
            spot = spots.get(parent) if run.dirty else by_tree.get(tree)
        if spot is not None:
            found[run.id] = spot
    return found


def _parents_and_trees(repository: Repository, commits: Iterable[str]) -> dict[str, tuple[str, str]]:
    """First parent and tree of each commit that is here."""
    asked = "".join(f"{one}\n" for one in commits).encode("ascii")
    if not asked:
        return {}
    words = ("rev-list", "--no-walk=unsorted", "--ignore-missing", "--stdin", "--format=%H %T %P")
    lines = repository.git(*words, stdin=asked).decode("ascii").splitlines()
    found = {}
    for line in lines:
        commit, tree, *parents = line.split(" ")
        if commit != "commit":
            found[commit] = (parents[0] if parents else "", tree)
    return found


def _pairs(project: Project, runs: Sequence[Run], places: Mapping[str, tuple[str, str, int]]) -> list[Pair]:
    sides: dict[str, dict[str, list[Run]]] = {}
    for run in runs:
        if run.id in places:
            sides.setdefault(run.experiment, {}).setdefault(places[run.id][0], []).append(run)
    pairs = []
    for experiment, there in sides.items():
        if "b" in there:
            b = _side(project, there["b"], places)
            a = _side(project, there["a"], places, like=b) if "a" in there else None
            pairs.append(Pair(experiment, a, b))
    return pairs


def _side(
    project: Project, runs: Sequence[Run], places: Mapping[str, tuple[str, str, int]], like: Side | None = None
) -> Side:
    """Who speaks for a side: of the nearest commit the configuration that is `like` another, else what the settings say."""
    seeds = project.settings.params.seed_like
    nearest = min(places[run.id][2] for run in runs)
    near = [run for run in runs if places[run.id][2] == nearest]
    # A run that measured nothing, like the parent of a cross-validation, speaks for nobody.
    near = [run for run in near if any(not is_detail(key) for key in run.metrics)] or near
    shapes = {run.id: repr(sorted(configuration(run.state, seeds).items())) for run in near}
    wanted = None if like is None else repr(sorted(configuration(like.run.state, seeds).items()))
    chosen = next((run for run in near if shapes[run.id] == wanted), None)
    why = "one with the params of the head"
    if chosen is None:
        chosen, why = _speaker(project, near), str(project.settings.report.runs)
    others = len(set(shapes.values())) - 1
    return Side(chosen, tuple(project.repeats(chosen)), places[chosen.id][1], nearest, others, why)


def _speaker(project: Project, runs: Sequence[Run]) -> Run:
    """The newest, or the best by the first metric that gates or has a goal at all."""
    settings = project.settings
    if settings.report.runs == "best":
        keys = dict.fromkeys(key for run in runs for key in run.metrics if settings.goal(key))
        for key in sorted(keys, key=lambda one: not settings.gates(one)):
            goal = settings.goal(key)
            sign = -1 if goal is not None and goal.goal == "min" else 1
            having = [run for run in runs if run.metrics.get(key) == run.metrics.get(key) and key in run.metrics]
            if having:
                return max(having, key=lambda run: sign * run.metrics[key])
    return runs[0]
