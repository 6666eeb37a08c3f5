"""One opened git repository with gittrack in it: everything that the command line and the Python API do."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from gittrack.capture.identity import signature
from gittrack.domain.amendment import TAG_PREFIX
from gittrack.domain.names import check_key, check_run_name
from gittrack.domain.text import check_text, checked_tags
from gittrack.errors import CorruptRecord, FilterError, GittrackError, InvalidValue, RunBusy, UnknownRun, UsageError
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.run import Run, Runs
from gittrack.settings import Settings, load_settings
from gittrack.values import dataclass, field, replace

if TYPE_CHECKING:
    from gittrack.bundle import Applied, Bundled
    from gittrack.data.artifact import RunArtifact
    from gittrack.data.checkout import CheckedOut
    from gittrack.data.depot import Depot
    from gittrack.data.gc import Freed, GcPlan
    from gittrack.data.health import Repaired
    from gittrack.data.versions import Version
    from gittrack.domain.run import RunState
    from gittrack.git.worktree import WorktreeStatus
    from gittrack.groups import Group
    from gittrack.index.index import Index
    from gittrack.index.query import ExperimentSummary
    from gittrack.ledger.compact import Merged
    from gittrack.ledger.fsck import Problem
    from gittrack.ledger.handle import Ledger
    from gittrack.ledger.pack import Packed
    from gittrack.ledger.purge import Purged, PushedPurge
    from gittrack.ledger.read import Damage
    from gittrack.models.models import Models
    from gittrack.share import Clone, Shared
    from gittrack.tracking.active import ActiveRun
    from gittrack.tracking.inputs import UsedArtifact
    from gittrack.tracking.isolate import Captured
    from gittrack.tracking.recover import LiveView, Recovered
    from gittrack.tracking.wrap import Wrapped


# The newest runs among which repeats are looked for. Their params agree; whether their code does is asked of each.
_MOST_REPEATS = 20_000


@dataclass(frozen=True)
class Project:
    """A repository and its settings."""

    repo: Repository
    settings: Settings
    # What the newest look at git had to pass over.
    skipped: list[Damage] = field(default_factory=list, compare=False, repr=False)
    _still: list[Index] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def open(cls, start: Path | str | None = None, environ: Mapping[str, str] | None = None) -> Self:
        """The project around a folder (default: the current one); raises NotARepository and its kin, SettingsError."""
        repo = Repository.discover(start)
        return cls(repo, load_settings(repo, os.environ if environ is None else environ))

    @cached_property
    def depot(self) -> Depot:
        """Where the bytes of runs are: DVC's cache, the store beside it, the remote."""
        from gittrack.data.depot import Depot

        return Depot(self.repo, self.settings.artifacts.remote)

    @cached_property
    def ledger(self) -> Ledger:
        """This clone's ledger: runs at rest in git, and the way in for many at once."""
        from gittrack.ledger.handle import Ledger

        return Ledger(self.repo, self.settings, os.environ, lambda: self._current().commit_of)

    @cached_property
    def models(self) -> Models:
        """The models of this repository, and the way to change them."""
        from gittrack.models.models import Models

        return Models(self.repo, lambda: self.depot, self._current, self._run, lambda: signature(self.repo, os.environ))

    def _run(self, state: RunState) -> Run:
        return Run(self.repo, state, self.depot, lambda: self._index.amendments(state.id))

    # --- writing

    def start_run(
        self,
        name: str | None = None,
        *,
        experiment: str | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
        description: str | None = None,
        parent: str | None = None,
        parent_id: str | None = None,
        nested: bool = False,
        resume: str | None = None,
        allow_dirty: str | None = None,
        console: bool | None = None,
    ) -> ActiveRun:
        """Start a run in this process; see `gittrack.start_run`. `parent_id` is the full id of a run that may be active."""
        from gittrack.tracking.plan import Plan
        from gittrack.tracking.start import start

        plan = Plan(
            name=name,
            experiment=experiment or self._experiment_of(parent),
            params=params or {},
            tags=tags or {},
            description=description,
            parent=parent_id or self._parent(parent),
            nested=nested,
            resume=None if resume is None else self._resumable(resume),
            allow_dirty=allow_dirty,
            console=console,
        )
        run = start(self.repo, self.settings, plan)
        run.find_artifact = self.find_artifact
        run.after_seal = lambda: self._register_wishes(run.warn)
        return run

    def run_command(
        self,
        command: Sequence[str],
        *,
        name: str | None = None,
        experiment: str | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
        parent: str | None = None,
        allow_dirty: str | None = None,
        inputs: Sequence[str] = (),
        outputs: Sequence[str] = (),
        seed: int | None = None,
        isolated: bool | None = None,
        captured: Captured | None = None,
    ) -> Wrapped:
        """Run any command to its end as a run: `gittrack run`; with a `seed` as one of several repeats, see `gittrack run --seeds`.

        `isolated` (else the setting `run.isolated`): in a worktree of its own, of what is `captured` now or was before. While it
        runs, the current folder of this process is there.
        """
        from gittrack.tracking.plan import Plan, seeded
        from gittrack.tracking.wrap import check_startable, run_wrapped

        plan = Plan(
            name=name,
            experiment=experiment or self._experiment_of(parent),
            params=params or {},
            tags=tags or {},
            parent=self._parent(parent),
            allow_dirty=allow_dirty,
            inputs=tuple(inputs),
            outputs=tuple(outputs),
        )
        if seed is not None:
            plan, command = seeded(plan, command, seed)
        if self.is_isolated(isolated):
            from gittrack.tracking.isolate import isolated as in_worktree

            check_startable(command)
            captured = captured or self.capture(allow_dirty)
            with in_worktree(self.repo, plan, command, captured, os.environ) as place:
                done = run_wrapped(place.repository, self.settings, place.plan, command, self.find_artifact, place)
        else:
            done = run_wrapped(self.repo, self.settings, plan, command, self.find_artifact)
        self._register_wishes(done.run.warn)
        return done

    def is_isolated(self, wanted: bool | None = None) -> bool:
        """Whether a command would run in a worktree of its own; `wanted` is what somebody said, None: nobody did."""
        from gittrack.tracking.protocol import inherited_run

        if wanted is not None:
            return wanted
        # A command inside an isolated run is isolated with it, and may work with the files that the others wrote.
        return self.settings.run.isolated and inherited_run(os.environ) is None

    def capture(self, allow_dirty: str | None = None) -> Captured:
        """The code as it is now, for isolated runs that are all to run it; raises DirtyTree, NoCommitYet."""
        from gittrack.tracking.isolate import capture

        return capture(self.repo, self.settings, allow_dirty, os.environ)

    def _register_wishes(self, warn: Callable[[str], object] = lambda text: None) -> None:
        """Make versions of what finished runs wanted to be versions of a model; here alone, for nobody is there to be asked for a
        password. What cannot be done is told and left."""
        from gittrack.registry.wishes import Wishes

        wishes = Wishes(self.repo)
        for word, wish in wishes:
            if wish is None:
                wishes.note(done=[word])
                continue
            try:
                self.models.register_wish(wish)
            except OSError as error:
                warn(f"{wish.artifact} is not registered as a version of {wish.model} yet: {error}")
                continue
            except GittrackError as error:
                warn(f"{wish.artifact} is not registered as a version of {wish.model}: {error}")
            wishes.note(done=[word])

    def _parent(self, parent: str | None) -> str | None:
        return None if parent is None else self.get_run(parent).id

    def _experiment_of(self, parent: str | None) -> str | None:
        """A nested run belongs where its parent does, unless it is said otherwise."""
        return None if parent is None else self.get_run(parent).experiment

    def _resumable(self, text: str) -> RunState:
        state = self.get_run(text).state
        if state.commit is None:
            raise RunBusy(
                f"run {state.name} is still active; stop it first, or, when its machine is gone, run "
                f"'gittrack recover --force {state.id[:8]}'"
            )
        if state.deleted:
            raise UsageError(f"run {state.name} is deleted; 'gittrack restore {state.id[:8]}' brings it back first")
        return state

    def amend(
        self,
        run: Run | str,
        *,
        tags: Mapping[str, Any] | None = None,
        untag: Iterable[str] = (),
        name: str | None = None,
        description: str | None = None,
        deleted: bool | None = None,
    ) -> Run:
        """Change what is known of a finished run; the change is a commit of its own and the run stays as it was."""
        from gittrack.ledger.write import amend

        found = self.get_run(run, deleted=True) if isinstance(run, str) else run
        if found.commit is None:
            raise RunBusy(f"run {found.name} is not recorded yet; change it when it is finished")
        changes: dict[str, str | bool | None] = {}
        for key, value in checked_tags(tags or {}).items():
            changes[TAG_PREFIX + key] = value
        for key in untag:
            if check_key("run tag", key) not in found.tags:
                known = ", ".join(sorted(found.tags)) or "no run tag"
                raise UsageError(f"run {found.name} has no run tag {key!r}; it has {known}")
            changes[TAG_PREFIX + key] = None
        if name is not None:
            changes["name"] = check_run_name(name)
        if description is not None:
            changes["description"] = check_text(description)
        if deleted is not None:
            changes["deleted"] = deleted
        if not changes:
            raise UsageError("there is nothing to change; name a run tag, a name or a description")
        author = signature(self.repo, os.environ)
        amend(self.repo, found.state, changes, author=author)
        return self._by_id(found.id)

    def add_artifact(
        self, run: Run | str, path: str | os.PathLike[str], *, name: str | None = None, kind: str | None = None
    ) -> Run:
        """Add a file or folder to a finished run, as an amendment; named by `name`, else by its last part."""
        from gittrack.tracking.late import add_artifact

        found = self.get_run(run) if isinstance(run, str) else run
        if found.commit is None:
            raise RunBusy(f"run {found.name} is not recorded yet; add to it when it is finished")
        author = signature(self.repo, os.environ)
        add_artifact(
            self.repo, self.settings, found.state, path, name=name, kind=kind, known=found.artifacts, author=author
        )
        return self._by_id(found.id)

    def recover(self, *, force: Sequence[str] = ()) -> list[Recovered]:
        """Record runs whose process vanished; `force` names runs on machines that cannot be seen from here."""
        from gittrack.tracking.recover import recover

        ids = [self._active_id(one) for one in force]
        found = recover(self.repo, ids)
        self._register_wishes()
        return found

    def _active_id(self, text: str) -> str:
        found = [view.state for view in self.live() if text in (view.state.id, view.state.name)]
        found = found or [view.state for view in self.live() if len(text) >= 4 and view.state.id.startswith(text)]
        if len(found) != 1:
            raise UnknownRun(f"no single active run is called {text!r}; 'gittrack status' lists them")
        return found[0].id

    # --- reading

    @cached_property
    def _index(self) -> Index:
        from gittrack.index.index import Index

        return Index.open(self.repo)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Within this, git and active runs are looked at once: what comes meanwhile is for the next question."""
        before = self._still
        self.__dict__["_still"] = [] if before is None else before
        try:
            yield
        finally:
            self.__dict__["_still"] = before

    def _current(self) -> Index:
        """The index, brought up to date with git and with what is active now; dead runs are recorded on the way."""
        if self._still:
            return self._still[0]
        from gittrack.tracking.places import all_folders

        active: list[RunState] = []
        if all_folders(self.repo):
            from gittrack.tracking.recover import live_views

            self.recover()
            active = [view.state for view in live_views(self.repo)]
        report = self._index.update(active)
        self.skipped[:] = report.damaged
        if self._still is not None:
            self._still.append(self._index)
        return self._index

    def runs(
        self,
        filter: str | None = None,
        *,
        experiment: str | None = None,
        sort: str | None = None,
        limit: int | None = None,
        deleted: bool = False,
    ) -> Runs:
        """Runs that match a filter expression, newest first or by `sort` (`-` before the key: descending)."""
        from gittrack.index.syntax import parse

        where = None if filter is None or not filter.strip() else parse(filter)
        index = self._current()
        states = index.select(where, experiment=experiment, sort=sort, limit=limit, deleted=deleted)
        cut = limit is not None and len(states) == limit
        total = index.count(where, experiment=experiment, deleted=deleted) if cut else None
        return Runs([self._run(state) for state in states], total)

    def count(self, filter: str | None = None, *, experiment: str | None = None, deleted: bool = False) -> int:
        from gittrack.index.syntax import parse

        where = None if filter is None or not filter.strip() else parse(filter)
        return self._current().count(where, experiment=experiment, deleted=deleted)

    def get_run(self, text: str, *, experiment: str | None = None, deleted: bool = False) -> Run:
        """The run that a name means (docs/guide/reading.md); raises UnknownRun or AmbiguousRun."""
        from gittrack.index.resolve import resolve

        if "@" in text[1:]:
            version = self.models.find(text)
            if version is not None:
                return version.run
        state = resolve(
            self._current(),
            self.repo,
            text,
            experiment=experiment,
            goals=self._direction,
            deleted=deleted,
        )
        return self._run(state)

    def _by_id(self, run_id: str) -> Run:
        return self.get_run(run_id, deleted=True)

    def _direction(self, metric: str) -> str | None:
        goal = self.settings.goal(metric)
        return None if goal is None else goal.goal

    def best(
        self,
        metric: str,
        *,
        goal: str | None = None,
        filter: str | None = None,
        experiment: str | None = None,
        limit: int = 1,
    ) -> list[Run]:
        """The best finished runs by the last value of a metric; the direction comes from the settings when not given."""
        from gittrack.index.syntax import parse

        index = self._current()
        direction = goal or self._direction(metric)
        if direction is None and metric not in index.keys("metrics"):
            direction = "max"  # a metric that nobody has: the index names the nearest one
        if direction not in ("min", "max"):
            raise UsageError(
                f"nothing says whether {metric!r} is better high or low; pass --max or --min, or set "
                f"metrics.goals in {layout.FOLDER}/{layout.CONFIG}"
            )
        where = None if filter is None or not filter.strip() else parse(filter)
        states = index.best(metric, direction, experiment=experiment, where=where, limit=limit)
        return [self._run(state) for state in states]

    def keys(self, kind: str) -> list[str]:
        """All keys of `params`, `metrics` or `tags` that any run has."""
        return self._current().keys(kind)

    def repeats(self, run: Run, *, of_code: Collection[str] | None = None) -> list[RunState]:
        """A run and its finished repeats: of its experiment, of one configuration, told apart by `params.seed_like` alone.

        `of_code` are the commits whose trees may have run, where not all that have the same files count. Each repeat comes with
        what folds measured that are runs inside it, see `with_folds`.
        """
        from gittrack.repeats import find_repeats, narrow

        if run.state.commit is None:
            return [run.state]
        seeds = self.settings.params.seed_like
        candidates = self._current().select(narrow(run.state, seeds), experiment=run.experiment, limit=_MOST_REPEATS)
        if of_code is not None:
            candidates = [one for one in candidates if one.code_commit in of_code]
        found = find_repeats(self.repo, self._current(), run.state, candidates, seeds)
        whole = self.with_folds(run)
        if whole is run.state:
            return found
        return [whole if one.id == run.id else self._with_folds(one) for one in found]

    def with_folds(self, run: Run) -> RunState:
        """A run, and as its own the metrics of runs inside it that are folds of a cross-validation."""
        return run.state if run.state.commit is None else self._with_folds(run.state)

    def _with_folds(self, state: RunState) -> RunState:
        from gittrack.repeats import fold_runs, with_folds

        inner = self._current().select(fold_runs(state.id), limit=_MOST_REPEATS)
        return with_folds(state, inner, self.settings.params.seed_like)

    def groups(
        self,
        filter: str | None = None,
        *,
        experiment: str | None = None,
        by: str | None = None,
        sort: str | None = None,
    ) -> tuple[list[Group], int]:
        """Finished runs by configuration, or by keys such as `params.lr,tags.stage`; and how many others pass the filter.

        The group with the newest run comes first, or the order is by `sort`, where a metric means its mean and `n` how many count.
        """
        from gittrack.groups import find_groups, ordered, parse_keys, parse_order
        from gittrack.index.syntax import parse

        keys = [] if by is None else parse_keys(by, self.keys)
        if by is not None and not keys:
            raise UsageError("--group-by names no key; write keys like: params.lr,tags.stage")
        order = None if sort is None else parse_order(sort)
        where = None if filter is None or not filter.strip() else parse(filter)
        index = self._current()
        for key in (*keys, *([order[0]] if order and order[0] else [])):
            # Nothing is wanted but the error of a key that no run has.
            index.select(where, sort=str(key).replace("`", ""), limit=0)
        states = index.select(where, experiment=experiment)
        found = find_groups(self.repo, index, states, self.settings.params.seed_like, keys)
        left_out = len(states) - sum(len(one.runs) for one in found)
        return (found if order is None else ordered(found, *order)), left_out

    def group_repeats(self, runs: Sequence[Run]) -> list[list[Run]]:
        """The runs in groups of repeats of one configuration, among themselves; one that did not finish stands alone."""
        from gittrack.groups import find_groups

        by_id = {run.id: run for run in runs}
        states = [run.state for run in by_id.values()]
        groups = find_groups(self.repo, self._current(), states, self.settings.params.seed_like)
        group_of = {state.id: group.runs for group in groups for state in group.runs}
        found: dict[str, list[Run]] = {}
        for run in by_id.values():
            found.setdefault(group_of[run.id][0].id if run.id in group_of else run.id, []).append(run)
        return list(found.values())

    def code_commits(self, experiment: str | None = None) -> list[tuple[str, bool]]:
        """The commits whose trees finished runs ran, each once, and whether that is a snapshot of a dirty tree."""
        return self._current().code_commits(experiment)

    def makers(self, contents: Collection[str]) -> dict[str, list[RunState]]:
        """Which runs left contents in files, by the contents' short names; see `Index.makers`."""
        return self._current().makers(contents)

    def runs_of_code(self, commits: Sequence[str], experiment: str | None = None) -> list[Run]:
        """The finished runs of these commits' trees, newest first."""
        return [self._run(state) for state in self._current().of_code(commits, experiment)]

    def experiments(self) -> list[ExperimentSummary]:
        """Name, number of runs, and newest start of each experiment."""
        return self._current().experiments()

    def damage(self) -> tuple[Damage, ...]:
        """What should be a run and cannot be read."""
        from gittrack.tracking.recover import live_views

        return self._index.update([view.state for view in live_views(self.repo)]).damaged

    def live(self) -> list[LiveView]:
        """Active and lost runs."""
        from gittrack.tracking.recover import live_views

        return live_views(self.repo)

    def tree(self) -> WorktreeStatus | None:
        """The worktree as `run` would judge it; None where there is no worktree."""
        from gittrack.git.worktree import worktree_status

        return None if self.repo.root is None else worktree_status(self.repo)

    def index_note(self) -> str:
        """Why the index had to be made anew or done without; empty when all is well."""
        return self._index.note

    # --- artifacts

    def artifact_versions(self, name: str) -> list[Version]:
        """The versions of a named artifact, oldest first; raises UnknownRun when no run has one of that name."""
        from gittrack.data.versions import versions_of

        found = versions_of(name, self._current().with_artifact(name))
        if not found:
            from difflib import get_close_matches

            known = self.artifact_names()
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "; 'gittrack artifact ls' lists them" if known else ""
            raise UnknownRun(f"no run has an artifact called {name!r}{hint}")
        return found

    def artifact_names(self) -> list[str]:
        """Every name that an artifact of any run has, sorted."""
        return sorted({name for run in self._current().with_artifact() for name in run.artifacts})

    def artifact(self, text: str) -> RunArtifact:
        """An artifact by `name:latest`, `name:v3`, `name@<run>`, or its name alone, which means the latest.

        Also that of a version of a model: `model@v3`, `model@production`.
        """
        from gittrack.data.artifact import RunArtifact
        from gittrack.data.versions import newest

        if not isinstance(text, str):
            raise InvalidValue(f"an artifact is named by text, not by {type(text).__name__} {text!r:.60}")
        name, at, run = text.partition("@")
        if at:
            return self._artifact_of_model(text) or self.get_run(run).artifact(name)
        name, _, wanted = text.partition(":")
        versions = self.artifact_versions(name)
        if wanted in ("", "latest"):
            found = newest(versions)
            return RunArtifact(self.depot, found.runs[-1], found.artifact)
        number = wanted.removeprefix("v")
        if not number.isdecimal() or not 1 <= int(number) <= len(versions):
            raise UnknownRun(f"artifact {name!r} has no version {wanted!r}; it has v1 to v{len(versions)}")
        found = versions[int(number) - 1]
        return RunArtifact(self.depot, found.run, found.artifact)

    def _artifact_of_model(self, text: str) -> RunArtifact | None:
        """None where no model is called that, or what follows the `@` is none of its versions: it may be a run."""
        from gittrack.errors import UnknownModel

        try:
            found = self.models.find(text)
        except UnknownModel:
            return None
        return None if found is None else found.artifact

    def find_artifact(self, text: str) -> UsedArtifact:
        """An artifact of a run as the input of another, brought to this machine."""
        from gittrack.tracking.inputs import UsedArtifact

        found = self.artifact(text)
        if found.run.commit is None:
            raise RunBusy(f"run {found.run.name} is still active; use its artifacts when it is finished")
        # One that was added later is not in the run's own commit, but in the amendment.
        own = any(one.path == found.artifact.path for one in self._run(found.run).record.artifacts)
        commit = found.run.commit if own else found.run.head or found.run.commit
        return UsedArtifact(found.artifact, found.run.id, commit, found.path())

    def check_out(
        self, run: Run | str, *, worktree: Path | None = None, branch: str | None = None, data: bool = True
    ) -> CheckedOut:
        """The whole state of a run in a new worktree, or on a new branch; the user's own tree stays as it is."""
        from gittrack.data.checkout import check_out_branch, check_out_worktree

        found = self.get_run(run) if isinstance(run, str) else run
        if branch is not None:
            return check_out_branch(self.depot, found.state, branch, data=data)
        top = self.repo.root or self.repo.git_dir
        folder = worktree if worktree is not None else top.with_name(f"{top.name}-{_file_name(found.name)}")
        return check_out_worktree(self.depot, found.state, folder, data=data)

    # --- sharing

    def push(
        self,
        remote: str | None = None,
        *,
        data: bool = True,
        all_data: bool = False,
        experiment: str | None = None,
        since: str | None = None,
    ) -> Shared:
        """Share runs through a git remote, their data first; see `gittrack push`. `since` is a time as filters have it."""
        from gittrack.share import push

        self._check_experiment(experiment)
        self._register_wishes()
        return push(self._clone(), remote, data=data, all_data=all_data, only=_chosen(experiment, since))

    def _check_experiment(self, name: str | None) -> None:
        """Whoever mistypes one would hear that there is nothing to push."""
        if name is not None and not self._current().count(experiment=name, deleted=True):
            known = ", ".join(one.name for one in self.experiments()[:5])
            raise UnknownRun(
                f"there is no experiment {name!r} here; there is {known}"
                if known
                else f"there is no experiment {name!r} here, and no other; record a run or fetch some first"
            )

    def unshared(self, remote: str, trees: Collection[str], named: Collection[str] = ()) -> list[Run]:
        """Finished runs of these trees, or with these ids, that a git remote does not have, or not with their data."""
        from gittrack.ledger.outgoing import prepare
        from gittrack.share import Unsent

        index = self._current()
        commits = [commit for commit, _ in index.code_commits()]
        asked = "".join(f"{commit}^{{tree}}\n" for commit in commits).encode("ascii")
        answers = self.repo.git("cat-file", "--batch-check", stdin=asked).decode("ascii", "replace").splitlines()
        ran = [commit for commit, answer in zip(commits, answers, strict=False) if answer.split(" ")[0] in trees]
        chosen = {one.id: one for one in (*index.of_code(ran), *index.states(named)) if not one.deleted}
        if not chosen:
            return []
        clone = self._clone()
        outgoing = prepare(self.repo, remote, clone.writer, clone.author)
        lacking = {*outgoing.runs, *Unsent(self.repo).noted}
        return [self._run(state) for run, state in chosen.items() if run in lacking]

    def mirror(self, remote: str | None = None) -> Shared:
        """Everybody's runs that are here to a git remote, without data: for a new host."""
        from gittrack.share import push_all_ledgers

        return push_all_ledgers(self._clone(), remote)

    def fetch(
        self,
        remote: str | None = None,
        *,
        data: bool = True,
        everything: bool = False,
        summaries: bool = False,
        released: bool = False,
        experiment: str | None = None,
        since: str | None = None,
    ) -> Shared:
        """Runs of a git remote that are new here, with their data; `everything`: also what older runs still lack.

        `released`: also what `gc` let go, of whatever run. `experiment` and `since` choose runs whose data come; the runs come
        all. `summaries`: what tables show, and no files.
        """
        from gittrack.share import fetch

        only = _chosen(experiment, since)
        data = data and not summaries
        return fetch(
            self._clone(), remote, data=data, everything=everything, released=released, only=only, summaries=summaries
        )

    def create_bundle(
        self,
        path: Path | str,
        filter: str | None = None,
        *,
        experiment: str | None = None,
        data: bool = False,
        after: Path | str | Sequence[Path | str] = (),
    ) -> Bundled:
        """Write runs into one file; see `gittrack bundle create`. `after`: one earlier bundle, or several."""
        from gittrack.bundle import create
        from gittrack.index.syntax import parse

        runs = None
        if filter is not None or experiment is not None:
            where = None if filter is None or not filter.strip() else parse(filter)
            runs = self._current().select(where, experiment=experiment)
        earlier = [after] if isinstance(after, (str, Path)) else after
        return create(self._clone(), Path(path), runs, data=data, after=[Path(one) for one in earlier])

    def apply_bundle(self, path: Path | str) -> Applied:
        """Take in the runs of a file; see `gittrack bundle apply`."""
        from gittrack.bundle import apply

        return apply(self._clone(), Path(path))

    def _clone(self) -> Clone:
        from gittrack.ledger.writer import current_writer
        from gittrack.share import Clone

        author = signature(self.repo, os.environ)
        return Clone(self.repo, self.depot, self._current, current_writer(self.repo, os.environ), author)

    def _all_states(self, experiment: str | None = None) -> list[RunState]:
        return self._current().select(experiment=experiment, deleted=True)

    def pack(self) -> Packed:
        """Fold runs into this clone's ledger, and put what they are made of into packs; see `gittrack pack`."""
        from gittrack.ledger.pack import pack

        clone = self._clone()
        return pack(self.repo, clone.writer.name, clone.author)

    def purge(self, runs: Sequence[Run | str], *, reason: str = "") -> Purged:
        """Delete runs for good, none named: those that others purged and this clone's ledger still has.

        A run that is purged already is named by its id. Raises UnknownRun, RunBusy for one that is active.
        """
        from gittrack.domain.names import MIN_PREFIX
        from gittrack.ledger.chain import all_purges
        from gittrack.ledger.purge import Purged, Unfreed, free_purged, purge
        from gittrack.tracking.slots import remove_spares

        clone = self._clone()
        # One may have the code of a purged run as its HEAD, and git would keep that.
        remove_spares(self.repo, os.environ)
        gone = all_purges(self.repo)
        ids = set() if runs else self.purged_here()
        if not runs and not ids and Unfreed(self.repo).noted:
            # An earlier purge was interrupted, or others were recording.
            free = not self.live()
            objects = free_purged(self.repo) if free else 0
            return Purged(layout.LEDGERS + clone.writer.name, None, "", objects, waiting=not free)
        if not runs and not ids:
            raise UsageError("nothing is here that anybody has purged; name the runs to purge")
        for one in runs:
            try:
                found = self.get_run(one, deleted=True) if isinstance(one, str) else one
            except UnknownRun:
                again = [run for run in gone if len(str(one)) >= MIN_PREFIX and run.startswith(str(one))]
                if len(again) != 1:
                    raise
                ids.add(again[0])
                continue
            if found.commit is None:
                raise RunBusy(f"run {found.name} is active; stop it first")
            ids.add(found.id)
        # A process that is recording might just be using an object that looks unused.
        free = not self.live()
        return purge(self.repo, clone.writer.name, clone.author, ids, reason=reason, free=free)

    def purged_here(self) -> set[str]:
        """Runs that anybody has purged, and that this clone's ledger or a ref of their own still has."""
        from gittrack.ledger.chain import all_purges
        from gittrack.ledger.purge import still_here

        return still_here(self.repo, self._clone().writer.name, all_purges(self.repo))

    def push_purged(self, remote: str | None = None) -> PushedPurge:
        """Let purges reach a remote: the one push that replaces something, this clone's own ledger and refs of purged runs."""
        from gittrack.git.remote import choose_remote
        from gittrack.ledger.purge import free_purged, push_purged

        clone = self._clone()
        done = push_purged(self.repo, choose_remote(self.repo, remote), clone.writer.name, clone.author)
        if done.replaced and not self.live():
            free_purged(self.repo)
        return done

    def merge_ledgers(self, remote: str | None = None, *, idle_days: float = 90, local: bool = False) -> Merged:
        """Take in the ledgers of writers that are gone; see `gittrack gc --merge-ledgers`."""
        from gittrack.git.remote import choose_remote
        from gittrack.ledger.compact import merge_ledgers

        clone = self._clone()
        name = None if local else choose_remote(self.repo, remote)
        return merge_ledgers(self.repo, clone.writer.name, clone.author, idle_days=idle_days, remote=name)

    # --- health

    def plan_gc(self) -> GcPlan:
        """What `gittrack gc` would free, by the retention policy of the settings, and what of it the remote has."""
        from gittrack.data.gc import ask_remote

        plan = self._plan_gc()
        ask_remote(self.depot, plan)
        return plan

    def _plan_gc(self) -> GcPlan:
        from gittrack.data.gc import plan_gc
        from gittrack.index.index import Index

        # Not the index on disk: what it lacks would look like what nobody needs.
        index = Index(self.repo, None)
        return plan_gc(
            self.depot,
            lambda: self._whole_states(index),
            self.settings.artifacts.retention,
            direction=self._direction,
            amendments=index.amendments,
        )

    def gc(self, *, force: bool = False) -> tuple[GcPlan, Freed]:
        """Free it, but for what somebody has stored or named meanwhile.

        Raises OnlyCopy, unless `force`, where there is a remote and it does not have what runs would lose; OSError where
        nothing can be written; RunBusy when others store things all the time.
        """
        from gittrack.data.gc import ask_remote, run_gc
        from gittrack.tracking.slots import remove_spares

        # First: what pointers in a spare worktree name would look as if somebody needed it.
        spares = remove_spares(self.repo, os.environ)
        plan = self._plan_gc()
        if not force:
            ask_remote(self.depot, plan)
            plan.refuse_only_copies()
        return plan, replace(run_gc(self.depot, plan), spares=spares)

    def _whole_states(self, index: Index) -> list[RunState]:
        """All runs as that index finds them; raises CorruptRecord when one of them cannot be read."""
        from gittrack.tracking.places import all_folders
        from gittrack.tracking.recover import live_views

        active: list[RunState] = []
        if all_folders(self.repo):
            self.recover()
            active = [view.state for view in live_views(self.repo)]
        for damage in index.update(active).damaged:
            raise CorruptRecord(
                f"{damage.where} should be a run and cannot be read ({damage.reason}), so nobody knows which objects it "
                "needs; run 'gittrack fsck' and mend it first"
            )
        return index.select(deleted=True)

    def repair(self) -> Repaired:
        """Make whole what can be of the data of runs; `fsck` afterwards tells what could not."""
        from gittrack.data.health import examine, expose_all, repair
        from gittrack.registry.read import read_registry
        from gittrack.registry.record import restore_tags

        states = self._all_states()
        done = repair(self.depot, examine(self.depot, states))
        tags = restore_tags(self.repo, read_registry(self.repo).models.values())
        return replace(done, exposed=expose_all(self.depot, states), tags=tags)

    def init(self, *, fetch_runs: bool = False) -> list[str]:
        """Make the repository ready; returns what was done, a line each. See `gittrack init`."""
        from gittrack.setup import set_up

        return set_up(self.repo, self.settings, fetch_runs=fetch_runs)

    def fsck(self, *, spoiled: Collection[str] = ()) -> list[Problem]:
        """Every run read back whole; returns what is damaged, and where the index differs from git.

        `spoiled` is what a repair found damaged on the remote, where `fsck` itself reads nothing.
        """
        from gittrack.data.health import examine
        from gittrack.data.health import problems as data_problems
        from gittrack.ledger.fsck import Problem, fsck
        from gittrack.registry.read import read_registry

        problems = list(fsck(self.repo))
        problems += data_problems(self.depot, examine(self.depot, self._all_states()), spoiled)
        problems += [
            Problem(str(one.folder), one.problem, "mend what it names, then run 'gittrack recover'")
            for one in self.recover()
            if one.problem
        ]
        registry = read_registry(self.repo)
        problems += [
            Problem(one.ref, one.reason, one.step, harmless=registry.is_foreign(one)) for one in registry.findings
        ]
        if not self._index_agrees():
            problems.append(
                Problem(str(self.repo.home / "index.sqlite"), "it differs from git", "remove the file; it is made anew")
            )
        return problems

    def _index_agrees(self) -> bool:
        """Whether the index, brought up to date, is what a new one would be."""
        from gittrack.index.index import Index

        with Index(self.repo, None) as fresh:
            fresh.update()
            anew = {state.id: state for state in fresh.select(deleted=True)}
        kept = {state.id: state for state in self._current().select(deleted=True) if state.commit is not None}
        # repr, because a NaN equals nothing, not even itself.
        return repr(sorted(anew.items())) == repr(sorted((key, kept[key]) for key in kept if key in anew))


def _chosen(experiment: str | None, since: str | None) -> Callable[[RunState], bool] | None:
    """What `--experiment` and `--since` choose; None: everything."""
    if experiment is None and since is None:
        return None
    first = None if since is None else moment(since)

    def chosen(run: RunState) -> bool:
        return (experiment is None or run.experiment == experiment) and (first is None or run.started >= first)

    return chosen


def moment(text: str) -> float:
    """Seconds since the epoch of a time as a filter would have it: `-7d`, `2026-01-31`."""
    import time

    from gittrack.index.filter import Ago, Compare, Moment
    from gittrack.index.syntax import parse

    text = text.strip()
    value: object = Ago(0.0) if text == "now" else None
    # Between date and time we print a space ourselves.
    with suppress(FilterError):
        node = parse(f"started >= {text.replace(' ', 'T')}").root
        if isinstance(node, Compare):
            value = node.value
    if isinstance(value, Ago):
        value = value.at(time.time())
    if not isinstance(value, Moment):
        raise UsageError(f"{text!r} is no time; write one as now, -7d, -12h, 2026-01-31 or 2026-01-31T12:00")
    return value.start


def _file_name(name: str) -> str:
    """A run's name as the end of a folder's."""
    return "".join(one if one.isalnum() or one in "-_." else "-" for one in name).strip(".-") or "run"
