"""One opened git repository with gittrack in it: everything that the command line and the Python API do."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from gittrack.capture.code import signature
from gittrack.errors import RunBusy, UnknownRun, UsageError
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.model.amendment import TAG_PREFIX
from gittrack.model.names import check_key, check_run_name
from gittrack.run import Run, Runs
from gittrack.settings import Settings, load_settings

if TYPE_CHECKING:
    from gittrack.git.worktree import WorktreeStatus
    from gittrack.index.index import Index
    from gittrack.index.query import ExperimentSummary
    from gittrack.ledger.fsck import Problem
    from gittrack.ledger.read import Damage
    from gittrack.model.run import RunState
    from gittrack.tracking.active import ActiveRun
    from gittrack.tracking.recover import LiveView, Recovered
    from gittrack.tracking.wrap import Wrapped


@dataclass(frozen=True)
class Project:
    """A repository and its settings."""

    repo: Repository
    settings: Settings
    # What the newest look at git had to pass over.
    skipped: list[Damage] = field(default_factory=list, compare=False, repr=False)

    @classmethod
    def open(cls, start: Path | str | None = None, environ: Mapping[str, str] | None = None) -> Self:
        """The project around a folder (default: the current one); raises NotARepository and its kin, SettingsError."""
        repo = Repository.discover(start)
        return cls(repo, load_settings(repo, os.environ if environ is None else environ))

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
        from gittrack.tracking.start import Plan, start

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
        return start(self.repo, self.settings, plan)

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
    ) -> Wrapped:
        """Run any command to its end as a run: `gittrack run`."""
        from gittrack.tracking.start import Plan
        from gittrack.tracking.wrap import run_wrapped

        plan = Plan(
            name=name,
            experiment=experiment or self._experiment_of(parent),
            params=params or {},
            tags=tags or {},
            parent=self._parent(parent),
            allow_dirty=allow_dirty,
        )
        return run_wrapped(self.repo, self.settings, plan, command)

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
        from gittrack.tracking.active import check_text, checked_tags

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
        amend(self.repo, layout.run_ref(found.experiment, found.id), changes, author=author)
        return self._by_id(found.id)

    def recover(self, *, force: Sequence[str] = ()) -> list[Recovered]:
        """Record runs whose process vanished; `force` names runs on machines that cannot be seen from here."""
        from gittrack.tracking.recover import recover

        ids = [self._active_id(one) for one in force]
        return recover(self.repo, ids)

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

    def _current(self) -> Index:
        """The index, brought up to date with git and with what is active now; dead runs are recorded on the way."""
        from gittrack.tracking.places import all_folders
        from gittrack.tracking.recover import live_views

        active: list[RunState] = []
        if all_folders(self.repo):
            self.recover()
            active = [view.state for view in live_views(self.repo)]
        report = self._index.update(active)
        self.skipped[:] = report.damaged
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
        return Runs([Run(self.repo, state) for state in states], total)

    def count(self, filter: str | None = None, *, experiment: str | None = None, deleted: bool = False) -> int:
        from gittrack.index.syntax import parse

        where = None if filter is None or not filter.strip() else parse(filter)
        return self._current().count(where, experiment=experiment, deleted=deleted)

    def get_run(self, text: str, *, experiment: str | None = None, deleted: bool = False) -> Run:
        """The run that a name means (docs/guide/reading.md); raises UnknownRun or AmbiguousRun."""
        from gittrack.index.resolve import resolve

        state = resolve(
            self._current(),
            self.repo,
            text,
            experiment=experiment,
            goals=self._direction,
            deleted=deleted,
        )
        return Run(self.repo, state)

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
        return [Run(self.repo, state) for state in states]

    def keys(self, kind: str) -> list[str]:
        """All keys of `params`, `metrics` or `tags` that any run has."""
        return self._current().keys(kind)

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

    # --- health

    def init(self) -> list[str]:
        """Make the repository ready; returns what was done, a line each."""
        from gittrack.setup import set_up

        return set_up(self.repo)

    def fsck(self) -> list[Problem]:
        """Every run read back whole; returns what is damaged, and where the index differs from git."""
        from gittrack.ledger.fsck import Problem, fsck

        problems = list(fsck(self.repo))
        problems += [
            Problem(str(one.folder), one.problem, "mend what it names, then run 'gittrack recover'")
            for one in self.recover()
            if one.problem
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
