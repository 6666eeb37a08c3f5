"""Which commits are the two sides of a change, and which runs speak for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from math import isnan, nan
from typing import TYPE_CHECKING

from gittrack.domain.metric import is_detail
from gittrack.errors import NoCommitYet, UnknownRun, UsageError
from gittrack.git.remote import find_default_branch
from gittrack.git.repository import Repository
from gittrack.repeats import command_shape, configuration
from gittrack.values import dataclass

if TYPE_CHECKING:
    from gittrack.domain.run import RunState
    from gittrack.project import Project
    from gittrack.run import Run

# Commits on either side that are looked at.
_COMMITS = 1_000


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
class _Spot:
    """Where code stands: on side `a` or `b`, at a commit so many commits from that side's end."""

    side: str
    commit: str
    distance: int


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
        raise UsageError(f"{base[:12]} and {head[:12]} have no commit in common{_shallow(repository)}")
    if fork == head:
        # The change is merged already: it is the newest commit.
        parent = repository.resolve(f"{head}^1")
        if parent is None:
            if repository.shallow:
                raise UsageError(f"what was before {head[:12]} is not here{_shallow(repository)}")
            return Range(head, head, (), (head,))
        base = fork = parent
    # Not what the fork does not have: where branches merged each other, there are several forks.
    return Range(fork, head, _commits(repository, fork), _commits(repository, head, f"^{base}"))


def _shallow(repository: Repository) -> str:
    return "; this clone is shallow, and 'git fetch --unshallow' brings the rest" if repository.shallow else ""


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
    said = environ.get("CI_MERGE_REQUEST_DIFF_BASE_SHA", "")
    for key in ("GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME"):
        if environ.get(key):
            said = said or f"origin/{environ[key]}"
    if said:
        base = repository.resolve(said)
        if base is None:
            # Another base would be compared with, and a gate would judge what nobody asked.
            raise UsageError(
                f"the change is to go into {said}, says CI, and that is not in this clone; fetch the whole history, with "
                "'git fetch --unshallow' or fetch-depth: 0"
            )
        return base, head
    default = find_default_branch(repository)
    return (head if default is None else default[1]), head


def _commits(repository: Repository, *words: str) -> tuple[str, ...]:
    return tuple(repository.git("rev-list", f"--max-count={_COMMITS}", *words).decode("ascii").split())


def find_pairs(project: Project, span: Range, experiment: str | None = None) -> tuple[list[Pair], list[str]]:
    """What ran on the change, by experiment, beside what ran before it, newest experiment first; and which were left behind.

    Left behind are experiments that measured what gates before the change, on its nearest commit with runs, and did not run on it.
    Raises UnknownRun when nothing finished on the change.
    """
    spots = _spots(project.repo, span, project.code_commits(experiment))
    runs = project.runs_of_code(list(spots), experiment)
    found = _pairs(project, runs, spots)
    if not found:
        raise UnknownRun(_nothing_ran(project, span, experiment))
    before = [run for run in runs if _spot(run, spots).side == "a"]
    nearest = min((_spot(run, spots).distance for run in before), default=0)
    near = [run for run in before if _spot(run, spots).distance == nearest]
    gated = {run.experiment for run in near if any(map(project.settings.gates, run.metrics))}
    return found, sorted(gated - {pair.experiment for pair in found})


def find_speaker(project: Project, revision: str, experiment: str | None = None) -> Side | None:
    """Who speaks for a branch, tag or commit: a run of its newest commit on which any finished; of `experiment`, where that ran.

    None when the text names no commit, or when nothing finished on it or the commits before it.
    """
    tip = project.repo.resolve(revision) or project.repo.resolve(f"origin/{revision}")
    if tip is None:
        return None
    spots = _spots(project.repo, Range(tip, tip, (), _commits(project.repo, tip)), project.code_commits())
    pairs = _pairs(project, project.runs_of_code(list(spots)), spots)
    return min(
        (one.b for one in pairs), key=lambda side: (side.run.experiment != experiment, side.distance), default=None
    )


def _nothing_ran(project: Project, span: Range, experiment: str | None) -> str:
    since = f" and the {len(span.head) - 1:,} before it since {span.fork[:8]}" if len(span.head) > 1 else ""
    runs = project.count("status = finished", experiment=experiment)
    there = f"none of the {runs:,} finished runs here" if runs else "no run here"
    failed = project.count(f"status in (failed, killed) and commit = {span.tip}", experiment=experiment)
    broke = f", and {failed:,} of it failed" if failed else ""
    return (
        f"{there} is of commit {span.tip[:8]}{since}{broke}; make one with 'gittrack run', or bring those of others with "
        "'gittrack fetch'"
    )


def _spots(repository: Repository, span: Range, commits: Sequence[tuple[str, bool]]) -> dict[str, _Spot]:
    """For each commit that ran and stands on a side, where.

    A snapshot of a dirty tree stands where it was taken, unless the change has that very tree: then it was committed since.
    Code that a rebase gave another commit is known by its tree.
    """
    ends = {commit: _Spot("b", commit, at) for at, commit in enumerate(span.head)}
    ends |= {commit: _Spot("a", commit, at) for at, commit in enumerate(span.base)}
    elsewhere = [one for one in commits if one[0] not in ends]
    found = {commit: ends[commit] for commit, _ in commits if commit in ends}
    if not elsewhere:
        return found
    known = _parents_and_trees(repository, [commit for commit, _ in elsewhere])
    by_tree: dict[str, _Spot] = {}
    for commit, (_, tree) in _parents_and_trees(repository, (*span.head, *span.base)).items():
        by_tree.setdefault(tree, ends[commit])
    for commit, dirty in elsewhere:
        parent, tree = known.get(commit, ("", ""))
        spot = by_tree.get(tree)
        if dirty and (spot is None or spot.side == "a"):
            spot = ends.get(parent)
        if spot is not None:
            found[commit] = spot
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


def _pairs(project: Project, runs: Sequence[Run], spots: Mapping[str, _Spot]) -> list[Pair]:
    sides: dict[str, dict[str, list[Run]]] = {}
    for run in runs:
        sides.setdefault(run.experiment, {}).setdefault(_spot(run, spots).side, []).append(run)
    pairs = []
    for experiment, there in sides.items():
        if "b" in there:
            b = _side(project, there["b"], spots)
            a = _side(project, there["a"], spots, like=b) if "a" in there else None
            pairs.append(Pair(experiment, a, b))
    return pairs


def _spot(run: Run, spots: Mapping[str, _Spot]) -> _Spot:
    return spots[str(run.state.code_commit)]


def _side(project: Project, runs: Sequence[Run], spots: Mapping[str, _Spot], like: Side | None = None) -> Side:
    """Who speaks for a side: of its nearest commit the configuration that is `like` another, else what the settings say.

    Runs that measured what gates go before those that did not, and clean ones before dirty ones: on the base wherever they are,
    since somebody who tries a change before committing it leaves dirty runs there.
    """
    seeds = project.settings.params.seed_like
    runs = _telling(project, runs)
    if like is not None:
        runs = [run for run in runs if not run.dirty] or runs
    nearest = min(_spot(run, spots).distance for run in runs)
    near = [run for run in runs if _spot(run, spots).distance == nearest]
    near = [run for run in near if not run.dirty] or near
    shapes = {run.id: _shape(run, seeds) for run in near}
    chosen, why = None, "one with the params of the head"
    if like is not None:
        params, command = _shape(like.run, seeds)
        # The same command first: of two with the same params, one may have been told something that nobody logged.
        alike = [run for run in near if shapes[run.id][0] == params]
        chosen = next((run for run in alike if shapes[run.id][1] == command), next(iter(alike), None))
    if chosen is None:
        chosen, why = _speaker(project, near), str(project.settings.report.runs)
    others = len(set(shapes.values())) - 1
    # Where a change left the code as it was, or took it back, a run of the other side may be a repeat of this one's.
    here = {code for code, spot in spots.items() if spot.side == _spot(chosen, spots).side}
    repeats = project.repeats(chosen, of_code=here)
    return Side(chosen, tuple(repeats), _spot(chosen, spots).commit, nearest, others, why)


def _shape(run: Run, seed_like: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """What its repeats share, of params and of the command."""
    return repr(sorted(configuration(run.state, seed_like).items())), command_shape(run.state, seed_like)


def _telling(project: Project, runs: Sequence[Run]) -> Sequence[Run]:
    """Those that measured what gates, else what has a goal, else anything: a quick trial of something else speaks for nobody."""
    settings = project.settings
    for counts in (settings.gates, lambda key: settings.goal(key) is not None, lambda key: not is_detail(key)):
        found = [run for run in runs if any(map(counts, run.metrics))]
        if found:
            return found
    return runs


def _speaker(project: Project, runs: Sequence[Run]) -> Run:
    """The newest, or the best by the first metric that gates or has a goal at all."""
    settings = project.settings
    if settings.report.runs == "best":
        keys = dict.fromkeys(key for run in runs for key in run.metrics if settings.goal(key))
        for key in sorted(keys, key=lambda one: not settings.gates(one)):
            goal = settings.goal(key)
            sign = -1 if goal is not None and goal.goal == "min" else 1
            having = [run for run in runs if not isnan(run.metrics.get(key, nan))]
            if having:
                return max(having, key=lambda run: sign * run.metrics[key])
    return runs[0]
